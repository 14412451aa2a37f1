"""Sessions in a table of an SQL database, one row each; table and columns are mapped in the config.

The user stands in a column of its own (Spring Session JDBC), or in a value column as JSON or msgpack (Flask-Session,
connect-pg-simple). Users are compared here, never by the database: SQLite's and PostgreSQL's lower() are not the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from connector.adapters.database import Database
from connector.adapters.session_reading import whole_reading
from connector.adapters.session_table import Nobody, SessionTable, TableLayout
from connector.adapters.session_values import Format, at, decode, text_at
from connector.adapters.timestamps import moment
from connector.errors import ConfigError
from connector.interfaces import Secret, Site
from connector.model import EndSessions, Finding, Outcome, Session, SessionKey, SessionsReading
from connector.postgresql import SILENCE_SECONDS

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
    value: str = ""


@dataclass(frozen=True, slots=True)
class SqlSessionSettings:
    """Where the table is and how to read it.

    `table` may name a schema (`auth.sessions`). `portal` is the portal of every row where no column names it. Times are
    ISO-8601 text, epoch numbers or native; `naive_times` says what those without a zone are: UTC, or the school's.
    With `user_path` the user stands in the value column, written as `format` says; the paths are dotted. A server that
    is silent for `receive_timeout` seconds is given up.
    """

    url: str
    table: str
    columns: SessionColumns = SessionColumns()
    password: Secret | None = None
    portal: str = ""
    user_key: SessionKey = SessionKey.USERNAME
    naive_times: Literal["utc", "local"] = "utc"
    format: Format = "json"
    user_path: str = ""
    portal_path: str = ""
    created_path: str = ""
    receive_timeout: int = SILENCE_SECONDS


class SqlSessionStore:
    """A session store in an SQL table."""

    Settings = SqlSessionSettings

    def __init__(self, name: str, settings: SqlSessionSettings, site: Site) -> None:
        self._name = name
        self._settings = settings
        self._naive = UTC if settings.naive_times == "utc" else site.zone
        _refuse_contradictions(name, settings)
        columns = asdict(settings.columns)
        unread = "user" if settings.user_path else "value"
        layout = TableLayout(
            settings.table,
            {ours: theirs for ours, theirs in columns.items() if ours != unread},
            ("portal", "value" if settings.user_path else "user"),
            self._naive,
            self._judge_value if settings.user_path else self._judge,
            "Set format to what the application writes (json, msgpack), and columns.value to where it does.",
        )
        words, seconds = f"Session store {name}", settings.receive_timeout
        self._database = Database(words, settings.url, settings.password, site, seconds)
        self._table = SessionTable(name, self._database, layout)

    @property
    def user_key(self) -> SessionKey:
        """What the user value of this store's sessions is."""
        return self._settings.user_key

    def read_all(self) -> SessionsReading:
        """Read every live session that has a user."""
        sessions = self._table.sessions()
        return whole_reading(self._name, self._table.source, self._settings.user_key, sessions)

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        """End what the batch names: one look at the table, then conditional deletes, each read back."""
        return self._table.close(batch, self._settings.user_key)

    def end_again(self, batch: Sequence[EndSessions]) -> frozenset[EndSessions]:
        """End what was ended for these items and came back, each row only while it still is this user's session."""
        return self._table.end_again(batch, self._settings.user_key)

    def check(self) -> tuple[Finding, ...]:
        """Look at table, columns, rights and a sample of rows."""
        return self._table.check()

    def disconnect(self) -> None:
        """Let go of connections."""
        self._table.forget()
        self._database.disconnect()

    def _judge(self, raw: Mapping[str, Any]) -> Session | Nobody:
        """Say whose live session a row is whose user stands in a column."""
        created_at = moment(raw.get("created_at"), self._naive)
        return self._live(raw, text_of(raw["user"]), text_of(raw.get("portal")), created_at)

    def _judge_value(self, raw: Mapping[str, Any]) -> Session | Nobody:
        """Say whose live session a row is whose user stands in its value."""
        settings, decoded = self._settings, decode(_bytes(raw["value"]), self._settings.format)
        if decoded is None:
            return Nobody.READABLE
        portal = text_of(raw.get("portal")) or (text_at(decoded, settings.portal_path) if settings.portal_path else "")
        made = raw.get("created_at") or (at(decoded, settings.created_path) if settings.created_path else None)
        return self._live(raw, text_at(decoded, settings.user_path), portal, moment(made, self._naive))

    def _live(self, raw: Mapping[str, Any], user: str, portal: str, created_at: datetime | None) -> Session | Nobody:
        expires_at = moment(raw.get("expires_at"), self._naive)
        # An expiry that cannot be read is no expiry: better to end a dead session than to miss a live one.
        if not user or (expires_at is not None and expires_at <= datetime.now(UTC)):
            return Nobody.SIGNED_IN
        last_seen_at = moment(raw.get("last_seen_at"), self._naive)
        named = portal or self._settings.portal
        return Session(self._name, named, user, str(raw["session_id"]), created_at, last_seen_at)


def _refuse_contradictions(name: str, settings: SqlSessionSettings) -> None:
    paths = settings.user_path or settings.portal_path or settings.created_path
    if bool(paths) != bool(settings.columns.value) or (paths and not settings.user_path):
        raise ConfigError(
            f"[session_stores.{name}] names only one of columns.value and user_path.",
            "Name both where the user stands in a value, and neither where it has a column of its own.",
        )


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else b""


def text_of(value: object) -> str:
    """Give a user or portal as text; what is neither text nor an id is nobody."""
    if isinstance(value, (int, UUID)) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and len(value) <= _LONGEST_USER else ""
