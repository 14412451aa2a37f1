"""The calendar of a simulated year: on which days what happens, drawn from the world's dice before the first day.

The fixed dates are those of a school in New South Wales; everything else falls where the dice let it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta

from connector.model import PeopleReading
from tests.simulation.year_events import Families, Orders
from tests.simulation.year_school import TOP_YEAR
from tests.simulation.year_watch import Watch
from tests.simulation.year_world import TARGETS, Happening, World

QUIET_DAYS = 28
"""How long nothing happens at the end: everything must have come to its end by then."""
ACCIDENT = "Stepmother"
"""The contact type whose flag the admin system loses for some days."""


@dataclass
class Machine:
    """What happens to the machine the daemon runs on: which nights it is off, and in how many steps what hits it."""

    off_from: date | None = None
    off_until: date | None = None
    target: str = ""
    steps: dict[str, int] = field(default_factory=dict)

    def comes(self, what: str) -> bool:
        """Count one step; say whether it is the one."""
        if what not in self.steps:
            return False
        self.steps[what] -= 1
        if self.steps[what] > 0:
            return False
        del self.steps[what]
        return True


@dataclass
class Calendar:
    """Fills the world with what is due. `days` is how long the year is."""

    world: World
    families: Families
    orders: Orders
    watch: Watch
    machine: Machine
    days: int

    @property
    def last(self) -> date:
        """The last day on which anything begins."""
        return self.world.first_day + timedelta(days=self.days - QUIET_DAYS)

    def fill(self) -> None:
        """Draw the whole year."""
        self._every(9, self.families.join, self.families.leave)
        self._every(20, self.families.split, self.families.change_code)
        self._every(30, self.families.second_record, self.families.change_surname)
        self._every(32, self.families.staff_join, self.families.staff_leave, self.families.return_to_school)
        self._every(14, self.families.role)
        self._every(60, self.families.inactive, self.families.delete)
        self._every(70, self.orders.keep, self.orders.disable_by_hand, self.orders.enable_by_mistake)
        self._every(110, self.orders.block, self.orders.court_order)
        self._every(150, self.orders.terminate)
        self._every(190, lambda: self.orders.court_order(lifted_after=20))
        self._outages()
        self._sources()
        self._machine()
        self._accident(self._day(0.45, 0.6))
        self._once(0.3, 0.4, self.families.many_leave)
        self._once(0.65, 0.75, self.families.flag_decided)
        self._turn_of_the_year()

    # --- when -------------------------------------------------------------------------------------------------------

    def _day(self, least: float, most: float) -> date:
        """Give a day in a part of the year."""
        return self.world.first_day + timedelta(days=int(self.days * self.world.dice.uniform(least, most)))

    def _once(self, least: float, most: float, happening: Happening) -> None:
        self._at(self._day(least, most), happening)

    def _at(self, day: date, happening: Happening) -> None:
        when = time(self.world.dice.randint(9, 16), self.world.dice.randrange(60))
        self.world.plan(day, when, happening)

    def _every(self, days: int, *happenings: Happening) -> None:
        """Let each happen about every so many days, but not in the first weeks, and once at least."""
        for happening in happenings:
            day = self.world.first_day + timedelta(days=12 + self.world.dice.randint(0, min(days, self.days // 4)))
            while day < self.last:
                self._at(day, happening)
                day += timedelta(days=max(1, int(days * self.world.dice.uniform(0.6, 1.4))))

    # --- what breaks ------------------------------------------------------------------------------------------------

    def _outages(self) -> None:
        """Let each target be away now and then, for hours or for days, or break off in the middle of a reading."""
        for target in TARGETS:
            for _ in range(max(1, self.days // 90)):
                hours = self.world.dice.choice((3, 6, 9, 9, 14, 14, 40, 60))
                self._outage(target, self._day(0.05, 0.88), hours)
        for _ in range(max(1, self.days // 130)):
            self._breaks_off(self.world.dice.choice(TARGETS), self._day(0.05, 0.88))

    def _outage(self, target: str, day: date, hours: int) -> None:
        trouble = self.world.trouble[target]

        def begin() -> None:
            trouble.down = True
            self.watch.counts["outages"] += 1
            self.world.say("world", f"{target} does not answer, for {hours} hours")

        def end() -> None:
            trouble.down = False
            self.world.say("world", f"{target} answers again")

        self._between(day, time(22, 10), hours, begin, end)

    def _breaks_off(self, target: str, day: date) -> None:
        trouble = self.world.trouble[target]

        def begin() -> None:
            trouble.breaks_off = True
            self.watch.counts["readings broken off"] += 1
            self.world.say("world", f"every reading of {target} breaks off in the middle")

        def end() -> None:
            trouble.breaks_off = False

        self._between(day, time(23, 0), 7, begin, end)

    def _between(self, day: date, when: time, hours: int, begin: Happening, end: Happening) -> None:
        self.world.plan(day, when, begin)
        until = self.world.at(day, when) + timedelta(hours=hours)
        local = until.astimezone(self.world.local.tzinfo)
        self.world.plan(local.date(), local.time().replace(tzinfo=None), end)

    def _sources(self) -> None:
        """Let the admin system fail, be cut off, short, empty of a kind, or of some days ago, each for a night."""
        views: dict[str, Callable[[PeopleReading], PeopleReading]] = {
            "lacks a third of everything": lambda read: _cut(read, 0.67),
            "lacks one in twenty people": lambda read: _cut(read, 0.95),
            "has nothing but headers in the enrolments": lambda read: replace(read, enrolments=()),
            "lacks the relationships": lambda read: replace(
                read, relationships=(), missing=frozenset({"relationships"})
            ),
            "is of three days ago": self._old,
        }
        for said, view in views.items():
            for _ in range(max(1, self.days // 200)):
                self._wrong(self._day(0.05, 0.88), said, view)
        for down in ("unreachable", "is empty", "broke off in the middle"):
            for _ in range(max(1, self.days // 200)):
                self._down(self._day(0.05, 0.88), down)

    def _wrong(self, day: date, said: str, view: Callable[[PeopleReading], PeopleReading]) -> None:
        def begin() -> None:
            self.world.views["night"] = view
            self.watch.counts["wrong exports"] += 1
            self.world.say("world", f"the admin system's export {said}")

        self._between(day, time(21, 30), 10, begin, lambda: self.world.views.pop("night", None))

    def _down(self, day: date, down: str) -> None:
        def begin() -> None:
            self.world.down = down
            self.watch.counts["admin system down"] += 1
            self.world.say("world", f"the admin system {down}")

        def end() -> None:
            self.world.down = ""

        self._between(day, time(20, 30), 11, begin, end)

    def _old(self, read: PeopleReading) -> PeopleReading:
        day = min(self.world.readings, default=None)
        return read if day is None else self.world.readings[day]

    def _machine(self) -> None:
        """Switch the machine off for two nights, and kill the daemon at some steps of some nights."""
        for _ in range(max(1, self.days // 180)):
            day = self._day(0.1, 0.85)
            self.world.plan(day, time(18, 0), lambda day=day: self._switch_off(day + timedelta(days=2)))  # type: ignore[misc] # mypy cannot type a lambda's defaults
        for _ in range(max(2, self.days // 40)):
            self.world.plan(self._day(0.05, 0.9), time(23, 50), self._arm)
        for _ in range(max(1, self.days // 130)):
            self.world.plan(self._day(0.05, 0.85), time(23, 40), self._arm_outage)

    def _switch_off(self, until: date) -> None:
        self.machine.off_from, self.machine.off_until = self.world.today + timedelta(days=1), until
        self.world.say("world", f"the machine of the daemon is off until the morning of {until}")

    def _arm(self) -> None:
        self.machine.steps["kill"] = self.world.dice.choice((7, 15, 22, 30, 40, 55, 75))

    def _arm_outage(self) -> None:
        """In the middle of a run that closes something, a target goes away."""
        self.machine.target = self.world.dice.choice(TARGETS[:4])
        self.machine.steps["outage"] = self.world.dice.randint(14, 24)

    # --- the accident -----------------------------------------------------------------------------------------------

    def _accident(self, day: date) -> None:
        """On one evening the admin system says that a common contact type has no portal; days later it is corrected."""
        day -= timedelta(days=(day.weekday() - 1) % 7)  # a Tuesday
        self.world.plan(day - timedelta(days=16), time(10, 0), lambda: self._leaver(day - timedelta(days=15)))
        days = self.world.dice.randint(2, 3)
        self.world.plan(day - timedelta(days=1), time(19, 0), self._begin_accident)
        self.world.plan(day + timedelta(days=days - 1), time(10, 30), self._end_accident)

    def _leaver(self, last_day: date) -> None:
        """A family with that contact type leaves, rightly: its row rests on the type when the accident happens."""
        here = {s for f in self.world.families() for s in f}
        student = next(
            r.student_id for r in self.world.relationships if r.contact_type == ACCIDENT and r.student_id in here
        )
        self.families.exit((student,), last_day, "left")

    def _begin_accident(self) -> None:
        def flipped(read: PeopleReading) -> PeopleReading:
            types = (replace(t, portal_access=t.portal_access and t.name != ACCIDENT) for t in read.contact_types)
            return replace(read, contact_types=tuple(types))

        self.world.views["accident"], self.watch.accident = flipped, ACCIDENT
        self.watch.counts["accidents"] += 1
        self.world.say("world", f"ACCIDENT: the admin system says that {ACCIDENT} has no portal access")

    def _end_accident(self) -> None:
        del self.world.views["accident"]
        self.watch.accident = ""
        self.world.say("world", "the accident is corrected in the admin system")

    # --- the turn of the year ---------------------------------------------------------------------------------------

    def _turn_of_the_year(self) -> None:
        """The top year leaves in December, the rollover lasts until January, the new year's families come."""
        begins, until = self.world.rules.rollover_from, self.world.rules.rollover_until
        if begins is None or until is None:
            return
        first_day = until - timedelta(days=31)
        self.world.plan(begins - timedelta(days=1), time(15, 0), lambda: self.families.graduate(TOP_YEAR))
        self.world.plan(begins, time(10, 0), lambda: self.families.new_enrolments(first_day))
        for number in range(12):
            self.world.plan(begins - timedelta(days=20 - number), time(11, 0), self._newcomers(first_day))
        half = begins + timedelta(days=25)
        self._between(half, time(12, 0), 24 * 9, self._begin_half, lambda: self.world.views.pop("half"))

    def _newcomers(self, first_day: date) -> Happening:
        def come() -> None:
            students = self.families.builder.family(first_day, self.world.dice.choice((1, 1, 2)))
            self.families.say(f"{len(students)} student(s) enrolled for {first_day}")

        return come

    def _begin_half(self) -> None:
        """In the middle of a rollover the next year's enrolments are not there, and everybody seems to have left."""
        today = self.world.today

        def half(read: PeopleReading) -> PeopleReading:
            old = (e for e in read.enrolments if e.entry_date and e.entry_date <= today)
            return replace(read, enrolments=tuple(replace(e, exit_reason="left") if e.exit_date else e for e in old))

        self.world.views["half"] = half
        self.world.say("world", "the rollover is half done: no next year's enrolments in the admin system")


def _cut(read: PeopleReading, share: float) -> PeopleReading:
    """Give a reading cut off somewhere: the end of the people's file is not there."""
    return replace(read, people=read.people[: int(len(read.people) * share)])
