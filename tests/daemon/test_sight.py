"""What `check` and `status` say of the daemon: whether one works, where, and whether its nights come."""

import os
from datetime import UTC, datetime
from pathlib import Path

from connector.daemon.sight import KEY, Worker, finding, worker_of
from connector.model import Finding, Level
from connector.reconcile.journal_gauges import standing
from tests.daemon.test_loop import harbour
from tests.daemon.world import Harbour


def seen(one: Harbour) -> Finding | None:
    return finding(one.config(), standing(one.journal.store, KEY), one.clock())


def test_of_a_daemon_that_never_was_nothing_is_said(tmp_path: Path) -> None:
    assert seen(harbour(tmp_path)) is None


def test_it_says_where_one_works_and_when_the_nights_are(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    daemon = one.daemon()
    daemon._succession.worker = Worker("attic", 41, one.clock(), once=False).text()
    daemon.step()

    said = seen(one)

    assert said is not None
    assert (said.level, said.subject) == (Level.OK, "daemon")
    assert "One works on attic (process 41), since 2026-11-18 13:00 CET." in said.message
    assert "2026-11-18 was the last, 2026-11-19 02:30 CET is the next" in said.message


def test_a_daemon_that_is_gone_is_a_warning_and_one_that_cron_starts_is_not(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    one.daemon().once()
    by_cron = seen(one)
    daemon = one.daemon()
    daemon._succession.worker = Worker.here(one.clock(), once=False).text()
    daemon.step()
    daemon.close()

    gone = seen(one)

    assert by_cron is not None
    assert by_cron.level is Level.OK
    assert gone is not None
    assert gone.level is Level.WARNING
    assert "None works just now" in gone.message


def test_a_night_that_did_not_come_is_a_warning_whoever_works(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    one.daemon().once()
    one.clock.on(days=1)

    late = seen(one)

    assert late is not None
    assert late.level is Level.WARNING
    assert "none came to its end for 2026-11-19" in late.message


def test_a_config_that_is_newer_than_the_daemon_is_a_warning(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    daemon = one.daemon()
    daemon._succession.worker = Worker.here(one.clock(), once=False).text()
    daemon.step()
    (tmp_path / "config.toml").write_text("changed")
    os.utime(tmp_path / "config.toml", (one.clock().timestamp() + 60,) * 2)

    said = seen(one)

    assert said is not None
    assert (said.level, said.remedy) == (Level.WARNING, "Start the daemon anew.")


def test_a_night_of_a_clock_that_was_ahead_hides_no_night_that_did_not_come(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    one.daemon().once()
    one.clock.on(days=365)
    one.daemon().once()
    one.clock.on(days=-363)

    said = seen(one)

    assert said is not None
    assert said.level is Level.WARNING
    assert "none came to its end for 2026-11-20" in said.message


def test_who_worked_is_read_as_it_was_written_and_nothing_else_is() -> None:
    worker = Worker("attic", 41, datetime(2026, 11, 18, tzinfo=UTC), once=True)

    assert worker_of(worker.text()) == worker
    assert [worker_of(text) for text in ("", "[]", "{}", '{"host": 1, "process": "x"}')] == [None] * 4
