"""Fixtures of the journal: the same specification on SQLite and on PostgreSQL."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connector.reconcile.journal import Journal
from connector.reconcile.journal_engine import open_engine
from connector.reconcile.journal_store import Store
from tests.reconcile import new_journal
from tests.reconcile.journal_builders import KEY
from tests.servers.postgres import PostgresServer

OpenJournal = Callable[[], Journal]


@pytest.fixture(params=["sqlite", "postgresql"])
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of a journal that is not there yet, or, where the test opens it below, of one that is new."""
    made = "open_journal" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "journal.db"
        return new_journal.lay(path) if made else f"sqlite:///{path}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return new_journal.emptied(server) if made else server.create_database()


@pytest.fixture
def open_journal(journal_url: str) -> Iterator[OpenJournal]:
    """Open the same journal as often as a test needs: each one is another process's view."""
    opened: list[Journal] = []

    def open_one() -> Journal:
        opened.append(Journal.open(journal_url, audit_key=KEY))
        return opened[-1]

    yield open_one
    for one in opened:
        one.disconnect()


@pytest.fixture
def journal(open_journal: OpenJournal) -> Journal:
    """Give a new journal."""
    return open_journal()


@pytest.fixture
def impatient(postgres: PostgresServer) -> Iterator[Store]:
    """Give a journal in PostgreSQL that gives a silent server up after a second."""
    engine = open_engine(new_journal.emptied(postgres), "", create=False, silence_seconds=1)
    yield Store(engine, KEY)
    engine.dispose()
