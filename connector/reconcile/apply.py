"""The only module that causes effects. Every intent is in the journal before it is sent; every outcome is read back.

Order: directory, credential with membership, sessions: a session ended while a door is open is opened again. A failed
leg undoes nothing and does not stop the others. N failures of one target in a row are an outage: it is left alone.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from connector.errors import ConnectorError, TargetUnreachable
from connector.model import Account, LegKind, LegState, Member, Outcome
from connector.reconcile.boundaries import Boundary, Reached, unwatched
from connector.reconcile.holding import Holding
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import (
    FINAL,
    Change,
    ChangeKind,
    Claim,
    Direction,
    MembershipChange,
    OpenChange,
    OpenLeg,
    Run,
)
from connector.reconcile.membership import new_member
from connector.reconcile.plan_values import Addition, Revocation
from connector.reconcile.reading import Progress, Targets, silent
from connector.reconcile.resume import Resumption
from connector.reconcile.sending import send_changes, send_to_directory, send_to_portal
from connector.reconcile.sweeping import Sweeping
from connector.reconcile.withdrawing import withdrawn, withdrawn_changes

T = TypeVar("T")

Again = Callable[[Sequence[OpenLeg]], Resumption]
"""Decides open legs again: which are driven, and what is left of each."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast and how patiently. Seconds, counts and days, from `[apply]`."""

    settle_seconds: float = 60
    sweeps_max: int = 5
    batch_size: int = 500
    outage_after: int = 5
    lease_seconds: float = 120
    resweep_days: float = 3


@dataclass(frozen=True, slots=True)
class _Passages:
    """The boundaries of one kind of effect."""

    before: Boundary
    counted: Boundary
    sent: Boundary
    recorded: Boundary


_DOORS = {
    LegKind.DIRECTORY: _Passages(
        Boundary.BEFORE_DIRECTORY,
        Boundary.DIRECTORY_COUNTED,
        Boundary.DIRECTORY_SENT,
        Boundary.DIRECTORY_RECORDED,
    ),
    LegKind.CREDENTIAL: _Passages(
        Boundary.BEFORE_CREDENTIAL,
        Boundary.CREDENTIAL_COUNTED,
        Boundary.CREDENTIAL_SENT,
        Boundary.CREDENTIAL_RECORDED,
    ),
}


class Applier:
    """Drives legs and membership changes: of one run, or (without one) of the identities whose claims it is given.

    `sleep` is the settle time's clock. What somebody else holds is left alone and named in `busy`; of `not_intended`
    nothing new was even intended. `known_blocks` are those that what is to be called off was decided with.
    """

    def __init__(
        self,
        journal: Journal,
        targets: Targets,
        run: Run | None,
        pace: Pace | None = None,
        progress: Progress = silent,
        sleep: Callable[[float], None] = time.sleep,
        reached: Reached = unwatched,
        claims: Sequence[Claim] = (),
    ) -> None:
        self.journal, self.targets, self.pace = journal, targets, pace or Pace()
        self.progress, self.reached, self._sleep = progress, reached, sleep
        self.holding = Holding(journal, run, self.pace.lease_seconds, reached, tuple(claims))
        self.last_session_ended: datetime | None = None
        self.not_intended: set[str] = set()
        self.known_blocks: frozenset[str] | None = None
        self._outages: dict[str, int] = {}

    @property
    def run(self) -> Run:
        """The run that is acted for. Raises ValueError where there is none."""
        if self.holding.run is None:
            raise ValueError("This applier stands on claims alone; it has no run.")
        return self.holding.run

    @property
    def busy(self) -> tuple[str, ...]:
        """The keys of identities that somebody else held: left as they were, for the next run."""
        return tuple(self.holding.busy)

    def keep_lease(self) -> None:
        """Check and extend what is held. Raises RunInProgress where it was lost."""
        self.holding.keep()

    # --- legs -------------------------------------------------------------------------------------------------------

    def revoke(
        self,
        rows: Sequence[Revocation],
        plan_id: str,
        instead_of: Sequence[tuple[OpenLeg, str]] = (),
        again: Again | None = None,
    ) -> tuple[OpenLeg, ...]:
        """Intend all legs of these rows, then drive them; give the legs that are still open.

        `instead_of` are legs from earlier that are called off, with why, as soon as the new ones are on disk. A row
        whose identity somebody else holds is not intended; see `busy`. What waits of the same people from earlier is
        driven too, as far as `again` still finds it right.
        """
        legs = [leg for batch in self._parts(rows) for leg in self._intend(batch, plan_id)]
        replaced = [(leg, why) for leg, why in instead_of if leg.key not in self.holding.busy]
        self.call_off(replaced, asked_anew=True)
        waiting = self._waiting_sessions(legs)
        resumption = again(waiting) if again is not None and waiting else Resumption(tuple(waiting), ())
        return self.drive((*legs, *resumption.drive), resumption.older_only)

    def _intend(self, rows: Sequence[Revocation], plan_id: str) -> tuple[OpenLeg, ...]:
        with self.holding.over(row.key for row in rows) as ours:
            mine = [row for row in rows if row.key in ours]
            self.not_intended.update(row.key for row in rows if row.key not in ours)
            if not mine:
                return ()
            self.reached(Boundary.BEFORE_INTENT)
            run = self.run
            legs = self.journal.intend(run, plan_id, mine, run.operator, claims=self.holding.claims)
            self.reached(Boundary.INTENT_DURABLE)
        return legs

    def call_off(
        self, legs: Sequence[tuple[OpenLeg, str]], *, asked_anew: bool = False
    ) -> tuple[tuple[OpenLeg, str], ...]:
        """Call legs off, each with why; give those that were.

        Left open are legs of people somebody else holds, and of people blocked since `known_blocks` was read: that they
        are entitled is not true any more. What people were asked to do by hand is taken back first, unless it is
        `asked_anew`.
        """
        done: list[tuple[OpenLeg, str]] = []
        for batch in self._parts(legs):
            with self.holding.over(leg.key for leg, _ in batch) as ours:
                since = self._blocked_since(leg for leg, _ in batch)
                mine = [(leg, why) for leg, why in batch if leg.key in ours and leg.person_id not in since]
                self.reached(Boundary.BEFORE_CALL_OFF)
                mine = mine if asked_anew else withdrawn(self.targets, mine)
                outcomes = [(leg, Outcome(LegState.CALLED_OFF, why)) for leg, why in mine]
                self.journal.record(outcomes, self.holding.run, self.holding.claims)
                self.reached(Boundary.CALLED_OFF)
            done += mine
        return tuple(done)

    def _blocked_since(self, legs: Iterable[OpenLeg]) -> frozenset[str]:
        if self.known_blocks is None:
            return frozenset()
        closing = {leg.person_id for leg in legs if leg.person_id and leg.direction is Direction.CLOSE}
        return self.journal.blocked(closing - self.known_blocks, self.run.as_of)

    def _waiting_sessions(self, legs: Sequence[OpenLeg]) -> list[OpenLeg]:
        """Give the session legs from earlier of the same people: swept again after the last door closes."""
        if not legs:
            return []
        keys = {leg.key for leg in legs}
        waiting = self.journal.open_legs(kind=LegKind.SESSIONS, before=min(leg.leg_id for leg in legs))
        return [leg for leg in waiting if leg.key in keys and leg.resumable]

    def drive(self, legs: Sequence[OpenLeg], older_only: Collection[int] = ()) -> tuple[OpenLeg, ...]:
        """Drive intended legs stage by stage; give those that are still open afterwards.

        Of the session legs in `older_only`, sessions that began after the intent are spared.
        """
        still_open: list[OpenLeg] = []
        for kind in _DOORS:
            for target, batch in self._batches(leg for leg in legs if leg.planned.kind is kind):
                still_open += self._doors(kind, target, batch)
        sessions = [leg for leg in legs if leg.planned.kind is LegKind.SESSIONS]
        if sessions:
            pace = self.pace
            doors, sweeping = self.journal.open_doors(), self.sweeping()
            still_open += sweeping.sweep(sessions, doors, older_only, pace.settle_seconds, pace.sweeps_max)
            self.last_session_ended = sweeping.last_ended or self.last_session_ended
        return tuple(still_open)

    def sweeping(self) -> Sweeping:
        """Give what sweeps the session stores, standing on what this applier holds."""
        size = self.pace.batch_size
        return Sweeping(self.journal, self.targets, self.holding, self._sleep, self.progress, self.reached, size)

    def _parts(self, items: Sequence[T]) -> Iterable[Sequence[T]]:
        for start in range(0, len(items), self.pace.batch_size):
            yield items[start : start + self.pace.batch_size]

    def _batches(self, legs: Iterable[OpenLeg]) -> Iterable[tuple[str, Sequence[OpenLeg]]]:
        """Give batches of one target and one direction: what closes and what opens are never sent together."""
        by_target: dict[tuple[str, Direction], list[OpenLeg]] = {}
        for leg in legs:
            by_target.setdefault((leg.planned.target, leg.direction), []).append(leg)
        for (target, _), mine in by_target.items():
            for part in self._parts(mine):
                yield target, part

    def _doors(self, kind: LegKind, target: str, batch: Sequence[OpenLeg]) -> list[OpenLeg]:
        """Close (or open again) one batch at one target; give the legs still open."""
        self.progress(f"{kind} {target}: {len(batch)}")
        self.reached(_DOORS[kind].before)
        with self.holding.over(leg.key for leg in batch) as ours:
            mine = [leg for leg in batch if leg.key in ours]
            outcomes = self._outcomes(kind, target, mine)
            self.journal.record(outcomes, self.holding.run, self.holding.claims)
            self.reached(_DOORS[kind].recorded)
        left = [replace(leg, state=o.state, detail=o.detail) for leg, o in outcomes if o.state not in FINAL]
        return [leg for leg in batch if leg.key not in ours] + left

    def _outcomes(self, kind: LegKind, target: str, batch: Sequence[OpenLeg]) -> list[tuple[OpenLeg, Outcome]]:
        """Send what can be sent. What ended meanwhile has no outcome here: somebody else recorded it."""
        if self._is_out(target):
            return [(leg, self._left_alone(target)) for leg in batch]
        known = [(leg, outcome) for leg in batch if (outcome := _cannot_be_sent(leg))]
        kept_back = {leg.leg_id for leg, _ in known}
        tried = [leg for leg in batch if leg.leg_id not in kept_back]
        mine = self.journal.attempt(tried, self.holding.run, self.holding.claims) if tried else ()
        if not mine:
            return known
        self.reached(_DOORS[kind].counted)
        with self.holding.sending():
            sent = _asked(lambda: self._sent(kind, target, mine), len(mine))
        self.reached(_DOORS[kind].sent)
        self._count(target, sent)
        return known + [(leg, _seen_through(leg, o)) for leg, o in zip(mine, sent, strict=True)]

    def _is_out(self, target: str) -> bool:
        return self._outages.get(target, 0) >= self.pace.outage_after

    def _left_alone(self, target: str) -> Outcome:
        why = f"{target} was left alone after {self.pace.outage_after} failures in a row"
        return Outcome(LegState.UNREACHABLE, why)

    def _count(self, target: str, outcomes: Iterable[Outcome]) -> None:
        """Count failures in a row; past the limit it is an outage, whatever a late answer says."""
        for outcome in outcomes:
            if not self._is_out(target):
                failed = outcome.state is LegState.UNREACHABLE
                self._outages[target] = self._outages.get(target, 0) + 1 if failed else 0

    def _sent(self, kind: LegKind, target: str, batch: Sequence[OpenLeg]) -> Sequence[Outcome]:
        send = send_to_directory if kind is LegKind.DIRECTORY else send_to_portal
        return send(self.targets, target, batch)

    # --- membership -------------------------------------------------------------------------------------------------

    def add(self, additions: Sequence[Addition]) -> tuple[OpenChange, ...]:
        """Add members, through the journal; give the changes still open."""
        changes = [MembershipChange(ChangeKind.ADD, a.portal, a.person_id, None, new_member(a)) for a in additions]
        return self.change(changes)

    def change(self, changes: Sequence[Change]) -> tuple[OpenChange, ...]:
        """Intend changes of memberships and accounts, then drive them; give those still open."""
        return self.drive_changes([one for batch in self._parts(changes) for one in self._intend_changes(batch)])

    def _intend_changes(self, changes: Sequence[Change]) -> tuple[OpenChange, ...]:
        with self.holding.over(change.person_id for change in changes) as ours:
            mine = [change for change in changes if change.person_id in ours]
            self.not_intended.update(change.person_id for change in changes if change.person_id not in ours)
            if not mine:
                return ()
            self.reached(Boundary.BEFORE_ADDITION_INTENT)
            intended = self.journal.intend_changes(self.run, mine, self.run.operator, self.holding.claims)
            self.reached(Boundary.ADDITION_INTENDED)
        return intended

    def drive_changes(self, changes: Sequence[OpenChange]) -> tuple[OpenChange, ...]:
        """Drive intended changes, batch by batch, each batch at one target and of one kind; give those still open."""
        still_open: list[OpenChange] = []
        groups: dict[tuple[str, ChangeKind], list[OpenChange]] = {}
        for change in changes:
            groups.setdefault((change.change.target, change.change.kind), []).append(change)
        for (portal, kind), mine in groups.items():
            for part in self._parts(mine):
                still_open += self._change_batch(portal, kind, part)
        return tuple(still_open)

    def call_off_changes(self, changes: Sequence[tuple[OpenChange, str]]) -> None:
        """Call membership changes off, each with why. What people were asked to do by hand is taken back first."""
        for batch in self._parts(changes):
            with self.holding.over(one.change.person_id for one, _ in batch) as ours:
                mine = withdrawn_changes(self.targets, [pair for pair in batch if pair[0].change.person_id in ours])
                off = [(one, Outcome(LegState.CALLED_OFF, why)) for one, why in mine]
                self.journal.record_changes(off, self.run, self.holding.claims)

    def _change_batch(self, portal: str, kind: ChangeKind, batch: Sequence[OpenChange]) -> list[OpenChange]:
        self.progress(f"{kind} in {portal}: {len(batch)}")
        self.reached(Boundary.BEFORE_ADDITION)
        with self.holding.over(one.change.person_id for one in batch) as ours:
            mine = [one for one in batch if one.change.person_id in ours]
            outcomes = self._change_outcomes(portal, kind, mine)
            self.journal.record_changes(outcomes, self.run, self.holding.claims)
            self.reached(Boundary.ADDITION_RECORDED)
        waiting = [one for one in batch if one.change.person_id not in ours]
        return waiting + [one for one, o in outcomes if o.state not in FINAL]

    def _change_outcomes(
        self, portal: str, kind: ChangeKind, batch: Sequence[OpenChange]
    ) -> list[tuple[OpenChange, Outcome]]:
        if self._is_out(portal):
            return [(one, self._left_alone(portal)) for one in batch]
        mine = self.journal.attempt_changes(batch, self.run, self.holding.claims) if batch else ()
        if not mine:
            return []
        self.reached(Boundary.ADDITION_COUNTED)
        changes = [one.change for one in mine]
        with self.holding.sending():
            sent = _asked(lambda: send_changes(self.targets, portal, kind, changes), len(mine))
        self.reached(Boundary.ADDITION_SENT)
        self._count(portal, sent)
        return list(zip(mine, sent, strict=True))


def _asked(ask: Callable[[], Sequence[Outcome]], count: int) -> Sequence[Outcome]:
    """Send one batch through its adapter; an adapter's error is the outcome of every item."""
    try:
        return ask()
    except TargetUnreachable as error:
        return [Outcome(LegState.UNREACHABLE, str(error))] * count
    except ConnectorError as error:
        return [Outcome(LegState.REFUSED, str(error))] * count


def _cannot_be_sent(leg: OpenLeg) -> Outcome | None:
    """Give the outcome of a leg that is not sent at all: one broken intent does not stop the others."""
    if leg.planned.unread:
        return Outcome(LegState.UNREACHABLE, f"{leg.planned.target} could not be read when this was planned")
    wanted = Account if leg.planned.kind is LegKind.DIRECTORY else Member
    if not isinstance(leg.planned.before, wanted):
        why = f"The intent of leg {leg.leg_id} holds no {wanted.__name__.lower()}. connector abandon, then plan again."
        return Outcome(LegState.REFUSED, why)
    return None


def _seen_through(leg: OpenLeg, outcome: Outcome) -> Outcome:
    """Call a leg closed where an earlier try, of which no answer is known, left the target as it was meant to be."""
    unanswered = leg.attempts > 0 and leg.state in (LegState.INTENDED, LegState.UNREACHABLE)
    if unanswered and leg.direction is Direction.CLOSE and outcome.state is LegState.ALREADY_CLOSED:
        return replace(outcome, state=LegState.CLOSED, detail="an earlier try took effect", before=leg.planned.before)
    return outcome
