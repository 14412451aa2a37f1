"""Whatever else somebody means: an account by GUID or username, an open revocation by number or person. Pure.

It never guesses: two answers are an error, as no answer is.
"""

from collections.abc import Sequence

from connector.errors import UnknownPerson
from connector.reconcile.journal_values import OpenLeg
from connector.reconcile.judge import Judgement
from connector.reconcile.text import fold, fold_id
from connector.reconcile.wording import clean


def find_account(judgement: Judgement, text: str) -> tuple[str, str]:
    """Find one account by GUID or username; give directory and GUID. Raises UnknownPerson."""
    wanted = fold(text)
    found = [
        (a.directory, a.guid)
        for reading in judgement.snapshot.directories
        for a in reading.accounts
        if wanted in (a.guid, fold(a.username))
    ]
    if len(found) != 1:
        raise UnknownPerson(
            f"{len(found) or 'No'} accounts answer to {clean(text)!r}.",
            "Give the GUID: connector family CODE shows it.",
        )
    return found[0]


def find_open(legs: Sequence[OpenLeg], text: str) -> int | str:
    """Find what is open by revocation number (12 or #12), person_id, code or key. Raises UnknownPerson for several."""
    typed = text.strip()
    numbers = {leg.revocation_id for leg in legs if typed.removeprefix("#") == str(leg.revocation_id)}
    people = {leg.key for leg in legs if typed in (leg.key, leg.person_id) or fold_id(typed) == fold_id(leg.code)}
    if len(numbers) + len(people) > 1:
        raise UnknownPerson(
            f"{clean(typed)!r} is a revocation's number and a person, or several people.",
            "Give the number with its mark, as '#12', or the person's other name.",
        )
    found: list[int | str] = [*numbers, *people]
    return found[0] if found else typed
