"""Systems that are down, go down or change under a run: what can be closed is, the rest is finished later."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.model import LegState
from tests.e2e import configs
from tests.e2e.cluster import Cluster, running_cluster
from tests.e2e.command import Command, finish
from tests.e2e.conftest import LinedSchools, sql_scene
from tests.e2e.families import CLOSED
from tests.e2e.line import line_to
from tests.e2e.systems import OpenLdap, write_csv
from tests.ldap.builders import people_ldif
from tests.servers.slapd import BASE, Slapd, running_slapd
from tests.waiting import wait_for

_CLOSED_MEMBER = (None, None, "disabled")
_KEPT = {"engage-anna", "faculty-anna"}


def test_a_directory_that_is_down_stays_open_while_the_rest_is_closed_and_is_finished_by_the_next_run(
    lined_school: LinedSchools,
) -> None:
    lined = lined_school(3)
    scene, connector = lined.scene, lined.scene.connector
    lined.ldap.cut()
    connector.approve_first_run()

    first = connector("run")
    while_down = scene.member("p0"), scene.open_accounts()
    pending = connector("plan", "--check")
    lined.ldap.mend()
    second = connector("run")

    assert first.code == 4, first
    assert while_down == (_CLOSED_MEMBER, {account.username for account in scene.school.accounts})
    assert pending.code == 4, pending
    assert second.code == 0, second
    assert scene.open_accounts() == {scene.school.username("anna")}
    assert scene.sessions.session_ids() == _KEPT
    assert connector("plan", "--check").code == 0


@pytest.mark.parametrize(("system", "name"), [("portal", "engage"), ("redis", "web")])
def test_a_portal_or_store_that_is_down_from_the_start_leaves_its_legs_open_and_the_next_run_finishes_them(
    system: str, name: str, lined_school: LinedSchools
) -> None:
    lined = lined_school(3)
    scene, connector, line = lined.scene, lined.scene.connector, getattr(lined, system)
    line.cut()
    planned = connector("plan", "--check")
    connector.approve_first_run()

    first = connector("run")
    line.mend()
    second = connector("run")

    assert planned.code == 3, planned
    assert name in planned.said
    assert first.code == 4, first
    assert second.code == 0, second
    assert scene.open_accounts() == {scene.school.username("anna")}
    assert {scene.member(f"p{number}") for number in range(3)} == {_CLOSED_MEMBER}
    assert scene.sessions.session_ids() == _KEPT


def test_redis_going_down_during_a_run_leaves_session_legs_open_and_resume_finishes_them(
    lined_school: LinedSchools,
) -> None:
    lined = lined_school(3)
    scene, connector = lined.scene, lined.scene.connector
    connector.approve_first_run()
    with scene.portal.held():
        process = connector.start("run")
        wait_for(lambda: scene.directory.locked() == 3)
        lined.redis.cut()
    first = finish(process)
    sessions_then = scene.sessions.session_ids()
    lined.redis.mend()

    second = connector("resume")

    assert first.code == 4, first
    assert "web" in first.said
    assert sessions_then == _KEPT | {"engage-p0", "engage-p1", "engage-p2"}
    assert second.code == 0, second
    assert scene.sessions.session_ids() == _KEPT
    assert scene.legs("p1")["sessions"].state is LegState.CLOSED


def test_an_account_changed_during_a_run_is_a_conflict_and_is_not_written_over(lined_school: LinedSchools) -> None:
    lined = lined_school(2)
    scene, connector = lined.scene, lined.scene.connector
    account = scene.school.account("p0")
    connector.approve_first_run()
    lined.redis.hold()  # sessions are read last: whoever asks for them has read the directory

    process = connector.start("run")
    assert lined.redis.somebody_waits.wait(30)
    scene.directory.change(account, "employeeNumber", "SOMEBODY-ELSES")
    lined.redis.let_go()
    ran = finish(process)

    assert ran.code == 4, ran
    assert scene.legs("p0")["directory"].state is LegState.CONFLICT
    assert account.username in scene.open_accounts()
    assert scene.school.username("p1") not in scene.open_accounts()


def test_a_row_whose_person_changed_since_the_plan_is_skipped_and_the_others_go(lined_school: LinedSchools) -> None:
    scene = lined_school(2).scene
    connector = scene.connector
    plan_id = connector.approve_first_run()
    scene.school.tables["relationships"].append(
        {**scene.school.tables["relationships"][0], "contact_id": scene.school.ids["p0"]}
    )
    write_csv(scene.school, connector.config.parent / "admin")

    ran = connector("run", "--plan", plan_id)

    assert ran.code == 0, ran
    assert f"Skipped: {scene.school.code('p0')}" in ran.said
    assert scene.open_accounts() == scene.school.usernames(("anna", "p0"))
    assert scene.member("p0") != _CLOSED_MEMBER
    assert scene.sessions.session_ids() == _KEPT | {"engage-p0"}


def test_an_account_given_to_somebody_else_since_the_plan_is_left_alone(lined_school: LinedSchools) -> None:
    scene = lined_school(2).scene
    plan_id = scene.connector.approve_first_run()
    scene.directory.change(scene.school.account("p0"), "employeeNumber", scene.school.code("anna"))

    ran = scene.connector("run", "--plan", plan_id)

    assert ran.code == 0, ran
    assert f"Skipped: {scene.school.code('p0')}" in ran.said
    assert scene.open_accounts() == scene.school.usernames(("anna", "p0"))


def test_a_plan_none_of_whose_people_are_as_they_were_is_stale(lined_school: LinedSchools) -> None:
    scene = lined_school(1).scene
    connector = scene.connector
    plan_id = connector.approve_first_run()
    scene.school.tables["enrolments"][1]["exit_date"] = ""
    write_csv(scene.school, connector.config.parent / "admin")
    before = scene.everything()

    ran = connector("run", "--plan", plan_id)

    assert ran.code == 1, ran
    assert "stale" in ran.err
    assert "connector plan" in ran.err
    assert scene.everything() == before


# --- a directory that dies between two pages -------------------------------------------------------------------------


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Slapd]:
    """A slapd of this test alone with 2,500 people besides."""
    (tmp_path / "crowd").mkdir()
    with running_slapd(tmp_path / "crowd", people_ldif(BASE, 2500)) as server:
        yield server


@pytest.mark.parametrize("event", ["killed", "frozen"])
def test_a_directory_that_dies_in_the_middle_of_its_pages_gives_no_decision_at_all(
    event: str, crowd: Slapd, tmp_path: Path, lined_school: LinedSchools
) -> None:
    scene = lined_school(2).scene
    connector = scene.connector
    with line_to(crowd.host, crowd.port) as line:
        section = configs.openldap_section(
            OpenLdap(crowd, BASE, BASE), line.port, "page_size = 100\nreceive_timeout = 2"
        )
        config = configs.write_config(
            tmp_path, configs.apply_section(), configs.journal_section(), configs.CSV,
            configs.portal_sections(scene.portal), section, configs.redis_section(scene.sessions),
        )  # fmt: skip
        in_the_crowd = Command(config, connector.environment)
        in_the_crowd.approve_first_run()
        before = scene.everything()
        line.after(100_000, crowd.kill if event == "killed" else crowd.freeze)

        ran = in_the_crowd("run")

    assert ran.code == 1, ran
    assert "stopped answering" in ran.said
    assert "Traceback" not in ran.err
    assert scene.everything() == before


# --- a database that is restarted ------------------------------------------------------------------------------------


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A PostgreSQL of this test alone, to be restarted."""
    with running_cluster() as cluster:
        yield cluster


def test_a_database_restarted_between_plan_and_run_is_no_reason_to_plan_anew(
    own_cluster: Cluster, tmp_path: Path, slapd: Slapd
) -> None:
    scene = sql_scene(tmp_path, slapd, own_cluster.server)
    plan_id = scene.connector.approve_first_run()
    own_cluster.restart()

    ran = scene.connector("run", "--plan", plan_id)

    assert ran.code == 0, ran
    assert {scene.member(who) for who in CLOSED} == {_CLOSED_MEMBER}
    assert scene.open_accounts().isdisjoint(scene.school.usernames(CLOSED))


def test_a_database_that_loses_everybody_during_a_run_leaves_credentials_open_and_the_next_run_clears_them(
    lined_school: LinedSchools,
) -> None:
    lined = lined_school(2)
    scene, connector = lined.scene, lined.scene.connector
    connector.approve_first_run()
    with scene.portal.held():
        process = connector.start("run")
        wait_for(lambda: scene.directory.locked() == 2)
        lined.portal.cut()
        first = finish(process)
    credential_then = scene.member("p0")
    lined.portal.mend()

    second = connector("run")

    assert first.code == 4, first
    assert credential_then != _CLOSED_MEMBER
    assert second.code == 0, second
    assert {scene.member("p0"), scene.member("p1")} == {_CLOSED_MEMBER}
    assert scene.sessions.session_ids() == _KEPT
