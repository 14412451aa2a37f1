"""What entitled people claim, on any level. Pure.

An account, username or session that an entitled person claims is never disabled or ended for somebody else. A claim is
wider than a match: a weaker level counts here even where a stronger one matched the account to another record.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from connector.model import Account, Member
from connector.policy import PortalRules, SignIn
from connector.reconcile.entitlement import is_entitled, may_be_entitled
from connector.reconcile.memory import Memory
from connector.reconcile.school import School, grouped
from connector.reconcile.text import fold

NOBODY: frozenset[str] = frozenset()
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Claims:
    """Who is entitled to what, and which accounts and usernames entitled people claim.

    `entitled` maps person_id to portal names. `accounts` maps (directory, guid) to the entitled person_ids that claim it.
    `directory_users` maps a folded username of the directory's name space, `portal_users` a (portal, folded username).
    `holders` maps a (portal, folded username) to everybody whose member carries it, entitled or not.
    """

    entitled: Mapping[str, frozenset[str]] = field(default_factory=dict)
    accounts: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    directory_users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    portal_users: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    through_directory: frozenset[str] = frozenset()
    holders: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def portals_of(self, person_id: str | None) -> frozenset[str]:
        """Give the portals a person is entitled to."""
        return self.entitled.get(person_id or "", NOBODY)

    def others_on_account(self, account: Account, person_id: str | None) -> frozenset[str]:
        """Give the entitled people, other than this one, who claim an account."""
        return self.accounts.get((account.directory, account.guid), NOBODY) - {person_id or ""}

    def others_on_user(self, portal: str, username: str, person_id: str | None) -> frozenset[str]:
        """Give the entitled people, other than this one, whose username in this portal it is."""
        name = fold(username)
        found = self.portal_users.get((portal, name), NOBODY)
        if portal in self.through_directory:
            found = found | self.directory_users.get(name, NOBODY)
        return found - {person_id or ""}

    def is_held_by_another(self, portal: str, username: str, person_id: str | None) -> bool:
        """Say whether the members of this portal that carry a username are other people's only."""
        holders = self.holders.get((portal, fold(username)), NOBODY)
        return bool(holders) and (person_id or "") not in holders


def entitlements(
    school: School, portals: Sequence[PortalRules], members_of: Mapping[str, Sequence[Member]]
) -> dict[str, frozenset[str]]:
    """Give every entitled person's portals."""
    found: dict[str, frozenset[str]] = {}
    by_name = {person: grouped(members, lambda m: m.portal) for person, members in members_of.items()}
    nothing: dict[str, list[Member]] = {}
    for person_id in school.people:
        if may_be_entitled(school, person_id):
            mine = by_name.get(person_id, nothing)
            names = frozenset(p.name for p in portals if is_entitled(school, p, person_id, mine.get(p.name, ())))
            if names:
                found[person_id] = names
    return found


def claims_of(
    school: School,
    portals: Sequence[PortalRules],
    members_of: Mapping[str, Sequence[Member]],
    matched: Iterable[tuple[Account, str]],
    memory: Memory,
) -> Claims:
    """Work out every claim. `matched` gives each account with the person_id it was matched to (empty: none)."""
    entitled = entitlements(school, portals, members_of)
    through = frozenset(p.name for p in portals if p.sign_in is SignIn.DIRECTORY)
    users: dict[str, set[str]] = defaultdict(set)
    portal_users: dict[tuple[str, str], set[str]] = defaultdict(set)
    for person_id in entitled:
        for member in members_of.get(person_id, ()):
            if member.username:
                name = fold(member.username)
                portal_users[member.portal, name].add(person_id)
                if member.portal in through:
                    users[name].add(person_id)
    accounts = _account_claims(school, matched, memory, entitled, users)
    holders = {key: frozenset({member.person_id}) for key, member in _named(members_of).items()}
    holders |= {key: frozenset(people) for key, people in usernames_taken_twice(members_of).items()}
    return Claims(entitled, accounts, _frozen(users), _frozen(portal_users), through, holders)


def _named(members_of: Mapping[str, Sequence[Member]]) -> dict[tuple[str, str], Member]:
    return {(m.portal, fold(m.username)): m for members in members_of.values() for m in members if m.username}


def _account_claims(
    school: School,
    matched: Iterable[tuple[Account, str]],
    memory: Memory,
    entitled: Mapping[str, frozenset[str]],
    users: dict[str, set[str]],
) -> dict[tuple[str, str], frozenset[str]]:
    """Give who claims each account, and add the names of claimed accounts to `users`."""
    rows = list(matched)
    mails: dict[tuple[str, str], int] = defaultdict(int)
    for account, _ in rows:
        if account.email:
            mails[account.directory, fold(account.email)] += 1
    found: dict[tuple[str, str], frozenset[str]] = {}
    named: list[tuple[str, frozenset[str]]] = []
    for account, person_id in rows:
        people = {person_id, memory.links.get((account.directory, account.guid), "")}
        people.update(school.by_code.get(fold(account.employee_id), ()) if account.employee_id else ())
        people.update(users.get(fold(account.username), ()))
        if account.email and mails[account.directory, fold(account.email)] == 1:
            holders = school.by_email.get(fold(account.email), ())
            people.update(holders if len(holders) == 1 else ())
        claiming = frozenset(p for p in people if p in entitled)
        if claiming:
            found[account.directory, account.guid] = claiming
            named.append((fold(account.username), claiming))
    for name, claiming in named:
        users[name] |= claiming
    return found


def _frozen(sets: Mapping[Key, set[str]]) -> dict[Key, frozenset[str]]:
    return {key: frozenset(values) for key, values in sets.items()}


def usernames_taken_twice(members_of: Mapping[str, Sequence[Member]]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Give the usernames that stand on several people's members of one portal: a usual typing fault."""
    found: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for person_id, members in members_of.items():
        for member in members:
            if member.username:
                found[member.portal, fold(member.username)][person_id] = None
    return {key: tuple(people) for key, people in found.items() if len(people) > 1}
