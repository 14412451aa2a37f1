"""Why an identity is ready to revoke: every reason that holds, in order, each with its evidence. Pure.

Evidence texts never depend on the clock, only on facts: a release holds until its evidence changes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from connector.model import PersonStatus, Reason
from connector.policy import PortalRules, Strategy
from connector.reconcile.correlate import Identity
from connector.reconcile.doors import Scene, member_is_closed
from connector.reconcile.entitlement import Attendance, Standing, last_day_of_access
from connector.reconcile.memory import Memory
from connector.reconcile.plan_values import Evidence
from connector.reconcile.school import School
from connector.reconcile.text import fold


@dataclass(frozen=True, slots=True)
class Closing:
    """What is being closed: governed portals, and whether an account is."""

    portals: tuple[str, ...]
    account: bool

    def considered(self, scene: Scene) -> tuple[PortalRules, ...]:
        """Give the portals reasons are asked for: those being closed, and with the account all that need one."""
        return tuple(
            p for p in scene.governed if p.name in self.portals or (self.account and p.needs_directory_account)
        )


Found = tuple[Reason, str]
_NAMED = 5
"""How many records of one human are named: a placeholder for name and e-mail makes thousands of them one."""


def reasons_of(
    identity: Identity, closing: Closing, scene: Scene, memory: Memory
) -> tuple[tuple[Reason, ...], tuple[Evidence, ...]]:
    """Give every reason that holds, in the order of `Reason`, with its evidence."""
    found: dict[Reason, list[str]] = {}
    for reason, text in _all(identity, closing, scene, memory):
        found.setdefault(reason, []).append(text)
    ordered = tuple(r for r in Reason if r in found)
    return ordered, tuple(Evidence(r, text) for r in ordered for text in sorted(set(found[r])))


def _all(identity: Identity, closing: Closing, scene: Scene, memory: Memory) -> Iterator[Found]:
    yield from _half_revoked(identity, closing, scene)
    yield from _asked_for(identity, memory, scene)
    if standing_alone := _alone(identity, scene):
        yield standing_alone
        return
    for portal in closing.considered(scene):
        yield from _of_portal(identity, portal, scene)


def _half_revoked(identity: Identity, closing: Closing, scene: Scene) -> Iterator[Found]:
    """One record stands closed while another lives."""
    names = {p.name for p in closing.considered(scene)}
    for linked in identity.accounts:
        if not linked.account.enabled:
            yield Reason.HALF_REVOKED, f"the account {linked.account.username} is disabled, something else lives"
    for member in identity.members:
        if member.portal in names and member_is_closed(member):
            yield Reason.HALF_REVOKED, f"the {member.portal} member stands closed, something else lives"


def _asked_for(identity: Identity, memory: Memory, scene: Scene) -> Iterator[Found]:
    """A block on one record of a human is one on each of them; the evidence names the record it was put on."""
    school = scene.school
    for record in school.blocked_as(identity.person_id) if identity.person_id else ():
        other = "" if record == identity.person_id else f" as {_code_of(record, school)}, the same person"
        if block := memory.blocks.get(record):
            yield Reason.BLOCKED, f"blocked by {block.owner}{other}: {block.reason}"
        elif other:
            yield Reason.BLOCKED, f"blocked{other}: asked for by a named person or client"
    if identity.key in memory.requested:
        yield Reason.REQUESTED, "asked for by a named person or client"


def _code_of(record: str, school: School) -> str:
    person = school.people.get(record)
    return person.code or record if person else record


def _alone(identity: Identity, scene: Scene) -> Found | None:
    """The reasons that stand alone: nobody asks about children of a record that is gone, inactive or denied."""
    person = identity.person
    if person is None:
        return Reason.CONTACT_MISSING, _missing_text(identity)
    if person.status is not PersonStatus.ACTIVE:
        return Reason.CONTACT_INACTIVE, f"the admin system says {person.status}"
    if person.person_id in scene.school.denied:
        return Reason.DENIED, f"holds the role {scene.school.rules.deny_role}"
    return None


def _missing_text(identity: Identity) -> str:
    if identity.person_id:
        return f"no admin record has the id {identity.person_id}"
    account = identity.accounts[0].account
    return f"no admin record has the contact code {account.employee_id.strip()} of the account {account.username}"


def _of_portal(identity: Identity, portal: PortalRules, scene: Scene) -> Iterator[Found]:
    if identity.key in scene.school.granted:
        yield Reason.REQUESTED, f"the identity provider this person comes from grants no {portal.name}"
        return
    yield from _superseded(identity, portal, scene)
    if portal.strategy is Strategy.CONTACTS:
        yield from _contact_reasons(identity, scene)
    elif portal.strategy is Strategy.SECURITY_ROLES:
        yield from _role_ended(identity, portal, scene)


def successors(identity: Identity, portals: Sequence[str], scene: Scene) -> tuple[str, ...]:
    """Give the other records of the same human that are entitled to one of these portals."""
    if not identity.person_id:
        return ()
    others = scene.school.same_human(identity.person_id)
    return tuple(o for o in others if not scene.claims.portals_of(o).isdisjoint(portals))


def _superseded(identity: Identity, portal: PortalRules, scene: Scene) -> Iterator[Found]:
    if portal.name in scene.claims.portals_of(identity.person_id):
        return
    codes = sorted(scene.school.people[other].code for other in successors(identity, (portal.name,), scene))
    for code in codes[:_NAMED]:
        yield Reason.SUPERSEDED, f"{code} is the same person and is entitled to {portal.name}"
    if rest := len(codes) - _NAMED if len(codes) > _NAMED else 0:
        yield Reason.SUPERSEDED, f"so are {rest:,} more records: is that name or e-mail a placeholder?"


def _contact_reasons(identity: Identity, scene: Scene) -> Iterator[Found]:
    person_id = identity.person_id or ""
    standings = scene.school.standings(person_id)
    if not standings:
        yield Reason.NO_RELATIONSHIP, "has no relationship to any student"
        return
    if bars := restrictions(standings):
        yield from ((Reason.RESTRICTED, f"a court order bars {_student(s, scene)}") for s in bars)
    open_links = [s for s in standings if s.current and s.attendance is Attendance.YES]
    if not any(s.flagged for s in open_links):
        yield from ((Reason.PORTAL_FLAG_OFF, _flag_text(s, scene)) for s in open_links if not s.restricted)
    if not open_links:
        yield from ((Reason.NO_STUDENT_AT_SCHOOL, _gone_text(s, scene)) for s in standings)


def restrictions(standings: Sequence[Standing]) -> tuple[Standing, ...]:
    """Give the restrictions that close: current ones, where no unrestricted flagged relationship remains."""
    current = [s for s in standings if s.current]
    barred = tuple(s for s in current if s.restricted)
    if any(s.attendance is Attendance.YES for s in barred):
        return () if any(s.counts for s in current) else barred
    return () if any(s.flagged and not s.restricted for s in current) else barred


def _role_ended(identity: Identity, portal: PortalRules, scene: Scene) -> Iterator[Found]:
    wanted = {fold(role) for role in portal.roles}
    person_id = identity.person_id or ""
    if wanted.isdisjoint(scene.school.roles_in_force(person_id)):
        for grant in scene.school.grants.get(person_id, ()):
            begun = grant.begins_on is None or grant.begins_on <= scene.school.as_of
            if begun and fold(grant.role) in wanted:
                yield Reason.ROLE_ENDED, f"the role {grant.role} ended on {grant.ends_on}"


def _student(standing: Standing, scene: Scene) -> str:
    student = scene.school.people.get(standing.relationship.student_id)
    name = student.name if student else standing.relationship.student_id
    return f"{name} ({standing.relationship.contact_type or 'no contact type'})"


def _flag_text(standing: Standing, scene: Scene) -> str:
    relationship = standing.relationship
    if relationship.portal_access is not None:
        why = "the relationship's own portal access is no"
    elif fold(relationship.contact_type) in scene.school.flags:
        why = f"the contact type {relationship.contact_type} has no portal flag"
    else:
        why = f"the contact type {relationship.contact_type or '(blank)'} is not in the school's list"
    return f"{_student(standing, scene)}: {why}"


def _gone_text(standing: Standing, scene: Scene) -> str:
    who, relationship = _student(standing, scene), standing.relationship
    if not standing.current:
        return f"{who}: the relationship ended on {relationship.ended_on}"
    enrolments = scene.school.enrolments.get(relationship.student_id, [])
    if not enrolments:
        return f"{who}: has no enrolment"
    if standing.attendance is Attendance.UNKNOWN:
        return f"{who}: an enrolment cannot be read: exit before entry, or no entry date"
    last = max(enrolments, key=lambda e: (last_day_of_access(e, scene.school.rules), e.entry_date or date.min))
    if last.entry_date and last.entry_date > scene.school.as_of:
        return f"{who}: starts on {last.entry_date}"
    until = last_day_of_access(last, scene.school.rules)
    return f"{who}: last day {last.exit_date} ({last.exit_reason or 'no reason given'}), access until {until}"
