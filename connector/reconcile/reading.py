"""Take a snapshot: read every system once, whole. The only module that reads them all.

The admin system must answer, or nothing is decided. A target that does not answer at all is noted as unread: its legs
are planned as such. A reading that breaks off in the middle is an error for everything: half a reading is none.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from connector.errors import TargetUnreachable
from connector.interfaces import AdminSystem, Coded, Directory, Portal, SessionStore
from connector.model import Finding, PeopleReading, Person
from connector.reconcile.snapshot import Snapshot, Unread
from connector.reconcile.whose_code import whose_code

Reading = TypeVar("Reading")
Read = TypeVar("Read")
System = AdminSystem | Portal | Directory | SessionStore
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Targets:
    """Every system the connector reads and writes, by section name."""

    admin_system: AdminSystem
    portals: Mapping[str, Portal] = field(default_factory=dict)
    directories: Mapping[str, Directory] = field(default_factory=dict)
    session_stores: Mapping[str, SessionStore] = field(default_factory=dict)

    def disconnect(self) -> None:
        """Let go of every connection."""
        for system in self.all():
            system.disconnect()

    def all(self) -> tuple[System, ...]:
        """Give every system, in the order they are read."""
        return (
            self.admin_system,
            *self.portals.values(),
            *self.directories.values(),
            *self.session_stores.values(),
        )


@dataclass(frozen=True, slots=True)
class ReadBefore:
    """An admin system that gives what was read of it before: for what cannot wait until it answers again."""

    people: PeopleReading

    def read_all(self) -> PeopleReading:
        """Give the people as they were read."""
        return self.people

    def check(self) -> tuple[Finding, ...]:
        """Find nothing: there is no system behind it."""
        return ()

    def disconnect(self) -> None:
        """Let go of nothing."""


def silent(_: str) -> None:
    """Report progress to nobody."""


def utc_now() -> datetime:
    """Say what time it is on this host: how old a reading is, and what day it is, never what fences."""
    return datetime.now(UTC)


def take_snapshot(targets: Targets, progress: Progress = silent) -> Snapshot:
    """Read everything. Raises TargetUnreachable for the admin system, SourceError for any reading that broke off."""
    progress("admin system")
    people = targets.admin_system.read_all()
    unread: list[Unread] = []
    _tell_codes(targets, people.people)
    portals = tuple(_read("portal", targets.portals, lambda p: p.read_all(), unread, progress))
    directories = tuple(_read("directory", targets.directories, lambda d: d.read_all(), unread, progress))
    stores = tuple(_read("session_store", targets.session_stores, lambda s: s.read_all(), unread, progress))
    keys = {name: store.user_key for name, store in targets.session_stores.items()}
    return Snapshot(people, portals, directories, stores, tuple(unread), keys)


def _tell_codes(targets: Targets, people: Iterable[Person]) -> None:
    """Tell the portals that may go by contact code whose each code is now."""
    for portal in targets.portals.values():
        if isinstance(portal, Coded):
            portal.learn(whose_code(people))


def read_doors_again(targets: Targets, snapshot: Snapshot, progress: Progress = silent) -> Snapshot:
    """Give a snapshot with every portal and directory read anew; people and sessions stay as they were read.

    Raises SourceError for a reading that broke off.
    """
    unread = [one for one in snapshot.unread if one.kind == "session_store"]
    portals = tuple(_read("portal", targets.portals, lambda p: p.read_all(), unread, progress))
    directories = tuple(_read("directory", targets.directories, lambda d: d.read_all(), unread, progress))
    return replace(snapshot, portals=portals, directories=directories, unread=tuple(unread))


def _read(
    kind: str,
    systems: Mapping[str, Read],
    read: Callable[[Read], Reading],
    unread: list[Unread],
    progress: Progress,
) -> Iterable[Reading]:
    for name, system in systems.items():
        progress(f"{kind.replace('_', ' ')} {name}")
        try:
            yield read(system)
        except TargetUnreachable as error:
            unread.append(Unread(kind, name, str(error)))
