"""Cut a first mass into plans a person can read and approve one after the other. Pure.

Rows that would not be applied are left out: held and reported ones wait where they are.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from connector.errors import PlanError
from connector.model import URGENT, Reason
from connector.reconcile.plan import assemble, oldest_login_first
from connector.reconcile.plan_values import Plan, Revocation

_ORDER = sorted(Reason, key=lambda reason: reason not in URGENT)
"""Urgent reasons first, as in every plan."""


def backlog(plan: Plan, size: int) -> tuple[Plan, ...]:
    """Cut by first reason (urgent ones first), oldest last login first, at most `size` rows each.

    Raises PlanError for a size below one.
    What each part is stands in its first warning, which is not part of its digest.
    """
    if size < 1:
        raise PlanError(f"A part of a backlog cannot hold {size} people.", "Give a size of 1 or more.")
    groups: dict[Reason, list[Revocation]] = defaultdict(list)
    for row in plan.revocations:
        if row.applies:
            groups[row.reasons[0]].append(row)
    parts = [(reason, part) for reason in _ORDER for part in _cut(groups.get(reason, ()), size)]
    return tuple(
        assemble(part, (), plan.as_of, plan.unread, (_title(number, len(parts), reason, part), *plan.warnings))
        for number, (reason, part) in enumerate(parts, start=1)
    )


def _cut(rows: Iterable[Revocation], size: int) -> Iterable[tuple[Revocation, ...]]:
    ordered = oldest_login_first(rows)
    for start in range(0, len(ordered), size):
        yield tuple(ordered[start : start + size])


def _title(number: int, of: int, reason: Reason, rows: tuple[Revocation, ...]) -> str:
    people = "1 person" if len(rows) == 1 else f"{len(rows):,} people"
    span = f"last login {_login(rows[0].last_login)} to {_login(rows[-1].last_login)}"
    return f"backlog part {number} of {of}: {reason}, {people}, {span}"


def _login(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d}" if when else "never"
