"""Who is whom: accounts, members and sessions to people. Pure: no clock, no I/O, no log.

Account to person, in each directory: stored link, then employee id = contact code, then the username of a member of a
portal that signs in through the directory, then an e-mail that exactly one person and one account have. Two candidates on
one level make the identity disputed. Nothing is ever guessed past that.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from connector.model import Account, AccountsReading, MatchLevel, Member, Person, Session
from connector.policy import PortalRules, SignIn
from connector.reconcile.claims import Claims, claims_of
from connector.reconcile.memory import Memory
from connector.reconcile.school import School, grouped
from connector.reconcile.session_owner import session_owners
from connector.reconcile.snapshot import Snapshot
from connector.reconcile.text import fold


@dataclass(frozen=True, slots=True)
class Linked:
    """An account and the level on which it was matched."""

    account: Account
    by: MatchLevel


@dataclass(frozen=True, slots=True)
class Identity:
    """One person as we see them: record, members, accounts, sessions.

    `key` is the person_id, or `account:DIRECTORY:GUID` for an orphaned account. `person` is none where no admin record
    has that id. `disputed` says why the identity is disputed; empty means it is not.
    """

    key: str
    person_id: str | None
    person: Person | None
    members: tuple[Member, ...] = ()
    accounts: tuple[Linked, ...] = ()
    sessions: tuple[Session, ...] = ()
    disputed: str = ""

    def members_of(self, portal: str) -> list[Member]:
        """Give this identity's members of one portal."""
        return [m for m in self.members if m.portal == portal]


@dataclass(frozen=True, slots=True)
class LinkMove:
    """A stored link that moves to another record of the same human, or a first link worth storing."""

    directory: str
    guid: str
    person_id: str
    moved_from: str = ""


@dataclass(frozen=True, slots=True)
class Correlation:
    """Every identity, who claims what, and what was seen and left alone.

    `unmanaged` counts accounts inside the managed OUs with no employee id and no match: never touched.
    """

    identities: tuple[Identity, ...]
    claims: Claims
    links: tuple[LinkMove, ...] = ()
    unmanaged: int = 0

    def by_key(self) -> Mapping[str, Identity]:
        """Index the identities."""
        return {i.key: i for i in self.identities}


@dataclass(frozen=True, slots=True)
class _Match:
    """What one account was matched to."""

    account: Account
    person_id: str = ""
    by: MatchLevel | None = None
    disputed: str = ""
    candidates: tuple[str, ...] = ()


def correlate(
    snapshot: Snapshot, school: School, portals: Sequence[PortalRules], memory: Memory
) -> Correlation:
    """Match every account, member and session of a snapshot to a person."""
    members = [m for reading in snapshot.portals for m in reading.members]
    usernames = _directory_usernames(members, portals)
    matches = [m for reading in snapshot.directories for m in _match_all(reading, school, usernames, memory)]
    disputes = _disputes(matches)
    of_person = grouped((m for m in matches if m.person_id), lambda m: m.person_id)
    members_of = grouped(members, lambda m: m.person_id)
    sessions = session_owners(snapshot, school, portals, members, [(m.account, m.person_id) for m in matches], memory)
    keys = dict.fromkeys(school.people)
    keys.update(dict.fromkeys(members_of))
    keys.update(dict.fromkeys(of_person))
    keys.update(dict.fromkeys(k for k in sessions if not k.startswith("account:")))
    identities = [
        Identity(
            key=person_id,
            person_id=person_id,
            person=school.people.get(person_id),
            members=tuple(members_of.get(person_id, ())),
            accounts=tuple(Linked(m.account, m.by) for m in of_person.get(person_id, ()) if m.by),
            sessions=tuple(sessions.get(person_id, ())),
            disputed=disputes.get(person_id, ""),
        )
        for person_id in keys
    ]
    orphans, unmanaged = _orphans(matches, sessions)
    claims = claims_of(school, portals, members_of, [(m.account, m.person_id) for m in matches], memory)
    return Correlation((*identities, *orphans), claims, tuple(_link_moves(matches, memory)), unmanaged)


def _directory_usernames(members: Iterable[Member], portals: Sequence[PortalRules]) -> Mapping[str, tuple[str, ...]]:
    """Give, per folded username of a portal that signs in through the directory, the people whose members carry it."""
    through = {p.name for p in portals if p.sign_in is SignIn.DIRECTORY}
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for member in members:
        if member.portal in through and member.username:
            found[fold(member.username)][member.person_id] = None
    return {name: tuple(people) for name, people in found.items()}


def _match_all(
    reading: AccountsReading, school: School, usernames: Mapping[str, tuple[str, ...]], memory: Memory
) -> list[_Match]:
    """Match one directory's accounts, strongest level first."""
    mails: dict[str, int] = defaultdict(int)
    for account in reading.accounts:
        if account.email:
            mails[fold(account.email)] += 1
    return [_match(account, school, usernames, mails, memory) for account in reading.accounts]


def _match(
    account: Account,
    school: School,
    usernames: Mapping[str, tuple[str, ...]],
    mails: Mapping[str, int],
    memory: Memory,
) -> _Match:
    holders = school.by_code.get(fold(account.employee_id), ()) if account.employee_id else ()
    if linked := memory.links.get((account.directory, account.guid)):
        return _follow_link(account, linked, holders, school)
    levels: tuple[tuple[MatchLevel, Sequence[str]], ...] = (
        (MatchLevel.EMPLOYEE_ID, holders),
        (MatchLevel.USERNAME, usernames.get(fold(account.username), ())),
        (MatchLevel.EMAIL, _mail_match(account, school, mails)),
    )
    for level, people in levels:
        if len(people) == 1:
            return _Match(account, people[0], level)
        if people:
            return _Match(account, people[0], level, f"{account.username} has {len(people)} candidates by {level}", tuple(people))
    return _Match(account)


def _mail_match(account: Account, school: School, mails: Mapping[str, int]) -> Sequence[str]:
    if not account.email:
        return ()
    mail = fold(account.email)
    people = school.by_email.get(mail, ())
    return people if len(people) == 1 and mails[mail] == 1 else ()


def _follow_link(account: Account, linked: str, holders: Sequence[str], school: School) -> _Match:
    """Hold or move a stored link, or dispute it where the employee id names somebody else."""
    if not holders or linked in holders:
        return _Match(account, linked, MatchLevel.LINK)
    same = [h for h in holders if h in school.same_human(linked)]
    if len(same) == 1 and len(holders) == 1:
        return _Match(account, same[0], MatchLevel.LINK)
    why = f"{account.username} is linked to {linked} but its employee id {account.employee_id} is {', '.join(holders)}'s"
    return _Match(account, linked, MatchLevel.LINK, why, (linked, *holders))


def _disputes(matches: Sequence[_Match]) -> dict[str, str]:
    """Give why each disputed person is: several candidates for an account, or several accounts on one level."""
    found = {person: m.disputed for m in matches if m.disputed for person in m.candidates}
    levels: dict[tuple[str, str, MatchLevel], list[str]] = defaultdict(list)
    for match in matches:
        if match.person_id and match.by:
            levels[match.person_id, match.account.directory, match.by].append(match.account.username)
    for (person_id, directory, level), names in levels.items():
        if len(names) > 1:
            found.setdefault(person_id, f"{len(names)} accounts in {directory} match by {level}: {', '.join(sorted(names))}")
    return found


def orphan_key(account: Account) -> str:
    """Give the key of an identity that is nothing but an account."""
    return f"account:{account.directory}:{account.guid}"


def _orphans(matches: Sequence[_Match], sessions: Mapping[str, list[Session]]) -> tuple[list[Identity], int]:
    """Give managed accounts whose employee id nobody has, and count managed ones with neither id nor match."""
    left = [m.account for m in matches if not m.person_id and m.account.managed]
    orphans = [
        Identity(
            orphan_key(a), None, None, accounts=(Linked(a, MatchLevel.EMPLOYEE_ID),),
            sessions=tuple(sessions.get(orphan_key(a), ())),
        )
        for a in left
        if a.employee_id.strip()
    ]
    return orphans, len(left) - len(orphans)


def _link_moves(matches: Sequence[_Match], memory: Memory) -> Iterable[LinkMove]:
    """Give the links worth storing: a match by employee id, and a link that moved to the same human's other record."""
    for match in matches:
        before = memory.links.get((match.account.directory, match.account.guid), "")
        sure = match.by in (MatchLevel.EMPLOYEE_ID, MatchLevel.LINK) and not match.disputed
        if sure and match.person_id != before:
            yield LinkMove(match.account.directory, match.account.guid, match.person_id, before)
