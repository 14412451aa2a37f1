"""The shapes of the answers that programs read. Names of keys here are a promise: they are added to, never changed."""

from collections.abc import Iterable, Mapping
from typing import Any

from connector.cli.printing import Rows
from connector.model import MemberStatus
from connector.reconcile.decide import ALL, Decision, Legs
from connector.reconcile.judge import Judgement
from connector.reconcile.membership import Membership, Nightly
from connector.reconcile.plan import username_of
from connector.reconcile.plan_values import Addition, Evidence, Objection, Plan, PlannedLeg, Revocation
from connector.reconcile.wording import clean, who


def status_document(judgement: Judgement, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Give `status`: the day, how many of each, and everybody asked for."""
    as_of = judgement.decisions.school.as_of.isoformat()
    return {"as_of": as_of, "counts": judgement.counts, "identities": list(rows)}


def identity_document(decision: Decision, standing: Mapping[str, Revocation]) -> dict[str, Any]:
    """Give one identity of `status`. Holds are those still standing after releases."""
    whom = who(decision.identity)
    row = standing.get(decision.identity.key)
    return {
        "person_id": whom.person_id,
        "code": whom.code,
        "name": whom.name,
        "username": clean(username_of(decision)),
        "status": decision.status.value,
        "reasons": [r.value for r in decision.reasons],
        "holds": [h.value for h in (row.holds if row else decision.holds)],
        "legs": _legs(decision.legs),
        "open_outside_scope": list(decision.open_outside_scope),
        "evidence": evidence_texts(decision.evidence),
    }


def _legs(legs: Legs) -> dict[str, Any]:
    return {
        "disable_directory": legs.disable_directory,
        "clear_credential": list(legs.clear_credential),
        "disable_member": list(legs.disable_member),
        "end_sessions": ALL if legs.end_sessions == (ALL,) else list(legs.end_sessions),
    }


def status_rows(documents: Iterable[Mapping[str, Any]]) -> Rows:
    """Give `status` as rows."""
    plain = ("person_id", "code", "name", "username", "status", "reasons", "holds")
    legs = ("disable_directory", "clear_credential", "disable_member", "end_sessions")
    last = ("open_outside_scope", "evidence")
    rows = tuple((*(d[c] for c in plain), *(d["legs"][c] for c in legs), *(d[c] for c in last)) for d in documents)
    return Rows((*plain, *legs, *last), rows)


def evidence_texts(evidence: Iterable[Evidence]) -> list[str]:
    """Give evidence as sentences that begin with what they are about."""
    return [f"{e.about}: {e.text}" for e in evidence]


def membership_document(row: Membership) -> dict[str, Any]:
    """Give one member, or somebody the nightly run would make one."""
    return {
        "portal": row.portal,
        "person_id": row.person_id,
        "status": row.member.status.value if row.member else None,
        "membership_type": row.member.membership_type.value if row.member else None,
        "strategy_match": row.strategy_match.value,
        "nightly": row.nightly.value,
    }


def plan_document(plan: Plan, waived: Iterable[str]) -> dict[str, Any]:
    """Give a plan with everything it holds."""
    names = frozenset(waived)
    return {
        "plan_id": plan.plan_id,
        "digest": plan.digest,
        "as_of": plan.as_of.isoformat(),
        "pending": plan.pending,
        "revocations": [revocation_document(r) for r in plan.revocations],
        "additions": [addition_document(a) for a in plan.additions],
        "objections": [objection_document(o, waived=o.label in names) for o in plan.objections],
        "unread": list(plan.unread),
        "warnings": list(plan.warnings),
    }


def revocation_document(row: Revocation) -> dict[str, Any]:
    """Give one row of a plan."""
    return {
        "person_id": row.person_id,
        "code": row.code,
        "name": row.name,
        "username": row.username,
        "reasons": [r.value for r in row.reasons],
        "holds": [h.value for h in row.holds],
        "legs": [leg_document(leg) for leg in row.legs],
        "evidence": evidence_texts(row.evidence),
        "urgent": row.urgent,
        "applies": row.applies,
        "reported_only": row.reported_only,
        "last_login": row.last_login.isoformat() if row.last_login else None,
    }


def leg_document(leg: PlannedLeg) -> dict[str, Any]:
    """Give one effect on one target."""
    return {
        "kind": leg.kind.value,
        "target": leg.target,
        "subject": leg.subject,
        "withheld": leg.withheld,
        "unread": leg.unread,
    }


def addition_document(addition: Addition) -> dict[str, Any]:
    """Give one member to be added."""
    return {
        "portal": addition.portal,
        "person_id": addition.person_id,
        "code": addition.code,
        "name": addition.name,
        "status": addition.status.value,
    }


def objection_document(objection: Objection, *, waived: bool) -> dict[str, Any]:
    """Give one limit the plan breaks, and whether somebody has waived it."""
    return {
        "label": objection.label,
        "text": objection.text,
        "fix": objection.fix,
        "commands": list(objection.commands),
        "waived": waived,
    }


def plan_rows(plan: Plan) -> Rows:
    """Give a plan's rows: what it closes, then whom it adds."""
    columns = (
        "action",
        "applies",
        "urgent",
        "code",
        "name",
        "username",
        "person_id",
        "reasons",
        "holds",
        "closes",
        "evidence",
    )
    closing = [
        ("revoke", r.applies, r.urgent, r.code, r.name, r.username, r.person_id, r.reasons, r.holds, *_why(r))
        for r in plan.revocations
    ]
    adding: list[tuple[Any, ...]] = [
        (_ADDING[a.status], True, False, a.code, a.name, "", a.person_id, (), (), [a.portal], [])
        for a in plan.additions
    ]
    return Rows(columns, (*closing, *adding))


def _why(row: Revocation) -> tuple[list[str], list[str]]:
    return [f"{leg.kind} {leg.target}" for leg in row.legs], evidence_texts(row.evidence)


_ADDING = {MemberStatus.ENABLED: Nightly.ADD_ENABLED, MemberStatus.DISABLED: Nightly.ADD_DISABLED}
