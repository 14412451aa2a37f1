"""How facts are said to people: by name, without control characters, and discreetly outside the authority role.

Everything a person reads passes here. Outside the authority role `restricted` and `blocked` read `access-ended`, and no
sentence may tell the difference. Pure.
"""

import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from connector.model import Reason, Status
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decision, Decisions
from connector.reconcile.plan import code_of, username_of
from connector.reconcile.plan_values import Evidence

ACCESS_ENDED = "access-ended"
_ENDED_SENTENCE = "the authority role knows why"
RESTRICTED_CHILD = "restricted-child"
"""What the evidence of a person restricted for some children and not all is about."""

_CONFIDENTIAL = frozenset({Reason.RESTRICTED, Reason.BLOCKED})
_TELLING = re.compile(
    r"(?<![^\W_])(restrict(ed|ing|ions?|s)?|(court|restraining|protection)[\W_]*order(s|ed)?|custod(y|ial)|injunctions?"
    r"|barred|barring|bars|(un)?block(ed|ing|s)?)(?![^\W_])",
    re.IGNORECASE,
)
_JOINERS = frozenset("\u200c\u200d")
"""The only invisible characters names are written with (Persian, Indic scripts). All others only deceive: they turn the
order of what follows, or make two names look alike."""


@dataclass(frozen=True, slots=True)
class Who:
    """An identity as people name it. `typed` is what to type on the command line, quoted where a shell needs it."""

    key: str
    person_id: str | None
    code: str
    name: str
    username: str
    shares_code: bool = False

    @property
    def label(self) -> str:
        """Name and code, or what there is of them."""
        name = self.name or self.username or self.key
        return f"{name} ({self.code})" if self.code and self.code != name else name

    @property
    def typed(self) -> str:
        """The shortest safe argument: a plain contact code of nobody else, else the person_id, else the quoted key."""
        for text in ("" if self.shares_code else self.code, self.person_id or ""):
            if text and text.replace("-", "").replace("_", "").isalnum() and not text.startswith("-"):
                return text
        return shlex.quote(self.key)


def who(identity: Identity) -> Who:
    """Name an identity: by its record, else by what member or account still say."""
    bare = Decision(identity, Status.NONE)
    names = [m.name for m in identity.members] + [a.account.name for a in identity.accounts]
    name = identity.person.name if identity.person else next((n for n in names if n), "")
    code, username = clean(code_of(bare)), clean(username_of(bare))
    return Who(identity.key, identity.person_id, code, clean(name), username, identity.shares_code)


def label_of(decisions: Decisions, person_id: str) -> str:
    """Name somebody of the admin system by person_id: name and code, or the id where there is no record."""
    person = decisions.school.people.get(person_id)
    if person is None:
        return clean(person_id)
    return clean(f"{person.name} ({person.code})" if person.name else person.code or person_id)


def clean(text: str) -> str:
    """Take out control characters, line breaks and marks that turn writing around: nothing here forges a line."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(" " if c.isspace() else c for c in text if c.isspace() or _is_shown(c))


def _is_shown(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in ("Cc", "Cf", "Cs")


def said(text: str, discreet: bool) -> str:
    """Give a sentence of the journal or a target; a discreet one never tells a court order or a block."""
    read = clean(text)  # as it will be read: what clean takes out could hide a word from us, and show it to readers
    return _ENDED_SENTENCE if discreet and _TELLING.search(read) else read


def reason_word(reason: Reason, discreet: bool) -> str:
    """Give the word for a reason."""
    return ACCESS_ENDED if discreet and reason in _CONFIDENTIAL else reason.value


def reason_words(reasons: Iterable[Reason], discreet: bool) -> tuple[str, ...]:
    """Give the words for reasons, each once, in order."""
    return tuple(dict.fromkeys(reason_word(r, discreet) for r in reasons))


def spoken(evidence: Evidence, discreet: bool) -> Evidence:
    """Give one piece of evidence as it may be said."""
    if discreet and (evidence.about in _CONFIDENTIAL or evidence.about == RESTRICTED_CHILD):
        return Evidence(ACCESS_ENDED, _ENDED_SENTENCE)
    return Evidence(evidence.about, clean(evidence.text))


def spoken_all(evidence: Iterable[Evidence], discreet: bool) -> tuple[Evidence, ...]:
    """Give evidence as it may be said, each piece once."""
    return tuple(dict.fromkeys(spoken(e, discreet) for e in evidence))


def listed(texts: Sequence[str], last: str = "and") -> str:
    """Join texts as people do: a, b and c."""
    if len(texts) < 2:  # noqa: PLR2004 - one text needs no joining
        return "".join(texts)
    return f"{', '.join(texts[:-1])} {last} {texts[-1]}"


def counted(number: int, one: str, many: str = "") -> str:
    """Give a number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def day(when: date | None) -> str:
    """Give a date for people and machines alike; none is `no end known`."""
    return when.isoformat() if when else "no end known"


def moment(when: datetime | None) -> str:
    """Give a time to the minute as its own zone has it, and which zone that is; none is empty."""
    return f"{when:%Y-%m-%d %H:%M}{zone_mark(when)}" if when else ""


def zone_mark(when: datetime) -> str:
    """Give what stands behind a time: its zone's abbreviation where there is one (CET, NZDT), else its offset."""
    name, offset = when.tzname() or "", f"{when:%z}"
    return f" {name}" if name.isalpha() else f" {offset[:3]}:{offset[3:5]}" if offset else ""


def zone_name(when: datetime) -> str:
    """Name the zone a time is in, as a config does: Europe/Berlin."""
    return str(getattr(when.tzinfo, "key", "") or when.tzname() or "")
