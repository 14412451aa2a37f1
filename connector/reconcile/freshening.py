"""Read a few people again, and put what was read into a snapshot that is some minutes old.

Whoever decides about one person at noon need not read a whole school, but must not rest on the morning's members and
accounts of that person either. A target that does not answer any more is unread, as in any snapshot.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from connector.errors import TargetUnreachable
from connector.model import AccountsReading, MembersReading
from connector.reconcile.reading import Targets
from connector.reconcile.snapshot import Snapshot, Unread

Guids = Mapping[str, Collection[str]]
"""By directory, the accounts that may be of the people who are read again."""


def freshened(snapshot: Snapshot, targets: Targets, people: Sequence[str], guids: Guids) -> Snapshot:
    """Give the snapshot with members and accounts of these people as they are now. Raises SourceError."""
    unread = list(snapshot.unread)
    portals: list[MembersReading] = []
    for members in snapshot.portals:
        with _noting("portal", members.portal, unread):
            portals.append(_members(members, targets, people))
    directories: list[AccountsReading] = []
    for accounts in snapshot.directories:
        with _noting("directory", accounts.directory, unread):
            directories.append(_accounts(accounts, targets, guids))
    return replace(snapshot, portals=tuple(portals), directories=tuple(directories), unread=tuple(unread))


@contextmanager
def _noting(kind: str, name: str, unread: list[Unread]) -> Iterator[None]:
    try:
        yield
    except TargetUnreachable as error:
        unread.append(Unread(kind, name, str(error)))


def _members(reading: MembersReading, targets: Targets, people: Sequence[str]) -> MembersReading:
    wanted = frozenset(people)
    now = targets.portals[reading.portal].read_some(list(people))
    others = tuple(m for m in reading.members if m.person_id not in wanted)
    return replace(reading, members=(*others, *(m for m in now if m.portal == reading.portal)))


def _accounts(reading: AccountsReading, targets: Targets, guids: Guids) -> AccountsReading:
    wanted = frozenset(guids.get(reading.directory, ()))
    if not wanted:
        return reading
    now = targets.directories[reading.directory].read_some(sorted(wanted))
    others = tuple(a for a in reading.accounts if a.guid not in wanted)
    return replace(reading, accounts=(*others, *now))
