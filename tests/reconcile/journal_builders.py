"""Builders for journal tests: each names only what matters to its test."""

from datetime import date
from typing import Any

from sqlalchemy import text

from connector.model import Account, LegKind, LegState, Member, Outcome, Reason
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import OpenLeg, Run
from connector.reconcile.plan_values import Evidence, Plan, PlannedLeg, Revocation

KEY = b"0123456789abcdef0123456789abcdef"
TODAY = date(2026, 11, 21)


def account(number: int = 1, **other: Any) -> Account:
    values = {"directory": "ad", "guid": f"g{number}", "dn": f"CN=u{number}", "username": f"u{number}", "state": "512"}
    return Account(**{**values, **other})


def member(number: int = 1, **other: Any) -> Member:
    return Member(**{"portal": "engage", "person_id": f"p{number}", "username": f"u{number}", **other})


def directory_leg(number: int = 1, **other: Any) -> PlannedLeg:
    return PlannedLeg(
        **{"kind": LegKind.DIRECTORY, "target": "ad", "subject": f"g{number}", "before": account(number), **other}
    )


def credential_leg(number: int = 1, **other: Any) -> PlannedLeg:
    values = {"kind": LegKind.CREDENTIAL, "target": "engage", "subject": f"p{number}", "before": member(number)}
    return PlannedLeg(**{**values, "clear_credential": True, "disable_member": True, **other})


def sessions_leg(number: int = 1, **other: Any) -> PlannedLeg:
    return PlannedLeg(**{"kind": LegKind.SESSIONS, "target": "web", "subject": f"u{number}", **other})


def revocation(number: int = 1, **other: Any) -> Revocation:
    values = {
        "key": f"p{number}",
        "person_id": f"p{number}",
        "code": f"C{number}",
        "name": f"Ada {number}",
        "username": f"u{number}",
        "reasons": (Reason.NO_STUDENT_AT_SCHOOL,),
        "holds": (),
        "legs": (directory_leg(number), credential_leg(number), sessions_leg(number)),
        "evidence": (Evidence("no-student-at-school", "Ben left on 2026-11-01."),),
        "basis": "b1",
        "factors": (("portal", "engage"), ("contact_type", "Mother")),
    }
    return Revocation(**{**values, **other})


def plan(*rows: Revocation, digest: str = "7f3a" + "0" * 60, **other: Any) -> Plan:
    return Plan(**{"plan_id": digest[:8], "digest": digest, "as_of": TODAY, "revocations": rows, **other})


def begin(journal: Journal, **other: Any) -> Run:
    values = {"kind": "nightly", "operator": "alice", "as_of": TODAY, "fingerprints": {"csv": "f1"}}
    return journal.begin_run(**{**values, **other})


def intend(journal: Journal, run: Run, *rows: Revocation, **other: Any) -> tuple[OpenLeg, ...]:
    return journal.intend(run, "7f3a", rows or (revocation(),), "alice", **other)


def closed(leg: OpenLeg, **other: Any) -> tuple[OpenLeg, Outcome]:
    return leg, Outcome(**{"state": LegState.CLOSED, "before": leg.planned.before, **other})


def execute(journal: Journal, statement: str, **values: Any) -> None:
    """Write to the journal's database behind its back."""
    with journal._store.engine.begin() as connection:
        connection.execute(text(statement), values)


def scalar(journal: Journal, statement: str) -> Any:
    with journal._store.engine.connect() as connection:
        return connection.scalar(text(statement))
