"""One daemon at a time: the second stands by, and takes over from one that is gone, frozen or stuck."""

import time
from datetime import date, timedelta
from pathlib import Path

import pytest

from connector.daemon.loop import Daemon
from connector.daemon.notifying import WATCHDOG
from connector.daemon.succession import Heart, Succession
from connector.reconcile.boundaries import Boundary
from tests.daemon.test_loop import _NIGHT, harbour, leaves
from tests.daemon.world import Harbour


def test_the_second_stands_by_and_takes_over_within_a_minute_of_the_firsts_last_sign(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    first, second = one.daemon(), one.daemon()
    first.step()
    second.step()
    standing_by = second.state.works
    seconds = 0
    while not second.state.works and seconds < 120:
        one.clock.on(seconds=5)
        seconds += 5
        second.step()

    assert not standing_by
    assert 30 <= seconds <= 60
    first.step()
    assert not first.state.works


def test_a_daemon_that_ends_gives_its_place_at_once(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    first, second = one.daemon(), one.daemon()
    first.step()
    first.close()

    second.step()

    assert second.state.works


def test_where_the_clock_was_set_back_days_nobody_waits_for_the_claims_of_one_that_died_before(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    leaves(one, "ok0")
    one.clock.on(days=5)
    first = one.daemon()
    first.step()
    begun = one.journal.begin_run("run", "somebody@host", date(2026, 11, 23), {}, 120, first._succession.owner)
    one.journal.claim_for(begun, ["ok0"], 120)
    one.clock.on(days=-5)  # it died, with everything in its hands, before the clock was set right

    second = one.daemon()
    second.step()
    works = second.state.works
    one.goes_on(second, days=1)

    assert works
    assert one.nights.is_closed("ok0")
    assert set(one.runs("run")) == {"applied"}


class TakenOver:
    """At one boundary of the first daemon's run it is frozen, and the other one takes over and does the night."""

    def __init__(self, one: Harbour, other: Daemon, at: Boundary) -> None:
        self.one, self.other, self.at = one, other, at
        self.done = False

    def __call__(self, boundary: Boundary) -> None:
        if boundary is self.at and not self.done:
            self.done = True
            self.one.clock.on(seconds=40)
            for _ in range(3):
                self.other.step()


def test_one_that_was_frozen_in_its_run_sends_nothing_more_and_stands_by_under_a_new_name(tmp_path: Path) -> None:
    one = harbour(tmp_path, families=8)
    leaves(one, "ok0", "ok1")
    first, second = one.daemon(), one.daemon()
    first.step()
    one.clock.now = _NIGHT
    first.connector.reached = TakenOver(one, second, Boundary.BEFORE_CREDENTIAL)
    owner = first._succession.owner

    first.step()
    writes = list(one.nights.engage.trouble.writes)
    first.step()

    assert second.state.works
    assert not first.state.works
    assert first._succession.owner != owner
    assert len([w for w in writes if w.startswith("close")]) == 1  # the second's alone
    assert one.nights.is_closed("ok0")
    assert one.nights.is_closed("ok1")
    assert sorted(one.runs("run")) == ["applied", "interrupted"]
    assert one.journal.verify_audit().ok


def test_a_settle_time_that_is_longer_than_the_claim_loses_nothing(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    leaves(one, "ok0")

    one.goes_on(one.daemon(), days=1)

    assert sum(one.clock.waits) >= 60
    assert max(one.clock.waits) < one.settings.lease_seconds / 3
    assert one.runs("run") == ["applied"]


def test_a_heart_beats_while_the_main_thread_works_and_stops_where_that_is_stuck(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    told: list[str] = []
    succession = Succession(one.journal, 0.3)
    assert succession.holds(one.clock.now)
    heart = Heart(succession, told.append, stuck_seconds=0.5)

    with heart.beating():
        until = time.monotonic() + 5
        while not told and time.monotonic() < until:
            heart.mark()
            time.sleep(0.02)
        beaten = len(told)
        time.sleep(0.8)
        stuck = len(told)
        time.sleep(0.4)

    assert beaten
    assert set(told) == {WATCHDOG}
    assert len(told) == stuck


def test_a_fault_of_ours_stops_no_heart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    succession = Succession(harbour(tmp_path).journal, 0.06)
    monkeypatch.setattr(Succession, "sign_of_life", lambda _: 1 / 0)

    with Heart(succession, told.append).beating():
        until = time.monotonic() + 5
        while len(told) < 2 and time.monotonic() < until:
            time.sleep(0.01)

    assert len(told) >= 2


def test_who_lost_the_claim_takes_it_back_when_nobody_else_wants_it(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    daemon = one.daemon()
    daemon.step()
    one.clock.now += timedelta(hours=6)

    daemon.step()

    assert daemon.state.works
