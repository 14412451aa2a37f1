"""Whose a session is. Pure.

A store says what its user value is. A session belongs to the member of its portal with that value; where the portal
signs in through the directory, else to the account of that name; else to whom the journal remembers.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from connector.model import Account, Member, Session, SessionKey
from connector.reconcile.claims import Usernames
from connector.reconcile.memory import Memory
from connector.reconcile.school import School
from connector.reconcile.snapshot import Snapshot
from connector.reconcile.text import fold, fold_id

Owner = Callable[[Session], str]


class Matched(Protocol):
    """An account and the person_id it was matched to (empty: none)."""

    @property
    def account(self) -> Account:
        """The account."""
        ...

    @property
    def person_id(self) -> str:
        """Whose it is."""
        ...


@dataclass(frozen=True)
class Known:
    """What a session's user value is looked up in."""

    school: School
    members: Sequence[Member]
    usernames: Usernames
    matched: Sequence[Matched]
    memory: Memory

    @cached_property
    def by_account_name(self) -> Mapping[str, str]:
        """The identity key per folded account name; a name that stands in two directories belongs to nobody."""
        found: dict[str, str] = {}
        for match in self.matched:
            name, key = fold(match.account.username), account_key(match.account, match.person_id)
            found[name] = key if found.get(name, key) == key else ""
        return found

    @cached_property
    def remembered(self) -> Mapping[tuple[str, str], str]:
        """Who last had a (portal, folded username)."""
        return {(portal, fold(user)): person_id for (portal, user), person_id in self.memory.users.items()}


def session_owners(snapshot: Snapshot, known: Known) -> dict[str, list[Session]]:
    """Give each identity key's live sessions."""
    found: dict[str, list[Session]] = defaultdict(list)
    for reading in snapshot.session_stores:
        owner = _owner_by(reading.user_key, known)
        for session in reading.sessions:
            if key := owner(session):
                found[key].append(session)
    return dict(found)


def account_key(account: Account, person_id: str = "") -> str:
    """Give the identity key an account stands under: its person, else itself alone."""
    return person_id or f"account:{account.directory}:{account.guid}"


def _owner_by(key: SessionKey, known: Known) -> Owner:
    school = known.school
    match key:
        case SessionKey.USERNAME:
            return _by_username(known)
        case SessionKey.PERSON_ID:
            return lambda session: session.user
        case SessionKey.CODE:
            return lambda session: _only(school.by_code.get(fold_id(session.user), ()))
        case SessionKey.EMAIL:
            return lambda session: _only(school.by_email.get(fold(session.user), ()))
        case SessionKey.GUID:
            return _by_guid(known.matched)
        case SessionKey.NATIVE_ID:
            return _by_native_id(known)


def _only(people: Sequence[str]) -> str:
    return people[0] if len(people) == 1 else ""


def _by_username(known: Known) -> Owner:
    def owner(session: Session) -> str:
        portal, name = session.portal, fold(session.user)
        if people := known.usernames.in_portal(portal, name):
            return _only(people)
        if portal in known.usernames.through_directory and name in known.by_account_name:
            return known.by_account_name[name]
        return known.remembered.get((portal, name), "")

    return owner


def _by_guid(matched: Sequence[Matched]) -> Owner:
    people = {m.account.guid: account_key(m.account, m.person_id) for m in matched}
    return lambda session: people.get(session.user.lower(), "")


def _by_native_id(known: Known) -> Owner:
    shared = known.usernames.native_ids
    people = {(m.portal, m.native_id): m.person_id for m in known.members if m.native_id}
    return lambda session: "" if (place := (session.portal, session.user)) in shared else people.get(place, "")
