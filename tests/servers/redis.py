"""A throw-away Redis: plain and TLS ports on loopback and a unix socket, nothing on disk.

Each test has a database of its own.
"""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import redis

from tests.servers import free_port, require, stop, tail
from tests.servers.certificates import make_authority, make_leaf

_DATABASES = 500
_SECONDS = 10


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A running Redis. `ca_file` verifies what answers on `tls_port`."""

    port: int
    tls_port: int
    socket: Path
    ca_file: Path
    process: subprocess.Popen[bytes]

    def url(self, db: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{db}"

    def tls_url(self, db: int = 0, host: str = "127.0.0.1") -> str:
        return f"rediss://{host}:{self.tls_port}/{db}"

    def client(self, db: int = 0) -> redis.Redis:
        return redis.Redis(port=self.port, db=db)


@dataclass(frozen=True, slots=True)
class RedisDatabase:
    """One database of the server, empty when a test gets it."""

    server: RedisServer
    number: int

    @property
    def url(self) -> str:
        return self.server.url(self.number)


def start(folder: Path) -> RedisServer:
    """Start a Redis in `folder` and wait until it answers."""
    binary = require("redis-server", "redis-server")
    authority = make_authority(folder)
    leaf = make_leaf(authority, "redis", dns="redis.school.example")
    port, tls_port = free_port(), free_port()
    options = {
        "bind": "127.0.0.1",
        "port": port,
        "tls-port": tls_port,
        "tls-cert-file": leaf.certificate,
        "tls-key-file": leaf.key,
        "tls-ca-cert-file": authority.certificate,
        "tls-auth-clients": "no",
        "unixsocket": folder / "redis.sock",
        "databases": _DATABASES,
        "save": "",
        "appendonly": "no",
        "dir": folder,
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen([binary, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    server = RedisServer(port, tls_port, folder / "redis.sock", authority.certificate, process)
    _wait(server, folder / "redis.log")
    return server


def _wait(server: RedisServer, log: Path) -> None:
    until = time.monotonic() + _SECONDS
    while server.process.poll() is None and time.monotonic() < until:
        try:
            with server.client() as client:
                client.ping()
        except redis.ConnectionError:
            time.sleep(0.02)
        else:
            return
    stop(server.process)
    pytest.fail(f"redis-server did not start:\n{tail(log)}", pytrace=False)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Give the session's Redis."""
    server = start(tmp_path_factory.mktemp("redis"))
    yield server
    stop(server.process)


_numbers = count(1)


@pytest.fixture
def redis_database(redis_server: RedisServer) -> RedisDatabase:
    """Give a database nobody has used."""
    return RedisDatabase(redis_server, next(_numbers) % _DATABASES)
