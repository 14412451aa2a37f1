"""One outside database: connects late, says what is wrong in one place, never shows a password.

The only module of the SQL adapters that knows the drivers' errors. Nothing is ever re-sent here: who loses a connection
in the middle of a write gets `ConnectionLost`, and has to read again before anything else.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InternalError, NoSuchModuleError, SQLAlchemyError

from connector.adapters.database_url import Address, parse_address
from connector.errors import ConfigError, ConnectorError, SourceError, TargetUnreachable
from connector.interfaces import Secret, Site
from connector.postgresql import SILENCE_SECONDS, connect_arguments, end_silence

_LOCK_SECONDS = 15
_IDLE_SECONDS = 10


class ConnectionLost(TargetUnreachable):
    """The connection broke while it was used: whether the statement took effect is unknown."""


class StatementError(SourceError):
    """The database answered with an error. `over_a_row`: rows were at fault, not the whole statement."""

    def __init__(self, message: str, remedy: str = "", *, over_a_row: bool = False) -> None:
        super().__init__(message, remedy)
        self.over_a_row = over_a_row


class Database:
    """A database with a name for people. Opens nothing before its first use; can be used again after `disconnect`."""

    def __init__(
        self, name: str, url: str, password: Secret | None, site: Site, receive_timeout: int = SILENCE_SECONDS
    ) -> None:
        if receive_timeout < 1:
            raise ConfigError(f"{name}: receive_timeout is at least 1 second.", "There is no endless wait.")
        self.name = name
        self._receive_timeout = receive_timeout
        self.address: Address = parse_address(name, url, site)
        self._password = password
        self._site = site
        self._engine: Engine | None = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a read-only transaction in which everything is of one moment."""
        with self._connected() as connection:
            if connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                _prepare(connection, read_only=True)
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a transaction that is committed at the end. A row somebody else holds is waited for 15 seconds."""
        with self._connected() as connection, connection.begin():
            _prepare(connection, read_only=False)
            yield connection

    def disconnect(self) -> None:
        """Let go of every connection."""
        if self._engine is not None:
            self._engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        connection = self._connect()
        try:
            with connection:
                yield connection
        except DBAPIError as error:
            raise self._translated(error) from error
        except SQLAlchemyError as error:
            raise SourceError(
                f"{self.name}: {_first_line(error)}", "Check the configured columns and types."
            ) from error

    def _connect(self) -> Connection:
        try:
            self._engine = self._engine or self._make_engine()
            return self._engine.connect()
        except DBAPIError as error:
            raise TargetUnreachable(
                f"{self.name} cannot be reached ({self.address.place}): {self._words(error)}",
                "Check that it runs, and that url and password are right.",
            ) from error

    def _make_engine(self) -> Engine:
        if self.address.file is not None:
            return _sqlite_engine(self.address.url, self.address.file)
        url = self.address.url
        if self._password is not None:
            url = url.set(password=self._password.reveal(self._site))
        try:
            arguments = connect_arguments(self._receive_timeout)
            engine = create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args=arguments)
        except (ImportError, NoSuchModuleError) as error:
            raise ConfigError(
                f"{self.name} needs the driver psycopg, which is not installed.", "pip install 'connector[postgresql]'"
            ) from error
        return end_silence(engine, self._receive_timeout)

    def _translated(self, error: DBAPIError) -> ConnectorError:
        if error.connection_invalidated:
            # The whole pool goes: its other connections went to the same server.
            self.disconnect()
            return ConnectionLost(f"{self.name}: the connection was lost: {self._words(error)}", "Try again later.")
        return StatementError(
            f"{self.name} refused: {self._words(error)}",
            "Correct what it names and try again.",
            over_a_row=isinstance(error, IntegrityError | DataError | InternalError),
        )

    def _words(self, error: BaseException) -> str:
        words = _first_line(error)
        if self._password is not None and (secret := self._password.reveal(self._site)):
            words = words.replace(secret, "***")
        return words


def _prepare(connection: Connection, *, read_only: bool) -> None:
    if connection.dialect.name == "postgresql":
        settings = f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"
        if not read_only:
            # A process that is frozen in the middle must not hold rows for longer than its successor waits for them.
            settings += f"; SET LOCAL idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s'"
        connection.exec_driver_sql(settings)
    else:
        connection.exec_driver_sql(f"PRAGMA query_only = {int(read_only)}")


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__


def _sqlite_engine(url: URL, file: Path) -> Engine:
    def open_existing() -> sqlite3.Connection:
        # mode=rw: a path mistyped must be an error, not a new and empty database.
        return sqlite3.connect(
            f"{file.as_uri()}?mode=rw", uri=True, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )

    engine = create_engine(url, creator=open_existing, hide_parameters=True)
    # Python's sqlite3 begins no transaction for a SELECT: two of them would read two moments.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine
