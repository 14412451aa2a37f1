"""Whoever somebody means: by id, contact code, username, e-mail, mobile, name or child. Pure.

It never guesses: one level of likeness after the other, everybody who answers on the first level that has an answer,
and nobody at all is an error that names the nearest.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from connector.errors import UnknownPerson
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decision, Decisions
from connector.reconcile.text import fold, fold_id
from connector.reconcile.wording import clean, label_of, who

_UNDECOMPOSED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ß": "ss", "æ": "ae", "œ": "oe", "\u0131": "i", "ħ": "h"}
)
_MARKS_INSIDE_NAMES = str.maketrans("", "", "'`\u00b4\u2018\u2019\u02bc")
_LOST = frozenset({"\ufffd", *map(chr, range(0xD800, 0xE000))})
"""What stands for a character that could not be read. Without it "Jos\u00e9" would lead to a Josephine."""

_SHORTEST_MOBILE = 6
_NATIONAL_DIGITS = 8
_NEAREST = 5
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Found:
    """Somebody who answers. `by` says on what; `decision` is none where nothing is decided about them (a student)."""

    identity: Identity
    by: str
    decision: Decision | None = None

    @property
    def key(self) -> str:
        """The identity's key."""
        return self.identity.key

    @property
    def label(self) -> str:
        """Name and code."""
        return who(self.identity).label


def find(decisions: Decisions, text: str) -> tuple[Found, ...]:
    """Give everybody who answers to what was typed. Raises UnknownPerson, with the nearest, where nobody does."""
    typed = " ".join(text.split())
    if not typed:
        raise UnknownPerson("Nobody was named.", "Type a contact code, name, username, e-mail, mobile or child.")
    if any(character in _LOST for character in typed):
        told = f"{clean(typed)!r} is not as it was written: a character of it was lost on the way."
        raise UnknownPerson(told, "Type the contact code, or the name anew.")
    decided = decisions.by_key()
    for by, answers in _LEVELS:
        hits = [i for i in decisions.correlation.identities if answers(i, typed)]
        if hits:
            return _found(hits, by, decisions, decided)
    raise _unknown(decisions, typed)


def find_one(decisions: Decisions, text: str) -> Decision:
    """Give the one decision that answers. Raises UnknownPerson where nobody or several do, or nothing is decided."""
    found = find(decisions, text)
    decided = [f.decision for f in found if f.decision]
    if len(decided) == 1:
        return decided[0]
    if decided:
        named = [f"{f.label}, id {f.key}" for f in found if f.decision][:_MOST_NAMED]
        more = f" and {len(decided) - len(named)} more" if len(decided) > len(named) else ""
        told = f"{len(decided)} people answer to {clean(text)!r}: {'; '.join(named)}{more}."
        raise UnknownPerson(told, "Give the id, or a contact code that only one of them has.")
    raise UnknownPerson(f"{found[0].label} is nobody's contact and in no governed portal.", "Nothing is decided there.")


def _found(
    hits: Iterable[Identity], by: str, decisions: Decisions, decided: Mapping[str, Decision]
) -> tuple[Found, ...]:
    """Put the contacts of a child in the child's place; a student somebody decides about stands for itself too."""
    found: dict[str, Found] = {}
    students = decisions.school.student_records
    for hit in hits:
        if hit.key not in students or hit.key in decided:
            found.setdefault(hit.key, Found(hit, by, decided.get(hit.key)))
    identities = decisions.correlation.by_key()
    for child in (h for h in hits if h.key in decisions.school.contacts_of):
        for relationship in decisions.school.contacts_of[child.key]:
            if contact := identities.get(relationship.contact_id):
                why = f"child {label_of(decisions, child.key)}"
                found.setdefault(contact.key, Found(contact, why, decided.get(contact.key)))
    alone = [Found(h, by) for h in hits if h.key in students and h.key not in decisions.school.contacts_of]
    return (*found.values(), *(a for a in alone if a.key not in found))


def _by_id(identity: Identity, typed: str) -> bool:
    return typed in (identity.person_id, identity.key)


def _by_code(identity: Identity, typed: str) -> bool:
    """By the contact code of today; where there is no record, by the code that member or account still carry."""
    if identity.person:
        return fold_id(identity.person.code) == fold_id(typed)
    codes = [m.code for m in identity.members] + [a.account.employee_id for a in identity.accounts]
    return any(c and fold_id(c) == fold_id(typed) for c in codes)


def _by_previous_code(identity: Identity, typed: str) -> bool:
    return identity.person is not None and fold_id(typed) in map(fold_id, identity.person.previous_codes)


def _by_username(identity: Identity, typed: str) -> bool:
    names = [m.username for m in identity.members] + [a.account.username for a in identity.accounts]
    return any(n and fold(n) == fold(typed) for n in names)


def _by_email(identity: Identity, typed: str) -> bool:
    mails = [identity.person.email if identity.person else "", *(a.account.email for a in identity.accounts)]
    return "@" in typed and any(m and fold(m) == fold(typed) for m in mails)


def _by_mobile(identity: Identity, typed: str) -> bool:
    """By its digits; with and without the country's prefix is the same number."""
    if identity.person is None or not identity.person.mobile or set(typed) - set("0123456789 +-()./"):
        return False
    mine, asked = (_digits(identity.person.mobile), _digits(typed))
    if len(asked) < _SHORTEST_MOBILE or not mine:
        return False
    short, long = sorted((mine, asked), key=len)
    return short == long or (len(short) >= _NATIONAL_DIGITS and long.endswith(short))


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text)).lstrip("0")


def _by_whole_name(identity: Identity, typed: str) -> bool:
    wanted = sorted(name_parts(typed))
    return bool(wanted) and any(sorted(name_parts(name)) == wanted for name in _names(identity))


def _by_name_parts(identity: Identity, typed: str) -> bool:
    wanted = name_parts(typed)
    return bool(wanted) and any(set(wanted) <= set(name_parts(name)) for name in _names(identity))


def _by_beginnings(identity: Identity, typed: str) -> bool:
    wanted = name_parts(typed)
    return bool(wanted) and any(
        all(any(part.startswith(w) for part in name_parts(name)) for w in wanted) for name in _names(identity)
    )


def _names(identity: Identity) -> Iterable[str]:
    if identity.person:
        return (identity.person.name,)
    return (n for n in (*(m.name for m in identity.members), *(a.account.name for a in identity.accounts)) if n)


def name_parts(text: str) -> tuple[str, ...]:
    """Give the parts of a name for comparing: no accents, no marks, no case."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_MARKS_INSIDE_NAMES)).translate(_UNDECOMPOSED)
    letters = "".join(c if c.isalnum() else " " for c in plain if not unicodedata.combining(c))
    return tuple(letters.split())


_LEVELS: tuple[tuple[str, Callable[[Identity, str], bool]], ...] = (
    ("person_id", _by_id),
    ("contact code", _by_code),
    ("username", _by_username),
    ("e-mail", _by_email),
    ("mobile", _by_mobile),
    ("previous contact code", _by_previous_code),
    ("name", _by_whole_name),
    ("part of the name", _by_name_parts),
    ("beginning of the name", _by_beginnings),
)


def _unknown(decisions: Decisions, typed: str) -> UnknownPerson:
    near = _nearest(decisions, typed)
    remedy = f"Nearest: {'; '.join(near)}." if near else "Try the contact code, the e-mail, or a child's name."
    return UnknownPerson(f"Nobody answers to {clean(typed)!r}.", remedy)


def _nearest(decisions: Decisions, typed: str) -> Sequence[str]:
    """Give the labels of those whose name, code or username is most like what was typed."""
    known: dict[str, str] = {}
    for identity in decisions.correlation.identities:
        called = who(identity)
        for text in (" ".join(name_parts(called.name)), fold(called.code), fold(called.username)):
            known.setdefault(text, called.label)
    asked = " ".join(name_parts(typed)) or fold(typed)
    return tuple(dict.fromkeys(known[m] for m in get_close_matches(asked, [k for k in known if k], n=_NEAREST)))
