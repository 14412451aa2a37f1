"""The daemon's loop by a clock of its own: nights, what failed, what is open, what arrives, and who is told."""

from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from connector.config import Weekday
from connector.daemon.errand import Scene
from connector.daemon.loop import Daemon
from connector.errors import JournalError, TargetUnreachable
from connector.model import LegState
from connector.reconcile.journal_values import Claim, Run
from tests.daemon.world import Harbour
from tests.reconcile.build import ASSOCIATION, school

_NIGHT = datetime(2026, 11, 19, 1, 30, tzinfo=UTC)
"""02:30 in Berlin, in the night after NOON."""


def harbour(folder: Path, families: int = 4, **settings: Any) -> Harbour:
    """Give a school whose first night was accepted; its daemon's first night is the one after noon."""
    return Harbour(folder, school().families(families).portal(ASSOCIATION), **settings).settled()


def leaves(one: Harbour, *people: str) -> None:
    for person in people:
        one.nights.school.leave(person, date(2026, 11, 17))


def down(one: Harbour, *, down: bool = True) -> None:
    one.nights.admin.trouble.down = down


# --- nights -----------------------------------------------------------------------------------------------------------


def test_a_brand_new_daemon_waits_for_its_first_night(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    daemon = one.daemon()

    one.goes_on(daemon, hours=13, minutes=29)
    before = one.runs()
    one.goes_on(daemon, minutes=1)
    daemon.step()

    assert before == []
    assert one.runs() == ["applied"]
    assert one.hearing.causes == ["night"]


def test_a_night_closes_who_has_left_and_tells_of_it(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    leaves(one, "ok0")

    one.goes_on(one.daemon(), days=1)

    assert one.nights.is_closed("ok0")
    assert one.nights.is_open("ok1")
    result = one.hearing.ran[0].result
    assert result is not None
    assert [row.key for row in result.applied] == ["ok0"]
    assert one.hearing.ran[0].ended_at > one.hearing.ran[0].started_at


def test_every_day_has_one_night(tmp_path: Path) -> None:
    one = harbour(tmp_path)

    one.goes_on(one.daemon(), days=10)

    assert one.hearing.causes == ["night"] * 10
    assert [r.as_of for r in reversed(one.journal.runs(10))] == [
        date(2026, 11, 19) + timedelta(days=n) for n in range(10)
    ]


def test_nights_that_were_missed_are_caught_up_once_as_of_today(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    one.goes_on(one.daemon(), days=1)
    one.clock.on(days=4, hours=3)

    one.goes_on(one.daemon(), hours=1)

    assert one.hearing.causes == ["night", "caught-up"]
    assert one.journal.runs()[0].as_of == date(2026, 11, 23)


def test_a_clock_that_leaps_forward_and_back_runs_no_day_twice(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    daemon = one.daemon()
    one.goes_on(daemon, days=1)
    here = one.clock.now
    one.clock.on(days=2)
    one.goes_on(daemon, minutes=5)
    one.clock.now = here

    one.goes_on(daemon, days=4)

    days = [r.as_of.day for r in reversed(one.journal.runs(20)) if r.operator == "daemon@host"]
    assert days == [19, 21, 20, 22, 23]
    assert one.hearing.causes == ["night", "caught-up", "night", "night", "night"]


def test_a_night_in_report_mode_decides_and_writes_nothing(tmp_path: Path) -> None:
    one = harbour(tmp_path, live=False)
    leaves(one, "ok0")
    before = one.nights.everything()

    one.goes_on(one.daemon(), days=1)

    assert one.hearing.results == ["reported"]
    assert one.nights.everything() == before


def test_on_a_day_without_applying_only_what_is_urgent_is_closed_and_nobody_is_added(tmp_path: Path) -> None:
    one = harbour(tmp_path, families=6)
    one.apply_days = (Weekday.MON,)
    one.nights.school.person("new").role("new", "Parent")
    leaves(one, "ok0")
    one.nights.journal.block("ok1", "alice@host", "ordered by the head", None)

    one.goes_on(one.daemon(), days=1)

    result = one.hearing.ran[0].result
    assert result is not None
    assert (result.result, result.exit_code, len(result.added)) == ("urgent-only", 2, 0)
    assert [row.key for row in result.applied] == ["ok1"]
    assert one.nights.is_closed("ok1")
    assert one.nights.is_open("ok0")


def test_what_waited_for_a_day_on_which_it_may_apply_is_closed_then(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    one.apply_days = (Weekday.MON,)
    leaves(one, "ok0")

    one.goes_on(one.daemon(), days=6)

    assert one.hearing.results == ["urgent-only"] * 4 + ["applied", "urgent-only"]
    assert one.nights.is_closed("ok0")


# --- what fails -------------------------------------------------------------------------------------------------------


def test_a_night_whose_source_is_away_is_told_and_tried_again_until_it_succeeds(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    down(one)
    daemon = one.daemon()
    one.goes_on(daemon, hours=13, minutes=45)

    down(one, down=False)
    one.goes_on(daemon, hours=2)

    assert one.hearing.results == ["error", "error", "applied"]
    assert isinstance(one.hearing.ran[0].error, TargetUnreachable)
    assert one.hearing.causes == ["night"] * 3


def test_a_night_that_never_succeeds_gives_way_to_the_next(tmp_path: Path) -> None:
    one = harbour(tmp_path, retry_minutes=240)
    down(one)
    daemon = one.daemon()
    one.goes_on(daemon, days=1)

    down(one, down=False)
    one.clock.now = _NIGHT + timedelta(days=1)
    one.goes_on(daemon, hours=1)

    assert one.hearing.results[-1] == "applied"
    assert one.journal.runs()[0].as_of == date(2026, 11, 20)
    assert one.hearing.results.count("applied") == 1


def test_a_fault_of_ours_is_told_and_ends_nothing(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    one.nights.admin.trouble.breaks_off = True
    daemon = one.daemon()
    one.nights.admin._people = lambda: 1 / 0  # type: ignore[assignment,return-value] # what nobody foresaw
    one.nights.admin.trouble.breaks_off = False

    one.goes_on(daemon, hours=14)

    assert one.hearing.results[0] == "error"
    assert "nobody foresaw (ZeroDivisionError)" in str(one.hearing.ran[0].error)


def test_a_system_that_cannot_hang_up_keeps_nobody_from_hearing_of_the_run(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    one.nights.ad.disconnect = _refuses  # type: ignore[method-assign] # a fault in an adapter

    one.goes_on(one.daemon(), days=1)

    assert one.hearing.results == ["applied"]


def _refuses() -> None:
    raise OSError("The connection is no connection.")


def test_somebody_elses_run_is_waited_for_a_minute_at_a_time(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    daemon = one.daemon()
    one.goes_on(daemon, hours=13, minutes=29)
    theirs: Run = one.journal.begin_run("run", "alice@host", date(2026, 11, 19), {}, 180)
    one.goes_on(daemon, minutes=2)
    before, problem = one.runs(), daemon.state.problem

    one.journal.end_run(one.journal.renew(theirs, 60), "applied", 0)
    one.goes_on(daemon, minutes=2)

    assert before == []
    assert f"Run {theirs.run_id} of alice@host" in problem
    assert one.runs() == ["applied"]
    assert one.hearing.results == ["applied"]


# --- what is open -----------------------------------------------------------------------------------------------------


def open_after_a_night(folder: Path, **settings: Any) -> tuple[Harbour, Daemon]:
    one = harbour(folder, **settings)
    leaves(one, "ok0")
    one.nights.ad.trouble.lost_before = {one.nights.account("ok0").guid}
    daemon = one.daemon()
    one.goes_on(daemon, hours=13, minutes=36)
    assert one.nights.open_states()["ok0", "ad"] is LegState.UNREACHABLE
    return one, daemon


def test_what_stays_open_is_driven_again_every_few_minutes_until_it_is_closed(tmp_path: Path) -> None:
    one, daemon = open_after_a_night(tmp_path)
    one.goes_on(daemon, minutes=25)
    tries = len(one.runs("retry"))

    one.nights.ad.trouble.lost_before = set()
    one.goes_on(daemon, hours=3)

    assert tries == 2
    assert one.nights.is_closed("ok0")
    assert one.journal.open_legs() == ()
    assert len(one.runs("retry")) == 3
    assert one.hearing.causes == ["night"] + ["retry"] * 3


def test_what_somebody_asked_for_by_name_is_driven_in_report_mode_too(tmp_path: Path) -> None:
    one = harbour(tmp_path, live=False)
    one.nights.ad.trouble.lost_before = {one.nights.account("ok0").guid}
    connector = one.connector(settle_seconds=0)
    judgement = connector.look(date(2026, 11, 18))
    row = connector.revocation_of(judgement, connector.one(judgement, "ok0"), "asked for")
    assert row is not None
    assert connector.revoke(row, "asked for", date(2026, 11, 18))
    one.nights.ad.trouble.lost_before = set()

    one.goes_on(one.daemon(), minutes=30)

    assert one.runs("retry") == ["resumed"]
    assert one.nights.is_closed("ok0")


def test_a_retry_that_fails_is_tried_again_not_at_once(tmp_path: Path) -> None:
    one, daemon = open_after_a_night(tmp_path)
    down(one)

    one.goes_on(daemon, minutes=25)

    assert one.hearing.results == ["applied", "error", "error", "error"]


def test_what_was_intended_before_the_clock_was_set_back_waits_for_no_other_day(tmp_path: Path) -> None:
    one, daemon = open_after_a_night(tmp_path)
    one.nights.ad.trouble.lost_before = set()
    one.clock.on(hours=-10)

    one.goes_on(daemon, minutes=1)

    assert one.hearing.causes[-1] == "retry"
    assert one.nights.is_closed("ok0")


# --- what is asked for ------------------------------------------------------------------------------------------------


def test_a_run_that_is_asked_for_is_begun_at_once_and_several_are_one(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    daemon = one.daemon()
    one.goes_on(daemon, minutes=1)

    assert daemon.ask("webhook")
    assert daemon.ask("webhook")
    one.goes_on(daemon, minutes=1)

    assert one.hearing.causes == ["webhook"]


def test_two_runs_that_were_asked_for_are_some_minutes_apart_also_after_a_restart(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    first = one.daemon()
    one.goes_on(first, minutes=1)
    first.ask("webhook")
    one.goes_on(first, minutes=2)
    first.ask("webhook")
    first.close()

    second = one.daemon()
    one.goes_on(second, minutes=12)
    early = list(one.hearing.causes)
    one.goes_on(second, minutes=3)

    assert early == ["webhook"]
    assert one.hearing.causes == ["webhook"] * 2


def test_runs_that_events_cause_confirm_nobody(tmp_path: Path) -> None:
    one = Harbour(tmp_path, school().families(4).rules(confirm_runs=2)).settled()
    leaves(one, "ok0")
    daemon = one.daemon()
    one.goes_on(daemon, minutes=1)
    for _ in range(4):
        daemon.ask("webhook")
        one.goes_on(daemon, minutes=16)
    still_open = one.nights.is_open("ok0")

    one.goes_on(daemon, days=2)

    assert still_open
    assert one.nights.is_closed("ok0")


def test_what_was_asked_for_before_the_clock_was_set_back_is_run_once(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    daemon = one.daemon()
    one.goes_on(daemon, minutes=1)
    daemon.ask("webhook")
    one.clock.on(hours=-8)

    one.goes_on(daemon, hours=2)

    assert one.hearing.causes == ["webhook"]


def test_a_night_answers_what_was_asked_for_before_it(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    daemon = one.daemon()
    one.goes_on(daemon, minutes=1)
    daemon.ask("webhook")
    one.clock.now = _NIGHT

    one.goes_on(daemon, hours=1)

    assert one.hearing.causes == ["night"]


def test_one_that_stands_by_takes_no_orders(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    working, other = one.daemon(), one.daemon()
    working.step()
    other.step()

    assert not other.ask("webhook")
    assert not other.state.works


# --- who is told ------------------------------------------------------------------------------------------------------


def test_errands_are_asked_every_minute(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    daemon = one.daemon()

    for _ in range(60):
        daemon.step()
        one.clock.on(seconds=10)

    assert one.hearing.minutes == 10


def test_an_errand_that_fails_is_told_again_the_next_minute_and_keeps_nobody_else_from_his_turn(tmp_path: Path) -> None:
    class Broken:
        def after(self, scene: Scene, ran: object) -> None:
            raise RuntimeError(f"{scene} {ran}")

        def every_minute(self, scene: Scene) -> None:
            raise RuntimeError(str(scene))

    one = harbour(tmp_path)
    one.hearing.fails = 2
    daemon = one.daemon(errands=lambda _: (Broken(), one.hearing))
    daemon.step()
    one.clock.now = _NIGHT

    for _ in range(5):
        daemon.step()
        one.clock.on(minutes=1)

    assert one.hearing.causes == ["night"]
    assert one.runs() == ["applied"]


def test_a_daemon_that_died_after_its_night_ended_tells_of_it_and_runs_it_no_second_time(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    first = one.daemon()
    first.step()
    one.clock.now = _NIGHT
    first._diary.went_well = _dies  # type: ignore[method-assign] # as a kill between the run's end and this
    with pytest.raises(KeyboardInterrupt):
        first.step()
    one.clock.on(minutes=2)

    one.goes_on(one.daemon(), hours=2)

    assert one.runs() == ["applied"]
    assert one.hearing.causes == ["night"]
    assert "connector report --run" in str(one.hearing.ran[0].error)


def _dies(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_daemon_that_died_in_its_night_runs_it_again(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    leaves(one, "ok0")
    first = one.daemon()
    first.step()
    one.clock.now = _NIGHT
    one.nights.engage.trouble.raises = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        first.step()
    one.clock.on(minutes=2)

    one.goes_on(one.daemon(), hours=2)

    assert one.runs("run")[-1] == "applied"
    assert one.nights.is_closed("ok0")
    assert one.journal.verify_audit().ok


def test_once_does_what_is_due_and_ends(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    one.daemon().once()
    leaves(one, "ok0")
    one.clock.now = _NIGHT + timedelta(hours=5)

    code = one.daemon().once()

    assert code == 0
    assert one.hearing.causes == ["caught-up"]
    assert one.nights.is_closed("ok0")


def test_once_leaves_the_school_to_a_daemon_that_works(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    one.daemon().step()
    one.clock.on(seconds=10)

    code = one.daemon().once()

    assert (code, one.runs()) == (0, [])


def test_once_says_by_its_exit_code_that_it_could_not_even_look(
    tmp_path: Path, logged: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = harbour(tmp_path)
    daemon = one.daemon()
    monkeypatch.setattr(daemon.connector.journal, "succeed", _away)

    code = daemon.once()

    assert code == 1
    assert "daemon-stands-by" not in logged.getvalue()


def _away(*_: object) -> Claim:
    raise JournalError("The journal could not be read: no answer.", "Look at it.")
