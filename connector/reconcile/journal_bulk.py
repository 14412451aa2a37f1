"""One statement for many rows, handed to the driver ready made: a batch of thousands is written in one go.

SQLAlchemy's own way works out every parameter of every row anew and spends more time in it than the database does.
Nothing here opens a transaction or knows a table.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, Insert, Update
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

_MANY = 20
"""From how many rows on it pays to make the statement ready by ourselves: SQLAlchemy keeps what it has compiled."""


def execute_many(conn: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute a statement once for each row, all with the same names; none is fine. It may hold no IN list."""
    if len(rows) < _MANY:
        if rows:
            conn.execute(statement, list(rows))
        return
    compiled = statement.compile(dialect=conn.dialect, column_keys=list(rows[0]))
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - what an insert or update compiles to
    turns = {name: turn for name, bind in compiled.binds.items() if (turn := _turn(bind.type, conn.dialect))}
    fixed, order = compiled.params, compiled.positiontup
    ready: list[Any] = []
    for row in rows:
        values = {**fixed, **row}
        values.update({name: turn(values[name]) for name, turn in turns.items()})
        ready.append(tuple(values[name] for name in order) if order is not None else values)
    conn.exec_driver_sql(str(compiled), ready)


def _turn(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """Give what makes a driver's value of ours; none where it is one already."""
    return kind.dialect_impl(dialect).bind_processor(dialect)
