"""What listens beside the daemon, asked over real HTTP: does it live, is it ready, and the signed webhook."""

import errno
import json
import os
import socket
import sqlite3
import threading
import time
from contextlib import ExitStack, closing
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from connector.daemon import listening as daemon_listening
from connector.daemon import webhook
from connector.daemon.diary import TAKEN
from connector.daemon.duties import NIGHT
from connector.daemon.health import RESTS_SECONDS, living
from connector.daemon.listening import MOST_BYTES, Listening, Rate, Server, listening
from connector.daemon.loop import State
from connector.daemon.succession import STUCK_SECONDS
from connector.reconcile.journal import Journal
from connector.reconcile.journal_engine import open_engine
from connector.reconcile.journal_store import Store
from tests.daemon.test_ground import moved
from tests.daemon.watching import SECRET, Watched, journal_gone
from tests.daemon.world import NOON
from tests.reconcile import new_journal
from tests.reconcile.journal_builders import KEY
from tests.servers import free_port
from tests.servers.postgres import PostgresServer
from tests.waiting import wait_for

_CONFIG = Path(__file__).parents[2] / "config.example.toml"
_MANY = 120
"""More connections than are accepted at once."""
_LONG = b"x" * (MOST_BYTES + 1)


@pytest.fixture
def one(tmp_path: Path) -> Watched:
    """Give a school whose daemon has come round once."""
    watched = Watched(tmp_path, retry_minutes=1_440)
    (tmp_path / "config.toml").write_text(_CONFIG.read_text())
    watched.one.step()
    return watched


def hooked(folder: Path) -> Watched:
    """Give a school that takes webhooks."""
    watched = Watched(folder, retry_minutes=1_440)
    watched.settings = type(watched.settings)(webhook_secret=watched.secret(), retry_minutes=1_440)
    watched.one.step()
    return watched


def signed(one: Watched, body: bytes = b"{}") -> dict[str, str]:
    return webhook.signed(SECRET, "msg_1", one.clock(), body)


# --- health -----------------------------------------------------------------------------------------------------------


def test_a_daemon_that_comes_round_lives(one: Watched) -> None:
    with one.listening() as address:
        answer = requests.get(f"{address}/healthz", timeout=5)

    assert (answer.status_code, answer.json()["lives"], answer.json()["daemon"]) == (200, True, "waits")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Server" not in answer.headers


def test_one_that_comes_no_further_does_not(one: Watched) -> None:
    one.one.heart._marked -= RESTS_SECONDS + 1

    with one.listening() as address:
        answer = requests.get(f"{address}/healthz", timeout=5)

    assert (answer.status_code, answer.json()["lives"]) == (503, False)


def test_a_run_may_take_its_time_but_not_for_ever() -> None:
    running = State(works=True, doing="file people-of-ada.csv")

    assert living(running, RESTS_SECONDS + 1).ok
    assert not living(running, STUCK_SECONDS + 1).ok
    assert "ada" not in str(living(running, 1).said)


def test_everything_that_a_night_needs_is_there(one: Watched) -> None:
    with one.listening() as address:
        answer = requests.get(f"{address}/readyz", timeout=5)

    assert answer.json() == {
        "ready": True,
        "config": "is understood",
        "journal": "is read and can be written",
        "claim": "held by this daemon",
        "night": "came when it should",
    }
    assert answer.status_code == 200


def test_one_that_stands_by_is_ready_too_and_says_so(one: Watched) -> None:
    one.one = one.daemon()
    one.one.step()

    with one.listening() as address:
        answer = requests.get(f"{address}/readyz", timeout=5)

    assert (answer.status_code, answer.json()["claim"]) == (200, "standing by")


def test_nobody_is_ready_where_nobody_holds_the_claim(one: Watched) -> None:
    one.clock.on(minutes=2)

    with one.listening() as address:
        answer = requests.get(f"{address}/readyz", timeout=5)

    assert (answer.status_code, answer.json()["claim"]) == (503, "no daemon holds the claim")


def test_a_night_that_did_not_come_is_said_after_two_hours(one: Watched) -> None:
    one.nights.admin.trouble.down = True
    one.goes_on(one.one, hours=15, minutes=20)
    one.one.step()
    with one.listening() as address:
        soon = requests.get(f"{address}/readyz", timeout=5)
        one.clock.on(minutes=20)
        one.one.step()
        late = requests.get(f"{address}/readyz", timeout=5)

    assert soon.status_code == 200
    assert (late.status_code, late.json()["night"]) == (503, "none came to its end for 2026-11-19")


def test_a_config_that_was_broken_since_is_said_without_its_words(one: Watched, tmp_path: Path) -> None:
    with one.listening() as address:
        before = requests.get(f"{address}/readyz", timeout=5)
        (tmp_path / "config.toml").write_text("[school]\nname = 'Ada Lovelace'\npassword = 'hunter2'\n")
        after = requests.get(f"{address}/readyz", timeout=5)

    assert (before.status_code, after.status_code) == (200, 503)
    assert after.json()["config"] == "the file as it is now cannot be used: connector check"
    assert "hunter2" not in after.text


def test_a_journal_that_cannot_be_read_is_said(one: Watched) -> None:
    one.reads = journal_gone

    with one.listening() as address:
        answer = requests.get(f"{address}/readyz", timeout=5)
        lives = requests.get(f"{address}/healthz", timeout=5)

    assert answer.json() == {
        "ready": False,
        "config": "is understood",
        "journal": "The journal could not be read: no answer.",
    }
    assert lives.status_code == 200


def test_a_journal_that_was_exchanged_is_the_one_that_is_read(one: Watched, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db")) as now, closing(sqlite3.connect(tmp_path / "new.db")) as new:
        now.backup(new)
        new.execute("UPDATE duties SET value = '2026-11-01' WHERE name = ?", (NIGHT,))
        new.commit()
    with one.listening() as address:
        before = requests.get(f"{address}/readyz", timeout=5)
        moved(tmp_path)
        gone = requests.get(f"{address}/readyz", timeout=5)
        scrape = requests.get(f"{address}/metrics", timeout=5)
        moved(tmp_path, "new.db", "journal.db")
        after = requests.get(f"{address}/readyz", timeout=5)

    assert (before.status_code, before.json()["night"]) == (200, "came when it should")
    assert (gone.status_code, gone.json()["journal"]) == (503, "The journal's file is gone.")
    assert "connector_journal_up 0.0" in scrape.text
    assert after.json()["night"] == "none came to its end for 2026-11-18"


def test_a_journal_that_cannot_be_written_is_said(one: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)

    with one.listening() as address:
        answer = requests.get(f"{address}/readyz", timeout=5)

    assert (answer.status_code, answer.json()["journal"]) == (
        503,
        "the journal's file or its folder may not be written",
    )


def test_readiness_goes_and_comes_back_with_postgresql(one: Watched, postgres: PostgresServer) -> None:
    url = new_journal.emptied(postgres)
    there = Journal(Store(open_engine(url, "", create=False, silence_seconds=5), KEY, lambda _: one.clock.now))
    claim = there.succeed("daemon", "somebody", 3600)
    there.duties.done(claim, NIGHT, date(2026, 11, 18).isoformat())
    there.disconnect()
    one.reads = lambda: Journal(
        Store(open_engine(url, "", create=False, silence_seconds=5), KEY, lambda _: one.clock.now)
    )
    name = url.rpartition("/")[2]

    with one.listening() as address:
        before = requests.get(f"{address}/readyz", timeout=10)
        with postgres.connect() as connection:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        postgres.drop_connections(name)
        gone = requests.get(f"{address}/readyz", timeout=10)
        scrape = requests.get(f"{address}/metrics", timeout=10)
        with postgres.connect() as connection:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        back = requests.get(f"{address}/readyz", timeout=10)
        whole = requests.get(f"{address}/metrics", timeout=10)

    assert (before.status_code, gone.status_code, back.status_code) == (200, 503, 200), (before.text, back.text)
    assert "connector_journal_up 0.0" in scrape.text
    assert "connector_journal_up 1.0" in whole.text
    assert "connector_journal_size_bytes" in whole.text


# --- the webhook ------------------------------------------------------------------------------------------------------


def test_a_signed_message_asks_for_a_run(tmp_path: Path) -> None:
    one = hooked(tmp_path)

    with one.listening() as address:
        answer = requests.post(f"{address}/run", b"{}", headers=signed(one), timeout=5)
    one.goes_on(one.one, minutes=20)

    assert (answer.status_code, answer.json()) == (202, {"asked": True, "id": "msg_1"})
    assert one.hearing.causes == ["webhook"]


def test_the_same_message_again_is_refused_for_as_long_as_it_would_be_fresh(tmp_path: Path) -> None:
    one = hooked(tmp_path)
    headers = signed(one)

    with one.listening() as address:
        answers = [requests.post(f"{address}/run", b"{}", headers=headers, timeout=5).status_code]
        one.clock.on(seconds=299)
        answers.append(requests.post(f"{address}/run", b"{}", headers=headers, timeout=5).status_code)
        one.clock.on(seconds=2)
        answers.append(requests.post(f"{address}/run", b"{}", headers=headers, timeout=5).status_code)

    assert answers == [202, 409, 401]


def test_the_same_message_again_is_refused_by_a_daemon_that_was_started_since(tmp_path: Path) -> None:
    one = hooked(tmp_path)
    headers = signed(one)
    with one.listening() as address:
        before = requests.post(f"{address}/run", b"{}", headers=headers, timeout=5)
    one.one.close()
    one.one = one.daemon()
    one.one.step()

    with one.listening() as address:
        after = requests.post(f"{address}/run", b"{}", headers=headers, timeout=5)

    assert (before.status_code, after.status_code) == (202, 409)


def test_what_nobody_would_believe_any_more_is_not_remembered(tmp_path: Path) -> None:
    one = hooked(tmp_path)
    with one.listening() as address:
        requests.post(f"{address}/run", b"{}", headers=signed(one), timeout=5)
        one.clock.on(seconds=301)
        one.one.step()
        later = webhook.signed(SECRET, "msg_2", one.clock(), b"{}")
        requests.post(f"{address}/run", b"{}", headers=later, timeout=5)

    assert set(json.loads(one.journal.duties.find(TAKEN)[TAKEN].value)) == {"msg_2"}


def test_a_message_that_finds_the_journal_gone_is_not_taken_and_may_come_again(tmp_path: Path) -> None:
    one = hooked(tmp_path)
    with one.listening() as address:
        moved(tmp_path)
        gone = requests.post(f"{address}/run", b"{}", headers=signed(one), timeout=5)
        moved(tmp_path, "gone.db", "journal.db")
        back = requests.post(f"{address}/run", b"{}", headers=signed(one), timeout=5)

    assert (gone.status_code, back.status_code) == (503, 202)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-timestamp": "1"},
        {"webhook-id": "msg_2"},
        {"webhook-signature": ""},
    ],
)
def test_a_message_that_is_not_as_it_was_signed_is_refused(tmp_path: Path, changed: dict[str, str]) -> None:
    one = hooked(tmp_path)

    with one.listening() as address:
        answer = requests.post(f"{address}/run", b"{}", headers=signed(one) | changed, timeout=5)
    one.one.step()

    assert answer.status_code == 401
    assert SECRET not in answer.text
    assert one.hearing.causes == []


def test_a_body_that_was_changed_on_its_way_is_refused(tmp_path: Path) -> None:
    one = hooked(tmp_path)

    with one.listening() as address:
        answer = requests.post(f"{address}/run", b'{"more": 1}', headers=signed(one), timeout=5)

    assert answer.status_code == 401


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_long_is_not_taken(tmp_path: Path, chunked: bool) -> None:
    one = hooked(tmp_path)
    body = _LONG

    with one.listening() as address:
        headers = signed(one, body=body)
        answer = requests.post(f"{address}/run", iter([body]) if chunked else body, headers=headers, timeout=5)

    assert answer.status_code == 413


def test_whoever_asks_too_often_waits(tmp_path: Path) -> None:
    one = hooked(tmp_path)

    with one.listening() as address:
        answers = [requests.post(f"{address}/run", b"", timeout=5).status_code for _ in range(11)]
        one.clock.on(minutes=1)
        one.one.step()
        later = requests.post(f"{address}/run", b"{}", headers=signed(one), timeout=5)

    assert answers == [401] * 10 + [429]
    assert later.status_code == 202


def test_an_address_that_asks_often_keeps_no_other_waiting_and_takes_no_room() -> None:
    one = Rate(lambda: NOON)

    crowded = [one.exceeded(f"10.0.{n // 250}.{n % 250}") for n in range(3_000)]

    assert not any(crowded)
    assert len(one._since) <= 1_000


def test_one_that_stands_by_takes_no_orders_and_lets_the_message_be_sent_again(tmp_path: Path) -> None:
    one = hooked(tmp_path)
    one.one._succession.release()

    with one.listening() as address:
        answers = [requests.post(f"{address}/run", b"{}", headers=signed(one), timeout=5) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert "stands by" in answers[0].json()["error"]


def test_without_a_secret_there_is_no_such_address(one: Watched) -> None:
    with one.listening() as address:
        answer = requests.post(f"{address}/run", b"{}", headers=signed(one), timeout=5)

    assert answer.status_code == 404


# --- HTTP -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/../config.toml", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/healthz", 405),
        ("GET", "/run", 405),
        ("HEAD", "/healthz", 200),
    ],
)
def test_nothing_else_is_answered(one: Watched, method: str, path: str, status: int) -> None:
    with one.listening() as address:
        answer = requests.request(method, f"{address}{path}", timeout=5)

    assert answer.status_code == status


def test_it_listens_beside_the_daemon_where_the_config_says(tmp_path: Path) -> None:
    port = free_port()
    one = Watched(tmp_path, listen=f"127.0.0.1:{port}")
    one.one.step()

    with listening(one.one):
        lives = requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5)

    assert lives.status_code == 200


def test_a_port_that_is_taken_stops_no_night(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        one = Watched(tmp_path, listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with listening(one.one):
            one.goes_on(one.one, days=1)

    assert one.hearing.results == ["applied"]


def test_a_port_that_was_taken_is_had_as_soon_as_it_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_listening, "_AGAIN_SECONDS", 0.1)
    with ExitStack() as until_freed:
        taken = until_freed.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        one = Watched(tmp_path, listen=address)

        with listening(one.one):
            until_freed.close()
            wait_for(lambda: answers(address))

    assert not answers(address)


def answers(address: str) -> bool:
    try:
        return bool(requests.get(f"http://{address}/healthz", timeout=5).content)
    except requests.ConnectionError:
        return False


def test_it_can_listen_nowhere(tmp_path: Path) -> None:
    one = Watched(tmp_path, listen="")

    with listening(one.one):
        due = one.one.step()

    assert due >= one.clock.now


def test_a_name_that_can_be_none_stops_no_night(tmp_path: Path, logged: StringIO) -> None:
    one = Watched(tmp_path, listen="a..b:9464")

    with listening(one.one):
        due = one.one.step()

    assert due >= one.clock.now
    assert "not-listening" in logged.getvalue()


def test_whoever_sends_bit_by_bit_keeps_nobody_else_out(one: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_listening, "_CONNECTION_SECONDS", 0.5)
    with one.listening() as address, ExitStack() as slow:
        port = int(address.rpartition(":")[2])
        for _ in range(_MANY):
            connection = slow.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.send(b"GET /healthz HTTP/1.1\r\nX: ")

        answer = requests.get(f"{address}/healthz", timeout=20)

    assert answer.status_code == 200


@pytest.mark.parametrize(("files", "connections"), [(-1, 100), (1024, 100), (64, 16), (10, 4)])
def test_where_few_files_may_be_open_connections_take_the_smaller_part(
    monkeypatch: pytest.MonkeyPatch, files: int, connections: int
) -> None:
    resource = pytest.importorskip("resource", reason="there is none on Windows")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))

    server = Server(cast("Listening", object()), f"127.0.0.1:{free_port()}")._server
    server.close()

    assert server.adj.connection_limit == connections


def test_where_no_connection_can_be_had_it_waits_and_says_so_once(logged: StringIO) -> None:
    over = threading.Event()
    over.set()
    refusals = iter([OSError(errno.EMFILE, "Too many open files")] * 3)

    def accept() -> Any:
        for refusal in refusals:
            raise refusal
        return "a connection"

    patient = daemon_listening._unhurried(accept, over)

    assert [patient() for _ in range(4)] == [None, None, None, "a connection"]
    assert logged.getvalue().count("no-more-connections") == 1


def test_a_config_that_was_changed_since_the_start_is_said_and_is_no_trouble(one: Watched, tmp_path: Path) -> None:
    with one.listening() as address:
        before = requests.get(f"{address}/readyz", timeout=5)
        with (tmp_path / "config.toml").open("a") as file:
            file.write("# another word\n")
        after = requests.get(f"{address}/readyz", timeout=5)

    assert (before.json()["config"], before.status_code) == ("is understood", 200)
    assert (after.json()["config"], after.status_code) == ("is understood; this daemon goes by the one before", 200)


def test_who_ends_while_others_answer_writes_into_no_file_that_is_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that is closed and still written into would be another file by then: the journal, at worst."""
    monkeypatch.setattr(daemon_listening, "_ANSWERS_SECONDS", 0.1)
    begun, go_on, address = threading.Event(), threading.Event(), f"127.0.0.1:{free_port()}"

    def slow(_environ: object, start_response: Any) -> list[bytes]:
        begun.set()
        go_on.wait(10)
        start_response("200 OK", [])
        return [b""]

    server = Server(cast("Listening", slow), address)
    with server.served(), socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as asking:
        asking.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert begun.wait(5)

    with ExitStack() as stack:
        victims = [tmp_path / str(number) for number in range(40)]
        for victim in victims:
            stack.enter_context(victim.open("wb", buffering=0))
        go_on.set()
        time.sleep(0.3)
    assert [victim.stat().st_size for victim in victims] == [0] * len(victims)
    server._server.close()
