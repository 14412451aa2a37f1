"""The last day on which somebody still counted, from which the days to a proven closing are reckoned. Pure.

Only where a date of the school says so: nobody knows from when on a court order, a block or a cleared flag was meant.
Today's data comes first; where the person or the student has left it, what was written down as evidence then.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from connector.model import URGENT, Reason
from connector.policy import PortalRules
from connector.reconcile.access_dates import access_ended
from connector.reconcile.decide import Decisions
from connector.reconcile.plan_values import Evidence

_DATED = frozenset({Reason.NO_STUDENT_AT_SCHOOL, Reason.ROLE_ENDED})
_DATE = r"(\d{4}-\d{2}-\d{2})$"
_LAST = re.compile(rf"(?:, access until|^the role .* ended on) {_DATE}")
_FIRST_WITHOUT = re.compile(rf": the relationship ended on {_DATE}")
"""How `reasons` says it; the second names the first day on which the relationship no longer held."""


def exit_day(
    person_id: str | None,
    reasons: Iterable[Reason],
    evidence: Sequence[Evidence],
    portals: Sequence[str],
    decisions: Decisions,
    closed_on: date,
) -> date | None:
    """Give the last counting day of somebody closed on a day, over the portals closed; none where it is not known."""
    given = set(reasons)
    if given.isdisjoint(_DATED) or not given.isdisjoint(URGENT):
        return None
    governed = [p for p in decisions.scene.governed if p.name in portals] or list(decisions.scene.governed)
    for days in (_today_says(person_id, governed, decisions), _evidence_said(evidence)):
        known = [d for d in days if d <= closed_on]
        if known:
            return max(known)
    return None


def _today_says(person_id: str | None, portals: Iterable[PortalRules], decisions: Decisions) -> list[date]:
    if person_id is None:
        return []
    entitled = decisions.scene.claims.portals_of(person_id)
    # Entitled again to a portal: what today's data says of it is not about that exit.
    ends = (access_ended(decisions.school, p, person_id) for p in portals if p.name not in entitled)
    return [day for day in ends if day]


def _evidence_said(evidence: Iterable[Evidence]) -> list[date]:
    found = []
    for each in evidence:
        if each.about in _DATED:
            found += [date.fromisoformat(text) for text in _LAST.findall(each.text)]
            found += [date.fromisoformat(text) - timedelta(days=1) for text in _FIRST_WITHOUT.findall(each.text)]
    return found
