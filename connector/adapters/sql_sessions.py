"""Sessions in a table of an SQL database, one row each; table and columns are mapped in the config.

Never ends a row that is not exactly the one that was judged (the DELETE repeats id, user and portal), and never shows a
session id. Users are compared here and not by the database: SQLite's and PostgreSQL's lower() are not the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from connector.adapters.database import Database
from connector.adapters.session_reading import whole_reading
from connector.adapters.sweep import Sweep
from connector.adapters.table import did_you_mean
from connector.adapters.timestamps import moment
from connector.errors import ConnectorError, SourceError, TargetUnreachable
from connector.interfaces import Secret, Site
from connector.model import (
    EndSessions,
    Finding,
    LegState,
    Level,
    Outcome,
    Session,
    SessionKey,
    SessionsReading,
)

_PER_FETCH = 2000
_PER_DELETE = 200  # three values each: below the 999 that old SQLite takes in one statement
_SAMPLE = 10_000
_LONGEST_USER = 512


@dataclass(frozen=True, slots=True)
class SessionColumns:
    """What the table's columns are called; an empty name means there is no such column."""

    session_id: str = "session_id"
    user: str = "username"
    portal: str = ""
    created_at: str = ""
    last_seen_at: str = ""
    expires_at: str = ""


@dataclass(frozen=True, slots=True)
class SqlSessionSettings:
    """Where the table is and how to read it.

    `table` may name a schema (`auth.sessions`). `portal` is the portal of every row where no column names it. Times are
    ISO-8601 text, epoch numbers or native; `naive_times` says what those without a zone are: UTC, or the school's.
    """

    url: str
    table: str
    columns: SessionColumns = SessionColumns()
    password: Secret | None = None
    portal: str = ""
    user_key: SessionKey = SessionKey.USERNAME
    naive_times: Literal["utc", "local"] = "utc"


@dataclass(frozen=True, slots=True, repr=False)
class _Row:
    """A session, with the values as the database gave them: the DELETE repeats these."""

    session_id: Any
    user: Any
    portal: Any
    session: Session


class SqlSessionStore:
    """A session store in an SQL table."""

    Settings = SqlSessionSettings

    def __init__(self, name: str, settings: SqlSessionSettings, site: Site) -> None:
        self._name = name
        self._settings = settings
        self._naive = UTC if settings.naive_times == "utc" else site.zone
        self._columns = {ours: theirs for ours, theirs in asdict(settings.columns).items() if theirs}
        self._database = Database(f"Session store {name}", settings.url, settings.password, site)

    @property
    def user_key(self) -> SessionKey:
        """What the user value of this store's sessions is."""
        return self._settings.user_key

    def read_all(self) -> SessionsReading:
        """Read every live session that has a user."""
        with self._database.reading() as connection:
            table = self._table(connection)
            sessions = [row.session for row in self._rows(connection, self._query(table))]
        source = f"{self._database.address.place}, {self._settings.table}"
        return whole_reading(self._name, source, self._settings.user_key, sessions)

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        """End what the batch names: one look at the table, then conditional deletes, each read back."""
        sweep = Sweep[int](batch, self._settings.user_key)
        named: list[tuple[_Row, int]] = []
        try:
            table = self._look(sweep, named)
            for start in range(0, len(named), _PER_DELETE):
                self._end(table, named[start : start + _PER_DELETE], start, sweep)
        except TargetUnreachable as error:
            return sweep.failed(LegState.UNREACHABLE, _without_ids(str(error), named))
        except ConnectorError as error:
            return sweep.failed(LegState.REFUSED, _without_ids(str(error), named))
        return sweep.outcomes()

    def check(self) -> tuple[Finding, ...]:
        """Look at table, columns, rights and a sample of rows."""
        try:
            with self._database.reading() as connection:
                return tuple(self._findings(connection))
        except ConnectorError as error:
            return (Finding(Level.ERROR, self._name, error.message, error.remedy),)

    def disconnect(self) -> None:
        """Let go of connections."""
        self._database.disconnect()

    # --- reading ------------------------------------------------------------------------------------------------

    def _table(self, connection: sa.Connection) -> sa.TableClause:
        """Give the configured table. Raises SourceError naming the nearest table or column where it is not there."""
        schema, _, name = self._settings.table.rpartition(".")
        looked_at = sa.inspect(connection)
        if not looked_at.has_table(name, schema=schema or None):
            known = [*looked_at.get_table_names(schema or None), *looked_at.get_view_names(schema or None)]
            raise SourceError(
                f"Session store {self._name}: no table {self._settings.table}. {did_you_mean(name, known)}".strip(),
                "Correct table in the configuration, or let its database user see it.",
            )
        self._refuse_missing_columns([column["name"] for column in looked_at.get_columns(name, schema=schema or None)])
        columns: Iterator[sa.ColumnClause[Any]] = (
            sa.column(theirs) for theirs in dict.fromkeys(self._columns.values())
        )
        return sa.table(name, *columns, schema=schema or None)

    def _refuse_missing_columns(self, known: Sequence[str]) -> None:
        for ours, theirs in self._columns.items():
            if theirs not in known:
                where = f"Session store {self._name}: table {self._settings.table}"
                raise SourceError(
                    f"{where} has no column {theirs}. {did_you_mean(theirs, known)}".strip(),
                    f"Correct columns.{ours} in the configuration.",
                )

    def _query(self, table: sa.TableClause) -> sa.Select[Any]:
        return sa.select(*(table.c[theirs].label(ours) for ours, theirs in self._columns.items()))

    def _rows(self, connection: sa.Connection, query: sa.Select[Any]) -> Iterator[_Row]:
        """Give the rows that are live sessions of somebody, in portions."""
        now = datetime.now(UTC)
        for raw in connection.execution_options(yield_per=_PER_FETCH).execute(query).mappings():
            user, expires_at = _text(raw["user"]), moment(raw.get("expires_at"), self._naive)
            # An expiry that cannot be read is no expiry: better to end a dead session than to miss a live one.
            if not user or (expires_at is not None and expires_at <= now):
                continue
            portal = _text(raw.get("portal")) or self._settings.portal
            created_at = moment(raw.get("created_at"), self._naive)
            last_seen_at = moment(raw.get("last_seen_at"), self._naive)
            session = Session(self._name, portal, user, str(raw["session_id"]), created_at, last_seen_at)
            yield _Row(raw["session_id"], raw["user"], raw.get("portal"), session)

    # --- ending -------------------------------------------------------------------------------------------------

    def _look(self, sweep: Sweep[int], named: list[tuple[_Row, int]]) -> sa.TableClause:
        """Put every row an item of the batch names on the list. The look ends before the first delete begins."""
        with self._database.reading() as connection:
            table = self._table(connection)
            for row in self._rows(connection, self._query(table)):
                index = sweep.item_for(row.session)
                if index is not None:
                    named.append((row, index))
        return table

    def _end(self, table: sa.TableClause, named: Sequence[tuple[_Row, int]], start: int, sweep: Sweep[int]) -> None:
        """Delete these rows if they still are as judged, then read back which of them stand."""
        doomed = sa.or_(*(self._same(table, row) for row, _ in named))
        session_id = table.c[self._columns["session_id"]]
        with self._database.writing() as connection:
            deleted = set(connection.scalars(sa.delete(table).where(doomed).returning(session_id)))
        with self._database.reading() as connection:
            standing = set(connection.scalars(sa.select(session_id).where(doomed)))
        for key, (row, index) in enumerate(named, start):
            if row.session_id in standing:
                sweep.standing(key, index)
            elif row.session_id in deleted:
                sweep.ended(key, index)

    def _same(self, table: sa.TableClause, row: _Row) -> sa.ColumnElement[bool]:
        """Say that a row still is the one judged: an id given to somebody else in between is another session."""
        judged = {"session_id": row.session_id, "user": row.user, "portal": row.portal}
        return sa.and_(*(table.c[self._columns[ours]] == raw for ours, raw in judged.items() if ours in self._columns))

    # --- saying -------------------------------------------------------------------------------------------------

    def _findings(self, connection: sa.Connection) -> Iterator[Finding]:
        table = self._table(connection)
        if not _may_delete(connection, table):
            yield Finding(
                Level.ERROR,
                self._name,
                f"Its database user sees sessions in {self._settings.table} and may not end them: no right to DELETE.",
                f"GRANT SELECT, DELETE ON {self._settings.table} to it.",
            )
        unreadable = self._unreadable_times(connection, table)
        if unreadable:
            yield Finding(
                Level.WARNING,
                self._name,
                f"Times that cannot be read stand in {', '.join(sorted(unreadable))} of {self._settings.table}.",
                "They count as not there: no beginning, no end. Check columns in the configuration.",
            )
        sample = self._query(table).limit(_SAMPLE)
        live = sum(1 for _ in self._rows(connection, sample))
        yield Finding(
            Level.OK, self._name, f"{self._settings.table} can be read; {live} live sessions in the rows looked at."
        )

    def _unreadable_times(self, connection: sa.Connection, table: sa.TableClause) -> set[str]:
        times = [ours for ours in ("created_at", "last_seen_at", "expires_at") if ours in self._columns]
        rows = connection.execute(self._query(table).limit(_SAMPLE)).mappings()
        return {
            self._columns[ours]
            for row in rows
            for ours in times
            if row[ours] not in (None, "") and moment(row[ours], self._naive) is None
        }


def _text(value: object) -> str:
    """Give a user or portal as text; what is neither text nor an id is nobody."""
    if isinstance(value, (int, UUID)) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and len(value) <= _LONGEST_USER else ""


def _may_delete(connection: sa.Connection, table: sa.TableClause) -> bool:
    if connection.dialect.name != "postgresql":
        return True
    name = connection.dialect.identifier_preparer.format_table(table)
    return bool(connection.scalar(sa.select(sa.func.has_table_privilege(name, "DELETE"))))


def _without_ids(text: str, named: Sequence[tuple[_Row, int]]) -> str:
    """Take session ids out of a database's own words: a trigger may quote the row it refuses."""
    for row, _ in named:
        if row.session.session_id in text:
            text = text.replace(row.session.session_id, "***")
    return text
