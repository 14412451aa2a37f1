"""The daemon: it holds its claim, runs what is due, and sees to its errands. One thread, one run at a time.

It decides nothing about people. Whatever fails is said and tried again; nothing is remembered as done before it is.
Clock, waiting and the school come from outside, so that a simulated year drives the very same steps.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog

from connector.app import Connector
from connector.config import Config, Weekday
from connector.daemon.calendar import Schedule
from connector.daemon.complaints import Complaints
from connector.daemon.diary import Diary, Page
from connector.daemon.duties import (
    RETRY,
    Asked,
    Begun,
    Next,
    Nothing,
    Patience,
    Retry,
    RunAsked,
    RunNight,
    begun_by,
    next_duty,
)
from connector.daemon.errand import Errand, Ran, Scene
from connector.daemon.errands import errands
from connector.daemon.folders import Folders
from connector.daemon.ground import Ground
from connector.daemon.notifying import READY, STOPPING, WATCHDOG, Notify, silent
from connector.daemon.open_work import open_work
from connector.daemon.sight import Worker
from connector.daemon.stopping import Stopping
from connector.daemon.succession import Heart, Succession
from connector.daemon.webhook import Genuine
from connector.errors import ConnectorError, JournalError, RunInProgress, StoppedEarly
from connector.reconcile.interrupting import Attendance
from connector.reconcile.journal_values import Claim
from connector.reconcile.reading import utc_now
from connector.reconcile.running import REPORTED, RunResult

MINUTE = timedelta(minutes=1)
STAND_BY = timedelta(seconds=5)
"""How often one that stands by looks whether the other one still lives."""
_TOLD_WITHIN = timedelta(days=1)
"""How long an errand that fails is told of a run again."""
_LOOK_SECONDS = 10.0
"""How often the loop looks around, though nothing is due: at folders, and at what others left open."""

_log = structlog.stdlib.get_logger("connector.daemon")


@dataclass(frozen=True, slots=True)
class State:
    """What the daemon is doing, for whoever asks whether it lives. `doing` is a run's cause, or empty.

    `works`: it holds the claim; else it stands by. `problem` is what kept the last step from its end.
    """

    works: bool = False
    doing: str = ""
    stepped_at: datetime | None = None
    problem: str = ""


IDLE = State()


@dataclass(slots=True)
class Daemon:
    """One school's daemon. `step` is everything; `run` calls it for ever, `once` until nothing is due.

    `open` gives the school's connector, `wait` is how a run waits. `exit_code` is the worst of what ran. Where `lives`
    says that nobody is there any more for whom it works, it ends.
    """

    open: Callable[[], Connector]
    clock: Callable[[], datetime] = utc_now
    wait: Callable[[float], object] | None = None
    stopping: Stopping = field(default_factory=Stopping)
    notify: Notify = silent
    errands: Callable[[Config], Sequence[Errand]] = errands
    lives: Callable[[], bool] | None = None
    state: State = IDLE
    exit_code: int = 0
    connector: Connector = field(init=False)
    heart: Heart = field(init=False)
    _diary: Diary = field(init=False)
    _succession: Succession = field(init=False)
    _ground: Ground = field(init=False)
    _folders: Folders = field(init=False)
    _errands: Sequence[Errand] = field(init=False)
    _untold: list[tuple[Errand, Ran]] = field(default_factory=list)
    _telling: bool = False
    _cut_short: bool = False
    _asked_at: datetime | None = None
    _held_until: datetime | None = None
    _complaints: Complaints = field(default_factory=Complaints)

    def __post_init__(self) -> None:
        self.connector = connector = self.open()
        connector.clock = self.clock
        config = connector.config
        self._diary = Diary(connector.journal, connector.operator)
        self._succession = Succession(connector.journal, config.daemon.lease_seconds)
        self._ground = Ground(connector.journal, config.path)
        self.heart = Heart(self._succession, self.notify)
        watched = [config.site.folder / name for name in config.daemon.watch]
        self._folders = Folders(watched, timedelta(seconds=config.daemon.rest_seconds))
        self._errands = self.errands(config)

    @property
    def schedule(self) -> Schedule:
        """When this school's nights are."""
        nightly, days = self.connector.config.nightly, tuple(Weekday)
        return Schedule(nightly.at, self.connector.config.site.zone, frozenset(map(days.index, nightly.apply_days)))

    # --- from outside -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until asked to stop, or stand by while another daemon works."""
        self._succession.worker = Worker.here(self.clock(), once=False).text()
        with self.heart.beating():
            self.notify(READY)
            while not self.stopping.asked and (self.lives is None or self.lives()):
                until = self.step()
                self.notify(WATCHDOG)
                self.stopping.rest(min(self._look_seconds, max(0.0, (until - self.clock()).total_seconds())))
        self.close()

    def once(self) -> int:
        """Do everything that is due now, and end; give the exit code. Another daemon that works is left to it."""
        self._succession.worker = Worker.here(self.clock(), once=True).text()
        with self.heart.beating():
            while not self.stopping.asked and self.step() <= self.clock():
                pass
        works, problem = self.state.works, self.state.problem
        self.close()
        if not (works or problem):
            _log.info("daemon-stands-by", reason="another daemon works for this school")
        return self.exit_code

    def close(self) -> None:
        """Give the claim back and let go of every connection."""
        self.notify(STOPPING)
        self._succession.release()
        self.state = IDLE
        self.connector.close()

    def ask(self, cause: str, message: Genuine | None = None) -> bool:
        """Ask for a run, from any thread; say whether it is written down: one that stands by takes no orders.

        Raises ReplayError where its message was taken before, ConnectorError where the journal cannot take it.
        """
        claim = self._succession.claim
        if claim is None:
            return False
        if not self._ground.stands():  # what is written into a file that is gone, nobody ever reads
            raise JournalError("The journal's file is gone, or another one.", "It is looked at with the next step.")
        try:
            self._diary.asked_for(claim, Asked(cause, self.clock()), message)
        except RunInProgress:
            return False
        self.stopping.ring()
        return True

    # --- one step ---------------------------------------------------------------------------------------------------

    def step(self) -> datetime:
        """Do what is due now, one run at the most; give when something is due next. Nothing it meets ends the daemon.

        Errands are asked whenever a minute is over since they were asked last.
        """
        now = self.clock()
        self.heart.mark()
        try:
            until, problem = self._stepped(now), ""
            self._complaints.over()
        except StoppedEarly as error:
            until, problem = now, ""
            _log.info("daemon-stopped-early", said=error.message)
        except RunInProgress as error:
            until, problem = self._hold_back(), error.message
            self._succession.doubt()
            self._complaints.say("daemon-waits", str(error), now, again_in_seconds=MINUTE.total_seconds())
        except ConnectorError as error:
            until, problem = self._hold_back(), str(error)
            self.exit_code = max(self.exit_code, error.exit_code)
            self._complaints.say("daemon-step", str(error), now)
        except Exception as error:  # noqa: BLE001 - a fault of ours: said, and everything else goes on
            until, problem = self._hold_back(), type(error).__name__
            self.exit_code = max(self.exit_code, ConnectorError.exit_code)
            _log.exception("daemon-step")
        works = self._succession.claim is not None
        self.state = State(works, "", self.clock(), problem)
        return until

    def _stepped(self, now: datetime) -> datetime:
        self._ground.look()
        if not self._succession.holds(now):
            return now + STAND_BY
        claim = self._claim
        page = self._diary.page()
        if page.begun is not None and not self._telling:
            self._go_on_after(claim, page.begun)
            page = self._diary.page()
        duty = self._duty(page, now)
        if not isinstance(duty, Nothing):
            self._do(claim, duty, now)
        self._see_to_errands()
        return duty.until if isinstance(duty, Nothing) else self.clock()

    def _duty(self, page: Page, now: datetime) -> Next:
        """Say what is due, unless the last try was kept from its end a moment ago."""
        known, schedule = page.known, self.schedule
        if known.nights is None:
            # Whoever has just installed it has looked at nothing yet: the first night is the next one.
            self._diary.first_page(self._claim, schedule.begun(now))
            return Nothing(now)
        if self._held_until is not None and now < self._held_until <= now + MINUTE:
            return Nothing(self._held_until)
        if known.asked is None:
            known = replace(known, asked=self._arrived(page, now))
        if self._cut_short and not self.connector.live.was_put_back:
            self._cut_short = False
            if begun_already := self.connector.journal.open_legs() or self.connector.journal.open_changes():
                _log.info("daemon-goes-on", open=len(begun_already))
                return Retry()  # at once: people stand half closed
        daemon = self.connector.config.daemon
        retry = timedelta(minutes=daemon.retry_minutes)
        work = open_work(self.connector, retry, now)
        patience = Patience(retry, timedelta(minutes=daemon.trigger_minutes), work.pause)
        return next_duty(schedule, known, work.since, now, patience)

    def _arrived(self, page: Page, now: datetime) -> Asked | None:
        """Give the run that a file which arrived in a watched folder asks for."""
        if not self._folders.paths:
            return None
        if page.files is None:
            self._diary.watched(self._claim, self._folders.listing())
            return None
        news = self._folders.news(page.files, now)
        return Asked(f"file {news[0]}", news[1]) if news else None

    def _hold_back(self) -> datetime:
        self._held_until = self.clock() + MINUTE
        return self._held_until

    @property
    def _claim(self) -> Claim:
        if self._succession.claim is None:
            raise RunInProgress("Another daemon works for this school.", "This one stands by.")
        return self._succession.claim

    @property
    def _look_seconds(self) -> float:
        daemon = self.connector.config.daemon
        return min(_LOOK_SECONDS, daemon.lease_seconds / 3, STAND_BY.total_seconds() if not self.state.works else 60.0)

    # --- one run ----------------------------------------------------------------------------------------------------

    def _do(self, claim: Claim, duty: RunNight | RunAsked | Retry, now: datetime) -> None:
        begun = begun_by(duty, now)
        self._telling = False
        files = self._folders.listing() if self._folders.paths else None
        self._diary.begins(claim, begun)
        self.state = State(works=True, doing=begun.cause, stepped_at=now)
        _log.info("run-due", cause=begun.cause)
        try:
            ran = self._ran(begun)
        except (RunInProgress, StoppedEarly):
            with contextlib.suppress(ConnectorError):
                self._diary.heard(claim)
            raise
        if ran.result is None:
            self._diary.went_wrong(claim, begun, ran.ended_at)
        else:
            self._diary.went_well(claim, begun, ran.ended_at, drove=ran.result.result != REPORTED)
            if files is not None and begun.cause != RETRY:
                self._diary.watched(claim, files)
        self._tell_of(ran)

    def _ran(self, begun: Begun) -> Ran:
        """Run, and give what came of it. Raises RunInProgress and StoppedEarly: then nothing has come to its end."""
        error: ConnectorError
        try:
            result = self._result(begun)
        except (RunInProgress, StoppedEarly):
            raise
        except ConnectorError as problem:
            error = problem
            _log.warning("run-failed", cause=begun.cause, problem=str(error))
        except Exception as problem:  # noqa: BLE001 - a fault of ours is told like any other
            what = f"The run failed in a way nobody foresaw ({type(problem).__name__})."
            error = ConnectorError(what, "Please report it, with the daemon's log.")
            _log.exception("run-failed", cause=begun.cause)
        else:
            self.exit_code = max(self.exit_code, result.exit_code)
            _log.info("run-ended", run_id=str(result.run_id), cause=begun.cause, **_said(result))
            return Ran(begun.cause, begun.at, self.clock(), result)
        finally:
            self._let_go()
        self.exit_code = max(self.exit_code, error.exit_code)
        return Ran(begun.cause, begun.at, self.clock(), None, error)

    def _let_go(self) -> None:
        """Disconnect: a night later every connection would be stale, and a password may be another by then."""
        try:
            self.connector.targets.disconnect()
        except Exception:  # noqa: BLE001 - whoever cannot hang up changes nothing about the run that has ended
            _log.exception("disconnect")

    def _result(self, begun: Begun) -> RunResult:
        attendance = Attendance(self._succession.owner, self._check, self._sleep)
        as_of = self.schedule.day(self.clock())
        if begun.cause == RETRY:
            return self.connector.retry(as_of, attendance)
        # Two files ten minutes apart are no two nights: only nights confirm that somebody is ready to be closed.
        return self.connector.nightly(as_of, attendance, counts=begun.night is not None)

    def _check(self) -> None:
        self.heart.mark()
        self.stopping.check()
        self._ground.look()
        self._succession.keep(self.clock())

    def _sleep(self, seconds: float) -> None:
        """Wait in parts that are shorter than the claim lives."""
        left, part = seconds, self.connector.config.daemon.lease_seconds / 4
        while left > 0:
            (self.wait or self.stopping.wait)(min(left, part))
            left -= part
            self._check()

    # --- who is told ------------------------------------------------------------------------------------------------

    def _go_on_after(self, claim: Claim, begun: Begun) -> None:
        """Go on where a daemon was cut short: what came to its end is not run again, and told as far as is known."""
        run = self._diary.came_to(begun)
        if run is None or run.ended_at is None:
            self._diary.heard(claim)
            self._cut_short = True
            return
        self._diary.went_well(claim, begun, run.ended_at, drove=run.result != REPORTED)
        error = ConnectorError(
            f"Run {run.run_id} ended ({run.result}), and the daemon was cut short before it could tell of it.",
            f"connector report --run {run.run_id}",
        )
        self._tell_of(Ran(begun.cause, begun.at, run.ended_at, None, error))

    def _tell_of(self, ran: Ran) -> None:
        self._telling, self._asked_at = True, None
        self._untold += [(errand, ran) for errand in self._errands]

    def _see_to_errands(self) -> None:
        """Tell every errand of what ran, and ask it once a minute; one that fails is said and asked again."""
        now = self.clock()
        if self._asked_at is not None and self._asked_at <= now < self._asked_at + MINUTE:
            return
        scene, self._asked_at = Scene(self.connector, self._claim, now), now
        late = now - _TOLD_WITHIN
        self._untold = [
            (errand, ran)
            for errand, ran in self._untold
            if not self._asked(errand, partial(errand.after, scene, ran)) and ran.ended_at > late
        ]
        if self._telling and not self._untold:
            self._diary.heard(scene.claim)
            self._telling = False
        for errand in self._errands:
            self._asked(errand, partial(errand.every_minute, scene))

    def _asked(self, errand: Errand, ask: Callable[[], None]) -> bool:
        self.heart.mark()
        try:
            ask()
        except StoppedEarly:
            return False
        except ConnectorError as error:
            _log.warning("errand", errand=type(errand).__name__, problem=str(error))
            return False
        except Exception:  # noqa: BLE001 - a fault of ours: said, and every other errand has its turn
            _log.exception("errand", errand=type(errand).__name__)
            return False
        return True


def _said(result: RunResult) -> dict[str, Any]:
    """Give what is logged of a run: numbers only, the names stand in its report."""
    numbers = {"closed": len(result.applied), "added": len(result.added), "open_legs": len(result.open_legs)}
    return {"result": result.result, "exit_code": result.exit_code, "resumed": result.resumed, **numbers}
