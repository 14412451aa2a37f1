"""What is said to a directory or a portal for a batch of legs, or of changes of members or accounts, and its answer.

Only `apply` asks for it, with the try already in the journal. What has moved on since it was planned is a conflict and
is never written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from connector.errors import ConnectorError
from connector.interfaces import Portal, Provisioner
from connector.model import Account, CloseAccount, CloseMember, LegState, Member, OpenAccount, OpenMember, Outcome
from connector.provisioning import ChangeAccount, GroupMembership, NewAccount
from connector.reconcile.journal_values import AccountChange, Change, ChangeKind, Direction, MembershipChange, OpenLeg
from connector.reconcile.reading import Targets

T = TypeVar("T")


def send_to_directory(targets: Targets, target: str, batch: Sequence[OpenLeg]) -> Sequence[Outcome]:
    """Disable accounts, or give them their state back; one direction in a batch."""
    directory = _known(targets.directories, target)
    if batch[0].direction is Direction.CLOSE:
        return directory.close([CloseAccount(_account(leg)) for leg in batch])
    now = {a.guid: a for a in directory.read_some([leg.planned.subject for leg in batch])}
    return _each(batch, lambda leg: now.get(leg.planned.subject), directory.open, _reopened_account)


def send_to_portal(targets: Targets, target: str, batch: Sequence[OpenLeg]) -> Sequence[Outcome]:
    """Clear and disable members, or give them username and status back; one direction in a batch."""
    portal = _known(targets.portals, target)
    if batch[0].direction is Direction.CLOSE:
        return portal.close([_close_member(leg) for leg in batch])
    now = {(m.person_id, m.native_id): m for m in portal.read_some([leg.planned.subject for leg in batch])}
    return _each(
        batch, lambda leg: now.get((leg.planned.subject, _member(leg).native_id)), portal.open, _reopened_member
    )


def send_changes(targets: Targets, target: str, kind: ChangeKind, changes: Sequence[Change]) -> Sequence[Outcome]:
    """Change memberships of one portal, or accounts of one directory, all in one way."""
    wanted = [change.wanted for change in changes if isinstance(change, AccountChange)]
    if wanted:
        return _provisioned(_provisioner(targets, target), wanted)
    members = [change for change in changes if isinstance(change, MembershipChange)]
    return _changed(_known(targets.portals, target), kind, members)


def _provisioner(targets: Targets, target: str) -> Provisioner:
    directory = _known(targets.directories, target)
    if not isinstance(directory, Provisioner):
        raise ConnectorError(
            f"Accounts in {target} are only read, disabled and enabled: its adapter cannot make or change them.",
            "Name a directory server in [scim.directories], or make the account by hand.",
        )
    return directory


def _provisioned(
    directory: Provisioner, wanted: Sequence[NewAccount | ChangeAccount | GroupMembership]
) -> Sequence[Outcome]:
    """Ask for one kind of thing: `apply` never mixes them in a batch."""
    match wanted[0]:
        case NewAccount():
            return directory.create([one for one in wanted if isinstance(one, NewAccount)])
        case ChangeAccount():
            return directory.update([one for one in wanted if isinstance(one, ChangeAccount)])
        case GroupMembership():
            return directory.group([one for one in wanted if isinstance(one, GroupMembership)])


def _known(systems: Mapping[str, T], name: str) -> T:
    if name not in systems:
        raise ConnectorError(
            f"{name} is no longer in the config.", "Put the section back, or: connector abandon PERSON --reason TEXT"
        )
    return systems[name]


def _account(leg: OpenLeg) -> Account:
    assert isinstance(leg.planned.before, Account)  # noqa: S101 - `apply` has kept back what holds none
    return leg.planned.before


def _member(leg: OpenLeg) -> Member:
    assert isinstance(leg.planned.before, Member)  # noqa: S101 - `apply` has kept back what holds none
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
        case _:
            raise ValueError(f"{kind} is no change of a membership.")
