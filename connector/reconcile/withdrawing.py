"""Take back what people were asked to do by hand, before the legs and changes it was for are called off.

A row that asks to close somebody who is entitled again, or to let in somebody who is blocked by now, must not outlive
its leg: somebody would act on it. What cannot be taken back stays open, for the next run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from connector.errors import ConnectorError
from connector.interfaces import Withdrawing
from connector.model import CloseMember, LegKind, Member, MemberStatus, OpenMember
from connector.reconcile.journal_values import ChangeKind, Direction, MembershipChange, OpenChange, OpenLeg
from connector.reconcile.reading import Targets

_Ask = CloseMember | OpenMember | Member
T = TypeVar("T")


def withdrawn(targets: Targets, legs: Sequence[tuple[OpenLeg, str]]) -> list[tuple[OpenLeg, str]]:
    """Give the legs that nobody is asked any more to drive."""
    return _withdrawn(targets, legs, lambda leg: leg.planned.target, _asked_for_leg)


def withdrawn_changes(targets: Targets, changes: Sequence[tuple[OpenChange, str]]) -> list[tuple[OpenChange, str]]:
    """Give the changes of memberships and accounts that nobody is asked any more to make."""
    return _withdrawn(targets, changes, lambda one: one.change.target, _asked_for_change)


def _withdrawn(
    targets: Targets, given: Sequence[tuple[T, str]], target: Callable[[T], str], asked: Callable[[T], _Ask | None]
) -> list[tuple[T, str]]:
    by_hand = {name: portal for name, portal in targets.portals.items() if isinstance(portal, Withdrawing)}
    asks = [asked(one) if target(one) in by_hand else None for one, _ in given]
    told = {name: _told(portal, name, given, asks, target) for name, portal in by_hand.items()}
    return [pair for pair, ask in zip(given, asks, strict=True) if ask is None or told[target(pair[0])]]


def _told(
    portal: Withdrawing,
    name: str,
    given: Sequence[tuple[T, str]],
    asks: Sequence[_Ask | None],
    target: Callable[[T], str],
) -> bool:
    mine = [ask for (one, _), ask in zip(given, asks, strict=True) if ask is not None and target(one) == name]
    try:
        if mine:
            portal.withdraw(mine)
    except ConnectorError:
        return False
    return True


def _asked_for_leg(leg: OpenLeg) -> _Ask | None:
    member = leg.planned.before
    if leg.planned.kind is not LegKind.CREDENTIAL or not isinstance(member, Member):
        return None
    if leg.direction is Direction.CLOSE:
        return CloseMember(member)
    closed = replace(member, username="", has_password=False, status=MemberStatus.DISABLED)
    return OpenMember(closed, member.username, member.status)


def _asked_for_change(change: OpenChange) -> _Ask | None:
    wanted = change.change
    if not isinstance(wanted, MembershipChange):
        return None
    before = wanted.before
    asks: Mapping[ChangeKind, _Ask | None] = {
        ChangeKind.ADD: wanted.after,
        ChangeKind.ENABLE: OpenMember(before, before.username, MemberStatus.ENABLED) if before else None,
        ChangeKind.DISABLE: CloseMember(before) if before else None,
    }
    return asks.get(wanted.kind)
