"""Succeeding somebody who is gone: what they had claimed is free at once, and they never write again."""

import time

import pytest

from connector.errors import RunInProgress
from connector.reconcile.journal import Journal


def test_whoever_succeeds_a_gone_holder_ends_every_claim_of_that_one(journal: Journal) -> None:
    journal.succeed("driver", "first", 0.01)
    journal.claim("P1", "first", 60)
    time.sleep(0.05)

    journal.succeed("driver", "second", 60)

    assert journal.claim("P1", "second", 60).owner == "second"
    with pytest.raises(RunInProgress):
        journal.succeed("driver", "third", 60)
