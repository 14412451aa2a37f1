"""Django sessions: what its key signed and nothing else, rows that change under the sweep, hostile data."""

import base64
import hashlib
import hmac
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from connector.adapters.django_sessions import DjangoSessionStore, DjangoSettings
from connector.adapters.django_signing import unsigned
from connector.errors import SourceError
from connector.interfaces import Secret, Site
from connector.model import EndSessions, LegState, Level
from tests.adapters.django_table import DJANGO_KEY, SALT, DjangoTable, django_text

OLD_KEY = "the-key-before-this-one-5e4d"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    for name, key in (("django.key", DJANGO_KEY), ("old.key", OLD_KEY)):
        (tmp_path / name).write_text(key)
        (tmp_path / name).chmod(0o600)
    return Site(tmp_path, tmp_path, ZoneInfo("Australia/Adelaide"))


@pytest.fixture
def table(site: Site) -> DjangoTable:
    return DjangoTable(sa.create_engine(f"sqlite:///{site.path('web.sqlite')}", poolclass=sa.NullPool))


@pytest.fixture
def settings() -> DjangoSettings:
    return DjangoSettings("sqlite:///web.sqlite", Secret(file="django.key"), portal="engage")


@pytest.fixture
def store(table: DjangoTable, settings: DjangoSettings, site: Site) -> DjangoSessionStore:
    assert table
    return DjangoSessionStore("web", settings, site)


def interrupted(store: DjangoSessionStore, meanwhile: Callable[[], Any]) -> DjangoSessionStore:
    """Give a store in which the application is at work between the look and the delete."""
    end = store._table._end

    def disturbed(*arguments: Any) -> Any:
        meanwhile()
        return end(*arguments)

    store._table._end = disturbed  # type: ignore[method-assign,assignment] # a test's way in
    return store


def signed_by_hand(payload: bytes, key: str = DJANGO_KEY) -> str:
    """Sign a payload that Django would not write."""
    body = f"{payload.decode()}:1uABCD"
    derived = hashlib.sha256(f"{SALT}signer{key}".encode()).digest()
    mac = hmac.new(derived, body.encode(), hashlib.sha256).digest()
    return f"{body}:{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


# --- signatures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("session", [{"_auth_user_id": "17"}, {"_auth_user_id": "17", "cart": "x" * 5000}, {}])
def test_what_django_signs_is_read_short_or_compressed(session: dict[str, Any]) -> None:
    signed = unsigned(django_text(session), [DJANGO_KEY])

    assert signed is not None
    assert signed.value == session
    assert signed.signed_at is not None
    assert abs(datetime.now(UTC) - signed.signed_at) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: "A" + text,
        lambda text: text.replace(":", ":0", 1),
        lambda text: text.rpartition(":")[0],
        lambda text: text.rpartition(":")[0] + ":",
        lambda _: "",
        lambda _: "::",
        lambda _: "ünïcode:\ud800:x",
    ],
)
def test_what_was_changed_after_signing_is_nothing(change: Callable[[str], str]) -> None:
    assert unsigned(change(django_text({"_auth_user_id": "17"})), [DJANGO_KEY]) is None


def test_another_key_and_another_salt_sign_nothing() -> None:
    assert unsigned(django_text({"_auth_user_id": "17"}, key=OLD_KEY), [DJANGO_KEY]) is None
    assert unsigned(django_text({"_auth_user_id": "17"}, salt="django.core.signing"), [DJANGO_KEY]) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"." + base64.urlsafe_b64encode(zlib.compress(b" " * (64 << 20))),
        b"." + base64.urlsafe_b64encode(zlib.compress(b'{"_auth_user_id": "17"}')[:-6]),
        b"." + base64.urlsafe_b64encode(b"not zlib"),
        base64.urlsafe_b64encode(b"\x80\x04\x95 a pickle"),
        base64.urlsafe_b64encode(b"[" * 100_000),
        base64.urlsafe_b64encode(b'["a list"]'),
        b"A",
    ],
)
def test_a_signed_payload_that_is_no_json_object_is_nothing_and_costs_nothing(payload: bytes) -> None:
    assert unsigned(signed_by_hand(payload), [DJANGO_KEY]) is None


# --- rows -------------------------------------------------------------------------------------------------------


def test_a_row_another_key_signed_is_left_alone_and_counted(table: DjangoTable, store: DjangoSessionStore) -> None:
    table.put({"_auth_user_id": "17"})
    foreign = table.put({"_auth_user_id": "17"}, key="somebody-else")

    outcome = store.close([EndSessions("17")])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)
    assert outcome.detail == "1 of 2 rows could not be read and were left alone."
    assert table.ids() == {foreign}


def test_sessions_of_an_older_signing_key_are_ended_where_the_config_names_it(
    table: DjangoTable, settings: DjangoSettings, site: Site
) -> None:
    table.put({"_auth_user_id": "17"}, key=OLD_KEY)
    rotated = replace(settings, older_signing_keys=(Secret(file="old.key"),))

    outcome = DjangoSessionStore("web", rotated, site).close([EndSessions("17")])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)


def test_a_wrong_signing_key_is_an_error_and_never_no_sessions(table: DjangoTable, store: DjangoSessionStore) -> None:
    kept = table.put({"_auth_user_id": "17"}, key=OLD_KEY)

    outcome = store.close([EndSessions("17")])[0]

    assert outcome.state is LegState.REFUSED
    assert "SECRET_KEY" in outcome.detail
    assert [finding.level for finding in store.check()] == [Level.ERROR]
    with pytest.raises(SourceError, match="none of 1 rows"):
        store.read_all()
    assert table.ids() == {kept}


def test_a_signing_key_that_is_not_there_refuses_and_says_so(
    table: DjangoTable, settings: DjangoSettings, site: Site
) -> None:
    table.put({"_auth_user_id": "17"})
    store = DjangoSessionStore("web", replace(settings, signing_key=Secret(env="NO_SUCH_KEY_HERE")), site)

    outcome = store.close([EndSessions("17")])[0]

    assert outcome.state is LegState.REFUSED
    assert "NO_SUCH_KEY_HERE" in outcome.detail
    assert [finding.level for finding in store.check()] == [Level.ERROR]


def test_expired_and_anonymous_rows_are_nobodys_and_stay(table: DjangoTable, store: DjangoSessionStore) -> None:
    table.put({"_auth_user_id": "17"}, hours=-1)
    table.put({"_auth_user_hash": "x"})

    outcome = store.close([EndSessions("17")])[0]

    assert store.read_all().sessions == ()
    assert outcome.state is LegState.ALREADY_CLOSED
    assert len(table.ids()) == 2


def test_the_last_save_is_when_it_was_seen_and_never_when_it_began(
    table: DjangoTable, store: DjangoSessionStore
) -> None:
    table.put({"_auth_user_id": "17"})

    session = store.read_all().sessions[0]
    outcome = store.close([EndSessions("17", older_than=datetime(2020, 1, 1, tzinfo=UTC))])[0]

    assert session.created_at is None
    assert session.last_seen_at is not None
    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)


# --- races ------------------------------------------------------------------------------------------------------


def test_a_session_saved_between_look_and_delete_is_judged_again_and_ended(
    table: DjangoTable, store: DjangoSessionStore
) -> None:
    key = table.put({"_auth_user_id": "17"})
    saves = iter([{"_auth_user_id": "17", "page": 2}])

    def save_once() -> None:
        for saved in saves:
            table.save(key, saved)

    disturbed = interrupted(store, save_once)

    outcome = disturbed.close([EndSessions("17")])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)
    assert table.ids() == set()


@pytest.mark.parametrize("session", [{"_auth_user_id": "18"}, {}])
def test_a_session_that_became_somebody_elses_is_never_hit(
    table: DjangoTable, store: DjangoSessionStore, session: dict[str, Any]
) -> None:
    key = table.put({"_auth_user_id": "17"})
    disturbed = interrupted(store, lambda: table.save(key, session))

    outcome = disturbed.close([EndSessions("17")])[0]

    assert (outcome.state, outcome.ended) == (LegState.ALREADY_CLOSED, 0)
    assert table.ids() == {key}


def test_a_session_that_is_saved_again_and_again_is_refused_and_not_called_closed(
    table: DjangoTable, store: DjangoSessionStore
) -> None:
    key, pages = table.put({"_auth_user_id": "17"}), iter(range(100))
    disturbed = interrupted(store, lambda: table.save(key, {"_auth_user_id": "17", "page": next(pages)}))

    outcome = disturbed.close([EndSessions("17")])[0]

    assert outcome.state is LegState.REFUSED
    assert "stand again" in outcome.detail
    assert key not in outcome.detail
