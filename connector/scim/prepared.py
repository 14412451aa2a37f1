"""Statements compiled once and handed to the driver ready made, and the read connections they run on.

An identity provider asks for the same few rows around the clock: what SQLAlchemy works out anew for every execution
costs several times what the database does. Nothing here knows a table; nothing here writes outside a transaction.
"""

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

from connector.errors import JournalError
from connector.reconcile.journal_store import Store

_READ_CACHE_KIB = 4096
"""Of SQLite's page cache, for each read connection: the system's own cache holds the rest."""


class Prepared:
    """A statement that is compiled once for each dialect. Values go in by name; no IN list may be in it."""

    def __init__(self, statement: Executable) -> None:
        assert isinstance(statement, ClauseElement)  # noqa: S101 - what every Core statement is
        self._statement = statement
        self._compiled: dict[str, tuple[str, Any, Mapping[str, Any], Sequence[str] | None]] = {}
        self._makers: dict[str, Callable[[Sequence[Any]], Any]] = {}

    def write(self, conn: Connection, **values: Any) -> int:
        """Execute it in a transaction; give how many rows it met. Raises what SQLAlchemy raises."""
        met: int = self._said(conn, values).rowcount
        return met

    def first(self, conn: Connection, **values: Any) -> Any:
        """Read in a transaction; give the first row, its columns by name and as their types are, or None."""
        found = self._said(conn, values).fetchone()
        return None if found is None else self._made(conn.dialect)(found)

    def all(self, conn: Connection, **values: Any) -> list[Any]:
        """Read in a transaction; give every row as `first` does."""
        return list(map(self._made(conn.dialect), self._said(conn, values).fetchall()))

    def _made(self, dialect: Dialect) -> Callable[[Sequence[Any]], Any]:
        return self._makers.get(dialect.name) or self._maker(dialect)

    def write_many(self, conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute it once for each row; none is fine."""
        if rows:
            ready = [self.ready(conn.dialect, row) for row in rows]
            conn.exec_driver_sql(ready[0][0], [parameters for _, parameters in ready])

    def _said(self, conn: Connection, values: Mapping[str, Any]) -> Any:
        """Hand it to the driver on the transaction's own connection, and give the cursor."""
        dialect = conn.dialect
        sql, parameters = self.ready(dialect, values)
        driver: Any = conn.connection.driver_connection
        errors = dialect.loaded_dbapi.Error
        try:
            return driver.execute(sql, parameters)
        except errors as error:
            raise DBAPIError.instance(sql, None, error, errors, hide_parameters=True, dialect=dialect) from error

    def _maker(self, dialect: Dialect) -> Callable[[Sequence[Any]], Any]:
        """Give what makes a row of ours of a driver's."""
        statement: Any = self._statement  # a SELECT: nothing else gives rows here
        columns = statement.selected_columns
        row = namedtuple("row", [column.key for column in columns])  # type: ignore[misc]  # noqa: PYI024 - known only now
        kinds = (column.type.dialect_impl(dialect) for column in columns)
        turns = [(place, turn) for place, kind in enumerate(kinds) if (turn := kind.result_processor(dialect, None))]

        def make(found: Sequence[Any]) -> Any:
            turned = list(found)
            for place, turn in turns:
                turned[place] = turn(turned[place])
            return row(*turned)

        self._makers[dialect.name] = make
        return make

    def ready(self, dialect: Dialect, values: Mapping[str, Any]) -> tuple[str, Any]:
        """Give the statement and its parameters as the driver takes them."""
        sql, turns, fixed, order = self._compiled.get(dialect.name) or self._compile(dialect)
        turned = {**fixed, **values}
        for name, turn in turns:
            turned[name] = turn(turned[name])
        return sql, tuple(turned[name] for name in order) if order is not None else turned

    def _compile(self, dialect: Dialect) -> tuple[str, Any, Mapping[str, Any], Sequence[str] | None]:
        compiled = self._statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - what a statement compiles to
        kinds = ((name, bind.type.dialect_impl(dialect)) for name, bind in compiled.binds.items())
        turns = tuple((name, turn) for name, kind in kinds if (turn := kind.bind_processor(dialect)))
        fixed = {name: value for name, value in compiled.params.items() if value is not None}
        order = tuple(compiled.positiontup) if compiled.positiontup is not None else None
        made = str(compiled), turns, fixed, order
        self._compiled[dialect.name] = made
        return made


class Reader:
    """Reads single statements, each seeing one state of the database, on connections that are kept open."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._engine: Engine = store.engine
        self._dialect = self._engine.dialect
        self._errors = self._dialect.loaded_dbapi.Error
        self._idle: list[Any] = []

    def rows(self, statement: Prepared, **values: Any) -> list[tuple[Any, ...]]:
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

    def _ask(self, sql: str, parameters: Any) -> list[tuple[Any, ...]]:
        with self._connection() as connection:
            found: list[tuple[Any, ...]] = connection.execute(sql, parameters).fetchall()
            return found

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def _connect(self) -> Any:
        with self._store.translated("read"):
            lent = self._engine.raw_connection()
            connection: Any = lent.driver_connection
            lent.detach()  # ours from now on: the pool's few are for transactions
        if self._dialect.name == "sqlite":
            connection.execute(f"PRAGMA cache_size=-{_READ_CACHE_KIB}")
        else:
            connection.autocommit = True
        return connection
