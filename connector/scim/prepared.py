"""Statements compiled once and handed to the driver ready made.

An identity provider asks for the same few rows around the clock: what SQLAlchemy works out anew for every execution
costs several times what the database does. Nothing here knows a table; nothing here writes outside a transaction.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

from connector.reconcile.journal_at_once import as_text, said


class Prepared:
    """A statement, compiled once for each way to number parameters. Values go in by name; no IN list may be in it.

    `at_once` does the same for many rows that PostgreSQL is given as one parameter.
    """

    def __init__(self, statement: Executable, at_once: "Prepared | None" = None) -> None:
        self._at_once = at_once
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
        if rows and self._at_once is not None and conn.dialect.name == "postgresql":
            self._at_once.write(conn, rows=as_text(rows))
        elif rows:
            ready = [self.ready(conn.dialect, row) for row in rows]
            conn.exec_driver_sql(ready[0][0], [parameters for _, parameters in ready])

    def _said(self, conn: Connection, values: Mapping[str, Any]) -> Any:
        """Hand it to the driver on the transaction's own connection, and give the cursor."""
        return said(conn, *self.ready(conn.dialect, values))

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
        sql, turns, fixed, order = self._compiled.get(dialect.paramstyle) or self._compile(dialect)
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
        self._compiled[dialect.paramstyle] = made
        return made
