"""The Portal contract against SQL (SQLite, PostgreSQL), and its reading half against a hosted portal's worklist."""

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from connector.adapters.sql_portal import SqlPortal
from connector.adapters.sql_portal_settings import SqlPortalSettings
from connector.adapters.worklist import WorklistPortal, WorklistSettings
from connector.interfaces import Site
from tests.contracts.portal import Bench, Cells, PortalReadingContract, PortalWritingContract, row
from tests.servers.postgres import PostgresServer

FIELDS = ("person_id", "username", "password", "status", "membership_type", "code", "name", "added_on", "last_login")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, tmp_path, ZoneInfo("Australia/Adelaide"))


def members_table() -> sa.Table:
    return sa.Table(
        "members",
        sa.MetaData(),
        sa.Column("id", sa.Text),
        *(sa.Column(name, sa.Text) for name in FIELDS),
    )


def sql_bench(url: str, away_url: str, site: Site) -> Bench:
    engine, table = sa.create_engine(url, poolclass=sa.NullPool), members_table()
    table.create(engine)
    columns = {name: name for name in FIELDS} | {"native_id": "id"}

    def portal(url: str) -> SqlPortal:
        return SqlPortal("engage", SqlPortalSettings(url, "members", columns), site)

    def put(rows: Sequence[Cells]) -> None:
        with engine.begin() as connection:
            connection.execute(table.insert(), rows)

    def stored(person_id: str) -> Cells | None:
        with engine.begin() as connection:
            found = connection.execute(table.select().where(table.c.person_id == person_id)).first()
        return dict(found._mapping) if found else None

    return Bench(portal(url), put, stored, lambda: portal(away_url))


def sqlite_bench(_request: pytest.FixtureRequest, site: Site) -> Bench:
    return sql_bench(f"sqlite:///{site.path('portal.sqlite')}", "sqlite:///nowhere.sqlite", site)


def postgres_bench(request: pytest.FixtureRequest, site: Site) -> Bench:
    server: PostgresServer = request.getfixturevalue("postgres")
    return sql_bench(server.create_database(), server.url("nowhere"), site)


def worklist_bench(_request: pytest.FixtureRequest, site: Site) -> Bench:
    rows: list[Cells] = []
    names = ("person_id", "username", "status", "membership_type", "code", "name", "added_on", "last_login")
    columns = {name: name for name in names} | {"native_id": "id", "has_password": "password"}

    def portal(export: str) -> WorklistPortal:
        return WorklistPortal("engage", WorklistSettings(export, "worklist.csv", columns), site)

    def put(more: Sequence[Cells]) -> None:
        rows.extend({**each, "password": "yes" if each["password"] else "no"} for each in more)
        with site.path("export.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(row("1")))
            writer.writeheader()
            writer.writerows(rows)

    return Bench(portal("export.csv"), put, lambda _: None, lambda: portal("nowhere.csv"))


SQL_BENCHES: dict[str, Callable[[pytest.FixtureRequest, Site], Bench]] = {
    "sql on SQLite": sqlite_bench,
    "sql on PostgreSQL": postgres_bench,
}
BENCHES = SQL_BENCHES | {"worklist": worklist_bench}


@pytest.fixture
def bench(request: pytest.FixtureRequest, site: Site) -> Iterator[Bench]:
    made = BENCHES[request.param](request, site)
    yield made
    made.portal.disconnect()


@pytest.mark.parametrize("bench", BENCHES, indirect=True)
class TestPortalReading(PortalReadingContract):
    """Every sentence about reading, on every bench."""


@pytest.mark.parametrize("bench", SQL_BENCHES, indirect=True)
class TestPortalWriting(PortalWritingContract):
    """Every sentence about changing, on every bench the connector can write to."""
