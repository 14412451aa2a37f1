"""The connections that single reads run on: kept open, without transactions, each read seeing one state.

An identity provider asks for the same few rows around the clock. A read sees what was committed before it began, by
whichever process: nothing is remembered here but the statements.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql.base import PGDialect

from connector.errors import JournalError
from connector.reconcile.journal_store import Store
from connector.scim.prepared import Prepared

_READ_CACHE_KIB = 4096
"""Of SQLite's page cache, for each read connection: the system's own cache holds the rest."""

Rows = list[tuple[Any, ...]]


class _Line(Protocol):
    """A connection that nobody else uses meanwhile."""

    def ask(self, sql: str, parameters: Sequence[Any]) -> Rows:
        """Give all rows. Raises what the driver raises."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Reader:
    """Reads single statements, each seeing one state of the database, on connections that are kept open."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._on_sqlite = store.engine.dialect.name == "sqlite"
        # PostgreSQL is spoken to below the driver's cursors: parameters are numbered there.
        self._dialect = store.engine.dialect if self._on_sqlite else _numbered()
        self._errors = store.engine.dialect.loaded_dbapi.Error
        self._idle: list[_Line] = []

    def rows(self, statement: Prepared, **values: Any) -> Rows:
        """Give all rows, as the driver gives them. Raises JournalError."""
        sql, parameters = statement.ready(self._dialect, values)
        try:
            return self._ask(sql, parameters)
        except self._errors:
            self.close()  # a database that was restarted has left every connection dead: once more, on a new one
        try:
            return self._ask(sql, parameters)
        except self._errors as error:
            raise JournalError(
                f"The journal could not be read: {' '.join(str(error).split())}.", "Check the database."
            ) from error

    def row(self, statement: Prepared, **values: Any) -> tuple[Any, ...] | None:
        """Give the first row."""
        found = self.rows(statement, **values)
        return found[0] if found else None

    def close(self) -> None:
        """Let go of every idle connection."""
        while self._idle:
            self._idle.pop().close()

    def _ask(self, sql: str, parameters: Sequence[Any]) -> Rows:
        try:
            line = self._idle.pop()
        except IndexError:
            line = self._connect()
        try:
            found = line.ask(sql, parameters)
        except BaseException:
            line.close()
            raise
        self._idle.append(line)
        return found

    def _connect(self) -> _Line:
        with self._store.translated("read"):
            lent = self._store.engine.raw_connection()
            connection: Any = lent.driver_connection
            lent.detach()  # ours from now on: the pool's few are for transactions
        if self._on_sqlite:
            return _SqliteLine(connection)
        from connector.scim.reading_postgresql import PostgresqlLine  # noqa: PLC0415 - its driver is an extra

        return PostgresqlLine(connection)


def _numbered() -> Dialect:
    made: Dialect = PGDialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call] # as SQLAlchemy has it
    return made


class _SqliteLine:
    """A connection to a file. The driver keeps its statements compiled."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        connection.execute(f"PRAGMA cache_size=-{_READ_CACHE_KIB}")

    def ask(self, sql: str, parameters: Sequence[Any]) -> Rows:
        found: Rows = self._connection.execute(sql, parameters).fetchall()
        return found

    def close(self) -> None:
        self._connection.close()
