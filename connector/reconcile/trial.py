"""Decide once on trial, for `check`: what each system says alone may still not be enough to decide by.

It keeps nothing and writes nothing; a source that cannot be decided by is a finding here, not an error.
"""

from collections.abc import Callable

from connector.errors import SourceError
from connector.model import Finding, Level
from connector.reconcile.plan_values import Objection, Plan
from connector.reconcile.wording import listed

_SUBJECT = "decision"


def trial(look: Callable[[], Plan], standing: Callable[[Plan], tuple[Objection, ...]]) -> Finding:
    """Say what a run would do now, and what would stop it; an error where nothing could be decided."""
    try:
        plan = look()
    except SourceError as error:
        return Finding(Level.ERROR, _SUBJECT, error.message, error.remedy)
    applied = sum(row.applies for row in plan.revocations)
    waiting = len(plan.revocations) - applied
    said = f"A run now has {applied:,} to revoke, {len(plan.additions):,} to add, {waiting:,} waiting for a person"
    stopped = [objection.label for objection in standing(plan)]
    if stopped:
        return Finding(Level.WARNING, _SUBJECT, f"{said}; it is stopped by {listed(stopped)}.", "connector plan")
    return Finding(Level.OK, _SUBJECT, f"{said}.")
