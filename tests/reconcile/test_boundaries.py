"""Every boundary between a journal write and an effect has a name, is passed, and a crash there loses nothing."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.reconcile.boundaries import CRASH_AT, Boundary, from_environment, unwatched
from connector.reconcile.running import RunResult
from tests.reconcile.build import ASSOCIATION, TODAY, TOMORROW, school
from tests.reconcile.journal_builders import execute
from tests.reconcile.nights import Nights, settled

_DIES = """
from connector.reconcile.boundaries import Boundary, from_environment
reached = from_environment()
for number in (1, 2, 3):
    print(number, flush=True)
    reached(Boundary.SWEPT)
    reached(Boundary.DIRECTORY_SENT)
"""


class Crash(BaseException):
    """The process ends here, as far as the code under test can tell."""


class Crashing:
    """A hook that counts what is passed and crashes at the first passage of one boundary."""

    def __init__(self, at: Boundary | None = None) -> None:
        self.at, self.passed = at, Counter[Boundary]()

    def __call__(self, boundary: Boundary) -> None:
        self.passed[boundary] += 1
        if boundary is self.at:
            raise Crash(boundary)


def busy_school(folder: Path) -> Nights:
    """Give a school in whose next night everything happens that can happen in one.

    `ok0` was closed last night, and a session came back; a door of `ok1` stayed open then, who is entitled again;
    `ok2` leaves; `ok3` is to be added to another portal.
    """
    nights = settled(folder, school().families(6).portal(ASSOCIATION))
    nights.school.leave("ok0").leave("ok1")
    nights.ad.trouble.lost_before = {nights.account("ok1").guid}
    nights.run()
    nights.ad.trouble.lost_before = set()
    nights.school.leave("ok1", TOMORROW).session("ok0").leave("ok2").role("ok3", "Parent")
    return nights


def run(nights: Nights, reached: Crashing) -> RunResult:
    running = nights.running()
    running.reached = reached
    return running.run(TODAY)


def test_a_run_passes_every_boundary_that_has_a_name(tmp_path: Path) -> None:
    nights, reached = busy_school(tmp_path), Crashing()

    result = run(nights, reached)

    assert set(Boundary) - reached.passed.keys() == set()
    assert (result.reswept, len(result.called_off), result.exit_code) == (1, 2, 0)
    assert [r.key for r in result.applied] == ["ok2"]
    assert [a.person_id for a in result.added] == ["ok3"]


@pytest.mark.parametrize("boundary", Boundary)
def test_what_a_crash_at_a_boundary_leaves_is_finished_by_the_next_run(tmp_path: Path, boundary: Boundary) -> None:
    nights = busy_school(tmp_path)
    with pytest.raises(Crash):
        run(nights, Crashing(boundary))
    # Of a process that is gone nobody ends the run: its lease and claims end by database time.
    execute(nights.journal, "UPDATE leases SET expires_at = '2020-01-01 00:00:00.000000'")
    execute(nights.journal, "UPDATE claims SET expires_at = '2020-01-01 00:00:00.000000'")

    nights.run()

    assert (nights.is_closed("ok0"), nights.is_closed("ok2")) == (True, True)
    assert all(nights.is_open(f"ok{number}") for number in (3, 4, 5))
    assert nights.member("ok3", "association") is not None
    assert nights.account("ok1").enabled
    assert not nights.journal.open_legs()
    assert not nights.journal.open_changes()
    assert nights.journal.verify_audit().ok


@pytest.mark.parametrize(("wanted", "passages"), [("swept", "1"), ("swept:3", "123"), ("directory-sent:2", "12")])
def test_the_hook_of_the_environment_kills_the_process_at_the_nth_passage(wanted: str, passages: str) -> None:
    environment = {**os.environ, CRASH_AT: wanted}
    died = subprocess.run([sys.executable, "-c", _DIES], env=environment, capture_output=True, text=True, check=False)

    assert died.returncode == -signal.SIGKILL
    assert died.stdout.split() == list(passages)


@pytest.mark.parametrize("wanted", ["nowhere", "swept:0", "swept:-1", "swept:x", ":2"])
def test_a_crash_test_that_could_never_crash_is_refused(wanted: str) -> None:
    with pytest.raises(ConfigError, match="names no boundary"):
        from_environment({CRASH_AT: wanted})


def test_without_the_variable_nobody_is_told() -> None:
    assert from_environment({}) is unwatched
