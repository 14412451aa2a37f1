"""One statement for many rows, handed to the driver ready made: a batch of thousands is written in one go.

SQLAlchemy's own way works out every parameter of every row anew, and every member of an IN list, and spends more time
in it than the database does. Nothing here opens a transaction or knows a table.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    BindParameter,
    Column,
    Connection,
    Dialect,
    Insert,
    Select,
    Text,
    TypeDecorator,
    Update,
    bindparam,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from connector.reconcile.journal_at_once import ROWS, as_text, said

_MANY = 20
"""From how many rows on it pays to make the statement ready by ourselves: SQLAlchemy keeps what it has compiled."""

_MOST = 5000
"""How many rows are handed over as one text."""

Turn = Callable[[Any], Any]


def execute_many(conn: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute a statement once for each row, all with the same names; none is fine. It may hold no IN list.

    A statement made once, at module level, is also compiled once.
    """
    if len(rows) < _MANY:
        if rows:
            conn.execute(statement, list(rows))
        return
    conn.exec_driver_sql(*_ready(statement, conn.dialect, tuple(rows[0])).filled(rows))


def execute_once(conn: Connection, statement: Insert | Update | Select[Any], values: Mapping[str, Any]) -> Any:
    """Execute a statement that was made once, at module level; give the driver's cursor. It may hold no IN list."""
    sql, filled = _ready(statement, conn.dialect, tuple(values)).filled([values])
    return said(conn, sql, filled[0] if filled else ())


def insert_many(conn: Connection, one: Insert, at_once: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, at least one: by `one` for each of them, or on PostgreSQL by `at_once`, from `given` rows."""
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql(*_ready(one, conn.dialect, tuple(rows[0])).filled(rows))
        return
    for start in range(0, len(rows), _MOST):
        execute_once(conn, at_once, {ROWS: as_text(rows[start : start + _MOST])})


@dataclass(frozen=True, slots=True)
class _Ready:
    """A compiled statement. `order` are its places, where it has no names; `turns` make a driver's value of ours."""

    sql: str
    fixed: Mapping[str, Any]
    order: tuple[str, ...] | None
    turns: Mapping[str, Turn]

    def filled(self, rows: Sequence[Mapping[str, Any]]) -> tuple[str, list[Any]]:
        """Give the statement and the parameters of all rows, made column by column."""
        names = self.order if self.order is not None else tuple(self.fixed)
        columns = (self._column(name, rows) for name in names)
        filled: list[Any] = list(zip(*columns, strict=True))
        return self.sql, filled if self.order is not None else [dict(zip(names, row, strict=True)) for row in filled]

    def _column(self, name: str, rows: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        values = [row[name] for row in rows] if name in rows[0] else [self.fixed[name]] * len(rows)
        turn = self.turns.get(name)
        if turn is None:
            return values
        turned = {value: turn(value) for value in set(values)}  # times and states: few, and the same for many rows
        return [turned[value] for value in values]


@lru_cache(maxsize=64)
def _ready(statement: Insert | Update | Select[Any], dialect: Dialect, names: tuple[str, ...]) -> _Ready:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - what an insert or update compiles to
    turns = {name: turn for name, bind in compiled.binds.items() if (turn := _turn(bind.type, dialect))}
    order = tuple(compiled.positiontup) if compiled.positiontup is not None else None
    return _Ready(str(compiled), compiled.params, order, turns)


def _turn(kind: TypeEngine[Any], dialect: Dialect) -> Turn | None:
    """Give what makes a driver's value of ours; none where it is one already."""
    return kind.dialect_impl(dialect).bind_processor(dialect)


# --- one of many ----------------------------------------------------------------------------------------------------


class _Many(TypeDecorator[Collection[Any]]):
    """A whole list as one parameter: an array on PostgreSQL, JSON on SQLite."""

    impl = Text
    cache_ok = True

    def __init__(self, member: TypeEngine[Any]) -> None:
        super().__init__()
        self.member = member

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Give the type that carries the list."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(self.member))

    def process_bind_param(self, value: Collection[Any] | None, dialect: Dialect) -> Any:
        """Make one value of the list. SQLite's JSON ends a text at NUL, which PostgreSQL takes in none."""
        values = list(value or ())
        if any(isinstance(one, str) and "\0" in one for one in values):
            raise UnicodeError("a text holds a NUL character")
        return json.dumps(values) if dialect.name == "sqlite" else values


class _Among(FunctionElement[Any]):
    # Not called boolean: on SQLite SQLAlchemy would write "= 1" after it, and the index would not be used.
    inherit_cache = True
    name = "among"


def among(column: "Column[Any]", name: str) -> _Among:
    """Say that a column holds one of the values given under this name, however many, as a single parameter."""
    values: BindParameter[Collection[Any]] = bindparam(name, type_=_Many(column.type))
    return _Among(column, values)


@compiles(_Among, "sqlite")
def _on_sqlite(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - a column and the place of a parameter


@compiles(_Among, "postgresql")
def _on_postgresql(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY ({values})"
