"""What the journal knows that decisions rest on, as plain values. The pure core never sees the journal itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from connector.model import Hold, Reason


@dataclass(frozen=True, slots=True)
class Block:
    """Keep someone out. `until` is the last day it holds; none means until `unblock`."""

    person_id: str
    owner: str
    reason: str
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep someone in: their row is held. `until` is the last day it holds; none means until it is taken back."""

    person_id: str
    owner: str
    reason: str
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A hold lifted by a named person for one identity, valid while the evidence still has this digest."""

    key: str
    hold: Hold
    evidence_digest: str
    owner: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Closed:
    """One identity closed by us: when, why, and what its limits are counted under.

    `approved` says that it was closed by a plan that a named person had approved.
    """

    key: str
    at: datetime
    contact_types: tuple[str, ...] = ()
    portals: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    approved: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything earlier that a decision may rest on. Empty on the first night.

    `links` maps (directory, guid) to person_id. `closed_accounts` are (directory, guid) and `closed_members` are
    (portal, person_id) whose last change was ours. `users` maps (portal, username) to the person who last had it.
    `ready_runs` counts consecutive runs in which a key was ready to revoke, `ready_since` is the first day of those,
    `flips` counts how often a key was revoked and entitled again in the last runs. Keys are those of `Identity.key`.
    `alarms` say that the journal was written to by another way, and never about whom.
    """

    links: Mapping[tuple[str, str], str] = field(default_factory=dict)
    blocks: Mapping[str, Block] = field(default_factory=dict)
    keeps: Mapping[str, Keep] = field(default_factory=dict)
    requested: frozenset[str] = frozenset()
    releases: tuple[Release, ...] = ()
    closed_accounts: frozenset[tuple[str, str]] = frozenset()
    closed_members: frozenset[tuple[str, str]] = frozenset()
    users: Mapping[tuple[str, str], str] = field(default_factory=dict)
    ready_runs: Mapping[str, int] = field(default_factory=dict)
    ready_since: Mapping[str, date] = field(default_factory=dict)
    flips: Mapping[str, int] = field(default_factory=dict)
    recent: tuple[Closed, ...] = ()
    rollover_complete: bool = False
    alarms: tuple[str, ...] = ()
