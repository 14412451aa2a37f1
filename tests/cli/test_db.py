"""The journal's database by the command line: looked at, backed up, put back, moved, forgotten, under both names."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.cli import cli
from connector.config import load
from connector.journal_key import open_journal
from tests.cli.builders import School, typed
from tests.reconcile.build import TODAY
from tests.servers.postgres import PostgresServer


def journal_of(school: School) -> Path:
    return school.folder / "journal.sqlite"


def lost(school: School) -> None:
    for file in school.folder.glob("journal.sqlite*"):
        file.unlink()


def test_the_status_says_where_it_is_what_it_holds_and_when_it_was_backed_up(closed: School) -> None:
    before = closed.typed("db", "status")
    assert closed.typed("db", "backup", str(closed.folder / "a.backup")).code == 0
    after = closed.read("db", "status")

    assert before.code == 0
    assert f"The journal is in {journal_of(closed)}" in before.out
    assert "The audit trail holds" in before.out
    assert "No backup: connector db backup FILE" in before.out
    assert "1970" not in before.out
    assert (after["revision"], after["audit_ok"]) == (after["wanted"], True)
    assert "Backed up by" in after["backed_up"]
    assert {t["table"]: t["rows"] for t in after["tables"]}["revocations"] > 0


def test_a_backup_says_loudly_that_the_key_is_not_in_it(closed: School) -> None:
    answer = closed.typed("db", "backup", str(closed.folder / "a.backup"))

    assert answer.code == 0
    assert "The audit key is NOT in it." in answer.out


def test_a_lost_journal_is_put_back_and_only_reports_until_somebody_goes_live(closed: School) -> None:
    backup = str(closed.folder / "a.backup")
    closed.typed("block", "DLA1209", "--reason", "court order")
    closed.typed("db", "backup", backup)
    lost(closed)
    refused = closed.typed("status")

    answer = closed.typed("db", "restore", backup)

    assert refused.code == 1
    assert "missing or empty" in refused.err
    assert answer.code == 0
    assert "Runs only report, whatever the config says." in answer.out
    assert closed.typed("audit", "verify").code == 0
    assert "This journal was put back by" in closed.typed("history").out
    assert closed.read("run")["result"] == "reported"
    assert "connector go-live" in closed.typed("check").out


def test_a_backup_is_not_put_over_a_journal_nor_without_the_key(closed: School) -> None:
    backup, key = str(closed.folder / "a.backup"), closed.folder / "audit.key"
    closed.typed("db", "backup", backup)

    over = closed.typed("db", "restore", backup)
    lost(closed)
    kept = key.read_bytes()
    key.unlink()
    without = closed.typed("db", "restore", backup)
    key.write_text("0" * 64, encoding="ascii")
    key.chmod(0o600)
    another = closed.typed("db", "restore", backup)
    key.write_bytes(kept)

    assert [answer.code for answer in (over, without, another)] == [1, 1, 1]
    assert "none is ever put over another" in over.err
    assert "no backup can be put back" in without.err
    assert "made with another audit key" in another.err
    assert not journal_of(closed).exists()
    assert closed.typed("db", "restore", backup).code == 0


def test_a_spoilt_backup_leaves_no_file_behind(closed: School) -> None:
    backup = closed.folder / "a.backup"
    closed.typed("db", "backup", str(backup))
    backup.write_bytes(backup.read_bytes()[:-20])
    lost(closed)

    answer = closed.typed("db", "restore", str(backup))

    assert answer.code == 1
    assert "was cut off" in answer.err
    assert not journal_of(closed).exists()


def test_a_backup_can_be_taken_of_an_older_journal_before_it_is_brought_forward(closed: School) -> None:
    with sqlite3.connect(journal_of(closed)) as database:
        for table in ("duties", "outbox"):
            database.execute(f"DROP TABLE {table}")
        database.execute("UPDATE alembic_version SET version_num = '0005'")
    database.close()
    backup = str(closed.folder / "old.backup")

    assert closed.typed("db", "backup", backup).code == 0
    assert "this version needs" in closed.typed("db", "status").out
    lost(closed)
    refused, forward = closed.typed("db", "restore", backup), closed.typed("db", "restore", backup, "--migrate")

    assert (refused.code, forward.code) == (1, 0)
    assert "connector db restore FILE --migrate" in refused.err
    assert closed.typed("audit", "verify").code == 0


def test_the_journal_moves_to_postgresql_and_back(closed: School, postgres: PostgresServer) -> None:
    url = postgres.create_database().replace("+psycopg", "")

    there = closed.typed("db", "move", "--to", url)
    refused = closed.typed("history")
    text = closed.config.read_text(encoding="utf-8")
    closed.config.write_text(text.replace("sqlite:///journal.sqlite", url), encoding="utf-8")
    moved, verified = closed.typed("history"), closed.typed("audit", "verify")
    back = closed.typed("db", "move", "--to", "sqlite:///again.sqlite")

    assert (there.code, refused.code, moved.code, verified.code, back.code) == (0, 1, 0, 0, 0)
    assert f'url = "{url}"' in there.out
    assert "has moved: it goes on in" in refused.err
    assert 'url = "sqlite:///again.sqlite"' in back.out
    assert (closed.folder / "again.sqlite").stat().st_mode & 0o777 == 0o600


def test_what_is_old_is_forgotten_when_asked(closed: School) -> None:
    nothing = closed.typed("db", "prune", "--dry-run")
    with open_journal(load(closed.config)) as journal:
        journal.store.clock = lambda _: datetime(2020, 1, 1, tzinfo=UTC)
        run = journal.begin_run("run", "ada", TODAY, {}, ttl_seconds=1e9)
        journal.keep_snapshot(run, TODAY, b"old", {}, {})
        journal.end_run(run, "failed", 1)

    dry, done, again = (closed.typed("db", "prune", *words) for words in (["--dry-run"], [], ["--dry-run"]))

    assert (nothing.code, dry.code, done.code, again.code) == (0, 2, 0, 0)
    assert "would go: 1 contents of snapshots" in dry.out
    assert "went: 1 contents of snapshots" in done.out


def test_the_old_name_still_works_and_is_not_in_the_help(closed: School) -> None:
    assert closed.typed("journal", "migrate").code == 0
    assert closed.typed("journal", "status").code == 0
    assert "\n  journal " not in typed("--help").out
    assert set(cli.commands["journal"].commands) == set(cli.commands["db"].commands)  # type: ignore[attr-defined] # groups


@pytest.mark.parametrize(
    "words", [("db", "status"), ("db", "backup", "x.backup"), ("db", "move", "--to", "sqlite:///x")]
)
def test_without_a_journal_it_says_so_and_makes_nothing(school: School, words: tuple[str, ...]) -> None:
    lost(school)

    answer = school.typed(*words)

    assert answer.code == 1
    assert not (school.folder / "x").exists()
    assert "The audit key cannot be read" in answer.err
