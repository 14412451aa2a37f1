"""What changed in the admin system since the last accepted snapshot, person by person. Pure, and bounded.

It lists what was read, never what is done about it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from connector.model import Enrolment, Relationship
from connector.reconcile.baseline import Baseline
from connector.reconcile.decide import Decisions
from connector.reconcile.entitlement import is_current
from connector.reconcile.school import School
from connector.reconcile.wording import ACCESS_ENDED, clean, counted

MOST = 1_000
"""How many lines are given before the rest is only counted."""


class ChangeKind(StrEnum):
    """What changed, in the order changes are listed."""

    NO_BASELINE = "no-baseline"
    RULE = "contact-type"
    RESTRICTION = "restriction"
    LEFT = "left"
    JOINED = "joined"
    STATUS = "status"
    CODE = "code"
    RECORD = "record"
    RELATIONSHIP = "relationship"
    PORTAL_ACCESS = "portal-access"
    ENROLMENT = "enrolment"
    ROLE = "role"
    MORE = "more"


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One change. `person_id` is empty for a change of the whole school."""

    kind: ChangeKind
    person_id: str
    code: str
    name: str
    text: str


def changes(
    before: Baseline | None, decisions: Decisions, *, discreet: bool = False, most: int = MOST
) -> tuple[ChangeLine, ...]:
    """Give what changed since the last accepted snapshot; one line says so where there is none."""
    if before is None:
        text = "there is no accepted run to compare with"
        return (ChangeLine(ChangeKind.NO_BASELINE, "", "", "", text),)
    old, new = School(before.people, before.rules, before.as_of), decisions.school
    found = [line for look in _LOOKS for line in look(old, new)]
    if discreet:
        found = [_discreetly(line) for line in found]
    order = {kind: place for place, kind in enumerate(ChangeKind)}
    found.sort(key=lambda line: (order[line.kind], line.code, line.person_id, line.text))
    if len(found) > most:
        left = counted(len(found) - most, "more change")
        return (*found[:most], ChangeLine(ChangeKind.MORE, "", "", "", f"and {left}"))
    return tuple(found)


def _discreetly(line: ChangeLine) -> ChangeLine:
    if line.kind is not ChangeKind.RESTRICTION:
        return line
    step = line.text.rpartition(" ")[2] if "→" in line.text else "no→yes"
    return ChangeLine(ChangeKind.RELATIONSHIP, line.person_id, line.code, line.name, f"{ACCESS_ENDED} {step}")


def _line(kind: ChangeKind, person_id: str, school: School, text: str) -> ChangeLine:
    person = school.people.get(person_id)
    code, name = (person.code, person.name) if person else ("", "")
    return ChangeLine(kind, clean(person_id), clean(code), clean(name), clean(text))


def _called(person_id: str, school: School) -> str:
    person = school.people.get(person_id)
    return f"{person.name} ({person.code})" if person else person_id


def _rules(old: School, new: School) -> Iterator[ChangeLine]:
    words = {True: "yes", False: "no", None: "not listed"}
    names = {t.name: None for t in (*old.reading.contact_types, *new.reading.contact_types)}
    was = {t.name: t.portal_access for t in old.reading.contact_types}
    now = {t.name: t.portal_access for t in new.reading.contact_types}
    for name in names:
        if was.get(name) is not now.get(name):
            text = f"contact type {name}: portal flag {words[was.get(name)]}→{words[now.get(name)]}"
            yield ChangeLine(ChangeKind.RULE, "", "", "", clean(text))


def _people(old: School, new: School) -> Iterator[ChangeLine]:
    for person_id in old.people.keys() - new.people.keys():
        yield _line(ChangeKind.LEFT, person_id, old, "no longer in the admin system")
    for person_id in new.people.keys() - old.people.keys():
        yield _line(ChangeKind.JOINED, person_id, new, "new in the admin system")
    for person_id, person in new.people.items():
        was = old.people.get(person_id)
        if was is None or was == person:
            continue
        if was.status is not person.status:
            yield _line(ChangeKind.STATUS, person_id, new, f"status {was.status}→{person.status}")
        if was.code != person.code:
            yield _line(ChangeKind.CODE, person_id, new, f"contact code {was.code}→{person.code}")
        for field in ("given_name", "family_name", "email", "mobile"):
            then, today = getattr(was, field), getattr(person, field)
            if then != today:
                title = field.replace("_", " ")
                yield _line(ChangeKind.RECORD, person_id, new, f"{title} {then or 'blank'}→{today or 'blank'}")


def _relationships(old: School, new: School) -> Iterator[ChangeLine]:
    was = {(r.contact_id, r.student_id, r.contact_type): r for r in old.reading.relationships}
    now = {(r.contact_id, r.student_id, r.contact_type): r for r in new.reading.relationships}
    for key, row in was.items():
        if key not in now:
            text = f"{row.contact_type or 'relationship'} of {_called(row.student_id, old)}: removed"
            yield _line(ChangeKind.RELATIONSHIP, row.contact_id, new if row.contact_id in new.people else old, text)
    for key, row in now.items():
        if (then := was.get(key)) is None:
            yield _new_relationship(row, new)
        elif then != row:
            yield from _one_relationship(then, row, new)


def _new_relationship(row: Relationship, new: School) -> ChangeLine:
    text = f"{row.contact_type or 'relationship'} of {_called(row.student_id, new)}: new"
    if row.restricted and is_current(row, new.as_of):
        return _line(ChangeKind.RESTRICTION, row.contact_id, new, f"{text}, restricted")
    return _line(ChangeKind.RELATIONSHIP, row.contact_id, new, text)


def _one_relationship(was: Relationship, now: Relationship, new: School) -> Iterator[ChangeLine]:
    subject = f"{now.contact_type or 'relationship'} of {_called(now.student_id, new)}"
    words = {True: "yes", False: "no", None: "blank"}
    if was.restricted is not now.restricted:
        text = f"{subject}: restricted {words[was.restricted]}→{words[now.restricted]}"
        yield _line(ChangeKind.RESTRICTION, now.contact_id, new, text)
    if was.ended_on != now.ended_on:
        ended = f"ended on {now.ended_on}" if now.ended_on else "no longer ended"
        yield _line(ChangeKind.RELATIONSHIP, now.contact_id, new, f"{subject}: {ended}")
    if was.portal_access is not now.portal_access:
        text = f"{subject}: own portal access {words[was.portal_access]}→{words[now.portal_access]}"
        yield _line(ChangeKind.PORTAL_ACCESS, now.contact_id, new, text)


def _enrolments(old: School, new: School) -> Iterator[ChangeLine]:
    for student in old.enrolments.keys() | new.enrolments.keys():
        was, now = old.enrolments.get(student, []), new.enrolments.get(student, [])
        if was == now:
            continue
        by_entry = {e.entry_date: e for e in was}
        for enrolment in now:
            then = by_entry.pop(enrolment.entry_date, None)
            if then != enrolment:
                yield _line(ChangeKind.ENROLMENT, student, new, _enrolment_text(then, enrolment))
        for gone in by_entry.values():
            school = new if student in new.people else old
            yield _line(ChangeKind.ENROLMENT, student, school, f"enrolment from {gone.entry_date}: removed")


def _enrolment_text(was: Enrolment | None, now: Enrolment) -> str:
    if was is None:
        return f"enrolled from {now.entry_date or 'no date'}" + (f" to {now.exit_date}" if now.exit_date else "")
    why = f" ({now.exit_reason})" if now.exit_reason else ""
    return f"exit date {was.exit_date or 'none'}→{now.exit_date or 'none'}{why}"


def _roles(old: School, new: School) -> Iterator[ChangeLine]:
    was, now = set(old.reading.security_roles), set(new.reading.security_roles)
    for grant in was - now:
        school = new if grant.person_id in new.people else old
        text = f"role {grant.role}: {_span(grant.begins_on, grant.ends_on)} removed"
        yield _line(ChangeKind.ROLE, grant.person_id, school, text)
    for grant in now - was:
        text = f"role {grant.role}: {_span(grant.begins_on, grant.ends_on)}"
        yield _line(ChangeKind.ROLE, grant.person_id, new, text)


def _span(begins: object, ends: object) -> str:
    return f"{begins or 'ever'} to {ends or 'open'}"


_LOOKS = (_rules, _people, _relationships, _enrolments, _roles)
