"""What ended by itself: a leg that was effective by a time is made final once that time has passed.

Never before, and by the journal's clock alone. Where the store shows that something of it lives all the same, the leg
is driven again instead; where nothing can be seen, it is recorded closed, with the time since which it is effective.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from connector.model import LegKind, LegState, Outcome
from connector.reconcile.apply import Applier
from connector.reconcile.decide import Decisions
from connector.reconcile.journal_values import OpenLeg
from connector.reconcile.resume import decide_again, reopened
from connector.reconcile.snapshot import Snapshot
from connector.reconcile.text import fold
from connector.reconcile.wording import moment


@dataclass(frozen=True, slots=True)
class Passed:
    """Legs whose time has passed: those that are over, and those of which something is still seen to live."""

    over: tuple[OpenLeg, ...]
    seen: tuple[OpenLeg, ...]


def finalise(applier: Applier, decisions: Decisions, snapshot: Snapshot, *, believed: bool) -> int:
    """Make final what ended by itself, each person decided again where something is still seen; give how many ended."""
    journal = applier.journal
    found = passed(journal.open_legs(kind=LegKind.SESSIONS), snapshot, journal.now())
    again = decide_again(reopened(found.seen), decisions, believed=believed)
    let_in = {leg.leg_id for leg, _ in again.call_off}
    over = [*found.over, *(leg for leg in found.seen if leg.leg_id in let_in)]
    record_over(applier, over)
    applier.drive([replace(leg, state=LegState.EFFECTIVE_BY) for leg in again.drive], again.older_only)
    return len(over)


def passed(legs: Iterable[OpenLeg], snapshot: Snapshot, now: datetime) -> Passed:
    """Sort the legs whose time has passed by what the stores show. A store that was not read keeps its legs waiting."""
    unread = snapshot.unread_names("session_store")
    due = [leg for leg in legs if is_over(leg, now) and leg.planned.target not in unread]
    alive = [_alive(leg, snapshot) for leg in due]
    return Passed(
        tuple(leg for leg, lives in zip(due, alive, strict=True) if not lives),
        tuple(leg for leg, lives in zip(due, alive, strict=True) if lives),
    )


def is_over(leg: OpenLeg, now: datetime) -> bool:
    """Say whether a leg was effective by a time that has passed."""
    return leg.state is LegState.EFFECTIVE_BY and leg.effective_by is not None and leg.effective_by <= now


def record_over(applier: Applier, legs: Sequence[OpenLeg]) -> None:
    """Record legs as closed by time, but those of people who can still sign in somewhere: their sessions begin anew."""
    doors = applier.journal.open_doors() if legs else frozenset()
    ended = [(leg, _since(leg)) for leg in legs if leg.key not in doors]
    size = applier.pace.batch_size
    for start in range(0, len(ended), size):
        batch = ended[start : start + size]
        with applier.holding.over(leg.key for leg, _ in batch) as ours:
            mine = [(leg, outcome) for leg, outcome in batch if leg.key in ours]
            applier.journal.record(mine, applier.holding.run, applier.holding.claims)


def _since(leg: OpenLeg) -> Outcome:
    told = f"effective since {moment(leg.effective_by)}"
    return Outcome(LegState.CLOSED, told, effective_by=leg.effective_by)


def _alive(leg: OpenLeg, snapshot: Snapshot) -> bool:
    """Say whether a store that lists its sessions still lists one of this leg."""
    planned, user = leg.planned, fold(leg.planned.subject)
    sessions = (s for reading in snapshot.session_stores if reading.store == planned.target for s in reading.sessions)
    return any(fold(s.user) == user and (not planned.portals or s.portal in planned.portals) for s in sessions)
