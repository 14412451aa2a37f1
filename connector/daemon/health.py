"""Whether the daemon lives, and whether it is ready: what a service manager, a container or a monitor asks.

An answer says what is wrong and never about whom. It writes nothing, and what cannot be looked at is not well.
"""

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from connector.config import Config, load
from connector.daemon.ground import Stamp, file_of, identity_of, stamp_of
from connector.daemon.loop import State
from connector.daemon.sight import KEY, late_night
from connector.daemon.succession import STUCK_SECONDS
from connector.errors import ConnectorError, JournalError
from connector.reconcile.journal import Journal
from connector.reconcile.journal_gauges import Standing, standing
from connector.registry import validate

RESTS_SECONDS = 300.0
"""How long a daemon that runs nothing may come no further: its loop comes round every few seconds."""

_LEAST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered: whether all is well, and each thing that was looked at, in words."""

    ok: bool
    said: Mapping[str, str]


@dataclass(slots=True)
class Reading:
    """The journal as scrapes and probes read it: opened when it is first asked for, by connections of its own.

    Where its file was exchanged for another one since, that one is read.
    """

    open: Callable[[], Journal]
    _journal: Journal | None = None
    _is: Stamp | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def journal(self) -> Journal:
        """Give it. Raises ConnectorError where it cannot be opened, and tries again when it is asked again."""
        with self._lock:
            file = file_of(self._journal) if self._journal is not None else None
            if self._journal is not None and file is not None and self._is != (now := identity_of(file)):
                if now is None:
                    raise JournalError("The journal's file is gone.", "Put it back: connector db restore FILE")
                self._journal.disconnect()
                self._journal = None
            if self._journal is None:
                self._journal = self.open()
                file = file_of(self._journal)
                self._is = identity_of(file) if file is not None else None
            return self._journal

    def close(self) -> None:
        """Let go of its connections."""
        with self._lock:
            journal, self._journal = self._journal, None
        if journal is not None:
            journal.disconnect()


def living(state: State, still_seconds: float) -> Answer:
    """Say whether the daemon lives: its main thread came further lately. A run may take its time."""
    most = STUCK_SECONDS if state.doing else RESTS_SECONDS
    doing = f"runs: {state.doing.partition(' ')[0]}" if state.doing else "waits"
    said = {"daemon": doing, "seconds_since_it_came_further": f"{still_seconds:.0f}"}
    return Answer(still_seconds <= most, said)


@dataclass(slots=True)
class Readiness:
    """Whether everything is there that a night needs, and the last one came."""

    config: Config
    reading: Reading
    state: Callable[[], State]
    clock: Callable[[], datetime]
    _read_config: tuple[Stamp, str] | None = None
    _started_with: Stamp | None = field(init=False)

    def __post_init__(self) -> None:
        self._started_with = stamp_of(self.config.path)

    def answer(self) -> Answer:
        """Look at everything; each problem in words."""
        problems = {"config": self._config()}
        changed = stamp_of(self.config.path) != self._started_with
        understood = "is understood; this daemon goes by the one before" if changed else "is understood"
        said = {"config": problems["config"] or understood}
        try:
            known = standing(self.reading.journal().store, KEY)
        except ConnectorError as error:
            problems["journal"] = said["journal"] = error.message
        else:
            night = late_night(self.config, known, self.clock())
            problems |= {"journal": self._journal(known), "night": night}
            problems["claim"] = "" if known.claimed else "no daemon holds the claim"
            said["journal"] = problems["journal"] or "is read and can be written"
            said["claim"] = problems["claim"] or ("held by this daemon" if self.state().works else "standing by")
            said["night"] = problems["night"] or "came when it should"
        return Answer(not any(problems.values()), said)

    def _config(self) -> str:
        """Say what is wrong with the config as it lies there now: the next start reads that one."""
        if (stamp := stamp_of(self.config.path)) is None:
            return "cannot be read"
        if self._read_config is None or self._read_config[0] != stamp:
            self._read_config = stamp, _understood(self.config.path)
        return self._read_config[1]

    @staticmethod
    def _journal(known: Standing) -> str:
        if known.read_only:
            return "the database takes no writes"
        return _unwritable(known.file) if known.file else ""


def _understood(path: Path) -> str:
    try:
        validate(load(path))
    except ConnectorError as error:
        del error  # its words may quote what somebody wrote: this answer goes to whoever asks
        return "the file as it is now cannot be used: connector check"
    return ""


def _unwritable(path: Path) -> str:
    """Say why the file of a journal could not be written, without writing to it."""
    if not path.is_file():
        return "the journal's file is gone"
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return "the journal's file or its folder may not be written"
    if shutil.disk_usage(path.parent).free < _LEAST_BYTES:
        return "the disk is full"
    return ""
