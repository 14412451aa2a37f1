"""The household around one person, and where the fault sits: the data, the rule, or the portal. Pure.

A parent who still has children at the school and shows as ready to revoke should have another account that is active or
ready to provision. Where there is none, the admin system is looked at first: mostly a split or blended family.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from connector.model import Relationship
from connector.reconcile.access_dates import in_grace, student_until
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decision, Decisions
from connector.reconcile.diagnose import decision_of
from connector.reconcile.entitlement import Attendance, Standing
from connector.reconcile.family_verdict import Cause, Verdict, causes_of
from connector.reconcile.sign_in_now import doors_now
from connector.reconcile.standing_words import standing_parts
from connector.reconcile.wording import clean, label_of, listed, moment, reason_words, who


@dataclass(frozen=True, slots=True)
class FamilyRecord:
    """One record of the household. `opens` says in which portals it can log in now."""

    key: str
    code: str
    name: str
    status: str
    reasons: tuple[str, ...]
    holds: tuple[str, ...]
    entitled: tuple[str, ...]
    opens: tuple[str, ...]
    members: tuple[str, ...]
    accounts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FamilyLink:
    """One contact's relationship to a child. `standing` says what is so, `counts` whether it entitles."""

    key: str
    label: str
    contact_type: str
    standing: str
    flagged: bool
    restricted: bool
    counts: bool


@dataclass(frozen=True, slots=True)
class FamilyChild:
    """One child with everybody who is related to it."""

    student_id: str
    code: str
    name: str
    attendance: str
    links: tuple[FamilyLink, ...]


@dataclass(frozen=True, slots=True)
class Supersession:
    """An old record and the record of the same human that is entitled in its place."""

    old: str
    new: str
    portals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """The household. `records` are the same human's, `others` the other contacts of the children."""

    key: str
    label: str
    verdict: Verdict
    why: str
    next_steps: tuple[str, ...]
    causes: tuple[Cause, ...]
    records: tuple[FamilyRecord, ...]
    children: tuple[FamilyChild, ...]
    others: tuple[FamilyRecord, ...]
    supersedes: tuple[Supersession, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The household as plain text, the verdict first."""
        return (
            f"{self.label}: {self.verdict}",
            self.why,
            *(f"  {step}" for step in self.next_steps),
            *_record_lines("Records of this person", self.records),
            *(f"  {s.new} stands in for {s.old} in {listed(s.portals)}" for s in self.supersedes),
            *_child_lines(self.children),
            *_record_lines("Other contacts of these children", self.others),
        )


def family(decisions: Decisions, key: str, *, discreet: bool = False) -> Family:
    """Give the household of one person with a verdict. Raises UnknownPerson for an unknown key."""
    decision = decision_of(decisions, key)
    person_id = decision.identity.person_id
    same = decisions.school.same_human(person_id) if person_id else ()
    records = [decision, *(decision_of(decisions, other) for other in same)]
    children = _children(records, decisions)
    others = [decision_of(decisions, c) for c in _other_contacts(children, records, decisions)]
    causes = causes_of(records, decisions, discreet)
    steps = tuple(dict.fromkeys(step for cause in causes for step in cause.steps))
    return Family(
        key,
        who(decision.identity).label,
        causes[0].verdict,
        causes[0].text,
        steps,
        causes,
        tuple(_record(d, decisions, discreet) for d in records),
        tuple(_child(child, decisions, discreet) for child in children),
        tuple(_record(d, decisions, discreet) for d in others),
        tuple(_supersessions(records, decisions)),
    )


def _children(records: Iterable[Decision], decisions: Decisions) -> tuple[str, ...]:
    links = decisions.school.relationships
    return tuple(dict.fromkeys(r.student_id for d in records for r in links.get(d.identity.key, ())))


def _other_contacts(children: Iterable[str], records: Iterable[Decision], decisions: Decisions) -> tuple[str, ...]:
    """Give the other contacts of these children, one step far: blended families reach on and on."""
    own, known = {d.identity.key for d in records}, decisions.correlation.by_key()
    links = (r for child in children for r in decisions.school.contacts_of.get(child, ()))
    return tuple(dict.fromkeys(r.contact_id for r in links if r.contact_id not in own and r.contact_id in known))


def _record(decision: Decision, decisions: Decisions, discreet: bool) -> FamilyRecord:
    identity, called = decision.identity, who(decision.identity)
    return FamilyRecord(
        identity.key,
        called.code,
        called.name,
        decision.status.value,
        reason_words(decision.reasons, discreet),
        tuple(decision.holds),
        tuple(sorted(decisions.scene.claims.portals_of(identity.person_id))),
        tuple(d.portal for d in doors_now(identity, decisions) if d.opens),
        tuple(_member_words(identity)),
        tuple(_account_words(identity)),
    )


def _member_words(identity: Identity) -> Iterable[str]:
    for member in identity.members:
        login = f"last login {moment(member.last_login)}" if member.last_login else "never logged in"
        yield f"{member.portal}: {clean(member.username) or 'no username'}, {member.status}, {login}"


def _account_words(identity: Identity) -> Iterable[str]:
    for linked in identity.accounts:
        account = linked.account
        state = "enabled" if account.enabled else "disabled"
        notes = "" if account.managed else ", outside the managed OUs"
        notes += f", protected ({account.protected})" if account.protected else ""
        text = f"{account.directory}: {account.username}, {state}, by {linked.by}{notes}, GUID {account.guid}"
        yield clean(text)


def _child(student_id: str, decisions: Decisions, discreet: bool) -> FamilyChild:
    student = decisions.school.people.get(student_id)
    links = decisions.school.contacts_of.get(student_id, ())
    return FamilyChild(
        student_id,
        clean(student.code) if student else "",
        clean(student.name) if student else "",
        _attendance_words(student_id, decisions),
        tuple(_link(r, decisions, discreet) for r in links),
    )


def _attendance_words(student_id: str, decisions: Decisions) -> str:
    school = decisions.school
    match school.attendance.get(student_id, Attendance.NO):
        case Attendance.YES:
            until = student_until(school, student_id)
            state = "left, in grace" if in_grace(school, student_id) else "at the school"
            return f"{state} until {until}" if until else state
        case Attendance.UNKNOWN:
            return "not known: an enrolment cannot be read"
        case Attendance.NO:
            return "not at the school"


def _link(relationship: Relationship, decisions: Decisions, discreet: bool) -> FamilyLink:
    standing = _standing(relationship, decisions)
    parts = [p.text for p in standing_parts(decisions, standing, discreet)]
    return FamilyLink(
        relationship.contact_id,
        label_of(decisions, relationship.contact_id),
        clean(relationship.contact_type),
        ", ".join(parts[:-1]),  # whether the child is at school stands with the child
        standing.flagged,
        standing.restricted and not discreet,
        standing.counts,
    )


def _standing(relationship: Relationship, decisions: Decisions) -> Standing:
    """Give a relationship as it stands for its contact: a bar on another record of the same human counts."""
    mine = decisions.school.standings(relationship.contact_id)
    return next(s for s in mine if s.relationship is relationship)


def _supersessions(records: Iterable[Decision], decisions: Decisions) -> Iterable[Supersession]:
    rows = list(records)
    portals_of = decisions.scene.claims.portals_of
    for old in rows:
        for new in rows:
            taken = portals_of(new.identity.person_id) - portals_of(old.identity.person_id)
            if "superseded" in old.reasons and (shared := sorted(taken & set(old.closing))):
                yield Supersession(who(old.identity).label, who(new.identity).label, tuple(shared))


def _record_lines(title: str, records: Iterable[FamilyRecord]) -> list[str]:
    lines: list[str] = []
    for record in records:
        why = f" ({', '.join(record.reasons)})" if record.reasons else ""
        held = f", held: {', '.join(record.holds)}" if record.holds else ""
        lines.append(f"  {record.name} {record.code} [{record.status.replace('_', ' ')}{why}{held}]")
        lines += [f"    {text}" for text in (*record.members, *record.accounts)]
    return ["", title, *lines] if lines else []


def _child_lines(children: Iterable[FamilyChild]) -> list[str]:
    lines: list[str] = []
    for child in children:
        lines.append(f"  {child.name} {child.code}: {child.attendance}")
        lines += [f"    {'+' if k.counts else '-'} {k.contact_type}: {k.label}: {k.standing}" for k in child.links]
    return ["", "Children", *lines] if lines else []
