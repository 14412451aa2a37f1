"""What an identity provider says is what happens: over HTTP, with every process and every system real."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connector.reconcile.boundaries import Boundary
from connector.scim.models import CONNECTOR_SCHEMA, ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA
from tests.e2e.scim_world import (
    BULK,
    CLOSED_MEMBER,
    ScimWorld,
    build,
    children,
    end,
    ended,
    is_closed,
    kill_all,
    legs,
)
from tests.e2e.systems import Database
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisDatabase, RedisServer
from tests.servers.samba import SambaDc
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "geteuid"), reason="SIGSTOP and SIGKILL are POSIX signals"),
    pytest.mark.long,
]

BOUNDARIES = (
    Boundary.CLAIMED,
    Boundary.INTENT_DURABLE,
    Boundary.DIRECTORY_SENT,
    Boundary.CREDENTIAL_SENT,
    Boundary.SWEPT,
)
_DISABLED = 2
_ANSWER = 6


@pytest.fixture(scope="module")
def redis_498(redis_server: RedisServer) -> Iterator[RedisDatabase]:
    """A database that no other test counts to."""
    yield from _flushed(redis_server, 498)


@pytest.fixture(scope="module")
def redis_497(redis_server: RedisServer) -> Iterator[RedisDatabase]:
    """As above."""
    yield from _flushed(redis_server, 497)


def _flushed(server: RedisServer, number: int) -> Iterator[RedisDatabase]:
    yield RedisDatabase(server, number)
    with server.client(number) as client:
        client.flushdb()


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, samba: SambaDc, postgres: PostgresServer, redis_498: RedisDatabase
) -> Iterator[ScimWorld]:
    """A school whose journal is a file, served with two workers."""
    with ended(build(tmp_path_factory.mktemp("scim"), 9, samba, postgres, redis_498, answer=_ANSWER)) as made:
        made.serving.serve()
        yield made


@pytest.fixture(scope="module")
def on_postgresql(
    tmp_path_factory: pytest.TempPathFactory, samba: SambaDc, postgres: PostgresServer, redis_497: RedisDatabase
) -> Iterator[ScimWorld]:
    """The same with the journal in PostgreSQL; of its processes there are those a test starts."""
    journal, folder = Database.made_by(postgres), tmp_path_factory.mktemp("scim")
    with ended(build(folder, len(BOUNDARIES) + 1, samba, postgres, redis_497, journal, answer=2)) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest) -> ScimWorld:
    """Give a school on each database."""
    found: ScimWorld = request.getfixturevalue("world" if request.param == "sqlite" else "on_postgresql")
    if not found.serving.processes:
        found.serving.listen(workers=2)
    return found


# --- out is out ---------------------------------------------------------------------------------------------------


def test_active_false_from_entra_ends_with_the_bind_refused_the_credential_cleared_and_the_session_dead(
    world: ScimWorld,
) -> None:
    who = world.somebody()
    user, others = world.user(who), world.others_than(who)
    assert (user["active"], world.signs_in(who)) == (True, "")

    answer = world.provider.deactivate(user["id"])

    told = answer.json()
    assert answer.status_code == 200
    assert told["active"] is False
    assert set(legs(told)) == {"directory", "credential", "sessions"}
    assert is_closed(told), told
    assert "effectiveBy" not in told[CONNECTOR_SCHEMA]
    assert world.is_out(who)
    assert world.others_than(who) == others


def test_with_samba_down_the_answer_says_that_the_directory_is_open_and_nobody_has_to_help(world: ScimWorld) -> None:
    who = world.somebody()
    user = world.user(who)
    process = world.scene.directory.server.process
    process.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    try:
        answer = world.provider.deactivate(user["id"])
        took = time.monotonic() - begun
    finally:
        process.send_signal(signal.SIGCONT)

    told = answer.json()
    assert answer.status_code == 200, told
    assert took < _ANSWER + 3
    assert told["active"] is False
    assert legs(told).get("directory", "") not in {"closed", "already-closed"}
    assert told[CONNECTOR_SCHEMA]["status"] == "ready_to_revoke"
    wait_for(lambda: is_closed(world.provider.read(user["id"])))
    assert set(legs(world.provider.read(user["id"]))) == {"directory", "credential", "sessions"}
    assert world.is_out(who)
    world.assert_proven(who)


def test_a_re_sent_active_true_and_the_nightly_run_bring_nobody_back(world: ScimWorld) -> None:
    who = world.somebody()
    user_id = world.user(who)["id"]
    world.provider.deactivate(user_id)
    wait_for(lambda: is_closed(world.provider.read(user_id)))
    closed, others = world.provider.read(user_id), world.others_than(who)

    answer = world.provider.patch(user_id, active="True")
    told = world.provider.read(user_id)
    ran = world.scene.connector("run")

    assert answer.status_code == 403
    assert "access-ended" in answer.json()["detail"]
    assert told == closed
    assert ran.code == 0, ran
    assert world.is_out(who)
    assert world.others_than(who) == others
    assert world.provider.read(user_id)["active"] is False


# --- killed in the middle -----------------------------------------------------------------------------------------


def test_the_answer_comes_in_time_with_what_is_still_open_and_a_driver_killed_then_is_started_again(
    world: ScimWorld,
) -> None:
    who = world.somebody()
    user = world.user(who)
    (serve,) = world.serving.processes
    with world.scene.portal.held():
        answer = world.provider.deactivate(user["id"])
        (driver,) = [pid for pid, words in children(serve.pid).items() if "connector.scim.driver" in words]
        os.kill(driver, signal.SIGKILL)
    world.let_the_lease_be_over()

    told = answer.json()
    assert answer.status_code == 200
    assert told["active"] is False
    assert legs(told)["directory"] == "closed"
    assert legs(told)["credential"] not in {"closed", "already-closed"}
    wait_for(lambda: is_closed(world.provider.read(user["id"])))
    assert world.is_out(who)
    assert driver not in children(serve.pid)
    world.assert_proven(who)


def test_a_driver_killed_at_any_boundary_leaves_nothing_that_the_next_does_not_close(
    on_postgresql: ScimWorld,
) -> None:
    world = on_postgresql
    world.serving.end_all()
    world.serving.listen(workers=1)
    first = world.serving.drive()
    world.user("anna")
    end(first, signal.SIGTERM)
    people = [world.somebody() for _ in BOUNDARIES]
    others = world.others_than(*people)
    ids = {who: world.user(who)["id"] for who in people}
    for boundary, who in zip(BOUNDARIES, people, strict=True):
        dying = world.serving.drive(boundary)
        answer = world.provider.deactivate(ids[who])
        assert (answer.status_code, answer.json()["active"]) == (200, False)
        assert not is_closed(answer.json())
        assert dying.wait(40) == -signal.SIGKILL, boundary
        world.let_the_lease_be_over()

    last = world.serving.drive()

    wait_for(lambda: all(is_closed(world.provider.read(user_id)) for user_id in ids.values()))
    end(last, signal.SIGTERM)
    assert [who for who in people if not world.is_out(who)] == []
    assert world.others_than(*people) == others
    world.assert_proven(*people)


def test_everything_killed_at_once_is_finished_by_whoever_is_started_next(on_postgresql: ScimWorld) -> None:
    world = on_postgresql
    world.serving.end_all()
    serve = world.serving.serve()
    who = world.somebody()
    user_id = world.user(who)["id"]
    with ThreadPoolExecutor(1) as pool, world.scene.portal.held():
        pool.submit(world.provider.deactivate, user_id)
        wait_for(lambda: world.signs_in(who) == "533")
        kill_all(serve)
    before = world.scene.member(who), world.sessions()
    world.let_the_lease_be_over()

    world.serving.serve()

    assert before[0] != CLOSED_MEMBER
    assert f"engage-{who}" in before[1]
    wait_for(lambda: is_closed(world.provider.read(user_id)))
    assert world.is_out(who)
    world.assert_proven(who)


# --- two at once --------------------------------------------------------------------------------------------------


def test_of_sixteen_who_create_one_name_at_once_one_is_told_so(either: ScimWorld) -> None:
    names = ["Race@club.example", "race@CLUB.example"] * 8
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda name: either.provider.create(name, active=False), names))

    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 15]
    assert {a.json().get("scimType") for a in answers if a.status_code == 409} == {"uniqueness"}
    assert len(either.provider.found('/Users?filter=userName eq "race@club.example"')) == 1


def test_of_eighty_members_added_at_once_by_two_providers_none_is_lost(either: ScimWorld) -> None:
    providers = either.provider, either.client("other", "--per-minute", "0")
    bodies = [{"schemas": [USER_SCHEMA], "userName": f"m{n}@club.example", "active": False} for n in range(80)]
    made = either.provider.call(
        "POST",
        "/Bulk",
        {
            "schemas": [BULK],
            "Operations": [
                {"method": "POST", "path": "/Users", "bulkId": f"b{n}", "data": b} for n, b in enumerate(bodies)
            ],
        },
    ).json()
    ids = [one["location"].rsplit("/", 1)[1] for one in made["Operations"]]
    group = either.provider.call("POST", "/Groups", {"schemas": [GROUP_SCHEMA], "displayName": "Guild"}).json()["id"]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: providers[n % 2].members(group, "Add", ids[n]).status_code, range(len(ids))))

    assert set(answers) == {204}
    members = either.provider.call("GET", f"/Groups/{group}").json()["members"]
    assert sorted(member["value"] for member in members) == sorted(ids)


# --- let in -------------------------------------------------------------------------------------------------------


def test_a_post_makes_the_account_of_an_entitled_person_and_what_is_patched_flows_to_it(world: ScimWorld) -> None:
    name, code, managed = f"nora.{world.school.tag}", world.school.code("nora"), world.scene.directory.managed
    hostile = {"givenName": 'Nora, OU=Evil+"x', "familyName": "#O'Möss;<>=\\"}

    made = world.provider.create(
        name,
        name=hostile,
        displayName="Nora",
        emails=[{"type": "work", "value": "n@mail.example"}],
        **{ENTERPRISE_SCHEMA: {"employeeNumber": code}},
    )
    user = made.json()
    changed = world.provider.patch(user["id"], name__givenName="Eleonora")

    assert (made.status_code, changed.status_code) == (201, 200), (user, changed.json())
    wait_for(lambda: world.entries(name))
    (entry,) = world.entries(name)
    assert entry["distinguishedName"][0].endswith(f",{managed}")
    assert entry["distinguishedName"][0].count(",OU=") == managed.count("OU=")
    assert not int(entry["userAccountControl"][0]) & _DISABLED
    wait_for(lambda: world.entries(name)[0]["givenName"] == ["Eleonora"])
    assert (entry["employeeID"], entry["mail"]) == ([code], ["n@mail.example"])
    assert entry["sn"] == [hostile["familyName"]]
    wait_for(lambda: ("engage", world.school.ids["nora"]) in world.scene.portal.members())
    assert world.scene.member("nora")[0] == name
    assert world.scene.member("nora")[2] == "enabled"

    assert world.provider.deactivate(user["id"]).json()["active"] is False
    wait_for(lambda: is_closed(world.provider.read(user["id"])))
    assert int(world.entries(name)[0]["userAccountControl"][0]) & _DISABLED


def test_somebody_only_the_provider_knows_gets_an_account_loses_it_and_gets_it_again(world: ScimWorld) -> None:
    provider, name = world.provider, f"coach.{world.school.tag}"

    user = provider.create(name, name={"givenName": "Cy", "familyName": "Coach"}).json()
    assert user["active"] is True, user
    wait_for(lambda: world.entries(name))
    assert provider.members(provider.group_of("engage"), "Add", user["id"]).status_code == 204
    wait_for(lambda: any(row[0] == name for row in world.scene.portal.members().values()))
    (entry,) = world.entries(name)
    assert entry["employeeID"] != [""]
    assert not int(entry["userAccountControl"][0]) & _DISABLED

    provider.deactivate(user["id"])
    wait_for(lambda: int(world.entries(name)[0]["userAccountControl"][0]) & _DISABLED)
    wait_for(lambda: is_closed(provider.read(user["id"])))

    back = provider.patch(user["id"], active="True")
    assert back.status_code == 200
    wait_for(lambda: not int(world.entries(name)[0]["userAccountControl"][0]) & _DISABLED)
    wait_for(lambda: any(row[::2] == (name, "enabled") for row in world.scene.portal.members().values()))
    assert len(world.entries(name)) == 1


def test_a_pushed_group_that_stands_for_one_of_the_directory_is_joined_and_left(world: ScimWorld) -> None:
    who = world.somebody()
    user_id, name = world.user(who)["id"], world.school.username(who)
    group = world.provider.call("POST", "/Groups", {"schemas": [GROUP_SCHEMA], "displayName": "Choir"}).json()["id"]

    world.provider.members(group, "Add", user_id)
    wait_for(lambda: world.entries(name)[0].get("memberOf") == [world.group])
    world.provider.members(group, "Remove", user_id)
    wait_for(lambda: not world.entries(name)[0].get("memberOf"))

    assert world.signs_in(who) == ""


# --- too many -----------------------------------------------------------------------------------------------------


def test_more_deactivations_than_the_hourly_limit_are_refused_and_an_administrator_sees_it(world: ScimWorld) -> None:
    hasty = world.client("hasty", "--per-hour", "1")
    first, second = world.somebody(), world.somebody()
    ids = [world.user(who)["id"] for who in (first, second)]

    answers = [hasty.deactivate(user_id) for user_id in ids]

    assert [answer.status_code for answer in answers] == [200, 403]
    assert "connector token limit hasty" in answers[1].json()["detail"]
    assert world.provider.read(ids[1])["active"] is True
    assert (world.signs_in(second), f"engage-{second}" in world.sessions()) == ("", True)
    assert "hasty was refused 1 deactivation" in world.scene.connector("check").said
