"""Two instances at once, one step after the other: a thread each, and only one of them ever runs.

Who goes on when is the scheduler's dice, so that the same seed gives the same interleaving.
"""

from collections.abc import Callable, Sequence
from threading import Semaphore, Thread


class Turn:
    """One instance's thread. `pause` is called by the instance, `go_on` by the scheduler; each waits for the other."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._mine, self._theirs = Semaphore(0), Semaphore(0)
        self._work = work
        self.over = False
        self.error: BaseException | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._mine.acquire()
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - it is raised again by whoever waits for this turn
            self.error = error
        self.over = True
        self._theirs.release()

    def pause(self) -> None:
        """Let somebody else go on."""
        self._theirs.release()
        self._mine.acquire()

    def go_on(self) -> None:
        """Run until the next pause or the end."""
        self._mine.release()
        self._theirs.acquire()
        if self.over:
            self._thread.join()
        if self.error is not None:
            raise self.error


def take_turns(turns: Sequence[Turn], between: Callable[[], None]) -> None:
    """Run them all to their ends, each from pause to pause. `between`: time passes while one is paused."""
    waiting = list(turns)
    while waiting:
        turn = waiting.pop(0)
        turn.go_on()
        if not turn.over:
            waiting.append(turn)
            between()
