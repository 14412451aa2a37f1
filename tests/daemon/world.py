"""A school whose daemon is driven by a clock of its own: fake systems, a real journal, and not a second of waiting."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event

from connector.app import Connector
from connector.config import AdapterSection, Apply, Config, Kind, Nightly, NightlyMode, School, Weekday
from connector.config import Journal as JournalSettings
from connector.config_daemon import Daemon as Settings
from connector.daemon.errand import Ran, Scene
from connector.daemon.loop import Daemon
from connector.errors import ConnectorError
from connector.reconcile.journal import Journal
from connector.reconcile.journal_engine import open_engine
from connector.reconcile.journal_store import Store
from connector.reconcile.reading import Targets
from tests.reconcile import new_journal
from tests.reconcile.build import SchoolBuilder
from tests.reconcile.journal_builders import KEY
from tests.reconcile.nights import Nights

NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
"""A Wednesday."""
WEEK = tuple(Weekday)


@dataclass
class Clock:
    """A clock that goes only when somebody waits. `waits` are told how long was waited in one go."""

    now: datetime = NOON
    waits: list[float] = field(default_factory=list)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)

    def on(self, **later: float) -> None:
        self.now += timedelta(**later)


class Hearing:
    """An errand that writes down what it hears; `fails` times it refuses."""

    def __init__(self) -> None:
        self.ran: list[Ran] = []
        self.minutes = 0
        self.fails = 0

    def after(self, scene: Scene, ran: Ran) -> None:
        assert scene.claim.key == "daemon"
        if self.fails:
            self.fails -= 1
            raise ConnectorError("The mail server is away.")
        self.ran.append(ran)

    def every_minute(self, scene: Scene) -> None:
        assert scene.now.tzinfo is not None
        self.minutes += 1

    @property
    def causes(self) -> list[str]:
        return [ran.cause for ran in self.ran]

    @property
    def results(self) -> list[str]:
        return [ran.result.result if ran.result else "error" for ran in self.ran]


class Harbour:
    """One school, its clock, and as many daemons as a test starts."""

    def __init__(self, folder: Path, school: SchoolBuilder, *, live: bool = True, **settings: Any) -> None:
        self.folder, self.clock = folder, Clock()
        self.nights = Nights(folder, school)
        self.nights.journal = self.open_journal()
        self.mode = NightlyMode.APPLY if live else NightlyMode.REPORT
        self.apply_days: tuple[Weekday, ...] = WEEK
        self.settings = Settings(**settings)
        self.hearing = Hearing()

    @property
    def journal(self) -> Journal:
        return self.nights.journal

    def open_journal(self) -> Journal:
        """Open the journal as another process would, by the virtual clock."""
        engine = open_engine(new_journal.lay(self.folder / "journal.db"), "", create=False)
        event.listen(engine, "connect", _without_sync)
        return Journal(Store(engine, KEY, lambda _: self.clock.now))

    def config(self, settle_seconds: int = 60) -> Config:
        school = self.nights.school
        return Config(
            self.folder / "config.toml",
            School("Harbour", "Europe/Berlin"),
            school.the_rules,
            school.the_limits,
            Nightly(self.mode, time(2, 30), self.apply_days),
            Apply(settle_seconds=settle_seconds),
            JournalSettings(),
            school.rules_of_portals(),
            AdapterSection(Kind.ADMIN_SYSTEM, "", "csv", {}),
            (),
            daemon=self.settings,
        )

    def connector(self, settle_seconds: int = 60) -> Connector:
        return Connector(self.config(settle_seconds), self.open_journal(), self.targets, "daemon@host")

    @property
    def targets(self) -> Targets:
        return self.nights.targets

    def daemon(self, **other: Any) -> Daemon:
        """Start a daemon as a process would. Its errands are one that listens."""
        errands = other.pop("errands", lambda _: (self.hearing,))
        return Daemon(self.connector, self.clock, self.clock.wait, errands=errands, **other)

    def goes_on(self, daemon: Daemon, **later: float) -> None:
        """Let time pass as the daemon's own loop does: to the next thing that is due, until the time is over."""
        until = self.clock.now + timedelta(**later)
        while self.clock.now < until:
            due = daemon.step()
            self.clock.now = max(self.clock.now, min(due, until))
        daemon.step()

    def settled(self) -> "Harbour":
        """Run one accepted night by hand: what changes afterwards is news."""
        result = self.nights.run()
        assert (result.result, result.exit_code) == ("applied", 0), result.stopped
        return self

    def runs(self, *kinds: str) -> list[str]:
        """Give the results of the daemon's runs of these kinds, oldest first."""
        mine: Sequence[Any] = [r for r in self.journal.runs(100) if r.operator == "daemon@host"]
        return [r.result for r in reversed(mine) if not kinds or r.kind in kinds]


def _without_sync(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")  # what dies in these tests is a process, never the machine
