"""How the journal reaches its database: SQLite with full sync, or PostgreSQL by URL.

A commit that returned is on disk. No password stands in a URL, and PostgreSQL on another machine is reached over
verified TLS or not at all. Nothing here knows a table.
"""

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from connector.errors import JournalError, NoJournal
from connector.postgresql import SILENCE_SECONDS, connect_arguments, end_silence

WAIT_SECONDS = 30
"""How long a writer waits for another before it gives up."""

# A cache and a log for a batch of thousands: a page that every transaction writes reaches the file once in a while.
_SQLITE = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536", "wal_autocheckpoint=4000")

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NOT_IN_A_URL = frozenset({"password", "passfile", "service", "sslpassword"})


def open_engine(url: str, password: str, *, create: bool, silence_seconds: int = SILENCE_SECONDS) -> Engine:
    """Make the engine for a journal URL; create a SQLite file (mode 0600) where asked. Raises JournalError.

    A PostgreSQL that is silent for `silence_seconds` is not waited for any longer.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, create=create)
    if parsed.get_backend_name() == "postgresql":
        return _postgresql(parsed, password, silence_seconds)
    raise JournalError(
        f"The journal cannot live in {parsed.get_backend_name()}.", "Use a sqlite:/// or a postgresql:// URL."
    )


def database_name(engine: Engine) -> str:
    """Name the database for an error sentence, without any secret."""
    if engine.dialect.name == "sqlite":
        return str(engine.url.database)
    return engine.url.set(drivername="postgresql", password=None, query={}).render_as_string()


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        # The text itself is not repeated: a mistyped URL may carry a password.
        raise JournalError("The journal's URL is not one.", "Write sqlite:///journal.db or postgresql://…") from error
    if parsed.password is not None:
        raise JournalError(
            "The journal's URL carries a password.", "Take it out of the URL and name it as a secret (env or file)."
        )
    return parsed


def _sqlite(url: URL, *, create: bool) -> Engine:
    if not url.database or url.database == ":memory:":
        raise JournalError(
            "A journal in memory is no journal: a crash forgets it.", "Name a file: sqlite:///journal.db"
        )
    _ready_file(Path(url.database), create=create)
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"), hide_parameters=True, connect_args={"timeout": WAIT_SECONDS}
    )
    event.listen(engine, "do_connect", _only_what_is_there)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _ready_file(path: Path, *, create: bool) -> None:
    if path.is_file():
        return
    if not create:
        raise NoJournal(f"There is no journal at {path}.", "Check [journal] url, or make one with: connector init")
    try:
        # SQLite gives the -wal and -shm files the mode of the database file.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise JournalError(
            f"The journal {path} cannot be created: {error.strerror}.", "Check the folder, its owner and its space."
        ) from error


def _only_what_is_there(_dialect: object, _record: object, words: list[Any], options: dict[str, Any]) -> None:
    """Open the file that is there: SQLite would lay an empty one where a journal was lost (sqlite.org/uri.html)."""
    if not options.get("uri"):
        words[0], options["uri"] = f"{Path(words[0]).absolute().as_uri()}?mode=rw", True


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own BEGIN comes too late (only before a write) and is never IMMEDIATE: we begin ourselves.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (*_SQLITE, f"busy_timeout={WAIT_SECONDS * 1000}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("journal_writes", False)
    driver: Any = connection.connection.driver_connection
    try:
        driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
    except sqlite3.Error as error:
        raise OperationalError("BEGIN", None, error) from error


def _postgresql(url: URL, password: str, silence_seconds: int) -> Engine:
    url = _verified(url).set(drivername="postgresql+psycopg", password=password or None)
    # An applier that hangs inside a transaction must not hold the single-writer lock for ever. Whoever got the lock
    # must see what was written before it: with a higher isolation it would see what was there when it began to wait.
    options = (
        f"-c lock_timeout={WAIT_SECONDS}s -c idle_in_transaction_session_timeout=60s -c synchronous_commit=on "
        "-c timezone=UTC -c default_transaction_isolation=read\\ committed"
    )
    arguments = {"options": options, **connect_arguments(silence_seconds)}
    engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=arguments)
    return end_silence(engine, silence_seconds)


def _verified(url: URL) -> URL:
    if odd := _NOT_IN_A_URL & url.query.keys():
        raise JournalError(
            f"The journal's URL names {', '.join(sorted(odd))}, which may hold a password or another server.",
            "Take it out: password = { env or file } is the place of the password.",
        )
    hosts = _hosts(url)
    if not hosts:
        # libpq would look for one in its environment: only hosts named in the configuration are spoken to.
        raise JournalError("The journal's URL names no host.", "For a socket write postgresql://USER@/DB?host=/FOLDER.")
    if all(host in _LOOPBACK or host.startswith("/") for host in hosts):
        return url
    if url.query.get("sslmode", "verify-full") != "verify-full":
        raise JournalError(
            f"The journal on {', '.join(hosts)} would be reached without verified TLS.",
            "Set sslmode=verify-full, or leave it out.",
        )
    return url.update_query_dict({"sslmode": "verify-full"})


def _hosts(url: URL) -> tuple[str, ...]:
    """Give every host libpq may connect to: what a parameter says goes before what stands in the address."""
    asked = [url.host or ""]
    for key in ("host", "hostaddr"):
        value = url.query.get(key, ())
        asked += [value] if isinstance(value, str) else value
    return tuple(host for text in asked for host in text.split(",") if host)
