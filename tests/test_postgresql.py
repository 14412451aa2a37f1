"""A PostgreSQL that stops in the middle is given up after its seconds, and what was asked of it is an error."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from connector.adapters.database import ConnectionLost, Database
from connector.errors import ConfigError, TargetUnreachable
from connector.interfaces import Site
from connector.postgresql import end_silence
from connector.reconcile.journal_engine import open_engine
from tests.servers.postgres import PostgresServer


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, tmp_path, ZoneInfo("UTC"))


@pytest.fixture
def engine(postgres: PostgresServer) -> Iterator[sa.Engine]:
    made = end_silence(sa.create_engine(postgres.url(), poolclass=sa.NullPool), 1)
    yield made
    made.dispose()


def backend(connection: sa.Connection) -> int:
    return int(connection.scalar(sa.text("SELECT pg_backend_pid()")) or 0)


@contextmanager
def frozen(process: int) -> Iterator[None]:
    """Stop one process of the server: its sockets stay open, and its kernel acknowledges what is sent."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@pytest.mark.parametrize(
    "ask",
    [
        lambda connection: connection.scalar(sa.text("SELECT 1")),
        lambda connection: connection.commit(),
        lambda connection: connection.execute(sa.text("SELECT :long"), {"long": "x" * 30_000_000}),
    ],
    ids=["a statement", "a commit", "a statement larger than every buffer"],
)
def test_a_frozen_server_is_given_up_after_its_seconds(
    engine: sa.Engine, ask: Callable[[sa.Connection], object]
) -> None:
    with engine.connect() as connection, frozen(backend(connection)):
        began = time.monotonic()
        with pytest.raises(OperationalError, match="silent for 1 s") as caught:
            ask(connection)

        assert caught.value.connection_invalidated
        assert 1 < time.monotonic() - began < 20  # a kernel would wait for minutes


def test_an_answer_that_keeps_coming_is_waited_for_however_long_it_takes(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        slowly = "SELECT repeat('x', 100000), pg_sleep(0.3) FROM generate_series(1, 6)"

        assert len(connection.execute(sa.text(slowly)).all()) == 6


def test_a_frozen_target_is_unreachable_and_can_be_used_again(postgres: PostgresServer, site: Site) -> None:
    database = Database("Portal engage", postgres.url(), None, site, 1)
    lost = pytest.raises(ConnectionLost, match=r"Portal engage: .*silent for 1 s")
    with lost as caught, database.writing() as held, frozen(backend(held)):
        held.scalar(sa.text("SELECT 1"))

    with database.reading() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1
    assert isinstance(caught.value, TargetUnreachable)
    database.disconnect()


def test_an_endless_wait_is_refused(postgres: PostgresServer, site: Site) -> None:
    with pytest.raises(ConfigError, match="receive_timeout"):
        Database("Portal engage", postgres.url(), None, site, 0)


def test_the_journal_gives_a_frozen_server_up_too(postgres: PostgresServer) -> None:
    engine = open_engine(postgres.url(), "", create=False, silence_seconds=1)

    with engine.connect() as connection, frozen(backend(connection)), pytest.raises(OperationalError, match="silent"):
        connection.scalar(sa.text("SELECT 1"))
    engine.dispose()
