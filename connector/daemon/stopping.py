"""How the daemon is asked to stop, and how it waits: a run ends between two sends, and every wait ends at once.

What was intended by then stands open in the journal. A run that does not come to a quiet place in time is left as a
crash would leave it: nothing is lost by that either.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import FrameType

import structlog

from connector.errors import StoppedEarly

_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
"""SIGBREAK is how a Windows service is asked to end; SIGHUP comes when a terminal is closed."""

_log = structlog.stdlib.get_logger("connector.daemon")


class Stopping:
    """Whether the daemon was asked to stop, and the bell that wakes it from every wait.

    The bell is a SimpleQueue because a signal's handler may ring it at any moment: its `put` may be entered anew while
    it is under way, an Event's `set` may not.
    """

    def __init__(self) -> None:
        self.asked = False
        self._bell: SimpleQueue[None] = SimpleQueue()

    def ask(self) -> None:
        """Ask to stop, from any thread or from a signal's handler."""
        self.asked = True
        self._bell.put(None)

    def ring(self) -> None:
        """Wake whoever rests: there is something to do."""
        self._bell.put(None)

    def check(self) -> None:
        """Raise StoppedEarly where somebody asked to stop."""
        if self.asked:
            raise StoppedEarly(
                "The run was asked to end and did, between two sends.",
                "What it had intended stands open, also what went out and was not proven yet. "
                "The next run reads it back and drives it first: connector resume --dry-run",
            )

    def rest(self, seconds: float) -> None:
        """Wait until something is to be done, or somebody asks to stop."""
        if not self.asked:
            self._heard(seconds)

    def wait(self, seconds: float) -> None:
        """Wait for so long, or until somebody asks to stop."""
        until = time.monotonic() + seconds
        rung = 0
        while not self.asked and (left := until - time.monotonic()) > 0:
            rung += self._heard(left)
        if rung and not self.asked:
            self.ring()  # it was not for this wait: whoever rests next hears it

    def _heard(self, seconds: float) -> bool:
        try:
            self._bell.get(timeout=max(0.0, seconds))
        except Empty:
            return False
        return True

    def on_signals(self, within_seconds: float, leave: Callable[[int], object] = os._exit) -> None:
        """Stop when the system asks for it, and leave the process where that takes too long."""

        def asked(_number: int, _frame: FrameType | None) -> None:
            if not self.asked:
                self.ask()
                timer = threading.Timer(within_seconds, self._leave, (within_seconds, leave))
                timer.daemon = True
                timer.start()

        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and not (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):  # nohup(1)
                signal.signal(number, asked)

    def _leave(self, seconds: float, leave: Callable[[int], object]) -> None:
        _log.error("daemon-did-not-stop", seconds=seconds, next="the next start drives what is open")
        leave(1)
