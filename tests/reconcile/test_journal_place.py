"""A journal is looked at where it lies, and moved so that nobody ever works on both."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from connector.errors import JournalError, NoJournal, RunInProgress
from connector.reconcile import journal_moving
from connector.reconcile.going_live import GO_LIVE
from connector.reconcile.journal import Journal
from connector.reconcile.journal_backup import take_backup
from connector.reconcile.journal_moving import move
from connector.reconcile.journal_place import Place
from connector.reconcile.journal_restore import put_back
from tests.reconcile.full_journal import filled
from tests.reconcile.journal_builders import KEY, TODAY, begin


def place(url: str, key: bytes = KEY, *, create: bool = True) -> Place:
    return Place.open(url, audit_key=key, password="", silence_seconds=60, create=create)


@pytest.fixture(params=["sqlite", "postgresql"])
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give a database of its own: who has retired one leaves nothing for the next test."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'journal.db'}"
    return str(request.getfixturevalue("postgres").create_database())


@pytest.fixture
def elsewhere(journal_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Give an empty place of the other kind."""
    if journal_url.startswith("sqlite"):
        return str(request.getfixturevalue("postgres").create_database())
    return f"sqlite:///{tmp_path / 'new.db'}"


def moved(journal_url: str, elsewhere: str, folder: Path) -> None:
    with place(journal_url) as old, place(elsewhere) as new:
        move(old, new, "Harbour", folder / "moving.backup", "alice")


def freed(journal: Journal) -> Journal:
    """Let go of everything that is held."""
    with journal.store.writing() as writing:
        for name in ("leases", "claims"):
            writing.conn.execute(text(f"DELETE FROM {name}"))  # noqa: S608 - names of tables
    return journal


def test_a_place_says_what_is_in_it(journal: Journal, journal_url: str, tmp_path: Path) -> None:
    filled(journal)
    take_backup(journal.store, "Harbour", tmp_path / "a.backup", "alice")

    with place(journal_url) as here:
        state = here.state()

    held = {h.table: h for h in state.holdings}
    assert (state.revision, state.moved_to, state.size > 0) == (state.wanted, "", True)
    assert state.audit is not None
    assert state.audit.ok
    assert "Backed up by alice" in state.backed_up
    assert (held["runs"].rows, held["runs"].oldest) == (1, held["runs"].newest)
    assert held["audit_head"].oldest is None


def test_a_place_without_a_journal_or_with_anothers_is_refused(
    journal: Journal, journal_url: str, elsewhere: str, tmp_path: Path
) -> None:
    assert journal
    with place(elsewhere) as here, pytest.raises(NoJournal):
        here.require()
    with place(journal_url, b"x" * 32) as here, pytest.raises(JournalError, match="audit key is not the one"):
        here.state()
    with pytest.raises(NoJournal):
        place(f"sqlite:///{tmp_path / 'none.db'}", create=False)


def test_a_journal_moves_with_all_it_holds_and_stays_live(
    journal: Journal, journal_url: str, elsewhere: str, tmp_path: Path
) -> None:
    memory = freed(filled(journal)).memory(TODAY)

    moved(journal_url, elsewhere, tmp_path)

    with Journal.open(elsewhere, audit_key=KEY) as there:
        assert there.verify_audit().ok
        assert there.memory(TODAY, now=journal.now()) == memory
        assert there.setting(GO_LIVE) == "yes"
        assert len(there.duties.unsent()) == 1
        assert [event.kind for event in there.events(2)] == ["journal-moves", "journal-moved-here"]
    assert not (tmp_path / "moving.backup").exists()


def test_the_old_place_refuses_to_be_opened_and_every_write_of_who_has_it_open(
    journal: Journal, journal_url: str, elsewhere: str, tmp_path: Path
) -> None:
    run = begin(journal)
    journal.end_run(run, "applied", 0)

    moved(journal_url, elsewhere, tmp_path)

    with pytest.raises(JournalError, match=r"has moved: it goes on in .*Set \[journal\] url"):
        Journal.open(journal_url, audit_key=KEY)
    for write in (
        lambda: journal.block("p1", "alice", "court order"),
        lambda: journal.claim("p1", "somebody", 60),
        lambda: begin(journal),
    ):
        with pytest.raises(JournalError, match="it has moved, and goes on elsewhere"):
            write()


def test_a_journal_in_use_is_not_moved(journal: Journal, journal_url: str, elsewhere: str, tmp_path: Path) -> None:
    journal.claim("daemon", "somebody", 60)

    with pytest.raises(RunInProgress, match="in use until"):
        moved(journal_url, elsewhere, tmp_path)

    journal.block("p1", "alice", "court order")


def test_nothing_is_moved_over_a_journal(journal: Journal, journal_url: str, elsewhere: str, tmp_path: Path) -> None:
    Journal.open(elsewhere, audit_key=KEY).disconnect()

    with pytest.raises(JournalError, match="none is ever put over another"):
        moved(journal_url, elsewhere, tmp_path)

    journal.block("p1", "alice", "court order")


def test_a_move_that_fails_leaves_the_old_place_as_it_was(
    journal: Journal, journal_url: str, elsewhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise JournalError("The disk is full.")

    monkeypatch.setattr(journal_moving, "prove", full)

    with pytest.raises(JournalError, match="disk is full"):
        moved(journal_url, elsewhere, tmp_path)

    journal.block("p1", "alice", "court order")
    with Journal.open(journal_url, audit_key=KEY) as opened:
        assert opened.verify_audit().ok
    assert not (tmp_path / "moving.backup").exists()


def test_a_move_whose_end_is_not_known_leaves_no_two_places_that_go_on(
    journal: Journal, journal_url: str, elsewhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer_is_lost(*words: Any, **more: Any) -> None:
        put_back(*words, **more)
        raise JournalError("The database does not answer.")

    monkeypatch.setattr(journal_moving, "put_back", answer_is_lost)

    with pytest.raises(JournalError, match=r"may be in .* already"):
        moved(journal_url, elsewhere, tmp_path)

    with pytest.raises(JournalError, match="it has moved"):
        journal.block("p1", "alice", "court order")
    with Journal.open(elsewhere, audit_key=KEY) as there:
        assert there.verify_audit().ok


def test_a_move_that_was_cut_short_is_ended_by_moving_there_again(
    journal: Journal, journal_url: str, elsewhere: str, tmp_path: Path
) -> None:
    journal.block("p1", "alice", "court order")
    with place(journal_url) as old, place(elsewhere) as new:
        old.retire(new.where, "alice")

    moved(journal_url, elsewhere, tmp_path)

    with Journal.open(elsewhere, audit_key=KEY) as there:
        assert set(there.memory(TODAY).blocks) == {"p1"}
