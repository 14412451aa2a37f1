"""What is old is forgotten, nothing that is needed goes, and a run after it decides the same."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from connector.model import LegState, Outcome
from connector.reconcile.journal import Journal
from connector.reconcile.journal_retention import RUNS_KEPT, Retention
from connector.reconcile.journal_store import database_time
from connector.reconcile.journal_values import ChangeKind, MembershipChange, Run
from connector.reconcile.memory import Memory
from tests.reconcile.build import school
from tests.reconcile.conftest import OpenJournal
from tests.reconcile.full_journal import filled, rows_of_each
from tests.reconcile.journal_builders import TODAY, begin, closed, intend, member, plan, revocation, scalar
from tests.reconcile.nights import Nights

YEARS = 800
"""Days that are longer ago than anything is kept."""


def ago(journal: Journal, days: float) -> Journal:
    """Let the journal live some days in the past, or now."""
    journal.store.clock = lambda conn: _earlier(conn, days)
    return journal


def _earlier(conn: Connection, days: float) -> Any:
    return database_time(conn) - timedelta(days=days)


def retention(journal: Journal, days: int = 400) -> Retention:
    return Retention(journal.store, 90, days, pause=lambda _: None)


def nightly(journal: Journal, number: int) -> Run:
    """Go through a night in which a plan was made, approved and applied, and its snapshot accepted."""
    run, made = begin(journal), plan(digest=f"{number:064x}", plan_id=f"{number:08x}")
    journal.keep_plan(made, run)
    journal.approve(made.digest, made.plan_id, (), "alice", "looked at")
    journal.end_run(run, "planned", 0, plan_id=made.plan_id)
    run = begin(journal)
    journal.accept_snapshot(journal.keep_snapshot(run, TODAY, b"people", {"people": 3}, {"csv": "f1"}), run)
    journal.observe(run, TODAY, {"p1": "e1"} if number % 2 else {}, [] if number % 2 else ["p1"])
    journal.end_run(run, "applied", 0, plan_id=made.plan_id)
    return run


def nights_of_years(journal: Journal, count: int) -> None:
    """Have a night on each of many days, long ago, and one lately."""
    for number in range(count):
        nightly(ago(journal, YEARS - number), number + 1)
    nightly(ago(journal, 1), count + 1)
    ago(journal, 0)


def test_old_nights_go_with_all_that_was_kept_of_them(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.reconcile.journal_retention.RUNS_KEPT", 4)
    nights_of_years(journal, 16)
    before = rows_of_each(journal)

    gone = dict(retention(journal).forget("alice").counts)

    after = rows_of_each(journal)
    assert (before["runs"], after["runs"]) == (34, 34 - gone["runs"])
    # The newest ten accepted snapshots stay, with their runs; the newest four runs with their plans.
    assert (after["snapshots"], after["observations"], after["plans"]) == (10, 1, 2)
    assert gone["runs"] >= 16
    assert journal.verify_audit().ok
    assert journal.events(1)[0].kind == "forgotten"


def test_a_second_time_there_is_nothing_left(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.reconcile.journal_retention.RUNS_KEPT", 4)
    nights_of_years(journal, 12)
    retention(journal).forget("alice")
    records = journal.verify_audit().records

    again = retention(journal).forget("alice")

    assert again.counts == ()
    assert journal.verify_audit().records == records


def test_a_dry_run_says_the_same_and_takes_nothing_away(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.reconcile.journal_retention.RUNS_KEPT", 4)
    nights_of_years(journal, 12)
    before = rows_of_each(journal)

    would = retention(journal).would_go()

    assert rows_of_each(journal) == before
    assert would == retention(journal).forget("alice")
    assert would.total > 0


def test_an_approval_nobody_used_still_stands_and_one_that_was_used_never_stands_anew(journal: Journal) -> None:
    nights_of_years(journal, 2)
    run = begin(ago(journal, YEARS))
    journal.keep_plan(plan(), run)
    journal.approve(plan().digest, plan().plan_id, ("first-run",), "alice", "looked at")
    journal.end_run(run, "planned", 0)
    ago(journal, 0)

    retention(journal).forget("alice")

    assert [a.waivers for a in journal.standing_approvals(plan().digest)] == [("first-run",)]
    assert [journal.standing_approvals(f"{number:064x}") for number in (1, 2, 3)] == [(), (), ()]


def newest_of(journal: Journal, names: Sequence[str]) -> dict[str, int]:
    return {name: scalar(journal, f"SELECT max(id) FROM {name}") for name in names}  # noqa: S608 - names of tables


def test_no_number_is_ever_given_twice(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.reconcile.journal_retention.RUNS_KEPT", 1)
    ago(journal, YEARS)
    filled_run = begin(journal)
    legs = intend(journal, filled_run)
    journal.record([closed(leg) for leg in legs], filled_run)
    change = MembershipChange(ChangeKind.ADD, "engage", "p5", None, member(5))
    (added,) = journal.intend_changes(filled_run, (change,), "alice")
    journal.record_changes([(added, Outcome(LegState.CLOSED))], filled_run)
    journal.end_run(filled_run, "applied", 0)
    nightly(journal, 7)
    names = ("runs", "snapshots", "revocations", "legs", "changes", "observations", "approvals")
    before = newest_of(journal, names)

    retention(ago(journal, 0)).forget("alice")

    assert newest_of(journal, names) == before


def test_what_is_young_or_open_or_was_said_by_somebody_stays(journal: Journal) -> None:
    ago(filled(ago(journal, YEARS)), 0)
    before = rows_of_each(journal)

    gone = retention(journal).forget("alice")

    # Of what is old and over there is one of each: the newest of its table.
    assert gone.total == 0
    assert rows_of_each(journal) == before
    assert len(journal.open_legs()) == 3
    assert journal.last_accepted() is not None
    assert journal.verify_audit().ok


def memory_of(journal: Journal) -> Memory:
    return journal.memory(TODAY)


def test_the_memory_of_a_run_is_the_same_before_and_after(journal: Journal) -> None:
    for number, days in ((1, YEARS), (1, YEARS - 5), (2, YEARS - 6), (3, 20)):
        run = begin(ago(journal, days))
        journal.record([closed(leg) for leg in intend(journal, run, revocation(number))], run)
        journal.end_run(run, "applied", 0)
    run = begin(ago(journal, YEARS - 7))
    change = MembershipChange(ChangeKind.ENABLE, "engage", "p2", member(2), member(2))
    (enabled,) = journal.intend_changes(run, (change,), "alice")
    journal.record_changes([(enabled, Outcome(LegState.CLOSED))], run)
    journal.end_run(run, "applied", 0)
    before = memory_of(ago(journal, 0))

    gone = dict(retention(journal).forget("alice").counts)

    assert memory_of(journal) == before
    assert gone["revocations"] == 1
    assert before.closed_members == {("engage", "p1"), ("engage", "p3")}
    assert {g for _, g in before.closed_accounts} == {"g1", "g2", "g3"}


def test_a_run_after_it_decides_the_same(tmp_path: Path) -> None:
    nights = Nights(tmp_path, school().families(4).leaver("gone").leaver("later"))
    ago(nights.journal, YEARS)
    nights.approve(nights.run(), "first-run")
    nights.run()
    for days in range(YEARS - 1, YEARS - 12, -1):
        ago(nights.journal, days)
        nights.run()
    nights.journal.store.clock = database_time
    before = nights.running().look(TODAY)

    gone = retention(nights.journal).forget("alice")

    after = nights.running().look(TODAY)
    assert gone.total > 0
    assert after.plan == before.plan
    assert after.decisions.rows == before.decisions.rows
    assert after.night.memory == before.night.memory
    assert after.night.baseline == before.night.baseline
    result = nights.run()
    assert (result.result, result.exit_code) == ("applied", 0)
    assert nights.journal.verify_audit().ok


def test_the_newest_runs_stay_whatever_their_age(journal: Journal) -> None:
    nights_of_years(journal, 3)

    retention(journal).forget("alice")

    assert len(journal.runs(RUNS_KEPT)) == 8
    assert journal.plan(f"{1:08x}").plan.plan_id == f"{1:08x}"


def test_somebody_else_writes_between_two_steps(open_journal: OpenJournal) -> None:
    journal, other = open_journal(), open_journal()
    run = begin(ago(journal, YEARS))
    changes = [MembershipChange(ChangeKind.ADD, "engage", f"p{n}", None, member(n)) for n in range(1100)]
    made = journal.intend_changes(run, changes, "alice")
    journal.record_changes([(one, Outcome(LegState.CLOSED)) for one in made], run)
    journal.end_run(run, "applied", 0)

    gone = Retention(ago(journal, 0).store, 90, 400, lambda _: other.block("p1", "bob", "meanwhile")).forget("alice")

    kinds = [event.kind for event in journal.events(10)]
    assert dict(gone.counts)["changes"] == 1099
    assert kinds.count("blocked") >= 2
    assert kinds.index("forgotten") < kinds.index("blocked")
    assert journal.verify_audit().ok
