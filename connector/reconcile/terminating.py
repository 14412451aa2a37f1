"""Close one human at once, ahead of any run: order, block and intent in one transaction, every door, every session.

It stands on claims alone. Where a running batch holds the person it waits for that batch, never for the whole run; the
run then leaves the person alone. What could not be closed stays open in the journal, for `resume` and the next run. It
never decides who is meant or whether they may be closed: the caller has asked.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from connector.errors import ConnectorError, RunInProgress
from connector.model import LegKind, LegState
from connector.reconcile.apply import Applier, Pace
from connector.reconcile.authority import Asked, StoredTermination, keys_of
from connector.reconcile.boundaries import Boundary, Reached, unwatched
from connector.reconcile.finalising import passed, record_over
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import FINAL, Claim, Direction, OpenLeg, StoredLeg, StoredRevocation
from connector.reconcile.memory import Block
from connector.reconcile.plan_values import Revocation
from connector.reconcile.reading import Progress, Targets, silent
from connector.reconcile.resume import Resumption
from connector.reconcile.snapshot import Snapshot

_PROVEN = (LegState.CLOSED, LegState.ALREADY_CLOSED)

_ASK_AGAIN_SECONDS = 0.2
"""How long to wait before asking again for a person whom a running batch holds."""


Decide = Callable[[Sequence[OpenLeg]], Resumption]
"""Decides legs from earlier again, with these people blocked: which are driven, which are called off."""

Again = Callable[[Progress], Sequence[Revocation]]
"""Reads every door of these people again, and gives the rows of what lives and is not being closed yet."""


@dataclass(frozen=True, slots=True)
class Ordering:
    """What is written down together before the first effect: the order, and the blocks on every record.

    `snapshot` is what was read for it: by it, what was effective by a time from an earlier order is made final.
    """

    asked: Asked
    countersign_within: timedelta
    blocks: tuple[Block, ...]
    snapshot: Snapshot | None = None

    def keys(self, rows: Iterable[Revocation]) -> list[str]:
        """Give the identities that are claimed: also those of which nothing was found to live."""
        named = (*keys_of(self.asked.records), *(row.key for row in rows))
        return list(dict.fromkeys((*named, *(block.person_id for block in self.blocks))))


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
    `number` is the order's; `not_read_again` says why nobody could look whether a run had added something meanwhile.
    """

    operator: str
    commanded_at: datetime
    finished_at: datetime
    closings: tuple[Closing, ...]
    blocked: tuple[str, ...]
    last_session_at: datetime | None
    open: tuple[OpenLeg, ...]
    number: int = 0
    not_read_again: str = ""

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
        """4 while something is open, as of a run, or could not be looked at again."""
        return 4 if self.open or self.not_read_again else 0


def terminate(
    journal: Journal,
    targets: Targets,
    pace: Pace,
    ordering: Ordering,
    rows: Sequence[Revocation],
    progress: Progress = silent,
    reached: Reached = unwatched,
    sleep: Callable[[float], None] = time.sleep,
    again: Again | None = None,
    decide: Decide | None = None,
) -> Termination:
    """Write the order down, block these people and close these rows (all records of one human) now.

    What `again` still finds once nobody else can write for them is closed too: a run may have added it meanwhile.
    Raises RunInProgress where a batch does not give the person back in time: order and blocks stand all the same, and
    every run drives what they ask for.
    """
    with _claimed(journal, pace, ordering, rows, progress) as (claims, waited):
        reached(Boundary.CLAIMED)
        applier = Applier(journal, targets, None, pace, progress, sleep, reached, claims)
        reached(Boundary.BEFORE_INTENT)
        stored, intended = _intended(journal, ordering, rows, claims, waited)
        reached(Boundary.INTENT_DURABLE)
        closing = _Closing(applier, ordering, reached, again, decide)
        more = closing.drive(intended, {claim.key for claim in claims})
    reached(Boundary.RELEASED)
    return _termination(applier, ordering, stored, (*intended, *more), closing.not_read_again)


def _intended(
    journal: Journal,
    ordering: Ordering,
    rows: Sequence[Revocation],
    claims: Sequence[Claim],
    waited: StoredTermination | None,
) -> tuple[StoredTermination, tuple[OpenLeg, ...]]:
    """Write the intent, with order and blocks in the same transaction; those are there already where it had to wait."""
    if waited is not None:
        return waited, journal.intend(None, "", rows, ordering.asked.operator, claims=claims)
    given = ordering.asked, ordering.countersign_within, ordering.blocks
    return journal.order_and_intend(*given, rows, claims)


@dataclass(slots=True)
class _Closing:
    """Drives the legs of one human: doors, what was added meanwhile, then every session."""

    applier: Applier
    ordering: Ordering
    reached: Reached
    again: Again | None
    decide: Decide | None
    not_read_again: str = ""

    def drive(self, intended: Sequence[OpenLeg], keys: Collection[str]) -> tuple[OpenLeg, ...]:
        """Drive the new legs, and what is open of the same people from earlier; give the legs intended on the way.

        A restore on its way is called off.
        """
        applier, new = self.applier, {leg.leg_id for leg in intended}
        standing = (leg for key in keys for leg in applier.journal.open_legs(key=key))
        earlier = [leg for leg in standing if leg.leg_id not in new]
        off = [leg for leg in earlier if leg.direction is Direction.OPEN]
        applier.call_off([(leg, "blocked since it was asked for") for leg in off])
        if self.ordering.snapshot is not None:
            record_over(applier, passed(earlier, self.ordering.snapshot, applier.journal.now()).over)
        applier.drive([leg for leg in intended if leg.planned.kind is not LegKind.SESSIONS])
        more = self._added_meanwhile()
        replaced = {_address(leg) for leg in more}
        left = [leg for leg in earlier if leg.direction is Direction.CLOSE and leg.resumable]
        left = [leg for leg in left if _address(leg) not in replaced and self._may_be_written(leg)]
        sessions = [leg for leg in intended if leg.planned.kind is LegKind.SESSIONS]
        known = tuple(leg for leg in left if not leg.planned.unread)
        once_more = self.decide(left) if self.decide is not None else Resumption(known, ())
        applier.call_off(once_more.call_off)
        applier.drive((*more, *sessions, *once_more.drive), once_more.older_only)
        return more

    def _may_be_written(self, leg: OpenLeg) -> bool:
        """Leave an account alone that was protected, or moved out of the managed part, since its leg was intended."""
        directory = self.applier.targets.directories.get(leg.planned.target)
        if leg.planned.kind is not LegKind.DIRECTORY or leg.planned.unread or directory is None:
            return True
        with contextlib.suppress(ConnectorError):  # one that does not answer now will not do it later either
            return all(a.managed and not a.protected for a in directory.read_some([leg.planned.subject]))
        return True

    def _added_meanwhile(self) -> tuple[OpenLeg, ...]:
        """Read every door again and intend what still lives: nobody else writes for these people from here on."""
        if self.again is None:
            return ()
        try:
            rows = self.again(self._keeping)
        except ConnectorError as error:
            if isinstance(error, RunInProgress):
                raise
            self.not_read_again = str(error)  # what is known goes on being closed
            return ()
        self.applier.keep_lease()
        if not rows:
            return ()
        self.reached(Boundary.BEFORE_INTENT)
        claims = self.applier.holding.claims
        more = self.applier.journal.intend(None, "", rows, self.ordering.asked.operator, claims=claims)
        self.reached(Boundary.INTENT_DURABLE)
        return more

    def _keeping(self, what: str) -> None:
        self.applier.keep_lease()
        self.applier.progress(what)


def _address(leg: OpenLeg) -> tuple[str, LegKind, str, str]:
    return leg.key, leg.planned.kind, leg.planned.target, leg.planned.subject


@contextlib.contextmanager
def _claimed(
    journal: Journal, pace: Pace, ordering: Ordering, rows: Sequence[Revocation], progress: Progress
) -> Iterator[tuple[tuple[Claim, ...], StoredTermination | None]]:
    """Hold all these identities, waiting for the batches they are in, and give them back afterwards.

    Where it has to wait, order and blocks are written down first: what that batch has not sent yet, it sends no more.
    """
    owner, keys = uuid4().hex, ordering.keys(rows)
    deadline = time.monotonic() + 2 * pace.lease_seconds
    waited: StoredTermination | None = None
    while not (claims := journal.claim_urgently(keys, owner, pace.lease_seconds)):
        if waited is None:
            waited = journal.order_termination(ordering.asked, ordering.countersign_within, ordering.blocks)
        if time.monotonic() > deadline:
            raise _held(ordering)
        progress("wait for the batch that holds this person")
        time.sleep(_ASK_AGAIN_SECONDS)
    try:
        yield claims, waited
    except BaseException:
        # The first error is the one to show; where giving back fails too, the claims end by themselves.
        with contextlib.suppress(Exception):
            journal.release_claims(claims)
        raise
    journal.release_claims(claims)


def _held(ordering: Ordering) -> RunInProgress:
    who = ", ".join(block.person_id for block in ordering.blocks) or "This person"
    return RunInProgress(
        f"{who} is held by a batch that does not end. The block stands; no door was closed yet.",
        "Type the same again; it starts as soon as that batch ends. What is open: connector resume --dry-run",
    )


def _termination(
    applier: Applier, ordering: Ordering, order: StoredTermination, intended: Sequence[OpenLeg], not_read_again: str
) -> Termination:
    journal, keys = applier.journal, sorted({claim.key for claim in applier.holding.claims})
    numbers = {leg.revocation_id for leg in intended}
    stored = [r for key in keys for r in journal.revocations(key) if r.revocation_id in numbers]
    closings = tuple(_closing(r, leg) for r in stored for leg in r.legs if not leg.planned.withheld)
    left = tuple(leg for key in keys for leg in journal.open_legs(key=key))
    blocked = tuple(block.person_id for block in ordering.blocks)
    ended_at, operator, at = applier.last_session_ended, order.operator, order.commanded_at
    return Termination(operator, at, journal.now(), closings, blocked, ended_at, left, order.number, not_read_again)


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
