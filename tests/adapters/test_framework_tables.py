"""The sql session store on tables that frameworks make: Spring Session JDBC, Flask-Session, connect-pg-simple."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import flask
import pytest
import sqlalchemy as sa
from flask_session import Session as FlaskSession
from flask_sqlalchemy import SQLAlchemy

from connector.adapters.sql_sessions import SessionColumns, SqlSessionSettings, SqlSessionStore
from connector.errors import ConfigError, SourceError
from connector.interfaces import Site
from connector.model import EndSessions, LegState, Level
from tests.servers.postgres import PostgresServer

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)

# Spring Session 3: org/springframework/session/jdbc/schema-postgresql.sql, as far as it concerns one session.
SPRING = """
CREATE TABLE SPRING_SESSION (
  PRIMARY_ID CHAR(36) NOT NULL, SESSION_ID CHAR(36) NOT NULL, CREATION_TIME BIGINT NOT NULL,
  LAST_ACCESS_TIME BIGINT NOT NULL, MAX_INACTIVE_INTERVAL INT NOT NULL, EXPIRY_TIME BIGINT NOT NULL,
  PRINCIPAL_NAME VARCHAR(100), CONSTRAINT SPRING_SESSION_PK PRIMARY KEY (PRIMARY_ID));
CREATE TABLE SPRING_SESSION_ATTRIBUTES (
  SESSION_PRIMARY_ID CHAR(36) NOT NULL, ATTRIBUTE_NAME VARCHAR(200) NOT NULL, ATTRIBUTE_BYTES BYTEA NOT NULL,
  CONSTRAINT SPRING_SESSION_ATTRIBUTES_PK PRIMARY KEY (SESSION_PRIMARY_ID, ATTRIBUTE_NAME),
  CONSTRAINT SPRING_SESSION_ATTRIBUTES_FK FOREIGN KEY (SESSION_PRIMARY_ID)
    REFERENCES SPRING_SESSION(PRIMARY_ID) ON DELETE CASCADE)
"""
SPRING_COLUMNS = SessionColumns(
    "session_id",
    "principal_name",
    created_at="creation_time",
    last_seen_at="last_access_time",
    expires_at="expiry_time",
)
FLASK_COLUMNS = SessionColumns("session_id", expires_at="expiry", value="data")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, tmp_path, ZoneInfo("Australia/Adelaide"))


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def url(request: pytest.FixtureRequest, site: Site) -> str:
    if request.param == "SQLite":
        file = site.path("web.sqlite")
        file.touch()
        return f"sqlite:///{file}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_database()


def engine(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)


def run(url: str, statement: str, **values: Any) -> list[Any]:
    with engine(url).begin() as connection:
        result = connection.execute(sa.text(statement), values)
        return list(result) if result.returns_rows else []


# --- Spring Session JDBC ----------------------------------------------------------------------------------------


def put_spring(url: str, number: int, principal: str | None, *, expires: datetime = NOW + HOUR) -> None:
    milliseconds = {"made": NOW - HOUR, "seen": NOW, "ends": expires}
    run(
        url,
        "INSERT INTO SPRING_SESSION VALUES (:key, :sid, :made, :seen, 1800, :ends, :principal)",
        key=f"{number:036d}",
        sid=f"{number + 900:036d}",
        principal=principal,
        **{name: int(moment.timestamp() * 1000) for name, moment in milliseconds.items()},
    )
    attribute = "INSERT INTO SPRING_SESSION_ATTRIBUTES VALUES (:key, 'SPRING_SECURITY_CONTEXT', :bytes)"
    run(url, attribute, key=f"{number:036d}", bytes=b"\xac\xed\x00\x05")


@pytest.fixture
def spring(url: str, site: Site) -> SqlSessionStore:
    for statement in SPRING.split(";"):
        run(url, statement)
    names = {name: value.upper() for name, value in _filled(SPRING_COLUMNS).items()}
    # SQLite keeps the capitals of the schema, PostgreSQL folds them.
    columns = SessionColumns(**names) if url.startswith("sqlite") else SPRING_COLUMNS
    table = "SPRING_SESSION" if url.startswith("sqlite") else "spring_session"
    return SqlSessionStore("web", SqlSessionSettings(url, table, columns, portal="engage"), site)


def _filled(columns: SessionColumns) -> dict[str, str]:
    words = {"session_id", "user", "created_at", "last_seen_at", "expires_at"}
    return {word: getattr(columns, word) for word in words}


def test_spring_session_jdbc_is_a_mapping_with_times_in_milliseconds(url: str, spring: SqlSessionStore) -> None:
    put_spring(url, 1, "u1003")

    session = spring.read_all().sessions[0]
    spring.disconnect()

    assert (session.user, session.portal) == ("u1003", "engage")
    assert session.created_at is not None
    assert session.last_seen_at is not None
    assert abs(session.created_at - (NOW - HOUR)) < timedelta(milliseconds=2)
    assert abs(session.last_seen_at - NOW) < timedelta(milliseconds=2)


def test_spring_session_jdbc_ends_one_principals_sessions_and_no_others(url: str, spring: SqlSessionStore) -> None:
    put_spring(url, 1, "U1003")
    put_spring(url, 2, "u1003")
    put_spring(url, 3, "u1003", expires=NOW - HOUR)
    put_spring(url, 4, "u10033")
    put_spring(url, 5, None)

    outcome = spring.close([EndSessions("u1003")])[0]
    findings = spring.check()
    spring.disconnect()

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 2)
    assert [finding.level for finding in findings] == [Level.OK]
    assert len(run(url, "SELECT * FROM SPRING_SESSION")) == 3
    if url.startswith("postgresql"):
        assert len(run(url, "SELECT * FROM SPRING_SESSION_ATTRIBUTES")) == 3


# --- Flask-Session's table --------------------------------------------------------------------------------------


def flask_app(url: str, form: str) -> flask.Flask:
    """A real application whose sessions the real Flask-Session keeps in its own table."""
    app = flask.Flask("storm")
    database = SQLAlchemy()
    app.config.update(
        SECRET_KEY="throw-away",
        SQLALCHEMY_DATABASE_URI=url.replace("postgresql:", "postgresql+psycopg:"),
        SQLALCHEMY_ENGINE_OPTIONS={"poolclass": sa.NullPool},
        SESSION_TYPE="sqlalchemy",
        SESSION_SQLALCHEMY=database,
        SESSION_SERIALIZATION_FORMAT=form,
    )
    database.init_app(app)
    FlaskSession(app)

    @app.get("/login/<user>")
    def login(user: str) -> str:
        flask.session["_user_id"] = user
        return "in"

    @app.get("/")
    def whoami() -> str:
        return str(flask.session.get("_user_id", ""))

    return app


@pytest.fixture
def sign_in(url: str, form: str) -> Callable[[str], Any]:
    app = flask_app(url, form)

    def signed_in(user: str) -> Any:
        browser = app.test_client()
        browser.get(f"/login/{user}")
        return browser

    return signed_in


@pytest.fixture
def flask_settings(url: str, form: str) -> SqlSessionSettings:
    settings = SqlSessionSettings(url, "sessions", FLASK_COLUMNS, portal="engage", user_path="_user_id")
    return replace(settings, format="msgpack") if form == "msgpack" else settings


@pytest.mark.parametrize("form", ["msgpack", "json"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Flask-Session 0.8 and SQLite's adapter of datetimes
def test_flask_sessions_table_signs_one_user_out_and_nobody_else(
    sign_in: Callable[[str], Any], flask_settings: SqlSessionSettings, site: Site
) -> None:
    store = SqlSessionStore("web", flask_settings, site)
    gone, stays = sign_in("u1003"), sign_in("u10033")
    assert (gone.get("/").text, len(store.read_all().sessions)) == ("u1003", 2)

    outcomes = store.close([EndSessions("u1003"), EndSessions("u1004")])
    findings = store.check()
    store.disconnect()

    assert [(o.state, o.ended) for o in outcomes] == [(LegState.CLOSED, 1), (LegState.ALREADY_CLOSED, 0)]
    assert [finding.level for finding in findings] == [Level.OK]
    assert (gone.get("/").text, stays.get("/").text) == ("", "u10033")


@pytest.mark.parametrize("form", ["msgpack"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # as above
def test_a_value_in_another_format_is_an_error_and_never_no_sessions(
    sign_in: Callable[[str], Any], flask_settings: SqlSessionSettings, site: Site
) -> None:
    store = SqlSessionStore("web", replace(flask_settings, format="json"), site)
    browser = sign_in("u1003")

    outcome = store.close([EndSessions("u1003")])[0]

    assert outcome.state is LegState.REFUSED
    assert "Set format" in outcome.detail
    with pytest.raises(SourceError, match="none of 1 rows"):
        store.read_all()
    store.disconnect()
    assert browser.get("/").text == "u1003"


# --- connect-pg-simple ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["json", "jsonb"])
def test_a_json_column_of_postgresql_is_read_and_compared_as_its_text(
    postgres: PostgresServer, site: Site, kind: str
) -> None:
    url = postgres.create_database()
    run(url, f"CREATE TABLE session (sid varchar PRIMARY KEY, sess {kind} NOT NULL, expire timestamp(6) NOT NULL)")
    for number, user in enumerate(["u1003", "u1003", "u1004"]):
        value = json.dumps({"cookie": {"path": "/"}, "passport": {"user": user}})
        insert = f"INSERT INTO session VALUES (:sid, CAST(:value AS {kind}), now() + interval '1 day')"  # noqa: S608 - one of two words of ours
        run(url, insert, sid=f"s{number}", value=value)
    columns = SessionColumns("sid", expires_at="expire", value="sess")
    store = SqlSessionStore("web", SqlSessionSettings(url, "session", columns, user_path="passport.user"), site)

    outcome = store.close([EndSessions("u1003")])[0]
    store.disconnect()

    assert (outcome.state, outcome.ended) == (LegState.CLOSED, 2)
    assert [row[0] for row in run(url, "SELECT sid FROM session")] == ["s2"]


@pytest.mark.parametrize(
    "settings",
    [
        SqlSessionSettings("sqlite:///web.sqlite", "sessions", SessionColumns(value="data")),
        SqlSessionSettings("sqlite:///web.sqlite", "sessions", SessionColumns(), user_path="_user_id"),
        SqlSessionSettings("sqlite:///web.sqlite", "sessions", SessionColumns(value="data"), portal_path="portal"),
    ],
)
def test_a_value_without_a_path_to_its_user_is_refused(settings: SqlSessionSettings, site: Site) -> None:
    with pytest.raises(ConfigError, match="only one of"):
        SqlSessionStore("web", settings, site)
