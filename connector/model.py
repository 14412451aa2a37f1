"""The nouns: what is read, what is decided, what is planned. Values only: frozen, slotted, tuples, zoned datetimes.

Nothing here reads, writes, logs or knows a clock. Words are those of the design: one word per thing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum


class PersonStatus(StrEnum):
    """A person's status in the admin system. Only `active` people are entitled to anything."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    DECEASED = "deceased"


class MemberStatus(StrEnum):
    """Whether a portal lets this member in."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class MembershipType(StrEnum):
    """How a member came to be one."""

    SYSTEM_GENERATED = "system_generated"
    MANUALLY_ADDED = "manually_added"


class Status(StrEnum):
    """What an identity is; the first that holds."""

    READY_TO_REVOKE = "ready_to_revoke"
    READY_TO_PROVISION = "ready_to_provision"
    ACTIVE = "active"
    REVOKED = "revoked"
    NONE = "none"


class Reason(StrEnum):
    """Why an identity is ready to revoke, in the order reasons are listed."""

    HALF_REVOKED = "half-revoked"
    CONTACT_MISSING = "contact-missing"
    CONTACT_INACTIVE = "contact-inactive"
    DENIED = "denied"
    BLOCKED = "blocked"
    REQUESTED = "requested"
    SUPERSEDED = "superseded"
    NO_RELATIONSHIP = "no-relationship"
    RESTRICTED = "restricted"
    PORTAL_FLAG_OFF = "portal-flag-off"
    NO_STUDENT_AT_SCHOOL = "no-student-at-school"
    ROLE_ENDED = "role-ended"


URGENT = frozenset({Reason.RESTRICTED, Reason.BLOCKED, Reason.REQUESTED})
"""Reasons that are held only by `protected` and `disputed`, and then only the directory leg."""


class Hold(StrEnum):
    """Why a row waits for a person, in the order holds are listed."""

    PROTECTED = "protected"
    DISPUTED = "disputed"
    WEAK_MATCH = "weak-match"
    UNCLEAR_DATA = "unclear-data"
    STILL_HAS_CHILDREN = "still-has-children"
    POSSIBLE_SUCCESSOR = "possible-successor"
    DISABLED_ELSEWHERE = "disabled-elsewhere"
    KEEP = "keep"
    OSCILLATING = "oscillating"
    NOTICE = "notice"
    UNCONFIRMED = "unconfirmed"
    ROLLOVER = "rollover"
    POLICY = "policy"


class SessionKey(StrEnum):
    """What the user value in a session store is."""

    USERNAME = "username"
    PERSON_ID = "person_id"
    CODE = "code"
    EMAIL = "email"
    GUID = "guid"
    NATIVE_ID = "native_id"


class LegState(StrEnum):
    """How far one effect of a revocation has come. `intended`, `refused` and `unreachable` are still open."""

    INTENDED = "intended"
    CLOSED = "closed"
    ALREADY_CLOSED = "already-closed"
    CALLED_OFF = "called-off"
    CONFLICT = "conflict"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    EFFECTIVE_BY = "effective-by"


class LegKind(StrEnum):
    """What a leg closes, in the order legs are driven: a session ended while a door is open is opened again."""

    DIRECTORY = "directory"
    CREDENTIAL = "credential"
    SESSIONS = "sessions"


# --- what the admin system says ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Person:
    """Anyone in the admin system. `person_id` is stable and never reused; `code` (contact code) can change."""

    person_id: str
    code: str
    given_name: str = ""
    family_name: str = ""
    email: str = ""
    mobile: str = ""
    status: PersonStatus = PersonStatus.ACTIVE
    previous_codes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Given and family name as one text, for people to read."""
        return f"{self.given_name} {self.family_name}".strip()


@dataclass(frozen=True, slots=True)
class Relationship:
    """A contact's relationship to a student. `ended_on` is the first day it no longer holds."""

    contact_id: str
    student_id: str
    contact_type: str = ""
    portal_access: bool | None = None
    restricted: bool = False
    ended_on: date | None = None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A student's enrolment. `exit_date` is the last day at school, inclusive; none means still there."""

    student_id: str
    entry_date: date | None
    exit_date: date | None = None
    exit_reason: str = ""


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """A security role somebody holds, both dates inclusive; no date means open on that side."""

    person_id: str
    role: str
    begins_on: date | None = None
    ends_on: date | None = None


@dataclass(frozen=True, slots=True)
class ContactType:
    """A contact type of the school's own list, with its portal flag."""

    name: str
    portal_access: bool


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a reading comes from: `fingerprint` digests its content, `produced_at` is when its source made it."""

    source: str
    fingerprint: str
    read_at: datetime
    produced_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PeopleReading:
    """One whole reading of the admin system.

    `missing` names what the source does not carry at all: a dimension (`relationships`, `enrolments`,
    `security_roles`, `contact_types`) or one column (`relationships.restricted`). Missing is unknown, never *none*.
    `granted` gives, by person_id, the portals of the people whose admin system is an identity provider.
    """

    provenance: Provenance
    people: tuple[Person, ...]
    relationships: tuple[Relationship, ...] = ()
    enrolments: tuple[Enrolment, ...] = ()
    security_roles: tuple[RoleGrant, ...] = ()
    contact_types: tuple[ContactType, ...] = ()
    missing: frozenset[str] = frozenset()
    granted: Mapping[str, frozenset[str]] = field(default_factory=dict)


# --- what the targets say ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a portal. `has_password` is all we ever know of a password; unknown, it goes with the username.

    `strategy_match` is the portal's own word, given only by `custom` portals. `native_id` is the portal's own row id.
    """

    portal: str
    person_id: str
    username: str = ""
    has_password: bool = False
    status: MemberStatus = MemberStatus.ENABLED
    membership_type: MembershipType = MembershipType.SYSTEM_GENERATED
    native_id: str = ""
    code: str = ""
    name: str = ""
    added_on: date | None = None
    last_login: datetime | None = None
    strategy_match: bool | None = None

    @property
    def enabled(self) -> bool:
        """Whether the portal lets this member in."""
        return self.status is MemberStatus.ENABLED

    @property
    def credential_lives(self) -> bool:
        """Whether a username or a password is present: either is a door."""
        return bool(self.username) or self.has_password


@dataclass(frozen=True, slots=True)
class Account:
    """An entry in a directory.

    `guid` is canonical lower-case UUID text. `state` is the raw value a disable is conditional on: AD's decimal
    `userAccountControl`, OpenLDAP's `pwdAccountLockedTime` or the empty text. `protected` says why the account must
    never be written (empty: it may be). `managed` is false outside the managed OUs: seen, never written.
    """

    directory: str
    guid: str
    dn: str
    username: str
    enabled: bool = True
    employee_id: str = ""
    email: str = ""
    name: str = ""
    managed: bool = True
    protected: str = ""
    state: str = ""
    expires_at: datetime | None = None
    last_login: datetime | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A live sign-in. `user` is the value of the store's user key; `session_id` is a secret: never logged or stored."""

    store: str
    portal: str
    user: str
    session_id: str = field(repr=False)
    created_at: datetime | None = None
    last_seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MembersReading:
    """One whole reading of one portal."""

    portal: str
    provenance: Provenance
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class AccountsReading:
    """One whole reading of one directory: complete, or it is not a reading."""

    directory: str
    provenance: Provenance
    accounts: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class SessionsReading:
    """One whole reading of one session store, and what its user value means."""

    store: str
    provenance: Provenance
    user_key: SessionKey
    sessions: tuple[Session, ...]


# --- what is asked of a target, and what came of it -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CloseAccount:
    """Disable this account if it still is as `before` says."""

    before: Account


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Give this account back the `state` it had, if it still is as `now` says."""

    now: Account
    state: str


@dataclass(frozen=True, slots=True)
class CloseMember:
    """Clear username and password and/or disable the member, in one conditional statement.

    `contact_type` and `contact_code` are the admin system's, for portals that people close from a list.
    """

    before: Member
    clear_credential: bool = True
    disable: bool = True
    contact_type: str = ""
    contact_code: str = ""


@dataclass(frozen=True, slots=True)
class OpenMember:
    """Give this member back `username` and status, if it still is as `now` says. A password cannot return."""

    now: Member
    username: str
    status: MemberStatus


@dataclass(frozen=True, slots=True)
class EndSessions:
    """End every session of `user` in these portals (none given: in all the store holds).

    `older_than` limits a resumed sweep to sessions created before it; a session without a creation time is ended.
    The rest is for stores where somebody else has to act: whom it is about in words, who asked, and the `reference`
    that stays the same for one intent however often it is driven, and is no other intent's. `authorised_by` is empty
    where nobody has signed for it here.
    """

    user: str
    portals: tuple[str, ...] = ()
    older_than: datetime | None = None
    code: str = ""
    name: str = ""
    contact_type: str = ""
    requested_by: str = ""
    reference: str = ""
    authorised_by: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one item. `before` and `after` are what was read on the target; `ended` counts sessions.

    `closed` means proven by reading back, `already-closed` that nothing had to be done, `conflict` that the target is
    neither as planned nor closed, `intended` that somebody else has to act (a worklist), `effective-by` a time.
    """

    state: LegState
    detail: str = ""
    before: Account | Member | None = None
    after: Account | Member | None = None
    ended: int = 0
    effective_by: datetime | None = None


class Level(StrEnum):
    """How bad a finding of `check` is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `check`: about what, what is so, and how to mend it."""

    level: Level
    subject: str
    message: str
    remedy: str = ""
