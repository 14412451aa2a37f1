"""Opening: a journal that cannot be trusted or written is refused before anything is tried."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import make_url, text

from connector.errors import JournalError
from connector.reconcile import (
    journal_migrate,
    journal_scim_tables,
)
from connector.reconcile.journal import Journal
from connector.reconcile.journal_columns import metadata
from connector.reconcile.journal_engine import open_engine
from connector.reconcile.journal_tables import HEAD
from tests.reconcile.conftest import OpenJournal
from tests.reconcile.journal_builders import KEY, execute, scalar
from tests.servers.postgres import PostgresServer


def test_the_migrated_database_and_the_tables_are_equal(journal: Journal) -> None:
    with journal._store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})

        assert journal_scim_tables.scim_users.metadata is metadata
        assert compare_metadata(context, metadata) == []


def test_the_newest_migration_is_the_one_the_tables_name() -> None:
    assert ScriptDirectory(str(journal_migrate.FOLDER)).get_current_head() == HEAD


def test_a_journal_opens_again(open_journal: OpenJournal) -> None:
    open_journal().set_setting("mode", "live", "alice")

    assert open_journal().setting("mode") == "live"


def test_a_sqlite_journal_belongs_to_its_owner_alone_and_syncs_every_commit(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"

    with Journal.open(f"sqlite:///{path}", audit_key=KEY) as journal:
        journal.ready()

        for name in (path, path.with_name("journal.db-wal"), path.with_name("journal.db-shm")):
            assert stat.S_IMODE(name.stat().st_mode) == 0o600
        assert scalar(journal, "PRAGMA journal_mode") == "wal"
        assert scalar(journal, "PRAGMA synchronous") == 2
        assert scalar(journal, "PRAGMA foreign_keys") == 1


def test_a_journal_that_is_not_there_is_not_made_unasked(journal_url: str) -> None:
    with pytest.raises(JournalError, match="There is no journal"):
        Journal.open(journal_url, audit_key=KEY, create=False)


def test_a_journal_opens_and_reads_while_somebody_writes(open_journal: OpenJournal) -> None:
    with open_journal()._store.writing():
        assert open_journal().runs() == ()


def test_a_journal_of_a_newer_version_is_left_alone(open_journal: OpenJournal) -> None:
    execute(open_journal(), "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(JournalError, match=r"written by a newer version .*9999.* Use the newer version"):
        open_journal()


def test_an_older_journal_is_migrated_only_when_asked(
    journal_url: str, open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_journal()
    monkeypatch.setattr("connector.reconcile.journal_tables.HEAD", "9999")

    with pytest.raises(JournalError, match=r"older version.*connector db migrate"):
        Journal.open(journal_url, audit_key=KEY)


def test_a_database_of_something_else_is_refused(journal_url: str) -> None:
    engine = open_engine(journal_url, "", create=True)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE pupils (id INTEGER)"))
    engine.dispose()

    with pytest.raises(JournalError, match=r"holds other tables \(pupils"):
        Journal.open(journal_url, audit_key=KEY)


def test_another_audit_key_is_refused(journal_url: str, open_journal: OpenJournal) -> None:
    open_journal()

    with pytest.raises(JournalError, match="audit key is not the one"):
        Journal.open(journal_url, audit_key=b"another key, as long as the first")


def test_a_guessable_audit_key_is_refused(journal_url: str) -> None:
    with pytest.raises(JournalError, match="could be guessed"):
        Journal.open(journal_url, audit_key=b"short")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://alice:hunter2@db/journal", "carries a password"),
        ("mysql://db/journal", "cannot live in mysql"),
        ("not a url hunter2", "is not one"),
        ("sqlite://", "A journal in memory"),
        ("sqlite:////nowhere/at/all/journal.db", "cannot be created"),
        ("postgresql://db.example/journal?sslmode=require", "without verified TLS"),
    ],
)
def test_a_url_that_cannot_hold_a_journal_is_refused_without_repeating_secrets(url: str, said: str) -> None:
    with pytest.raises(JournalError, match=said) as caught:
        Journal.open(url, audit_key=KEY)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@localhost/db?host=db.school.example&sslmode=prefer",
        "postgresql://u@localhost/db?hostaddr=192.0.2.1&sslmode=prefer",
        "postgresql://u@localhost,db.school.example/db?sslmode=prefer",
        "postgresql://u@/db?host=localhost&host=db.school.example&sslmode=prefer",
        "postgresql:///db",
        "postgresql://u@localhost/db?service=elsewhere",
        "postgresql://u@localhost/db?passfile=/tmp/passwords",
    ],
)
def test_no_parameter_leads_a_journal_on_this_machine_elsewhere(url: str) -> None:
    with pytest.raises(JournalError, match=r"without verified TLS|names no host|names (service|passfile)"):
        open_engine(url, "", create=False)


def test_postgresql_elsewhere_is_reached_over_verified_tls_with_the_password_beside_the_url() -> None:
    engine = open_engine("postgresql://alice@db.example/journal", "hunter2", create=True)

    assert engine.url.query["sslmode"] == "verify-full"
    assert engine.url.password == "hunter2"
    assert "hunter2" not in repr(engine.url)


def test_a_server_that_does_not_answer_is_a_journal_error() -> None:
    with pytest.raises(JournalError, match="could not be opened"):
        Journal.open("postgresql://alice@127.0.0.1:1/journal", audit_key=KEY)


def test_a_proof_of_writing_lands(journal: Journal) -> None:
    journal.ready()

    assert scalar(journal, "SELECT proved_at FROM audit_head") is not None


_FULL = """
import resource, sys
from connector.errors import JournalError
from connector.reconcile.journal import Journal
journal = Journal.open(sys.argv[1], audit_key=bytes.fromhex(sys.argv[2]))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    journal.ready()
except JournalError as error:
    print(error)
journal.disconnect()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a file size limit needs POSIX")
def test_a_disk_that_takes_no_more_is_found_before_any_effect(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    Journal.open(url, audit_key=KEY).disconnect()

    child = subprocess.run(
        [sys.executable, "-c", _FULL, url, KEY.hex()], capture_output=True, text=True, check=True, env=_here()
    )

    assert "could not be written" in child.stdout


def test_a_journal_gone_read_only_is_found_before_any_effect(tmp_path: Path) -> None:
    with Journal.open(f"sqlite:///{tmp_path / 'journal.db'}", audit_key=KEY) as journal:
        execute(journal, "PRAGMA query_only = ON")

        with pytest.raises(JournalError, match=r"could not be written.*readonly"):
            journal.ready()


def test_a_postgresql_that_comes_back_is_reached_again(postgres: PostgresServer) -> None:
    url = postgres.create_database()
    with Journal.open(url, audit_key=KEY) as journal:
        journal.ready()
        postgres.drop_connections(str(make_url(url).database))

        journal.ready()


def test_the_host_s_clock_is_never_asked() -> None:
    folder = Path(journal_migrate.__file__).parent
    for path in folder.glob("journal*.py"):
        source = path.read_text(encoding="utf-8")

        assert not any(word in source for word in ("datetime.now", "utcnow", "time.time", "date.today")), path.name


def _here() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path.cwd())}
