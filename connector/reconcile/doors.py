"""What of an identity lives, and what may be closed. Pure.

Members, accounts, and the session users that are the identity's own; never what an entitled person claims.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from connector.model import Account, Member, SessionKey
from connector.policy import PortalRules, SignIn, Strategy
from connector.reconcile.claims import Claims
from connector.reconcile.correlate import Identity
from connector.reconcile.entitlement import may_be_entitled
from connector.reconcile.school import School
from connector.reconcile.text import fold


@dataclass(frozen=True)
class Scene:
    """Everything a decision about one identity looks at, and what its portals have in common, worked out once."""

    school: School
    claims: Claims
    portals: tuple[PortalRules, ...]
    store_keys: Mapping[str, SessionKey]
    unread_portals: tuple[str, ...] = ()
    unread_directories: tuple[str, ...] = ()

    @cached_property
    def governed(self) -> tuple[PortalRules, ...]:
        """The portals where a mismatch leads to a joint revocation."""
        return tuple(p for p in self.portals if p.governed)

    @cached_property
    def governed_names(self) -> frozenset[str]:
        """The names of the governed portals."""
        return frozenset(p.name for p in self.governed)

    @cached_property
    def account_portals(self) -> frozenset[str]:
        """The names of the portals that need a directory account."""
        return frozenset(p.name for p in self.portals if p.needs_directory_account)

    @cached_property
    def through_directory(self) -> tuple[str, ...]:
        """The names of the portals that sign in through the directory, in the config's order."""
        return tuple(p.name for p in self.portals if p.sign_in is SignIn.DIRECTORY)


def credential_stands(member: Member, portal: PortalRules) -> bool:
    """Say whether a member can sign in: a username, and a password where the portal signs in by password."""
    return bool(member.username) and (member.has_password or portal.sign_in is SignIn.DIRECTORY)


def member_is_closed(member: Member) -> bool:
    """Say whether a member stands closed: disabled and without credential."""
    return not member.enabled and not member.credential_lives


def session_lives(identity: Identity, portal: str, claims: Claims) -> bool:
    """Say whether a session of this identity lives in a portal that no entitled person claims."""
    return any(
        s.portal == portal and not claims.others_on_user(portal, s.user, identity.person_id) for s in identity.sessions
    )


def closing_portals(identity: Identity, scene: Scene) -> tuple[str, ...]:
    """Give the governed portals the identity is not entitled to where something lives, in the config's order."""
    if not identity.members and not identity.sessions:
        return ()
    entitled = scene.claims.portals_of(identity.person_id)
    return tuple([
        p.name
        for p in scene.governed
        if p.name not in entitled and _lives_in(identity, p.name, scene.claims) and not _undecided(identity, p, scene)
    ])


def _lives_in(identity: Identity, portal: str, claims: Claims) -> bool:
    for member in identity.members:
        if member.portal == portal and (member.enabled or member.credential_lives):
            return True
    return bool(identity.sessions) and session_lives(identity, portal, claims)


def _undecided(identity: Identity, portal: PortalRules, scene: Scene) -> bool:
    """Say whether a portal without a strategy says nothing about this person: nobody mismatches a manual portal."""
    if portal.strategy not in (Strategy.MANUAL, Strategy.CUSTOM) or not identity.person_id:
        return False
    words = [m.strategy_match for m in identity.members_of(portal.name) if m.strategy_match is not None]
    return not words and may_be_entitled(scene.school, identity.person_id)


def account_is_needed(identity: Identity, scene: Scene) -> bool:
    """Say whether any portal that needs a directory account is entitled."""
    return not scene.account_portals.isdisjoint(scene.claims.portals_of(identity.person_id))


def closable_accounts(identity: Identity, scene: Scene) -> tuple[Account, ...]:
    """Give the enabled, managed accounts that nothing needs and no entitled person claims."""
    if not identity.accounts or account_is_needed(identity, scene):
        return ()
    return tuple(
        a.account
        for a in identity.accounts
        if a.account.enabled
        and a.account.managed
        and not scene.claims.others_on_account(a.account, identity.person_id)
    )


def open_outside_scope(identity: Identity, scene: Scene) -> tuple[str, ...]:
    """Give the DNs of enabled accounts outside the managed OUs that nothing needs: seen, never written."""
    outside = [a.account for a in identity.accounts if a.account.enabled and not a.account.managed]
    if not outside or account_is_needed(identity, scene):
        return ()
    return tuple(a.dn for a in outside)


@dataclass(frozen=True, slots=True)
class SessionUser:
    """One user value in one store whose sessions are this identity's, in these portals (none: in all it holds)."""

    store: str
    user: str
    portals: tuple[str, ...] = ()


def session_users(identity: Identity, scene: Scene, only: Sequence[str] | None) -> tuple[SessionUser, ...]:
    """Give whose sessions to end, per store. `only` limits to these portals; none means all portals.

    What an entitled person claims is left out: a username in a portal where somebody else signs in with it.
    """
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for store, key in scene.store_keys.items():
        if key is SessionKey.USERNAME:
            for user, portals in own_usernames(identity, scene, only).items():
                found[store, user] = portals
        else:
            for user in _other_keys(identity, key, scene):
                found[store, user] = tuple(only or ())
    return tuple(SessionUser(store, user, portals) for (store, user), portals in found.items())


def own_usernames(identity: Identity, scene: Scene, only: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    """Give each username of the identity with the portals where a session under it is the identity's own."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for portal, name in _username_places(identity, scene):
        wanted = only is None or portal in only
        if wanted and _is_own(portal, name, identity, scene.claims):
            found[name][portal] = None
    return {name: tuple(portals) for name, portals in found.items()}


def _is_own(portal: str, name: str, identity: Identity, claims: Claims) -> bool:
    return not claims.others_on_user(portal, name, identity.person_id) and not claims.is_held_by_another(
        portal, name, identity.person_id
    )


def _username_places(identity: Identity, scene: Scene) -> dict[tuple[str, str], None]:
    """Give every (portal, username) under which the identity may be signed in."""
    through = scene.through_directory
    directory_names = [a.account.username for a in identity.accounts]
    places: dict[tuple[str, str], None] = {}
    for member in identity.members:
        if member.username:
            places[member.portal, member.username] = None
            directory_names.extend([member.username] if member.portal in through else [])
    places.update({(portal, name): None for name in directory_names if name for portal in through})
    places.update({(s.portal, s.user): None for s in identity.sessions})
    return places


def _other_keys(identity: Identity, key: SessionKey, scene: Scene) -> tuple[str, ...]:
    person = identity.person
    match key:
        case SessionKey.PERSON_ID:
            return (identity.person_id,) if identity.person_id else ()
        case SessionKey.CODE:
            return (person.code,) if person and len(scene.school.by_code.get(fold(person.code), ())) == 1 else ()
        case SessionKey.EMAIL:
            holders = scene.school.by_email.get(fold(person.email), ()) if person and person.email else ()
            return (person.email,) if person and len(holders) == 1 else ()
        case SessionKey.GUID:
            mine = (a.account for a in identity.accounts)
            return tuple(a.guid for a in mine if not scene.claims.others_on_account(a, identity.person_id))
        case _:
            return tuple(dict.fromkeys(m.native_id for m in identity.members if m.native_id))


def claimed_usernames(identity: Identity, scene: Scene) -> dict[str, frozenset[str]]:
    """Give the usernames of this identity that entitled people claim, with those people: the evidence names them."""
    found = {}
    for portal, name in _username_places(identity, scene):
        if people := scene.claims.others_on_user(portal, name, identity.person_id):
            found[name] = people
    return found
