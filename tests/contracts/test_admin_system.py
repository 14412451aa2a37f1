"""The AdminSystem contract against CSV files and SQL (SQLite, PostgreSQL)."""

import csv
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from connector.adapters.csv import CsvAdminSystem, CsvSettings
from connector.adapters.sql import SqlAdminSystem, SqlSettings
from connector.interfaces import AdminSystem, Site
from tests.contracts.admin_system import AdminSystemContract, Bench, Tables
from tests.servers.postgres import PostgresServer


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, tmp_path, ZoneInfo("Australia/Adelaide"))


def csv_bench(_request: pytest.FixtureRequest, site: Site) -> Bench:
    numbers = count(1)

    def over(tables: Tables, may_be_empty: tuple[str, ...] = ()) -> CsvAdminSystem:
        folder = site.path(f"admin-{next(numbers)}")
        folder.mkdir()
        for name, rows in tables.items():
            with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(rows)
        return CsvAdminSystem("admin", CsvSettings(folder.name, may_be_empty=may_be_empty), site)

    return Bench(over, lambda: CsvAdminSystem("admin", CsvSettings("nowhere"), site))


def sql_bench(make_url: Callable[[], str], away_url: str, site: Site) -> Bench:
    def over(tables: Tables, may_be_empty: tuple[str, ...] = ()) -> SqlAdminSystem:
        url = make_url()
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            for name, (header, *rows) in tables.items():
                table = sa.Table(name, sa.MetaData(), *(sa.Column(each, sa.Text) for each in header))
                table.create(connection)
                if rows:
                    connection.execute(table.insert(), [dict(zip(header, row, strict=True)) for row in rows])
        queries = {name: f"SELECT * FROM {name}" for name in tables}  # noqa: S608 - our own table names
        return SqlAdminSystem("admin", SqlSettings(url, queries, may_be_empty=may_be_empty), site)

    return Bench(over, lambda: SqlAdminSystem("admin", SqlSettings(away_url, {"people": "SELECT 1"}), site))


def sqlite_bench(_request: pytest.FixtureRequest, site: Site) -> Bench:
    numbers = count(1)
    return sql_bench(
        lambda: f"sqlite:///{site.path(f'admin-{next(numbers)}.sqlite')}", "sqlite:///nowhere.sqlite", site
    )


def postgres_bench(request: pytest.FixtureRequest, site: Site) -> Bench:
    server: PostgresServer = request.getfixturevalue("postgres")
    return sql_bench(server.create_database, server.url("nowhere"), site)


BENCHES: dict[str, Callable[[pytest.FixtureRequest, Site], Bench]] = {
    "csv": csv_bench,
    "sql on SQLite": sqlite_bench,
    "sql on PostgreSQL": postgres_bench,
}


@pytest.fixture(params=list(BENCHES))
def bench(request: pytest.FixtureRequest, site: Site) -> Iterator[Bench]:
    made = BENCHES[request.param](request, site)
    opened: list[AdminSystem] = []

    def over(tables: Tables, may_be_empty: tuple[str, ...] = ()) -> AdminSystem:
        opened.append(made.over(tables, may_be_empty))
        return opened[-1]

    yield Bench(over, made.away)
    for system in opened:
        system.disconnect()


class TestAdminSystem(AdminSystemContract):
    """Every sentence of the contract, on every bench."""
