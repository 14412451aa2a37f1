"""A folder laid out like the reference school, read through the real adapters and judged; and what its files expect."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from connector.adapters.csv import CsvAdminSystem, CsvSettings
from connector.interfaces import Site
from connector.ldap.ldif import LdifDirectory, LdifSettings
from connector.model import (
    Member,
    MembershipType,
    MembersReading,
    MemberStatus,
    Provenance,
    Reason,
    Session,
    SessionKey,
    SessionsReading,
)
from connector.policy import Limits, OnMismatch, Policy, PortalRules, Rules, SignIn, Strategy
from connector.reconcile.decide import Decision
from connector.reconcile.judge import Judgement, Past, judge
from connector.reconcile.snapshot import Snapshot

HARBOUR = Path(__file__).parents[2] / "sample" / "harbour-college"
AS_OF = date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
RULES = Rules(
    grace_days={"graduated": 60, "left": 0},
    confirm_runs=1,
    superseded_needs_active_successor=False,
    policies=dict.fromkeys(Reason, Policy.APPLY),
)
_BASE = "DC=harbour,DC=example"
_READ = Provenance("reference", "reference", NOW)
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Expected:
    """The rows of the `expected` folder."""

    accounts: tuple[Row, ...]
    memberships: tuple[Row, ...]


def expected(folder: Path = HARBOUR) -> Expected:
    """Read what must come out."""
    return Expected(_rows(folder / "expected" / "accounts.csv"), _rows(folder / "expected" / "memberships.csv"))


def judged(folder: Path = HARBOUR) -> Judgement:
    """Read the school and judge it with the parameters of its README."""
    return judge(snapshot(folder), RULES, portals(folder), Limits(), Past(), AS_OF, NOW)


def snapshot(folder: Path = HARBOUR) -> Snapshot:
    """Read everything: admin system and directory through their adapters, the rest as CSV."""
    site = Site(folder, folder, ZoneInfo("Australia/Sydney"))
    people = CsvAdminSystem("sis", CsvSettings("admin"), site).read_all()
    settings = LdifSettings(file="directory.ldif", base=_BASE, managed=(f"OU=Parents,OU=People,{_BASE}",))
    accounts = LdifDirectory("ad", settings, site).read_all()
    members = [_member(row) for row in _rows(folder / "portal" / "members.csv")]
    sessions = tuple(
        Session("web", row["portal"], row["username"], row["session_id"]) for row in _rows(folder / "sessions.csv")
    )
    readings = tuple(
        MembersReading(p.name, _READ, tuple(m for m in members if m.portal == p.name)) for p in portals(folder)
    )
    stores = (SessionsReading("web", _READ, SessionKey.USERNAME, sessions),)
    return Snapshot(people, readings, (accounts,), stores, (), {"web": SessionKey.USERNAME})


def portals(folder: Path = HARBOUR) -> tuple[PortalRules, ...]:
    """Read the portals' rules."""
    return tuple(
        PortalRules(
            row["portal"],
            Strategy(row["strategy"]),
            tuple(role for role in row["roles"].split(";") if role),
            MemberStatus(row["status_default"]),
            OnMismatch(row["on_mismatch"]),
            SignIn(row["sign_in"]),
            row["needs_directory_account"] == "yes",
        )
        for row in _rows(folder / "portal" / "portals.csv")
    )


def as_expected(decision: Decision | None) -> Row:
    """Say a decision the way `expected/accounts.csv` does."""
    blank = {"reasons": "", "hold": "", "disable_directory": "no", "clear_credential": "", "disable_member": ""}
    if decision is None:
        return {"status": "none", **blank, "end_sessions": "no"}
    legs = decision.legs
    return {
        "status": decision.status,
        "reasons": ";".join(decision.reasons),
        "hold": ";".join(decision.holds),
        "disable_directory": "yes" if legs.disable_directory else "no",
        "clear_credential": ";".join(legs.clear_credential),
        "disable_member": ";".join(legs.disable_member),
        "end_sessions": ";".join(legs.end_sessions) or "no",
    }


def by_person(judgement: Judgement) -> Mapping[str, Decision]:
    """Index decisions by person_id, and an account nobody has by the number its username carries."""
    found = {}
    for decision in judgement.decisions.rows:
        identity = decision.identity
        found[identity.person_id or identity.accounts[0].account.username[1:]] = decision
    return found


def _rows(path: Path) -> tuple[Row, ...]:
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def _member(row: Row) -> Member:
    return Member(
        row["portal"],
        row["person_id"],
        row["username"],
        row["has_password"] == "yes",
        MemberStatus(row["status"]),
        MembershipType(row["membership_type"]),
    )
