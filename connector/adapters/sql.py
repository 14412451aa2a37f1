"""An admin system that is a database, or a view the school made in one: a query per dimension.

Reads only: every query is one SELECT, all of them run in one read-only transaction, so that a family is never read half
before and half after a change. A query's words never travel on in an error; the database's do.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, CursorResult

from connector.adapters.admin_findings import findings_of
from connector.adapters.database import Database, StatementError
from connector.adapters.mapped_columns import refuse_unknown_columns
from connector.adapters.row_digest import RowDigest
from connector.adapters.rows import DIMENSION_NAMES, PEOPLE, Contents, parse_dimensions
from connector.adapters.table import Table, did_you_mean, shown
from connector.adapters.timestamps import moment
from connector.errors import ConfigError, SourceError
from connector.interfaces import Secret, Site
from connector.model import Finding, PeopleReading, Provenance

_ROWS_PER_ROUND = 5_000
_MIDNIGHT = time()
# Comments, strings ('it''s'), quoted names and PostgreSQL's dollar quotes: a semicolon or a word in them is only text.
_NOT_CODE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(\$\w*\$).*?\1", re.DOTALL)
_READS = re.compile(r"\s*(?:select|with)\b[^;]*;?\s*", re.IGNORECASE)
_WRITES = re.compile(r"\b(?:insert\s+into|update\s+\S+\s+set|delete\s+from|merge\s+into)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SqlSettings:
    """Which database, and one query per dimension.

    `columns` maps, per dimension, our column name to the query's where they differ. `produced_at_query` gives one
    value: when what the queries read was made. `may_be_empty` names the dimensions whose query may give no row. A
    server that is silent for `receive_timeout` seconds is given up.
    """

    url: str
    queries: Mapping[str, str]
    password: Secret | None = None
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    produced_at_query: str = ""
    may_be_empty: tuple[str, ...] = ()
    receive_timeout: int = 300


class SqlAdminSystem:
    """The system of record for people, behind SQL."""

    Settings = SqlSettings

    def __init__(self, name: str, settings: SqlSettings, site: Site) -> None:
        _refuse_bad_settings(name, settings)
        self.name = name
        self._settings = settings
        self._zone = site.zone
        words, seconds = f"Admin system {name}", settings.receive_timeout
        self._database = Database(words, settings.url, settings.password, site, seconds)

    def read_all(self) -> PeopleReading:
        """Run every query in one read-only transaction. Raises SourceError naming the query, the row and the column."""
        walk = _Walk(self._settings, self._zone)
        try:
            with self._database.reading() as connection:
                provenance, contents = walk.over(connection, self._database.address.place)
        except StatementError as error:
            raise SourceError(
                f"The {walk.running} query failed. {error.message}", "Try the query by hand as the same database user."
            ) from error
        return PeopleReading(
            provenance=provenance,
            people=contents.people,
            relationships=contents.relationships,
            enrolments=contents.enrolments,
            security_roles=contents.security_roles,
            contact_types=contents.contact_types,
            missing=contents.missing,
        )

    def check(self) -> tuple[Finding, ...]:
        """Run every query and say what was found, or what is wrong."""
        return findings_of(self.name, self.read_all)

    def disconnect(self) -> None:
        """Let go of connections."""
        self._database.disconnect()


def _refuse_bad_settings(name: str, settings: SqlSettings) -> None:
    for word in (*settings.queries, *settings.columns, *settings.may_be_empty):
        if word not in DIMENSION_NAMES:
            raise ConfigError(
                f"{name} speaks of the dimension {word!r}. {did_you_mean(word, DIMENSION_NAMES)}",
                f"Dimensions are {', '.join(DIMENSION_NAMES)}.",
            )
    if PEOPLE.name not in settings.queries:
        raise ConfigError(f"{name} has no query for people.", "Give queries.people one SELECT.")
    refuse_unknown_columns(name, settings.columns)
    for what, query in settings.queries.items():
        refuse_other_than_select(name, what, query)
    if settings.produced_at_query:
        refuse_other_than_select(name, "produced_at", settings.produced_at_query)


def refuse_other_than_select(name: str, dimension: str, query: str) -> None:
    """Raise ConfigError unless a query is one single SELECT (or WITH … SELECT)."""
    code = _NOT_CODE.sub(lambda found: " " if found[0].startswith(("--", "/*")) else "''", query)
    if not _READS.fullmatch(code) or _WRITES.search(code):
        raise ConfigError(
            f"The {dimension} query of {name} is not one single SELECT.",
            "Give one SELECT (or WITH … SELECT) and nothing else: the admin system is only ever read.",
        )


class _Walk:
    """One walk over all queries in one transaction. `running` is the query an error belongs to."""

    def __init__(self, settings: SqlSettings, zone: tzinfo) -> None:
        self.running = ""
        self._settings = settings
        self._zone = zone
        self._digest = RowDigest()

    def over(self, connection: Connection, place: str) -> tuple[Provenance, Contents]:
        read_at = datetime.now(UTC)
        produced_at = self._produced_at(connection) if self._settings.produced_at_query else None
        contents = parse_dimensions(
            lambda dimension: self._table(connection, dimension), self._settings.columns, self._settings.may_be_empty
        )
        return Provenance(place, self._digest.hexadecimal(), read_at, produced_at), contents

    def _table(self, connection: Connection, dimension: str) -> Table | None:
        query = self._settings.queries.get(dimension)
        if query is None:
            return None
        result = self._run(connection, dimension, query)
        return Table(f"The {dimension} query", "row", tuple(result.keys()), self._rows(dimension, result))

    def _rows(self, dimension: str, result: CursorResult[Any]) -> Iterator[tuple[int, Sequence[str]]]:
        place = 0
        for rows in result.partitions(_ROWS_PER_ROUND):
            for row in rows:
                place += 1
                cells = [cell if type(cell) is str else _text(cell, dimension, place) for cell in row]
                self._digest.add((dimension, *cells))
                yield place, cells

    def _produced_at(self, connection: Connection) -> datetime | None:
        row = self._run(connection, "produced_at", self._settings.produced_at_query).first()
        value = moment(row[0], self._zone) if row else None
        if value is None:
            raise SourceError(
                f"The produced_at query gives {shown(row[0]) if row else 'no row'}, which is no moment.",
                "Let it give one row with one timestamp.",
            )
        return value

    def _run(self, connection: Connection, what: str, query: str) -> CursorResult[Any]:
        self.running = what
        # no_parameters: a % or a : in a query is the query's own business.
        return connection.exec_driver_sql(query, execution_options={"no_parameters": True})


def _text(cell: object, dimension: str, place: int) -> str:
    """Give a database's value as the text the row rules know."""
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case datetime() if cell.time() == _MIDNIGHT:
            return cell.date().isoformat()
        case date() if not isinstance(cell, datetime):
            return cell.isoformat()
        case int() | UUID():
            return str(cell)
        case Decimal() if cell == cell.to_integral_value():
            return str(int(cell))
    raise SourceError(
        f"The {dimension} query gives {shown(cell)} ({type(cell).__name__}) in row {place}.",
        "Let the query CAST it to text or to a date.",
    )
