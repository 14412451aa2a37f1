"""The SessionStore contract against Redis (JSON, msgpack, Spring), SQL and Django (SQLite, PostgreSQL)."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgpack
import pytest
import sqlalchemy as sa

from connector.adapters.django_sessions import DjangoSessionStore, DjangoSettings
from connector.adapters.redis_sessions import RedisSessionStore, RedisSettings
from connector.adapters.session_values import Format
from connector.adapters.spring_sessions import SpringRedisSessionStore, SpringRedisSettings
from connector.adapters.sql_sessions import SessionColumns, SqlSessionSettings, SqlSessionStore
from connector.interfaces import Secret, Site
from connector.model import SessionKey
from tests.adapters.django_table import DJANGO_KEY, DjangoTable
from tests.adapters.spring_redis import SpringWrite, in_java, in_json, put_spring_session, spring_session_ids
from tests.contracts.session_store import NOON, Bench, SessionStoreContract
from tests.servers import free_port
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisDatabase


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, tmp_path, ZoneInfo("Australia/Adelaide"))


def engine_of(request: pytest.FixtureRequest, url: str) -> sa.Engine:
    """Give an engine whose connection stays until the test is over: a batch puts its sessions one by one."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    if engine.dialect.name == "sqlite":
        # Nothing here outlives a crash: without it each of them waits for the disk.
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    request.addfinalizer(engine.dispose)
    return engine


def sql_bench(engine: sa.Engine, offline_url: str, made_type: sa.types.TypeEngine[Any], site: Site) -> Bench:
    numbers, url = count(1), engine.url.render_as_string(hide_password=False)
    table = sa.Table(
        "web_sessions",
        sa.MetaData(),
        *(sa.Column(name, sa.Text) for name in ("sid", "login", "area")),
        sa.Column("made", made_type),
    )
    table.create(engine)

    def store(user_key: SessionKey = SessionKey.USERNAME, url: str = url) -> SqlSessionStore:
        columns = SessionColumns("sid", "login", "area", "made")
        return SqlSessionStore("web", SqlSessionSettings(url, "web_sessions", columns, user_key=user_key), site)

    def put(user: str, portal: str = "engage", created_at: datetime | None = NOON) -> str:
        session_id = f"sid-{next(numbers)}-9f8e7d6c"
        made = created_at.isoformat() if created_at and isinstance(made_type, sa.Text) else created_at
        with engine.begin() as connection:
            connection.execute(table.insert().values(sid=session_id, login=user, area=portal, made=made))
        return session_id

    def ids() -> set[str]:
        with engine.begin() as connection:
            return set(connection.scalars(sa.select(table.c.sid)))

    return Bench(store(), store, put, ids, lambda: store(url=offline_url))


def sqlite_bench(request: pytest.FixtureRequest, site: Site) -> Bench:
    engine = engine_of(request, f"sqlite:///{site.path('web.sqlite')}")
    return sql_bench(engine, "sqlite:///missing.sqlite", sa.Text(), site)


def postgres_bench(request: pytest.FixtureRequest, site: Site) -> Bench:
    server: PostgresServer = request.getfixturevalue("postgres")
    offline = f"postgresql://postgres@127.0.0.1:{free_port()}/web"
    return sql_bench(engine_of(request, server.create_database()), offline, sa.DateTime(timezone=True), site)


def redis_bench(request: pytest.FixtureRequest, site: Site, form: Format) -> Bench:
    database: RedisDatabase = request.getfixturevalue("redis_database")
    encode: Callable[[object], bytes] = msgpack.packb if form == "msgpack" else lambda value: json.dumps(value).encode()
    numbers, client = count(1), database.server.client(database.number)

    def store(user_key: SessionKey = SessionKey.USERNAME, url: str = database.url) -> RedisSessionStore:
        settings = RedisSettings(url, "passport.user", portal_path="portal", created_path="made", format=form)
        return RedisSessionStore("web", replace(settings, user_key=user_key), site)

    def put(user: str, portal: str = "engage", created_at: datetime | None = NOON) -> str:
        key = f"session:{next(numbers)}"
        value = {"passport": {"user": user}, "portal": portal, "made": created_at and created_at.isoformat()}
        client.set(key, encode(value))
        return key

    def away() -> RedisSessionStore:
        return store(url=f"redis://127.0.0.1:{free_port()}")

    return Bench(store(), store, put, lambda: {key.decode() for key in client.scan_iter()}, away)


def spring_bench(request: pytest.FixtureRequest, site: Site, write: SpringWrite) -> Bench:
    database: RedisDatabase = request.getfixturevalue("redis_database")
    client = database.server.client(database.number)

    def store(user_key: SessionKey = SessionKey.USERNAME, url: str = database.url) -> SpringRedisSessionStore:
        settings = SpringRedisSettings(url, portal_attribute="portal", user_key=user_key)
        return SpringRedisSessionStore("web", settings, site)

    def put(user: str, portal: str = "engage", created_at: datetime | None = NOON) -> str:
        return put_spring_session(client, write, user, portal=portal, created_at=created_at)

    def away() -> SpringRedisSessionStore:
        return store(url=f"redis://127.0.0.1:{free_port()}")

    return Bench(store(), store, put, lambda: spring_session_ids(client), away)


def django_bench(request: pytest.FixtureRequest, url: str, offline_url: str, site: Site) -> Bench:
    site.path("django.key").write_text(DJANGO_KEY)
    site.path("django.key").chmod(0o600)
    table = DjangoTable(engine_of(request, url))

    def store(user_key: SessionKey = SessionKey.USERNAME, url: str = url) -> DjangoSessionStore:
        settings = DjangoSettings(url, Secret(file="django.key"), portal_path="portal", created_path="made")
        return DjangoSessionStore("web", replace(settings, user_key=user_key), site)

    def put(user: str, portal: str = "engage", created_at: datetime | None = NOON) -> str:
        return table.put({"_auth_user_id": user, "portal": portal, "made": created_at and created_at.isoformat()})

    return Bench(store(), store, put, table.ids, lambda: store(url=offline_url))


def django_sqlite_bench(request: pytest.FixtureRequest, site: Site) -> Bench:
    return django_bench(request, f"sqlite:///{site.path('web.sqlite')}", "sqlite:///missing.sqlite", site)


def django_postgres_bench(request: pytest.FixtureRequest, site: Site) -> Bench:
    server: PostgresServer = request.getfixturevalue("postgres")
    offline = f"postgresql://postgres@127.0.0.1:{free_port()}/web"
    return django_bench(request, server.create_database(), offline, site)


BENCHES: dict[str, Callable[[pytest.FixtureRequest, Site], Bench]] = {
    "redis json": partial(redis_bench, form="json"),
    "redis msgpack": partial(redis_bench, form="msgpack"),
    "spring redis, Java serialization": partial(spring_bench, write=in_java),
    "spring redis, JSON": partial(spring_bench, write=in_json),
    "sql on SQLite": sqlite_bench,
    "sql on PostgreSQL": postgres_bench,
    "django on SQLite": django_sqlite_bench,
    "django on PostgreSQL": django_postgres_bench,
}


@pytest.fixture(params=list(BENCHES))
def bench(request: pytest.FixtureRequest, site: Site) -> Iterator[Bench]:
    made = BENCHES[request.param](request, site)
    yield made
    made.store.disconnect()


class TestSessionStore(SessionStoreContract):
    """Every sentence of the contract, on every bench."""
