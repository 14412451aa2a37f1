"""One instance of the connector: its own journal object on the shared file, its adapters, and its death.

A crash is a BaseException, and from then on the journal's clock and every target refuse this instance: nothing it does
while it unwinds reaches the world, as nothing does after SIGKILL.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, event

from connector.errors import JournalError
from connector.model import EndSessions, Session
from connector.reconcile.apply import Pace
from connector.reconcile.boundaries import Boundary
from connector.reconcile.journal import Journal
from connector.reconcile.journal_engine import open_engine
from connector.reconcile.journal_store import Store
from connector.reconcile.journal_values import Claim, Run
from connector.reconcile.running import Running, Setup
from tests.reconcile.journal_builders import KEY
from tests.simulation.promises import Promises
from tests.simulation.targets import targets_of
from tests.simulation.world import Door, State, World

PACE = Pace(settle_seconds=20, sweeps_max=4, batch_size=3, outage_after=3, lease_seconds=120)


class Crash(BaseException):
    """The process is gone: what SIGKILL leaves behind is what the journal and the targets hold."""


@dataclass
class Script:
    """What happens to an instance during one act, by the number of its step.

    `crash_at` a step; `crash_on` at the Nth passage of a boundary; `pause_at` steps it lets somebody else go on;
    `meanwhile` what others do then; from `refuse_from` on the journal refuses every transaction, as on a full disk.
    """

    crash_at: int = 0
    crash_on: tuple[Boundary, int] | None = None
    pause_at: frozenset[int] = frozenset()
    meanwhile: Mapping[int, Callable[[], None]] = field(default_factory=dict)
    refuse_from: int = 0


class Instance:
    """One process. It is used for one act after the other until it dies."""

    def __init__(self, name: str, world: World, promises: Promises, engine: Engine, script: Script) -> None:
        self.name, self.world, self.promises, self.script = name, world, promises, script
        self.steps = 0
        self.dead = False
        self.paused = 0
        self.late_requests = 0
        self.read_at: datetime | None = None
        self.has_read_directory = False
        self.begun: Run | None = None
        self.claimed: tuple[Claim, ...] = ()
        self.give_way: Callable[[], None] = lambda: None
        self._passages: dict[Boundary, int] = {}
        self.journal = Journal(Store(engine, KEY, self._clock))
        self._watch_runs()
        self.targets = targets_of(self)

    @property
    def running(self) -> Running:
        school = self.world.school
        setup = Setup(school.the_rules, school.rules_of_portals(), school.the_limits, PACE, ZoneInfo("UTC"))
        return Running(
            self.journal, self.targets, setup, f"{self.name}@host", self.told, sleep=self.sleep, reached=self.reached
        )

    # --- what happens to it -----------------------------------------------------------------------------------------

    def step(self, what: str) -> None:
        """Pass a moment at which it may die, be paused, or somebody else may act."""
        self._alive()
        self.steps += 1
        self.world.tick()
        self.world.say(self.name, f"{self.steps:>3} {what}")
        self.world.weather()
        if self.steps in self.script.meanwhile:
            self.script.meanwhile[self.steps]()
        if self.steps in self.script.pause_at:
            self._pause()
        if self.steps == self.script.crash_at:
            self._die("at a step")

    def reached(self, boundary: Boundary) -> None:
        """Pass a named boundary."""
        self.step(f"-- {boundary}")
        self.world.trace.count(f"passed:{boundary}")
        self._passages[boundary] = self._passages.get(boundary, 0) + 1
        if self.script.crash_on == (boundary, self._passages[boundary]):
            self.world.trace.count(f"boundary:{boundary}")
            self._die(f"at {boundary}")

    def sleep(self, seconds: float) -> None:
        """Wait: the world goes on meanwhile."""
        self.step(f"waits {seconds:g} s")
        self.world.settle(seconds)

    def told(self, what: str) -> None:
        """Hear what it is about to do: where it waits for somebody else, that one goes on and time passes."""
        if what.startswith("wait for the batch"):
            self.step(what)
            self.world.tick(30)
            self.give_way()

    def _clock(self, _: Connection) -> datetime:
        """Say the time inside a transaction; a dead instance gets no further."""
        self._alive()
        self.steps += 1
        if self.steps == self.script.crash_at:
            self._die("in a transaction")
        if self.script.refuse_from and self.steps >= self.script.refuse_from:
            self.world.trace.count("fault:journal refused")
            self.world.say(self.name, "the journal takes nothing")
            raise JournalError("The journal takes nothing: the disk is full.")
        return self.world.tick()

    def _alive(self) -> None:
        if self.dead:
            raise Crash

    def _die(self, where: str) -> None:
        self.dead = True
        self.world.trace.count("fault:crash")
        self.world.say(self.name, f"CRASH {where}")
        raise Crash

    def _pause(self) -> None:
        self.paused += 1
        self.world.trace.count("fault:paused")
        self.world.say(self.name, "is paused")
        self.give_way()
        self._alive()
        self.world.say(self.name, "goes on")

    # --- what it does -----------------------------------------------------------------------------------------------

    def requests(self, target: str, what: str) -> None:
        """Send one request: what it stands on is looked up in the journal now."""
        self.step(f"-> {target}: {what}")
        self.promises.on_request(self, target)

    def changed(self, door: Door, before: State, after: State) -> None:
        """Have an effect on a door."""
        self.promises.on_door(self, door, before, after)

    def ended(self, store: str, item: EndSessions, ended: list[Session]) -> None:
        """Have an effect on sessions."""
        self.promises.on_sessions(self, store, item, ended)

    def _watch_runs(self) -> None:
        begin = self.journal.begin_run

        def begun(*arguments: Any, **others: Any) -> Run:
            self.begun = begin(*arguments, **others)
            return self.begun

        self.journal.begin_run = begun
        claim = self.journal.claim_urgently

        def claimed(keys: Sequence[str], owner: str, ttl_seconds: float) -> tuple[Claim, ...]:
            self.claimed = claim(keys, owner, ttl_seconds)
            return self.claimed

        self.journal.claim_urgently = claimed


def engine_at(path: Path) -> Engine:
    """Give an engine that keeps its connections, and what it has compiled, from one history to the next."""
    engine = open_engine(f"sqlite:///{path}", "", create=True)
    event.listen(engine, "connect", _without_sync)
    return engine


def _without_sync(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")
