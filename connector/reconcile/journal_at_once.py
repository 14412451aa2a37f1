"""Many rows in one message: what a transaction still has to write travels to PostgreSQL together with its COMMIT.

A message and its answer cost more than writing a row does. Whoever collects messages reads nothing any more, and only
the commit tells that one of them failed: then nothing of the transaction stands. On SQLite there are no messages.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Connection, FromClause, Table, Text, bindparam, cast, column, func
from sqlalchemy.exc import DBAPIError, InternalError
from sqlalchemy.types import TypeEngine

ROWS = "rows"
"""The parameter that carries all rows as one text."""

_COLLECTED = "collected"


def given(columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
    """Give the rows of the parameter `ROWS` as something to select from. PostgreSQL alone knows it."""
    rows = func.json_to_recordset(cast(bindparam(ROWS, type_=Text), JSON))
    named = (column(name, kind) for name, kind in columns.items())
    return rows.table_valued(*named).render_derived(name="given", with_types=True)


def given_rows(table: Table) -> FromClause:
    """As `given`, for whole rows of a table."""
    return given({one.name: one.type for one in table.columns})


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as the parameter `ROWS`. What is JSON in a column stays JSON; every datetime has its zone.

    A text that is not Unicode is refused when it is sent: escaped, two halves of a character would become one.
    """
    return _ENCODER.encode(rows)


def said(conn: Connection, sql: str, parameters: Any) -> Any:
    """Hand a statement to the driver on the transaction's own connection; give its cursor. Raises SQLAlchemy's errors.

    Once `collect` was called it only goes with the commit: the cursor knows nothing, and has nothing to fetch.
    """
    driver: Any = conn.connection.driver_connection
    if (collected := conn.info.get(_COLLECTED)) is not None:
        collected.append((sql, parameters))
        return driver.cursor()
    with _translated(conn, sql):
        return driver.execute(sql, parameters)


def collect(conn: Connection) -> None:
    """Keep what is said from now on for the commit; what goes another way to the database would go before it.

    It is kept here, not on its way: a session amid a pipeline is never idle for PostgreSQL, so that of a process that
    is frozen there no timeout would take the writers' lock.
    """
    if conn.dialect.name != "sqlite":
        conn.info.setdefault(_COLLECTED, [])


def forget(conn: Connection) -> None:
    """Say nothing of what was collected."""
    conn.info.pop(_COLLECTED, None)


def commit(conn: Connection) -> None:
    """Say to PostgreSQL what was collected, and COMMIT, and wait once for its word on all of it.

    Raises SQLAlchemy's errors, also where something had failed before and nobody minded: PostgreSQL then answers a
    COMMIT with ROLLBACK, and calls it no error.
    """
    if conn.dialect.name == "sqlite":
        return
    driver: Any = conn.connection.driver_connection
    collected = conn.info.pop(_COLLECTED, ())
    with _translated(conn, "COMMIT"), _together(driver):
        for sql, parameters in collected:
            driver.execute(sql, parameters)
        told = driver.execute("COMMIT")
    if told.statusmessage != "COMMIT":
        raise InternalError("COMMIT", None, Exception("a part of it had failed, so nothing of it stands"))


@contextmanager
def _together(driver: Any) -> Iterator[None]:
    try:
        with driver.pipeline():
            yield
    finally:
        if driver.info.pipeline_status:
            driver.close()  # nobody else may be given a connection that is still amid it


@contextmanager
def _translated(conn: Connection, sql: str) -> Iterator[None]:
    errors = conn.dialect.loaded_dbapi.Error
    try:
        yield
    except errors as error:
        # Of a connection that ended amid a pipeline the driver says last that it cannot leave it, and first why.
        first = error.__context__ if isinstance(error.__context__, errors) else error
        raise DBAPIError.instance(sql, None, first, errors, hide_parameters=True, dialect=conn.dialect) from first


def _plain(value: Any) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no value of a column")


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain, allow_nan=False)
