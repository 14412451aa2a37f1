"""Take back what people were asked to do by hand, before the legs it was for are called off.

A row that asks to close somebody who is entitled again must not outlive its leg: somebody would act on it. A leg whose
row cannot be taken back stays open, for the next run.
"""

from collections.abc import Iterator, Sequence

from connector.errors import ConnectorError
from connector.interfaces import Withdrawing
from connector.model import CloseMember, LegKind, Member
from connector.reconcile.journal_values import Direction, OpenLeg
from connector.reconcile.reading import Targets

_CalledOff = tuple[OpenLeg, str]


def withdrawn(targets: Targets, legs: Sequence[_CalledOff]) -> list[_CalledOff]:
    """Give the legs that nobody is asked any more to drive."""
    asking = {name: portal for name, portal in targets.portals.items() if isinstance(portal, Withdrawing)}
    stays: set[int] = set()
    for name, portal in asking.items():
        mine = dict(_asked(name, legs))
        try:
            if mine:
                portal.withdraw(tuple(mine.values()))
        except ConnectorError:
            stays.update(mine)
    return [(leg, why) for leg, why in legs if leg.leg_id not in stays]


def _asked(portal: str, legs: Sequence[_CalledOff]) -> Iterator[tuple[int, CloseMember]]:
    for leg, _ in legs:
        planned = leg.planned
        closes = planned.kind is LegKind.CREDENTIAL and leg.direction is Direction.CLOSE
        if closes and planned.target == portal and isinstance(planned.before, Member):
            yield leg.leg_id, CloseMember(planned.before)
