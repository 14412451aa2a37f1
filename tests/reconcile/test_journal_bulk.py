"""Lists as one parameter and rows handed over ready made: on both databases the same as SQLAlchemy's own way."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, create_engine, insert, select, text
from sqlalchemy.exc import StatementError

from connector.reconcile.journal_bulk import among, execute_many
from connector.reconcile.journal_columns import UtcDateTime

THINGS = Table(
    "things", MetaData(), Column("id", Integer, primary_key=True), Column("name", Text), Column("at", UtcDateTime)
)
NOW = datetime(2026, 11, 21, 3, 4, 5, tzinfo=UTC)
ODD = ["plain", "O'Hara", 'q"\\', "é𝄞", "\u2028", "{a,b}", "NULL", "", "%s", ":x", "\\u0000"]


@pytest.fixture(params=["sqlite", "postgresql"])
def conn(request: pytest.FixtureRequest) -> Iterator[Connection]:
    url = "sqlite://" if request.param == "sqlite" else request.getfixturevalue("postgres").create_database()
    engine = create_engine(url)
    with engine.connect() as connection:
        THINGS.create(connection)
        yield connection
    engine.dispose()


def rows(count: int) -> list[dict[str, object]]:
    return [
        {"id": n, "name": ODD[n] if n < len(ODD) else f"n{n}", "at": NOW + timedelta(seconds=n % 3) if n % 4 else None}
        for n in range(count)
    ]


def stored(conn: Connection) -> list[dict[str, object]]:
    return [dict(row._mapping) for row in conn.execute(select(THINGS).order_by(THINGS.c.id))]


@pytest.mark.parametrize("count", [0, 1, 19, 20, 300])
def test_many_rows_are_written_as_they_are_given(conn: Connection, count: int) -> None:
    execute_many(conn, insert(THINGS), rows(count))

    assert stored(conn) == rows(count)


def test_a_value_of_the_statement_itself_goes_into_every_row(conn: Connection) -> None:
    execute_many(conn, insert(THINGS).values(name="same"), [{"id": n, "at": NOW} for n in range(25)])

    assert [(row["name"], row["at"]) for row in stored(conn)] == [("same", NOW)] * 25


def test_a_list_of_texts_finds_exactly_what_it_names(conn: Connection) -> None:
    execute_many(conn, insert(THINGS), rows(40))

    found = conn.scalars(select(THINGS.c.name).where(among(THINGS.c.name, "names")), {"names": [*ODD, "nobody"]})

    assert sorted(found) == sorted(ODD)


def test_a_list_of_numbers_finds_exactly_what_it_names_and_an_empty_one_nothing(conn: Connection) -> None:
    execute_many(conn, insert(THINGS), rows(40))
    query = select(THINGS.c.id).where(among(THINGS.c.id, "ids")).order_by(THINGS.c.id)

    assert list(conn.scalars(query, {"ids": [3, 39, 77]})) == [3, 39]
    assert list(conn.scalars(query, {"ids": []})) == []


def test_a_list_may_be_longer_than_any_statement_takes_parameters(conn: Connection) -> None:
    execute_many(conn, insert(THINGS), rows(40))

    found = conn.scalars(select(THINGS.c.id).where(among(THINGS.c.id, "ids")), {"ids": list(range(100_000))})

    assert len(list(found)) == 40


def test_a_text_that_a_database_would_cut_off_is_refused(conn: Connection) -> None:
    with pytest.raises(StatementError, match="NUL"):
        conn.execute(select(THINGS.c.id).where(among(THINGS.c.name, "names")), {"names": ["a\0b"]})


def test_a_list_is_looked_up_in_the_index() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as conn:
        THINGS.create(conn)
        compiled = str(select(THINGS.c.name).where(among(THINGS.c.id, "ids")).compile(engine))
        (line, *_) = conn.execute(text(f"EXPLAIN QUERY PLAN {compiled.replace('?', ':ids')}"), {"ids": "[1]"})

    assert "SEARCH things USING INTEGER PRIMARY KEY" in line[3]
