"""From what somebody asks about members to the changes of single memberships. Pure: `apply` makes them.

What only two people may open again is never opened here: a blocked or restricted person goes through `unblock` and
`restore`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from connector.errors import NotAllowed
from connector.model import Member, MembershipType, MemberStatus
from connector.policy import PortalRules
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decisions
from connector.reconcile.journal_values import ChangeKind, MembershipChange
from connector.reconcile.membership import Action, ActionPlan, new_member
from connector.reconcile.plan_values import Addition
from connector.reconcile.wording import who

OPENS = (ChangeKind.ADD, ChangeKind.ENABLE)
"""The changes that let somebody in."""


@dataclass(frozen=True, slots=True)
class MemberChanges:
    """The changes that were asked for (none: all is so already), and what somebody should know about them."""

    changes: tuple[MembershipChange, ...]
    notes: tuple[str, ...] = ()


def changes_of_action(plan: ActionPlan) -> tuple[MembershipChange, ...]:
    """Give the changes of one of the three explicit actions."""
    kind = ChangeKind.DISABLE if plan.action is Action.DISABLE_MISMATCHED else ChangeKind.REMOVE
    return tuple(_change(kind, member) for member in plan.members)


def changes_of_additions(additions: Iterable[Addition]) -> tuple[MembershipChange, ...]:
    """Give the changes that add these people."""
    return tuple(MembershipChange(ChangeKind.ADD, a.portal, a.person_id, None, new_member(a)) for a in additions)


def change_of_one(
    kind: ChangeKind, portal: PortalRules, identity: Identity, decisions: Decisions, status: MemberStatus
) -> MemberChanges:
    """Give the change of one person in one portal; `status` is what an added member gets.

    Raises NotAllowed for nobody's member, and where opening takes two people.
    """
    members = identity.members_of(portal.name)
    if kind in OPENS:
        _refuse_what_takes_two(identity, portal, decisions)
    if kind is ChangeKind.ADD:
        return _addition(portal, identity, members, decisions, status)
    if not members:
        raise NotAllowed(
            f"{who(identity).label} is no member of {portal.name}.",
            f"To make one: connector membership add {portal.name} {who(identity).typed}",
        )
    wanted = {ChangeKind.ENABLE: MemberStatus.ENABLED, ChangeKind.DISABLE: MemberStatus.DISABLED}.get(kind)
    changes = tuple(_change(kind, m) for m in members if m.status is not wanted)
    return MemberChanges(changes, _notes(kind, portal, identity, decisions) if changes else ())


def _change(kind: ChangeKind, member: Member) -> MembershipChange:
    after = {
        ChangeKind.ENABLE: replace(member, status=MemberStatus.ENABLED),
        ChangeKind.DISABLE: replace(member, status=MemberStatus.DISABLED),
    }.get(kind)
    return MembershipChange(kind, member.portal, member.person_id, member, after)


def _addition(
    portal: PortalRules, identity: Identity, members: Sequence[Member], decisions: Decisions, status: MemberStatus
) -> MemberChanges:
    whom, person_id = who(identity), identity.person_id or ""
    if identity.person is None:
        raise NotAllowed(f"{whom.label} is in no admin record.", "Add the person to the admin system first.")
    if members:
        return MemberChanges((), (f"{whom.label} is a member of {portal.name} already: {members[0].status}.",))
    person = identity.person
    member = Member(
        portal=portal.name,
        person_id=person_id,
        status=status,
        membership_type=MembershipType.MANUALLY_ADDED,
        code=person.code,
        name=person.name,
    )
    change = MembershipChange(ChangeKind.ADD, portal.name, person_id, None, member)
    return MemberChanges((change,), _notes(ChangeKind.ADD, portal, identity, decisions))


def _refuse_what_takes_two(identity: Identity, portal: PortalRules, decisions: Decisions) -> None:
    person_id, whom = identity.person_id or "", who(identity)
    if person_id in decisions.school.blocked:
        raise NotAllowed(f"{whom.label} is blocked.", f"First: connector unblock {whom.typed} --second NAME")
    entitled = portal.name in decisions.scene.claims.portals_of(identity.person_id)
    if person_id in decisions.school.barred and not entitled:
        raise NotAllowed(
            f"{whom.label} is restricted by a court order and not entitled to {portal.name}.",
            f"Reopening takes two: connector restore {whom.typed} --second NAME --apply",
        )


def _notes(kind: ChangeKind, portal: PortalRules, identity: Identity, decisions: Decisions) -> tuple[str, ...]:
    """Say what the next run makes of the change."""
    entitled = portal.name in decisions.scene.claims.portals_of(identity.person_id)
    whom = who(identity)
    if kind in OPENS and portal.governed and not entitled:
        return (f"{whom.label} is not entitled to {portal.name}: the next run finds this ready to revoke.",)
    if kind is ChangeKind.REMOVE and entitled and portal.roles:
        return (f"{whom.label} still matches the strategy of {portal.name}: the next run adds this person again.",)
    return ()
