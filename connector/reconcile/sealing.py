"""Old audit records, sealed month by month into files of one folder, and files that nobody has to keep any more.

A record leaves the journal only after its file was read back from the disk and proven. A file goes only where it proves
itself and the journal knows its seal, and the audit trail says first that it goes.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path

from connector.errors import ConfigError, JournalError
from connector.reconcile.audit_files import read_lines, write_whole
from connector.reconcile.audit_lines import read_line
from connector.reconcile.audit_report import midnight
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import Checkpoint

_NAME = "audit-{first:09}.jsonl"
_FILES = "audit-*.jsonl"
_YEAR = timedelta(days=365.25)


@dataclass(frozen=True, slots=True)
class Sealing:
    """Seals and deletes for one school. `days` and `years` of 0 keep for ever."""

    journal: Journal
    folder: Path
    zone: tzinfo
    operator: str
    days: int
    years: int

    def due(self, now: datetime) -> date | None:
        """Give the day before which records are to be sealed: the first of a month; none where there are none."""
        if not self.days:
            return None
        before = (now.astimezone(self.zone) - timedelta(days=self.days)).date().replace(day=1)
        oldest = self.journal.oldest_audit_record()
        return before if oldest is not None and oldest < midnight(before, self.zone) else None

    def seal(self, now: datetime) -> tuple[Path, Checkpoint] | None:
        """Seal what is old, where a month of it is whole. Raises JournalError, ConfigError; then nothing has gone."""
        before = self.due(now)
        if before is None:
            return None
        sealed = self.journal.checkpoints()
        # The name is that of the first record, and is free: what lies there is a try that came to nothing.
        file = self.folder / _NAME.format(first=(sealed[-1].last if sealed else 0) + 1)
        self._make_folder()
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise ConfigError(
                f"{file} is no file of its own: somebody laid it there. Nothing was sealed.",
                "Look who may write into [journal] sealed_folder, and take it away.",
            )

        def write(lines: Iterator[str]) -> None:
            write_whole(file, (line + "\n" for line in lines), "ascii")
            state = self.journal.verify_sealed(read_lines(file))
            if not state.ok:
                raise JournalError(f"{file} is not as it was written: {state.sentence} Nothing was sealed.", "")

        return file, self.journal.seal_audit(midnight(before, self.zone), self.operator, write)

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{self.folder} cannot be made: {error.strerror}.", "Check [journal] sealed_folder and its owner."
            ) from error

    def outlived(self, now: datetime) -> tuple[Path, ...]:
        """Give the files that are old enough to go, and prove themselves with a seal the journal knows."""
        if not self.years:
            return ()
        known = {checkpoint.first: checkpoint for checkpoint in self.journal.checkpoints()}
        old = {first for first, made in known.items() if made.sealed_at + self.years * _YEAR < now}
        found = (file for file in sorted(self.folder.glob(_FILES)) if _first(file) in old)
        return tuple(file for file in found if self._proves(file, known[_first(file)]))

    def _proves(self, file: Path, checkpoint: Checkpoint) -> bool:
        try:
            state = self.journal.verify_sealed(read_lines(file), f"{checkpoint.last}:{checkpoint.mac}")
            *_, end = read_lines(file)
            # When it was sealed is signed in the file: a row that was changed makes no young file an old one.
            return state.ok and read_line(end) == checkpoint
        except (JournalError, ConfigError, ValueError):
            return False

    def delete(self, now: datetime) -> tuple[Path, ...]:
        """Delete the files that are old enough, each said in the audit trail first."""
        gone = self.outlived(now)
        for file in gone:
            sentence = f"Sealed audit file {file.name} deleted, being older than {self.years} years."
            self.journal.remark("sealed-deleted", "audit", self.operator, sentence)
            with contextlib.suppress(FileNotFoundError):
                file.unlink()
        return gone


def _first(file: Path) -> int:
    number = file.stem.removeprefix("audit-")
    return int(number) if number.isascii() and number.isdecimal() else 0
