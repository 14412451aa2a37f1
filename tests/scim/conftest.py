"""Fixtures of the endpoint: the same specification on SQLite and on PostgreSQL."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, delete, update

from connector.reconcile.journal import Journal
from connector.reconcile.journal_audit import START
from connector.reconcile.journal_columns import metadata
from connector.reconcile.journal_store import Store
from connector.reconcile.journal_tables import audit_head
from tests.reconcile.journal_builders import KEY
from tests.scim.endpoint import Provider, provider
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="session")
def new_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a journal once: a test gets a copy, which is quicker than migrating one of its own."""
    path = tmp_path_factory.mktemp("scim") / "journal.db"
    Journal.open(f"sqlite:///{path}", audit_key=KEY).disconnect()
    return path


@pytest.fixture(scope="session")
def one_postgresql(postgres: PostgresServer) -> str:
    """Make a journal once, as above: it is emptied for each test. Give its URL."""
    url = postgres.create_database()
    Journal.open(url, audit_key=KEY).disconnect()
    return url


def _empty(url: str) -> None:
    """Let a journal be as it was when it was made."""
    engine = create_engine(url)
    with engine.begin() as conn:
        for table in reversed(metadata.sorted_tables):
            if table is not audit_head:
                conn.execute(delete(table))
        conn.execute(update(audit_head).values(records=0, mac=START, proved_at=None))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of a new journal."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("new_sqlite"), tmp_path / "journal.db")
        return f"sqlite:///{tmp_path / 'journal.db'}"
    url: str = request.getfixturevalue("one_postgresql")
    _empty(url)
    return url


@pytest.fixture
def journal(journal_url: str) -> Iterator[Journal]:
    """Give a new journal."""
    with Journal.open(journal_url, audit_key=KEY) as opened:
        yield opened


@pytest.fixture
def store(journal: Journal) -> Store:
    """Give the ways into its database."""
    return journal.store


@pytest.fixture
def provide(store: Store) -> Iterator[Callable[..., Provider]]:
    """Make providers that call endpoints over this journal."""
    made: list[Provider] = []

    def make(**named: Any) -> Provider:
        made.append(provider(store, **named))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def entra(provide: Callable[..., Provider]) -> Provider:
    """Give a provider that may do everything, in tolerant mode."""
    return provide()
