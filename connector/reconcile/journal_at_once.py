"""Many rows in one message: what a transaction still has to write travels to PostgreSQL together with its COMMIT.

A message and its answer cost more than writing a row does. Whoever collects messages reads nothing any more, and only
the commit tells that one of them failed: then nothing of the transaction stands. On SQLite there are no messages.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Connection, FromClause, Table, Text, bindparam, cast, column, func
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

ROWS = "rows"
"""The parameter that carries all rows as one text."""


def given(columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
    """Give the rows of the parameter `ROWS` as something to select from. PostgreSQL alone knows it."""
    rows = func.json_to_recordset(cast(bindparam(ROWS, type_=Text), JSON))
    named = (column(name, kind) for name, kind in columns.items())
    return rows.table_valued(*named).render_derived(name="given", with_types=True)


def given_rows(table: Table) -> FromClause:
    """As `given`, for whole rows of a table."""
    return given({one.name: one.type for one in table.columns})


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as the parameter `ROWS`. What is JSON in a column stays JSON; every datetime has its zone."""
    return _ENCODER.encode(rows)


def said(conn: Connection, sql: str, parameters: Any) -> Any:
    """Hand a statement to the driver on the transaction's own connection; give its cursor. Raises SQLAlchemy's errors.

    Inside `together` nothing is known of it before that ends.
    """
    driver: Any = conn.connection.driver_connection
    errors = conn.dialect.loaded_dbapi.Error
    try:
        return driver.execute(sql, parameters)
    except errors as error:
        raise DBAPIError.instance(sql, None, error, errors, hide_parameters=True, dialect=conn.dialect) from error


def together(conn: Connection) -> AbstractContextManager[Any]:
    """Collect what is said inside, and wait once for all of it; for a COMMIT inside it is waited at once."""
    return nullcontext() if conn.dialect.name == "sqlite" else _collected(conn)


@contextmanager
def _collected(conn: Connection) -> Iterator[None]:
    driver: Any = conn.connection.driver_connection
    errors = conn.dialect.loaded_dbapi.Error
    try:
        with driver.pipeline():
            yield
    except errors as error:
        raise DBAPIError.instance("", None, error, errors, hide_parameters=True, dialect=conn.dialect) from error


def _plain(value: Any) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no value of a column")


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_plain, allow_nan=False)
