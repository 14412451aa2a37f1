"""SQL portals: a database's own types and rules, somebody else writing at the same time, and connections that break."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from connector.adapters.sql_portal import SqlPortal
from connector.adapters.sql_portal_settings import SqlPortalSettings
from connector.errors import ConfigError, SourceError
from connector.interfaces import Site
from connector.model import CloseMember, LegState, Level, Member, MemberStatus, OpenMember
from tests.servers.answer_lost import AnswerLost
from tests.servers.postgres import PostgresServer
from tests.waiting import wait_for

GUARDIANS = """
CREATE TYPE access AS ENUM ('ON', 'OFF');
CREATE TABLE guardian (
    id serial PRIMARY KEY, person int NOT NULL, portal text NOT NULL DEFAULT 'engage', code char(8),
    username varchar(40) NOT NULL DEFAULT '', hash bytea, state access NOT NULL DEFAULT 'ON',
    by_hand boolean NOT NULL DEFAULT false, since date, seen timestamptz
);
"""
COLUMNS = {
    "person_id": "person",
    "username": "username",
    "password": "hash",
    "status": "state",
    "membership_type": "by_hand",
    "native_id": "id",
    "code": "code",
    "added_on": "since",
    "last_login": "seen",
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, tmp_path, ZoneInfo("Australia/Adelaide"))


class Guardians:
    """A guardian table as a self-hosted portal has it: an enum, a boolean, a byte password, a NOT NULL username."""

    def __init__(self, server: PostgresServer, site: Site) -> None:
        self.url = server.create_database()
        self.name = self.url.rpartition("/")[2]
        self.server, self.site, self.portals = server, site, list[SqlPortal]()
        self.other = server.connect(self.name)
        self.run(GUARDIANS)

    def run(self, statement: str) -> list[Any]:
        cursor = self.other.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

    def put(self, *persons: int, portal: str = "engage") -> None:
        for person in persons:
            values = (person, portal, f"u{person}")
            self.other.execute("INSERT INTO guardian (person, portal, username, hash) VALUES (%s, %s, %s, 'x')", values)

    def portal(self, **changes: Any) -> SqlPortal:
        settings = SqlPortalSettings(
            self.url,
            "guardian",
            COLUMNS,
            portal_column="portal",
            portal_value="engage",
            status_values={"enabled": "ON", "disabled": "OFF"},
            membership_type_values={"system_generated": False, "manually_added": True},
        )
        self.portals.append(SqlPortal("engage", replace(settings, **changes), self.site))
        return self.portals[-1]


@pytest.fixture
def guardians(postgres: PostgresServer, site: Site) -> Iterator[Guardians]:
    made = Guardians(postgres, site)
    yield made
    for portal in made.portals:
        portal.disconnect()
    made.other.close()


def closings(portal: SqlPortal) -> list[CloseMember]:
    members = sorted(portal.read_all().members, key=lambda member: int(member.native_id))
    return [CloseMember(member) for member in members]


def test_a_portal_s_own_types_are_read_and_closed(guardians: Guardians) -> None:
    guardians.put(1)
    portal = guardians.portal()
    (planned,) = closings(portal)

    (outcome,) = portal.close([planned])

    assert planned.before == Member("engage", "1", "u1", has_password=True, native_id="1")
    assert outcome.state is LegState.CLOSED
    assert guardians.run("SELECT username, hash, state FROM guardian") == [("", None, "OFF")]


def test_a_portal_s_own_types_are_added_opened_and_removed(guardians: Guardians) -> None:
    portal = guardians.portal()
    (added,) = portal.add([Member("engage", "7", status=MemberStatus.DISABLED)])
    (member,) = portal.read_some(["7"])

    (opened,) = portal.open([OpenMember(member, "u7", MemberStatus.ENABLED)])
    (removed,) = portal.remove(portal.read_some(["7"]))

    assert added.state is opened.state is removed.state is LegState.CLOSED
    assert guardians.run("SELECT * FROM guardian") == []


def test_an_id_the_column_cannot_hold_is_refused_for_that_item_alone(guardians: Guardians) -> None:
    portal = guardians.portal()

    outcomes = portal.add([Member("engage", "7"), Member("engage", "seven")])

    assert [outcome.state for outcome in outcomes] == [LegState.CLOSED, LegState.REFUSED]
    assert "'seven' does not fit the column person" in outcomes[1].detail


def test_portals_in_one_table_never_touch_each_other(guardians: Guardians) -> None:
    guardians.put(1)
    guardians.put(1, portal="library")
    portal = guardians.portal()

    portal.close(closings(portal))
    portal.remove(portal.read_all().members)

    assert guardians.run("SELECT portal, username FROM guardian") == [("library", "u1")]


def test_a_change_somebody_commits_while_we_wait_is_a_conflict_and_is_not_overwritten(guardians: Guardians) -> None:
    guardians.put(1, 2)
    portal = guardians.portal()
    planned = closings(portal)

    with ThreadPoolExecutor(1) as beside:
        guardians.run("BEGIN")
        guardians.run("UPDATE guardian SET username = 'new' WHERE person = 1")
        running = beside.submit(portal.close, planned)
        wait_for(lambda: guardians.run("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        guardians.run("COMMIT")
        outcomes = running.result()

    assert [outcome.state for outcome in outcomes] == [LegState.CONFLICT, LegState.CLOSED]
    assert "the username is now 'new'" in outcomes[0].detail
    assert guardians.run("SELECT username, state FROM guardian WHERE person = 1") == [("new", "ON")]


def test_a_change_somebody_rolls_back_while_we_wait_is_none(guardians: Guardians) -> None:
    guardians.put(1)
    portal = guardians.portal()
    planned = closings(portal)

    with ThreadPoolExecutor(1) as beside:
        guardians.run("BEGIN")
        guardians.run("UPDATE guardian SET username = 'new'")
        running = beside.submit(portal.close, planned)
        wait_for(lambda: guardians.run("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        guardians.run("ROLLBACK")
        (outcome,) = running.result()

    assert outcome.state is LegState.CLOSED


def test_a_connection_that_breaks_before_the_statement_took_effect_is_unreachable(guardians: Guardians) -> None:
    guardians.put(1)
    portal = guardians.portal()
    planned = closings(portal)

    with ThreadPoolExecutor(1) as beside:
        guardians.run("BEGIN")
        guardians.run("SELECT 1 FROM guardian FOR UPDATE")
        running = beside.submit(portal.close, planned)
        wait_for(lambda: guardians.run("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        guardians.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        (outcome,) = running.result()
        guardians.run("ROLLBACK")

    assert outcome.state is LegState.UNREACHABLE
    assert "the connection was lost" in outcome.detail
    assert guardians.run("SELECT username FROM guardian") == [("u1",)]


def test_a_closing_whose_answer_is_lost_is_read_back_and_not_sent_again(guardians: Guardians) -> None:
    guardians.put(1)
    planned = closings(guardians.portal())
    guardians.run("CREATE TABLE sent (n int)")
    guardians.run("CREATE RULE note AS ON UPDATE TO guardian DO ALSO INSERT INTO sent VALUES (1)")

    with AnswerLost(guardians.server.port) as wire:
        portal = guardians.portal(url=f"postgresql://postgres@127.0.0.1:{wire.port}/{guardians.name}")
        (outcome,) = portal.close(planned)
        portal.disconnect()

    assert outcome.state is LegState.CLOSED
    assert "the answer was lost" in outcome.detail
    assert guardians.run("SELECT count(*) FROM sent") == [(1,)]


def test_a_connection_that_breaks_between_two_calls_is_made_again(guardians: Guardians) -> None:
    guardians.put(1)
    portal = guardians.portal()
    planned = closings(portal)
    guardians.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    (outcome,) = portal.close(planned)

    assert outcome.state is LegState.CLOSED


def test_a_row_the_database_refuses_does_not_keep_the_others_open(guardians: Guardians) -> None:
    guardians.put(*range(1, 9))
    guardians.run("ALTER TABLE guardian ADD CHECK (person <> 5 OR state = 'ON')")
    portal = guardians.portal()

    outcomes = portal.close(closings(portal))

    assert [outcome.state for outcome in outcomes].count(LegState.CLOSED) == 7
    assert outcomes[4].state is LegState.REFUSED
    assert "check constraint" in outcomes[4].detail


def test_a_database_that_quietly_keeps_the_row_is_not_believed(guardians: Guardians) -> None:
    guardians.put(1)
    guardians.run("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$")
    guardians.run("CREATE TRIGGER keep BEFORE UPDATE ON guardian FOR EACH ROW EXECUTE FUNCTION keep()")
    portal = guardians.portal()

    (outcome,) = portal.close(closings(portal))

    assert outcome.state is LegState.REFUSED
    assert "still has the member as before" in outcome.detail


def test_one_statement_closes_a_batch(guardians: Guardians) -> None:
    guardians.put(*range(1, 51))
    guardians.run("CREATE TABLE sent (n int)")
    guardians.run(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN INSERT INTO sent VALUES (1); RETURN NULL; END $$"
    )
    guardians.run("CREATE TRIGGER note AFTER UPDATE ON guardian FOR EACH STATEMENT EXECUTE FUNCTION note()")
    portal = guardians.portal()

    portal.close(closings(portal))

    assert guardians.run("SELECT count(*) FROM sent") == [(1,)]


def test_rows_without_an_id_of_their_own_are_closed_by_person_and_all_of_them(guardians: Guardians) -> None:
    guardians.put(1, 1)
    guardians.run("UPDATE guardian SET username = 'u1b' WHERE id = 2")
    portal = guardians.portal(columns={field: name for field, name in COLUMNS.items() if field != "native_id"})
    members = portal.read_some(["1"])

    (alone,) = portal.close([CloseMember(members[0])])
    rest = portal.close([CloseMember(member) for member in members])

    assert alone.state is LegState.CONFLICT
    assert {outcome.state for outcome in rest} == {LegState.CLOSED}
    assert guardians.run("SELECT DISTINCT username, state FROM guardian") == [("", "OFF")]


def test_a_portal_without_a_status_is_enabled_while_the_credential_lives(guardians: Guardians) -> None:
    guardians.put(1)
    portal = guardians.portal(columns={"person_id": "person", "username": "username", "password": "hash"})
    (planned,) = closings_by_person(portal)

    (outcome,) = portal.close([planned])

    assert planned.before.enabled
    assert outcome.state is LegState.CLOSED
    assert not portal.read_all().members[0].enabled
    assert "No status column" in " ".join(finding.message for finding in portal.check())


def closings_by_person(portal: SqlPortal) -> list[CloseMember]:
    return [CloseMember(member) for member in portal.read_all().members]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"table": "guardians"}, "There is no table guardians. The nearest is 'guardian'"),
        ({"schema": "nowhere"}, "There is no table guardian in schema nowhere"),
        ({"columns": COLUMNS | {"password": "hsah"}}, "has no column hsah. The nearest is 'hash'"),
        ({"portal_column": "protal"}, "has no column protal. The nearest is 'portal'"),
        ({"columns": COLUMNS | {"status": "by_hand"}}, "'ON' does not fit the column by_hand"),
    ],
)
def test_what_the_database_does_not_have_is_named_with_the_nearest_and_nothing_is_written(
    guardians: Guardians, changes: dict[str, Any], sentence: str
) -> None:
    guardians.put(1)
    good, bad = guardians.portal(), guardians.portal(**changes)

    (outcome,) = bad.close(closings(good))
    (finding,) = bad.check()

    assert outcome.state is LegState.REFUSED
    assert sentence in outcome.detail
    assert sentence in finding.message
    assert guardians.run("SELECT username FROM guardian") == [("u1",)]


def test_a_table_in_another_schema_is_found(guardians: Guardians) -> None:
    guardians.put(1)
    guardians.run("CREATE SCHEMA school; ALTER TABLE guardian SET SCHEMA school")
    portal = guardians.portal(schema="school")

    (outcome,) = portal.close(closings(portal))

    assert outcome.state is LegState.CLOSED


def test_check_names_the_columns_a_database_user_may_not_write(guardians: Guardians) -> None:
    guardians.put(1)
    guardians.run(f"CREATE ROLE {guardians.name} LOGIN; GRANT SELECT ON guardian TO {guardians.name}")
    guardians.run(f"GRANT UPDATE (username) ON guardian TO {guardians.name}")
    portal = guardians.portal(url=guardians.server.url(guardians.name, guardians.name))

    findings = portal.check()
    (outcome,) = portal.close(closings(portal))

    assert findings[1].level is Level.ERROR
    assert "may not write hash, state" in findings[1].message
    assert outcome.state is LegState.REFUSED
    assert "permission denied" in outcome.detail


def test_check_warns_of_people_with_several_rows_that_nothing_tells_apart(guardians: Guardians) -> None:
    guardians.put(1, 1)
    portal = guardians.portal(columns={field: name for field, name in COLUMNS.items() if field != "native_id"})

    findings = portal.check()

    assert [finding.level for finding in findings] == [Level.OK, Level.WARNING]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"columns": {"person_id": "p"}}, "does not say which column is username"),
        ({"columns": COLUMNS | {"user": "u"}}, "maps 'user', which no member has"),
        ({"portal_value": ""}, "one of portal_column and portal_value"),
        ({"status_values": {"enabled": "ON"}}, "status_values"),
        ({"status_values": {"enabled": "ON", "disabled": "ON"}}, "status_values"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(
    guardians: Guardians, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        guardians.portal(**changes)


def test_a_custom_portal_s_own_word_on_the_strategy_is_read(site: Site) -> None:
    engine = sa.create_engine(f"sqlite:///{site.path('portal.sqlite')}", poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE members (person INTEGER, username TEXT, fits)")
        connection.exec_driver_sql("INSERT INTO members VALUES (1, 'a', 1), (2, 'b', 'no'), (3, 'c', NULL)")
    columns = {"person_id": "person", "username": "username", "strategy_match": "fits"}
    portal = SqlPortal("club", SqlPortalSettings("sqlite:///portal.sqlite", "members", columns), site)

    members = portal.read_all().members
    portal.disconnect()

    assert [member.strategy_match for member in members] == [True, False, None]


def test_a_sqlite_portal_somebody_else_is_writing_is_refused_and_not_waited_for_ever(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.adapters.database._LOCK_SECONDS", 0.1)
    engine = sa.create_engine(f"sqlite:///{site.path('portal.sqlite')}", poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE members (person TEXT, username TEXT)")
        connection.exec_driver_sql("INSERT INTO members VALUES ('1', 'a')")
    columns = {"person_id": "person", "username": "username"}
    portal = SqlPortal("club", SqlPortalSettings("sqlite:///portal.sqlite", "members", columns), site)
    planned = [CloseMember(member) for member in portal.read_all().members]

    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE members SET username = username")
        (outcome,) = portal.close(planned)
    portal.disconnect()

    assert outcome.state is LegState.REFUSED
    assert "locked" in outcome.detail


def test_a_file_that_is_no_database_is_a_source_error(site: Site) -> None:
    site.path("portal.sqlite").write_bytes(b"not a database at all, however long this text may be" * 20)
    columns = {"person_id": "person", "username": "username"}
    portal = SqlPortal("club", SqlPortalSettings("sqlite:///portal.sqlite", "members", columns), site)

    with pytest.raises(SourceError, match="not a database"):
        portal.read_all()
    portal.disconnect()
