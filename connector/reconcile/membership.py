"""Portal membership: who matches, what the nightly run adds, and the three explicit actions. Pure.

The nightly run and `refresh` add entitled people to portals decided by security roles. They never enable, disable or
remove. A mismatch is never removed by itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter

from connector.errors import ConfigError
from connector.model import Member, MembershipType, MemberStatus
from connector.policy import PortalRules, Strategy
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decisions
from connector.reconcile.entitlement import matches_strategy
from connector.reconcile.plan_values import Addition
from connector.reconcile.school import School


class StrategyMatch(StrEnum):
    """Whether a member matches its portal's membership strategy. Derived, never stored."""

    YES = "yes"
    NO = "no"
    NOT_APPLICABLE = "n/a"


class Nightly(StrEnum):
    """What the nightly run does about one membership: it adds, it never enables, disables or removes."""

    NONE = "none"
    ADD_ENABLED = "add_enabled"
    ADD_DISABLED = "add_disabled"


@dataclass(frozen=True, slots=True)
class Membership:
    """One member, or somebody the nightly run would make one (`member` is none)."""

    portal: str
    person_id: str
    member: Member | None
    strategy_match: StrategyMatch
    nightly: Nightly = Nightly.NONE


class Action(StrEnum):
    """What may be done about members, each only when somebody asks."""

    DISABLE_MISMATCHED = "disable-mismatched"
    REMOVE_MISMATCHED = "remove-mismatched"
    REMOVE_DISABLED = "remove-disabled"


@dataclass(frozen=True, slots=True)
class ActionPlan:
    """Whom an action changes in one portal, and whom it leaves out, with why."""

    portal: str
    action: Action
    members: tuple[Member, ...]
    left_out: tuple[tuple[Member, str], ...] = ()


def strategy_match(school: School, portal: PortalRules, person_id: str, members: Sequence[Member]) -> StrategyMatch:
    """Say whether a person matches a portal's strategy: yes, no, or n/a where there is none to match."""
    matches = matches_strategy(school, portal, person_id, members)
    if matches is None:
        return StrategyMatch.NOT_APPLICABLE
    return StrategyMatch.YES if matches else StrategyMatch.NO


def memberships(decisions: Decisions, unread_portals: Sequence[str] = ()) -> tuple[Membership, ...]:
    """Give every member of every portal that was read, and whom the nightly run would add."""
    portals = decisions.scene.portals
    identities = [i for i in decisions.correlation.identities if i.person_id]
    rules = {p.name: p for p in portals}
    found = [m for i in identities for m in _of_members(i, rules, decisions)]
    wanted = [p for p in portals if p.strategy is Strategy.SECURITY_ROLES and p.name not in unread_portals]
    found.extend(_would_be(decisions, wanted, identities))
    found.sort(key=attrgetter("person_id"))
    found.sort(key=attrgetter("portal"))  # stable: by portal, then by person
    return tuple(found)


def _of_members(identity: Identity, rules: Mapping[str, PortalRules], decisions: Decisions) -> Iterable[Membership]:
    entitled = decisions.scene.claims.portals_of(identity.person_id)
    for member in identity.members:
        if portal := rules.get(member.portal):
            if portal.name in entitled and portal.strategy in _ENTITLING:
                match = StrategyMatch.YES
            else:
                match = strategy_match(decisions.school, portal, member.person_id, identity.members_of(portal.name))
            yield Membership(portal.name, member.person_id, member, match)


_ENTITLING = (Strategy.CONTACTS, Strategy.SECURITY_ROLES)
"""Whoever is entitled to such a portal is because the strategy matches: nobody is asked twice."""


def _would_be(
    decisions: Decisions, portals: Sequence[PortalRules], identities: Iterable[Identity]
) -> Iterable[Membership]:
    """Give entitled people who are no members yet. A disputed identity is not provisioned."""
    names = frozenset(p.name for p in portals)
    for identity in identities:
        entitled = decisions.scene.claims.portals_of(identity.person_id)
        if identity.disputed or names.isdisjoint(entitled):
            continue
        held = {m.portal for m in identity.members}
        for portal in portals:
            if portal.name in entitled and portal.name not in held:
                nightly = Nightly.ADD_ENABLED if portal.status_default is MemberStatus.ENABLED else Nightly.ADD_DISABLED
                yield Membership(portal.name, identity.key, None, StrategyMatch.YES, nightly)


def additions(rows: Iterable[Membership], school: School, portals: Sequence[PortalRules]) -> tuple[Addition, ...]:
    """Give what the nightly run would add."""
    default = {p.name: p.status_default for p in portals}
    return tuple(
        Addition(m.portal, person.person_id, person.code, person.name, default[m.portal])
        for m in rows
        if m.nightly is not Nightly.NONE and (person := school.people.get(m.person_id))
    )


def action_plan(
    action: Action, portal: PortalRules, rows: Iterable[Membership], *, manually_added_too: bool = False
) -> ActionPlan:
    """Say whom an explicit action changes in one portal.

    Manually added members may mismatch legitimately: they are left out unless asked for. Removing somebody who still
    matches is left out: the next nightly run would bring them back.
    """
    if action is not Action.REMOVE_DISABLED and portal.strategy is Strategy.MANUAL:
        raise ConfigError(
            f"The portal {portal.name} has a manual strategy: no member can mismatch it.",
            "Disable or remove single members: connector membership disable PORTAL PERSON.",
        )
    mine = [m for m in rows if m.portal == portal.name and m.member is not None]
    chosen: list[Member] = []
    left_out: list[tuple[Member, str]] = []
    for row in mine:
        if row.member is None or not _concerned(action, row, row.member):
            continue
        why = _left_out(action, row, row.member, manually_added_too=manually_added_too)
        if why:
            left_out.append((row.member, why))
        else:
            chosen.append(row.member)
    return ActionPlan(portal.name, action, tuple(chosen), tuple(left_out))


def _concerned(action: Action, row: Membership, member: Member) -> bool:
    match action:
        case Action.DISABLE_MISMATCHED:
            return row.strategy_match is StrategyMatch.NO and member.enabled
        case Action.REMOVE_MISMATCHED:
            return row.strategy_match is StrategyMatch.NO
        case Action.REMOVE_DISABLED:
            return not member.enabled


def _left_out(action: Action, row: Membership, member: Member, *, manually_added_too: bool) -> str:
    if member.membership_type is MembershipType.MANUALLY_ADDED and not manually_added_too:
        return "manually added: may mismatch legitimately"
    if action is Action.REMOVE_DISABLED and row.strategy_match is StrategyMatch.YES:
        return "still matches the strategy: the next nightly run would bring this person back"
    return ""


def new_member(addition: Addition) -> Member:
    """Give the member an addition makes: system generated, with no credential."""
    return Member(
        portal=addition.portal,
        person_id=addition.person_id,
        status=addition.status,
        membership_type=MembershipType.SYSTEM_GENERATED,
        code=addition.code,
        name=addition.name,
    )
