"""A place where a journal is, or is to be: looked at, backed up, filled and retired without being opened for work.

It takes a journal of any revision, and one that has moved. Must never let two places go on as the same journal: one
that has moved refuses every write, also of a process that had it open before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Table, func, inspect, select, text

from connector.errors import JournalError, NoJournal, RunInProgress
from connector.reconcile import journal_tables as tables
from connector.reconcile.journal_audit import KEY_BYTES, key_check
from connector.reconcile.journal_backup import BACKED_UP, tables_of
from connector.reconcile.journal_columns import UtcDateTime
from connector.reconcile.journal_engine import database_name, open_engine
from connector.reconcile.journal_migrate import MOVED, version_of
from connector.reconcile.journal_store import Store, database_time
from connector.reconcile.journal_trail import Trail
from connector.reconcile.journal_values import AuditState

_FUNCTION = "connector_journal_moved"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Holding:
    """What one table holds: how many rows, and from when the first and the last of them are, where they say so."""

    table: str
    rows: int
    oldest: datetime | None
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class PlaceState:
    """What can be said of a journal where it lies. `audit` only where its tables are of this version."""

    where: str
    revision: str
    wanted: str
    size: int
    holdings: tuple[Holding, ...]
    audit: AuditState | None
    backed_up: str
    moved_to: str


class Place:
    """A database, the audit key, and what is done with the journal in it as a whole."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @classmethod
    def open(cls, url: str, *, audit_key: bytes, password: str, silence_seconds: int, create: bool = False) -> Self:
        """Go to a place; with `create` an SQLite file is made there. Raises JournalError, NoJournal without a file."""
        if len(audit_key) < KEY_BYTES:
            raise JournalError(
                f"The audit key is {len(audit_key)} bytes long; a journal has one of {KEY_BYTES} or more."
            )
        return cls(Store(open_engine(url, password, create=create, silence_seconds=silence_seconds), audit_key))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.engine.dispose()

    @property
    def where(self) -> str:
        """Name the place, without any secret."""
        return database_name(self.store.engine)

    def require(self, *, moved: bool = False) -> str:
        """Give the revision of the journal here. Raises NoJournal, or JournalError: moved, or another's key."""
        with self.store.reading() as conn:
            revision = version_of(conn, moved=moved)
            if revision is None:
                raise NoJournal(f"There is no journal in {self.where}.", "Check [journal] url.")
            if conn.scalar(select(tables.audit_head.c.key_check)) != key_check(self.store.audit_key):
                raise JournalError(
                    f"The audit key is not the one the journal {self.where} was begun with.",
                    "Give the key it was begun with.",
                )
        return revision

    def state(self) -> PlaceState:
        """Say what is here."""
        revision = self.require(moved=True)
        with self.store.reading() as conn:
            holdings = tuple(_holding(conn, table) for table in tables_of(conn))
            size, moved_to, backed_up = self._size(conn), _moved_to(conn), _backed_up(conn)
        audit = Trail(self.store).verify() if revision == tables.HEAD else None
        return PlaceState(self.where, revision, tables.HEAD, size, holdings, audit, backed_up, moved_to)

    def _size(self, conn: Connection) -> int:
        if conn.dialect.name == "postgresql":
            return int(conn.scalar(text("SELECT pg_database_size(current_database())")) or 0)
        found = (Path(f"{self.store.engine.url.database}{end}") for end in ("", "-wal"))
        return sum(path.stat().st_size for path in found if path.exists())

    def moved_to(self) -> str:
        """Say where the journal goes on; empty where it is here."""
        with self.store.reading() as conn:
            return _moved_to(conn)

    # --- moving -----------------------------------------------------------------------------------------------------

    def retire(self, to: str, operator: str) -> None:
        """Let nothing be written here any more, by anybody, since it goes on there. Raises RunInProgress: in use."""
        with self.store.writing() as writing:
            _refuse_in_use(writing.conn, writing.now)
            sentence = f"This journal moves to {to}, by {operator}."
            writing.note("journal-moves", "journal", operator, sentence, detail={"to": to})
        with self._altering() as conn:
            _refuse_in_use(conn, database_time(conn))
            names = [table.name for table in tables_of(conn)]
            conn.execute(text(f"CREATE TABLE {MOVED} (url TEXT NOT NULL)"))
            conn.execute(text(f"INSERT INTO {MOVED} VALUES (:url)"), {"url": to})  # noqa: S608 - our own name
            for statement in _forbidding(conn.dialect.name, names):
                conn.exec_driver_sql(statement)

    def take_up(self) -> None:
        """Take a retirement back: what was to go on elsewhere goes on here."""
        with self._altering() as conn:
            if conn.dialect.name == "postgresql":
                conn.exec_driver_sql(f"DROP FUNCTION {_FUNCTION} CASCADE")
            else:
                found = conn.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
                for name in (name for name in found if name.startswith(MOVED)):
                    conn.exec_driver_sql(f"DROP TRIGGER {name}")
            conn.exec_driver_sql(f"DROP TABLE {MOVED}")

    @contextmanager
    def _altering(self) -> Iterator[Connection]:
        with (
            self.store.translated("written"),
            self.store.engine.execution_options(journal_writes=True).begin() as conn,
        ):
            conn.execute(select(tables.audit_head).with_for_update())
            yield conn


def _refuse_in_use(conn: Connection, now: datetime) -> None:
    for table in (tables.leases, tables.claims):
        held = conn.execute(select(table).where(table.c.expires_at > now).limit(1)).first()
        if held is not None:
            raise RunInProgress(
                f"The journal is in use until {held.expires_at:%H:%M:%S} UTC at least. Nothing was moved.",
                "Stop the daemon, the endpoint and every run that work on it, then try again.",
            )


def _forbidding(dialect: str, names: list[str]) -> Iterator[str]:
    """Make the database itself refuse writes: a process that has the journal open does not look for a mark."""
    what = "it has moved, and goes on elsewhere; set [journal] url to that place"
    if dialect == "postgresql":
        yield (
            f"CREATE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{what}'; END $$"
        )
        for name in names:
            yield (
                f'CREATE TRIGGER {MOVED} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON "{name}" '
                f"FOR EACH STATEMENT EXECUTE FUNCTION {_FUNCTION}()"
            )
        return
    for name in names:
        for verb in ("INSERT", "UPDATE", "DELETE"):
            yield (
                f'CREATE TRIGGER {MOVED}_{name}_{verb.lower()} BEFORE {verb} ON "{name}" '
                f"BEGIN SELECT RAISE(ABORT, '{what}'); END"
            )


# --- what is here ---------------------------------------------------------------------------------------------------


def _holding(conn: Connection, table: Table) -> Holding:
    count = conn.scalar(select(func.count()).select_from(table)) or 0
    moments = [column for column in table.columns if isinstance(column.type, UtcDateTime)]
    when: Any = next((column for column in moments if not column.nullable), None)
    if when is None:
        return Holding(table.name, count, None, None)
    # A claim that was given back has run out at the beginning of time.
    since = select(func.min(when), func.max(when)).where(when > _BEGINNING)
    oldest, newest = conn.execute(since).one()
    return Holding(table.name, count, oldest, newest)


def _backed_up(conn: Connection) -> str:
    """Give what the trail says of the last backup; empty where it tells of none."""
    table = tables.audit
    newest = select(table.c.at, table.c.text).where(table.c.kind == BACKED_UP).order_by(table.c.id.desc()).limit(1)
    found = conn.execute(newest).one_or_none()
    return f"{found.at:%Y-%m-%d %H:%M} UTC: {found.text}" if found else ""


def _moved_to(conn: Connection) -> str:
    if MOVED not in inspect(conn).get_table_names():
        return ""
    return str(conn.scalar(text(f"SELECT url FROM {MOVED}")))  # noqa: S608 - our own name
