"""A throw-away PostgreSQL on loopback, started once; each test gets a database of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.servers import free_port, require, stop, tail

_PACKAGE = "postgresql"
_SECONDS = 30
_OPTIONS = ("listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off", "timezone=UTC")


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running PostgreSQL. Whoever connects as `postgres` from this machine is trusted."""

    port: int
    process: subprocess.Popen[bytes]
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Make an empty database and give its URL."""
        name = f"test_{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """Connect beside the adapter under test, outside any transaction."""
        return psycopg.connect(f"host=127.0.0.1 port={self.port} user=postgres dbname={database}", autocommit=True)

    def drop_connections(self, database: str) -> None:
        """End every connection to a database, as a restart would."""
        with self.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (database,)
            )


def start(folder: Path, *, durable: bool = False) -> PostgresServer:
    """Make a cluster in `folder` and start it. A `durable` one commits to disk, as one that is installed does."""
    initdb, postgres = require("initdb", _PACKAGE), require("postgres", _PACKAGE)
    user = _server_user(folder)
    cluster, log = folder / "cluster", folder / "postgres.log"
    arguments = [initdb, "-D", str(cluster), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"]
    subprocess.run(arguments, check=True, capture_output=True, cwd=folder, user=user)
    port = free_port()
    chosen = [option for option in _OPTIONS if not (durable and option.endswith("=off"))]
    options = [part for option in chosen for part in ("-c", option)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [postgres, "-D", str(cluster), "-p", str(port), "-k", str(folder), *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            user=user,
        )
    server = PostgresServer(port, process)
    _wait(server, log)
    return server


def _server_user(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root: as root, give the folder to the user its package made."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    shutil.chown(folder, user="postgres")
    return "postgres"


def _wait(server: PostgresServer, log: Path) -> None:
    until = time.monotonic() + _SECONDS
    while server.process.poll() is None and time.monotonic() < until:
        try:
            server.connect().close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    stop(server.process)
    pytest.fail(f"postgres did not start:\n{tail(log)}", pytrace=False)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Give the session's PostgreSQL."""
    # Not below pytest's own folder: that one is closed to every other user, and the server is another user.
    folder = Path(tempfile.mkdtemp(prefix="connector-postgres-"))
    try:
        server = start(folder)
        yield server
        # Fast shutdown: the default waits for clients to leave.
        server.process.send_signal(signal.SIGINT)
        stop(server.process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
