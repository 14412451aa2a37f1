"""Close one human at once, ahead of any run: block and intent in one transaction, then every door, then every session.

It stands on claims alone. Where a running batch holds the person it waits for that batch, never for the whole run; the
run then leaves the person alone. What could not be closed stays open in the journal, for `resume` and the next run. It
never decides who is meant or whether they may be closed: the caller has asked.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from connector.errors import RunInProgress
from connector.model import LegKind, LegState
from connector.reconcile.apply import Applier, Pace
from connector.reconcile.boundaries import Boundary, Reached, unwatched
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import FINAL, Claim, Direction, OpenLeg, StoredLeg, StoredRevocation
from connector.reconcile.memory import Block
from connector.reconcile.plan_values import Revocation
from connector.reconcile.reading import Progress, Targets, silent

_PROVEN = (LegState.CLOSED, LegState.ALREADY_CLOSED)

_ASK_AGAIN_SECONDS = 0.2
"""How long to wait before asking again for a person whom a running batch holds."""


@dataclass(frozen=True, slots=True)
class Closing:
    """One door, or the sessions of one user in one store. `closed_at` is none while it is not proven closed."""

    key: str
    person_id: str | None
    kind: LegKind
    target: str
    subject: str
    state: LegState
    detail: str
    intended_at: datetime
    closed_at: datetime | None
    ended: int
    effective_by: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it is not at its end yet."""
        return self.state not in FINAL


@dataclass(frozen=True, slots=True)
class Termination:
    """What came of an urgent termination. Times are the database's, in UTC.

    `last_session_at` is when the last session that was found had been ended (none: none was found). `seconds` runs from
    the command to that or the last door closed, whichever is later; none while anything is open but `effective_by`.
    """

    operator: str
    commanded_at: datetime
    finished_at: datetime
    closings: tuple[Closing, ...]
    blocked: tuple[str, ...]
    last_session_at: datetime | None
    open: tuple[OpenLeg, ...]

    @property
    def seconds(self) -> float | None:
        """Seconds from the command until the last session was dead and the last door closed."""
        if any(leg.state is not LegState.EFFECTIVE_BY for leg in self.open):
            return None
        doors = [c.closed_at for c in self.closings if c.closed_at and c.kind is not LegKind.SESSIONS]
        ends = [*doors, *([self.last_session_at] if self.last_session_at else [])]
        return (max(ends) - self.commanded_at).total_seconds() if ends else 0.0

    @property
    def effective_by(self) -> datetime | None:
        """The time by which what cannot be seen is over; none where everything can."""
        return max((c.effective_by for c in self.closings if c.effective_by), default=None)

    @property
    def exit_code(self) -> int:
        """4 while something is open, as of a run."""
        return 4 if self.open else 0


def terminate(
    journal: Journal,
    targets: Targets,
    pace: Pace,
    rows: Sequence[Revocation],
    blocks: Sequence[Block],
    operator: str,
    progress: Progress = silent,
    reached: Reached = unwatched,
    sleep: Callable[[float], None] = time.sleep,
) -> Termination:
    """Block these people and close these rows (all records of one human) now; give what came of each leg.

    Raises RunInProgress where a batch does not give the person back in time: the blocks stand all the same, and every
    run drives what they ask for.
    """
    commanded_at = journal.now()
    if not rows:
        for block in blocks:
            journal.block(block.person_id, block.owner, block.reason, block.until)
        blocked = tuple(block.person_id for block in blocks)
        return Termination(operator, commanded_at, journal.now(), (), blocked, None, ())
    with _claimed(journal, pace, rows, blocks, progress) as claims:
        reached(Boundary.CLAIMED)
        applier = Applier(journal, targets, None, pace, progress, sleep, reached, claims)
        reached(Boundary.BEFORE_INTENT)
        intended = journal.intend(None, "", rows, operator, blocks=blocks, claims=claims)
        reached(Boundary.INTENT_DURABLE)
        _drive(applier, intended, {row.key for row in rows})
    reached(Boundary.RELEASED)
    return _termination(applier, operator, commanded_at, intended, blocks)


def _drive(applier: Applier, intended: Sequence[OpenLeg], keys: Collection[str]) -> None:
    """Drive the new legs, and what is open of the same people from earlier. A restore on its way is called off."""
    new = {leg.leg_id for leg in intended}
    known = (leg for key in keys for leg in applier.journal.open_legs(key=key))
    earlier = [leg for leg in known if leg.leg_id not in new]
    applier.call_off([(leg, "blocked since it was asked for") for leg in earlier if leg.direction is Direction.OPEN])
    left = [leg for leg in earlier if leg.direction is Direction.CLOSE and leg.resumable and not leg.planned.unread]
    applier.drive((*intended, *left))


@contextlib.contextmanager
def _claimed(
    journal: Journal, pace: Pace, rows: Sequence[Revocation], blocks: Sequence[Block], progress: Progress
) -> Iterator[tuple[Claim, ...]]:
    """Hold all these identities, waiting for the batches they are in, and give them back afterwards."""
    owner, keys = uuid4().hex, list(dict.fromkeys(row.key for row in rows))
    deadline = time.monotonic() + 2 * pace.lease_seconds
    while not (claims := journal.claim_urgently(keys, owner, pace.lease_seconds)):
        if time.monotonic() > deadline:
            _give_up(journal, blocks)
        progress("wait for the batch that holds this person")
        time.sleep(_ASK_AGAIN_SECONDS)
    try:
        yield claims
    except BaseException:
        # The first error is the one to show; where giving back fails too, the claims end by themselves.
        with contextlib.suppress(Exception):
            journal.release_claims(claims)
        raise
    journal.release_claims(claims)


def _give_up(journal: Journal, blocks: Sequence[Block]) -> None:
    for block in blocks:
        journal.block(block.person_id, block.owner, block.reason, block.until)
    who = ", ".join(block.person_id for block in blocks) or "This person"
    raise RunInProgress(
        f"{who} is held by a batch that does not end. The block stands; no door was closed yet.",
        "Type the same again; it starts as soon as that batch ends. What is open: connector resume --dry-run",
    )


def _termination(
    applier: Applier,
    operator: str,
    commanded_at: datetime,
    intended: Sequence[OpenLeg],
    blocks: Sequence[Block],
) -> Termination:
    journal, keys = applier.journal, sorted({leg.key for leg in intended})
    numbers = {leg.revocation_id for leg in intended}
    stored = [r for key in keys for r in journal.revocations(key) if r.revocation_id in numbers]
    closings = tuple(_closing(r, leg) for r in stored for leg in r.legs if not leg.planned.withheld)
    left = tuple(leg for key in keys for leg in journal.open_legs(key=key))
    blocked = tuple(block.person_id for block in blocks)
    ended_at = applier.last_session_ended
    return Termination(operator, commanded_at, journal.now(), closings, blocked, ended_at, left)


def _closing(revocation: StoredRevocation, leg: StoredLeg) -> Closing:
    return Closing(
        revocation.row.key,
        revocation.row.person_id,
        leg.planned.kind,
        leg.planned.target,
        leg.planned.subject,
        leg.state,
        leg.detail,
        leg.intended_at,
        leg.finished_at if leg.state in _PROVEN else None,
        leg.ended,
        leg.effective_by,
    )
