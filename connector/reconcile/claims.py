"""What entitled people claim, on any level. Pure.

An account, username or session that an entitled person claims is never disabled or ended for somebody else. A claim is
wider than a match: a weaker level counts here even where a stronger one matched the account to another record.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from operator import attrgetter

from connector.model import Account, Member
from connector.policy import PortalRules, SignIn, Strategy
from connector.reconcile.entitlement import is_entitled
from connector.reconcile.school import School, grouped, holders_of
from connector.reconcile.text import fold

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Usernames:
    """Whose members carry which username, entitled or not.

    `by_portal` gives, per portal and folded username, the person_ids, each once, in the order they were read.
    `through_directory` names the portals that sign in through the directory. `native_ids` gives the people behind a
    portal's own id that several of its members have: a shared login, or a column that is no row id.
    """

    by_portal: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    through_directory: frozenset[str] = frozenset()
    native_ids: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def in_portal(self, portal: str, name: str) -> tuple[str, ...]:
        """Give whose members of a portal carry a folded username."""
        names = self.by_portal.get(portal)
        return names.get(name, ()) if names else ()

    @cached_property
    def in_directory(self) -> Mapping[str, tuple[str, ...]]:
        """The person_ids per folded username of the directory's name space."""
        found: dict[str, tuple[str, ...]] = {}
        for portal, names in self.by_portal.items():
            if portal in self.through_directory:
                for name, people in names.items():
                    before = found.get(name)
                    found[name] = tuple(dict.fromkeys((*before, *people))) if before else people
        return found


def usernames_of(members: Iterable[Member], portals: Iterable[PortalRules]) -> Usernames:
    """Index the usernames of members, and the native ids that several have."""
    of_portal = grouped(members, attrgetter("portal"))
    by_portal = {
        portal: holders_of([fold(m.username) for m in mine], [m.person_id for m in mine])
        for portal, mine in of_portal.items()
    }
    shared = {
        (portal, native_id): people
        for portal, mine in of_portal.items()
        for native_id, people in holders_of([m.native_id for m in mine], [m.person_id for m in mine]).items()
        if len(people) > 1
    }
    return Usernames(by_portal, frozenset(p.name for p in portals if p.sign_in is SignIn.DIRECTORY), shared)


@dataclass(frozen=True, slots=True)
class Claims:
    """Who is entitled to what, and which accounts and usernames entitled people claim.

    `entitled` maps person_id to portal names. `accounts` maps (directory, guid) to the entitled person_ids that claim
    it, `account_users` a folded account name.
    """

    entitled: Mapping[str, frozenset[str]] = field(default_factory=dict)
    accounts: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    account_users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    usernames: Usernames = field(default_factory=Usernames)

    @property
    def through_directory(self) -> frozenset[str]:
        """The names of the portals that sign in through the directory."""
        return self.usernames.through_directory

    def portals_of(self, person_id: str | None) -> frozenset[str]:
        """Give the portals a person is entitled to."""
        return self.entitled.get(person_id or "", NOBODY)

    def others_on_account(self, account: Account, person_id: str | None) -> frozenset[str]:
        """Give the entitled people, other than this one, who claim an account."""
        return self.accounts.get((account.directory, account.guid), NOBODY) - {person_id or ""}

    def others_on_user(self, portal: str, username: str, person_id: str | None) -> frozenset[str]:
        """Give the entitled people, other than this one, whose username in this portal it is."""
        name = fold(username)
        found = entitled_among(self.usernames.in_portal(portal, name), self.entitled)
        if portal in self.through_directory:
            found |= entitled_among(self.usernames.in_directory.get(name, ()), self.entitled)
            found |= self.account_users.get(name, NOBODY)
        return found - {person_id or ""}

    def others_on_native_id(self, portal: str, native_id: str, person_id: str | None) -> frozenset[str]:
        """Give the entitled people, other than this one, whose members in this portal have a native id."""
        return entitled_among(self.usernames.native_ids.get((portal, native_id), ()), self.entitled) - {person_id or ""}

    def is_held_by_another(self, portal: str, username: str, person_id: str | None) -> bool:
        """Say whether the members of this portal that carry a username are other people's only."""
        holders = self.usernames.in_portal(portal, fold(username))
        return bool(holders) and (person_id or "") not in holders


def entitled_among(people: Iterable[str], entitled: Container[str]) -> frozenset[str]:
    """Give those of these people who are entitled to anything."""
    found = [p for p in people if p in entitled]
    return frozenset(found) if found else NOBODY


def entitlements(
    school: School, portals: Sequence[PortalRules], members_of: Mapping[str, Sequence[Member]]
) -> dict[str, frozenset[str]]:
    """Give every entitled person's portals."""
    found: dict[str, frozenset[str]] = {}
    alike: dict[frozenset[str], frozenset[str]] = {}  # thousands are entitled to the same portals: one set serves all
    for portal in portals:
        for person_id, mine in _candidates(portal, school, members_of):
            if is_entitled(school, portal, person_id, mine):
                names = found.get(person_id, NOBODY) | {portal.name}
                found[person_id] = alike.setdefault(names, names)
    return found


def _candidates(
    portal: PortalRules, school: School, members_of: Mapping[str, Sequence[Member]]
) -> Iterable[tuple[str, Sequence[Member]]]:
    """Give everybody a strategy could say yes to, with their members where those decide: nobody else need be asked."""
    return chain(_by_strategy(portal, school, members_of), ((person_id, ()) for person_id in school.granted))


def _by_strategy(
    portal: PortalRules, school: School, members_of: Mapping[str, Sequence[Member]]
) -> Iterable[tuple[str, Sequence[Member]]]:
    match portal.strategy:
        case Strategy.CONTACTS:
            return ((person_id, ()) for person_id in school.relationships)
        case Strategy.SECURITY_ROLES:
            return ((person_id, ()) for person_id in school.grants)
        case _:
            return ((p, [m for m in members if m.portal == portal.name]) for p, members in members_of.items())


def claims_of(
    school: School,
    portals: Sequence[PortalRules],
    members_of: Mapping[str, Sequence[Member]],
    usernames: Usernames,
    named: Iterable[tuple[Account, Sequence[str]]],
) -> Claims:
    """Work out every claim. `named` gives each account with everybody whom it names on any level."""
    entitled = entitlements(school, portals, members_of)
    accounts: dict[tuple[str, str], frozenset[str]] = {}
    users: dict[str, frozenset[str]] = {}
    for account, people in named:
        if claiming := entitled_among(people, entitled):
            accounts[account.directory, account.guid] = claiming
            name = fold(account.username)
            users[name] = users[name] | claiming if name in users else claiming
    return Claims(entitled, accounts, users, usernames)
