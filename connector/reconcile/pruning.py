"""Everything that is forgotten with time, in one go: old rows, sealed audit records, sealed files. For one school.

It is asked by the daemon after the night and by `connector db prune`. Must never keep a run waiting for long.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from connector.reconcile.journal import Journal
from connector.reconcile.journal_retention import Gone, Retention
from connector.reconcile.sealing import Sealing


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went. `sealed` is the file of the records that were sealed; `deleted` are sealed files nobody keeps."""

    gone: Gone
    sealed: Path | None = None
    deleted: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class WouldGo:
    """What would go now. `seal_before` is the day before which audit records would be sealed."""

    gone: Gone
    seal_before: date | None
    deleted: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Pruning:
    """Forgets for one school, as long as its config says."""

    journal: Journal
    retention: Retention
    sealing: Sealing
    operator: str

    def prune(self) -> Pruned:
        """Forget, seal, delete. A second time there is nothing left to do."""
        gone = self.retention.forget(self.operator)
        now = self.journal.now()
        sealed = self.sealing.seal(now)
        return Pruned(gone, sealed[0] if sealed else None, self.sealing.delete(now))

    def would_go(self) -> WouldGo:
        """Say what would go, and leave everything as it is."""
        now = self.journal.now()
        return WouldGo(self.retention.would_go(), self.sealing.due(now), self.sealing.outlived(now))
