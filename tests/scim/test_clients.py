"""Clients and their tokens: shown once, kept as hashes, exchanged without a gap, taken back at once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from connector.errors import NotAllowed, UnknownPerson
from connector.reconcile.journal import Journal
from connector.reconcile.journal_scim_tables import scim_tokens
from connector.scim.clients import Client, Clients
from connector.scim.entrance import BELIEVED_SECONDS, Entrance, require
from connector.scim.errors import ScimError

KEY = b"k" * 32


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path / 'journal.sqlite'}", audit_key=KEY) as opened:
        yield opened


@pytest.fixture
def clients(journal: Journal) -> Clients:
    return Clients(journal.store)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def entrance(journal: Journal, clock: Clock, *proxies: str, share: int = 1) -> Entrance:
    return Entrance(journal.store, proxies, share, clock)


def admitted(door: Entrance, token: str, peer: str = "203.0.113.7", forwarded: str = "") -> str:
    return door.admit(f"Bearer {token}", peer, forwarded).name


def refused(door: Entrance, token: str, peer: str = "203.0.113.7", forwarded: str = "") -> ScimError:
    with pytest.raises(ScimError) as caught:
        door.admit(f"Bearer {token}", peer, forwarded)
    return caught.value


def test_the_database_never_holds_a_token(clients: Clients, journal: Journal) -> None:
    token = clients.create(Client("entra"), 30, "alice")

    with journal.store.reading() as conn:
        rows = conn.execute(select(scim_tokens)).all()
        audit = [tuple(row) for row in conn.exec_driver_sql("select text, detail from audit")]
    assert token not in repr(rows)
    assert token not in repr(audit)
    found = clients.known(token)
    assert found is not None
    assert found.client.name == "entra"


def test_a_row_written_without_the_key_is_no_token(clients: Clients, tmp_path: Path) -> None:
    token = clients.create(Client("entra"), 0, "alice")
    with Journal.open(f"sqlite:///{tmp_path / 'other.sqlite'}", audit_key=b"o" * 32) as other:
        elsewhere = Clients(other.store)

        assert elsewhere._hash(token) != clients._hash(token)


def test_two_tokens_live_at_once_and_the_oldest_goes(clients: Clients) -> None:
    first = clients.create(Client("entra"), 0, "alice")
    second = clients.rotate("entra", 0, "alice")
    assert clients.known(first)
    assert clients.known(second)

    third = clients.rotate("entra", 0, "alice")

    assert clients.known(first) is None
    assert clients.known(second)
    assert clients.known(third)


def test_a_token_that_was_taken_back_is_unknown(clients: Clients) -> None:
    token = clients.create(Client("entra"), 0, "alice")

    assert clients.revoke("entra", "alice") == 1

    assert clients.known(token) is None
    with pytest.raises(UnknownPerson, match="no such token"):
        clients.revoke("entra", "alice")


def test_a_token_past_its_time_is_unknown(clients: Clients, journal: Journal) -> None:
    token = clients.create(Client("entra"), 1, "alice")

    def later(_: Connection) -> datetime:
        return datetime.now(UTC) + timedelta(days=2)

    journal.store.clock = later

    assert clients.known(token) is None


@pytest.mark.parametrize(
    ("client", "why"),
    [
        (Client(""), "plain name"),
        (Client("a\nb"), "plain name"),
        (Client("a", scopes=frozenset({"everything"})), "no scope everything"),
        (Client("a", scopes=frozenset()), "without a scope"),
        (Client("a", per_hour=-1), "below nothing"),
        (Client("a", networks=("10.0.0.1/8",)), "no network"),
    ],
)
def test_a_client_that_cannot_be_is_refused(clients: Clients, client: Client, why: str) -> None:
    with pytest.raises(NotAllowed, match=why):
        clients.create(client, 0, "alice")

    assert clients.all() == ((), ())


def test_a_second_client_of_a_name_is_refused(clients: Clients) -> None:
    clients.create(Client("entra"), 0, "alice")

    with pytest.raises(NotAllowed, match="already"):
        clients.create(Client("entra"), 0, "alice")


def test_without_a_token_nobody_comes_in(journal: Journal) -> None:
    door = entrance(journal, Clock())

    for authorization in ("", "Bearer", "Bearer ", "Basic YTpi", "Bearer nonsense", "Bearer \udcff"):
        with pytest.raises(ScimError) as caught:
            door.admit(authorization, "203.0.113.7")
        assert caught.value.status == 401
        assert "WWW-Authenticate" in caught.value.headers


def test_a_token_that_was_taken_back_is_refused_two_seconds_later(clients: Clients, journal: Journal) -> None:
    clock = Clock()
    door, token = entrance(journal, clock), clients.create(Client("entra"), 0, "alice")
    assert admitted(door, token) == "entra"
    clients.revoke("entra", "alice")

    clock.now += BELIEVED_SECONDS

    assert refused(door, token).status == 401


def test_who_fails_too_often_waits_and_one_record_tells_of_it(journal: Journal) -> None:
    clock = Clock()
    door = entrance(journal, clock)
    for _ in range(10):
        assert refused(door, "guess").status == 401

    tired = refused(door, "guess")

    assert tired.status == 429
    assert 0 < int(tired.headers["Retry-After"]) <= 60
    assert [r.kind for r in journal.audit_records()].count("scim-unauthorized") == 1
    clock.now += 61
    assert refused(door, "guess").status == 401


def test_a_guesser_behind_the_same_address_does_not_keep_a_provider_out(clients: Clients, journal: Journal) -> None:
    door, token = entrance(journal, Clock()), clients.create(Client("entra"), 0, "alice")
    assert admitted(door, token) == "entra"
    for _ in range(12):
        refused(door, "guess")

    assert admitted(door, token) == "entra"


def test_nor_a_token_that_is_seen_for_the_first_time(clients: Clients, journal: Journal) -> None:
    door, token = entrance(journal, Clock()), clients.create(Client("entra"), 0, "alice")
    for guess in ("guess", token[::-1]) * 6:
        refused(door, guess)

    assert admitted(door, token) == "entra"


def test_a_guesser_is_one_however_a_proxy_writes_its_address(journal: Journal) -> None:
    door = entrance(journal, Clock(), "192.0.2.0/24")
    for port in range(10):
        assert refused(door, "guess", "192.0.2.1", f"203.0.113.7:{50000 + port}").status == 401

    assert refused(door, "guess", "192.0.2.1", "203.0.113.7:60000").status == 429
    assert [r.kind for r in journal.audit_records()].count("scim-unauthorized") == 1


def test_who_has_many_addresses_does_not_fill_the_journal(journal: Journal) -> None:
    clock = Clock()
    door = entrance(journal, clock)
    for number in range(200):
        assert refused(door, "guess", f"203.0.{number}.7").status == 401

    assert [r.kind for r in journal.audit_records()].count("scim-unauthorized") <= 60
    clock.now += 61
    refused(door, "guess", "198.51.100.1")
    assert "from 198.51.100.1" in list(journal.audit_records())[-1].text


def test_a_client_is_held_to_its_rate_and_told_when_to_come_back(clients: Clients, journal: Journal) -> None:
    clock = Clock()
    door, token = entrance(journal, clock), clients.create(Client("okta", per_minute=60), 0, "alice")
    for _ in range(10):
        assert admitted(door, token) == "okta"

    early = refused(door, token)

    assert early.status == 429
    assert early.headers["Retry-After"] == "1"
    clock.now += 1
    assert admitted(door, token) == "okta"


def test_several_processes_share_a_rate(clients: Clients, journal: Journal) -> None:
    door = entrance(journal, Clock(), share=2)
    token = clients.create(Client("okta", per_minute=120), 0, "alice")
    for _ in range(10):
        admitted(door, token)

    assert refused(door, token).status == 429


@pytest.mark.parametrize(
    ("peer", "forwarded", "status"),
    [
        ("10.1.2.3", "", 0),
        ("::ffff:10.1.2.3", "", 0),
        ("203.0.113.7", "", 403),
        ("203.0.113.7", "10.1.2.3", 403),  # anybody can write that header
        ("192.0.2.1", "10.1.2.3", 0),  # our proxy wrote it
        ("192.0.2.1", "10.1.2.3, 203.0.113.7", 403),  # what stands left of a stranger is the stranger's word
        ("192.0.2.1", "nonsense", 403),
        ("192.0.2.1", "10.1.2.3:50123", 0),  # some proxies write the port too
        ("192.0.2.1", "[::ffff:10.1.2.3]:50123", 0),
        ("192.0.2.1", "2001:db8::10:1", 403),
    ],
)
def test_a_client_calls_from_its_networks_only(
    clients: Clients, journal: Journal, peer: str, forwarded: str, status: int
) -> None:
    door = entrance(journal, Clock(), "192.0.2.0/24")
    token = clients.create(Client("entra", networks=("10.0.0.0/8",)), 0, "alice")

    if status:
        assert refused(door, token, peer, forwarded).status == status
    else:
        assert admitted(door, token, peer, forwarded) == "entra"


def test_a_scope_a_client_lacks_is_named() -> None:
    client = Client("hr", scopes=frozenset({"users:read"}))
    require(client, "users:read")

    with pytest.raises(ScimError, match="users:write") as caught:
        require(client, "users:write")

    assert caught.value.status == 403


def test_limits_change_without_a_new_token(clients: Clients) -> None:
    token = clients.create(Client("entra"), 0, "alice")

    clients.limit("entra", "alice", per_hour=500)

    found = clients.known(token)
    assert found is not None
    assert found.client.per_hour == 500


def test_a_guesser_with_a_network_of_its_own_is_one_guesser(journal: Journal) -> None:
    entrance = Entrance(journal.store)
    for number in range(10):
        with pytest.raises(ScimError) as refused:
            entrance.admit("Bearer guessed", f"2001:db8:0:1::{number:x}")
        assert refused.value.status == 401

    with pytest.raises(ScimError) as last:
        entrance.admit("Bearer guessed", "2001:db8:0:1::ffff")

    assert last.value.status == 429
