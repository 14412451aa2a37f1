"""Redis sessions: races with the application, hostile values, and a server that refuses or dies."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgpack
import pytest
import redis

from connector.adapters.redis_sessions import RedisSessionStore, RedisSettings
from connector.errors import ConfigError, SourceError, TargetUnreachable
from connector.interfaces import Secret, Site
from connector.model import EndSessions, LegState, Level
from tests.servers import stop
from tests.servers.redis import RedisDatabase, RedisServer, start

SECRET_KEY = "session:9f8e7d6c5b4a"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, tmp_path, ZoneInfo("Australia/Adelaide"))


@pytest.fixture
def client(redis_database: RedisDatabase) -> Iterator[redis.Redis]:
    with redis_database.server.client(redis_database.number) as opened:
        yield opened


@pytest.fixture
def settings(redis_database: RedisDatabase) -> RedisSettings:
    return RedisSettings(redis_database.url, user_path="passport.user", portal="engage", created_path="made")


def value(user: str, **more: object) -> bytes:
    return json.dumps({"passport": {"user": user}, **more}).encode()


class Interrupted(RedisSessionStore):
    """A store in which somebody else is at work between the look and the delete."""

    meanwhile: Callable[[], Any] = staticmethod(lambda: None)

    def _end(self, named: Any, sweep: Any) -> list[bytes]:
        self.meanwhile()
        return super()._end(named, sweep)


@pytest.fixture
def interrupted(settings: RedisSettings, site: Site) -> Iterator[Interrupted]:
    store = Interrupted("web", settings, site)
    yield store
    store.disconnect()


@pytest.fixture
def store(settings: RedisSettings, site: Site) -> Iterator[RedisSessionStore]:
    opened = RedisSessionStore("web", settings, site)
    yield opened
    opened.disconnect()


# --- races ------------------------------------------------------------------------------------------------------


def test_a_session_saved_again_between_look_and_delete_is_ended_all_the_same(
    interrupted: Interrupted, client: redis.Redis
) -> None:
    client.set(SECRET_KEY, value("u1003"))
    saves = iter([value("u1003", seen=1)])
    interrupted.meanwhile = lambda: [client.set(SECRET_KEY, saved) for saved in saves]

    outcome = interrupted.close([EndSessions("u1003")])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)
    assert not client.exists(SECRET_KEY)


def test_a_key_given_to_somebody_else_between_look_and_delete_is_never_hit(
    interrupted: Interrupted, client: redis.Redis
) -> None:
    client.set(SECRET_KEY, value("u1003"))
    interrupted.meanwhile = lambda: client.set(SECRET_KEY, value("u2000"))

    outcome = interrupted.close([EndSessions("u1003")])[0]

    assert (outcome.state, outcome.ended) == (LegState.ALREADY_CLOSED, 0)
    assert client.get(SECRET_KEY) == value("u2000")


def test_a_key_that_became_another_type_is_left_alone(interrupted: Interrupted, client: redis.Redis) -> None:
    client.set(SECRET_KEY, value("u1003"))
    interrupted.meanwhile = lambda: (client.delete(SECRET_KEY), client.rpush(SECRET_KEY, "x"))

    outcome = interrupted.close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.ALREADY_CLOSED
    assert client.type(SECRET_KEY) == b"list"


def test_a_session_that_is_saved_again_and_again_is_refused_and_not_called_closed(
    interrupted: Interrupted, client: redis.Redis
) -> None:
    client.set(SECRET_KEY, value("u1003"))
    numbers = iter(range(1000))
    interrupted.meanwhile = lambda: client.set(SECRET_KEY, value("u1003", seen=next(numbers)))

    outcome = interrupted.close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.REFUSED
    assert "1 of 1 sessions stand again" in outcome.detail
    assert SECRET_KEY not in outcome.detail


def test_a_session_brought_back_at_the_end_of_a_request_is_ended_again_and_counted_once(
    settings: RedisSettings, site: Site, client: redis.Redis
) -> None:
    class SavedAtRequestEnd(RedisSessionStore):
        back = iter([value("u1003")])

        def _end(self, named: Any, sweep: Any) -> list[bytes]:
            changed = super()._end(named, sweep)
            for saved in self.back:
                client.set(SECRET_KEY, saved)
            return changed

    client.set(SECRET_KEY, value("u1003"))

    outcome = SavedAtRequestEnd("web", settings, site).close([EndSessions("u1003")])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)
    assert not client.exists(SECRET_KEY)


# --- what comes back while it settles -------------------------------------------------------------------------------


def test_a_session_written_back_after_the_sweep_is_ended_again_and_its_item_named(
    store: RedisSessionStore, client: redis.Redis
) -> None:
    gone, other = EndSessions("u1003"), EndSessions("u1004")
    client.mset({SECRET_KEY: value("u1003"), "session:2": value("u1004")})
    store.close([gone, other])
    client.set(SECRET_KEY, value("u1003", seen=1))

    back, quiet = store.end_again([gone, other]), store.end_again([gone, other])

    assert (back, quiet) == (frozenset({gone}), frozenset())
    assert not client.exists(SECRET_KEY)


def test_only_what_was_ended_is_ended_again(store: RedisSessionStore, client: redis.Redis) -> None:
    """Another's session under the same key stays, and so does a new sign-in: the next sweep judges it."""
    gone = EndSessions("u1003")
    client.set(SECRET_KEY, value("u1003"))
    store.close([gone])
    client.mset({SECRET_KEY: value("u2000"), "session:new": value("u1003")})

    back = store.end_again([gone])

    assert back == frozenset()
    assert client.exists(SECRET_KEY, "session:new") == 2


def test_what_was_ended_is_remembered_until_a_sweep_without_its_item_and_no_longer_than_the_connection(
    store: RedisSessionStore, client: redis.Redis
) -> None:
    first, second = EndSessions("u1003"), EndSessions("u1004")
    client.mset({SECRET_KEY: value("u1003"), "session:2": value("u1004")})
    store.close([first, second])
    store.close([first])
    client.mset({SECRET_KEY: value("u1003"), "session:2": value("u1004")})

    back = store.end_again([first, second])
    store.disconnect()
    client.set(SECRET_KEY, value("u1003"))
    after = store.end_again([first])

    assert (back, after) == (frozenset({first}), frozenset())


# --- hostile values ---------------------------------------------------------------------------------------------

HOSTILE_JSON = {
    "nested too deeply": b'{"a":' * 100_000,
    "nested too deeply, well-formed": b'{"passport":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number too long": b'{"passport":' + b"9" * 10_000 + b"}",
    "a list": b"[1, 2]",
    "a number": b"7",
    "nothing": b"",
    "not UTF-8": b'{"passport": {"user": "\xff\xfe"}}',
    "half a value": value("u1003")[:-3],
    "too large": b'{"passport": {"user": "u1003"}, "fill": "' + b"x" * (1 << 20) + b'"}',
}
NOBODY_JSON = {
    "user is a map": b'{"passport": {"user": {"id": "u1003"}}}',
    "user is a list": b'{"passport": {"user": ["u1003"]}}',
    "user is true": b'{"passport": {"user": true}}',
    "user is a float": b'{"passport": {"user": 1.5}}',
    "user is a lone surrogate": b'{"passport": {"user": "\\ud800"}}',
    "user is too long": value("u" * 5000),
    "passport is text": b'{"passport": "user"}',
    "no passport": b"{}",
}
HOSTILE_MSGPACK = {
    "nested too deeply": b"\x81\xa1a" * 100_000 + b"\xc0",
    "a map that claims four billion keys": b"\xdf\xff\xff\xff\xff",
    "a list for a key": b"\x81\x91\x01\x01",
    "an unknown byte": b"\xc1",
    "more after the end": msgpack.packb({"passport": {"user": "u1003"}}) + b"\x00",
    "a broken timestamp": b"\x81\xa1t\xc7\x03\xff\x00\x00\x00",
    "nothing": b"",
}


@pytest.mark.parametrize("hostile", HOSTILE_JSON.values(), ids=HOSTILE_JSON.keys())
def test_a_json_value_that_does_not_decode_is_counted_and_left_alone(
    store: RedisSessionStore, client: redis.Redis, hostile: bytes
) -> None:
    client.mset({"session:bad": hostile, "session:good": value("u1003")})

    outcome = store.close([EndSessions("u1003")])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)
    assert outcome.detail == "1 of 2 values could not be read and were left alone."
    assert client.keys() == [b"session:bad"]


@pytest.mark.parametrize("nobody", NOBODY_JSON.values(), ids=NOBODY_JSON.keys())
def test_a_value_without_a_user_where_one_should_be_is_nobodys_session(
    store: RedisSessionStore, client: redis.Redis, nobody: bytes
) -> None:
    client.mset({"session:nobody": nobody, "session:good": value("u1003")})

    reading = store.read_all()

    assert [session.user for session in reading.sessions] == ["u1003"]


@pytest.mark.parametrize("hostile", HOSTILE_MSGPACK.values(), ids=HOSTILE_MSGPACK.keys())
def test_a_msgpack_value_that_does_not_decode_is_counted_and_left_alone(
    settings: RedisSettings, site: Site, client: redis.Redis, hostile: bytes
) -> None:
    store = RedisSessionStore("web", replace(settings, format="msgpack"), site)
    client.mset({"session:bad": hostile, "session:good": msgpack.packb({"passport": {"user": "u1003"}})})

    outcome = store.close([EndSessions("u1003")])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)
    assert outcome.detail == "1 of 2 values could not be read and were left alone."


def test_msgpack_timestamps_numbers_and_foreign_types_are_read_for_what_they_are(
    settings: RedisSettings, site: Site, client: redis.Redis
) -> None:
    made = datetime(2026, 11, 21, 12, tzinfo=UTC)
    packed = msgpack.packb({"passport": {"user": 17}, "made": made, "other": msgpack.ExtType(5, b"x")}, datetime=True)
    packed_with_stray_byte = packed.replace(b"other", b"oth\xffr")
    client.mset({"session:1": packed, "session:2": packed_with_stray_byte})

    reading = RedisSessionStore("web", replace(settings, format="msgpack"), site).read_all()

    assert [(session.user, session.created_at) for session in reading.sessions] == [("17", made)] * 2


def test_a_key_that_is_not_utf8_is_ended_like_any_other(store: RedisSessionStore, client: redis.Redis) -> None:
    client.set(b"session:\xff\xfe", value("u1003"))

    outcome = store.close([EndSessions("u1003")])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)
    assert client.keys() == []


def test_keys_outside_the_pattern_and_of_other_types_are_not_sessions(
    store: RedisSessionStore, client: redis.Redis
) -> None:
    client.set("cache:1", value("u1003"))
    client.hset("session:hash", "user", "u1003")

    outcome = store.close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.ALREADY_CLOSED
    assert client.dbsize() == 2


def test_an_impossible_creation_time_is_none_and_the_session_is_ended(
    store: RedisSessionStore, client: redis.Redis
) -> None:
    for number, made in enumerate(["soon", 1e300, -5, [], "9" * 60, {"$date": 1}, True]):
        client.set(f"session:{number}", value("u1003", made=made))

    outcome = store.close([EndSessions("u1003", older_than=datetime(2000, 1, 1, tzinfo=UTC))])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 7)


# --- what check and errors say ----------------------------------------------------------------------------------


def test_a_wrong_format_is_an_error_and_never_no_sessions(
    settings: RedisSettings, site: Site, client: redis.Redis
) -> None:
    client.set(SECRET_KEY, value("u1003"))
    store = RedisSessionStore("web", replace(settings, format="msgpack"), site)

    outcome = store.close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.REFUSED
    assert "Set format" in outcome.detail
    assert [finding.level for finding in store.check()] == [Level.ERROR]
    with pytest.raises(SourceError, match="none of 1 values"):
        store.read_all()


def test_check_says_how_many_values_it_cannot_read(store: RedisSessionStore, client: redis.Redis) -> None:
    client.mset({"session:bad": b"\xff", "session:good": value("u1003")})

    findings = store.check()

    assert [finding.level for finding in findings] == [Level.OK, Level.WARNING]
    assert findings[1].message.startswith("1 of 2 values could not be read")


def test_check_says_where_no_value_has_a_user(settings: RedisSettings, site: Site, client: redis.Redis) -> None:
    client.set(SECRET_KEY, value("u1003"))
    store = RedisSessionStore("web", replace(settings, user_path="_user_id"), site)

    findings = store.check()

    assert findings[0].level is Level.ERROR
    assert "_user_id" in findings[0].message


def test_check_warns_where_no_key_fits(store: RedisSessionStore) -> None:
    assert [finding.level for finding in store.check()] == [Level.WARNING]


@pytest.fixture
def limited(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Redis user who may look and not end."""
    monkeypatch.setenv("REDIS_PASSWORD", "looks-only")
    with redis_server.client() as admin:
        admin.execute_command(
            "ACL", "SETUSER", "looker", "on", ">looks-only", "~*", "+@read", "+select", "+scan", "-@scripting"
        )
        yield "looker"
        admin.execute_command("ACL", "DELUSER", "looker")


def test_a_redis_user_who_may_not_end_sessions_is_refused_by_name_and_no_key_is_shown(
    settings: RedisSettings, site: Site, client: redis.Redis, limited: str
) -> None:
    client.set(SECRET_KEY, value("u1003"))
    url = settings.url.replace("redis://", f"redis://{limited}@")
    store = RedisSessionStore("web", replace(settings, url=url, password=Secret(env="REDIS_PASSWORD")), site)

    outcome = store.close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.REFUSED
    assert "EVAL" in outcome.detail
    assert SECRET_KEY not in outcome.detail
    assert [finding.level for finding in store.check()] == [Level.ERROR]
    assert client.exists(SECRET_KEY)


def test_a_wrong_password_is_said_and_not_shown(
    settings: RedisSettings, site: Site, limited: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "wrong-s3cret")
    url = settings.url.replace("redis://", f"redis://{limited}@")
    store = RedisSessionStore("web", replace(settings, url=url, password=Secret(env="REDIS_PASSWORD")), site)

    with pytest.raises(TargetUnreachable, match="refused the login") as caught:
        store.read_all()

    assert "s3cret" not in str(caught.value)


def test_no_error_carries_a_key_along(settings: RedisSettings, site: Site, client: redis.Redis, limited: str) -> None:
    client.set(SECRET_KEY, value("u1003"))
    url = settings.url.replace("redis://", f"redis://{limited}@")
    settings = replace(settings, url=url, password=Secret(env="REDIS_PASSWORD"))

    outcome = RedisSessionStore("web", settings, site).close([EndSessions("u1003")])[0]

    assert "9f8e7d6c5b4a" not in repr(outcome)


def test_a_server_that_dies_in_the_middle_of_a_sweep_leaves_every_item_unreachable(tmp_path: Path, site: Site) -> None:
    server = start(tmp_path)
    with server.client() as client:
        client.mset({f"session:{number}": value(f"u{number}") for number in range(3000)})

    class Dying(RedisSessionStore):
        rounds = 0

        def _end(self, named: Any, sweep: Any) -> list[bytes]:
            self.rounds += 1
            if self.rounds == 3:
                stop(server.process)
            return super()._end(named, sweep)

    batch = [EndSessions(f"u{number}") for number in range(3000)]
    outcomes = Dying("web", RedisSettings(server.url(), "passport.user"), site).close(batch)

    assert {outcome.state for outcome in outcomes} == {LegState.UNREACHABLE}
    assert 0 < sum(outcome.ended for outcome in outcomes) < 3000


# --- TLS --------------------------------------------------------------------------------------------------------


def test_tls_is_verified_against_the_named_authority(redis_server: RedisServer, site: Site) -> None:
    settings = RedisSettings(redis_server.tls_url(), "user", ca_file=str(redis_server.ca_file))

    assert RedisSessionStore("web", settings, site).read_all().sessions == ()


@pytest.mark.parametrize("mistake", ["another authority", "another name"])
def test_tls_that_cannot_be_verified_is_no_connection(redis_server: RedisServer, site: Site, mistake: str) -> None:
    url = redis_server.tls_url(host="localhost" if mistake == "another name" else "127.0.0.1")
    ca_file = str(redis_server.ca_file) if mistake == "another name" else ""

    with pytest.raises(TargetUnreachable, match="does not answer"):
        RedisSessionStore("web", RedisSettings(url, "user", ca_file=ca_file), site).read_all()


def test_a_unix_socket_is_an_address(redis_server: RedisServer, site: Site) -> None:
    store = RedisSessionStore("web", RedisSettings(f"unix://{redis_server.socket}?db=0", "user"), site)

    assert store.read_all().sessions == ()


# --- addresses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://redis.school.example", "in clear text to redis.school.example"),
        ("redis://10.0.0.5:6379/0", "in clear text"),
        ("redis://:hunter2@127.0.0.1", "holds a password"),
        ("rediss://app:hunter2@redis.school.example", "holds a password"),
        ("rediss://redis.school.example?ssl_cert_reqs=none", "has parameters"),
        ("rediss://redis.school.example?password=hunter2", "holds a password"),
        ("unix:///run/redis.sock?password=hunter2", "holds a password"),
        ("unix:///run/redis.sock?ssl=1", "parameters other than db"),
        ("http://127.0.0.1", "not an address of a Redis"),
        ("rediss://", "not an address of a Redis"),
        ("rediss://host:port", "is not an address"),
        ("rediss://[::1", "is not an address"),
        ("redis://127.0.0.1/sessions", "not a number"),
    ],
)
def test_an_unsafe_or_unclear_address_is_refused_before_anything_is_opened(url: str, sentence: str, site: Site) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        RedisSessionStore("web", RedisSettings(url, "user"), site)

    assert "hunter2" not in str(caught.value)
    assert caught.value.remedy


def test_a_pattern_that_fits_every_key_is_refused(site: Site) -> None:
    with pytest.raises(ConfigError, match="fits every key"):
        RedisSessionStore("web", RedisSettings("redis://127.0.0.1", "user", key_pattern="*"), site)
