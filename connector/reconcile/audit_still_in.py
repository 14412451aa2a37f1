"""Who still gets in although nothing entitles them, and why: for the auditor. Pure.

What today's decisions say, never what a run reported: a door somebody opened since is here too.
"""

from collections.abc import Iterable, Mapping, Sequence

from connector.model import Hold, Status
from connector.reconcile.audit_values import AuditLine
from connector.reconcile.decide import Decision, Decisions
from connector.reconcile.exit_day import exit_day
from connector.reconcile.journal_values import OpenLeg
from connector.reconcile.plan_values import Plan, Revocation
from connector.reconcile.wording import clean, counted, listed, who

_SECTION = "still-in"


def still_in(decisions: Decisions, plan: Plan, open_legs: Sequence[OpenLeg]) -> Iterable[AuditLine]:
    """Give everybody with something living and no entitlement, and accounts open where we never write."""
    rows = {row.key: row for row in plan.revocations}
    driven = {leg.key: leg.revocation_id for leg in open_legs}
    for decision in decisions.rows:
        if decision.status is Status.READY_TO_REVOKE:
            yield _line(decision, rows, driven, decisions, plan)
        if decision.status is not Status.ACTIVE:
            yield from _outside(decision)


def _line(
    decision: Decision,
    rows: Mapping[str, Revocation],
    driven: Mapping[str, int],
    decisions: Decisions,
    plan: Plan,
) -> AuditLine:
    identity, as_of = decision.identity, decisions.school.as_of
    left = exit_day(identity.person_id, decision.reasons, decision.evidence, decision.closing, decisions, as_of)
    row = rows.get(identity.key)
    holds = row.holds if row else decision.holds
    return AuditLine(
        _SECTION,
        identity.key,
        who(identity).label,
        ", ".join(decision.reasons),
        f"{_living(decision)}; {_why(decision, holds, row, driven, plan)}",
        exit_day=left,
        days=(as_of - left).days if left else None,
        warns=decision.urgent,
    )


def _living(decision: Decision) -> str:
    """Name what lives."""
    legs, identity = decision.legs, decision.identity
    found = [f"the account {clean(a.username)}" for a in legs.accounts]
    found += [f"the credential in {portal}" for portal in legs.clear_credential]
    found += [f"the enabled member of {portal}" for portal in legs.disable_member]
    found += [counted(len(identity.sessions), "session")] if identity.sessions else []
    return f"{listed(found)} {'lives' if len(found) == 1 else 'live'}" if found else "a part that could not be read"


def _why(
    decision: Decision, holds: Sequence[Hold], row: Revocation | None, driven: Mapping[str, int], plan: Plan
) -> str:
    """Say why it is not closed yet: what holds it, or what it waits for."""
    found = [_held(decision, hold) for hold in holds]
    if decision.identity.key in driven:
        found.append(f"revocation {driven[decision.identity.key]} is open")
    if decision.reported_only:
        found.append("the school's policy only reports it")
    if row is not None and row.applies:
        stopped = [o.label for o in plan.objections if o.stops(row)]
        found.append(f"the plan is stopped by {listed(stopped)}" if stopped else "the next run closes it")
    return "; ".join(found) or "nothing of it can be closed from here"


def _held(decision: Decision, hold: Hold) -> str:
    why = "; ".join(clean(e.text) for e in decision.evidence if e.about == hold)
    return f"held: {hold}" + (f" ({why})" if why else "")


def _outside(decision: Decision) -> Iterable[AuditLine]:
    for dn in decision.open_outside_scope:
        text = f"{clean(dn)} is enabled outside the managed OUs: it is closed by hand or not at all"
        identity = decision.identity
        yield AuditLine(_SECTION, identity.key, who(identity).label, "open-outside-scope", text, warns=True)
