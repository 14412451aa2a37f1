"""What a transaction writes at its end reaches PostgreSQL in one message: as whole, and as faithful, as one by one."""

import os
import signal
import time
from collections.abc import Iterator
from threading import Thread

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from connector.errors import JournalError
from connector.reconcile.journal import Journal
from connector.reconcile.journal_audit import newest
from connector.reconcile.journal_bulk import execute_once
from connector.reconcile.journal_engine import open_engine
from connector.reconcile.journal_scim_tables import scim_counts
from connector.reconcile.journal_store import Store
from tests.reconcile import new_journal
from tests.reconcile.journal_builders import KEY
from tests.servers.postgres import PostgresServer

_COUNT = insert(scim_counts)


@pytest.fixture
def impatient(postgres: PostgresServer) -> Iterator[Store]:
    """Give a journal in PostgreSQL that gives a silent server up after a second."""
    engine = open_engine(new_journal.emptied(postgres), "", create=False, silence_seconds=1)
    yield Store(engine, KEY)
    engine.dispose()


def record(store: Store, said: str) -> None:
    with store.writing() as writing:
        writing.note("test", "s", "tester", said)


def texts(store: Store) -> set[str]:
    with store.reading() as conn:
        return {event.text for event in newest(conn, 9)}


def test_a_server_that_freezes_before_the_commit_is_given_up_and_used_again(impatient: Store) -> None:
    process, began = 0, time.monotonic()
    try:
        with pytest.raises(JournalError, match="silent for 1 s"), impatient.writing() as writing:  # noqa: PT012 - inside
            process = int(writing.conn.scalar(text("SELECT pg_backend_pid()")) or 0)
            writing.note("test", "s", "tester", "nobody was told that this is stored")
            os.kill(process, signal.SIGSTOP)
        assert 1 < time.monotonic() - began < 4
    finally:
        os.kill(process, signal.SIGCONT)

    record(impatient, "after")
    assert "after" in texts(impatient)


def test_where_one_of_many_cannot_be_written_the_commit_says_so_and_nothing_stands(journal: Journal) -> None:
    store = journal.store
    collided = pytest.raises(JournalError, match=r"(?i)unique")
    with collided as caught, store.writing() as writing:
        writing.to_the_end()
        for amount in (1, 2):
            execute_once(writing.conn, _COUNT, {"name": "twice", "amount": amount})
        writing.note("test", "s", "tester", "lost")

    with store.reading() as conn:
        assert conn.execute(select(scim_counts)).all() == []
    assert isinstance(caught.value.__cause__, IntegrityError)
    record(store, "after")
    assert texts(store) == {"after"}


@pytest.mark.parametrize("said", ['"quoted" \\ \n\t', "Zoë 😀 \u2028", "\\u0000 {} [null]", "%s %(a)s $1 ?", ""])
def test_any_text_is_chained_and_stored_as_it_is(journal: Journal, said: str) -> None:
    record(journal.store, said)

    assert texts(journal.store) == {said}
    assert journal.verify_audit().ok


@pytest.mark.parametrize("said", ["a\0b", "\ud800"])
def test_what_no_database_takes_is_refused(impatient: Store, said: str) -> None:
    with pytest.raises(JournalError):
        record(impatient, said)

    assert texts(impatient) == set()


def test_the_time_of_a_transaction_is_read_when_the_lock_is_held(impatient: Store) -> None:
    moments = []

    def later() -> None:
        with impatient.writing() as writing:
            moments.append(writing.now)

    with impatient.writing() as first:
        waiting = Thread(target=later)
        waiting.start()
        time.sleep(0.4)
    waiting.join(10)

    assert (moments[0] - first.now).total_seconds() >= 0.4
