"""What the journal hands out: frozen values, so that nobody but the journal ever holds a row.

Every datetime is UTC with its zone and comes from the database. Nothing here reads or writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from connector.model import Account, Hold, LegState, Member, Reason
from connector.provisioning import ChangeAccount, GroupMembership, NewAccount
from connector.reconcile.plan_values import Plan, PlannedLeg, Revocation

FINAL = frozenset({LegState.CLOSED, LegState.ALREADY_CLOSED, LegState.CALLED_OFF})
"""States no later record overwrites."""

RESUMABLE = frozenset({LegState.INTENDED, LegState.REFUSED, LegState.UNREACHABLE})
"""Open states that resume tries again. `conflict` waits for a person, `effective-by` for a time."""


class Direction(StrEnum):
    """What a revocation's legs do: close doors, or (a restore) open them again."""

    CLOSE = "close"
    OPEN = "open"


class ChangeKind(StrEnum):
    """What is done to one membership, or to one account."""

    ADD = "add"
    ENABLE = "enable"
    DISABLE = "disable"
    REMOVE = "remove"
    CREATE_ACCOUNT = "create-account"
    UPDATE_ACCOUNT = "update-account"
    JOIN_GROUP = "join-group"
    LEAVE_GROUP = "leave-group"


INVITING = frozenset({ChangeKind.ADD, ChangeKind.ENABLE, ChangeKind.CREATE_ACCOUNT, ChangeKind.JOIN_GROUP})
"""What lets somebody in, or further in: never done for who is blocked."""


@dataclass(frozen=True, slots=True)
class Run:
    """The run that holds the run lease. `owner` and `epoch` are the fence every write of the run passes."""

    run_id: int
    kind: str
    operator: str
    host: str
    as_of: date
    started_at: datetime
    owner: str = field(repr=False)
    epoch: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PastRun:
    """One line of the run history. `result` is `interrupted` where the lease ran out, empty while it is going."""

    run_id: int
    kind: str
    operator: str
    host: str
    as_of: date
    fingerprints: Mapping[str, str]
    started_at: datetime
    ended_at: datetime | None
    result: str
    exit_code: int | None
    counts: Mapping[str, int]
    plan_id: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One applier's hold on one identity, until `expires_at` by database time."""

    key: str
    owner: str
    epoch: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot with its content, proven unchanged since it was kept."""

    snapshot_id: int
    run_id: int
    as_of: date
    taken_at: datetime
    accepted_at: datetime | None
    fingerprints: Mapping[str, str]
    counts: Mapping[str, int]
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan, proven unchanged since it was kept, and what became of it.

    `held_before` is what the run before had told to be held (none: an earlier build kept it, without a word on that).
    """

    plan: Plan
    created_at: datetime
    state: str
    run_id: int | None
    snapshot_id: int | None
    held_before: tuple[tuple[str, Hold], ...] | None = None


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """One line of the list of plans."""

    plan_id: str
    digest: str
    as_of: date
    created_at: datetime
    state: str
    run_id: int | None
    snapshot_id: int | None


@dataclass(frozen=True, slots=True)
class Approval:
    """A named person's word on one plan. `waivers` are labels of objections."""

    digest: str
    plan_id: str
    waivers: tuple[str, ...]
    operator: str
    reason: str
    approved_at: datetime


@dataclass(frozen=True, slots=True)
class Operator:
    """An enrolled operator, for what needs four eyes. `totp_secret` is a nonce: the audit key makes the seed of it.

    Neither secret is ever logged, audited or shown.
    """

    name: str
    role: str
    secret_hash: str = field(repr=False)
    totp_secret: str = field(repr=False)
    added_by: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class OpenLeg:
    """A leg that is not final. `direction` says whether its effect closes or opens, `operator` who intended it."""

    leg_id: int
    revocation_id: int
    key: str
    person_id: str | None
    code: str
    name: str
    factors: tuple[tuple[str, str], ...]
    reasons: tuple[Reason, ...]
    direction: Direction
    operator: str
    planned: PlannedLeg
    state: LegState
    detail: str
    attempts: int
    intended_at: datetime
    last_tried: datetime | None = None
    effective_by: datetime | None = None

    @property
    def contact_types(self) -> tuple[str, ...]:
        """The contact types under which the person was to be closed."""
        return tuple(value for factor, value in self.factors if factor == "contact_type")

    @property
    def resumable(self) -> bool:
        """Whether resume drives it again."""
        return self.state in RESUMABLE


@dataclass(frozen=True, slots=True)
class StoredLeg:
    """A leg with its intent, what was read before and after, and its outcome so far."""

    leg_id: int
    planned: PlannedLeg
    state: LegState
    detail: str
    before: Account | Member | None
    after: Account | Member | None
    ended: int
    effective_by: datetime | None
    attempts: int
    intended_at: datetime
    last_tried: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredRevocation:
    """A revocation (or restore) with all its legs. `state` is open, done or called-off."""

    revocation_id: int
    direction: Direction
    row: Revocation
    state: str
    reason: str
    run_id: int | None
    plan_id: str
    operator: str
    intended_at: datetime
    closed_at: datetime | None
    done_at: datetime | None
    legs: tuple[StoredLeg, ...]


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """One change of one membership to be made. `before` is the member as read (none: not one), `after` as wanted."""

    kind: ChangeKind
    portal: str
    person_id: str
    before: Member | None = None
    after: Member | None = None

    @property
    def target(self) -> str:
        """The section name of the portal."""
        return self.portal

    @property
    def address(self) -> tuple[str, ...]:
        """What it is about: a newer change of the same takes the place of one that is open."""
        return ("member", self.portal, self.person_id)


@dataclass(frozen=True, slots=True)
class AccountChange:
    """One thing to be made so in a directory, for one person: an account, its attributes, its place in a group."""

    person_id: str
    wanted: NewAccount | ChangeAccount | GroupMembership

    @property
    def kind(self) -> ChangeKind:
        """What is done."""
        match self.wanted:
            case NewAccount():
                return ChangeKind.CREATE_ACCOUNT
            case ChangeAccount():
                return ChangeKind.UPDATE_ACCOUNT
            case GroupMembership(join=join):
                return ChangeKind.JOIN_GROUP if join else ChangeKind.LEAVE_GROUP

    @property
    def target(self) -> str:
        """The section name of the directory."""
        return self.wanted.before.directory if isinstance(self.wanted, ChangeAccount) else self.wanted.directory

    @property
    def address(self) -> tuple[str, ...]:
        """What it is about: a newer change of the same takes the place of one that is open."""
        match self.wanted:
            case NewAccount():
                return ("account", self.target, self.person_id)
            case ChangeAccount(before=before):
                return ("attributes", self.target, self.person_id, before.guid)
            case GroupMembership(group=group, guid=guid):
                return ("group", self.target, self.person_id, guid, group.casefold())


Change = MembershipChange | AccountChange
"""Whatever goes through the table of changes."""


@dataclass(frozen=True, slots=True)
class OpenChange:
    """A change of a membership or an account that is not final."""

    change_id: int
    change: Change
    state: LegState
    detail: str
    attempts: int
    operator: str
    intended_at: datetime
    last_tried: datetime | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One audit record, for people to read."""

    event_id: int
    at: datetime
    kind: str
    subject: str
    person_id: str | None
    operator: str
    run_id: int | None
    text: str
    detail: Mapping[str, str | int | bool | None]


@dataclass(frozen=True, slots=True)
class Word:
    """What a named person said about an identity: a `block`, a `keep`, or the release of a `hold`, and how long."""

    kind: str
    key: str
    owner: str
    reason: str
    made_at: datetime
    hold: str = ""
    until: date | None = None
    lifted_at: datetime | None = None
    lifted_by: str = ""
    seconded_by: str = ""


@dataclass(frozen=True, slots=True)
class PeriodRecords:
    """What the journal holds of a period, as one state of it: revocations that were open in it, and people's words."""

    revocations: tuple[StoredRevocation, ...] = ()
    approvals: tuple[Approval, ...] = ()
    words: tuple[Word, ...] = ()
    open_legs: tuple[OpenLeg, ...] = ()
    open_changes: tuple[OpenChange, ...] = ()
    sealed: int = 0


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One audit record as it was signed. `detail` is canonical JSON; `mac` is its link in the chain."""

    number: int
    at: datetime
    kind: str
    subject: str
    person_id: str | None
    operator: str
    run_id: int | None
    text: str
    detail: str
    mac: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What stands for the records `first` to `last` once they are sealed and taken out of the journal.

    `previous` is the chain value before the first of them, `mac` that of the last: the chain goes on from it.
    """

    first: int
    last: int
    previous: str
    mac: str
    sealed_at: datetime
    operator: str
    signature: str = ""


@dataclass(frozen=True, slots=True)
class AuditState:
    """Whether the audit chain holds. `head` (`records:mac`) is kept elsewhere; `first_bad` is a record's id.

    `bad_rows` say which rows are not as a trail that holds tells it: somebody wrote them by another way.
    """

    ok: bool
    records: int
    head: str
    first_bad: int | None
    sentence: str
    bad_rows: tuple[str, ...] = ()
