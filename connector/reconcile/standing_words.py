"""Why somebody is or is not entitled to a portal, relationship by relationship, and what each one lacks. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from connector.model import PersonStatus
from connector.policy import PortalRules, Strategy
from connector.reconcile.access_dates import access_until, in_grace, student_until
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decisions
from connector.reconcile.entitlement import Attendance, Standing, role_in_force
from connector.reconcile.school import School
from connector.reconcile.text import fold
from connector.reconcile.wording import ACCESS_ENDED, clean, day, label_of


@dataclass(frozen=True, slots=True)
class Part:
    """One thing entitlement is made of: what is so and, where it does not hold, what would make it hold."""

    text: str
    mend: str = ""

    @property
    def holds(self) -> bool:
        """Whether this part holds."""
        return not self.mend


def entitled_because(decisions: Decisions, identity: Identity, portal: PortalRules) -> str:
    """Say why an entitled person is, and until when."""
    school, person_id = decisions.school, identity.person_id or ""
    until = day(access_until(school, portal, person_id))
    match portal.strategy:
        case Strategy.CONTACTS:
            counting = [s for s in school.standings(person_id) if s.counts]
            words = [_child_words(decisions, s) for s in counting]
            return f"{'; '.join(words)}; last day of access: {until}"
        case Strategy.SECURITY_ROLES:
            wanted = {fold(role) for role in portal.roles}
            held = sorted({g.role for g in school.grants.get(person_id, ()) if fold(g.role) in wanted})
            return f"holds the role {clean(', '.join(held))}; last day of access: {until}"
        case Strategy.CUSTOM:
            return "the portal's own rules say so"
        case Strategy.MANUAL:
            return "an enabled member of a portal kept by hand"


def _child_words(decisions: Decisions, standing: Standing) -> str:
    school, relationship = decisions.school, standing.relationship
    child = f"{relationship.contact_type or 'contact'} of {label_of(decisions, relationship.student_id)}"
    if in_grace(school, relationship.student_id):
        until = student_until(school, relationship.student_id)
        return clean(f"{child}, who has left: in grace until {day(until)}")
    return clean(f"{child}, who is at the school")


def person_parts(decisions: Decisions, identity: Identity, discreet: bool) -> tuple[Part, ...]:
    """Give what must hold of the person before any portal is asked."""
    school, person = decisions.school, identity.person
    if person is None:
        return (Part("no admin record", "the admin system has a record of this person under the same id or code"),)
    inactive = "" if person.status is PersonStatus.ACTIVE else "the admin system sets status active"
    parts = [Part(f"the admin system says {person.status}", inactive)]
    if person.person_id in school.denied:
        mend = f"the role {school.rules.deny_role} ends in the admin system"
        parts.append(Part(f"holds the role {school.rules.deny_role}", mend))
    if person.person_id in school.blocked:
        blocked = Part("is blocked", "somebody lifts the block (connector unblock; a second operator signs)")
        parts.append(_ended() if discreet else blocked)
    return tuple(parts)


def _ended() -> Part:
    return Part(ACCESS_ENDED, "the authority role lets this person in again")


def portal_parts(
    decisions: Decisions, identity: Identity, portal: PortalRules, discreet: bool
) -> tuple[tuple[Part, ...], ...]:
    """Give, for each relationship or role that could entitle, all its parts; any one group that holds is enough."""
    person_id = identity.person_id or ""
    match portal.strategy:
        case Strategy.CONTACTS:
            return tuple(standing_parts(decisions, s, discreet) for s in decisions.school.standings(person_id))
        case Strategy.SECURITY_ROLES:
            return tuple((part,) for part in _role_parts(decisions.school, person_id, portal))
        case _:
            return ()


def standing_parts(decisions: Decisions, standing: Standing, discreet: bool) -> tuple[Part, ...]:
    """Give the four parts of one relationship: current, not restricted, flagged, student at the school."""
    parts = [_current(decisions, standing)]
    if standing.restricted:
        child = label_of(decisions, standing.relationship.student_id)
        lifted = f"the restriction for {child} is lifted in the admin system"
        restricted = Part("restricted (court order)", lifted)
        parts.append(_ended() if discreet else restricted)
    parts.append(_flag(decisions.school, standing))
    parts.append(_attendance(decisions, standing))
    return tuple(parts)


def _current(decisions: Decisions, standing: Standing) -> Part:
    child, ended = label_of(decisions, standing.relationship.student_id), standing.relationship.ended_on
    if standing.current:
        return Part(f"current (ends on {ended})" if ended else "current")
    return Part(f"ended on {ended}", f"the admin system takes back the end of the relationship to {child}")


def _flag(school: School, standing: Standing) -> Part:
    relationship = standing.relationship
    name = clean(relationship.contact_type) or "(blank)"
    if relationship.portal_access is not None:
        words = "yes" if relationship.portal_access else "no"
        mend = "the relationship's own portal access is set to yes, or left blank"
        return Part(f"own portal access {words}", _unless(standing.flagged, mend))
    if fold(relationship.contact_type) not in school.flags:
        return Part(f"contact type {name} is not in the school's list", "a contact type of the school's list")
    mend = f"contact type {name} gets the portal flag, or this relationship its own portal access"
    state = "flagged" if standing.flagged else "not flagged"
    return Part(f"contact type {name} is {state}", _unless(standing.flagged, mend))


def _unless(holds: bool, mend: str) -> str:
    return "" if holds else mend


def _attendance(decisions: Decisions, standing: Standing) -> Part:
    school, student = decisions.school, standing.relationship.student_id
    child = label_of(decisions, student)
    match standing.attendance:
        case Attendance.YES:
            until = student_until(school, student)
            state = "in grace" if in_grace(school, student) else "at the school"
            return Part(f"{state} until {until}" if until else state)
        case Attendance.UNKNOWN:
            return Part("an enrolment cannot be read", f"the enrolment dates of {child} are corrected")
        case Attendance.NO:
            return Part(_why_not(school, student), f"{child} is enrolled on the day")


def _why_not(school: School, student_id: str) -> str:
    enrolments = school.enrolments.get(student_id, ())
    if coming := [e.entry_date for e in enrolments if e.entry_date and e.entry_date > school.as_of]:
        return f"starts on {min(coming)}"
    left = [e.exit_date for e in enrolments if e.exit_date]
    return f"last day was {max(left)}" if left else "has no enrolment"


def _role_parts(school: School, person_id: str, portal: PortalRules) -> Iterable[Part]:
    wanted = {fold(role) for role in portal.roles}
    for grant in school.grants.get(person_id, ()):
        if fold(grant.role) in wanted:
            span = f"role {clean(grant.role)}, {grant.begins_on or 'ever'} to {grant.ends_on or 'open'}"
            in_force = role_in_force(grant, school.as_of)
            yield Part(span, _unless(in_force, f"the role {clean(grant.role)} is in force"))


def what_would_entitle(
    decisions: Decisions, identity: Identity, portal: PortalRules, discreet: bool
) -> tuple[str, ...]:
    """Say, for somebody who is not entitled, each way in which they would be."""
    first = [p.mend for p in person_parts(decisions, identity, discreet) if not p.holds]
    groups = portal_parts(decisions, identity, portal, discreet)
    ways = [[p.mend for p in group if not p.holds] for group in groups]
    if not ways:
        ways = [[_from_nothing(portal)]]
    elif any(not way for way in ways):
        ways = [[]]  # a relationship or role would do: only the person does not
    return tuple(dict.fromkeys(" and ".join(dict.fromkeys([*first, *way])) for way in ways if first or way))


def concerns(portal: PortalRules, identity: Identity, decisions: Decisions) -> bool:
    """Say whether a portal is worth a word about somebody: not the staff portal of a parent who never was staff."""
    person_id = identity.person_id or ""
    if portal.name in decisions.scene.claims.portals_of(person_id) or identity.members_of(portal.name):
        return True
    if portal.strategy is Strategy.SECURITY_ROLES:
        wanted = {fold(role) for role in portal.roles}
        return any(fold(g.role) in wanted for g in decisions.school.grants.get(person_id, ()))
    return portal.governed and portal.strategy is Strategy.CONTACTS


def _from_nothing(portal: PortalRules) -> str:
    match portal.strategy:
        case Strategy.CONTACTS:
            return "there is a current relationship to a student at the school with a flagged contact type"
        case Strategy.SECURITY_ROLES:
            return f"the role {' or '.join(portal.roles)} is in force"
        case _:
            return "the portal itself has an enabled membership"
