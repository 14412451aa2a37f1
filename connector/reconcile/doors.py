"""What of an identity lives, and what may be closed. Pure.

Members, accounts, and the session users that are the identity's own; never what an entitled person claims.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from connector.model import Account, Member, Person, Session, SessionKey
from connector.policy import PortalRules, SignIn, Strategy
from connector.reconcile.claims import NOBODY, Claims
from connector.reconcile.correlate import Identity
from connector.reconcile.entitlement import may_be_entitled
from connector.reconcile.school import School
from connector.reconcile.text import fold, fold_id


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
    def silent(self) -> frozenset[str]:
        """The portals that decide by their own members, and did not answer."""
        own = (Strategy.MANUAL, Strategy.CUSTOM)
        return frozenset(p.name for p in self.portals if p.strategy in own and p.name in self.unread_portals)

    @cached_property
    def entitled_by_email(self) -> Mapping[str, Sequence[str]]:
        """The entitled people per (folded) e-mail that several have, by their codes; no student records."""
        return self._entitled(self.school.by_email)

    @cached_property
    def entitled_by_mobile(self) -> Mapping[str, Sequence[str]]:
        """The entitled people per mobile number that several have, by their codes; no student records."""
        return self._entitled(self.school.by_mobile)

    def _entitled(self, holders: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        school, entitled = self.school, self.claims.entitled
        return {
            value: sorted(
                (p for p in people if p in entitled and p not in school.student_records),
                key=lambda p: school.people[p].code,
            )
            for value, people in holders.items()
            if len(people) > 1
        }

    @cached_property
    def all_usernames_known(self) -> bool:
        """Whether every portal that signs in through the directory answered."""
        return not frozenset(self.unread_portals) & frozenset(self.through_directory)

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


def session_lives(identity: Identity, portal: str, scene: Scene) -> bool:
    """Say whether a session of this identity lives in a portal that no entitled person claims."""
    return any(s.portal == portal and not _is_claimed(s, identity, scene) for s in identity.sessions)


def _is_claimed(session: Session, identity: Identity, scene: Scene) -> bool:
    """Say whether an entitled person claims a session: by its username or its account, as its store keys it."""
    match scene.store_keys.get(session.store, SessionKey.USERNAME):
        case SessionKey.USERNAME:
            return bool(scene.claims.others_on_user(session.portal, session.user, identity.person_id))
        case SessionKey.GUID:
            mine = (a.account for a in identity.accounts if a.account.guid == session.user.lower())
            return any(scene.claims.others_on_account(a, identity.person_id) for a in mine)
        case _:
            return False


def closing_portals(identity: Identity, scene: Scene) -> tuple[str, ...]:
    """Give the governed portals the identity is not entitled to where something lives, in the config's order."""
    if (not identity.members and not identity.sessions) or _may_be_a_members(identity, scene):
        return ()
    entitled = scene.claims.portals_of(identity.person_id)
    return tuple(
        p.name
        for p in scene.governed
        if p.name not in entitled and _lives_in(identity, p.name, scene) and not _undecided(identity, p, scene)
    )


def _lives_in(identity: Identity, portal: str, scene: Scene) -> bool:
    for member in identity.members:
        if member.portal == portal and (member.enabled or member.credential_lives):
            return True
    return bool(identity.sessions) and session_lives(identity, portal, scene)


def _undecided(identity: Identity, portal: PortalRules, scene: Scene) -> bool:
    """Say whether a portal without a strategy says nothing about this person: nobody mismatches a manual portal."""
    if portal.strategy not in (Strategy.MANUAL, Strategy.CUSTOM) or not identity.person_id:
        return False
    words = [m.strategy_match for m in identity.members_of(portal.name) if m.strategy_match is not None]
    return not words and may_be_entitled(scene.school, identity.person_id)


def _may_be_a_members(identity: Identity, scene: Scene) -> bool:
    """Say whether nobody's account may yet be that of a member, in a portal that did not answer."""
    return identity.person_id is None and not scene.all_usernames_known


def unread_lost(identity: Identity, scene: Scene) -> tuple[str, ...]:
    """Give the governed portals that did not answer and that the identity is surely not entitled to."""
    if not identity.person_id or not scene.unread_portals:
        return ()
    entitled = scene.claims.portals_of(identity.person_id)
    return tuple(
        p.name
        for p in scene.governed
        if p.name in scene.unread_portals and p.name not in entitled and not _undecided(identity, p, scene)
    )


def unread_words(identity: Identity, scene: Scene) -> frozenset[str]:
    """Give the portals that decide by their own members, did not answer, and may yet be this identity's."""
    if not scene.silent or not identity.person_id or not may_be_entitled(scene.school, identity.person_id):
        return NOBODY
    return scene.silent


def account_is_needed(identity: Identity, scene: Scene) -> bool:
    """Say whether any portal that needs a directory account is entitled, or may be: unknown is not *no*.

    Of a person whose admin system is an identity provider, the account is the provider's to keep while they are active.
    """
    if identity.key in scene.school.granted and may_be_entitled(scene.school, identity.key):
        return True
    if not scene.account_portals.isdisjoint(scene.claims.portals_of(identity.person_id)):
        return True
    return bool(scene.silent) and not scene.account_portals.isdisjoint(unread_words(identity, scene))


def closable_accounts(identity: Identity, scene: Scene) -> tuple[Account, ...]:
    """Give the enabled, managed accounts that nothing needs and no entitled person claims."""
    if not identity.accounts or account_is_needed(identity, scene) or _may_be_a_members(identity, scene):
        return ()
    return tuple(
        a.account
        for a in identity.accounts
        if a.account.enabled and a.account.managed and not scene.claims.others_on_account(a.account, identity.person_id)
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
    """Give whose sessions to end, per store. `only` limits to these portals, none of them where it is empty.

    `None` means all portals. What an entitled person claims is left out: a username in a portal where somebody else
    signs in with it.
    """
    if only is not None and not only:
        return ()  # no portal closes: to name no portal to a store would mean all it holds
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for store, key in scene.store_keys.items():
        if key is SessionKey.USERNAME:
            for user, portals in own_usernames(identity, scene, only).items():
                found[store, user] = portals
        else:
            for user, portals in _other_keys(identity, store, key, scene, only).items():
                found[store, user] = portals
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
    for session in identity.sessions:
        if scene.store_keys.get(session.store, SessionKey.USERNAME) is SessionKey.USERNAME:
            places[session.portal, session.user] = None
    return places


def _other_keys(
    identity: Identity, store: str, key: SessionKey, scene: Scene, only: Sequence[str] | None
) -> Mapping[str, tuple[str, ...]]:
    """Give each user value that is no username, with the portals where a session under it is the identity's own."""
    if key is SessionKey.NATIVE_ID:
        return _native_ids(identity, scene.claims, only)
    person, school, claims = identity.person, scene.school, scene.claims
    users: tuple[str, ...] = ()
    if key is SessionKey.PERSON_ID and identity.person_id:
        users = (identity.person_id,)
    elif key is SessionKey.CODE and person and _is_alone(school.by_code.get(fold_id(person.code), ()), person, claims):
        users = (person.code, *_other_spellings(identity, store, person.code))
    elif key is SessionKey.EMAIL and person and _is_alone(school.by_email.get(fold(person.email), ()), person, claims):
        users = (person.email, *_other_spellings(identity, store, person.email))
    elif key is SessionKey.GUID:
        mine = (a.account for a in identity.accounts)
        users = tuple(a.guid for a in mine if not claims.others_on_account(a, identity.person_id))
    return dict.fromkeys(users, tuple(only or ()))


def _other_spellings(identity: Identity, store: str, ours: str) -> tuple[str, ...]:
    """Give how else one store spells what it knows this identity by: a hidden mark, or another case of a code."""
    theirs = {session.user for session in identity.sessions if session.store == store}
    # Stores compare e-mail without case: two questions for one address would count its sessions twice.
    alike = {ours.casefold()} if "@" in ours else {ours}
    return tuple(sorted(user for user in theirs if (user.casefold() if "@" in user else user) not in alike))


def _is_alone(holders: Sequence[str], person: Person, claims: Claims) -> bool:
    """Say whether nobody entitled shares a code or an e-mail with this person."""
    return bool(holders) and not any(claims.portals_of(h) for h in holders if h != person.person_id)


def _native_ids(identity: Identity, claims: Claims, only: Sequence[str] | None) -> Mapping[str, tuple[str, ...]]:
    """Give each native id with the portals whose own it is: the next portal counts its rows anew."""
    found: dict[str, tuple[str, ...]] = {}
    for member in identity.members:
        wanted = member.native_id and (only is None or member.portal in only)
        if wanted and not claims.others_on_native_id(member.portal, member.native_id, identity.person_id):
            found[member.native_id] = (*found.get(member.native_id, ()), member.portal)
    return found


def claimed_usernames(identity: Identity, scene: Scene) -> dict[str, frozenset[str]]:
    """Give the usernames of this identity that entitled people claim, with those people: the evidence names them."""
    found = {}
    for portal, name in _username_places(identity, scene):
        if people := scene.claims.others_on_user(portal, name, identity.person_id):
            found[name] = people
    return found


def shared_sign_ins(
    identity: Identity, scene: Scene, keys: Iterable[SessionKey] | None = None
) -> dict[str, frozenset[str]]:
    """Give the values, other than usernames, under which stores know this identity and entitled people alike.

    No store can say whose a session under them is: it stays, and somebody has to be told. `keys` narrows it to stores
    with these keys.
    """
    found: dict[str, frozenset[str]] = {}
    for key in frozenset(scene.store_keys.values() if keys is None else keys):
        for value, people in _holders(identity, key, scene):
            entitled = frozenset(p for p in people if p != identity.person_id and scene.claims.portals_of(p))
            if entitled:
                found[value] = entitled
    return found


def _holders(identity: Identity, key: SessionKey, scene: Scene) -> Iterator[tuple[str, Iterable[str]]]:
    person = identity.person
    if key is SessionKey.CODE and person and person.code:
        yield person.code, scene.school.by_code.get(fold_id(person.code), ())
    elif key is SessionKey.EMAIL and person and person.email:
        yield person.email, scene.school.by_email.get(fold(person.email), ())
    elif key is SessionKey.NATIVE_ID:
        for member in identity.members:
            others = scene.claims.others_on_native_id(member.portal, member.native_id, identity.person_id)
            yield member.native_id, others
