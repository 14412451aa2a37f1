"""What the daemon stands on: its journal's file and its config, as they lie there now, and not as they once were.

A file that was deleted or exchanged can still be written by whoever had it open: nobody would ever read there whom a
run closed. So it is looked at before every step and every send. Nothing is written, opened or put back here.
"""

from dataclasses import dataclass, field
from pathlib import Path

import structlog

from connector.errors import JournalError
from connector.reconcile.journal import Journal

Stamp = tuple[int, ...]

_log = structlog.stdlib.get_logger("connector.daemon")


def stamp_of(path: Path) -> Stamp | None:
    """Give what changes when a file's text does; None where it cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def file_of(journal: Journal) -> Path | None:
    """Give the file a journal lies in; PostgreSQL has none."""
    engine = journal.store.engine
    return Path(str(engine.url.database)) if engine.dialect.name == "sqlite" else None


def identity_of(file: Path) -> Stamp | None:
    """Give what tells a file from another one in its place; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@dataclass(slots=True)
class Ground:
    """Looks at the file of the journal (PostgreSQL has none) and at the config."""

    journal: Journal
    config: Path
    _file: Path | None = field(init=False)
    _is: Stamp | None = field(init=False)
    _read: Stamp | None = field(init=False)

    def __post_init__(self) -> None:
        self._file = file_of(self.journal)
        self._is, self._read = self._identity(), stamp_of(self.config)

    def look(self) -> None:
        """Look at both. Raises JournalError where the journal's file is gone, or was another a moment ago."""
        self._look_at_config()
        if self._file is None:
            return
        identity = self._identity()
        if identity == self._is and identity is not None:
            return
        if identity is None:  # nothing is let go of: a new connection would lay an empty file in its place
            raise JournalError(
                f"The journal {self._file} is gone. Nothing is done without it.",
                "Put it back from its backup: connector db restore FILE",
            )
        self.journal.disconnect()
        self._is = identity
        raise JournalError(f"The journal {self._file} was exchanged for another one.", "It is read from now on.")

    def stands(self) -> bool:
        """Say whether the journal's file is the one that is open. From any thread: nothing is let go of."""
        return self._file is None or ((now := self._identity()) is not None and now == self._is)

    def _identity(self) -> Stamp | None:
        return identity_of(self._file) if self._file else None

    def _look_at_config(self) -> None:
        stamp = stamp_of(self.config)
        if stamp != self._read:
            self._read = stamp
            _log.warning("config-changed", config=str(self.config), next="it counts when the daemon is started anew")
