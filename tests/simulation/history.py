"""One history: what a seed makes happen, from the first evening to the last quiet night.

The seed decides everything: who leaves, what is asked of the connector, which faults hit it, and who else acts when.
At the end all targets are back and nobody else acts, and a few nights must bring everything to an end.
"""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from sqlalchemy import Engine

from connector.errors import ConnectorError
from connector.model import LegKind
from connector.reconcile.boundaries import Boundary
from connector.reconcile.journal import Journal
from connector.reconcile.journal_store import Store
from tests.reconcile.build import SchoolBuilder
from tests.reconcile.journal_builders import KEY
from tests.simulation import acts, others
from tests.simulation.acts import Act
from tests.simulation.instance import Crash, Instance, Script, engine_at
from tests.simulation.others import Others
from tests.simulation.promises import Promises
from tests.simulation.school import LEAVERS, STAFF, large_school, small_school
from tests.simulation.turns import Turn, take_turns
from tests.simulation.world import World

QUIET_NIGHTS = 4
"""In how many nights everything must be at its end once the targets are back."""

_ADDITIONS = [b for b in Boundary if "addition" in b]
_CALLING_OFF = (Boundary.BEFORE_CALL_OFF, Boundary.CALLED_OFF)
_RESWEEPS = [b for b in Boundary if "reswe" in b]

_OF_A_NIGHT = {*_ADDITIONS, *_CALLING_OFF, *_RESWEEPS, Boundary.PLAN_KEPT, Boundary.BEFORE_SNAPSHOT}
_OF_A_NIGHT |= {Boundary.SNAPSHOT_KEPT, Boundary.SNAPSHOT_ACCEPTED, Boundary.PLAN_MARKED}

STEPS = 90
"""About how many steps the busiest act takes: faults are thrown at any of them."""


@dataclass(frozen=True)
class Outcome:
    """What came of one history."""

    seed: int
    broken: tuple[str, ...]
    trace: tuple[str, ...]
    counts: Counter[str]


class Stage:
    """What histories share, one after the other: a folder in memory, a migrated journal to copy, three engines."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
        self.folder = Path(mkdtemp(prefix="simulation-", dir=memory if memory.is_dir() else None))
        self.schools = {"small": small_school(), "large": large_school()}
        self.path = self.folder / "journal.db"
        self.engines: dict[str, Engine] = {name: engine_at(self.path) for name in ("first", "a", "b")}
        for size in self.schools:
            self._make_template(size)

    def _make_template(self, size: str) -> None:
        """Let a first, ordinary night be accepted: what changes afterwards is news."""
        self._clear()
        Journal.open(f"sqlite:///{self.path}", audit_key=KEY).disconnect()
        with Journal(Store(self.engines["first"], KEY)) as journal:
            journal.add_operator("bob", "deputy", "hash", "nonce", "alice")
        world = World(self.schools[size], self.path, Random(0))  # noqa: S311 - dice, not secrets
        who = Instance("first", world, Promises(world), self.engines["first"], Script())
        result = who.running.run(world.as_of)
        who.promises.close()
        who.close()
        assert result.exit_code == 0, (result.result, result.stopped)
        assert not who.promises.broken, who.promises.broken
        shutil.copy(self.path, self.folder / size)

    def reset(self, size: str) -> SchoolBuilder:
        """Put the journal of a school back to the evening before, and give the school."""
        self._clear()
        shutil.copy(self.folder / size, self.path)
        return self.schools[size]

    def _clear(self) -> None:
        self.dispose()
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    def dispose(self) -> None:
        for engine in self.engines.values():
            engine.dispose()

    def close(self) -> None:
        self.dispose()
        shutil.rmtree(self.folder, ignore_errors=True)


class History:
    """Plays one seed on a stage."""

    def __init__(self, seed: int, stage: Stage) -> None:
        self.seed, self.stage, self.rng = seed, stage, Random(seed)  # noqa: S311 - dice, not secrets
        self.theme = self.rng.choice(list(Boundary))  # where most crashes of this history happen
        large = self.theme in _ADDITIONS or self.rng.random() < 0.2
        school = stage.reset("large" if large else "small")
        self.world = World(school, stage.path, Random(seed + 1))  # noqa: S311 - as above
        self.world.day, self.world.now = 1, self.world.now.replace(day=self.world.now.day + 1)
        self.promises = Promises(self.world)
        self.others = Others(self.world, self.promises, self.rng)

    def play(self) -> Outcome:
        """Play it to the end."""
        try:
            self._evening()
            self._prepare()
            for _ in range(self.rng.choice([1, 1, 1, 1, 1, 2, 2])):
                self._act()
                self._between()
            self._quiet()
        finally:
            self.promises.close()
        return Outcome(self.seed, tuple(self.promises.broken), tuple(self.world.trace.lines), self.world.trace.counts)

    def _prepare(self) -> None:
        """Bring about what the theme needs: a boundary that is not passed cannot be crashed at."""
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
        resuming = 60 if self.promises.open() else 4
        nights = 90 if self.theme in _OF_A_NIGHT else 35
        return self.rng.choices(kinds, [nights, resuming, 14, 14, 4, 3, 3])[0]

    def _restore(self, person: str) -> Act:
        """Restore somebody who was closed: rightly, or because the admin system was wrong."""
        if self.rng.random() < 0.6:
            self.others.act(others.let_back(person))
        return acts.restore(person)

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
        who.close()

    def _instance(self, name: str, script: Script) -> Instance:
        return Instance(name, self.world, self.promises, self.stage.engines[name], script)

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
        deeds = [self.rng.choice((*others.SOURCE, *others.TARGETS)) for _ in range(self.rng.choice([0, 0, 1, 2]))]
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
            self.others.act(self.rng.choice((*others.SOURCE, *others.TARGETS)))
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
        who = self._instance("a", Script())
        if not self.promises.unfinished() and not world.late and self.rng.random() < 0.9:
            self.promises.at_end(who)
            return
        resumed = bool(self.promises.open()) and self.rng.random() < 0.9
        for number in range(1, QUIET_NIGHTS + 1):
            self._next_day()
            who = self._instance("a", Script())
            self._do(who, acts.resume if resumed and number == 1 else acts.night)
            self.promises.after_act()
            if not self.promises.unfinished():
                world.trace.count(f"quiet nights:{number}")
                break
        self.promises.at_end(who)
        who.close()


def _work(act: Callable[..., None], *given: object) -> Callable[[], None]:
    return lambda: act(*given)


def play(seed: int, stage: Stage) -> Outcome:
    """Play one seed."""
    return History(seed, stage).play()


__all__ = ["History", "Outcome", "Stage", "play"]
