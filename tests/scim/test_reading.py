"""Single reads below the driver's cursors: the same answers, the newest rows, and no wait without an end."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from select import select
from threading import Thread
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from flask import Request
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder, run_wsgi_app

from connector.postgresql import end_silence
from connector.reconcile.journal_scim_tables import scim_users
from connector.reconcile.journal_store import Store
from connector.scim.prepared import Prepared
from connector.scim.quick import parameters
from connector.scim.reading import Reader
from connector.scim.reading_postgresql import PostgresqlLine
from tests.scim.endpoint import Provider
from tests.servers.postgres import PostgresServer

NAME = Prepared(sa.select(scim_users.c.user_name).where(scim_users.c.id == sa.bindparam("id")))
TOLD = Prepared(sa.select(sa.bindparam("told", type_=scim_users.c.user_name.type)))


@pytest.fixture
def reader(store: Store) -> Iterator[Reader]:
    made = Reader(store)
    yield made
    made.close()


@pytest.fixture
def line(postgres: PostgresServer) -> Iterator[PostgresqlLine]:
    engine = end_silence(sa.create_engine(postgres.url()), 1)
    lent = engine.raw_connection()
    connection: Any = lent.driver_connection
    lent.detach()
    made = PostgresqlLine(connection)
    yield made
    made.close()
    engine.dispose()


@contextmanager
def frozen(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@contextmanager
def relayed(port: int, cut: int) -> Iterator[int]:
    """Pass on what a client and a server say; the last bytes of everything the server says come a moment later."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def relay() -> None:
            client, _ = listening.accept()
            with client, socket.create_connection(("127.0.0.1", port)) as server:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while True:
                    for ready in select([client, server], [], [])[0]:
                        said = ready.recv(65536)
                        if not said:
                            return
                        if ready is client:
                            server.sendall(said)
                        else:
                            client.sendall(said[:-cut])
                            time.sleep(0.02)
                            client.sendall(said[-cut:])

        relaying = Thread(target=relay)
        relaying.start()
        yield listening.getsockname()[1]
        relaying.join()


# --- what is read ---------------------------------------------------------------------------------------------------


def test_a_read_sees_what_was_committed_before_it_by_whomever(reader: Reader, entra: Provider) -> None:
    user_id = entra.user("ada")["id"]
    seen = [reader.row(NAME, id=user_id)]

    entra.send("PUT", f"/Users/{user_id}", {"userName": "eve"})
    seen.append(reader.row(NAME, id=user_id))
    entra.delete(f"/Users/{user_id}")
    seen.append(reader.row(NAME, id=user_id))

    assert seen == [("ada",), ("eve",), None]


@pytest.mark.parametrize("text", ["", "\u00e4\u20ac\U0001f600", "%s %(x)s $1 ' \\ \"", "x" * 500_000])
def test_a_text_comes_back_as_it_went(reader: Reader, text: str) -> None:
    assert [reader.row(TOLD, told=text) for _ in range(3)] == [(text,)] * 3


def test_a_connection_the_server_ended_is_made_anew(reader: Reader, store: Store, postgres: PostgresServer) -> None:
    reader.row(TOLD, told="before")
    if store.engine.dialect.name == "postgresql":
        postgres.drop_connections(str(store.engine.url.database))

    assert reader.row(TOLD, told="after") == ("after",)


# --- how PostgreSQL is asked ----------------------------------------------------------------------------------------


def test_a_statement_is_prepared_once_and_leaves_no_transaction_open(
    line: PostgresqlLine, postgres: PostgresServer
) -> None:
    told = {line.ask("SELECT pg_backend_pid(), $1::integer", (number,))[0] for number in range(20)}
    prepared = line.ask("SELECT name FROM pg_prepared_statements", ())
    ((backend, _), *_) = told
    with postgres.connect() as beside:
        state = beside.execute("SELECT state, xact_start FROM pg_stat_activity WHERE pid = %s", (backend,)).fetchone()

    assert told == {(backend, number) for number in range(20)}
    assert len(prepared) == 2
    assert state == ("idle", None)


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT 1, pg_sleep(0.3)", 1),
        ("SELECT repeat('x', 100000), pg_sleep(0.3) FROM generate_series(1, 5)", 5),
        ("SELECT repeat('x', 1000000) FROM generate_series(1, 10)", 10),
        ("SELECT 1 WHERE false", 0),
    ],
    ids=["late", "late, in parts, longer than its seconds in all", "large", "none"],
)
def test_an_answer_is_waited_for_also_where_it_does_not_come_at_once(line: PostgresqlLine, sql: str, rows: int) -> None:
    first, second = line.ask(sql, ()), line.ask(sql, ())

    assert (len(first), len(second)) == (rows, rows)


def test_what_no_database_takes_is_refused_and_the_connection_goes_on(line: PostgresqlLine) -> None:
    with pytest.raises(psycopg.DataError, match="NUL"):
        line.ask("SELECT $1::text", ("ada\0",))

    assert line.ask("SELECT $1::text", ("ada",)) == [("ada",)]


def test_what_the_server_refuses_is_raised_and_the_connection_goes_on(line: PostgresqlLine) -> None:
    for sql, error in (("SELECT 1 / $1::integer", "DivisionByZero"), ("SELECT nothing", "UndefinedColumn")):
        with pytest.raises(psycopg.Error) as caught:
            line.ask(sql, (0,) if "$1" in sql else ())

        assert type(caught.value).__name__ == error

    assert line.ask("SELECT 1", ()) == [(1,)]


@pytest.mark.parametrize("cut", [1, 6, 20])
def test_an_answer_in_two_parts_is_whole(postgres: PostgresServer, cut: int) -> None:
    with relayed(postgres.port, cut) as port:
        line = PostgresqlLine(psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres"))
        found = [line.ask("SELECT $1::integer, repeat('x', 100)", (number,)) for number in range(5)]
        line.close()

    assert found == [[(number, "x" * 100)] for number in range(5)]


@pytest.mark.parametrize("told", ["ada", "x" * 30_000_000], ids=["a read", "a read larger than every buffer"])
def test_a_frozen_server_is_given_up_after_its_seconds(line: PostgresqlLine, told: str) -> None:
    ((backend, _),) = line.ask("SELECT pg_backend_pid(), $1::text", ("",))

    with frozen(backend):
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError, match="silent for 1 s"):
            line.ask("SELECT pg_backend_pid(), $1::text", (told,))

        assert 1 < time.monotonic() - began < 3


# --- how the framework is left out ----------------------------------------------------------------------------------

_PIECES = st.sampled_from(
    [*'ab09@._~+-&=;#?%*"', "filter=", "filter", "%20", "%22", "%2B", "%41", "%7f", "%00", "%C3%A9"]
)


@given(st.lists(_PIECES, max_size=12).map("".join))
@example("a+%2B%zz")
def test_parameters_are_read_as_the_framework_reads_them(sent: str) -> None:
    environ = EnvironBuilder(query_string=f"filter={sent}").get_environ()

    assert dict(parameters(environ)) == Request(environ).args.to_dict()


def test_a_client_that_names_no_host_is_answered_as_by_the_framework(entra: Provider) -> None:
    path = f"/scim/v2/Users/{entra.user('ada')['id']}"
    quick: Any = entra.flask.wsgi_app

    answers = []
    for served in (quick, quick.framework):
        environ = EnvironBuilder(path, base_url="http://scim.example:8080").get_environ()
        del environ["HTTP_HOST"]
        content, status, headers = run_wsgi_app(served, environ)
        answers.append((b"".join(content), status, dict(headers)))

    assert answers[0] == answers[1]
    assert b"http://scim.example:8080/scim/v2/Users/" in answers[0][0]
