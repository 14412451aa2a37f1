"""Filters select the same rows on both databases as the library's own evaluator does in Python."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, select

from connector.reconcile.journal_scim_tables import scim_users
from connector.scim.errors import ScimError
from connector.scim.filter import parse
from connector.scim.filter_sql import compile_filter
from connector.scim.models import ENTERPRISE_SCHEMA
from tests.scim import population
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    return population.users()


@pytest.fixture(scope="module")
def models(documents: list[dict[str, Any]]) -> dict[str, Any]:
    return {document["id"]: population.model_of(document) for document in documents}


@pytest.fixture(scope="module")
def on_sqlite(documents: list[dict[str, Any]]) -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    yield from _stored(engine, documents)


@pytest.fixture(scope="module")
def on_postgresql(postgres: PostgresServer, documents: list[dict[str, Any]]) -> Iterator[Connection]:
    engine = create_engine(postgres.create_database())
    yield from _stored(engine, documents)


def _stored(engine: Engine, documents: list[dict[str, Any]]) -> Iterator[Connection]:
    population.store(engine, documents)
    with engine.connect() as conn:
        yield conn
    engine.dispose()


def selected(conn: Connection, text: str) -> set[str]:
    condition = compile_filter(parse(text, "User"), scim_users, conn.dialect.name)
    return set(conn.execute(select(scim_users.c.id).where(condition)).scalars())


def test_ten_thousand_generated_filters_select_the_same_rows_as_the_library(
    on_sqlite: Connection, models: dict[str, Any]
) -> None:
    asked, some, different = 0, 0, []
    for text in population.filters(10_000):
        expected = population.matched_by_library(text, models)
        asked, some = asked + 1, some + (0 < len(expected) < len(models))
        if selected(on_sqlite, text) != expected:
            different.append(text)

    assert different == []
    assert asked == 10_000
    # A filter that selects nobody, or everybody, shows little: most of them must not.
    assert some > 6_000, some


def test_a_thousand_generated_filters_select_the_same_rows_on_postgresql(
    on_postgresql: Connection, models: dict[str, Any]
) -> None:
    texts = list(population.filters(1_000, seed=9865))

    different = [t for t in texts if selected(on_postgresql, t) != population.matched_by_library(t, models)]

    assert different == []


_WORDS = st.sampled_from(
    [
        *(
            "(",
            ")",
            "[",
            "]",
            ".value",
            "and",
            "or",
            "not",
            "NOT",
            "pr",
            "eq",
            "ne",
            "co",
            "gt",
            "true",
            "null",
            "-1.5e3",
        ),
        *("userName", "emails", "emails.type", "type", "primary", "name", "meta.created", "schemas", "value", "active"),
        *('"work"', '"\\u00e9"', '"2026-11-20T12:00:00Z"', '"', "\\", "urn:", f"{ENTERPRISE_SCHEMA}", "\x00", "é", " "),
        *('userName eq "x"', "emails[type pr", "].value", "not (", "title pr"),
    ]
)


@settings(max_examples=1_500, deadline=None)
@given(st.one_of(st.lists(_WORDS, max_size=14).map(" ".join), st.lists(_WORDS, max_size=8).map("".join), st.text()))
def test_any_text_is_a_filter_that_is_answered_or_one_that_is_refused(on_sqlite: Connection, text: str) -> None:
    refused = _refused(on_sqlite, text)

    event(refused.detail[:20] if refused else "answered")
    assert refused is None or (refused.status, refused.scim_type) == (400, "invalidFilter")


def _refused(conn: Connection, text: str) -> ScimError | None:
    try:
        selected(conn, text)
    except ScimError as refused:
        return refused
    return None
