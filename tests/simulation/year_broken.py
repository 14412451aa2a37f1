"""Connectors with one deliberate fault each: a year must show it.

A watch that never finds anything proves nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from connector.app import Connector
from connector.model import Hold, LegState, Outcome
from connector.reconcile import entitlement, guard, holds
from connector.reconcile.claims import NOBODY, Claims
from connector.reconcile.sweeping import Sweeping
from tests.simulation.broken import BROKEN, Patch


def _without_grace() -> Patch:
    """Close a family on the day after their child's last."""
    return entitlement, "grace_days", lambda *_: 0


def _without_confirmation() -> Patch:
    """Close at the first sight."""
    true: Any = holds._time_holds

    def hasty(*given: Any) -> Any:
        return ((hold, text) for hold, text in true(*given) if hold is not Hold.UNCONFIRMED)

    return holds, "_time_holds", hasty


def _without_sweeping() -> Patch:
    """Call sessions ended without asking their store."""

    def idle(_self: Sweeping, _store: str, legs: Any, _older: Any) -> list[Outcome]:
        return [Outcome(LegState.ALREADY_CLOSED)] * len(legs)

    return Sweeping, "_sweep_store", idle


def _without_rule_changes() -> Patch:
    """Ask nobody about a rule that changed."""
    return guard, "rule_objections", lambda *_: ()


def _without_claims() -> Patch:
    """Close the old record's doors, whoever uses them by now."""
    return Claims, "others_on_user", lambda *_: NOBODY


def _on_every_day() -> Patch:
    """Close on Fridays as well, when nobody is there on the next morning."""
    return Connector, "may_apply", lambda *_: True


YEAR_BROKEN: dict[str, Callable[[], Patch]] = {
    "without-grace": _without_grace,
    "without-confirmation": _without_confirmation,
    "without-sweeping": _without_sweeping,
    "without-rule-changes": _without_rule_changes,
    "without-claims": _without_claims,
    "on-every-day": _on_every_day,
    "forgets-blocks": BROKEN["forgets-blocks"],
    "forgets-keeps": BROKEN["forgets-keeps"],
    "releases-every-hold": BROKEN["releases-every-hold"],
}
"""What is broken, by name."""


@contextmanager
def breaking_the_year(name: str) -> Iterator[None]:
    """Break the connector in one way until the block ends; no name breaks nothing."""
    if not name:
        yield
        return
    where, what, instead = YEAR_BROKEN[name]()
    with patch.object(where, what, instead):
        yield
