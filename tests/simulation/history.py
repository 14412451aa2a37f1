"""One history: what a seed makes happen, from the first evening to the last quiet night.

The seed decides everything: who leaves, what is asked of the connector, which faults hit it, and who else acts when.
At the end all targets are back and nobody else acts, and a few nights must bring everything to an end.
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from unittest.mock import patch

from connector.errors import ConnectorError
from connector.model import LegKind
from connector.reconcile import running, terminating
from connector.reconcile.boundaries import Boundary
from connector.reconcile.journal import Journal
from tests.reconcile.build import SchoolBuilder
from tests.reconcile.journal_builders import KEY
from tests.simulation import acts, others
from tests.simulation.acts import Act
from tests.simulation.instance import Crash, Instance, Script, engine_at
from tests.simulation.others import Others
from tests.simulation.promises import Promises
from tests.simulation.school import LEAVERS, STAFF, held_school, large_school, paper_school, small_school
from tests.simulation.topics import Topic
from tests.simulation.turns import Turn, take_turns
from tests.simulation.world import Trace, World

QUIET_NIGHTS = 4
"""In how many nights everything must be at its end once the targets are back."""

_ADDITIONS = [b for b in Boundary if "addition" in b]
_CALLING_OFF = (Boundary.BEFORE_CALL_OFF, Boundary.CALLED_OFF)
_RESWEEPS = [b for b in Boundary if "reswe" in b]

_OF_A_NIGHT = {*_ADDITIONS, *_CALLING_OFF, *_RESWEEPS, Boundary.PLAN_KEPT, Boundary.BEFORE_SNAPSHOT}
_OF_A_NIGHT |= {Boundary.SNAPSHOT_KEPT, Boundary.SNAPSHOT_ACCEPTED, Boundary.PLAN_MARKED}

STEPS = 90
"""About how many steps the busiest act takes: faults are thrown at any of them."""


TOPICS = {
    "": 46, "keep": 7, "protected": 7, "disputed": 7, "plans": 11, "members": 6, "urgent": 8, "held": 4, "paper": 6
}  # fmt: skip
"""What else a history is about, beside crashes and faults, and how often."""

PLAIN = "crashes and faults"
"""What a history without a topic is about."""

_SCHOOLS = {"members": "large", "urgent": "large", "paper": "paper", "held": "held"}


@dataclass(frozen=True)
class Outcome:
    """What came of one history."""

    seed: int
    broken: tuple[str, ...]
    trace: Trace

    @property
    def counts(self) -> Counter[str]:
        """How often each fault, boundary, act and effect was met."""
        return self.trace.counts


class Stage:
    """What histories share, one after the other: a journal's file, one engine, and migrated journals to copy.

    The engine keeps its connections and what it has compiled. Nothing is synchronised to the disk: what dies here is a
    process, never the machine, and the folder is in memory anyway.
    """

    def __init__(self, folder: Path) -> None:
        self.schools = {"small": small_school(), "large": large_school(), "paper": paper_school()}
        self.schools["held"] = held_school()
        self.path = folder / f"journal-{os.getpid()}.db"
        self.engine = engine_at(self.path)
        Journal.open(f"sqlite:///{self.path}", audit_key=KEY).disconnect()
        self._file = sqlite3.connect(self.path, isolation_level=None, timeout=30)
        empty = self._copy()
        self._templates: dict[str, sqlite3.Connection] = {}
        for size in self.schools:
            empty.backup(self._file)
            self._templates[size] = self._first_night(size)
        empty.close()

    def _first_night(self, size: str) -> sqlite3.Connection:
        """Let a first, ordinary night be accepted: what changes afterwards is news."""
        world = World(self.schools[size], self.path, Random(0))  # noqa: S311 - dice, not secrets
        who = Instance("first", world, Promises(world), self.engine, Script())
        who.journal.add_operator("bob", "deputy", "hash", "nonce", "alice")
        result = who.running.run(world.as_of)
        who.promises.close()
        assert result.exit_code == 0, (result.result, result.stopped)
        assert not who.promises.broken, who.promises.broken
        return self._copy()

    def _copy(self) -> sqlite3.Connection:
        copy = sqlite3.connect(":memory:")
        self._file.backup(copy)
        return copy

    def reset(self, size: str) -> SchoolBuilder:
        """Put the journal of a school back to the evening before, and give the school."""
        self._templates[size].backup(self._file)
        return self.schools[size]

    def close(self) -> None:
        """Let go of everything. Whoever used the stage does this."""
        for copy in (*self._templates.values(), self._file):
            copy.close()
        self.engine.dispose()


@contextmanager
def memory_folder() -> Iterator[Path]:
    """Give a folder for journals, in memory where there is a place for it, and take it away afterwards."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    with TemporaryDirectory(prefix="simulation-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


class History:
    """Plays one seed on a stage."""

    def __init__(self, seed: int, stage: Stage) -> None:
        self.seed, self.stage, self.rng = seed, stage, Random(seed)  # noqa: S311 - dice, not secrets
        self.topic = topic_of(self.rng)
        self.theme = self.rng.choice(list(Boundary))  # where most crashes of this history happen
        large = self.theme in _ADDITIONS or self.rng.random() < 0.2
        school = stage.reset(_SCHOOLS.get(self.topic, "large" if large else "small"))
        self.world = World(school, stage.path, Random(seed + 1))  # noqa: S311 - as above
        self.world.day, self.world.now = 1, self.world.now.replace(day=self.world.now.day + 1)
        self.promises = Promises(self.world)
        self.others = Others(self.world, self.promises, self.rng)
        self.about = Topic(self.topic, self.world, self.promises, self.others)

    def play(self) -> Outcome:
        """Play it to the end."""
        try:
            self.world.trace.count(f"topic:{self.topic or PLAIN}")
            self.about.begin(self._do_one)
            self._evening()
            self._prepare()
            for _ in range(self.rng.choice([1, 2, 2] if self.topic else [1, 1, 1, 1, 1, 2, 2])):
                self._act()
                self._between()
            self._quiet()
        finally:
            self.promises.close()
        return Outcome(self.seed, tuple(self.promises.broken), self.world.trace)

    def _prepare(self) -> None:
        """Bring about what the theme needs: a boundary that is not passed cannot be crashed at."""
        self.about.prepare(self._do_one)
        if self.theme in _ADDITIONS:
            self.others.act(others.gain_role)
        elif self.theme in _CALLING_OFF:
            self._prepared(Script(crash_on=(Boundary.INTENT_DURABLE, 1)))
            for _ in range(4):
                self.others.act(others.come_back)
        elif self.theme in _RESWEEPS:
            self.world.saves_at_end, self.world.late_share = 3, 1.0
            self._prepared(Script())
            self._next_day()

    def _prepared(self, script: Script) -> None:
        self._do(self._instance("a", script), acts.night)
        self.promises.after_act()
        self.world.settle(200)

    # --- acts ---------------------------------------------------------------------------------------------------------

    def _evening(self) -> None:
        self.others.act(others.leave)
        for _ in range(self.rng.choice([0, 1, 1, 2])):
            self.others.act(self.rng.choice(others.SOURCE))
        if self.rng.random() < 0.3:
            self.others.act(self.rng.choice(others.TARGETS))

    def _act(self) -> None:
        """Ask something of one instance, or of two at once."""
        self._throw_faults()
        if self.rng.random() < 0.2:
            self._two_at_once()
        else:
            self._one(self._choose())
        self._lift_faults()
        self.promises.after_act()

    def _choose(self) -> Act:
        person = self.rng.choice([*LEAVERS, *LEAVERS, STAFF])
        kinds: list[Act] = [acts.night, acts.resume, acts.revoke(person), acts.terminate(person)]
        kinds += [acts.block(person), acts.unblock(person), acts.abandon(person)]
        closed = sorted({who for kind, _, who in self.world.before_us if kind == LegKind.CREDENTIAL})
        if closed and self.rng.random() < 0.25:
            return self._restore(self.rng.choice(closed))
        if (said := self.about.acts()) and self.rng.random() < 0.5:
            return self.rng.choice(said)
        resuming = 60 if self.promises.open() else 4
        nights = 90 if self.theme in _OF_A_NIGHT else 35
        return self.rng.choices(kinds, [nights, resuming, 14, 14, 4, 3, 3])[0]

    def _restore(self, person: str) -> Act:
        """Restore somebody who was closed: rightly, or because the admin system was wrong."""
        if self.rng.random() < 0.6:
            self.others.act(others.let_back(person))
        return acts.restore(person)

    def _do_one(self, act: Act) -> None:
        """Let somebody do one thing that nothing goes wrong with."""
        self._do(self._instance("a", Script()), act)
        self.promises.after_act()

    def _one(self, act: Act) -> None:
        who = self._instance("a", self._script())
        self._do(who, act)

    def _two_at_once(self) -> None:
        """Let two instances take turns; which is paused when, and how long, is thrown."""
        self.world.trace.count("fault:two at once")
        turns: list[Turn] = []
        for name, act in (("a", self._choose()), ("b", self._choose())):
            script = self._script()
            script.pause_at = frozenset(self.rng.randrange(1, STEPS) for _ in range(self.rng.choice([1, 2, 3])))
            who = self._instance(name, script)
            turn = Turn(_work(self._do, who, act))
            who.give_way = turn.pause
            turns.append(turn)
        take_turns(turns, self._time_passes)

    def _time_passes(self) -> None:
        self.world.tick(self.rng.choice([0, 1, 100, 130, 400]))

    def _do(self, who: Instance, act: Act) -> None:
        name = getattr(act, "__name__", "act")
        self.world.say(who.name, f"=== {name}, as of {self.world.as_of}")
        try:
            said = act(who)
        except Crash:
            said = "crashed"
        except ConnectorError as error:
            said = f"{type(error).__name__}: {error}"
        self.world.trace.count(f"act:{name.split(' ', maxsplit=1)[0]}")
        self.world.say(who.name, f"=== {name}: {said}")

    def _instance(self, name: str, script: Script) -> Instance:
        return Instance(name, self.world, self.promises, self.stage.engine, script)

    # --- faults -------------------------------------------------------------------------------------------------------

    def _script(self) -> Script:
        script = Script()
        dice = self.rng.random()
        if dice < 0.6:
            script.crash_on = (self.theme, self.rng.choice([1, 1, 1, 2, 3]))
        elif dice < 0.85:
            script.crash_at = self.rng.randrange(1, STEPS)
        elif dice < 0.9:
            script.refuse_from = self.rng.randrange(1, STEPS)
        deeds = [self.rng.choice(self.about.deeds()) for _ in range(self.rng.choice([0, 0, 1, 2]))]
        deeds += [others.log_in] * self.rng.choice([0, 1, 3])
        script.meanwhile = {self.rng.randrange(1, STEPS): _work(self.others.act, deed) for deed in deeds}
        return script

    def _throw_faults(self) -> None:
        """Let targets fail in one way or another during the next act."""
        world, rng = self.world, self.rng
        for name, trouble in world.trouble.items():
            dice = rng.random()
            subjects = {*LEAVERS, STAFF, *(f"u{p}" for p in LEAVERS), *(a.guid for a in world.school.accounts)}
            some = {s for s in sorted(subjects) if rng.random() < 0.4}
            if dice < 0.06:
                trouble.lost_before = some
            elif dice < 0.12:
                trouble.lost_after = some
            elif dice < 0.16:
                trouble.ends_after = rng.randrange(3)
            elif dice < 0.22:
                self._outage(name)
            elif dice < 0.23:
                trouble.breaks_off = True
                world.trace.count("fault:reading broke off")
                world.say("world", f"readings of {name} break off")
        world.saves_at_end = rng.choice([0, 0, 1, 2])

    def _outage(self, name: str) -> None:
        self.world.trouble[name].down = True
        self.world.outages[name] = self.rng.choice([5, 30, STEPS])
        self.world.trace.count("fault:target down")
        self.world.say("world", f"{name} does not answer")

    def _lift_faults(self) -> None:
        for name, trouble in self.world.trouble.items():
            trouble.lost_before, trouble.lost_after = set(), set()
            trouble.ends_after, trouble.breaks_off = None, False
            if name not in self.world.outages:
                trouble.down = False

    def _between(self) -> None:
        """Let time pass: seconds, so that a dead instance's lease still stands, or a day."""
        self.world.settle(self.rng.choice([1, 200, 3600]))
        if self.rng.random() < 0.6:
            self.others.act(self.rng.choice(self.about.deeds()))
        if self.rng.random() < 0.5:
            self._next_day()

    def _next_day(self) -> None:
        self.world.day += 1
        self.world.overnight()
        self.world.tick(86_000)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _quiet(self) -> None:
        """All targets are back and nobody else acts: a bounded number of nights ends everything."""
        world = self.world
        world.outages.clear()
        world.saves_at_end = 0
        self._lift_faults()
        world.say("world", "everything is quiet now")
        if self.rng.random() < 0.6:
            self.about.take_back(self._do_one)
        who = self._instance("a", Script())
        if not self.promises.unfinished() and not world.late and self.rng.random() < 0.9:
            self.promises.at_end(who)
            return
        resumed = bool(self.promises.open()) and self.rng.random() < 0.9
        for number in range(1, QUIET_NIGHTS + 1):
            self._next_day()
            self.about.last_word(self._do_one)
            who = self._instance("a", Script())
            self._do(who, acts.resume if resumed and number == 1 else acts.night)
            self.promises.after_act()
            self.others.act(others.do_the_worklist)
            if not self.promises.unfinished():
                world.trace.count(f"quiet nights:{number}")
                break
        self.promises.at_end(who)


def _work(act: Callable[..., None], *given: object) -> Callable[[], None]:
    return lambda: act(*given)


def topic_of(rng: Random) -> str:
    """Throw what a history is about: the first thing a seed decides."""
    return rng.choices(list(TOPICS), list(TOPICS.values()))[0]


def seeds_about(topic: str | None, first: int = 0) -> Iterator[int]:
    """Give the seeds, from one on, of histories about a topic (none: about anything)."""
    return (n for n in count(first) if topic is None or topic_of(Random(n)) == topic)  # noqa: S311 - dice, not secrets


def play(seed: int, stage: Stage) -> Outcome:
    """Play one seed. The host's clock says the world's time, and whoever waits for a claim waits in that."""
    history = History(seed, stage)
    clock = patch.object(running, "datetime", _Clock(history.world))
    with clock, patch.object(terminating, "_ASK_AGAIN_SECONDS", 0):
        return history.play()


class _Clock:
    """Stands where the code under test asks its host for the time."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self, _zone: tzinfo) -> datetime:
        return self._world.now


__all__ = ["PLAIN", "TOPICS", "History", "Outcome", "Stage", "memory_folder", "play", "seeds_about"]
