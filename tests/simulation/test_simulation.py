"""Thousands of histories of a simulated school, with the real journal: after each of them every promise holds.

They are played by `tools.simulate`, in interpreters of their own, so that what fails here fails there under the same
seed. The number is printed at the end of the test session.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest

from connector.reconcile.boundaries import Boundary
from tests.simulation.broken import BROKEN, TOPIC_OF, breaking
from tests.simulation.history import PLAIN, TOPICS, Stage, memory_folder, play, seeds_about
from tools.simulate import replay_line

pytestmark = pytest.mark.long

HISTORIES = 5000
"""How many are played for every change, whatever the machine; `make simulate N=…` plays as many as wanted."""
SECONDS = 150
"""For how long more are played, where the machine is quicker."""
PROCESSES = 2
ENOUGH_TO_BE_CAUGHT = 400


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    """Play the histories once."""
    command = [sys.executable, "-m", "tools.simulate", "--json"]
    command += ["--histories", str(HISTORIES), "--seconds", str(SECONDS), "--processes", str(PROCESSES)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(1200)
def test_every_promise_holds_in_every_history(
    figures: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    record_property("said", f"simulation: {figures['sentence']}")
    failed = [f"{what[0]}\n    {replay_line(int(seed))}" for seed, what in figures["failed"].items()]

    assert not failed, "\n".join(failed)
    assert figures["histories"] >= HISTORIES


@pytest.mark.timeout(1200)
def test_every_named_boundary_was_crashed_at(figures: dict[str, Any]) -> None:
    crashed_at = {name.partition(":")[2] for name in figures["counts"] if name.startswith("boundary:")}

    assert crashed_at == {boundary.value for boundary in Boundary}


FAULTS = (
    "crash",
    "time-out before",
    "time-out after",
    "target down",
    "target down in a batch",
    "reading broke off",
    "session came back",
    "session came back late",
    "two at once",
    "paused",
    "late request",
    "journal refused",
)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_was_met(figures: dict[str, Any], fault: str) -> None:
    assert figures["counts"].get(f"fault:{fault}", 0) > 0


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "effect",
    [
        "directory closed by close",
        "directory opened by open",
        "credential opened by open",
        "credential opened by change",
        "credential closed by change",
    ],
)
def test_effects_were_judged_in_both_directions(figures: dict[str, Any], effect: str) -> None:
    assert figures["counts"].get(f"effect:{effect}", 0) > HISTORIES / 500


ACTS = frozenset(
    {"night", "resume", "revoke", "terminate", "countersign", "restore", "restore-run", "block", "unblock", "abandon"}
    | {"keep", "unkeep", "release", "make_plan", "approve", "run_plan"}
    | {"disable-mismatched", "remove-mismatched", "remove-disabled"}
    | {"add-member", "enable-member", "disable-member", "remove-member"}
)


@pytest.mark.timeout(1200)
def test_everything_was_asked_for(figures: dict[str, Any]) -> None:
    asked = {name.partition(":")[2] for name in figures["counts"] if name.startswith("act:")}

    assert asked >= ACTS


@pytest.mark.timeout(1200)
def test_every_topic_was_played(figures: dict[str, Any]) -> None:
    topics = {name.partition(":")[2] for name in figures["counts"] if name.startswith("topic:")}

    assert topics == {topic or PLAIN for topic in TOPICS}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("word", ["waived", "stored plan"])
def test_approved_and_stored_plans_were_applied(figures: dict[str, Any], word: str) -> None:
    assert figures["counts"].get(f"words:{word}", 0) > HISTORIES / 500


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Give a stage that the histories played here share."""
    with memory_folder() as folder:
        stage = Stage(folder)
        yield stage
        stage.close()


def test_a_seed_plays_the_same_history_again(stage: Stage) -> None:
    first, second = play(7, stage), play(7, stage)

    assert first.trace.lines == second.trace.lines


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_connector_that_breaks_a_promise_is_caught(stage: Stage, name: str) -> None:
    seeds = islice(seeds_about(TOPIC_OF.get(name, "")), ENOUGH_TO_BE_CAUGHT)
    with breaking(name):
        caught = next((seed for seed in seeds if play(seed, stage).broken), None)

    assert caught is not None
