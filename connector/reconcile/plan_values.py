"""What a plan is made of: values only, so that the journal can keep a plan and a person can read it.

A plan is the ordered, digested list of actions made from one snapshot. It is never edited: a different plan has a
different digest, and an approval fits one digest only.
"""

from dataclasses import dataclass
from datetime import date, datetime

from connector.model import Account, Hold, LegKind, Member, MemberStatus, Reason


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact a decision rests on. `about` is the reason, hold or part of the decision it supports."""

    about: str
    text: str


@dataclass(frozen=True, slots=True)
class PlannedLeg:
    """One effect on one target, and what it is conditional on.

    `target` is the name of a directory, portal or session store. `subject` is a GUID, a person_id or, for sessions, the
    user value. `before` is the account or member as planned; none where the target could not be read (`unread`).
    `portals` limits a sessions leg (none: all the store holds). `withheld` says why this leg alone is not driven
    (a protected account); empty means it is.
    """

    kind: LegKind
    target: str
    subject: str
    before: Account | Member | None = None
    clear_credential: bool = False
    disable_member: bool = False
    portals: tuple[str, ...] = ()
    unread: bool = False
    withheld: str = ""


@dataclass(frozen=True, slots=True)
class Revocation:
    """One row: an identity to close, why, what holds it, and its legs in the order they are driven.

    `key` is `Identity.key`. `basis` digests everything the row depends on: when it changes, the row is another row.
    `factors` are (key, value) facts rows may share: what limits are counted under and `--without KEY=VALUE` names.
    The holds of an urgent row withhold its directory leg only.
    """

    key: str
    person_id: str | None
    code: str
    name: str
    username: str
    reasons: tuple[Reason, ...]
    holds: tuple[Hold, ...]
    legs: tuple[PlannedLeg, ...]
    evidence: tuple[Evidence, ...]
    basis: str
    urgent: bool = False
    reported_only: bool = False
    factors: tuple[tuple[str, str], ...] = ()
    last_login: datetime | None = None

    def values(self, factor: str) -> tuple[str, ...]:
        """Give the row's values of one factor, such as its contact types."""
        return tuple(value for key, value in self.factors if key == factor)

    @property
    def applies(self) -> bool:
        """Whether `run` would drive at least one leg of this row now."""
        waits = bool(self.holds) and not self.urgent
        return not waits and not self.reported_only and any(not leg.withheld for leg in self.legs)


@dataclass(frozen=True, slots=True)
class Addition:
    """One entitled person to be added to a portal by the nightly run or a refresh."""

    portal: str
    person_id: str
    code: str
    name: str
    status: MemberStatus


@dataclass(frozen=True, slots=True)
class Objection:
    """A limit the plan breaks. `label` (`kind` or `kind:subject`) is what an approval waives by name.

    `text` says what happened, to whom, and the common factor; `fix` the mend in the source; `commands` what to type
    instead, the mend before the override. It stops the whole plan but urgent rows; with `stops_urgent` those too.
    `withholds` are the keys of urgent rows that wait all the same: what it objects to, and no order, would close them.
    """

    label: str
    text: str
    fix: str = ""
    commands: tuple[str, ...] = ()
    stops_urgent: bool = False
    withholds: tuple[str, ...] = ()

    def stops(self, row: Revocation) -> bool:
        """Whether this row waits until the objection is gone or waived."""
        return self.stops_urgent or not row.urgent or row.key in self.withholds

    @property
    def is_of_source(self) -> bool:
        """Whether it says that a source cannot be believed: then nothing that was read from it is a decision."""
        return self.label.startswith("source-")


@dataclass(frozen=True, slots=True)
class HeldBy:
    """A change that is why rows wait for a person although it stops nothing: its name, what it did, the mend first."""

    name: str
    text: str
    fix: str

    @property
    def sentence(self) -> str:
        """What happened and the mend, in one line."""
        return f"{self.text} {self.fix}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan. `plan_id` is the head of `digest`; the digest covers actions and what they depend on, not the clock.

    `causes` are those of the warnings that name why rows are held. `held_before` is what the run
    before told to be held, and is written with the plan: one made again takes the place of the same made before.
    """

    plan_id: str
    digest: str
    as_of: date
    revocations: tuple[Revocation, ...] = ()
    additions: tuple[Addition, ...] = ()
    objections: tuple[Objection, ...] = ()
    unread: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    causes: tuple[HeldBy, ...] = ()
    held_before: tuple[tuple[str, Hold], ...] | None = None

    @property
    def pending(self) -> int:
        """How many rows `run` would apply now. Held and reported rows do not count."""
        return sum(row.applies for row in self.revocations) + len(self.additions)
