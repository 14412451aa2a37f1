"""Old audit records leave the journal for a file that proves itself, and the trail goes on from where they ended."""

import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData

from connector.errors import ConfigError, JournalError
from connector.reconcile import journal_scim_tables
from connector.reconcile.audit_files import write_once
from connector.reconcile.journal import Journal
from connector.reconcile.journal_columns import metadata
from connector.reconcile.journal_values import Checkpoint
from connector.reconcile.migrations.versions import r0001_journal
from tests.reconcile.conftest import OpenJournal
from tests.reconcile.journal_builders import KEY, begin, closed, execute, intend, scalar

LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def written(journal: Journal) -> Journal:
    """Give a journal with six records."""
    for number in range(6):
        journal.block(f"p{number}", "alice", f"court order {number} “Åsa” \u2028")
    return journal


def sealed(journal: Journal, before: datetime = LATER) -> tuple[Checkpoint, list[str]]:
    """Seal what is older than a time; give the checkpoint and the lines of its file."""
    lines: list[str] = []
    checkpoint = journal.seal_audit(before, "alice", lines.extend)
    return checkpoint, lines


def test_sealed_records_leave_the_journal_and_the_trail_still_holds(written: Journal) -> None:
    before = written.verify_audit()

    checkpoint, lines = sealed(written)

    state = written.verify_audit()
    assert (checkpoint.first, checkpoint.last, len(lines)) == (1, 6, 7)
    assert (state.ok, state.records) == (True, 7)
    assert "Records 1 to 6 are sealed" in state.sentence
    assert [(e.event_id, e.kind) for e in written.events()] == [(7, "sealed")]
    assert written.verify_audit(before.head).ok


def test_a_sealed_segment_proves_itself_with_the_key(written: Journal) -> None:
    head = written.verify_audit().head
    _, lines = sealed(written)

    state = written.verify_sealed(lines, head)

    assert (state.ok, state.records, state.head) == (True, 6, head)
    assert "6 records, 1 to 6" in state.sentence


def test_what_is_sealed_next_follows_what_was_sealed_before(written: Journal) -> None:
    first = sealed(written)[1]
    written.block("p9", "alice", "court order")
    second = sealed(written)[1]
    written.block("p10", "alice", "court order")

    assert [written.verify_sealed(lines).ok for lines in (first, second)] == [True, True]
    assert [(c.first, c.last) for c in written.checkpoints()] == [(1, 6), (7, 8)]
    assert written.verify_audit().records == 10


def test_only_what_is_older_is_sealed(written: Journal) -> None:
    third = list(written.audit_records())[2]

    checkpoint, _ = sealed(written, third.at + timedelta(microseconds=1))

    left = [record.number for record in written.audit_records()]
    assert 3 <= checkpoint.last < 6
    assert left == [*range(checkpoint.last + 1, 8)]
    assert written.verify_audit().ok


def test_a_record_of_a_segment_reads_as_it_was_signed(written: Journal) -> None:
    first = next(iter(written.audit_records()))

    _, lines = sealed(written)

    assert lines[0].isascii()
    assert f'"mac":"{first.mac}"' in lines[0]
    assert '"kind":"blocked"' in lines[0]


TAMPERINGS: dict[str, tuple[Callable[[list[str]], list[str]], int]] = {
    "a changed record": (lambda a: [*a[:2], a[2].replace("alice", "bobby"), *a[3:]], 3),
    "a changed first record": (lambda a: [a[0].replace("alice", "bobby"), *a[1:]], 1),
    "a changed last record": (lambda a: [*a[:5], a[5].replace("alice", "bobby"), a[6]], 6),
    "a record taken out": (lambda a: [*a[:2], *a[3:]], 3),
    "the first record taken out": (lambda a: a[1:], 2),
    "the last record taken out": (lambda a: [*a[:5], a[6]], 6),
    "two that changed places": (lambda a: [a[0], a[2], a[1], *a[3:]], 2),
    "a record twice": (lambda a: [a[0], *a], 2),
    "no checkpoint": (lambda a: a[:6], 7),
    "a changed checkpoint": (lambda a: [*a[:6], a[6].replace("alice", "bobby")], 7),
    "a record after the checkpoint": (lambda a: [*a, a[0]], 7),
    "two checkpoints": (lambda a: [*a, a[6]], 7),
    "a checkpoint alone": (lambda a: a[6:], 1),
    "nothing at all": (lambda _: [], 1),
    "no JSON": (lambda a: [*a[:3], "{", *a[3:]], 4),
    "no record": (lambda a: [*a[:3], '{"number": "4"}', *a[3:]], 4),
    "no object": (lambda a: ["[]", *a], 1),
    "a number that is none": (lambda a: ['{"number": NaN}', *a], 1),
    "a bottomless line": (lambda a: ["[" * 100_000, *a], 1),
}


@pytest.mark.parametrize(("change", "first_bad"), TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_a_segment_with(written: Journal, change: Callable[[list[str]], list[str]], first_bad: int) -> None:
    _, lines = sealed(written)

    state = written.verify_sealed(change(lines))

    assert (state.ok, state.first_bad) == (False, first_bad)
    assert "does not hold" in state.sentence


def test_a_segment_of_another_journal_does_not_hold(written: Journal, tmp_path: Path) -> None:
    _, lines = sealed(written)

    with Journal.open(f"sqlite:///{tmp_path / 'other.db'}", audit_key=KEY[::-1]) as other:
        assert not other.verify_sealed(lines).ok


def test_a_head_within_a_segment_is_held_against_its_file(written: Journal) -> None:
    third = list(written.audit_records())[2]
    _, lines = sealed(written)

    assert written.verify_sealed(lines, f"3:{third.mac}").ok
    assert written.verify_sealed(lines, f"3:{'0' * 64}").first_bad == 3
    with pytest.raises(JournalError, match="is sealed: it is no longer in the journal"):
        written.verify_audit(f"3:{third.mac}")
    with pytest.raises(JournalError, match="not among 1 to 6"):
        written.verify_sealed(lines, f"9:{third.mac}")


def test_a_head_of_a_checkpoint_is_held_against_that(written: Journal) -> None:
    sealed(written)

    assert written.verify_audit(f"6:{'0' * 64}").first_bad == 6


CHECKPOINT_TAMPERINGS = {
    "taken away": ("DELETE FROM checkpoints", 1),
    "moved": ("UPDATE checkpoints SET last_record = 5", 1),
    "written without the key": ("UPDATE checkpoints SET mac = 'ab'", 1),
    "signed by somebody else": ("UPDATE checkpoints SET operator = 'bob'", 1),
    "followed by a gap": ("DELETE FROM audit WHERE id = 7", 7),
}


@pytest.mark.parametrize(("statement", "first_bad"), CHECKPOINT_TAMPERINGS.values(), ids=CHECKPOINT_TAMPERINGS.keys())
def test_a_checkpoint_breaks_the_trail_when(written: Journal, statement: str, first_bad: int) -> None:
    sealed(written)
    execute(written, statement)

    state = written.verify_audit()

    assert (state.ok, state.first_bad) == (False, first_bad)


def test_a_trail_that_does_not_hold_is_not_sealed(written: Journal) -> None:
    execute(written, "UPDATE audit SET text = 'nothing happened' WHERE id = 3")

    with pytest.raises(JournalError, match=r"record 3 was changed.*Nothing was sealed"):
        sealed(written)

    assert scalar(written, "SELECT count(*) FROM audit") == 6
    assert written.checkpoints() == ()


def test_a_trail_with_a_record_missing_is_not_sealed(written: Journal) -> None:
    written.block("p7", "alice", "court order")
    execute(written, "DELETE FROM audit WHERE id = 6")

    with pytest.raises(JournalError, match=r"record 6 is missing.*Nothing was sealed"):
        sealed(written)


def test_nothing_leaves_the_journal_when_the_file_cannot_be_written(written: Journal) -> None:
    def full(lines: Iterator[str]) -> None:
        next(lines)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        written.seal_audit(LATER, "alice", full)

    assert written.verify_audit().records == 6
    assert written.checkpoints() == ()


def test_a_file_that_is_there_is_never_written_over(written: Journal, tmp_path: Path) -> None:
    out = tmp_path / "sealed.jsonl"
    out.write_text("somebody's", encoding="utf-8")

    with pytest.raises(ConfigError, match="is there already"):
        written.seal_audit(LATER, "alice", lambda lines: write_once(out, lines))

    assert out.read_text(encoding="utf-8") == "somebody's"
    assert written.verify_audit().records == 6


def test_a_file_of_a_trail_that_does_not_hold_is_taken_away_again(written: Journal, tmp_path: Path) -> None:
    out = tmp_path / "sealed.jsonl"
    execute(written, "UPDATE audit SET text = 'nothing happened' WHERE id = 3")

    with pytest.raises(JournalError):
        written.seal_audit(LATER, "alice", lambda lines: write_once(out, lines))

    assert not out.exists()


def test_nothing_to_seal_is_an_error_that_says_so(written: Journal) -> None:
    with pytest.raises(JournalError, match="no audit record from before 2001-01-01"):
        sealed(written, datetime(2001, 1, 1, tzinfo=UTC))


def test_of_two_who_seal_at_once_one_is_told_and_no_record_is_lost(written: Journal, open_journal: OpenJournal) -> None:
    meeting, said, files = Barrier(2), [], []

    def seal(journal: Journal) -> None:
        lines: list[str] = []

        def write(segment: Iterator[str]) -> None:
            lines.extend(segment)
            meeting.wait(timeout=60)

        try:
            journal.seal_audit(LATER, "alice", write)
            files.append(lines)
        except JournalError as error:
            said.append(error.message)

    both = [Thread(target=seal, args=(open_journal(),)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()

    assert [len(lines) for lines in files] == [7]
    assert len(said) == 1
    assert "sealed the audit trail meanwhile" in said[0]
    assert written.verify_audit().records == 7


def test_who_was_closed_and_blocked_is_known_after_its_records_were_sealed(journal: Journal) -> None:
    run = begin(journal)
    legs = intend(journal, run)
    journal.record([closed(leg) for leg in legs], run)
    journal.block("p1", "alice", "court order")

    sealed(journal)

    assert journal.who_closed("p1") is not None
    assert journal.revocations("p1")[0].state == "done"


# --- from the tables of before --------------------------------------------------------------------------------------


@pytest.fixture
def older(journal_url: str) -> str:
    """Give the URL of a journal with the tables of the first version only, and with what that version wrote."""
    first = inspect.getsource(r0001_journal)
    with Journal.open(journal_url, audit_key=KEY) as journal:
        run = begin(journal)
        journal.record([closed(leg) for leg in intend(journal, run)], run)
        journal.block("p9", "alice", "court order")
        there = MetaData()
        there.reflect(journal._store.engine)
        newer = [table for name, table in there.tables.items() if f'"{name}",' not in first]
        there.drop_all(journal._store.engine, [table for table in newer if table.name != "alembic_version"])
        execute(journal, "UPDATE alembic_version SET version_num = '0001'")
    return journal_url


def test_an_older_journal_is_not_opened_unasked(older: str) -> None:
    with pytest.raises(JournalError, match="connector db migrate"):
        Journal.open(older, audit_key=KEY)


def test_an_older_journal_migrates_with_everything_in_it(older: str) -> None:
    with Journal.open(older, audit_key=KEY, migrate=True) as journal, journal._store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})

        assert journal_scim_tables.scim_users.metadata is metadata
        assert compare_metadata(context, metadata) == []
        assert journal.verify_audit().records == 6
        assert journal.revocations("p1")[0].state == "done"
        assert journal.period(datetime(2000, 1, 1, tzinfo=UTC), LATER).words[0].key == "p9"


def test_an_older_journal_is_sealed_once_it_is_migrated(older: str) -> None:
    with Journal.open(older, audit_key=KEY, migrate=True) as journal:
        _, lines = sealed(journal)

        assert journal.verify_sealed(lines).ok
        assert journal.verify_audit().records == 7
