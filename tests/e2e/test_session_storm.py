"""Real portals under a login storm: once the last sweep is clean, nobody answers the person as signed in any more."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import sentinel
from zoneinfo import ZoneInfo

import pytest

from connector.adapters.django_sessions import DjangoSessionStore, DjangoSettings
from connector.adapters.redis_sessions import RedisSessionStore, RedisSettings
from connector.interfaces import Secret, SessionStore, Site
from connector.model import LegState
from connector.reconcile.apply import Applier, Pace
from connector.reconcile.journal import Journal
from connector.reconcile.reading import Targets
from tests.e2e.storm import LONGEST_REQUEST, Storm, portal
from tests.reconcile.journal_builders import KEY, begin, revocation, sessions_leg
from tests.servers.redis import RedisDatabase

pytestmark = pytest.mark.alone

SETTLE_SECONDS = 1.2
DJANGO_KEY = "django-insecure-storm-2b1a"


@dataclass(frozen=True, slots=True)
class Portal:
    """A portal under storm, its session store as the connector sees it, and who the person is there."""

    storm: Storm
    store: SessionStore
    doors: Path
    user_in_store: str


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, tmp_path, ZoneInfo("Australia/Adelaide"))


@pytest.fixture
def doors(tmp_path: Path) -> Path:
    folder = tmp_path / "doors"
    folder.mkdir()
    for name in ("u1003", "u1004"):
        (folder / name).touch()
    return folder


@pytest.fixture
def flask_portal(redis_database: RedisDatabase, site: Site, doors: Path) -> Iterator[Portal]:
    arguments = (str(redis_database.server.port), str(redis_database.number), str(doors))
    settings = RedisSettings(redis_database.url, user_path="_user_id", format="msgpack", portal="engage")
    with portal("storm_flask.py", site.path("flask.log"), *arguments) as storm:
        store = RedisSessionStore("web", settings, site)
        yield Portal(storm, store, doors, "u1003")
        store.disconnect()


@pytest.fixture
def django_portal(site: Site, doors: Path) -> Iterator[Portal]:
    site.path("django.key").write_text(DJANGO_KEY)
    site.path("django.key").chmod(0o600)
    file = site.path("portal.sqlite")
    settings = DjangoSettings("sqlite:///portal.sqlite", Secret(file="django.key"), portal="engage")
    with portal("storm_django.py", site.path("django.log"), str(file), DJANGO_KEY, str(doors)) as storm:
        store = DjangoSessionStore("web", settings, site)
        yield Portal(storm, store, doors, "1")  # Django's key of the user made first
        store.disconnect()


@pytest.fixture
def applier(site: Site) -> Iterator[Applier]:
    with Journal.open(f"sqlite:///{site.path('journal.db')}", audit_key=KEY) as journal:
        pace = Pace(settle_seconds=SETTLE_SECONDS, sweeps_max=8)
        yield Applier(journal, Targets(sentinel.nobody_asks_it), begin(journal), pace)


@pytest.mark.parametrize("name", ["flask_portal", "django_portal"])
def test_after_the_clean_sweep_no_request_of_the_person_is_answered_as_signed_in(
    request: pytest.FixtureRequest, applier: Applier, name: str
) -> None:
    under: Portal = request.getfixturevalue(name)
    assert SETTLE_SECONDS > 2 * LONGEST_REQUEST
    applier.targets = Targets(applier.targets.admin_system, session_stores={"web": under.store})
    under.storm.begin("u1003", browsers=6)
    under.storm.begin("u1004", browsers=2)
    time.sleep(2.5)
    signed_in_before = under.storm.signed_in("u1003")

    (under.doors / "u1003").unlink()
    still_open = applier.revoke([revocation(legs=(sessions_leg(subject=under.user_in_store),))], "7f3a")
    clean_since = time.monotonic()
    time.sleep(1.5)
    under.storm.end()

    leg = applier.journal.revocations("p1")[0].legs[0]
    assert [(leg.state, leg.detail) for leg in still_open] == []
    assert (leg.state, leg.ended > 5) == (LegState.CLOSED, True), leg
    assert signed_in_before > 10
    assert under.storm.signed_in("u1003", since=clean_since) == 0
    assert sum(a.sent_by == "u1003" and a.began >= clean_since for a in under.storm.answers) > 10
    assert under.storm.signed_in("u1004", since=clean_since) > 5


def test_a_session_that_is_never_without_a_request_under_way_is_ended_all_the_same(
    flask_portal: Portal, applier: Applier
) -> None:
    """Every request writes its session back at its end, and the next one is there before any sweep."""
    applier.targets = Targets(applier.targets.admin_system, session_stores={"web": flask_portal.store})
    flask_portal.storm.besiege("u1003", threads=4)
    time.sleep(1)
    signed_in_before = flask_portal.storm.signed_in("u1003")

    (flask_portal.doors / "u1003").unlink()
    still_open = applier.revoke([revocation(legs=(sessions_leg(subject="u1003"),))], "7f3a")
    clean_since = time.monotonic()
    time.sleep(1)
    flask_portal.storm.end()

    assert [(leg.state, leg.detail) for leg in still_open] == []
    assert signed_in_before > 5
    assert flask_portal.storm.signed_in("u1003", since=clean_since) == 0
    assert sum(a.began >= clean_since for a in flask_portal.storm.answers) > 5
