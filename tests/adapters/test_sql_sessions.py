"""SQL sessions: times in every notation, rows that change under the sweep, and a database that is not as configured."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from psycopg import sql

from connector.adapters.sql_sessions import SessionColumns, SqlSessionSettings, SqlSessionStore
from connector.errors import ConfigError, SourceError
from connector.interfaces import Site
from connector.model import EndSessions, LegState, Level, SessionKey
from tests.servers.postgres import PostgresServer

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
ID = "sid-9f8e7d6c5b4a"
COLUMNS = SessionColumns("sid", "login", "area", "made", "seen", "ends")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, tmp_path, ZoneInfo("Australia/Adelaide"))


class Web:
    """A table of sessions as some application keeps it: no types, so that every notation can be tried."""

    def __init__(self, site: Site, name: str = "web.sqlite") -> None:
        self.file = site.path(name)
        self.engine = sa.create_engine(f"sqlite:///{self.file}", poolclass=sa.NullPool)
        self.table = sa.Table("web_sessions", sa.MetaData(), *(sa.Column(name) for name in self.names))
        self.execute(sa.text("CREATE TABLE web_sessions (sid, login, area, made, seen, ends)"))

    names = ("sid", "login", "area", "made", "seen", "ends")

    def execute(self, statement: sa.Executable) -> Any:
        with self.engine.begin() as connection:
            result = connection.execute(statement)
            return result.all() if result.returns_rows else None

    def put(self, sid: object = ID, login: object = "u1003", area: object = "engage", **more: object) -> None:
        self.execute(self.table.insert().values(sid=sid, login=login, area=area, **more))

    def ids(self) -> list[Any]:
        return [row[0] for row in self.execute(sa.select(self.table.c.sid))]


@pytest.fixture
def web(site: Site) -> Web:
    return Web(site)


@pytest.fixture
def settings() -> SqlSessionSettings:
    return SqlSessionSettings("sqlite:///web.sqlite", "web_sessions", COLUMNS)


@pytest.fixture
def store(web: Web, settings: SqlSessionSettings, site: Site) -> SqlSessionStore:
    assert web
    return SqlSessionStore("web", settings, site)


# --- what comes back while it settles -------------------------------------------------------------------------------


def test_a_row_written_back_after_the_sweep_is_ended_again_and_its_item_named(web: Web, store: SqlSessionStore) -> None:
    gone, other = EndSessions("u1003"), EndSessions("u1004")
    web.put()
    web.put("sid-2", "u1004")
    store.close([gone, other])
    web.put()

    back, quiet = store.end_again([gone, other]), store.end_again([gone, other])

    assert (back, quiet) == (frozenset({gone}), frozenset())
    assert web.ids() == []


def test_only_what_was_ended_is_ended_again(web: Web, store: SqlSessionStore) -> None:
    """Another's session under the same id stays, and so does a new sign-in: the next sweep judges it."""
    gone = EndSessions("u1003")
    web.put()
    store.close([gone])
    web.put(login="u2000")
    web.put("sid-new")

    back = store.end_again([gone])

    assert back == frozenset()
    assert web.ids() == [ID, "sid-new"]


# --- times ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-20T21:14:05Z", datetime(2026, 11, 20, 21, 14, 5, tzinfo=UTC)),
        ("2026-11-20 21:14:05", datetime(2026, 11, 20, 21, 14, 5, tzinfo=UTC)),
        ("2026-11-21T07:44:05+10:30", datetime(2026, 11, 20, 21, 14, 5, tzinfo=UTC)),
        (1_795_000_000, datetime.fromtimestamp(1_795_000_000, UTC)),
        (1_795_000_000.5, datetime.fromtimestamp(1_795_000_000.5, UTC)),
        (1_795_000_000_500, datetime.fromtimestamp(1_795_000_000.5, UTC)),
        ("1795000000", datetime.fromtimestamp(1_795_000_000, UTC)),
        ("yesterday", None),
        ("", None),
        (None, None),
        (-1, None),
        (1e300, None),
        (b"\x00", None),
    ],
)
def test_a_time_is_read_in_every_notation_a_store_may_use(
    web: Web, store: SqlSessionStore, written: object, meant: datetime | None
) -> None:
    web.put(made=written, seen=written)

    session = store.read_all().sessions[0]

    assert (session.created_at, session.last_seen_at) == (meant, meant)


def test_a_time_without_a_zone_is_the_schools_where_the_config_says_so(
    web: Web, settings: SqlSessionSettings, site: Site
) -> None:
    web.put(made="2026-11-21 07:44:05")
    store = SqlSessionStore("web", replace(settings, naive_times="local"), site)

    session = store.read_all().sessions[0]

    assert session.created_at == datetime(2026, 11, 20, 21, 14, 5, tzinfo=UTC)


def test_an_expired_row_is_not_live_and_is_left_to_the_application(web: Web, store: SqlSessionStore) -> None:
    web.put(ends=(NOW - HOUR).isoformat())
    web.put("sid-2", ends=(NOW - HOUR).timestamp())

    outcome = store.close([EndSessions("u1003")])[0]

    assert store.read_all().sessions == ()
    assert outcome.state is LegState.ALREADY_CLOSED
    assert len(web.ids()) == 2


@pytest.mark.parametrize(
    "ends",
    [
        *(None, "", "never"),
        pytest.param((NOW + HOUR).isoformat(), id="a text in an hour"),
        pytest.param((NOW + HOUR).timestamp(), id="a number in an hour"),
    ],
)
def test_a_row_that_has_not_certainly_expired_is_live(web: Web, store: SqlSessionStore, ends: object) -> None:
    web.put(ends=ends)

    outcome = store.close([EndSessions("u1003")])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)


# --- rows -------------------------------------------------------------------------------------------------------


def test_a_fixed_portal_stands_where_no_column_names_one(web: Web, settings: SqlSessionSettings, site: Site) -> None:
    web.put(area="ignored")
    columns = SessionColumns("sid", "login")
    store = SqlSessionStore("web", replace(settings, columns=columns, portal="library"), site)

    outcomes = store.close([EndSessions("u1003", ("engage",)), EndSessions("u1003", ("library",))])

    assert [outcome.state for outcome in outcomes] == [LegState.ALREADY_CLOSED, LegState.CLOSED]
    assert web.ids() == []


def test_a_row_without_portal_is_ended_by_its_null(web: Web, store: SqlSessionStore) -> None:
    web.put(area=None)

    outcome = store.close([EndSessions("u1003")])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)


@pytest.mark.parametrize("nobody", [None, "", b"u1003", 1.5, "u" * 5000])
def test_a_row_whose_user_is_no_text_is_nobodys(web: Web, store: SqlSessionStore, nobody: object) -> None:
    web.put(login=nobody)

    assert store.read_all().sessions == ()


def test_a_numeric_user_id_is_compared_as_text_and_ended_as_a_number(
    web: Web, settings: SqlSessionSettings, site: Site
) -> None:
    web.put(sid=1, login=17)
    web.put(sid=2, login=170)
    store = SqlSessionStore("web", replace(settings, user_key=SessionKey.NATIVE_ID), site)

    outcome = store.close([EndSessions("17")])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)
    assert web.ids() == [2]


def interrupted(store: SqlSessionStore, meanwhile: Callable[[], Any]) -> SqlSessionStore:
    """Give a store in which somebody else is at work between the look and the delete."""
    end = store._table._end

    def disturbed(*arguments: Any) -> Any:
        meanwhile()
        return end(*arguments)

    store._table._end = disturbed  # type: ignore[method-assign,assignment] # a test's way in
    return store


@pytest.mark.parametrize("given_to", [{"login": "u2000"}, {"area": "staff"}])
def test_an_id_given_to_somebody_else_between_look_and_delete_is_never_hit(
    web: Web, settings: SqlSessionSettings, site: Site, given_to: dict[str, str]
) -> None:
    web.put()
    give = partial(web.execute, web.table.update().values(**given_to))
    store = interrupted(SqlSessionStore("web", settings, site), give)

    outcome = store.close([EndSessions("u1003", ("engage",))])[0]

    assert (outcome.state, outcome.ended) == (LegState.ALREADY_CLOSED, 0)
    assert web.ids() == [ID]


def test_a_session_saved_again_between_look_and_delete_is_ended_all_the_same(
    web: Web, settings: SqlSessionSettings, site: Site
) -> None:
    web.put()
    save = partial(web.execute, web.table.update().values(seen=NOW.isoformat()))
    store = interrupted(SqlSessionStore("web", settings, site), save)

    outcome = store.close([EndSessions("u1003")])[0]

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 1)


def test_a_row_that_a_trigger_brings_back_is_refused_and_not_called_closed(web: Web, store: SqlSessionStore) -> None:
    web.put()
    web.put("sid-2", "u1004")
    web.execute(
        sa.text(
            "CREATE TRIGGER back AFTER DELETE ON web_sessions WHEN old.login = 'u1003' "
            "BEGIN INSERT INTO web_sessions VALUES (old.sid, old.login, old.area, old.made, old.seen, old.ends); END"
        )
    )

    outcomes = store.close([EndSessions("u1003"), EndSessions("u1004")])

    assert [outcome.state for outcome in outcomes] == [LegState.REFUSED, LegState.CLOSED]
    assert "stand again" in outcomes[0].detail


def test_what_the_database_refuses_is_refused_and_no_session_id_is_shown(web: Web, store: SqlSessionStore) -> None:
    web.put()
    web.execute(
        sa.text(f"CREATE TRIGGER no BEFORE DELETE ON web_sessions BEGIN SELECT RAISE(ABORT, 'may not end {ID}'); END")
    )

    outcome = store.close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.REFUSED
    assert "may not end ***" in outcome.detail
    assert ID not in repr(outcome)


# --- configuration ----------------------------------------------------------------------------------------------


def test_a_column_that_is_not_there_is_an_error_with_the_nearest_name(
    web: Web, settings: SqlSessionSettings, site: Site
) -> None:
    web.put()
    store = SqlSessionStore("web", replace(settings, columns=SessionColumns("sid", "logn")), site)

    with pytest.raises(SourceError, match=r"no column logn.*'login'.*columns\.user"):
        store.read_all()

    assert store.close([EndSessions("u1003")])[0].state is LegState.REFUSED
    assert [finding.level for finding in store.check()] == [Level.ERROR]
    assert web.ids() == [ID]


def test_a_table_that_is_not_there_is_an_error_with_the_nearest_name(
    web: Web, settings: SqlSessionSettings, site: Site
) -> None:
    assert web
    store = SqlSessionStore("web", replace(settings, table="web_session"), site)

    with pytest.raises(SourceError, match=r"no table web_session.*'web_sessions'"):
        store.read_all()


def test_a_hostile_table_name_is_a_name_and_never_a_statement(
    web: Web, settings: SqlSessionSettings, site: Site
) -> None:
    store = SqlSessionStore("web", replace(settings, table='web_sessions"; DROP TABLE web_sessions; --'), site)

    with pytest.raises(SourceError, match="no table"):
        store.read_all()

    assert web.ids() == []


def test_a_password_in_the_url_is_refused_and_not_shown(settings: SqlSessionSettings, site: Site) -> None:
    with pytest.raises(ConfigError) as caught:
        SqlSessionStore("web", replace(settings, url="postgresql://app:hunter2@127.0.0.1/web"), site)

    assert "hunter2" not in str(caught.value)


def test_check_names_the_column_whose_times_it_cannot_read(web: Web, store: SqlSessionStore) -> None:
    web.put(made="yesterday", ends=NOW.isoformat())

    findings = store.check()

    assert [finding.level for finding in findings] == [Level.WARNING, Level.OK]
    assert " made " in findings[0].message


def test_check_writes_nothing(web: Web, store: SqlSessionStore) -> None:
    web.put()
    before = web.file.read_bytes()

    store.check()

    assert web.file.read_bytes() == before


# --- PostgreSQL -------------------------------------------------------------------------------------------------


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    """Give a database with sessions as a web framework keeps them: uuid, native times, in a schema of its own."""
    name = postgres.create_database().rpartition("/")[2]
    with postgres.connect(name) as connection:
        connection.execute("CREATE SCHEMA auth")
        connection.execute(
            "CREATE TABLE auth.sessions (sid uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id bigint, "
            "made timestamp, ends timestamptz)"
        )
        connection.execute(
            "INSERT INTO auth.sessions (user_id, made, ends) VALUES "
            "(17, '2026-11-20 21:14:05', now() + interval '1 hour'), (17, NULL, NULL), "
            "(17, NULL, now() - interval '1 second'), (18, NULL, NULL)"
        )
    return name


@pytest.fixture
def framework(postgres: PostgresServer, database: str) -> SqlSessionSettings:
    columns = SessionColumns("sid", "user_id", created_at="made", expires_at="ends")
    url = postgres.url(database)
    return SqlSessionSettings(url, "auth.sessions", columns, portal="engage", user_key=SessionKey.NATIVE_ID)


def test_native_columns_of_postgresql_are_read_and_ended_as_they_are(
    postgres: PostgresServer, database: str, framework: SqlSessionSettings, site: Site
) -> None:
    store = SqlSessionStore("web", framework, site)
    made = {session.created_at for session in store.read_all().sessions}

    outcome = store.close([EndSessions("17")])[0]
    store.disconnect()

    assert made == {datetime(2026, 11, 20, 21, 14, 5, tzinfo=UTC), None}
    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 2)
    with postgres.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM auth.sessions").fetchone() == (2,)


def test_check_says_that_sessions_may_be_seen_and_not_ended(
    postgres: PostgresServer, database: str, framework: SqlSessionSettings, site: Site
) -> None:
    reader = f"reader_{database}"
    with postgres.connect(database) as connection:
        for statement in (
            "CREATE ROLE {} LOGIN",
            "GRANT USAGE ON SCHEMA auth TO {}",
            "GRANT SELECT ON auth.sessions TO {}",
        ):
            connection.execute(sql.SQL(statement).format(sql.Identifier(reader)))
    store = SqlSessionStore("web", replace(framework, url=postgres.url(database, reader)), site)

    findings, outcome = store.check(), store.close([EndSessions("17")])[0]
    store.disconnect()

    assert [finding.level for finding in findings] == [Level.ERROR, Level.OK]
    assert "GRANT SELECT, DELETE ON auth.sessions" in findings[0].remedy
    assert outcome.state is LegState.REFUSED
    assert "permission denied" in outcome.detail


def test_a_connection_lost_in_the_delete_leaves_every_item_unreachable_and_the_store_usable(
    postgres: PostgresServer, database: str, framework: SqlSessionSettings, site: Site
) -> None:
    store = SqlSessionStore("web", framework, site)
    with postgres.connect(database) as connection:
        connection.execute(
            "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN old; END'"
        )
        connection.execute("CREATE TRIGGER cut BEFORE DELETE ON auth.sessions FOR EACH ROW EXECUTE FUNCTION cut()")

        outcome = store.close([EndSessions("17")])[0]
        connection.execute("DROP TRIGGER cut ON auth.sessions")
        again = store.close([EndSessions("17")])[0]
    store.disconnect()

    assert outcome.state is LegState.UNREACHABLE
    assert (again.state, again.ended) == (LegState.CLOSED, 2)
