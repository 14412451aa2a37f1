"""Spring Session in Redis: the index as it is written, sessions that change hands, and how fast one user is done."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis

from connector.adapters.spring_sessions import SpringRedisSessionStore, SpringRedisSettings
from connector.adapters.spring_values import spring_number, spring_text
from connector.errors import ConfigError
from connector.interfaces import Site
from connector.model import EndSessions, LegState, Level
from tests.adapters.spring_redis import INDEX, in_java, put_spring_session, spring_session_ids
from tests.servers.redis import RedisDatabase

NOW = datetime.now(UTC)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, tmp_path, ZoneInfo("Australia/Adelaide"))


@pytest.fixture
def client(redis_database: RedisDatabase) -> Iterator[redis.Redis]:
    with redis_database.server.client(redis_database.number) as opened:
        yield opened


@pytest.fixture
def settings(redis_database: RedisDatabase) -> SpringRedisSettings:
    return SpringRedisSettings(redis_database.url, portal="engage")


@pytest.fixture
def store(settings: SpringRedisSettings, site: Site) -> Iterator[SpringRedisSessionStore]:
    opened = SpringRedisSessionStore("web", settings, site)
    yield opened
    opened.disconnect()


def interrupted(store: SpringRedisSessionStore, meanwhile: Callable[[], Any]) -> SpringRedisSessionStore:
    """Give a store in which the application is at work between the look and the scripts."""
    end = store._end

    def disturbed(*arguments: Any) -> None:
        meanwhile()
        end(*arguments)

    store._end = disturbed  # type: ignore[method-assign,assignment] # a test's way in
    return store


def signed_in(client: redis.Redis, user: str = "u1003", **more: Any) -> str:
    return put_spring_session(client, in_java, user, **{"created_at": NOW, "last_seen_at": NOW, **more})


# --- what is stored ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (bytes.fromhex("aced00057400057531303033"), "u1003"),
        (b'"u1003"', "u1003"),
        (b"u1003", "u1003"),
        (bytes.fromhex("aced0005740009753130"), ""),
        (bytes.fromhex("aced00057372"), ""),
        (b'"half', ""),
        (b"\xff\xfe", ""),
        (b"u" * 600, ""),
        (None, ""),
    ],
)
def test_a_text_is_read_in_every_serialization(raw: bytes | None, text: str) -> None:
    assert spring_text(raw) == text


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (in_java(1795000000500), 1795000000500),
        (in_java(-1), -1),
        (b"1795000000500", 1795000000500),
        (b'["java.lang.Long",1795000000500]', 1795000000500),
        (in_java(1795000000500)[:-1], None),
        (b"9" * 30, None),
        (b"soon", None),
        (b"", None),
        (None, None),
    ],
)
def test_a_number_is_read_in_every_serialization(raw: bytes | None, number: int | None) -> None:
    assert spring_number(raw) == number


def test_times_of_spring_are_read(store: SpringRedisSessionStore, client: redis.Redis) -> None:
    signed_in(client, created_at=NOW - timedelta(hours=2))

    session = store.read_all().sessions[0]

    assert session.created_at is not None
    assert session.last_seen_at is not None
    assert abs(session.created_at - (NOW - timedelta(hours=2))) < timedelta(milliseconds=2)
    assert abs(session.last_seen_at - NOW) < timedelta(milliseconds=2)
    assert session.portal == "engage"


def test_session_expiry_key_and_index_entry_go_together(store: SpringRedisSessionStore, client: redis.Redis) -> None:
    signed_in(client)

    outcome = store.close([EndSessions("u1003")])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)
    assert client.keys("spring:session:sessions*") == []
    assert not client.exists(f"{INDEX}u1003")


def test_an_index_entry_without_a_session_an_expired_one_and_a_stub_are_not_live(
    store: SpringRedisSessionStore, client: redis.Redis
) -> None:
    client.sadd(f"{INDEX}u1003", in_java("gone"))
    signed_in(client, last_seen_at=NOW - timedelta(hours=1))
    stub = signed_in(client)
    client.hdel(f"spring:session:sessions:{stub}", "creationTime")

    outcome = store.close([EndSessions("u1003")])[0]

    assert store.read_all().sessions == ()
    assert outcome.state is LegState.ALREADY_CLOSED


def test_sessions_of_another_namespace_and_of_nobody_stay(store: SpringRedisSessionStore, client: redis.Redis) -> None:
    nobody = signed_in(client, user="")
    client.sadd(f"staff:{INDEX}u1003", in_java("s1"))
    client.hset("staff:spring:session:sessions:s1", "creationTime", in_java(1).decode("latin-1"))

    outcome = store.close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.ALREADY_CLOSED
    assert spring_session_ids(client) == {nobody}
    assert client.exists("staff:spring:session:sessions:s1")


def test_a_namespace_of_pattern_letters_is_a_name(
    settings: SpringRedisSettings, site: Site, client: redis.Redis
) -> None:
    signed_in(client)

    outcome = SpringRedisSessionStore("web", replace(settings, namespace="spring*"), site).close([EndSessions("u1003")])

    assert outcome[0].state is LegState.ALREADY_CLOSED
    assert len(spring_session_ids(client)) == 1


def test_a_principal_that_is_no_utf8_does_not_hide_the_others(
    store: SpringRedisSessionStore, client: redis.Redis
) -> None:
    session_id = signed_in(client)
    client.sadd(INDEX.encode() + b"\xff\xfe", in_java(session_id))
    client.sadd(INDEX, in_java(session_id))

    outcomes = store.close([EndSessions("u1003"), EndSessions("\ud800")])

    assert [(o.state, o.ended) for o in outcomes] == [(LegState.CLOSED, 1), (LegState.ALREADY_CLOSED, 0)]


# --- races ------------------------------------------------------------------------------------------------------


def test_a_session_that_another_person_signed_in_to_meanwhile_is_never_hit(
    store: SpringRedisSessionStore, client: redis.Redis
) -> None:
    session_id = signed_in(client)

    def changes_hands() -> None:
        client.srem(f"{INDEX}u1003", in_java(session_id))
        client.sadd(f"{INDEX}u2000", in_java(session_id))

    outcome = interrupted(store, changes_hands).close([EndSessions("u1003")])[0]

    assert (outcome.state, outcome.ended) == (LegState.ALREADY_CLOSED, 0)
    assert spring_session_ids(client) == {session_id}


def test_a_session_that_got_a_new_id_meanwhile_is_found_again_and_ended(
    store: SpringRedisSessionStore, client: redis.Redis
) -> None:
    session_id, renames = signed_in(client), iter(["a-new-id"])

    def changes_its_id() -> None:
        for new in renames:
            client.rename(f"spring:session:sessions:{session_id}", f"spring:session:sessions:{new}")
            client.srem(f"{INDEX}u1003", in_java(session_id))
            client.sadd(f"{INDEX}u1003", in_java(new))

    outcome = interrupted(store, changes_its_id).close([EndSessions("u1003")])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)
    assert client.keys("spring:session:sessions:a*") == []


def test_a_principal_who_signs_in_again_and_again_is_refused_and_not_called_closed(
    store: SpringRedisSessionStore, client: redis.Redis
) -> None:
    signed_in(client)

    outcome = interrupted(store, lambda: signed_in(client)).close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.REFUSED
    assert "1 of 4 sessions stand again" in outcome.detail


# --- how fast ---------------------------------------------------------------------------------------------------


@pytest.fixture
def crowded(client: redis.Redis) -> redis.Redis:
    """A Redis in which 100,000 others are signed in, and as many keys of other applications stand."""
    body = bytes.fromhex("aced0005") + b"x" * 40
    for start in range(0, 100_000, 5000):
        pipeline = client.pipeline(transaction=False)
        for number in range(start, start + 5000):
            client_id = f"id-{number}"
            pipeline.hset(f"spring:session:sessions:{client_id}", mapping={"creationTime": in_java(number), "x": body})
            pipeline.sadd(f"{INDEX}other{number}", in_java(client_id))
            pipeline.set(f"cache:{number}", b"1")
        pipeline.execute()
    return client


@pytest.mark.alone
def test_one_indexed_user_among_a_hundred_thousand_is_done_within_50_milliseconds(
    crowded: redis.Redis, settings: SpringRedisSettings, site: Site
) -> None:
    store, took = SpringRedisSessionStore("web", replace(settings, spelling="exact"), site), []
    store.close([EndSessions("warm")])
    for number in range(5):
        signed_in(crowded, user=f"U{number}")
        signed_in(crowded, user=f"U{number}")

        began = time.perf_counter()
        outcome = store.close([EndSessions(f"u{number}")])[0]
        took.append(time.perf_counter() - began)

        assert (outcome.state, outcome.ended) == (LegState.CLOSED, 2)
    store.disconnect()
    assert sorted(took)[2] < 0.05, took
    assert crowded.dbsize() >= 300_000


# --- check and configuration ------------------------------------------------------------------------------------


def test_check_says_that_there_are_sessions_and_no_index(store: SpringRedisSessionStore, client: redis.Redis) -> None:
    signed_in(client, user="")

    findings = store.check()

    assert [finding.level for finding in findings] == [Level.ERROR]
    assert "repository-type=indexed" in findings[0].remedy


def test_check_warns_where_nobody_is_signed_in(store: SpringRedisSessionStore) -> None:
    assert [finding.level for finding in store.check()] == [Level.WARNING]


def test_an_empty_namespace_is_refused(settings: SpringRedisSettings, site: Site) -> None:
    with pytest.raises(ConfigError, match="namespace"):
        SpringRedisSessionStore("web", replace(settings, namespace=" "), site)


def test_a_session_id_is_never_shown(store: SpringRedisSessionStore, client: redis.Redis) -> None:
    session_id = signed_in(client)

    assert session_id not in repr(store.read_all()) + json.dumps(repr(store.close([EndSessions("u1003")])))
