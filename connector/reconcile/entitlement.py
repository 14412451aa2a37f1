"""Who is entitled to which portal on a day. Pure: values in, values out; nothing here knows an account or a clock.

Nobody is entitled to anything unless they are in the people reading, active, without a block and without the deny role.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

from connector.model import Enrolment, Member, Person, PersonStatus, Relationship, RoleGrant
from connector.policy import PortalRules, Rules, Strategy
from connector.reconcile.text import fold


class Attendance(StrEnum):
    """Whether a student is at the school on a day. `unknown` carries no negative decision."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def is_unknown(enrolment: Enrolment) -> bool:
    """Say whether an enrolment exits before it enters, or has no entry date."""
    return enrolment.entry_date is None or (
        enrolment.exit_date is not None and enrolment.exit_date < enrolment.entry_date
    )


def grace_days(exit_reason: str, rules: Rules) -> int:
    """Give the days of grace for an exit reason; one that nobody configured gets the longest."""
    wanted = fold(exit_reason)
    for reason, days in rules.grace_days.items():
        if fold(reason) == wanted:
            return days
    return rules.longest_grace


def last_day_of_access(enrolment: Enrolment, rules: Rules) -> date:
    """Give the last day an enrolment counts for the student's contacts."""
    if enrolment.exit_date is None:
        return date.max
    # Schools write 9999-12-31 for "no end": grace cannot go past the last day there is.
    days = min(grace_days(enrolment.exit_reason, rules), (date.max - enrolment.exit_date).days)
    return enrolment.exit_date + timedelta(days=days)


def attendance(enrolments: Sequence[Enrolment], rules: Rules, as_of: date) -> Attendance:
    """Say whether a student with these enrolments is at the school on `as_of`, grace and bridged gaps included."""
    known = []
    for enrolment in enrolments:
        if is_unknown(enrolment):
            continue
        if _covers(enrolment, rules, as_of):
            return Attendance.YES
        known.append(enrolment)
    if len(known) > 1 and _bridged(known, rules, as_of):
        return Attendance.YES
    return Attendance.UNKNOWN if len(known) < len(enrolments) else Attendance.NO


def _covers(enrolment: Enrolment, rules: Rules, as_of: date) -> bool:
    assert enrolment.entry_date is not None  # noqa: S101 - unknown enrolments were left out before
    enters = enrolment.entry_date
    if as_of < enters and (enters - as_of).days > rules.early_access_days:  # a sum could leave the calendar
        return False
    leaves = enrolment.exit_date
    return leaves is None or as_of <= leaves or as_of <= last_day_of_access(enrolment, rules)


def _bridged(known: Iterable[Enrolment], rules: Rules, as_of: date) -> bool:
    """Say whether `as_of` lies in a gap of at most `bridge_days` between two enrolments."""
    spans = sorted((e.entry_date or date.min, e.exit_date or date.max) for e in known)
    ended = spans[0][1]
    for entry, leaves in spans[1:]:
        if ended < as_of < entry and (entry - ended).days <= rules.bridge_days:
            return True
        ended = max(ended, leaves)
    return False


def is_current(relationship: Relationship, as_of: date) -> bool:
    """Say whether a relationship holds on `as_of`; `ended_on` is the first day it no longer does."""
    return relationship.ended_on is None or relationship.ended_on > as_of


def role_in_force(grant: RoleGrant, as_of: date) -> bool:
    """Say whether a security role is in force on `as_of`, both dates inclusive."""
    return (grant.begins_on is None or grant.begins_on <= as_of) and (grant.ends_on is None or as_of <= grant.ends_on)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one relationship stands on the day: the parts `contacts` entitlement is made of."""

    relationship: Relationship
    current: bool
    restricted: bool
    flagged: bool
    attendance: Attendance

    @property
    def counts(self) -> bool:
        """Whether this relationship alone entitles: current, not restricted, flagged, student at the school."""
        return self.current and not self.restricted and self.flagged and self.attendance is Attendance.YES


class PeopleFacts(Protocol):
    """What entitlement needs to know of the school (`connector.reconcile.school.School` gives it)."""

    @property
    def people(self) -> Mapping[str, Person]:
        """Every person by person_id."""
        ...

    @property
    def blocked(self) -> frozenset[str]:
        """Whom a block keeps out."""
        ...

    @property
    def denied(self) -> frozenset[str]:
        """Who holds the deny role in force."""
        ...

    @property
    def granted(self) -> Mapping[str, frozenset[str]]:
        """The portals of the people whose admin system is an identity provider, by person_id."""
        ...

    def counting(self, person_id: str) -> bool:
        """Say whether one of the person's relationships counts."""
        ...

    def roles_in_force(self, person_id: str) -> frozenset[str]:
        """Give the person's security roles in force, folded."""
        ...


def may_be_entitled(school: PeopleFacts, person_id: str) -> bool:
    """Say whether a person can be entitled to anything at all: known, active, not blocked, without the deny role."""
    person = school.people.get(person_id)
    return (
        person is not None
        and person.status is PersonStatus.ACTIVE
        and person_id not in school.blocked
        and person_id not in school.denied
    )


def matches_strategy(
    school: PeopleFacts, portal: PortalRules, person_id: str, members: Sequence[Member]
) -> bool | None:
    """Say whether a person matches a portal's membership strategy; none where the portal has none to match.

    `members` are this person's members of this portal: a `custom` portal's own word stands on them.
    """
    fits = _fits(school, portal, person_id, members)
    if portal.strategy in (Strategy.CONTACTS, Strategy.SECURITY_ROLES):
        return bool(fits) and may_be_entitled(school, person_id)
    return fits


def is_entitled(school: PeopleFacts, portal: PortalRules, person_id: str, members: Sequence[Member]) -> bool:
    """Say whether a person is entitled to a portal. Where a portal has no strategy to match, enabled members are."""
    if not may_be_entitled(school, person_id):
        return False
    fits = _fits(school, portal, person_id, members)
    return any(m.enabled for m in members) if fits is None else fits


def _fits(school: PeopleFacts, portal: PortalRules, person_id: str, members: Sequence[Member]) -> bool | None:
    """Say what the strategy alone says of a person; none where it says nothing."""
    granted = school.granted.get(person_id)
    if granted is not None and portal.name in granted:
        return True  # the identity provider is this person's admin system: its word stands for any strategy
    match portal.strategy:
        case Strategy.CONTACTS:
            return school.counting(person_id)
        case Strategy.SECURITY_ROLES:
            return not folded_roles(portal.roles).isdisjoint(school.roles_in_force(person_id))
        case Strategy.CUSTOM:
            words = [m.strategy_match for m in members if m.strategy_match is not None]
            return any(words) if words else None if granted is None else False
        case Strategy.MANUAL:
            return None if granted is None else False


@lru_cache(maxsize=64)
def folded_roles(roles: tuple[str, ...]) -> frozenset[str]:
    """Give security roles as they are compared."""
    return frozenset(map(fold, roles))
