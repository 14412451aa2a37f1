"""Whose a contact code is, for a portal that names its members by code alone.

Today's holder goes before whoever held it earlier. What two people hold is refused by
name, never guessed.
"""

from collections.abc import Callable, Iterable, Mapping

from connector.model import Person
from connector.reconcile.text import fold_id

OF_NOBODY = "code "
"""What stands before a code that nobody holds, where a person_id would stand."""

WhoseCode = Callable[[str], str]
"""Gives the person_id for a code. Raises ValueError, with the sentence, where it is that of several people."""


def whose_code(people: Iterable[Person]) -> WhoseCode:
    """Give what tells whose a code is among these people; a code of nobody's is told as `code CODE`."""
    everybody = tuple(people)
    today = _holders((fold_id(p.code), p.person_id) for p in everybody if p.code.strip())
    before = _holders((fold_id(code), p.person_id) for p in everybody for code in p.previous_codes if code.strip())

    def whose(code: str) -> str:
        key = fold_id(code)
        holders = today.get(key) or before.get(key) or {}
        if len(holders) > 1:
            raise ValueError(f"{code} is the contact code of {len(holders)} people: {', '.join(sorted(holders))}")
        # Never the bare code: it could read like somebody's person_id.
        return next(iter(holders), f"{OF_NOBODY}{code.strip()}")

    return whose


def _holders(pairs: Iterable[tuple[str, str]]) -> Mapping[str, Mapping[str, None]]:
    found: dict[str, dict[str, None]] = {}
    for key, person_id in pairs:
        found.setdefault(key, {})[person_id] = None
    return found
