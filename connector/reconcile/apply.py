"""The only module that causes effects. Every intent is in the journal before it is sent; every outcome is read back.

Order: directory, credential with membership, sessions: a session ended while a door is open is opened again. A failed
leg undoes nothing and does not stop the others. N failures of one target in a row are an outage: it is left alone.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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

    def revoke(self, rows: Sequence[Revocation], plan_id: str) -> tuple[OpenLeg, ...]:
        """Intend all legs of these rows, then drive them; give the legs that are still open."""
        legs = self.journal.intend(self.run, plan_id, rows, self.run.operator) if rows else ()
        return self.drive(legs)

    def drive(self, legs: Sequence[OpenLeg]) -> tuple[OpenLeg, ...]:
        """Drive intended legs stage by stage; give those that are still open afterwards."""
        still_open: list[OpenLeg] = []
        for kind in (LegKind.DIRECTORY, LegKind.CREDENTIAL):
            for target, batch in self._batches(leg for leg in legs if leg.planned.kind is kind):
                still_open += self._doors(kind, target, batch)
        doors = {leg.key for leg in still_open}
        sweeping = Sweeping(self.journal, self.targets, self.run, self.sleep, self.progress)
        sessions = [leg for leg in legs if leg.planned.kind is LegKind.SESSIONS]
        still_open += sweeping.sweep(sessions, doors, self.pace.settle_seconds, self.pace.sweeps_max, self.keep_lease)
        return tuple(still_open)

    def keep_lease(self) -> None:
        """Check and extend the run's lease before anything is sent. Raises RunInProgress where it was lost."""
        self.run = self.journal.renew(self.run, self.pace.lease_seconds)

    def _batches(self, legs: Iterable[OpenLeg]) -> Iterable[tuple[str, list[OpenLeg]]]:
        by_target: dict[str, list[OpenLeg]] = {}
        for leg in legs:
            by_target.setdefault(leg.planned.target, []).append(leg)
        for target, mine in by_target.items():
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
        if self._outages.get(target, 0) >= self.pace.outage_after:
            return [
                Outcome(
                    LegState.UNREACHABLE, f"{target} was left alone after {self.pace.outage_after} failures in a row"
                )
            ] * len(batch)
        tried = [leg for leg in batch if not leg.planned.unread]
        self.keep_lease()
        self.journal.attempt(tried, self.run)
        done = dict(zip((leg.leg_id for leg in tried), self._sent(kind, target, tried), strict=True))
        unread = Outcome(LegState.UNREACHABLE, f"{target} could not be read when this was planned")
        outcomes = [done.get(leg.leg_id, unread) for leg in batch]
        self._count(target, [done[leg.leg_id] for leg in tried])
        return outcomes

    def _count(self, target: str, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            failed = outcome.state is LegState.UNREACHABLE
            self._outages[target] = self._outages.get(target, 0) + 1 if failed else 0

    def _sent(self, kind: LegKind, target: str, batch: list[OpenLeg]) -> Sequence[Outcome]:
        """Send one batch through its adapter; an adapter's error is the outcome of every item."""
        if not batch:
            return ()
        try:
            if kind is LegKind.DIRECTORY:
                return self._directory(target, batch)
            return self._portal(target, batch)
        except TargetUnreachable as error:
            return [Outcome(LegState.UNREACHABLE, str(error))] * len(batch)
        except ConnectorError as error:
            return [Outcome(LegState.REFUSED, str(error))] * len(batch)

    def _directory(self, target: str, batch: list[OpenLeg]) -> Sequence[Outcome]:
        directory = _known(self.targets.directories, target)
        if batch[0].direction is Direction.CLOSE:
            return directory.close([CloseAccount(_account(leg)) for leg in batch])
        now = {a.guid: a for a in directory.read_some([leg.planned.subject for leg in batch])}
        return _each(batch, now, directory.open, _reopened_account)

    def _portal(self, target: str, batch: list[OpenLeg]) -> Sequence[Outcome]:
        portal = _known(self.targets.portals, target)
        if batch[0].direction is Direction.CLOSE:
            return portal.close([_close_member(leg) for leg in batch])
        now = {m.person_id: m for m in portal.read_some([leg.planned.subject for leg in batch])}
        return _each(batch, now, portal.open, _reopened_member)

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
        self.keep_lease()
        self.journal.attempt_changes(batch, self.run)
        try:
            outcomes = _changed(_known(self.targets.portals, portal), kind, [c.change for c in batch])
        except TargetUnreachable as error:
            outcomes = [Outcome(LegState.UNREACHABLE, str(error))] * len(batch)
        except ConnectorError as error:
            outcomes = [Outcome(LegState.REFUSED, str(error))] * len(batch)
        self.journal.record_changes(list(zip(batch, outcomes, strict=True)), self.run)
        return [c for c, o in zip(batch, outcomes, strict=True) if o.state not in FINAL]


def _known(systems: Mapping[str, T], name: str) -> T:
    if name not in systems:
        raise ConnectorError(
            f"{name} is no longer in the config.", "Put the section back, or: connector abandon PERSON --reason TEXT"
        )
    return systems[name]


def _account(leg: OpenLeg) -> Account:
    if not isinstance(leg.planned.before, Account):
        raise ConnectorError(f"The intent of leg {leg.leg_id} holds no account.", "connector abandon, then plan again.")
    return leg.planned.before


def _member(leg: OpenLeg) -> Member:
    if not isinstance(leg.planned.before, Member):
        raise ConnectorError(f"The intent of leg {leg.leg_id} holds no member.", "connector abandon, then plan again.")
    return leg.planned.before


def _close_member(leg: OpenLeg) -> CloseMember:
    contact_type = leg.contact_types[0] if leg.contact_types else ""
    before = replace(_member(leg), code=_member(leg).code or leg.code, name=_member(leg).name or leg.name)
    return CloseMember(before, leg.planned.clear_credential, leg.planned.disable_member, contact_type, leg.code)


Item = TypeVar("Item")


def _each(
    batch: Sequence[OpenLeg],
    now: Mapping[str, T],
    send: Callable[[list[Item]], Sequence[Outcome]],
    item: Callable[[OpenLeg, T], Item | Outcome],
) -> list[Outcome]:
    """Send what can be opened again; what has moved on is a conflict and is never written."""
    made: dict[int, Item | Outcome] = {}
    for leg in batch:
        current = now.get(leg.planned.subject)
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
    """Give the account back the state it had before we closed it, unless somebody has changed it since."""
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
