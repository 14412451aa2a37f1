"""A new journal, made once: migrating one for each test would cost a test more than what it asks.

A file is copied. A database is emptied: a database for each test is gigabytes written to the disk and taken away again.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from connector.reconcile.journal import Journal
from tests.reconcile.journal_builders import KEY
from tests.servers.postgres import PostgresServer

_COUNTED_ANEW = "SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'"


def lay(path: Path) -> str:
    """Lay a new journal where none is yet; give its URL."""
    if not path.exists():
        path.write_bytes(_on_sqlite())
        path.chmod(0o600)
    return f"sqlite:///{path}"


@cache
def _on_sqlite() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        Journal.open(f"sqlite:///{path}", audit_key=KEY).disconnect()
        return path.read_bytes()


def emptied(server: PostgresServer) -> str:
    """Give the URL of the one journal of this server, as it was when it was new."""
    made = _on_postgresql(server)
    server.drop_connections(made.url.rpartition("/")[2])
    with sa.create_engine(made.url, poolclass=sa.NullPool).begin() as connection:
        for table in reversed(made.rows):
            connection.execute(table.delete())
        for table, rows in made.rows.items():
            if rows:
                connection.execute(table.insert(), rows)
        connection.execute(sa.text(_COUNTED_ANEW))
    return made.url


@dataclass(frozen=True, slots=True)
class _Made:
    """A journal, and what stood in each of its tables when it was new."""

    url: str
    rows: dict[sa.Table, list[dict[str, Any]]]


@cache
def _on_postgresql(server: PostgresServer) -> _Made:
    url, tables = server.create_database(), sa.MetaData()
    Journal.open(url, audit_key=KEY).disconnect()
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        tables.reflect(connection)
        rows = {t: [dict(row) for row in connection.execute(t.select()).mappings()] for t in tables.sorted_tables}
    return _Made(url, rows)
