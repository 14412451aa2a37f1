"""Transactions of the journal: one verb is one transaction, together with its audit records.

One writer at a time on both databases: SQLite by BEGIN IMMEDIATE, PostgreSQL by the lock on `audit_head`'s row. So a
check made inside a transaction still holds when it commits, which is what makes leases and claims a fence. The time is
the database's, read after the lock is held; the host's clock is never asked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Insert, Row, Table, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from connector.errors import JournalError
from connector.reconcile import journal_audit
from connector.reconcile import journal_tables as tables
from connector.reconcile.journal_at_once import collect, commit, forget
from connector.reconcile.journal_bulk import execute_many, execute_once
from connector.reconcile.journal_engine import database_name

T = TypeVar("T")

Detail = Mapping[str, str | int | bool | None]
"""The machine's half of an audit record."""

Clock = Callable[[Connection], datetime]
"""What says the time of a transaction: the database, but where a test lets leases end without waiting for them."""

_HEAD = select(tables.audit_head).with_for_update()
_SQLITE_TIME = select(func.strftime("%Y-%m-%dT%H:%M:%f+00:00", "now"))
_POSTGRESQL_TIME = select(func.clock_timestamp())
# The row below is locked before the moment above it is asked for: PostgreSQL never pulls up what locks rows.
_LOCKED = select(tables.audit_head.c.records, tables.audit_head.c.mac).with_for_update().subquery("locked")
_HEAD_AND_TIME = select(_LOCKED, func.clock_timestamp())

PART = 5000
"""How many values go into one IN list: below SQLite's 32,766 and PostgreSQL's 65,535 parameters."""


@dataclass(slots=True)
class Writing:
    """One write transaction: its connection, its time, and the audit records that are written with it.

    `foreseen` holds what was read in it for several acts at once, by whoever knows when that stops being true.
    """

    conn: Connection
    now: datetime
    notes: list[journal_audit.Note] = field(default_factory=list)
    foreseen: dict[tuple[str, str], Any] = field(default_factory=dict)

    def note(
        self,
        kind: str,
        subject: str,
        operator: str,
        text: str,
        *,
        person_id: str | None = None,
        run_id: int | None = None,
        detail: Detail | None = None,
    ) -> None:
        """Add an audit record to this transaction. Never put a secret, a password or a session id into it."""
        self.notes.append(journal_audit.Note(kind, subject, operator, text, person_id, run_id, detail or {}))

    def to_the_end(self) -> None:
        """Promise to read nothing any more: what is written from now on reaches PostgreSQL with the commit.

        Where it cannot be written, only the commit says so. It is written by `execute_once`, `insert_many` and what is
        prepared; anything else would reach PostgreSQL before it.
        """
        collect(self.conn)

    def next_id(self, table: Table) -> int:
        """Give the first free id. Safe because there is one writer at a time and rows with ids are never deleted."""
        return int(self.conn.scalar(select(func.coalesce(func.max(table.c.id), 0) + 1)) or 1)


class Store:
    """The engine and the audit key, and the only ways into the database. `clock` asks it for the time."""

    def __init__(self, engine: Engine, audit_key: bytes, clock: Clock | None = None) -> None:
        self.engine = engine
        self.audit_key = audit_key
        self.clock: Clock = clock or database_time
        self._writer = engine.execution_options(journal_writes=True)
        self._on_sqlite = engine.dialect.name == "sqlite"
        self._reader = engine if self._on_sqlite else engine.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Open one write transaction; its audit records are chained and written just before it commits."""
        with self.translated("written"), self._writer.connect() as conn, _committed(conn):
            head, now = (None, self.clock(conn)) if self._on_sqlite else self._locked(conn)
            writing = Writing(conn, now)
            yield writing
            if writing.notes:
                # On SQLite the transaction began with the lock: the head is read where there is something to chain.
                head = head or conn.execute(_HEAD).one()
                writing.to_the_end()
                journal_audit.append(conn, self.audit_key, head, now, writing.notes)

    def _locked(self, conn: Connection) -> tuple[journal_audit.Head | Row[Any], datetime]:
        """Take PostgreSQL's lock of the one writer; give the head of the audit trail, and the time then."""
        if self.clock is not database_time:
            return conn.execute(_HEAD).one(), self.clock(conn)
        found = execute_once(conn, _HEAD_AND_TIME, {}).fetchall()
        if len(found) != 1:
            raise self._refusal("written", f"its audit trail has {len(found)} heads, not one")
        *head, now = found[0]
        return journal_audit.Head(*head), now.astimezone(UTC)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open one read transaction that sees one state of the journal throughout."""
        with self.translated("read"), self._reader.begin() as conn:
            yield conn

    @contextmanager
    def translated(self, verb: str) -> Iterator[None]:
        """Turn what the database says into a JournalError, here and nowhere else."""
        try:
            yield
        except SQLAlchemyError as error:
            raise self._refusal(verb, str(getattr(error, "orig", None) or type(error).__name__)) from error
        except UnicodeError as error:
            raise self._refusal(verb, "a text in it is not Unicode") from error

    def _refusal(self, verb: str, said: str) -> JournalError:
        return JournalError(
            f"The journal {database_name(self.engine)} could not be {verb}: {' '.join(said.split())}.",
            "Nothing is done without it. Check the database, its space and its permissions, then start again.",
        )


@contextmanager
def _committed(conn: Connection) -> Iterator[None]:
    """Commit at the end; where that fails, or anything before it, undo all."""
    transaction = conn.begin()
    try:
        yield
        commit(conn)
        transaction.commit()
    except BaseException:
        with suppress(SQLAlchemyError):  # only what follows from the first: a lost connection leaves the pool
            forget(conn)
            transaction.rollback()
        raise


def database_time(conn: Connection) -> datetime:
    """Ask the database what time it is, in UTC. On PostgreSQL the moment now, not the transaction's beginning."""
    if conn.dialect.name == "sqlite":
        return datetime.fromisoformat(str(conn.scalar(_SQLITE_TIME)))
    moment: datetime = conn.execute(_POSTGRESQL_TIME).scalar_one()
    return moment.astimezone(UTC)


def upsert(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, or replace those with the same primary key."""
    if not rows:
        return
    execute_many(conn, _upsert_of(table, tuple(rows[0]), conn.dialect.name), rows)


@lru_cache(maxsize=64)
def _upsert_of(table: Table, names: tuple[str, ...], dialect: str) -> Insert:
    statement = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in names if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def insert_rows(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert many rows in one go, all with the same columns; none is fine."""
    execute_many(conn, _insert_of(table), rows)


@lru_cache(maxsize=64)
def _insert_of(table: Table) -> Insert:
    return insert(table)


def parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut a sequence into parts that fit an IN list."""
    for start in range(0, len(values), PART):
        yield values[start : start + PART]
