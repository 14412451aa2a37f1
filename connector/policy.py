"""What a school decides by: rules, policies and limits, as plain values the pure core is handed.

`connector.config` makes them from TOML; nothing here reads anything. Every default is the cautious one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from connector.model import MemberStatus, Reason


class Strategy(StrEnum):
    """How a portal's membership is decided."""

    CONTACTS = "contacts"
    SECURITY_ROLES = "security_roles"
    MANUAL = "manual"
    CUSTOM = "custom"


class OnMismatch(StrEnum):
    """`revoke` makes a portal governed: joint revocation. `report` leaves the three explicit actions only."""

    REVOKE = "revoke"
    REPORT = "report"


class SignIn(StrEnum):
    """What lets a member in: the directory's password, or the portal's own."""

    DIRECTORY = "directory"
    PASSWORD = "password"  # noqa: S105 - the design's word for a way to sign in, not a secret


class Policy(StrEnum):
    """What a reason leads to: `apply` closes, `hold` waits for a person, `report` only shows."""

    APPLY = "apply"
    HOLD = "hold"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class PortalRules:
    """One portal's rules."""

    name: str
    strategy: Strategy
    roles: tuple[str, ...] = ()
    status_default: MemberStatus = MemberStatus.ENABLED
    on_mismatch: OnMismatch = OnMismatch.REPORT
    sign_in: SignIn = SignIn.PASSWORD
    needs_directory_account: bool = False

    @property
    def governed(self) -> bool:
        """Whether a mismatch leads to a joint revocation."""
        return self.on_mismatch is OnMismatch.REVOKE


DEFAULT_POLICIES: Mapping[Reason, Policy] = {
    **dict.fromkeys(Reason, Policy.APPLY),
    Reason.CONTACT_MISSING: Policy.HOLD,
    Reason.NO_RELATIONSHIP: Policy.HOLD,
    Reason.PORTAL_FLAG_OFF: Policy.HOLD,
}


@dataclass(frozen=True, slots=True)
class Rules:
    """How entitlement, reasons and holds are decided. Days are whole local days of the school."""

    early_access_days: int = 0
    grace_days: Mapping[str, int] = field(default_factory=lambda: {"graduated": 60, "left": 14})
    bridge_days: int = 90
    ended_link_days: int = 30
    confirm_runs: int = 2
    notice_days: int = 0
    superseded_needs_active_successor: bool = True
    deny_role: str = "portal_account_disabled"
    oscillation_runs: int = 10
    rollover_from: date | None = None
    rollover_until: date | None = None
    policies: Mapping[Reason, Policy] = field(default_factory=lambda: dict(DEFAULT_POLICIES))

    @property
    def longest_grace(self) -> int:
        """What an exit reason nobody configured gets, in days."""
        return max(self.grace_days.values(), default=0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Past these a plan is stopped. Shares are fractions (0.05 is 5 %), each with the floor `share_floor` in people."""

    max_revocations: int = 25
    max_revocations_7_days: int = 75
    max_share: float = 0.05
    max_share_7_days: float = 0.10
    share_floor: int = 5
    max_share_per_contact_type: float = 0.20
    max_share_per_portal: float = 0.20
    max_additions: int = 200
    max_enables: int = 25
    max_portal_closed: float = 0.20
    max_shrink: float = 0.10
    max_age_hours: int = 30
    plan_max_age_hours: int = 24
    rollover_max_revocations: int = 500
    rollover_max_share: float = 0.40
