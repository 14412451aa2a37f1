"""What each identity is, why, and what would be closed. Pure: no clock, no I/O, no log, no settings object.

Two passes: statuses of everybody first, because a hold on one record may rest on the status of another.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from connector.model import Account, Hold, Reason, Status
from connector.policy import PortalRules, Strategy
from connector.reconcile.correlate import Correlation, Identity
from connector.reconcile.doors import (
    Scene,
    SessionUser,
    account_is_needed,
    claimed_usernames,
    closable_accounts,
    closing_portals,
    credential_stands,
    open_outside_scope,
    session_users,
    shared_sign_ins,
    unread_lost,
)
from connector.reconcile.holds import Case, policy_of, provision_holds, revocation_holds
from connector.reconcile.memory import Memory
from connector.reconcile.plan_values import Evidence
from connector.reconcile.reasons import Closing, reasons_of
from connector.reconcile.school import School

ALL = "all"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Legs:
    """What a revocation closes. `end_sessions` is `("all",)`, portal names, or empty for none."""

    accounts: tuple[Account, ...] = ()
    disable_directory: bool = False
    clear_credential: tuple[str, ...] = ()
    disable_member: tuple[str, ...] = ()
    end_sessions: tuple[str, ...] = ()
    session_users: tuple[SessionUser, ...] = ()


NO_LEGS = Legs()


@dataclass(frozen=True, slots=True)
class Decision:
    """One identity decided: status, reasons, holds, legs, and the evidence for each."""

    identity: Identity
    status: Status
    reasons: tuple[Reason, ...] = ()
    holds: tuple[Hold, ...] = ()
    legs: Legs = NO_LEGS
    closing: tuple[str, ...] = ()
    open_outside_scope: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    urgent: bool = False
    reported_only: bool = False


@dataclass(frozen=True, slots=True)
class Decisions:
    """Every decision of one day, and what they were made from."""

    school: School
    correlation: Correlation
    scene: Scene
    rows: tuple[Decision, ...]

    def by_key(self) -> Mapping[str, Decision]:
        """Index the decisions by identity key."""
        return {d.identity.key: d for d in self.rows}


def decide(correlation: Correlation, scene: Scene, memory: Memory) -> Decisions:
    """Decide every subject: contacts, members of governed portals, people linked to a managed account, orphans."""
    subjects = [i for i in correlation.identities if is_subject(i, scene)]
    closings = [_closing(i, scene) for i in subjects]
    statuses = {i.key: _status(i, closing, scene) for i, closing in zip(subjects, closings, strict=True)}
    rows = tuple([_decide(i, closing, scene, memory, statuses) for i, closing in zip(subjects, closings, strict=True)])
    return Decisions(scene.school, correlation, scene, rows)


def is_subject(identity: Identity, scene: Scene) -> bool:
    """Say whether an identity is decided at all."""
    school = scene.school
    if identity.key in school.relationships or identity.person_id is None or identity.key in school.granted:
        return True
    if identity.sessions and any(s.portal in scene.governed_names for s in identity.sessions):
        return True
    if any(m.portal in scene.governed_names for m in identity.members):
        return True
    student = identity.key in scene.school.student_records
    return not student and any(a.account.managed for a in identity.accounts)


@dataclass(frozen=True, slots=True)
class _Closing:
    portals: tuple[str, ...] = ()
    accounts: tuple[Account, ...] = ()


_NOTHING = _Closing()


def _closing(identity: Identity, scene: Scene) -> _Closing:
    portals = closing_portals(identity, scene)
    accounts = closable_accounts(identity, scene)
    return _Closing(portals, accounts) if portals or accounts else _NOTHING


def _status(identity: Identity, closing: _Closing, scene: Scene) -> Status:
    """Give the first status that holds."""
    if closing is not _NOTHING:
        return Status.READY_TO_REVOKE
    entitled = scene.claims.portals_of(identity.person_id)
    if not entitled:
        return Status.REVOKED if _record_stands(identity, scene) else Status.NONE
    missing = any(p.name in entitled and _part_missing(identity, p, scene) for p in scene.governed)
    return Status.READY_TO_PROVISION if missing else Status.ACTIVE


def _part_missing(identity: Identity, portal: PortalRules, scene: Scene) -> bool:
    """Say whether a part of an entitled portal is missing or disabled. What could not be read is not missing."""
    if portal.strategy is Strategy.MANUAL:
        return False
    member_stands = portal.name in scene.unread_portals or any(
        m.portal == portal.name and m.enabled and credential_stands(m, portal) for m in identity.members
    )
    account_stands = (
        not portal.needs_directory_account
        or bool(scene.unread_directories)
        or any(a.account.enabled for a in identity.accounts)
    )
    return not (member_stands and account_stands)


def _record_stands(identity: Identity, scene: Scene) -> bool:
    member_stands = any(m.portal in scene.governed_names for m in identity.members)
    return member_stands or any(a.account.managed for a in identity.accounts)


def _decide(
    identity: Identity, closing: _Closing, scene: Scene, memory: Memory, statuses: Mapping[str, Status]
) -> Decision:
    match status := statuses[identity.key]:
        case Status.READY_TO_REVOKE:
            return _revocation(identity, closing, scene, memory, statuses)
        case Status.READY_TO_PROVISION:
            holds, evidence = provision_holds(identity, scene.claims, scene, memory)
            return Decision(identity, status, holds=holds, evidence=(*evidence, *_notes(identity, scene)))
        case _:
            outside = open_outside_scope(identity, scene) if identity.accounts else ()
            return Decision(identity, status, open_outside_scope=outside, evidence=_notes(identity, scene))


def _revocation(
    identity: Identity, found: _Closing, scene: Scene, memory: Memory, statuses: Mapping[str, Status]
) -> Decision:
    closing = Closing(found.portals, bool(found.accounts))
    reasons, evidence = reasons_of(identity, closing, scene, memory)
    case = Case(identity, closing, found.accounts, reasons)
    holds, why_held = revocation_holds(case, scene, memory, statuses)
    return Decision(
        identity,
        Status.READY_TO_REVOKE,
        reasons,
        holds,
        _legs(identity, found, scene),
        found.portals,
        open_outside_scope(identity, scene),
        (*evidence, *why_held, *_claimed(identity, scene), *_notes(identity, scene)),
        urgent=case.urgent,
        reported_only=policy_of(case, scene).value == "report",
    )


def _legs(identity: Identity, found: _Closing, scene: Scene) -> Legs:
    clear = tuple(p for p in found.portals if any(m.credential_lives for m in identity.members_of(p)))
    disable = tuple(p for p in found.portals if any(m.enabled for m in identity.members_of(p)))
    everywhere = not _another_portal_keeps(identity, found.portals, scene)
    portals = tuple(dict.fromkeys((*found.portals, *unread_lost(identity, scene))))
    users = session_users(identity, scene, None if everywhere else portals)
    wanted: tuple[str, ...] = (ALL,) if everywhere else portals
    if not users and (claimed_usernames(identity, scene) or shared_sign_ins(identity, scene)):
        wanted = ()  # an entitled person's sessions are never ended for somebody else
    unread = bool(scene.unread_directories) and not account_is_needed(identity, scene)
    return Legs(found.accounts, bool(found.accounts) or unread, clear, disable, wanted, users)


def _another_portal_keeps(identity: Identity, closing: Sequence[str], scene: Scene) -> bool:
    entitled = scene.claims.portals_of(identity.person_id)
    if entitled.difference(closing) or any(m.enabled and m.portal not in closing for m in identity.members):
        return True
    unknown = frozenset(scene.unread_portals).difference(unread_lost(identity, scene))
    return bool(unknown)  # a portal that did not answer may hold an enabled member


def _claimed(identity: Identity, scene: Scene) -> tuple[Evidence, ...]:
    """Name the right person of an account or username that stands on the wrong record."""
    people = scene.school.people
    found = [
        Evidence("claimed", f"the username {name} is {', '.join(sorted(people[p].code for p in who))}'s: it stays")
        for name, who in sorted(claimed_usernames(identity, scene).items())
    ]
    for value, who in sorted(shared_sign_ins(identity, scene).items()):
        named = sorted(people[p].code for p in who)
        # A placeholder may be shared by thousands.
        others = ", ".join(named[:_NAMED]) + (f" and {len(named) - _NAMED:,} more" if len(named) > _NAMED else "")
        text = f"sessions under {value} may be of {others}: they stay, ask who shares it to sign out"
        found.append(Evidence("claimed", text))
    for linked in identity.accounts:
        if who := scene.claims.others_on_account(linked.account, identity.person_id):
            codes = ", ".join(sorted(people[p].code for p in who))
            found.append(Evidence("claimed", f"the account {linked.account.username} is {codes}'s too: it stays"))
    return tuple(found)


def _notes(identity: Identity, scene: Scene) -> tuple[Evidence, ...]:
    """List what a person should look at although nothing closes: a court order for some children and not all."""
    barred = scene.school.barred.get(identity.key)
    if not barred or not scene.claims.portals_of(identity.person_id) or not scene.school.counting(identity.key):
        return ()
    names = ", ".join(sorted(scene.school.people[s].name for s in barred if s in scene.school.people))
    text = f"check that the portal hides {names}: restricted for some children, not all"
    return (Evidence("restricted-child", text),)


def ready_to_revoke(decisions: Decisions) -> Iterable[Decision]:
    """Give the rows that are ready to revoke."""
    return (d for d in decisions.rows if d.status is Status.READY_TO_REVOKE)
