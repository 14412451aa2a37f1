"""Before an open leg is driven again, its person is decided again. Pure.

A leg is called off only with a reason: the person is entitled again, or somebody entitled claims the target. What
cannot be decided now is left as it is, open. Everything else is driven to its end.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from connector.model import Hold, LegKind, LegState, MembershipType, SessionKey, Status
from connector.reconcile.claims import NOBODY, entitled_among
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decision, Decisions
from connector.reconcile.doors import Scene, account_is_needed, member_is_closed, session_users
from connector.reconcile.entitlement import may_be_entitled
from connector.reconcile.journal_values import (
    INVITING,
    AccountChange,
    Change,
    ChangeKind,
    Direction,
    OpenChange,
    OpenLeg,
)
from connector.reconcile.plan_values import PlannedLeg
from connector.reconcile.snapshot import Snapshot
from connector.reconcile.text import fold, fold_id


@dataclass(frozen=True, slots=True)
class Drive:
    """The leg is driven, as it stands here. `older_only` spares sessions that began after it was intended."""

    leg: OpenLeg
    older_only: bool = False


@dataclass(frozen=True, slots=True)
class CallOff:
    """The leg is not to be driven any more, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Nothing can be decided about the leg now: it stays open."""


Verdict = Drive | CallOff | Leave


@dataclass(frozen=True, slots=True)
class Resumption:
    """Which open legs are driven, and which are called off with why. `older_only` are leg numbers; see `Drive`."""

    drive: tuple[OpenLeg, ...]
    call_off: tuple[tuple[OpenLeg, str], ...]
    older_only: frozenset[int] = frozenset()


def decide_again(legs: Iterable[OpenLeg], decisions: Decisions, *, believed: bool = True) -> Resumption:
    """Judge every open leg against today's decisions.

    Where the source cannot be believed nothing is called off for its sake, and only what a block asks for is driven.
    """
    identities, decided = decisions.correlation.by_key(), decisions.by_key()
    verdicts = [
        (leg, _again(leg, identities.get(leg.key), decided.get(leg.key), decisions, believed=believed)) for leg in legs
    ]
    driven = [v for _, v in verdicts if isinstance(v, Drive)]
    return Resumption(
        tuple(v.leg for v in driven),
        tuple((leg, v.why) for leg, v in verdicts if isinstance(v, CallOff)),
        frozenset(v.leg.leg_id for v in driven if v.older_only),
    )


def reopened(legs: Iterable[OpenLeg]) -> tuple[OpenLeg, ...]:
    """Give closed session legs as if they were open, so that `decide_again` says for whom they are swept once more."""
    return tuple(replace(leg, state=LegState.INTENDED) for leg in legs)


def _again(
    leg: OpenLeg, identity: Identity | None, decision: Decision | None, decisions: Decisions, *, believed: bool
) -> Verdict:
    blocked = leg.person_id is not None and leg.person_id in decisions.school.blocked
    if leg.direction is Direction.OPEN:
        return _open_again(leg, identity, decisions, blocked=blocked, believed=believed)
    if leg.state is LegState.EFFECTIVE_BY or not (believed or blocked):
        return Leave()
    verdict = _close_again(leg, identity, decisions.scene, blocked=blocked)
    if isinstance(verdict, CallOff):
        return verdict if believed else Leave()
    urgent = blocked or (decision is not None and decision.urgent)
    if guarded := _protection(leg.planned, identity):
        # As in a new plan: the directory leg of an urgent row is withheld alone; of any other the whole row waits.
        return CallOff(f"protected since ({guarded}): it is never written from here") if urgent else Leave()
    waits = leg.planned.unread or _waits_for_somebody(leg, identity, decision, urgent=urgent)
    if waits or (leg.state is LegState.CONFLICT and not _settled_meanwhile(leg, identity)):
        return Leave()
    return verdict


def _open_again(
    leg: OpenLeg, identity: Identity | None, decisions: Decisions, *, blocked: bool, believed: bool
) -> Verdict:
    """A restore is not finished against a block, nor against a court order without its second operator."""
    if blocked:
        return CallOff("blocked since it was asked for")
    if leg.state is LegState.CONFLICT:
        return CallOff(f"not restored: {leg.detail or 'somebody else changed it meanwhile'}")
    if not believed or not leg.resumable:
        return Leave()
    if leg.person_id in decisions.school.barred:
        return CallOff("restricted by a court order: restore again with a second operator")
    if identity is not None and _left_the_managed_part(leg.planned, identity):
        return CallOff("moved out of the managed OUs, where nothing is written")
    guarded = _protection(leg.planned, identity)
    return CallOff(f"protected since ({guarded}): it is never written from here") if guarded else Drive(leg)


def _waits_for_somebody(leg: OpenLeg, identity: Identity | None, decision: Decision | None, *, urgent: bool) -> bool:
    """Say whether a dispute or a keep that came up since holds the leg; of urgent rows, the directory leg only."""
    if identity is not None and identity.disputed:
        return not urgent or leg.planned.kind is LegKind.DIRECTORY
    return not urgent and decision is not None and Hold.KEEP in decision.holds


def _settled_meanwhile(leg: OpenLeg, identity: Identity | None) -> bool:
    """Say whether what was in conflict is closed or gone by now: looking at it once more ends the leg."""
    if identity is None:
        return True
    planned = leg.planned
    if planned.kind is LegKind.DIRECTORY:
        return not any(a.account.guid == planned.subject and a.account.enabled for a in identity.accounts)
    return all(member_is_closed(m) for m in identity.members_of(planned.target))


def _close_again(leg: OpenLeg, identity: Identity | None, scene: Scene, *, blocked: bool) -> Verdict:
    planned = leg.planned
    match planned.kind:
        case LegKind.DIRECTORY:
            return _account_again(leg, identity, scene)
        case LegKind.CREDENTIAL:
            entitled = planned.target in scene.claims.portals_of(leg.person_id)
            return CallOff(f"entitled to {planned.target} again") if entitled else Drive(leg)
        case LegKind.SESSIONS:
            return _sessions_again(leg, identity, scene, blocked=blocked)


def _account_again(leg: OpenLeg, identity: Identity | None, scene: Scene) -> Verdict:
    planned = leg.planned
    if identity is not None and account_is_needed(identity, scene):
        return CallOff("the account is needed again")
    if planned.target in scene.unread_directories:
        return Leave()  # who claims the account cannot be seen
    if identity is not None and _left_the_managed_part(planned, identity):
        return CallOff("moved out of the managed OUs, where nothing is written: it is shown as open outside scope")
    claiming = scene.claims.accounts.get((planned.target, planned.subject), NOBODY) - {leg.person_id or ""}
    return CallOff(f"claimed by {', '.join(sorted(claiming))}, who is entitled") if claiming else Drive(leg)


def _left_the_managed_part(planned: PlannedLeg, identity: Identity) -> bool:
    found = (linked.account for linked in identity.accounts)
    return any((a.directory, a.guid) == (planned.target, planned.subject) and not a.managed for a in found)


def _protection(planned: PlannedLeg, identity: Identity | None) -> str:
    """Say what protects the account of a leg by now; a leg that was planned unread means all that are enabled there."""
    if planned.kind is not LegKind.DIRECTORY or identity is None:
        return ""
    mine = [a.account for a in identity.accounts if a.account.directory == planned.target]
    if planned.unread:
        meant = [account for account in mine if account.managed and account.enabled]
    else:
        meant = [account for account in mine if account.guid == planned.subject]
    return meant[0].protected if meant and all(account.protected for account in meant) else ""


def _sessions_again(leg: OpenLeg, identity: Identity | None, scene: Scene, *, blocked: bool) -> Verdict:
    """Drive what is left of a sessions leg: no portal that is entitled again, none where the user is another's now."""
    planned, entitled = leg.planned, scene.claims.portals_of(leg.person_id)
    if entitled and entitled.issuperset(planned.portals):
        return CallOff(f"entitled to {', '.join(planned.portals) or ', '.join(sorted(entitled))} again")
    by_name = scene.store_keys.get(planned.target) is SessionKey.USERNAME
    places = planned.portals or tuple(p.name for p in scene.portals)
    if by_name and not blocked and scene.unread_directories and not scene.claims.through_directory.isdisjoint(places):
        return Leave()  # whose user name it is cannot be seen
    free = tuple(p for p in places if p not in entitled and not _others(leg, p, scene))
    if not free:
        return CallOff("the user name is an entitled person's now")
    everywhere = not planned.portals and free == places
    left = replace(leg, planned=replace(planned, portals=() if everywhere else free))
    return Drive(left, older_only=not _is_still_theirs(left, identity, scene))


def _is_still_theirs(leg: OpenLeg, identity: Identity | None, scene: Scene) -> bool:
    if identity is None:
        return False
    users = session_users(identity, scene, leg.planned.portals or None)
    return any((u.store, u.user) == (leg.planned.target, leg.planned.subject) for u in users)


def _others(leg: OpenLeg, portal: str, scene: Scene) -> frozenset[str]:
    """Give the entitled people, other than the leg's, whose user value this is by now."""
    value, claims = leg.planned.subject, scene.claims
    holders: Iterable[str] = ()
    match scene.store_keys.get(leg.planned.target):
        case SessionKey.USERNAME:
            return claims.others_on_user(portal, value, leg.person_id)
        case SessionKey.CODE:
            holders = scene.school.by_code.get(fold_id(value), ())
        case SessionKey.EMAIL:
            holders = scene.school.by_email.get(fold(value), ())
        case SessionKey.NATIVE_ID:
            return claims.others_on_native_id(portal, value, leg.person_id)
        case SessionKey.GUID:
            holders = {p for (_, guid), people in claims.accounts.items() if guid == value for p in people}
    return entitled_among(holders, claims.entitled) - {leg.person_id or ""}


# --- changes of memberships and accounts ------------------------------------------------------------------------------


def changes_again(
    changes: Iterable[OpenChange], decisions: Decisions
) -> tuple[tuple[OpenChange, ...], tuple[tuple[OpenChange, str], ...]]:
    """Give the open changes to drive, and those to call off with why. What a dispute leaves unclear is in neither."""
    judged = [(change, _not_wanted(change, decisions)) for change in changes]
    disputed = {i.person_id for i in decisions.correlation.identities if i.disputed}
    drive = (c for c, why in judged if not why and not _waits(c.change, disputed))
    return tuple(drive), tuple((c, why) for c, why in judged if why)


def _waits(change: Change, disputed: Collection[str | None]) -> bool:
    """A disputed identity is not provisioned: whose account it would be is not clear."""
    return isinstance(change, AccountChange) and change.kind in INVITING and change.person_id in disputed


def _not_wanted(change: OpenChange, decisions: Decisions) -> str:
    """Say why nobody is to be let in by this change any more; empty means they are, or it takes access away."""
    wanted, school = change.change, decisions.school
    if wanted.kind not in INVITING:
        overtaken = wanted.kind is ChangeKind.UPDATE_ACCOUNT and change.state is LegState.CONFLICT
        return "somebody else changed the account meanwhile: what is missing is planned anew" if overtaken else ""
    if wanted.person_id in school.blocked:
        return "blocked since it was intended"
    if wanted.person_id in school.denied:
        return "denied since it was intended"
    if isinstance(wanted, AccountChange):
        kept = wanted.person_id in school.granted and may_be_entitled(school, wanted.person_id)
        entitled_to_any = kept or bool(decisions.scene.claims.portals_of(wanted.person_id))
        return "" if entitled_to_any else "no longer entitled to anything"
    by_rule = wanted.after is not None and wanted.after.membership_type is MembershipType.SYSTEM_GENERATED
    entitled = wanted.portal in decisions.scene.claims.portals_of(wanted.person_id)
    lost = wanted.kind is ChangeKind.ADD and by_rule and not entitled
    return f"no longer entitled to {wanted.portal}" if lost else ""


# --- what could not be read -------------------------------------------------------------------------------------------


def addresses(legs: Iterable[OpenLeg], snapshot: Snapshot) -> frozenset[tuple[str, LegKind, str, str]]:
    """Give what is on its way already. A leg in conflict, or unread till now, is planned anew."""
    unread = _Unread(snapshot.unread_names("directory"), snapshot.unread_names("portal"))
    return frozenset(
        (leg.key, leg.planned.kind, leg.planned.target, leg.planned.subject)
        for leg in legs
        if leg.resumable and leg.direction is Direction.CLOSE and (not leg.planned.unread or unread.still(leg))
    )


def read_again(
    legs: Iterable[OpenLeg], decisions: Decisions, applied: Collection[str]
) -> tuple[tuple[OpenLeg, str], ...]:
    """Give the unread legs that are over, with why: planned anew by a row just applied, or nothing is left to close.

    Where the new row waits for a person, the old leg stays open while something lives there: half of it is closed
    already.
    """
    unread = _Unread(decisions.scene.unread_directories, decisions.scene.unread_portals)
    ready = {d.identity.key: d.identity for d in decisions.rows if d.status is Status.READY_TO_REVOKE}
    found = []
    for leg in legs:
        if leg.planned.unread and leg.direction is Direction.CLOSE and not unread.still(leg):
            if leg.key in applied:
                found.append((leg, "the target can be read again: planned anew"))
            elif leg.key not in ready or _nothing_lives(leg.planned, ready[leg.key]):
                found.append((leg, "the target can be read again: nothing is left to close there"))
    return tuple(found)


def _nothing_lives(planned: PlannedLeg, identity: Identity) -> bool:
    """Say whether there is nothing in a leg's target that it could close; of sessions nobody knows."""
    if planned.kind is LegKind.CREDENTIAL:
        return not any(m.enabled or m.credential_lives for m in identity.members_of(planned.target))
    mine = [a.account for a in identity.accounts if a.account.directory == planned.target]
    return planned.kind is LegKind.DIRECTORY and not any(a.enabled for a in mine)


@dataclass(frozen=True, slots=True)
class _Unread:
    directories: Collection[str]
    portals: Collection[str]

    def still(self, leg: OpenLeg) -> bool:
        """Say whether what a leg waited for still cannot be read; session users wait for the directories."""
        if leg.planned.kind is LegKind.SESSIONS:
            return bool(self.directories)
        return leg.planned.target in self.directories or leg.planned.target in self.portals
