"""What changed for the people of a plan since the last accepted snapshot, and which change most of them share. Pure.

An objection leads to the fix first, so the cause is named in the words of the admin system: a contact type's flag, an
exit date, a status, a relationship.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from connector.model import Enrolment, Relationship
from connector.reconcile.baseline import Baseline
from connector.reconcile.plan_values import Revocation
from connector.reconcile.school import School
from connector.reconcile.text import fold

_SHARED = 0.5
"""A factor is called common from this share of the rows on."""


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One change one person may share with others: a factor `key=value`, and what became of it."""

    key: str
    value: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """The factor most rows share, how many they are, and of how many."""

    change: Change
    rows: tuple[Revocation, ...]
    of: int

    def sentence(self, since: str) -> str:
        """Say it: "118 of 131 share contact type Stepmother, flag yes→no since 20 Nov"."""
        factor = f"{self.change.key.replace('_', ' ')} {self.change.value}"
        when = f" since {since}" if since and self.change.text else ""
        text = f", {self.change.text}" if self.change.text else ""
        return f"{len(self.rows):,} of {self.of:,} share {factor}{text}{when}."


def common_cause(rows: Sequence[Revocation], school: School, baseline: Baseline | None) -> Cause | None:
    """Name the change most rows share since the baseline; without one, the fact most of them share."""
    if len(rows) < 2:  # noqa: PLR2004 - nothing is common to one row
        return None
    before = baseline.school if baseline else None
    changed = _most_shared(rows, {r.key: _changes(r, before, school) for r in rows}) if before else None
    return changed or _most_shared(rows, {r.key: [Change(k, v) for k, v in r.factors if k != "portal"] for r in rows})


def _most_shared(rows: Sequence[Revocation], changes: dict[str, list[Change]]) -> Cause | None:
    counts = Counter(change for row in rows for change in dict.fromkeys(changes[row.key]))
    if not counts:
        return None
    most = max(counts.values())
    first = min(c for c, n in counts.items() if n == most)
    if most < 2 or most < _SHARED * len(rows):  # noqa: PLR2004 - nothing is common to one row
        return None
    return Cause(first, tuple(r for r in rows if first in changes[r.key]), len(rows))


def _changes(row: Revocation, before: School, now: School) -> list[Change]:
    """Give what changed for one person between two readings; a record that is gone says all there is."""
    person_id = row.person_id or ""
    found = list(_person_changes(person_id, before, now))
    if person_id not in now.people:
        return found
    found += _flag_changes(person_id, before, now)
    found += _relationship_changes(person_id, before, now)
    found += _enrolment_changes(person_id, before, now)
    found += _role_changes(person_id, before, now)
    return found


def _person_changes(person_id: str, before: School, now: School) -> Iterable[Change]:
    old, new = before.people.get(person_id), now.people.get(person_id)
    if old and new is None:
        yield Change("record", "gone", "no longer in the admin system")
    if old and new and old.status is not new.status:
        yield Change("status", new.status, f"status {old.status}→{new.status}")
    if old and new and old.code != new.code:
        yield Change("contact_code", "changed", "contact code changed")
    if old and new and fold(old.email) != fold(new.email):
        yield Change("e-mail", "changed", "e-mail changed")


def flag_text(name: str, before: School, now: School) -> str:
    """Say how a contact type's flag changed; empty where it did not."""
    old, new = before.flags.get(fold(name)), now.flags.get(fold(name))
    words = {True: "yes", False: "no", None: "not listed"}
    return "" if old is new else f"flag {words[old]}→{words[new]}"


def _flag_changes(person_id: str, before: School, now: School) -> Iterable[Change]:
    for relationship in now.relationships.get(person_id, ()):
        text = flag_text(relationship.contact_type, before, now) if relationship.portal_access is None else ""
        if text:
            yield Change("contact_type", relationship.contact_type, text)


def _relationship_changes(person_id: str, before: School, now: School) -> Iterable[Change]:
    old = {(r.student_id, r.contact_type): r for r in before.relationships.get(person_id, ())}
    new = {(r.student_id, r.contact_type): r for r in now.relationships.get(person_id, ())}
    for key, was in old.items():
        if key not in new:
            yield Change("relationship", "removed", "the relationship is gone")
            yield Change("contact_type", was.contact_type, "relationships removed")
        else:
            yield from _one_relationship(was, new[key])


def _one_relationship(was: Relationship, now: Relationship) -> Iterable[Change]:
    words = {True: "yes", False: "no", None: "blank"}
    if now.ended_on != was.ended_on and now.ended_on:
        yield Change("relationship_ended_on", now.ended_on.isoformat(), "relationship ended")
    if now.restricted and not was.restricted:
        yield Change("restricted", "yes", "restricted no→yes")
    if now.portal_access is not was.portal_access:
        text = f"portal access {words[was.portal_access]}→{words[now.portal_access]}"
        yield Change("portal_access", words[now.portal_access], text)


def _enrolment_changes(person_id: str, before: School, now: School) -> Iterable[Change]:
    for relationship in now.relationships.get(person_id, ()):
        student = relationship.student_id
        old, new = before.enrolments.get(student, []), now.enrolments.get(student, [])
        if old and not new:
            yield Change("enrolment", "removed", "all enrolments of the student are gone")
        if not all(e.entry_date for e in new) and all(e.entry_date for e in old):
            yield Change("entry_date", "removed", "entry dates are gone")
        for enrolment in new:
            if enrolment.exit_date and not _had_exit(enrolment, old):
                yield Change("exit_date", enrolment.exit_date.isoformat(), f"exit date {enrolment.exit_date} was set")
                yield Change("exit_reason", enrolment.exit_reason, "exit dates were set")


def _had_exit(enrolment: Enrolment, old: Sequence[Enrolment]) -> bool:
    return any(e.entry_date == enrolment.entry_date and e.exit_date == enrolment.exit_date for e in old)


def _role_changes(person_id: str, before: School, now: School) -> Iterable[Change]:
    for role in before.roles_in_force(person_id) - now.roles_in_force(person_id):
        name = next((g.role for g in before.grants.get(person_id, ()) if fold(g.role) == role), role)
        yield Change("role", name, "role ended or removed")
