"""Who is whom: accounts, members and sessions to people. Pure: no clock, no I/O, no log.

Account to person, in each directory: stored link, then employee id = contact code, then the username of a member of a
portal that signs in through the directory, then an e-mail that exactly one person and one account have. Two candidates
on one level make the identity disputed. Nothing is ever guessed past that.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from operator import attrgetter

from connector.model import Account, AccountsReading, Member, Person, Session
from connector.policy import PortalRules
from connector.reconcile.claims import Claims, Usernames, claims_of, usernames_of
from connector.reconcile.memory import Memory
from connector.reconcile.school import Row, School, grouped
from connector.reconcile.session_owner import Known, account_key, session_owners
from connector.reconcile.snapshot import Snapshot
from connector.reconcile.text import as_shown, fold, fold_id
from connector.reconcile.whose_code import OF_NOBODY


class MatchLevel(StrEnum):
    """On what an account was matched to a person, strongest first."""

    LINK = "link"
    EMPLOYEE_ID = "employee-id"
    USERNAME = "username"
    EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Linked:
    """An account and the level on which it was matched."""

    account: Account
    by: MatchLevel


@dataclass(frozen=True, slots=True)
class Identity:
    """One person as we see them: record, members, accounts, sessions.

    `key` is the person_id, or `account:DIRECTORY:GUID` for an orphaned account. `person` is none where no admin record
    has that id. `disputed` says why the identity is disputed; empty means it is not. `shares_code` says that another
    record holds the same contact code.
    """

    key: str
    person_id: str | None
    person: Person | None
    members: tuple[Member, ...] = ()
    accounts: tuple[Linked, ...] = ()
    sessions: tuple[Session, ...] = ()
    disputed: str = ""
    shares_code: bool = False

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
    """What one account was matched to. `named` is everybody whom it names on any level, the weaker ones too."""

    account: Account
    person_id: str = ""
    by: MatchLevel | None = None
    named: tuple[str, ...] = ()
    disputed: str = ""
    candidates: tuple[str, ...] = ()


def correlate(snapshot: Snapshot, school: School, portals: Sequence[PortalRules], memory: Memory) -> Correlation:
    """Match every account, member and session of a snapshot to a person."""
    members = [m for reading in snapshot.portals for m in reading.members]
    usernames = usernames_of([*members, *_remembered(snapshot, memory)], portals)
    matches = [m for reading in snapshot.directories for m in _match_all(reading, school, usernames, memory)]
    of_person = grouped((m for m in matches if m.person_id), attrgetter("person_id"))
    members_of = grouped(members, attrgetter("person_id"))
    sessions = session_owners(snapshot, Known(school, members, usernames, matches, memory))
    disputes = {**_disputes(matches, of_person), **_look_alikes(members_of, school)}
    identities = _identities(school, members_of, of_person, sessions, disputes)
    orphans, unmanaged = _orphans(matches, sessions, school)
    claims = claims_of(school, portals, members_of, usernames, ((m.account, m.named) for m in matches))
    return Correlation((*identities, *orphans), claims, tuple(_link_moves(matches, memory)), unmanaged)


def _remembered(snapshot: Snapshot, memory: Memory) -> Iterable[Member]:
    """Give who last carried the usernames of portals that did not answer: what they claim is not up for grabs."""
    if missing := snapshot.unread_names("portal"):
        for (portal, user), person_id in memory.users.items():
            if portal in missing:
                yield Member(portal, person_id, user)


def _identities(
    school: School,
    members_of: Mapping[str, Sequence[Member]],
    of_person: Mapping[str, Sequence[_Match]],
    sessions: Mapping[str, Sequence[Session]],
    disputes: Mapping[str, str],
) -> Iterable[Identity]:
    """Give everybody whom the admin system, a portal, a directory or a session names."""
    # Sessions may belong to an orphaned account; a member whose id looks like one must not hide behind that.
    signed_in = (k for k in sessions if not k.startswith("account:"))
    strangers = set().union(members_of, of_person, signed_in).difference(school.people)
    shared = {record for records in school.by_code.values() if len(records) > 1 for record in records}
    for key in chain(school.people, sorted(strangers)):
        members = _in_order(members_of.get(key, ()), _member_place)
        matched = _in_order(of_person.get(key, ()), _account_place)
        accounts = tuple([Linked(m.account, m.by) for m in matched if m.by])
        live = tuple(sessions.get(key, ()))
        person = school.people.get(key)
        shares = person is not None and person.person_id in shared
        yield Identity(key, key, person, members, accounts, live, disputes.get(key, ""), shares)


def _in_order(rows: Sequence[Row], place: Callable[[Row], tuple[str, ...]]) -> tuple[Row, ...]:
    """Order the few rows of one person, so that the order of a reading decides nothing."""
    return tuple(rows) if len(rows) < 2 else tuple(sorted(rows, key=place))  # noqa: PLR2004 - one is in order


def _member_place(member: Member) -> tuple[str, ...]:
    return member.portal, member.username, member.native_id, member.status


def _account_place(match: _Match) -> tuple[str, ...]:
    return match.account.directory, match.account.guid


def _match_all(reading: AccountsReading, school: School, usernames: Usernames, memory: Memory) -> Iterable[_Match]:
    mails = [fold(a.email) if a.email else "" for a in reading.accounts]
    shared = Counter(mails)
    for account, mail in zip(reading.accounts, mails, strict=True):
        holders = school.by_code.get(fold_id(account.employee_id), ()) if account.employee_id else ()
        named = usernames.in_directory.get(fold(account.username), ())
        mailed = school.by_email.get(mail, ()) if mail and shared[mail] == 1 else ()
        if len(mailed) > 1:  # an e-mail proves nothing unless exactly one person and one account have it
            mailed = ()
        if linked := memory.links.get((account.directory, account.guid), ""):
            everybody = tuple(dict.fromkeys((linked, *holders, *named, *mailed)))
            yield _follow_link(account, linked, holders, everybody, school)
        else:
            yield _match(account, (holders, named, mailed))


_LEVELS = (MatchLevel.EMPLOYEE_ID, MatchLevel.USERNAME, MatchLevel.EMAIL)


def _match(account: Account, candidates: Sequence[Sequence[str]]) -> _Match:
    """Match on the first level that names anybody: one person, or a dispute."""
    everybody = tuple(dict.fromkeys(person for people in candidates for person in people))
    for level, people in zip(_LEVELS, candidates, strict=True):
        if len(people) == 1:
            return _Match(account, people[0], level, everybody)
        if people:
            why = f"{account.username} has {len(people)} candidates by {level}"
            return _Match(account, min(people), level, everybody, why, tuple(people))
    return _Match(account)


def _follow_link(
    account: Account, linked: str, holders: Sequence[str], everybody: tuple[str, ...], school: School
) -> _Match:
    """Hold or move a stored link, or dispute it where the employee id names somebody else."""
    if not holders or linked in holders:
        return _Match(account, linked, MatchLevel.LINK, everybody)
    same = [h for h in holders if h in school.same_human(linked)]
    if len(same) == 1 and len(holders) == 1:
        return _Match(account, same[0], MatchLevel.LINK, everybody)
    theirs = f"its employee id {account.employee_id} is {', '.join(sorted(holders))}'s"
    why = f"{account.username} is linked to {linked} but {theirs}"
    return _Match(account, linked, MatchLevel.LINK, everybody, why, (linked, *holders))


def _disputes(matches: Iterable[_Match], of_person: Mapping[str, Sequence[_Match]]) -> dict[str, str]:
    """Give why each disputed person is: several candidates for an account, or several accounts on one level."""
    found: dict[str, str] = {}
    for match in matches:
        for person in match.candidates:
            found[person] = min(match.disputed, found.get(person, match.disputed))
    for person_id, mine in of_person.items():
        if len(mine) > 1 and (why := _several_on_one_level(mine)):
            found.setdefault(person_id, why)
    return found


def _look_alikes(members_of: Collection[str], school: School) -> dict[str, str]:
    """Give why members are disputed whose id is nobody's but reads like somebody's: in case, hidden marks or zeros."""
    strangers = [person_id for person_id in members_of if person_id not in school.people]
    known = {as_shown(person_id): person_id for person_id in school.people} if strangers else {}
    if any(one.startswith(OF_NOBODY) for one in strangers):
        known |= {f"{OF_NOBODY}{as_shown(person.code)}": person.code for person in school.people.values()}
    found = ((one, known.get(_as_shown(one))) for one in strangers)
    return {
        one: f"its person_id {one!r} reads like that of {other} and is not the same" for one, other in found if other
    }


def _as_shown(person_id: str) -> str:
    code = person_id.removeprefix(OF_NOBODY)
    return as_shown(code) if code == person_id else f"{OF_NOBODY}{as_shown(code)}"


def _several_on_one_level(matches: Iterable[_Match]) -> str:
    levels: dict[tuple[str, MatchLevel | None], list[str]] = defaultdict(list)
    for match in matches:
        levels[match.account.directory, match.by].append(match.account.username)
    return min(
        (
            f"{len(names)} accounts in {directory} match by {level}: {', '.join(sorted(names))}"
            for (directory, level), names in levels.items()
            if len(names) > 1
        ),
        default="",
    )


def _orphans(
    matches: Iterable[_Match], sessions: Mapping[str, Sequence[Session]], school: School
) -> tuple[list[Identity], int]:
    """Give managed accounts whose employee id nobody has, and count managed ones with neither id nor match."""
    left = [m.account for m in matches if not m.person_id and m.account.managed]
    orphaned = [account for account in left if account.employee_id.strip()]
    known = {as_shown(person.code): person.code for person in school.people.values()} if orphaned else {}
    orphans = [_orphan(a, sessions.get(account_key(a), ()), _whose_it_may_be(a, school, known)) for a in orphaned]
    return orphans, len(left) - len(orphans)


def _orphan(account: Account, sessions: Sequence[Session], why: str) -> Identity:
    linked = (Linked(account, MatchLevel.EMPLOYEE_ID),)
    return Identity(account_key(account), None, None, accounts=linked, sessions=tuple(sessions), disputed=why)


def _whose_it_may_be(account: Account, school: School, known: Mapping[str, str]) -> str:
    """Say whose account it may be although nobody has its employee id: whoever had that code, or has one like it."""
    code = account.employee_id.strip()
    if heirs := school.by_previous_code.get(fold_id(code)):
        codes = ", ".join(sorted(school.people[heir].code for heir in heirs))
        return f"its employee id {code} is the contact code that {codes} had before"
    alike = known.get(as_shown(code))
    return f"its employee id {code!r} reads like the contact code {alike} and is not the same" if alike else ""


def _link_moves(matches: Iterable[_Match], memory: Memory) -> Iterable[LinkMove]:
    """Give the links worth storing: a match by employee id, and a link that moved to the same human's other record."""
    for match in matches:
        if match.by not in _SURE or match.disputed:
            continue
        account = match.account
        before = memory.links.get((account.directory, account.guid), "")
        if match.person_id != before:
            yield LinkMove(account.directory, account.guid, match.person_id, before)


_SURE = (MatchLevel.EMPLOYEE_ID, MatchLevel.LINK)
