"""Before an open leg is driven again, its person is decided again. Pure.

A leg is called off only with a reason: the person is entitled again, somebody entitled claims the target, or the
target is planned anew because it could not be read before. Everything else is driven to its end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from connector.model import LegKind
from connector.reconcile.claims import NOBODY
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decisions
from connector.reconcile.doors import Scene, account_is_needed, session_users
from connector.reconcile.journal_values import Direction, OpenLeg


@dataclass(frozen=True, slots=True)
class Resumption:
    """Which open legs are driven, and which are called off with why."""

    drive: tuple[OpenLeg, ...]
    call_off: tuple[tuple[OpenLeg, str], ...]


def decide_again(legs: Iterable[OpenLeg], decisions: Decisions, *, believed: bool = True) -> Resumption:
    """Judge every resumable leg against today's decisions.

    Where the source cannot be believed nothing is called off, and only what a block asks for is driven.
    """
    identities = decisions.correlation.by_key()
    drive: list[OpenLeg] = []
    off: list[tuple[OpenLeg, str]] = []
    for leg in legs:
        blocked = leg.person_id in decisions.school.blocked
        if not leg.resumable or not (believed or blocked):
            continue
        identity = identities.get(leg.key)
        why = _why_not(leg, identity, decisions) if leg.direction is Direction.CLOSE else ""
        if why:
            off.append((leg, why))
        else:
            drive.append(leg)
    return Resumption(tuple(drive), tuple(off))


def _why_not(leg: OpenLeg, identity: Identity | None, decisions: Decisions) -> str:
    """Say why a leg is not to be closed any more; empty means it is."""
    planned, scene = leg.planned, decisions.scene
    if planned.unread:
        return "" if _still_unread(leg, scene) else "the target can be read again: planned anew"
    if identity is None:
        return ""
    match planned.kind:
        case LegKind.DIRECTORY:
            return _account_stays(leg, identity, decisions)
        case LegKind.CREDENTIAL:
            entitled = planned.target in scene.claims.portals_of(identity.person_id)
            return f"entitled to {planned.target} again" if entitled else ""
        case LegKind.SESSIONS:
            return _sessions_stay(leg, identity, decisions)


def _still_unread(leg: OpenLeg, scene: Scene) -> bool:
    """Say whether what a leg waited for still cannot be read; session users wait for the directories."""
    if leg.planned.kind is LegKind.SESSIONS:
        return bool(scene.unread_directories)
    return leg.planned.target in {*scene.unread_directories, *scene.unread_portals}


def _account_stays(leg: OpenLeg, identity: Identity, decisions: Decisions) -> str:
    scene = decisions.scene
    if leg.planned.target in scene.unread_directories:
        return ""
    if account_is_needed(identity, scene):
        return "the account is needed again"
    claiming = scene.claims.accounts.get((leg.planned.target, leg.planned.subject), NOBODY) - {leg.person_id or ""}
    return f"claimed by {', '.join(sorted(claiming))}, who is entitled" if claiming else ""


def _sessions_stay(leg: OpenLeg, identity: Identity, decisions: Decisions) -> str:
    """Sessions stay where everything they were to be ended in is entitled again, or the user value is another's now."""
    entitled = decisions.scene.claims.portals_of(identity.person_id)
    portals = leg.planned.portals
    if portals and entitled.issuperset(portals):
        return f"entitled to {', '.join(portals)} again"
    if not portals and entitled:
        return "entitled again"
    mine = {(u.store, u.user) for u in session_users(identity, decisions.scene, portals or None)}
    others = any(
        decisions.scene.claims.others_on_user(portal, leg.planned.subject, identity.person_id) for portal in portals
    )
    return (
        "the user name is an entitled person's now"
        if others and (leg.planned.target, leg.planned.subject) not in mine
        else ""
    )


def addresses(legs: Sequence[OpenLeg]) -> frozenset[tuple[str, LegKind, str, str]]:
    """Give what the legs still being driven close; a leg in conflict is planned anew."""
    return frozenset(
        (leg.key, leg.planned.kind, leg.planned.target, leg.planned.subject) for leg in legs if leg.resumable
    )
