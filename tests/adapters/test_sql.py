"""SQL admin systems: a database's own types, its errors, and a transaction that cannot write."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from connector.adapters.sql import SqlAdminSystem, SqlSettings
from connector.errors import ConfigError, SourceError, TargetUnreachable
from connector.interfaces import Secret, Site
from connector.model import ContactType, Enrolment, Person, PersonStatus, Relationship
from tests.servers.postgres import PostgresServer
from tests.waiting import wait_for

PEOPLE = "SELECT 1 AS person_id, 'C1' AS code, 'A' AS given_name, 'B' AS family_name, '' AS email, NULL AS mobile, 'active' AS status, '' AS previous_codes"  # noqa: E501 - one row is one line


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, tmp_path, ZoneInfo("Australia/Adelaide"))


@pytest.fixture
def lite(site: Site) -> Callable[..., SqlAdminSystem]:
    """Give an adapter over an empty SQLite file: its queries carry their own rows."""
    site.path("admin.sqlite").touch()

    def system(people: str = PEOPLE, **settings: object) -> SqlAdminSystem:
        queries = {"people": people, **settings.pop("queries", {})}  # type: ignore[dict-item] # as the config would
        return SqlAdminSystem("admin", SqlSettings("sqlite:///admin.sqlite", queries, **settings), site)  # type: ignore[arg-type] # as above

    return system


def test_the_types_of_a_database_are_taken_as_they_are(postgres: PostgresServer, site: Site) -> None:
    url = postgres.create_database()
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE community (id int, ref char(8), first text, died boolean)")
        connection.exec_driver_sql("INSERT INTO community VALUES (1, 'XU1', 'Anna', true), (2, 'XU2', NULL, false)")
        connection.exec_driver_sql("CREATE TABLE contacts (a int, b int, kind text, engage bool, court bool, til date)")
        connection.exec_driver_sql("INSERT INTO contacts VALUES (1, 2, 'Mother', NULL, true, '2026-09-01')")
        connection.exec_driver_sql("CREATE TABLE stays (student numeric, entry timestamp, leaving timestamp)")
        connection.exec_driver_sql("INSERT INTO stays VALUES (2, '2024-01-30', NULL)")
    people = (
        "SELECT id AS person_id, ref, first, '' AS family_name, '' AS email, '' AS mobile, '' AS previous_codes,"
        " CASE WHEN died THEN 'deceased' ELSE 'active' END AS status FROM community ORDER BY id"
    )
    stays = "SELECT student AS person_id, entry AS entry_date, leaving AS exit_date, '' AS exit_reason FROM stays"
    contacts = {
        "contact_id": "a",
        "student_id": "b",
        "contact_type": "kind",
        "portal_access": "engage",
        "restricted": "court",
        "ended_on": "til",
    }
    system = SqlAdminSystem(
        "admin",
        SqlSettings(
            url,
            {"people": people, "relationships": "SELECT * FROM contacts", "enrolments": stays},
            columns={"people": {"code": "ref", "given_name": "first"}, "relationships": contacts},
        ),
        site,
    )

    reading = system.read_all()
    system.disconnect()

    assert reading.people == (Person("1", "XU1", "Anna", status=PersonStatus.DECEASED), Person("2", "XU2"))
    assert reading.relationships == (Relationship("1", "2", "Mother", restricted=True, ended_on=date(2026, 9, 1)),)
    assert reading.enrolments == (Enrolment("2", date(2024, 1, 30)),)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM people",
        "SELECT 1; DELETE FROM people",
        "WITH gone AS (DELETE FROM people RETURNING *) SELECT * FROM gone",
        "UPDATE people SET code = 'x'",
        "/* SELECT */ DROP TABLE people",
        "",
        "SELECT 1; SELECT 2",
    ],
)
def test_a_query_that_is_not_one_single_select_is_refused(lite: Callable[..., SqlAdminSystem], query: str) -> None:
    with pytest.raises(ConfigError, match="not one single SELECT"):
        lite(query)


@pytest.mark.parametrize(
    "query",
    [
        f"-- the school's own; see below\n{PEOPLE};",
        f"WITH p AS ({PEOPLE}) SELECT * FROM p",  # noqa: S608 - a query of our own
        PEOPLE.replace("'A'", "'delete from; update x set'"),
        PEOPLE.replace("'A'", "'100 % :sure'"),
    ],
)
def test_a_select_may_look_as_it_likes(lite: Callable[..., SqlAdminSystem], query: str) -> None:
    assert len(lite(query).read_all().people) == 1


def test_a_percent_sign_and_a_colon_are_the_query_s_own_business(postgres: PostgresServer, site: Site) -> None:
    query = PEOPLE.replace("'C1'", "CASE WHEN 'C1' LIKE 'C%' THEN '12:30 %s'::text END")
    system = SqlAdminSystem("admin", SqlSettings(postgres.url(), {"people": query}), site)

    reading = system.read_all()
    system.disconnect()

    assert [person.code for person in reading.people] == ["12:30 %s"]


def test_a_function_that_writes_is_refused_by_the_transaction(postgres: PostgresServer, site: Site) -> None:
    url = postgres.create_database()
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE seen (n int)")
        connection.exec_driver_sql(
            "CREATE FUNCTION note() RETURNS text LANGUAGE sql AS $$ INSERT INTO seen VALUES (1) RETURNING n::text $$"
        )
    query = PEOPLE.replace("'A'", "note()")
    system = SqlAdminSystem("admin", SqlSettings(url, {"people": query}), site)

    with pytest.raises(SourceError, match=r"people query failed.*read-only transaction"):
        system.read_all()
    system.disconnect()


def test_a_sqlite_file_cannot_be_written_by_a_reading(site: Site) -> None:
    site.path("admin.sqlite").touch()
    query = "SELECT 1 AS person_id"
    system = SqlAdminSystem("admin", SqlSettings("sqlite:///admin.sqlite", {"people": query}), site)

    with system._database.reading() as connection, pytest.raises(sa.exc.OperationalError, match="readonly"):
        connection.exec_driver_sql("CREATE TABLE x (n)")


def test_all_dimensions_are_of_one_moment(postgres: PostgresServer, site: Site) -> None:
    url = postgres.create_database()
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE types (contact_type text, portal_access boolean)")
        connection.exec_driver_sql("INSERT INTO types VALUES ('Mother', true)")
    slow = PEOPLE.replace("'A'", "pg_sleep(0.6)::text || 'A'")
    system = SqlAdminSystem("admin", SqlSettings(url, {"people": slow, "contact_types": "SELECT * FROM types"}), site)

    with postgres.connect(url.rpartition("/")[2]) as other, ThreadPoolExecutor(1) as beside:
        reading = beside.submit(system.read_all)
        wait_for(lambda: other.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'").fetchone())
        other.execute("UPDATE types SET portal_access = false")
        types = reading.result().contact_types
    system.disconnect()

    assert types == (ContactType("Mother", portal_access=True),)


def test_a_query_that_fails_is_named_with_the_database_s_own_words(lite: Callable[..., SqlAdminSystem]) -> None:
    with pytest.raises(SourceError, match=r"relationships query failed.*no such table: nowhere"):
        lite(queries={"relationships": "SELECT * FROM nowhere"}).read_all()


def test_a_row_that_cannot_be_believed_is_named_by_query_row_and_column(lite: Callable[..., SqlAdminSystem]) -> None:
    query = f"{PEOPLE} UNION ALL {PEOPLE}"

    with pytest.raises(SourceError, match=r"(?s)The people query.*row 2, column person_id: '1' is already on row 1"):
        lite(query).read_all()


@pytest.mark.parametrize("value", ["1.5", "x'00ff'"])
def test_a_value_that_is_no_text_is_refused_by_its_type(lite: Callable[..., SqlAdminSystem], value: str) -> None:
    with pytest.raises(SourceError, match=r"people query gives .*(float|bytes).* in row 1"):
        lite(PEOPLE.replace("'C1'", value)).read_all()


def test_the_school_may_say_when_its_view_was_made(lite: Callable[..., SqlAdminSystem]) -> None:
    system = lite(produced_at_query="SELECT '2026-11-21 03:00:00'")

    produced_at = system.read_all().provenance.produced_at

    assert produced_at == datetime(2026, 11, 20, 16, 30, tzinfo=UTC)  # 03:00 in Adelaide


@pytest.mark.parametrize("query", ["SELECT 'soon'", "SELECT 1 WHERE 1 = 0"])
def test_a_moment_that_is_none_is_refused(lite: Callable[..., SqlAdminSystem], query: str) -> None:
    with pytest.raises(SourceError, match="which is no moment"):
        lite(produced_at_query=query).read_all()


def test_settings_that_name_nothing_are_refused_with_a_suggestion(lite: Callable[..., SqlAdminSystem]) -> None:
    with pytest.raises(ConfigError, match="nearest is 'enrolments'"):
        lite(queries={"enrollments": "SELECT 1"})
    with pytest.raises(ConfigError, match="nearest is 'given_name'"):
        lite(columns={"people": {"givenname": "x"}})


def test_an_admin_system_without_a_people_query_is_refused(site: Site) -> None:
    with pytest.raises(ConfigError, match="no query for people"):
        SqlAdminSystem("admin", SqlSettings("sqlite:///admin.sqlite", {}), site)


def test_a_database_that_does_not_answer_is_unreachable_and_no_file_is_made(site: Site) -> None:
    with pytest.raises(TargetUnreachable, match="cannot be reached"):
        SqlAdminSystem("admin", SqlSettings("sqlite:///typo.sqlite", {"people": PEOPLE}), site).read_all()

    assert not site.path("typo.sqlite").exists()


def test_a_password_is_never_in_an_error(postgres: PostgresServer, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", "s3cret-w0rd")
    query = PEOPLE.replace("'C1'", "('s3cret-w0rd'::int)::text")
    settings = SqlSettings(postgres.url(), {"people": query}, password=Secret(env="ADMIN_PASSWORD"))
    system = SqlAdminSystem("admin", settings, site)

    (finding,) = system.check()
    system.disconnect()

    assert "invalid input syntax" in finding.message
    assert "s3cret-w0rd" not in repr(finding)
