"""The only module that causes effects. Every intent is in the journal before it is sent; every outcome is read back.

Order: directory, credential with membership, sessions: a session ended while a door is open is opened again. A failed
leg undoes nothing and does not stop the others. N failures of one target in a row are an outage: it is left alone.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from connector.errors import ConnectorError, TargetUnreachable
from connector.interfaces import Portal
from connector.model import (
    Account,
    CloseAccount,
    CloseMember,
    LegKind,
    LegState,
    Member,
    OpenAccount,
    OpenMember,
    Outcome,
)
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import FINAL, ChangeKind, Direction, MembershipChange, OpenChange, OpenLeg, Run
from connector.reconcile.membership import new_member
from connector.reconcile.plan_values import Addition, Revocation
from connector.reconcile.reading import Progress, Targets, silent
from connector.reconcile.sweeping import Sweeping

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast and how patiently. Seconds and counts, from `[apply]`."""

    settle_seconds: float = 60
    sweeps_max: int = 5
    batch_size: int = 500
    outage_after: int = 5
    lease_seconds: float = 120


@dataclass(slots=True)
class Applier:
    """Drives legs and membership changes of one run. `sleep` is the settle time's clock."""

    journal: Journal
    targets: Targets
    run: Run
    pace: Pace = field(default_factory=Pace)
    progress: Progress = silent
    sleep: Callable[[float], None] = time.sleep
    _outages: dict[str, int] = field(default_factory=dict)

    def revoke(
        self, rows: Sequence[Revocation], plan_id: str, instead_of: Sequence[tuple[OpenLeg, str]] = ()
    ) -> tuple[OpenLeg, ...]:
        """Intend all legs of these rows, then drive them; give the legs that are still open.

        `instead_of` are legs from earlier that are called off, with why, as soon as the new ones are on disk.
        """
        legs = self.journal.intend(self.run, plan_id, rows, self.run.operator) if rows else ()
        self.call_off(instead_of)
        return self.drive((*legs, *self._waiting_sessions(legs)))

    def call_off(self, legs: Sequence[tuple[OpenLeg, str]]) -> None:
        """Call legs off, each with why."""
        if legs:
            self.journal.record([(leg, Outcome(LegState.CALLED_OFF, why)) for leg, why in legs], self.run)

    def _waiting_sessions(self, legs: Sequence[OpenLeg]) -> list[OpenLeg]:
        """Give the session legs from earlier of the same people: swept again after the last door closes."""
        new, keys = {leg.leg_id for leg in legs}, {leg.key for leg in legs}
        return [
            leg
            for leg in self.journal.open_legs()
            if leg.planned.kind is LegKind.SESSIONS and leg.key in keys and leg.leg_id not in new and leg.resumable
        ]

    def drive(self, legs: Sequence[OpenLeg], older_only: Collection[int] = ()) -> tuple[OpenLeg, ...]:
        """Drive intended legs stage by stage; give those that are still open afterwards.

        Of the session legs in `older_only`, sessions that began after the intent are spared.
        """
        still_open: list[OpenLeg] = []
        for kind in (LegKind.DIRECTORY, LegKind.CREDENTIAL):
            for target, batch in self._batches(leg for leg in legs if leg.planned.kind is kind):
                still_open += self._doors(kind, target, batch)
        sessions = [leg for leg in legs if leg.planned.kind is LegKind.SESSIONS]
        if sessions:
            sweeping = Sweeping(self.journal, self.targets, self.run, self.sleep, self.progress, self.keep_lease)
            pace = self.pace
            still_open += sweeping.sweep(sessions, self._open_doors(), older_only, pace.settle_seconds, pace.sweeps_max)
        return tuple(still_open)

    def _open_doors(self) -> set[str]:
        """Give whose doors are not closed yet, by the journal: those driven now and those that wait."""
        return {
            leg.key
            for leg in self.journal.open_legs()
            if leg.planned.kind is not LegKind.SESSIONS and leg.direction is Direction.CLOSE
        }

    def keep_lease(self) -> None:
        """Check and extend the run's lease before anything is sent. Raises RunInProgress where it was lost."""
        self.run = self.journal.renew(self.run, self.pace.lease_seconds)

    def _batches(self, legs: Iterable[OpenLeg]) -> Iterable[tuple[str, list[OpenLeg]]]:
        """Give batches of one target and one direction: what closes and what opens are never sent together."""
        by_target: dict[tuple[str, Direction], list[OpenLeg]] = {}
        for leg in legs:
            by_target.setdefault((leg.planned.target, leg.direction), []).append(leg)
        for (target, _), mine in by_target.items():
            for start in range(0, len(mine), self.pace.batch_size):
                yield target, mine[start : start + self.pace.batch_size]

    def _doors(self, kind: LegKind, target: str, batch: list[OpenLeg]) -> list[OpenLeg]:
        """Close (or open again) one batch at one target; give the legs still open."""
        self.progress(f"{kind} {target}: {len(batch)}")
        outcomes = self._outcomes(kind, target, batch)
        self.journal.record(list(zip(batch, outcomes, strict=True)), self.run)
        return [
            replace(leg, state=o.state, detail=o.detail)
            for leg, o in zip(batch, outcomes, strict=True)
            if o.state not in FINAL
        ]

    def _outcomes(self, kind: LegKind, target: str, batch: list[OpenLeg]) -> list[Outcome]:
        if self._is_out(target):
            return [self._left_alone(target)] * len(batch)
        known = {leg.leg_id: outcome for leg in batch if (outcome := _cannot_be_sent(leg))}
        tried = [leg for leg in batch if leg.leg_id not in known]
        if tried:
            self.keep_lease()
            self.journal.attempt(tried, self.run)
            sent = _asked(lambda: self._sent(kind, target, tried), len(tried))
            self._count(target, sent)
            known |= {leg.leg_id: _seen_through(leg, o) for leg, o in zip(tried, sent, strict=True)}
        return [known[leg.leg_id] for leg in batch]

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

    def _sent(self, kind: LegKind, target: str, batch: list[OpenLeg]) -> Sequence[Outcome]:
        if kind is LegKind.DIRECTORY:
            return self._directory(target, batch)
        return self._portal(target, batch)

    def _directory(self, target: str, batch: list[OpenLeg]) -> Sequence[Outcome]:
        directory = _known(self.targets.directories, target)
        if batch[0].direction is Direction.CLOSE:
            return directory.close([CloseAccount(_account(leg)) for leg in batch])
        now = {a.guid: a for a in directory.read_some([leg.planned.subject for leg in batch])}
        return _each(batch, lambda leg: now.get(leg.planned.subject), directory.open, _reopened_account)

    def _portal(self, target: str, batch: list[OpenLeg]) -> Sequence[Outcome]:
        portal = _known(self.targets.portals, target)
        if batch[0].direction is Direction.CLOSE:
            return portal.close([_close_member(leg) for leg in batch])
        now = {(m.person_id, m.native_id): m for m in portal.read_some([leg.planned.subject for leg in batch])}
        return _each(
            batch, lambda leg: now.get((leg.planned.subject, _member(leg).native_id)), portal.open, _reopened_member
        )

    # --- membership -------------------------------------------------------------------------------------------------

    def add(self, additions: Sequence[Addition]) -> tuple[OpenChange, ...]:
        """Add members, through the journal; give the changes still open."""
        changes = [MembershipChange(ChangeKind.ADD, a.portal, a.person_id, None, new_member(a)) for a in additions]
        return self.change(changes)

    def change(self, changes: Sequence[MembershipChange]) -> tuple[OpenChange, ...]:
        """Intend membership changes, then drive them; give those still open."""
        return self.drive_changes(self.journal.intend_changes(self.run, changes, self.run.operator)) if changes else ()

    def drive_changes(self, changes: Sequence[OpenChange]) -> tuple[OpenChange, ...]:
        """Drive intended membership changes, batch by batch."""
        still_open: list[OpenChange] = []
        groups: dict[tuple[str, ChangeKind], list[OpenChange]] = {}
        for change in changes:
            groups.setdefault((change.change.portal, change.change.kind), []).append(change)
        for (portal, kind), mine in groups.items():
            for start in range(0, len(mine), self.pace.batch_size):
                still_open += self._change_batch(portal, kind, mine[start : start + self.pace.batch_size])
        return tuple(still_open)

    def _change_batch(self, portal: str, kind: ChangeKind, batch: list[OpenChange]) -> list[OpenChange]:
        self.progress(f"{kind} in {portal}: {len(batch)}")
        if self._is_out(portal):
            outcomes: Sequence[Outcome] = [self._left_alone(portal)] * len(batch)
        else:
            self.keep_lease()
            self.journal.attempt_changes(batch, self.run)
            changes = [c.change for c in batch]
            outcomes = _asked(lambda: _changed(_known(self.targets.portals, portal), kind, changes), len(batch))
            self._count(portal, outcomes)
        self.journal.record_changes(list(zip(batch, outcomes, strict=True)), self.run)
        return [c for c, o in zip(batch, outcomes, strict=True) if o.state not in FINAL]


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


def _known(systems: Mapping[str, T], name: str) -> T:
    if name not in systems:
        raise ConnectorError(
            f"{name} is no longer in the config.", "Put the section back, or: connector abandon PERSON --reason TEXT"
        )
    return systems[name]


def _account(leg: OpenLeg) -> Account:
    assert isinstance(leg.planned.before, Account)  # noqa: S101 - `_cannot_be_sent` has kept back what holds none
    return leg.planned.before


def _member(leg: OpenLeg) -> Member:
    assert isinstance(leg.planned.before, Member)  # noqa: S101 - `_cannot_be_sent` has kept back what holds none
    return leg.planned.before


def _close_member(leg: OpenLeg) -> CloseMember:
    before = replace(_member(leg), name=_member(leg).name or leg.name)
    types = ", ".join(leg.contact_types)
    return CloseMember(before, leg.planned.clear_credential, leg.planned.disable_member, types, leg.code)


Item = TypeVar("Item")


def _each(
    batch: Sequence[OpenLeg],
    found: Callable[[OpenLeg], T | None],
    send: Callable[[list[Item]], Sequence[Outcome]],
    item: Callable[[OpenLeg, T], Item | Outcome],
) -> list[Outcome]:
    """Send what can be opened again; what has moved on is a conflict and is never written."""
    made: dict[int, Item | Outcome] = {}
    for leg in batch:
        current = found(leg)
        made[leg.leg_id] = Outcome(LegState.CALLED_OFF, "the entry is gone") if current is None else item(leg, current)
    items = {leg_id: one for leg_id, one in made.items() if not isinstance(one, Outcome)}
    sent = dict(zip(items, send(list(items.values())), strict=True)) if items else {}
    return [_outcome(made[leg.leg_id], sent.get(leg.leg_id)) for leg in batch]


def _outcome(made: object, sent: Outcome | None) -> Outcome:
    if sent is not None:
        return sent
    assert isinstance(made, Outcome)  # noqa: S101 - what was not sent is an outcome already
    return made


def _reopened_account(leg: OpenLeg, now: Account) -> OpenAccount | Outcome:
    """Give the account back the state it had before we closed it; the write is conditional on what was just read."""
    before = _account(leg)
    return (
        Outcome(LegState.ALREADY_CLOSED, "is enabled already", after=now)
        if now.enabled
        else OpenAccount(now, before.state)
    )


def _reopened_member(leg: OpenLeg, now: Member) -> OpenMember | Outcome:
    before = _member(leg)
    if now.username and now.username != before.username:
        return Outcome(LegState.CONFLICT, f"has the username {now.username} now", before=now)
    return OpenMember(now, before.username, before.status)


def _changed(portal: Portal, kind: ChangeKind, changes: Sequence[MembershipChange]) -> Sequence[Outcome]:
    befores = [c.before for c in changes if c.before is not None]
    match kind:
        case ChangeKind.ADD:
            return portal.add([c.after for c in changes if c.after is not None])
        case ChangeKind.DISABLE:
            return portal.close([CloseMember(b, clear_credential=False, disable=True) for b in befores])
        case ChangeKind.ENABLE:
            return portal.open(
                [OpenMember(c.before, c.before.username, c.after.status) for c in changes if c.before and c.after]
            )
        case ChangeKind.REMOVE:
            return portal.remove(befores)
