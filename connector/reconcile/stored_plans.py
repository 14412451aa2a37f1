"""A plan that was kept and is applied later: until when it may be, and how a fresh plan is cut to it. Pure."""

from collections.abc import Iterable
from datetime import datetime

from connector.errors import PlanError
from connector.policy import Limits
from connector.reconcile.journal_values import StoredPlan
from connector.reconcile.plan import assemble
from connector.reconcile.plan_values import Addition, Plan

_APPLIED = "applied"


def refuse_old(stored: StoredPlan, limits: Limits, now: datetime) -> None:
    """Raise PlanError for a plan that was applied already, or is older than a limit lets it grow."""
    if stored.state == _APPLIED:
        raise PlanError(f"Plan {stored.plan.plan_id} was applied already.", "Make a new one: connector plan")
    hours = (now - stored.created_at).total_seconds() / 3600
    if hours > limits.plan_max_age_hours:
        raise PlanError(
            f"Plan {stored.plan.plan_id} is {hours:.0f} hours old; [limits] plan_max_age_hours is "
            f"{limits.plan_max_age_hours}. Nothing was written.",
            "Make a new one: connector plan. The same facts give the same plan, and its approval still fits.",
        )


def cut(plan: Plan, keys: Iterable[str], added: tuple[Addition, ...]) -> Plan:
    """Give the plan with these rows and additions only."""
    rows = {r.key: r for r in plan.revocations}
    return assemble(tuple(rows[key] for key in keys), added, plan.as_of, plan.unread, plan.warnings)
