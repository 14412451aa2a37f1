"""One run at a time, one applier per identity, and nothing written by whoever lost its lease."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from connector.errors import RunInProgress
from connector.model import LegState, Outcome
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import ChangeKind, MembershipChange, Run
from tests.reconcile.conftest import OpenJournal
from tests.reconcile.journal_builders import KEY, TODAY, begin, execute, intend, plan, revocation
from tests.waiting import wait_for

_BEGINS = """
import sys
from connector.errors import RunInProgress
from connector.reconcile.journal import Journal
from tests.reconcile.journal_builders import begin
sys.stdin.readline()
journal = Journal.open(sys.argv[1], audit_key=bytes.fromhex(sys.argv[2]))
try:
    print("run", begin(journal).run_id)
except RunInProgress:
    print("refused")
journal.disconnect()
"""

LONG_AGO, LONG_AHEAD = "2020-01-01 00:00:00.000000", "2999-01-01 00:00:00.000000"


def test_a_second_run_is_refused_by_name_host_and_end(open_journal: OpenJournal) -> None:
    begin(open_journal(), operator="alice")

    with pytest.raises(RunInProgress, match=r"Run 1 of alice on \S+ is going since .* UTC and holds its lease until"):
        begin(open_journal(), operator="bob")


def test_a_run_that_ended_lets_the_next_begin_with_a_higher_epoch(journal: Journal) -> None:
    first = begin(journal)
    journal.end_run(first, "done", 0, {"revoked": 3}, "7f3a")

    second = begin(journal)

    assert (second.run_id, second.epoch) == (2, first.epoch + 1)
    ended = journal.runs()[1]
    assert (ended.result, ended.exit_code, ended.counts, ended.plan_id) == ("done", 0, {"revoked": 3}, "7f3a")
    assert (ended.fingerprints, ended.as_of, ended.ended_at is not None) == ({"csv": "f1"}, TODAY, True)


def test_a_run_whose_lease_ended_is_marked_interrupted_by_the_next(open_journal: OpenJournal) -> None:
    begin(open_journal(), ttl_seconds=0.05)
    time.sleep(0.1)

    begin(open_journal())

    assert [run.result for run in open_journal().runs()] == ["", "interrupted"]


def test_a_renewed_run_keeps_its_lease(open_journal: OpenJournal) -> None:
    journal = open_journal()
    begun = begin(journal, ttl_seconds=0.3)
    run = journal.renew(begun, ttl_seconds=60)
    wait_for(lambda: journal.now() > begun.expires_at)

    with pytest.raises(RunInProgress):
        begin(open_journal())
    journal.end_run(run, "done", 0)


WRITES: dict[str, Callable[[Journal, Run], object]] = {
    "renew": lambda journal, run: journal.renew(run),
    "end": lambda journal, run: journal.end_run(run, "done", 0),
    "snapshot": lambda journal, run: journal.keep_snapshot(run, TODAY, b"", {}, {}),
    "accept": lambda journal, run: journal.accept_snapshot(1, run),
    "plan": lambda journal, run: journal.keep_plan(plan(), run),
    "intend": intend,
    "record": lambda journal, run: journal.record([], run),
    "attempt": lambda journal, run: journal.attempt([], run),
    "observe": lambda journal, run: journal.observe(run, TODAY, {}, ()),
    "changes": lambda journal, run: journal.intend_changes(run, [MembershipChange(ChangeKind.ADD, "e", "p")], "alice"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_run_whose_lease_ended_writes_nothing(open_journal: OpenJournal, write: Callable[..., object]) -> None:
    journal = open_journal()
    run = begin(journal)
    execute(open_journal(), "UPDATE leases SET expires_at = :at", at=LONG_AGO)

    with pytest.raises(RunInProgress, match="lost its lease"):
        write(journal, run)
    assert journal.open_legs() == ()


def test_a_run_that_was_taken_over_writes_nothing_even_while_the_lease_lives(open_journal: OpenJournal) -> None:
    slow, quick = open_journal(), open_journal()
    first = begin(slow)
    legs = intend(slow, first)
    execute(quick, "UPDATE leases SET expires_at = :at", at=LONG_AGO)
    begin(quick, operator="bob")

    with pytest.raises(RunInProgress, match="Run 1 was taken over by run 2 of bob"):
        slow.record([(legs[0], Outcome(LegState.CLOSED))], first)
    assert {leg.state for leg in quick.open_legs()} == {LegState.INTENDED}


def test_a_claim_is_refused_while_another_lives_and_taken_over_when_it_ended(open_journal: OpenJournal) -> None:
    first, second = open_journal(), open_journal()
    claim = first.claim("p1", "batch", 60)

    with pytest.raises(RunInProgress, match="p1 is being changed by somebody else"):
        second.claim("p1", "terminate", 60)
    execute(second, "UPDATE claims SET expires_at = :at", at=LONG_AGO)
    taken = second.claim("p1", "terminate", 60)

    assert (claim.epoch, taken.epoch) == (1, 2)
    with pytest.raises(RunInProgress, match="p1 has ended or was taken over"):
        first.extend(claim, 60)


def test_what_was_taken_before_the_clock_was_set_back_holds_nobody_up(open_journal: OpenJournal) -> None:
    before, after = open_journal(), open_journal()
    run, claim = begin(before), before.claim("p1", "batch", 60)
    for table in ("leases", "claims"):
        execute(after, f"UPDATE {table} SET expires_at = :at", at=LONG_AHEAD)  # noqa: S608 - two names of ours

    taken, begun = after.claim("p1", "terminate", 60), begin(after)

    assert (taken.epoch, begun.epoch) == (claim.epoch + 1, run.epoch + 1)
    with pytest.raises(RunInProgress, match="taken over"):
        before.extend(claim, 60)
    with pytest.raises(RunInProgress, match="taken over"):
        before.renew(run, 60)


def test_a_claim_given_back_is_free_and_its_epoch_goes_on(journal: Journal) -> None:
    claim = journal.claim("p1", "batch", 60)
    journal.release_claims([claim])

    again = journal.claim("p1", "batch", 60)

    assert again.epoch == 2


def test_the_same_owner_claims_again_without_a_new_epoch(journal: Journal) -> None:
    first = journal.claim("p1", "batch", 60)

    assert journal.claim("p1", "batch", 60).epoch == first.epoch


def test_many_claims_leave_out_those_another_holds(open_journal: OpenJournal) -> None:
    open_journal().claim("p7", "terminate", 60)

    claims = open_journal().claim_many([f"p{number}" for number in range(5000)], "batch", 60)

    assert len(claims) == 4999
    assert "p7" not in {claim.key for claim in claims}


def test_extending_many_leaves_out_those_that_were_taken_over(open_journal: OpenJournal) -> None:
    journal = open_journal()
    claims = journal.claim_many(["p1", "p2"], "batch", 60)
    execute(journal, "UPDATE claims SET expires_at = :at WHERE key = 'p1'", at=LONG_AGO)
    open_journal().claim("p1", "terminate", 60)

    assert [claim.key for claim in journal.extend_many(claims, 60)] == ["p2"]


def test_a_late_give_back_does_not_free_the_successor_s_claim(open_journal: OpenJournal) -> None:
    journal, other = open_journal(), open_journal()
    lost = journal.claim("p1", "batch", 0.05)
    time.sleep(0.1)
    other.claim("p1", "terminate", 60)
    journal.release_claims([lost])

    with pytest.raises(RunInProgress):
        journal.claim("p1", "batch", 60)


def test_a_run_leaves_alone_what_somebody_else_claims(open_journal: OpenJournal) -> None:
    journal = open_journal()
    open_journal().claim("p1", "terminate", 60)

    with pytest.raises(RunInProgress, match="p1 is being changed"):
        intend(journal, begin(journal))
    assert journal.revocations() == ()


def test_a_claim_alone_is_enough_to_write_beside_a_running_batch(open_journal: OpenJournal) -> None:
    begin(open_journal())
    journal = open_journal()
    claim = journal.claim("p1", "terminate", 60)

    legs = journal.intend(None, "", [revocation()], "sec", claims=[claim])
    journal.record([(leg, Outcome(LegState.CLOSED)) for leg in legs], claims=[claim])

    assert journal.revocations("p1")[0].state == "done"
    assert journal.history("p1")[-1].operator == "sec"


def test_a_lost_claim_writes_no_outcome(open_journal: OpenJournal) -> None:
    journal, other = open_journal(), open_journal()
    claim = journal.claim("p1", "batch", 60)
    legs = journal.intend(None, "", [revocation()], "alice", claims=[claim])
    execute(other, "UPDATE claims SET expires_at = :at", at=LONG_AGO)
    other.claim("p1", "terminate", 60)

    with pytest.raises(RunInProgress, match="has ended or was taken over"):
        journal.record([(legs[0], Outcome(LegState.CLOSED))], claims=[claim])
    assert {leg.state for leg in other.open_legs()} == {LegState.INTENDED}


def test_an_effect_without_run_or_claim_is_not_written(journal: Journal) -> None:
    with pytest.raises(ValueError, match="needs a run or claims"):
        journal.intend(None, "", [revocation()], "alice")


def test_of_processes_that_make_the_journal_and_begin_at_once_one_gets_the_run(journal_url: str) -> None:
    command = [sys.executable, "-c", _BEGINS, journal_url, KEY.hex()]
    here = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    pipe = subprocess.PIPE
    children = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=here) for _ in range(3)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()

    said = sorted(child.communicate()[0].strip() for child in children)

    assert said == ["refused", "refused", "run 1"]
