"""PostgreSQL fails a write at any moment: whoever was told "stored" has it, whoever was told otherwise is told why."""

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from select import select
from threading import Event, Thread

import pytest
import sqlalchemy as sa

from connector.errors import JournalError
from connector.reconcile.journal_at_once import said
from connector.reconcile.journal_audit import newest
from connector.reconcile.journal_bulk import execute_once
from connector.reconcile.journal_engine import open_engine
from connector.reconcile.journal_scim_tables import scim_counts
from connector.reconcile.journal_store import Store, Writing
from connector.reconcile.journal_tables import audit
from connector.reconcile.journal_verify import verify
from tests.reconcile.journal_builders import KEY
from tests.servers.postgres import PostgresServer
from tests.waiting import wait_for

_COUNT = sa.insert(scim_counts)
_END_ME = "SELECT pg_terminate_backend(pg_backend_pid())"
_DEFERRED = "CREATE TEMP TABLE later (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP"


def record(store: Store, told: str) -> None:
    with store.writing() as writing:
        writing.note("test", "s", "tester", told)


def texts(store: Store) -> set[str]:
    with store.reading() as conn:
        return {event.text for event in newest(conn, 99_999)}


def counted(writing: Writing, *names: str) -> None:
    for name in names:
        execute_once(writing.conn, _COUNT, {"name": name, "amount": 1})


def database(store: Store) -> str:
    return str(store.engine.url.database)


def sessions(store: Store, postgres: PostgresServer) -> list[str]:
    with postgres.connect() as beside:
        found = beside.execute(
            "SELECT state FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'",
            (database(store),),
        )
        return [str(state) for (state,) in found]


def waits_for_a_lock(store: Store, postgres: PostgresServer) -> bool:
    with postgres.connect() as beside:
        query = "SELECT FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
        return beside.execute(query, (database(store),)).rowcount > 0


@contextmanager
def set_for_the_database(store: Store, postgres: PostgresServer, setting: str, value: str) -> Iterator[None]:
    with postgres.connect() as beside:
        beside.execute(f'ALTER DATABASE "{database(store)}" SET {setting} = {value}')
        store.engine.dispose()
        try:
            yield
        finally:
            beside.execute(f'ALTER DATABASE "{database(store)}" RESET {setting}')
            store.engine.dispose()


@contextmanager
def cut_off_after(port: int, last_word: bytes) -> Iterator[int]:
    """Pass on what a client and a server say, until the server has said this; then there is no connection any more."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def relay() -> None:
            client, _ = listening.accept()
            with client, socket.create_connection(("127.0.0.1", port)) as server:
                while True:
                    for ready in select([client, server], [], [])[0]:
                        heard = ready.recv(65536)
                        (server if ready is client else client).sendall(heard)
                        if not heard or (ready is server and last_word in heard):
                            return

        relaying = Thread(target=relay, daemon=True)
        relaying.start()
        yield listening.getsockname()[1]
        relaying.join(10)


# --- what is said is so ---------------------------------------------------------------------------------------------


def test_what_failed_unnoticed_is_never_told_to_be_stored(impatient: Store) -> None:
    with pytest.raises(JournalError, match="nothing of it stands"), impatient.writing() as writing:  # noqa: PT012 - inside
        counted(writing, "first")
        with suppress(sa.exc.DBAPIError):
            counted(writing, "first")

    with impatient.reading() as conn:
        assert conn.execute(sa.select(scim_counts)).all() == []


@pytest.mark.parametrize("with_record", [True, False])
def test_what_only_the_commit_refuses_is_not_stored(
    impatient: Store, postgres: PostgresServer, *, with_record: bool
) -> None:
    with pytest.raises(JournalError, match="unique") as caught, impatient.writing() as writing:  # noqa: PT012 - inside
        writing.conn.exec_driver_sql(_DEFERRED)
        writing.conn.exec_driver_sql("INSERT INTO later VALUES (1), (1)")
        if with_record:
            writing.note("test", "s", "tester", "lost")

    assert isinstance(caught.value.__cause__, sa.exc.IntegrityError)
    assert sessions(impatient, postgres) == ["idle"]
    record(impatient, "after")
    assert texts(impatient) == {"after"}


def test_a_connection_that_is_lost_after_the_commit_was_confirmed_makes_no_failure_of_it(
    impatient: Store, postgres: PostgresServer
) -> None:
    with cut_off_after(postgres.port, b"COMMIT\0Z\0\0\0\5I") as port:
        engine = open_engine(str(impatient.engine.url.set(port=port)), "", create=False, silence_seconds=2)
        record(Store(engine, KEY), "stored")
        engine.dispose()

    assert texts(impatient) == {"stored"}


def test_what_was_told_to_be_stored_is_there_however_often_connections_end(
    impatient: Store, postgres: PostgresServer
) -> None:
    told: list[str] = []
    enough = Event()

    def write(name: str) -> None:
        number = 0
        while not enough.is_set():
            number += 1
            with suppress(JournalError):
                record(impatient, f"{name} {number}")
                told.append(f"{name} {number}")

    writers = [Thread(target=write, args=(name,)) for name in ("ada", "ben")]
    for writer in writers:
        writer.start()
    for ended in range(1, 26):
        wait_for(partial(_longer, told, 2 * ended))
        postgres.drop_connections(database(impatient))
    enough.set()
    for writer in writers:
        writer.join(60)

    assert set(told) <= texts(impatient)
    with impatient.reading() as conn:
        assert verify(conn, KEY, None).ok


def _longer(told: list[str], than: int) -> bool:
    return len(told) > than


# --- at every moment ------------------------------------------------------------------------------------------------


def write_and_be_ended(store: Store, postgres: PostgresServer, moment: str) -> None:
    with store.writing() as writing:
        if moment == "while it reads":
            said(writing.conn, _END_ME, ())
        writing.to_the_end()
        if moment == "amid it":
            counted(writing, "a", "b")
        if moment in ("at the end", "amid it"):
            said(writing.conn, _END_ME, ())
        counted(writing, "c", "d")
        writing.note("test", "s", "tester", "lost")
        if moment == "before the commit":
            postgres.drop_connections(database(store))


@pytest.mark.parametrize("moment", ["while it reads", "at the end", "amid it", "before the commit"])
def test_a_session_that_is_ended_is_told_of_and_leaves_the_pool(
    impatient: Store, postgres: PostgresServer, caplog: pytest.LogCaptureFixture, moment: str
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(JournalError, match=r"administrator|closed"):
        write_and_be_ended(impatient, postgres, moment)

    assert caplog.records == []  # the pool was never given what it could not use
    record(impatient, "after")
    assert texts(impatient) == {"after"}
    with impatient.reading() as conn:
        assert conn.execute(sa.select(scim_counts)).all() == []


@pytest.mark.parametrize(
    ("setting", "said_at_last"),
    [("statement_timeout", "statement timeout"), ("idle_in_transaction_session_timeout", "closed|idle")],
)
def test_a_limit_of_the_server_undoes_all(impatient: Store, setting: str, said_at_last: str) -> None:
    with pytest.raises(JournalError, match=said_at_last), impatient.writing() as writing:  # noqa: PT012 - inside
        said(writing.conn, f"SET LOCAL {setting} = '150ms'", ())
        writing.to_the_end()
        counted(writing, "lost")
        if setting == "statement_timeout":
            said(writing.conn, "SELECT pg_sleep(1)", ())
        time.sleep(0.3)
        writing.note("test", "s", "tester", "lost")

    record(impatient, "after")
    assert texts(impatient) == {"after"}


@pytest.mark.parametrize("raised", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_what_is_raised_after_the_last_read_undoes_all_and_is_what_is_raised(
    impatient: Store, postgres: PostgresServer, raised: type[BaseException]
) -> None:
    with pytest.raises(raised), impatient.writing() as writing:  # noqa: PT012 - inside
        writing.note("test", "s", "tester", "lost")
        writing.to_the_end()
        counted(writing, "lost", "lost")
        raise raised

    assert sessions(impatient, postgres) == ["idle"]
    record(impatient, "after")
    assert texts(impatient) == {"after"}


# --- whatever was set up --------------------------------------------------------------------------------------------


def test_whoever_waited_for_the_lock_sees_what_was_written_before_whatever_the_server_is_set_to(
    impatient: Store, postgres: PostgresServer
) -> None:
    seen: list[int] = []

    def later() -> None:
        with impatient.writing() as writing:
            seen.append(writing.conn.scalar(sa.select(sa.func.count()).select_from(scim_counts)) or 0)

    with set_for_the_database(impatient, postgres, "default_transaction_isolation", "'repeatable read'"):
        with impatient.writing() as first:  # without a record: the row that is the lock stays as it is
            waiting = Thread(target=later)
            waiting.start()
            wait_for(lambda: waits_for_a_lock(impatient, postgres))
            counted(first, "claimed")
        waiting.join(60)

    assert seen == [1]


def test_a_server_that_only_reads_refuses_before_anything_is_done(impatient: Store, postgres: PostgresServer) -> None:
    done = []
    only_reads = set_for_the_database(impatient, postgres, "default_transaction_read_only", "on")
    with only_reads, pytest.raises(JournalError, match="read-only"), impatient.writing():
        done.append(1)

    assert done == []


@pytest.mark.parametrize("heads", [0, 2])
def test_without_the_one_head_of_the_audit_trail_nothing_is_written(
    impatient: Store, postgres: PostgresServer, heads: int
) -> None:
    doubled = "INSERT INTO audit_head SELECT 2, records, mac, key_check FROM audit_head"
    change = doubled if heads else "DELETE FROM audit_head"
    with postgres.connect(database(impatient)) as beside:
        beside.execute(change)

    with pytest.raises(JournalError, match=f"{heads} heads"):
        record(impatient, "lost")

    assert texts(impatient) == set()


def test_many_thousand_records_are_one_transaction(impatient: Store) -> None:
    with impatient.writing() as writing:
        for number in range(12_000):
            writing.note("test", "s" * 36, "tester", f"Zoë {number}", person_id="p" * 36, detail={"none": None})

    with impatient.reading() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(audit)) == 12_000
        assert verify(conn, KEY, None).ok
