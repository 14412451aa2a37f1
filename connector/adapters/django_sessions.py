"""Django's database sessions: `django_session`, whose signed, compressed JSON holds the user.

Nothing is believed that Django's own signing key did not sign: what another key signed is an anonymous visitor to
Django too. A row is ended only while key and data are what was judged, and a session id is never shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from connector.adapters.database import Database
from connector.adapters.django_signing import SESSION_SALT, unsigned
from connector.adapters.session_reading import whole_reading
from connector.adapters.session_table import Nobody, SessionTable, TableLayout
from connector.adapters.session_values import at, text_at
from connector.adapters.timestamps import moment
from connector.errors import ConnectorError
from connector.interfaces import Secret, Site
from connector.model import EndSessions, Finding, LegState, Level, Outcome, Session, SessionKey, SessionsReading
from connector.postgresql import SILENCE_SECONDS

_COLUMNS = {"session_id": "session_key", "value": "session_data", "expires_at": "expire_date"}


@dataclass(frozen=True, slots=True)
class DjangoSettings:
    """Where the table is, and what signs it.

    `signing_key` is Django's SECRET_KEY, `older_signing_keys` its SECRET_KEY_FALLBACKS. The paths are dotted paths in
    the session: `_auth_user_id` is the primary key of Django's user. `naive_times` is `local` where USE_TZ is off. A
    server that is silent for `receive_timeout` seconds is given up.
    """

    url: str
    signing_key: Secret
    password: Secret | None = None
    older_signing_keys: tuple[Secret, ...] = ()
    table: str = "django_session"
    salt: str = SESSION_SALT
    portal: str = ""
    user_key: SessionKey = SessionKey.NATIVE_ID
    user_path: str = "_auth_user_id"
    portal_path: str = ""
    created_path: str = ""
    naive_times: Literal["utc", "local"] = "utc"
    receive_timeout: int = SILENCE_SECONDS


class DjangoSessionStore:
    """A session store in Django's own table."""

    Settings = DjangoSettings

    def __init__(self, name: str, settings: DjangoSettings, site: Site) -> None:
        self._name = name
        self._settings = settings
        self._site = site
        self._naive = UTC if settings.naive_times == "utc" else site.zone
        self._keys: tuple[str, ...] = ()
        layout = TableLayout(
            settings.table,
            _COLUMNS,
            ("value",),
            self._naive,
            self._judge,
            "Set signing_key to Django's SECRET_KEY (older ones in older_signing_keys); only JSON sessions are read.",
        )
        words, seconds = f"Session store {name}", settings.receive_timeout
        self._database = Database(words, settings.url, settings.password, site, seconds)
        self._table = SessionTable(name, self._database, layout)

    @property
    def user_key(self) -> SessionKey:
        """What the user value of this store's sessions is."""
        return self._settings.user_key

    def read_all(self) -> SessionsReading:
        """Read every live session somebody is signed in to; rows whose signature fails are left out."""
        self._reveal_keys()
        return whole_reading(self._name, self._table.source, self._settings.user_key, self._table.sessions())

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        """End what the batch names: one look at the table, then deletes while the data is unchanged, each read back."""
        try:
            self._reveal_keys()
        except ConnectorError as error:
            return (Outcome(LegState.REFUSED, str(error)),) * len(batch)
        return self._table.close(batch, self._settings.user_key)

    def end_again(self, batch: Sequence[EndSessions]) -> frozenset[EndSessions]:
        """End what was ended for these items and came back, each row only while it still is this user's session."""
        return self._table.end_again(batch, self._settings.user_key)

    def check(self) -> tuple[Finding, ...]:
        """Look at the table, the rights and a sample of rows, and whether the signing key fits."""
        try:
            self._reveal_keys()
        except ConnectorError as error:
            return (Finding(Level.ERROR, self._name, error.message, error.remedy),)
        return self._table.check()

    def disconnect(self) -> None:
        """Let go of connections, and of the keys."""
        self._keys = ()
        self._table.forget()
        self._database.disconnect()

    def _reveal_keys(self) -> None:
        secrets = (self._settings.signing_key, *self._settings.older_signing_keys)
        self._keys = tuple(secret.reveal(self._site) for secret in secrets)

    def _judge(self, raw: Mapping[str, Any]) -> Session | Nobody:
        """Say whose live session a row is. An expired one is not decoded at all."""
        expires_at = moment(raw["expires_at"], self._naive)
        if expires_at is not None and expires_at <= datetime.now(UTC):
            return Nobody.SIGNED_IN
        signed = unsigned(raw["value"], self._keys, self._settings.salt) if isinstance(raw["value"], str) else None
        if signed is None:
            return Nobody.READABLE
        settings, value = self._settings, signed.value
        user = text_at(value, settings.user_path)
        if not user:
            return Nobody.SIGNED_IN
        portal = (text_at(value, settings.portal_path) if settings.portal_path else "") or settings.portal
        # The signature's time is that of the last save: as a beginning it would spare a session that is older.
        created_at = moment(at(value, settings.created_path), self._naive) if settings.created_path else None
        return Session(self._name, portal, user, str(raw["session_id"]), created_at, signed.signed_at)
