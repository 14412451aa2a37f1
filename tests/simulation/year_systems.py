"""The four Protocols for one process of a simulated year: the world's systems, with a step at each request.

At a step the process may die or a target go down. What it changes is shown to the watch at once.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from connector.model import (
    Account,
    CloseAccount,
    CloseMember,
    EndSessions,
    Member,
    OpenAccount,
    OpenMember,
    Outcome,
    PeopleReading,
    Provenance,
    SessionKey,
)
from connector.reconcile.awaiting import Signatures, awaiting
from connector.reconcile.reading import Targets
from tests.fakes import FakeAdminSystem, FakeDirectory, FakePortal, FakeSessionStore
from tests.simulation.year_watch import Watch
from tests.simulation.year_world import BY_PERSON, BY_USERNAME, PORTALS, DoorState, World

COMES_BACK = 0.3
"""How often a session that is ended is written back by the request that was under way."""
_LATE = 0.3
"""How often of those only in the course of the day."""


class Process(Protocol):
    """What the systems need to know of the process that asks them."""

    world: World
    watch: Watch

    def step(self, what: str) -> None:
        """Pass a moment at which it may die."""
        ...


def targets_of(who: Process, signatures: Signatures) -> Targets:
    """Give a process its adapters."""
    stores = {
        BY_USERNAME: _Store(BY_USERNAME, SessionKey.USERNAME, who),
        BY_PERSON: _Store(BY_PERSON, SessionKey.PERSON_ID, who),
    }
    portals = {p.name: _Portal(p.name, who) for p in PORTALS}
    return Targets(_AdminSystem(who), portals, {"ad": _Directory(who)}, awaiting(stores, signatures))


def _cheaply(who: Process, name: str) -> Provenance:
    """Give a fingerprint that costs nothing: each reading is a new one."""
    return Provenance(name, f"read at {who.world.now.isoformat()}", who.world.now)


class _AdminSystem(FakeAdminSystem):
    def __init__(self, who: Process) -> None:
        super().__init__(who.world.reading)
        self.who = who

    def read_all(self) -> PeopleReading:
        self.who.step("reads the admin system")
        return super().read_all()


class _Directory(FakeDirectory):
    def __init__(self, who: Process) -> None:
        super().__init__("ad", who.world.accounts)
        self.who, self.trouble = who, who.world.trouble["ad"]

    def _provenance(self, _: object) -> Provenance:
        return _cheaply(self.who, self.name)

    def close(self, batch: Sequence[CloseAccount]) -> tuple[Outcome, ...]:
        self.who.step(f"asks ad to disable {len(batch)}")
        return super().close(batch)

    def open(self, batch: Sequence[OpenAccount]) -> tuple[Outcome, ...]:
        self.who.step(f"asks ad to enable {len(batch)}")
        return super().open(batch)

    def _write(self, planned: Account, change: Callable[[str], str]) -> Outcome:
        self.who.step(f"writes {planned.username}")
        before = self._find(planned)
        outcome = super()._write(planned, change)
        _changed(self.who, before, self._find(planned))
        return outcome

    def _find(self, account: Account) -> Account | None:
        return next((a for a in self.accounts if a.guid == account.guid), None)


class _Portal(FakePortal):
    def __init__(self, name: str, who: Process) -> None:
        super().__init__(name, who.world.members)
        self.who, self.trouble = who, who.world.trouble[name]

    def _provenance(self, _: object) -> Provenance:
        return _cheaply(self.who, self.name)

    def _close(self, item: CloseMember) -> Outcome:
        return self._told(item.before.person_id, lambda: super(_Portal, self)._close(item))

    def _open(self, item: OpenMember) -> Outcome:
        return self._told(item.now.person_id, lambda: super(_Portal, self)._open(item))

    def _add(self, wanted: Member) -> Outcome:
        return self._told(wanted.person_id, lambda: super(_Portal, self)._add(wanted))

    def _told(self, person_id: str, act: Callable[[], Outcome]) -> Outcome:
        self.who.step(f"writes {self.name} {person_id}")
        before = self.who.world.member(person_id, self.name)
        outcome = act()
        _changed(self.who, before, self.who.world.member(person_id, self.name))
        return outcome


def _changed(who: Process, before: DoorState | None, after: DoorState | None) -> None:
    if before != after and after is not None:
        who.watch.on_door(before, after)


class _Store(FakeSessionStore):
    def __init__(self, name: str, key: SessionKey, who: Process) -> None:
        super().__init__(name, key, who.world.sessions)
        self.who, self.trouble = who, who.world.trouble[name]

    def _provenance(self, _: object) -> Provenance:
        return _cheaply(self.who, self.name)

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        world = self.who.world
        self.who.step(f"sweeps {self.name} for {len(batch)}")
        before = list(self.sessions)
        outcomes = super().close(batch)
        left = {s.session_id for s in self.sessions}
        for session in (s for s in before if s.session_id not in left):
            self.who.watch.on_session(session)
            if self.name == BY_USERNAME and world.dice.random() < COMES_BACK:
                world.brought_back.append((session, world.dice.random() < _LATE))
        return outcomes
