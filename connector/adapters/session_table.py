"""A table of sessions in an SQL database: looked through once per batch, and conditional deletes, each read back.

Never ends a row that is not exactly the one that was judged (the DELETE repeats what the judgement rests on), and never
shows a session id. What a row means is the store's own word: it hands in a layout with a judge.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from enum import Enum
from typing import Any, cast

import sqlalchemy as sa

from connector.adapters.database import Database
from connector.adapters.sweep import Sweep, Watched
from connector.adapters.table import did_you_mean
from connector.adapters.timestamps import moment
from connector.errors import ConnectorError, SourceError, TargetUnreachable
from connector.model import EndSessions, Finding, LegState, Level, Outcome, Session, SessionKey
from connector.permission import before_send

_PER_FETCH = 2000
_PER_LOOK = 500
_PER_DELETE = 200  # three values each: below the 999 that old SQLite takes in one statement
_SAMPLE = 10_000
_TRIES = 3
_TIMES = ("created_at", "last_seen_at", "expires_at")


class Nobody(Enum):
    """Why a row is no live session of anybody."""

    SIGNED_IN = "nobody is signed in, or it has expired"
    READABLE = "its value cannot be read"


Judge = Callable[[Mapping[str, Any]], Session | Nobody]


@dataclass(frozen=True, slots=True)
class TableLayout:
    """What the table is called, its columns (our word to theirs; empty: none) and what a row of it means.

    `session_id` must be among the columns. `compared` are those the judgement rests on: a DELETE repeats their values.
    """

    table: str
    columns: Mapping[str, str]
    compared: tuple[str, ...]
    naive_times: tzinfo
    judge: Judge
    unreadable_remedy: str = ""


@dataclass(slots=True)
class _Met:
    """What a walk over the rows met."""

    live: int = 0
    rows: int = 0
    unreadable: int = 0

    @property
    def remark(self) -> str:
        return f"{self.unreadable} of {self.rows} rows could not be read and were left alone." * bool(self.unreadable)


@dataclass(frozen=True, slots=True, repr=False)
class _Row:
    """A session, with the values as the database gave them: the DELETE repeats these."""

    raw: Mapping[str, Any]
    session: Session

    @property
    def key(self) -> tuple[Any, str]:
        return (self.raw["session_id"], self.session.user)


_Named = list[tuple[_Row, int]]


class SessionTable:
    """One table of sessions."""

    def __init__(self, name: str, database: Database, layout: TableLayout) -> None:
        self._name = name
        self._database = database
        self._layout = layout
        self._columns = {ours: theirs for ours, theirs in layout.columns.items() if theirs}
        self._watched = Watched[tuple[Any, str]]()
        self._looked_at: sa.TableClause | None = None

    @property
    def source(self) -> str:
        """Where its readings come from."""
        return f"{self._database.address.place}, {self._layout.table}"

    def sessions(self) -> list[Session]:
        """Read every live session that has a user. Raises SourceError where no row at all can be read."""
        met = _Met()
        with self._database.reading() as connection:
            table = self._table(connection)
            found = [row.session for row in self._rows(connection, self._query(table), met)]
        self._refuse_unreadable(met)
        return found

    def close(self, batch: Sequence[EndSessions], user_key: SessionKey) -> tuple[Outcome, ...]:
        """End what the batch names: one look at the table, then conditional deletes, each read back."""
        sweep, met = Sweep[tuple[Any, str]](batch, user_key), _Met()
        named: _Named = []
        try:
            table = self._look(sweep, named, met)
            for start in range(0, len(named), _PER_DELETE):
                self._end_named(table, named[start : start + _PER_DELETE], sweep)
        except TargetUnreachable as error:
            return sweep.failed(LegState.UNREACHABLE, _without_ids(str(error), named))
        except ConnectorError as error:
            return sweep.failed(LegState.REFUSED, _without_ids(str(error), named))
        finally:
            self._watched.note(sweep, batch)
        return sweep.outcomes(met.remark)

    def end_again(self, batch: Sequence[EndSessions], user_key: SessionKey) -> frozenset[EndSessions]:
        """End what was ended for these items and came back, each row only while it still is this user's session."""
        sweep, ids = Sweep[tuple[Any, str]](batch, user_key), [key[0] for key in self._watched.keys(batch)]
        table = self._looked_at
        if table is not None:
            for start in range(0, len(ids), _PER_LOOK):
                named = self._standing(table, ids[start : start + _PER_LOOK], sweep)
                for first in range(0, len(named), _PER_DELETE):
                    self._end_named(table, named[first : first + _PER_DELETE], sweep)
        return sweep.met

    def forget(self) -> None:
        """Keep nothing of what was ended."""
        self._watched.forget()

    def check(self) -> tuple[Finding, ...]:
        """Look at table, columns, rights and a sample of rows."""
        try:
            with self._database.reading() as connection:
                return tuple(self._findings(connection))
        except ConnectorError as error:
            return (Finding(Level.ERROR, self._name, error.message, error.remedy),)

    # --- reading ------------------------------------------------------------------------------------------------

    def _table(self, connection: sa.Connection) -> sa.TableClause:
        """Give the configured table. Raises SourceError naming the nearest table or column where it is not there."""
        schema, _, name = self._layout.table.rpartition(".")
        looked_at = sa.inspect(connection)
        if not looked_at.has_table(name, schema=schema or None):
            known = [*looked_at.get_table_names(schema or None), *looked_at.get_view_names(schema or None)]
            raise SourceError(
                f"Session store {self._name}: no table {self._layout.table}. {did_you_mean(name, known)}".strip(),
                "Correct table in the configuration, or let its database user see it.",
            )
        types = {column["name"]: column["type"] for column in looked_at.get_columns(name, schema=schema or None)}
        self._refuse_missing_columns(list(types))
        wanted = dict.fromkeys(self._columns.values())
        columns: list[sa.ColumnClause[Any]] = [sa.column(theirs, _plain(types[theirs])) for theirs in wanted]
        return sa.table(name, *columns, schema=schema or None)

    def _refuse_missing_columns(self, known: Sequence[str]) -> None:
        for ours, theirs in self._columns.items():
            if theirs not in known:
                where = f"Session store {self._name}: table {self._layout.table}"
                raise SourceError(
                    f"{where} has no column {theirs}. {did_you_mean(theirs, known)}".strip(),
                    f"Correct columns.{ours} in the configuration.",
                )

    def _query(self, table: sa.TableClause) -> sa.Select[Any]:
        return sa.select(*(self._column(table, ours).label(ours) for ours in self._columns))

    def _column(self, table: sa.TableClause, ours: str) -> sa.ColumnElement[Any]:
        column = table.c[self._columns[ours]]
        # PostgreSQL compares no json; its text is exactly what was judged.
        return sa.cast(column, sa.Text) if isinstance(column.type, sa.JSON) else column

    def _rows(self, connection: sa.Connection, query: sa.Select[Any], met: _Met) -> Iterator[_Row]:
        """Give the rows that are live sessions of somebody, in portions."""
        for raw in connection.execution_options(yield_per=_PER_FETCH).execute(query).mappings():
            met.rows += 1
            judged = self._layout.judge(cast("Mapping[str, Any]", raw))
            if isinstance(judged, Session):
                met.live += 1
                yield _Row({ours: raw[ours] for ours in ("session_id", *self._layout.compared) if ours in raw}, judged)
            else:
                met.unreadable += judged is Nobody.READABLE

    def _refuse_unreadable(self, met: _Met) -> None:
        if 0 < met.rows == met.unreadable:
            where = f"Session store {self._name}: none of {met.rows} rows of {self._layout.table}"
            raise SourceError(f"{where} can be read.", self._layout.unreadable_remedy)

    # --- ending -------------------------------------------------------------------------------------------------

    def _look(self, sweep: Sweep[tuple[Any, str]], named: _Named, met: _Met) -> sa.TableClause:
        """Put every row an item of the batch names on the list. The look ends before the first delete begins."""
        with self._database.reading() as connection:
            table = self._looked_at = self._table(connection)
            named += self._named(self._rows(connection, self._query(table), met), sweep)
        self._refuse_unreadable(met)
        return table

    def _named(self, rows: Iterator[_Row], sweep: Sweep[tuple[Any, str]]) -> _Named:
        judged = ((row, sweep.item_for(row.session)) for row in rows)
        return [(row, index) for row, index in judged if index is not None]

    def _end_named(self, table: sa.TableClause, named: _Named, sweep: Sweep[tuple[Any, str]]) -> None:
        """End them. What changed meanwhile is judged afresh: still this user's, tried again; else left alone."""
        for _ in range(_TRIES):
            if not named:
                return
            named = self._end(table, named, sweep)
        for row, index in named:
            sweep.standing(row.key, index)

    def _end(self, table: sa.TableClause, named: _Named, sweep: Sweep[tuple[Any, str]]) -> _Named:
        """Delete these rows if they still are as judged, then read back; give those of the batch that stand there."""
        session_id = self._column(table, "session_id")
        doomed = sa.or_(*(self._same(table, row) for row, _ in named))
        before_send()
        with self._database.writing() as connection:
            deleted = set(connection.scalars(sa.delete(table).where(doomed).returning(session_id)))
        for row, index in named:
            if row.raw["session_id"] in deleted:
                sweep.ended(row.key, index)
        return self._standing(table, [row.raw["session_id"] for row, _ in named], sweep)

    def _standing(self, table: sa.TableClause, ids: Sequence[Any], sweep: Sweep[tuple[Any, str]]) -> _Named:
        """Give the sessions with these ids that an item of the batch names."""
        query = self._query(table).where(self._column(table, "session_id").in_(ids))
        with self._database.reading() as connection:
            return self._named(self._rows(connection, query, _Met()), sweep)

    def _same(self, table: sa.TableClause, row: _Row) -> sa.ColumnElement[bool]:
        """Say that a row still is the one judged: an id given to somebody else in between is another session."""
        return sa.and_(*(self._column(table, ours) == value for ours, value in row.raw.items()))

    # --- saying -------------------------------------------------------------------------------------------------

    def _findings(self, connection: sa.Connection) -> Iterator[Finding]:
        table, place = self._table(connection), self._layout.table
        if not _may_delete(connection, table):
            yield Finding(
                Level.ERROR,
                self._name,
                f"Its database user sees sessions in {place} and may not end them: no right to DELETE.",
                f"GRANT SELECT, DELETE ON {place} to it.",
            )
        unreadable = self._unreadable_times(connection, table)
        if unreadable:
            yield Finding(
                Level.WARNING,
                self._name,
                f"Times that cannot be read stand in {', '.join(sorted(unreadable))} of {place}.",
                "They count as not there: no beginning, no end. Check columns in the configuration.",
            )
        yield from self._sampled(connection, table)

    def _sampled(self, connection: sa.Connection, table: sa.TableClause) -> Iterator[Finding]:
        met = _Met()
        for _ in self._rows(connection, self._query(table).limit(_SAMPLE), met):
            pass
        self._refuse_unreadable(met)
        if met.unreadable:
            yield Finding(Level.WARNING, self._name, met.remark, self._layout.unreadable_remedy)
        said = f"{self._layout.table} can be read; {met.live} live sessions in the rows looked at."
        yield Finding(Level.OK, self._name, said)

    def _unreadable_times(self, connection: sa.Connection, table: sa.TableClause) -> set[str]:
        times = [ours for ours in _TIMES if ours in self._columns]
        rows = connection.execute(self._query(table).limit(_SAMPLE)).mappings()
        return {
            self._columns[ours]
            for row in rows
            for ours in times
            if row[ours] not in (None, "") and moment(row[ours], self._layout.naive_times) is None
        }


def _plain(reflected: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """Give the type a column is read as: what the database says itself, and json as json."""
    # A driver's values are taken as they come: a reflected type would convert them, and refuse what does not fit.
    return sa.JSON() if isinstance(reflected, sa.JSON) else sa.types.NullType()


def _may_delete(connection: sa.Connection, table: sa.TableClause) -> bool:
    if connection.dialect.name != "postgresql":
        return True
    name = connection.dialect.identifier_preparer.format_table(cast("sa.Table", table))
    return bool(connection.scalar(sa.select(sa.func.has_table_privilege(name, "DELETE"))))


def _without_ids(text: str, named: _Named) -> str:
    """Take session ids out of a database's own words: a trigger may quote the row it refuses."""
    for row, _ in named:
        if row.session.session_id in text:
            text = text.replace(row.session.session_id, "***")
    return text
