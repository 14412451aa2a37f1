"""Succeeding somebody who is gone: what they had claimed is free at once, and they never write again."""

import time

import pytest

from connector.errors import RunInProgress
from connector.reconcile.journal import Journal
from tests.reconcile.build import TODAY


def test_whoever_succeeds_a_gone_holder_ends_every_claim_of_that_one(journal: Journal) -> None:
    journal.succeed("driver", "first", 0.01)
    journal.claim("P1", "first", 60)
    time.sleep(0.05)

    journal.succeed("driver", "second", 60)

    assert journal.claim("P1", "second", 60).owner == "second"
    with pytest.raises(RunInProgress):
        journal.succeed("driver", "third", 60)


def test_whoever_succeeds_a_gone_holder_ends_its_run_too(journal: Journal) -> None:
    journal.succeed("daemon", "first", 0.01)
    run = journal.begin_run("run", "alice", TODAY, {}, 60, "first")
    time.sleep(0.05)

    journal.succeed("daemon", "second", 60)

    assert journal.begin_run("run", "alice", TODAY, {}, 60, "second").epoch == run.epoch + 1
    with pytest.raises(RunInProgress, match="taken over"):
        journal.end_run(run, "applied", 0)


def test_whoever_succeeds_a_gone_holder_leaves_the_runs_of_others_alone(journal: Journal) -> None:
    journal.succeed("daemon", "first", 0.01)
    run = journal.begin_run("run", "alice", TODAY, {}, 60)
    time.sleep(0.05)

    journal.succeed("daemon", "second", 60)

    journal.end_run(run, "applied", 0)
