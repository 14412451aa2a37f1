"""Whose a session is. Pure.

A store says what its user value is. A session belongs to the member of its portal with that value; where the portal signs
in through the directory, else to the account of that name; else to whom the journal remembers.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from connector.model import Account, Member, Session, SessionKey
from connector.policy import PortalRules, SignIn
from connector.reconcile.memory import Memory
from connector.reconcile.school import School
from connector.reconcile.snapshot import Snapshot
from connector.reconcile.text import fold

Owner = Callable[[Session], str]


def session_owners(
    snapshot: Snapshot,
    school: School,
    portals: Sequence[PortalRules],
    members: Sequence[Member],
    matched: Sequence[tuple[Account, str]],
    memory: Memory,
) -> dict[str, list[Session]]:
    """Give each identity key's live sessions. `matched` gives each account with its person_id (empty: none)."""
    through = frozenset(p.name for p in portals if p.sign_in is SignIn.DIRECTORY)
    accounts = _by_account(matched)
    owners: Mapping[SessionKey, Owner] = {
        SessionKey.USERNAME: _by_username(members, accounts, through, memory),
        SessionKey.PERSON_ID: lambda s: s.user,
        SessionKey.CODE: lambda s: _only(school.by_code.get(fold(s.user), ())),
        SessionKey.EMAIL: lambda s: _only(school.by_email.get(fold(s.user), ())),
        SessionKey.GUID: _by_guid(matched),
        SessionKey.NATIVE_ID: _by_native_id(members),
    }
    found: dict[str, list[Session]] = defaultdict(list)
    for reading in snapshot.session_stores:
        owner = owners[reading.user_key]
        for session in reading.sessions:
            if key := owner(session):
                found[key].append(session)
    return dict(found)


def _only(people: Sequence[str]) -> str:
    return people[0] if len(people) == 1 else ""


def _by_account(matched: Sequence[tuple[Account, str]]) -> dict[str, str]:
    """Give, per folded account name, the identity key; a name that stands in two directories belongs to nobody."""
    found: dict[str, str] = {}
    for account, person_id in matched:
        name, key = fold(account.username), person_id or f"account:{account.directory}:{account.guid}"
        found[name] = key if found.get(name, key) == key else ""
    return found


def _by_username(
    members: Sequence[Member], accounts: Mapping[str, str], through: frozenset[str], memory: Memory
) -> Owner:
    named: dict[tuple[str, str], str] = {}
    for member in members:
        if member.username:
            key = (member.portal, fold(member.username))
            named[key] = member.person_id if named.get(key, member.person_id) == member.person_id else ""

    def owner(session: Session) -> str:
        key = (session.portal, fold(session.user))
        if key in named:
            return named[key]
        if session.portal in through and key[1] in accounts:
            return accounts[key[1]]
        return memory.users.get(key, "")

    return owner


def _by_guid(matched: Sequence[tuple[Account, str]]) -> Owner:
    people = {account.guid: person_id or f"account:{account.directory}:{account.guid}" for account, person_id in matched}
    return lambda session: people.get(session.user.lower(), "")


def _by_native_id(members: Sequence[Member]) -> Owner:
    people = {(m.portal, m.native_id): m.person_id for m in members if m.native_id}
    return lambda session: people.get((session.portal, session.user), "")
