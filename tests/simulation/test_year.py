"""A year of a school, by the real daemon on a virtual clock: at its end everything is exactly as the rules say.

The years are played by `tools.simulate_year`, in an interpreter of their own, so that what fails here fails there under
the same seed. What was in them is printed at the end of the test session.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.history import memory_folder
from tests.simulation.year import Options, play
from tests.simulation.year_broken import YEAR_BROKEN, breaking_the_year

pytestmark = pytest.mark.long

WHOLE = ["--seed", "7"]
SMALL = ["--seed", "8", "--days", "130", "--families", "80", "--staff", "20"]
BROKEN = Options(days=90, families=40, staff=12)
"""The years in which a broken connector is to be found out."""
SEEDS = (1, 2, 3)


def _played(arguments: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tools.simulate_year", "--json", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """Play a whole year."""
    return _played(WHOLE)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder for a journal, in memory."""
    with memory_folder() as folder:
        yield folder


@pytest.mark.timeout(600)
def test_a_year_ends_exactly_as_the_rules_say(
    whole: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    record_property("said", f"simulated {whole['sentence']}")

    assert not whole["broken"], "\n".join([*whole["broken"], whole["replay"]])
    assert whole["nights"] > 365


@pytest.mark.timeout(600)
def test_a_smaller_year_of_another_school_does_too(record_property: Callable[[str, object], None]) -> None:
    small = _played(SMALL)

    record_property("said", f"simulated {small['sentence']}")
    assert not small["broken"], "\n".join([*small["broken"], small["replay"]])


@pytest.mark.timeout(600)
def test_the_accident_is_stopped_and_its_cause_named(whole: dict[str, Any]) -> None:
    first = whole["accident_named"][0]

    assert whole["counts"]["accidents"] == 1
    assert first.startswith("rule-changed:Stepmother: ")
    assert "share contact type Stepmother, flag yes→no since " in first
    assert first.endswith("Nothing was closed.")


HAPPENINGS = (
    "accounts disabled",
    "members closed",
    "members added",
    "sessions ended",
    "people restored",
    "holds released",
    "plans approved",
    "stopped plans left alone",
    "court orders",
    "urgent terminations",
    "outages",
    "outages in the middle of a run",
    "readings broken off",
    "wrong exports",
    "admin system down",
    "killed in a run",
    "nights the machine was off",
    "heard of caught-up",
    "heard of retry",
    "rollover complete",
    "runs reported",
    "runs applied",
    "runs urgent-only",
    "runs stopped",
    "hold policy",
    "hold possible-successor",
    "hold still-has-children",
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", HAPPENINGS)
def test_everything_happened(whole: dict[str, Any], what: str) -> None:
    assert whole["counts"].get(what, 0) > 0


def test_a_seed_tells_the_same_story_again(folder: Path) -> None:
    options = Options(days=48, families=20, staff=6)

    first, second = play(5, folder, options), play(5, folder, options)

    assert first.story == second.story
    assert len(first.story) > 100


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(YEAR_BROKEN))
def test_a_connector_that_breaks_a_rule_is_caught(folder: Path, name: str) -> None:
    with breaking_the_year(name):
        caught = next((seed for seed in SEEDS if play(seed, folder, BROKEN, until_broken=True).broken), None)

    assert caught is not None


@pytest.mark.timeout(300)
def test_the_years_in_which_they_are_caught_are_sound(folder: Path) -> None:
    assert not play(SEEDS[0], folder, BROKEN).broken
