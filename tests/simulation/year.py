"""One simulated year: the real daemon, the real journal, a virtual clock, and a school in which things happen.

The seed decides everything. The daemon is stepped whenever it asks to be; between its steps the year goes on.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from structlog.testing import capture_logs

from connector.app import Connector
from connector.config import AdapterSection, Apply, Config, Kind, Nightly, School
from connector.config import Journal as JournalKeys
from connector.config_daemon import Daemon as DaemonKeys
from connector.daemon.errand import Errand, Ran, Scene
from connector.daemon.errands import errands as all_errands
from connector.daemon.loop import Daemon
from connector.daemon.proving import Proving
from connector.errors import NotAllowed
from connector.policy import Limits, Rules
from connector.reconcile import journal_tables as tables
from connector.reconcile.boundaries import Boundary
from connector.reconcile.going_live import holds_to_read
from connector.reconcile.journal import Journal
from connector.reconcile.journal_store import Store
from connector.reconcile.running import Running, RunResult
from tests.reconcile import new_journal
from tests.reconcile.journal_builders import KEY
from tests.simulation.instance import Crash, engine_at
from tests.simulation.year_calendar import Calendar, Machine
from tests.simulation.year_events import Families, Orders
from tests.simulation.year_people import AccountMaker, Administrator
from tests.simulation.year_school import Builder
from tests.simulation.year_systems import targets_of
from tests.simulation.year_watch import Watch
from tests.simulation.year_world import PORTALS, ZONE, World

FIRST_DAY = date(2026, 2, 1)
DAYS = 400
LONGEST_WAIT = timedelta(hours=9)
"""How long the daemon rests at most before it is stepped again: others may have left something open."""


@dataclass(frozen=True)
class Options:
    """How long a year and how large a school."""

    days: int = DAYS
    families: int = 200
    staff: int = 60


@dataclass(frozen=True)
class Outcome:
    """What came of one year."""

    seed: int
    nights: int
    broken: tuple[str, ...]
    story: tuple[str, ...]
    counts: Counter[str]
    accident_named: tuple[str, ...]


class SteppedConnector(Connector):
    """The connector, waiting in the world's time where a front end runs it."""

    wait: Any = None

    def running(self, *, reports_only: bool = False) -> Running:
        running = super().running(reports_only=reports_only)
        running.sleep = self.wait
        return running


class Process:
    """One process with a journal and adapters of its own, until it is killed."""

    def __init__(self, year: "Year", name: str, machine: Machine | None = None) -> None:
        self.year, self.world, self.watch = year, year.world, year.watch
        self.machine, self.dead = machine or Machine(), False
        journal = Journal(Store(year.engine, KEY, self._clock))
        targets = targets_of(self, journal.signatures)
        self.connector = SteppedConnector(year.config, journal, targets, name, reached=self.reached, clock=self.now)
        self.connector.wait = self.world.settle

    def now(self) -> datetime:
        return self.world.now

    def reached(self, boundary: Boundary) -> None:
        self.step(f"-- {boundary}")

    def step(self, what: str) -> None:
        """Pass a moment at which it may die, or a target go down."""
        self._alive()
        self.world.tick()
        if self.machine.comes("outage"):
            self._go_down(what)
        if self.machine.comes("kill"):
            self.dead = True
            self.watch.counts["killed in a run"] += 1
            self.world.say("world", f"the daemon is killed ({what})")
            raise Crash

    def _go_down(self, what: str) -> None:
        """Let a target go away in the middle of a run, for some hours."""
        target = self.machine.target
        self.world.trouble[target].down = True
        self.watch.counts["outages in the middle of a run"] += 1
        self.world.say("world", f"{target} goes down in the middle of a run ({what})")
        self.year.back_in_hours(target, 5)

    def _clock(self, _: Connection) -> datetime:
        self._alive()
        return self.world.tick()

    def _alive(self) -> None:
        if self.dead:
            raise Crash


@dataclass
class Listening:
    """The errand by which the year hears of every run, as the mails do."""

    year: "Year"

    def after(self, scene: Scene, ran: Ran) -> None:
        self.year.heard(ran, live=scene.connector.is_live)

    def every_minute(self, scene: Scene) -> None:
        """Nothing is due by the minute."""


class Year:
    """Plays one seed."""

    def __init__(self, seed: int, folder: Path, options: Options) -> None:
        self.seed, self.options = seed, options
        self.rules = _rules(FIRST_DAY, options.days)
        self.world = World(seed, FIRST_DAY, options.days, self.rules)
        self.config = _config(folder, self.rules)
        path = folder / f"year-{seed}.db"
        path.unlink(missing_ok=True)
        new_journal.lay(path)
        self.engine: Engine = engine_at(path)
        self.watch = Watch(self.world)
        self.machine = Machine()
        self.last: RunResult | None = None
        self.lost: set[date] = set()
        builder = Builder(self.world)
        builder.fill(options.families, options.staff)
        self.desk = Process(self, "alice@desk")
        self.desk.connector.journal.add_operator("deputy@desk", "deputy", "hash", "nonce", "alice@desk")
        families = Families(self.world, builder, self.watch.oracle)
        orders = Orders(self.world, families, self.watch, self.desk.connector)
        self.administrator = Administrator(self.world, self.watch, self.desk.connector)
        self.account_maker = AccountMaker(self.world, self.watch.oracle)
        self.daemon = self._start()
        Calendar(self.world, families, orders, self.watch, self.machine, options.days).fill()
        self._plan_days()

    @property
    def end(self) -> datetime:
        return self.world.at(FIRST_DAY + timedelta(days=self.options.days), time(20, 0))

    # --- playing ----------------------------------------------------------------------------------------------------

    def play(self, *, until_broken: bool) -> Outcome:
        """Play the whole year, or until something is wrong where that is enough."""
        with capture_logs() as said:
            try:
                while self.world.now < self.end and not (until_broken and self.watch.broken):
                    self._go_on(said)
                self.daemon.close()
                if self.world.now >= self.end:
                    self._judge_end()
            finally:
                self.engine.dispose()
        lines = tuple(
            f"{at.astimezone(ZONE):%Y-%m-%d %a %H:%M} {who:>15}  {what}" for at, who, what in self.world.story
        )
        watch = self.watch
        return Outcome(
            self.seed, len(watch.nights), tuple(watch.broken), lines, watch.counts, tuple(watch.accident_named)
        )

    def _go_on(self, said: list[Any]) -> None:
        """Step the daemon once, and let time pass until it is to be stepped again."""
        if self.machine.off_from is not None and self.machine.off_until is not None:
            self._rest(self.machine.off_from, self.machine.off_until)
            return
        try:
            until = self.daemon.step()
        except Crash:
            self.world.advance(self.world.now + timedelta(minutes=self.world.dice.randint(1, 40)))
            self.daemon = self._start()
            return
        for event in said:
            if event.get("exc_info"):
                self.watch.breaks(f"a fault of ours: {event}")
        said.clear()
        self._wait(min(until, self.world.now + LONGEST_WAIT, self.end))

    def _wait(self, until: datetime) -> None:
        """Let time pass while the daemon rests, its claim kept as its heart keeps it."""
        seconds = (until - self.world.now).total_seconds()
        claim = self.daemon.heart.succession.claim
        if seconds > 0:
            if claim is not None:
                self.daemon.connector.journal.extend(claim, seconds + 30)
            self.world.advance(until)

    def _rest(self, since: date, day: date) -> None:
        """Leave the machine off until the morning of a day: nights that begin and end meanwhile are lost."""
        nights = [since + timedelta(days=n) for n in range((day - since).days)]
        self.lost |= set(nights)
        self.machine.off_from, self.machine.off_until = None, None
        self.watch.counts["nights the machine was off"] += len(nights)
        self.world.advance(self.world.at(day, time(8, 15)))
        self.daemon = self._start()

    def _start(self) -> Daemon:
        """Start the daemon, as a service manager does."""
        process = Process(self, "daemon@server", self.machine)
        listening = Listening(self)

        def errands(config: Config) -> tuple[Errand, ...]:
            # The year verifies the audit trail once a month: doing it after every run would take longer than the runs.
            kept = (errand for errand in all_errands(config) if not isinstance(errand, Proving))
            return (*kept, listening)

        return Daemon(lambda: process.connector, clock=process.now, wait=self.world.settle, errands=errands)

    def heard(self, ran: Ran, *, live: bool) -> None:
        """Hear of a run of the daemon, and hold it against the rules."""
        what = ran.error.message if ran.error else ""
        cut_short = "was cut short before it could tell" in what
        if "nobody foresaw" in what:
            self.watch.breaks(what)
        self.watch.counts[f"heard of {ran.cause}"] += 1
        if ran.cause in ("night", "caught-up") and (ran.result is not None or cut_short):
            self.watch.after_night(ran.result, live=live)
            self.last = ran.result
        elif ran.result is not None:
            self.watch.after_run(ran.result)
        elif ran.error is not None:
            self._say_once(f"{ran.cause}: {what}")

    def _say_once(self, what: str) -> None:
        """Leave a line for a failure, not for every time it is tried again."""
        if what not in {said for _, _, said in self.world.story[-12:]}:
            self.world.say("connector", what)

    def back_in_hours(self, target: str, hours: int) -> None:
        """Let a target answer again some hours from now."""
        local = (self.world.now + timedelta(hours=hours)).astimezone(ZONE)

        def back() -> None:
            self.world.trouble[target].down = False
            self.world.say("world", f"{target} answers again")

        self.world.plan(local.date(), local.time().replace(tzinfo=None), back)

    # --- every day --------------------------------------------------------------------------------------------------

    def _plan_days(self) -> None:
        """Plan what happens every day of the year."""
        for number in range(self.options.days + 1):
            day = FIRST_DAY + timedelta(days=number)
            for hour in (7, 13, 19):
                self.world.plan(day, time(hour), self._sign_in)
            self.world.plan(day, time(12), lambda: self.world.settle(0, overnight=True))
            self.world.plan(day, time(21), self._log_out)
            self.world.plan(day, time(20, 0), self.world.keep_reading)
            if day.weekday() < 5:
                self.world.plan(day, time(8, 30), self._morning)
                self.world.plan(day, time(15), self.account_maker.afternoon)
            if day.day == 1 and number:
                self.world.plan(day, time(9), self._verify)
        if self.rules.rollover_until:
            complete = self.rules.rollover_until - timedelta(days=35)
            complete += timedelta(days=(7 - complete.weekday()) % 7)  # a Monday
            self.world.plan(complete, time(9), self._complete_rollover)

    def _sign_in(self) -> None:
        """Let some people sign in, above all those who soon cannot any more."""
        people = sorted({m.person_id for m in self.world.members if m.enabled and m.username})
        leaving = sorted(self.watch.ready)
        for whom in (*self.world.dice.sample(people, min(16, len(people))), *leaving[:20]):
            self.world.sign_in_where_possible(whom)

    def _log_out(self) -> None:
        """Let sessions end by themselves after two days."""
        since = self.world.now - timedelta(days=2)
        self.world.sessions[:] = [s for s in self.world.sessions if s.created_at is None or s.created_at > since]

    def _morning(self) -> None:
        if self.last is not None:
            self.administrator.morning(self.last)
        if not self.desk.connector.is_live:
            self._go_live()

    def _go_live(self) -> None:
        """Leave report mode as soon as enough nights were accepted."""
        connector = self.desk.connector
        try:
            judgement = connector.look(self.world.today)
            connector.live.go(judgement, holds_to_read(judgement).digest)
        except NotAllowed as error:
            self.world.say("administrator", f"does not go live yet: {error.message}")
        else:
            self.world.say("administrator", "goes live")

    def _complete_rollover(self) -> None:
        self.desk.connector.rollover_complete(self.world.today)
        self.watch.counts["rollover complete"] += 1
        self.world.say("administrator", "declares the rollover complete")

    def _verify(self) -> None:
        audit = self.desk.connector.journal.verify_audit()
        if not audit.ok:
            self.watch.breaks(audit.sentence)

    # --- at the end -------------------------------------------------------------------------------------------------

    def _judge_end(self) -> None:
        """Judge the end of the year: the systems, the journal, and that every night had its turn."""
        journal = self.desk.connector.journal
        for leg in journal.open_legs():
            self.watch.breaks(f"leg {leg.leg_id} of {leg.key} is open at the end: {leg.state} {leg.detail}")
        for change in journal.open_changes():
            self.watch.breaks(f"change {change.change} is open at the end")
        self._verify()
        self._judge_claims()
        self.watch.at_end()
        days = [FIRST_DAY + timedelta(days=n) for n in range(self.options.days + 1)]
        wanted = [day for day in days if day not in self.lost]
        if sorted(self.watch.nights) != wanted:
            found = Counter(self.watch.nights)
            wrong = [d for d in sorted({*wanted, *found}) if found[d] != (d in wanted)]
            self.watch.breaks(f"not every night had its one run: {', '.join(f'{d} had {found[d]}' for d in wrong)}")

    def _judge_claims(self) -> None:
        with self.engine.connect() as conn:
            left = select(func.count()).select_from(tables.claims).where(tables.claims.c.expires_at > self.world.now)
            if count := conn.scalar(left):
                self.watch.breaks(f"{count} claims are left at the end")


def play(seed: int, folder: Path, options: Options | None = None, *, until_broken: bool = False) -> Outcome:
    """Play a year."""
    return Year(seed, folder, options or Options()).play(until_broken=until_broken)


def _rules(first_day: date, days: int) -> Rules:
    """The rules as they come, with early access; and the turn of the year, where it is reached."""
    begins = date(first_day.year, 12, 11)
    reached = begins + timedelta(days=60) < first_day + timedelta(days=days)
    window = (begins, begins + timedelta(days=80)) if reached else (None, None)
    return Rules(early_access_days=14, rollover_from=window[0], rollover_until=window[1])


def _config(folder: Path, rules: Rules) -> Config:
    """The config as it comes, but for what the year is about."""
    section = AdapterSection(Kind.ADMIN_SYSTEM, "admin_system", "simulated", {})
    return Config(
        path=folder / "connector.toml",
        school=School("Harbour", str(ZONE)),
        rules=rules,
        limits=Limits(),
        nightly=Nightly(),
        apply=Apply(),
        journal=JournalKeys(),
        portal_rules=PORTALS,
        admin_system=section,
        portals=(),
        daemon=DaemonKeys(retry_minutes=120),
    )
