"""Whoever can write to the journal's database lifts no block unnoticed: the audit trail says what stands."""

from datetime import timedelta
from pathlib import Path

import pytest

from connector.reconcile.journal import Journal
from connector.reconcile.journal_memory import TAMPERED
from connector.reconcile.journal_standing import FAR
from tests.reconcile.build import ASSOCIATION, school
from tests.reconcile.conftest import OpenJournal
from tests.reconcile.journal_builders import TODAY, begin, execute, scalar
from tests.reconcile.nights import settled


@pytest.fixture
def said(journal: Journal) -> Journal:
    """Give a journal in which people said all that can be said."""
    journal.add_operator("grace", "SEC", "hash", "seed", "ada")
    journal.block("p1", "ada", "court order")
    journal.block("p2", "ada", "until the hearing", TODAY + timedelta(days=3))
    journal.keep("p3", "ada", "on the board")
    journal.request_revocation("p4", "ada", "asked for")
    journal.link("ad", "g1", "p5", "ada", "by hand")
    journal.set_setting("go_live", "yes", "ada")
    journal.spend_code("grace", 7, "ada", "unblock p9")
    return journal


def test_rows_that_nobody_touched_hold(said: Journal) -> None:
    assert said.verify_audit().ok
    assert said.memory(TODAY).alarms == ()


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("DELETE FROM blocks WHERE person_id = 'p1'", "the block on p1 by ada stands by the audit trail"),
        ("UPDATE blocks SET lifted_at = made_at WHERE person_id = 'p1'", "the block on p1 by ada stands"),
        ("UPDATE blocks SET until = '2020-01-01' WHERE person_id = 'p1'", "the block on p1 by ada stands"),
        ("UPDATE blocks SET person_id = 'p9' WHERE person_id = 'p1'", "the block on p1 by ada stands"),
        ("DELETE FROM requests", "the request on p4 by ada stands"),
        ("UPDATE keeps SET person_id = 'p1'", "the keep on p3 by ada stands"),
        ("UPDATE links SET person_id = 'p1'", "the link of ad:g1 to p5 stands"),
        ("DELETE FROM links", "the link of ad:g1 to p5 stands"),
        ("UPDATE settings SET value = 'no' WHERE name = 'go_live'", "the setting go_live (yes) stands"),
        ("DELETE FROM settings WHERE name = 'code-of:grace'", "the setting code-of:grace (7) stands"),
    ],
)
def test_a_row_changed_behind_the_journals_back_is_named(said: Journal, statement: str, named: str) -> None:
    execute(said, statement)

    state = said.verify_audit()

    assert not state.ok
    assert named in state.sentence
    assert state.bad_rows[0].startswith(named)
    assert state.first_bad is None


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM blocks WHERE person_id = 'p1'",
        "UPDATE blocks SET lifted_at = made_at, lifted_by = 'ada', seconded_by = 'grace' WHERE person_id = 'p1'",
        "UPDATE blocks SET until = '2020-01-01' WHERE person_id = 'p1'",
        "DELETE FROM blocks; DELETE FROM standing",
        "DELETE FROM blocks; UPDATE standing SET content = '[]', upto = 99",
        "DELETE FROM blocks; UPDATE audit SET detail = '{}' WHERE kind = 'blocked'",
    ],
)
def test_a_block_whose_row_was_lifted_by_another_way_still_blocks_and_alarms(said: Journal, statement: str) -> None:
    for one in statement.split(";"):
        execute(said, one)

    memory = said.memory(TODAY)

    assert "p1" in memory.blocks
    assert memory.alarms == (TAMPERED,)
    assert not said.verify_audit().ok


def test_an_unblock_that_was_written_into_the_trail_without_the_key_lifts_nothing(said: Journal) -> None:
    last = scalar(said, "SELECT max(id) FROM audit")
    execute(said, "UPDATE blocks SET lifted_at = made_at WHERE person_id = 'p1'")
    execute(said, f"UPDATE audit SET kind = 'unblocked', person_id = 'p1', subject = 'p1' WHERE id = {last}")  # noqa: S608 - a number of ours

    memory = said.memory(TODAY)

    assert "p1" in memory.blocks
    assert memory.alarms == (TAMPERED,)


def test_a_block_written_by_another_way_blocks_and_alarms(said: Journal) -> None:
    execute(
        said,
        "INSERT INTO blocks (id, person_id, owner, reason, made_at) "
        "SELECT 99, 'p8', 'mallory', 'x', made_at FROM blocks WHERE id = 1",
    )

    memory = said.memory(TODAY)

    assert "p8" in memory.blocks
    assert memory.alarms == (TAMPERED,)
    assert "the block on p8 by mallory is a row that the audit trail does not know" in said.verify_audit().sentence


def test_a_lifted_or_expired_block_does_not_come_back_by_the_trail(said: Journal) -> None:
    said.unblock("p1", "ada", "grace")

    memory = said.memory(TODAY + timedelta(days=4))

    assert "p1" not in memory.blocks
    assert "p2" not in memory.blocks
    assert memory.alarms == ()
    assert said.verify_audit().ok


def test_a_tampered_block_is_mended_by_unblock_with_a_second_and_a_new_block(said: Journal) -> None:
    execute(said, "DELETE FROM blocks WHERE person_id = 'p1'")

    said.unblock("p1", "ada", "grace")
    said.block("p1", "ada", "court order")

    assert said.verify_audit().ok
    assert "p1" in said.memory(TODAY).blocks


def test_what_stands_is_known_when_its_records_are_sealed(said: Journal, open_journal: OpenJournal) -> None:
    lines: list[str] = []
    said.set_setting("other", "1", "ada")
    far = said.now() + timedelta(days=1)

    said.seal_audit(far, "ada", lines.extend)
    execute(said, "DELETE FROM blocks WHERE person_id = 'p1'")

    memory = open_journal().memory(TODAY)
    assert "p1" in memory.blocks
    assert memory.alarms == (TAMPERED,)


def test_the_register_follows_the_trail_so_that_a_decision_walks_little_of_it(journal: Journal) -> None:
    with journal._store.writing() as writing:
        for number in range(FAR):
            writing.note("closed", f"p{number}", "ada", "closed")
    before = scalar(journal, "SELECT upto FROM standing")

    begin(journal)

    assert (before, scalar(journal, "SELECT upto FROM standing")) == (0, FAR)
    assert journal.verify_audit().ok


def test_a_nightly_add_is_not_made_for_somebody_whose_block_was_deleted(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(5).portal(ASSOCIATION))
    nights.journal.block("ok0", "ada", "court order")
    nights.run()
    nights.school.role("ok0", "Parent")
    execute(nights.journal, "DELETE FROM blocks")

    result = nights.run()

    assert nights.member("ok0", "association") is None
    assert nights.is_closed("ok0")
    assert TAMPERED in result.judgement.plan.warnings
