"""The people reading, indexed for deciding on one day. Pure; built once per decision, never changed.

`School` answers what entitlement, reasons and holds ask about a person: relationships as they stand, roles, records of
the same human.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from operator import attrgetter
from typing import TypeVar

from connector.model import Enrolment, PeopleReading, Person, Relationship, RoleGrant
from connector.policy import Rules
from connector.reconcile.entitlement import Attendance, Standing, attendance, is_current, role_in_force
from connector.reconcile.humans import same_humans
from connector.reconcile.memory import Block, Memory
from connector.reconcile.text import digits, fold, fold_id

NOBODY: frozenset[str] = frozenset()
Row = TypeVar("Row")


def grouped(rows: Iterable[Row], key: Callable[[Row], str]) -> dict[str, list[Row]]:
    """Group rows by a text key, keeping their order."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(groups)


def holders_of(values: Iterable[str], person_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Index non-blank values: which person_ids have each, each once, in order."""
    found: dict[str, tuple[str, ...]] = {}
    several: dict[str, dict[str, None]] = {}  # few have company, but a placeholder may stand on everybody
    for value, person_id in zip(values, person_ids, strict=True):
        if value:
            first = found.setdefault(value, (person_id,))[0]
            if first != person_id:
                several.setdefault(value, {first: None})[person_id] = None
    found.update((value, tuple(people)) for value, people in several.items())
    return found


@dataclass(frozen=True)
class School:
    """The admin system's people on `as_of`, with the blocks in force. `named` are the person_ids they name."""

    reading: PeopleReading
    rules: Rules
    as_of: date
    named: frozenset[str] = frozenset()

    @cached_property
    def people(self) -> Mapping[str, Person]:
        """Every person by person_id."""
        return {p.person_id: p for p in self.reading.people}

    @cached_property
    def _ids(self) -> list[str]:
        return [p.person_id for p in self.reading.people]

    @property
    def granted(self) -> Mapping[str, frozenset[str]]:
        """The portals of the people whose admin system is an identity provider."""
        return self.reading.granted

    @cached_property
    def by_code(self) -> Mapping[str, tuple[str, ...]]:
        """The person_ids that hold a (folded) contact code today."""
        return holders_of([fold_id(p.code) for p in self.reading.people], self._ids)

    @cached_property
    def by_previous_code(self) -> Mapping[str, tuple[str, ...]]:
        """The person_ids that had a (folded) contact code before."""
        had = [(fold_id(code), p.person_id) for p in self.reading.people for code in p.previous_codes]
        return holders_of([code for code, _ in had], [person_id for _, person_id in had])

    @cached_property
    def by_email(self) -> Mapping[str, tuple[str, ...]]:
        """The person_ids that have a (folded) e-mail."""
        return holders_of([fold(p.email) for p in self.reading.people], self._ids)

    @cached_property
    def by_mobile(self) -> Mapping[str, tuple[str, ...]]:
        """The person_ids that have a mobile number, compared by its digits."""
        return holders_of([digits(p.mobile) for p in self.reading.people], self._ids)

    @cached_property
    def relationships(self) -> Mapping[str, list[Relationship]]:
        """Each contact's relationships."""
        return grouped(self.reading.relationships, attrgetter("contact_id"))

    @cached_property
    def contacts_of(self) -> Mapping[str, list[Relationship]]:
        """Each student's relationships."""
        return grouped(self.reading.relationships, attrgetter("student_id"))

    @cached_property
    def enrolments(self) -> Mapping[str, list[Enrolment]]:
        """Each student's enrolments."""
        return grouped(self.reading.enrolments, attrgetter("student_id"))

    @cached_property
    def grants(self) -> Mapping[str, list[RoleGrant]]:
        """Each person's security roles, past and future ones too."""
        return grouped(self.reading.security_roles, attrgetter("person_id"))

    @cached_property
    def student_records(self) -> frozenset[str]:
        """Who stands in the reading as a student and as nobody's contact."""
        students = {e.student_id for e in self.reading.enrolments}
        students.update(r.student_id for r in self.reading.relationships)
        return frozenset(students.difference(r.contact_id for r in self.reading.relationships))

    @cached_property
    def flags(self) -> Mapping[str, bool]:
        """Each (folded) contact type's portal flag."""
        return {fold(t.name): t.portal_access for t in self.reading.contact_types}

    @cached_property
    def attendance(self) -> Mapping[str, Attendance]:
        """Whether each student with an enrolment is at the school."""
        return {s: attendance(rows, self.rules, self.as_of) for s, rows in self.enrolments.items()}

    @cached_property
    def humans(self) -> Mapping[str, tuple[str, ...]]:
        """For each record that is not alone: all records of the same human."""
        return same_humans(self.people, self.by_code, self.by_email, self.student_records)

    def same_human(self, person_id: str) -> tuple[str, ...]:
        """Give the other records of the same human."""
        return tuple(other for other in self.humans.get(person_id, ()) if other != person_id)

    @cached_property
    def blocked(self) -> frozenset[str]:
        """Whom a block keeps out: on any record of a human it holds on all of them, or a second one would evade it."""
        return frozenset(record for person_id in self.named for record in self.humans.get(person_id, (person_id,)))

    def blocked_as(self, person_id: str) -> tuple[str, ...]:
        """Give the records of this human that a block names; the record itself comes first."""
        records = (person_id, *self.same_human(person_id))
        return tuple(record for record in records if record in self.named)

    @cached_property
    def barred(self) -> Mapping[str, frozenset[str]]:
        """The students a current restriction bars each contact from, on any record of the same human."""
        bars: dict[str, set[str]] = defaultdict(set)
        for relationship in self.reading.relationships:
            if relationship.restricted and is_current(relationship, self.as_of):
                for record in self.humans.get(relationship.contact_id, (relationship.contact_id,)):
                    bars[record].add(relationship.student_id)
        return {record: frozenset(students) for record, students in bars.items()}

    @cached_property
    def denied(self) -> frozenset[str]:
        """Who holds the (deprecated) deny role in force."""
        deny = fold(self.rules.deny_role)
        if not deny:
            return frozenset()
        return frozenset(
            g.person_id for g in self.reading.security_roles if fold(g.role) == deny and role_in_force(g, self.as_of)
        )

    def flagged(self, relationship: Relationship) -> bool:
        """Say whether a relationship gives portal access: its own override, else its contact type's flag."""
        if relationship.portal_access is not None:
            return relationship.portal_access
        return self.flags.get(fold(relationship.contact_type), False)

    def standings(self, person_id: str) -> Sequence[Standing]:
        """Give each of a contact's relationships as it stands today."""
        barred = self.barred.get(person_id, frozenset())
        return [
            Standing(
                relationship=r,
                current=is_current(r, self.as_of),
                restricted=r.restricted or r.student_id in barred,
                flagged=self.flagged(r),
                attendance=self.attendance.get(r.student_id, Attendance.NO),
            )
            for r in self.relationships.get(person_id, ())
        ]

    @cached_property
    def _counting(self) -> frozenset[str]:
        """The contacts with a relationship that counts: the same as any `Standing.counts`, in one pass."""
        present = {s for s, attends in self.attendance.items() if attends is Attendance.YES}
        return frozenset(
            r.contact_id
            for r in self.reading.relationships
            if not r.restricted
            and r.student_id in present
            and is_current(r, self.as_of)
            and self.flagged(r)
            and r.student_id not in self.barred.get(r.contact_id, NOBODY)
        )

    def counting(self, person_id: str) -> bool:
        """Say whether one of a contact's relationships counts."""
        return person_id in self._counting

    @cached_property
    def _roles_in_force(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        alike: dict[frozenset[str], frozenset[str]] = {}  # thousands hold the same few roles: one set serves them all
        for grant in self.reading.security_roles:
            if role_in_force(grant, self.as_of):
                roles = found.get(grant.person_id, NOBODY) | {fold(grant.role)}
                found[grant.person_id] = alike.setdefault(roles, roles)
        return found

    def roles_in_force(self, person_id: str) -> frozenset[str]:
        """Give a person's security roles in force, folded."""
        return self._roles_in_force.get(person_id, NOBODY)

    def roles_ever(self, person_id: str) -> frozenset[str]:
        """Give every security role a person holds or held, folded; a role that begins later was not held yet."""
        return frozenset(
            fold(g.role) for g in self.grants.get(person_id, ()) if g.begins_on is None or g.begins_on <= self.as_of
        )


def blocks_on(person_id: str, school: School, memory: Memory) -> tuple[Block, ...]:
    """Give the blocks that keep a person out: on this record, then on others of the same human."""
    return tuple(memory.blocks[record] for record in school.blocked_as(person_id) if record in memory.blocks)
