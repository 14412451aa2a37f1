"""Which records are the same human. Pure. A shared mailbox alone proves nothing, two blanks prove nothing.

Two records are the same human where non-blank e-mail and non-blank full name are equal, or where one lists the other's
contact code in its `previous_codes` (unless a third, active record holds that code today). Transitive. A student record
never stands for a contact.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from connector.model import Person, PersonStatus
from connector.reconcile.text import fold, fold_id


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
    people: Mapping[str, Person],
    codes: Mapping[str, Sequence[str]],
    mails: Mapping[str, Sequence[str]],
    student_records: frozenset[str],
) -> dict[str, tuple[str, ...]]:
    """Give, for each person_id that is not alone, all person_ids of the same human (itself included).

    `codes` maps each folded contact code to the person_ids that hold it today, `mails` each folded non-blank e-mail.
    """
    groups = _Groups()
    for sharing in mails.values():
        if len(sharing) > 1:
            _join_by_name([people[p] for p in sharing if p not in student_records], groups)
    for person in people.values():
        if person.previous_codes and person.person_id not in student_records:
            for code in person.previous_codes:
                _join_by_code(person, codes.get(fold_id(code), ()), people, student_records, groups)
    return groups.members(people)


def _join_by_name(sharing: Iterable[Person], groups: _Groups) -> None:
    """Join those who share a mailbox and a full name."""
    first_with: dict[str, str] = {}
    for person in sharing:
        if name := fold(person.name):
            first = first_with.setdefault(name, person.person_id)
            if first != person.person_id:
                groups.join(first, person.person_id)


def _join_by_code(
    person: Person, holders: Sequence[str], people: Mapping[str, Person], students: frozenset[str], groups: _Groups
) -> None:
    others = [h for h in holders if h != person.person_id]
    for other in others:
        taken = any(people[h].status is PersonStatus.ACTIVE for h in others if h != other)
        if not taken and other not in students:
            groups.join(person.person_id, other)
