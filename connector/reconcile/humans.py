"""Which records are the same human. Pure. A shared mailbox alone proves nothing, two blanks prove nothing.

Two records are the same human where non-blank e-mail and non-blank full name are equal, or where one lists the other's
contact code in its `previous_codes` (unless a third, active record holds that code today). Transitive. A student record
never stands for a contact.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from connector.model import Person, PersonStatus
from connector.reconcile.text import fold


class _Groups:
    """Union-find over person ids."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def root(self, item: str) -> str:
        parent = self._parent
        while (above := parent.get(item, item)) != item:
            parent[item] = parent.get(above, above)
            item = above
        return item

    def join(self, one: str, other: str) -> None:
        first, second = sorted((self.root(one), self.root(other)))
        self._parent[second] = first
        self._parent.setdefault(first, first)

    def members(self, items: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Give each joined item's whole group, in the order of `items`."""
        groups: dict[str, list[str]] = defaultdict(list)
        for item in items:
            if item in self._parent:  # hardly anybody is joined
                groups[self.root(item)].append(item)
        return {item: tuple(group) for group in groups.values() if len(group) > 1 for item in group}


def same_humans(
    people: Sequence[Person], codes: Mapping[str, Sequence[str]], student_records: frozenset[str]
) -> dict[str, tuple[str, ...]]:
    """Give, for each person_id that is not alone, all person_ids of the same human (itself included).

    `codes` maps each folded contact code to the person_ids that hold it today.
    """
    groups = _Groups()
    _join_by_mail_and_name(people, student_records, groups)
    by_id = {p.person_id: p for p in people}
    for person in people:
        if person.previous_codes and person.person_id not in student_records:
            for code in person.previous_codes:
                _join_by_code(person, codes.get(fold(code), ()), by_id, student_records, groups)
    return groups.members(p.person_id for p in people)


def _join_by_mail_and_name(people: Sequence[Person], student_records: frozenset[str], groups: _Groups) -> None:
    first_with: dict[str, Person] = {}
    named: dict[tuple[str, str], str] = {}
    for person in people:
        if not person.email or person.person_id in student_records or not (mail := fold(person.email)):
            continue
        first = first_with.setdefault(mail, person)
        if first is person:  # names are compared only where a mailbox is shared
            continue
        for one in (first, person):
            name = fold(one.name)
            before = named.setdefault((mail, name), one.person_id) if name else one.person_id
            if before != one.person_id:
                groups.join(before, one.person_id)


def _join_by_code(
    person: Person, holders: Sequence[str], by_id: Mapping[str, Person], students: frozenset[str], groups: _Groups
) -> None:
    others = [h for h in holders if h != person.person_id]
    for other in others:
        taken = any(by_id[h].status is PersonStatus.ACTIVE for h in others if h != other)
        if not taken and other not in students:
            groups.join(person.person_id, other)
