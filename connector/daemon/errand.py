"""What is seen to beside the runs: reports, reminders, the dead-man switch, housekeeping. One seam for all of them.

The loop calls each errand after every run and again every minute, on one thread. An errand that fails is said in the
log and asked again; it never stops a run, and never keeps another errand from its turn.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from connector.app import Connector
from connector.errors import ConnectorError
from connector.reconcile.journal_values import Claim
from connector.reconcile.running import RunResult


@dataclass(frozen=True, slots=True)
class Ran:
    """A run of the daemon that has ended: why it was begun, and what came of it, or what kept it from its end.

    `cause` is "night", "caught-up", "file NAME", "webhook" or "retry". Of `result` and `error` one is there.
    """

    cause: str
    started_at: datetime
    ended_at: datetime
    result: RunResult | None = None
    error: ConnectorError | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What an errand works with: the school's connector, the daemon's claim on itself, and what time it is (UTC)."""

    connector: Connector
    claim: Claim
    now: datetime


class Errand(Protocol):
    """Something that is seen to. Both verbs may raise ConnectorError, and are asked again with the next minute."""

    def after(self, scene: Scene, ran: Ran) -> None:
        """Hear of a run that has ended. What is to be told is put into the journal's outbox, not sent from here."""
        ...

    def every_minute(self, scene: Scene) -> None:
        """See to what is due by now."""
        ...
