"""What is due after an urgent termination, and the codes an authority gives for it. Pure values and plain sentences.

What is ours closes on the requester's word; an authority role signs afterwards. Nothing here proves anybody, and no
sentence carries a code.
"""

import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from enum import StrEnum

from connector.reconcile.text import fold
from connector.reconcile.wording import clean, moment

CODE_MINUTES = 15
"""How long a one-time code is good for."""

TRIES = 5
"""How many wrong tries one operator has within `CODE_MINUTES`."""

ONE_TIME_LENGTH, SEALED_LENGTH = 8, 16
_GROUP = 4
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: nothing in it is misheard or misread for something else in it."""

_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1"})


class CodeKind(StrEnum):
    """`one-time` is bound to requester, person and action; `sealed` was printed in advance and raises an alarm."""

    ONE_TIME = "one-time"
    SEALED = "sealed"


class Action(StrEnum):
    """What a one-time code allows."""

    COUNTERSIGN = "countersign"


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the human an urgent termination is about."""

    key: str
    person_id: str | None
    code: str
    name: str

    @property
    def label(self) -> str:
        """Name and code, or what there is of them."""
        name = clean(self.name) or self.key
        return f"{name} ({clean(self.code)})" if self.code and self.code != name else name


@dataclass(frozen=True, slots=True)
class Asked:
    """An urgent termination as it was ordered: by whom, why, when, and of whom."""

    operator: str
    reason: str
    contact_type: str
    commanded_at: datetime
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """The authority's word on an urgent termination."""

    by: str
    role: str
    how: str
    at: datetime

    @property
    def sentence(self) -> str:
        """Who signed, as which role, how and when."""
        role = f" ({clean(self.role)})" if self.role else ""
        return f"{clean(self.by)}{role}, {moment(self.at)}, {self.how}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The authority's word that they do not countersign. It opens nothing: that takes two people."""

    by: str
    role: str
    reason: str
    at: datetime

    @property
    def sentence(self) -> str:
        """Who refused, as which role and when; never why."""
        role = f" ({clean(self.role)})" if self.role else ""
        return f"{clean(self.by)}{role}, {moment(self.at)}"


@dataclass(frozen=True, slots=True)
class StoredTermination:
    """An urgent termination as the journal has it. `finished_at` is none while it runs, or where it was cut off."""

    number: int
    operator: str
    reason: str
    contact_type: str
    commanded_at: datetime
    due_at: datetime
    records: tuple[Record, ...]
    finished_at: datetime | None = None
    last_session_at: datetime | None = None
    signature: Signature | None = None
    refusal: Refusal | None = None

    @property
    def label(self) -> str:
        """Whom it is about."""
        return self.records[0].label if self.records else f"urgent termination {self.number}"

    def local(self, zone: tzinfo) -> "StoredTermination":
        """Give it with the times people are told at those of a zone."""
        refusal = replace(self.refusal, at=self.refusal.at.astimezone(zone)) if self.refusal else None
        return replace(self, due_at=self.due_at.astimezone(zone), refusal=refusal)

    def is_overdue(self, now: datetime) -> bool:
        """Whether the countersignature should be there by now and is not."""
        return self.signature is None and self.refusal is None and now > self.due_at


@dataclass(frozen=True, slots=True)
class Alarm:
    """A sealed code was used, and no authority has said yet that they know."""

    number: int
    made_by: str
    used_by: str
    used_at: datetime
    termination: int

    @property
    def sentence(self) -> str:
        """What happened."""
        return (
            f"ALARM: sealed code {self.number} (printed by {clean(self.made_by)}) was used by {clean(self.used_by)} "
            f"on {moment(self.used_at)} for urgent termination {self.termination}."
        )


ACKNOWLEDGE = "connector authority acknowledge --as NAME"


@dataclass(frozen=True, slots=True)
class Due:
    """What an authority role still has to say a word on, and what they refused. Times are the database's.

    `refused` are those whose people are still blocked, and were not ordered to be closed anew since.
    """

    now: datetime
    unsigned: tuple[StoredTermination, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    refused: tuple[StoredTermination, ...] = ()

    def local(self, zone: tzinfo) -> "Due":
        """Give it with the times people are told at those of a zone."""
        alarms = tuple(replace(alarm, used_at=alarm.used_at.astimezone(zone)) for alarm in self.alarms)
        unsigned, refused = (tuple(t.local(zone) for t in some) for some in (self.unsigned, self.refused))
        return Due(self.now, unsigned, alarms, refused)

    @property
    def overdue(self) -> tuple[StoredTermination, ...]:
        """The countersignatures that should be there by now."""
        return tuple(t for t in self.unsigned if t.is_overdue(self.now))

    def sentences(self) -> tuple[tuple[str, str], ...]:
        """Say everything that is due, the alarms first, each with what to type."""
        alarms = [(alarm.sentence, ACKNOWLEDGE) for alarm in self.alarms]
        alarms += [(refused_sentence(t), reopening(t)) for t in self.refused]
        unsigned = sorted(self.unsigned, key=lambda t: t.due_at)
        return (*alarms, *((due_sentence(t, self.now), signing(t)) for t in unsigned))


def due_sentence(termination: StoredTermination, now: datetime) -> str:
    """Say that a countersignature is due, or overdue."""
    state = "OVERDUE since" if termination.is_overdue(now) else "due until"
    number = termination.number
    unfinished = "" if termination.finished_at else f" It is going, or was interrupted: connector certificate {number}"
    return (
        f"Urgent termination {number} of {termination.label}, ordered by {clean(termination.operator)}: "
        f"countersignature {state} {moment(termination.due_at)}.{unfinished}"
    )


def refused_sentence(termination: StoredTermination) -> str:
    """Say to who ordered it that the countersignature was refused, and that nothing was opened by that."""
    said = termination.refusal.sentence if termination.refusal else ""
    number = termination.number
    return (
        f"ALARM: the countersignature of urgent termination {number} of {termination.label}, ordered by "
        f"{clean(termination.operator)}, was refused by {said}. Nothing was opened: the person stays out. "
        f"Why: connector certificate {number}. If the authority is right, open again; if not, order it anew."
    )


def reopening(termination: StoredTermination) -> str:
    """Give what is typed to let somebody in again after a refusal: it takes two people."""
    whom = next((r.code or r.person_id or r.key for r in termination.records), "PERSON")
    typed = shlex.quote(clean(whom))
    return f"connector unblock {typed} --second NAME; connector restore {typed} --second NAME --apply"


def signing(termination: StoredTermination) -> str:
    """Give what an authority types to countersign."""
    return f"connector authorise {termination.number} --as NAME"


def has_authority(role: str, roles: Collection[str]) -> bool:
    """Say whether an operator's role is an authority role."""
    return bool(fold(role)) and fold(role) in {fold(each) for each in roles}


def is_same_user(name: str, acting: str) -> bool:
    """Say whether two names of users are one user's, whatever their case, host and domain."""
    return _bare(name) == _bare(acting)


def _bare(name: str) -> str:
    return fold(name.rpartition("\\")[2].partition("@")[0])


def grouped_code(code: str) -> str:
    """Give a code as it is read out: in groups of four."""
    return "-".join(code[at : at + _GROUP] for at in range(0, len(code), _GROUP))


def typed_code(text: str) -> str:
    """Give a code as it was made, from what somebody typed: without marks, and with what is easily misread mended."""
    return "".join(c for c in text.upper() if c.isalnum()).translate(_MISREAD)


def code_content(kind: CodeKind, code: str, bound_to: Sequence[str]) -> list[str]:
    """Give what a code's hash is taken of: the code and all it is bound to."""
    return [kind.value, code, *bound_to]


def keys_of(records: Iterable[Record]) -> tuple[str, ...]:
    """Give the keys of records, each once."""
    return tuple(dict.fromkeys(record.key for record in records))
