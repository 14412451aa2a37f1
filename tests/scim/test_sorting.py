"""Lists are sorted as RFC 7644 3.4.2.3 says, the same on both databases."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, select

from connector.reconcile.journal_scim_tables import scim_groups, scim_users
from connector.scim.attributes import resolve
from connector.scim.errors import ScimError
from connector.scim.filter_sql import ordering, sort_key
from connector.scim.models import ENTERPRISE_SCHEMA, USER_SCHEMA
from tests.scim import population

DOCUMENTS: list[dict[str, Any]] = [
    {"title": "b", "active": True, "emails": [{"value": "z@x"}, {"value": "A@x", "primary": True}]},
    {"title": "Ä", "active": False, "emails": [{"value": "c@x", "primary": False}, {"value": "a@x"}]},
    {"emails": []},
    {"title": "C", "meta": {"created": "2026-11-20T12:00:00Z"}, ENTERPRISE_SCHEMA: {"department": "Z"}},
    {"title": "a", "meta": {"created": "2026-11-20T12:30:00+01:00"}, ENTERPRISE_SCHEMA: {"department": "y"}},
]

Sorted = Callable[..., str]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def by(request: pytest.FixtureRequest) -> Iterator[Sorted]:
    on_sqlite = request.param == "sqlite"
    engine = create_engine("sqlite://" if on_sqlite else request.getfixturevalue("postgres").create_database())
    own = [{"schemas": [USER_SCHEMA], "id": f"{n}", "userName": f"U{9 - n}"} for n in range(len(DOCUMENTS))]
    population.store(engine, [mine | document for mine, document in zip(own, DOCUMENTS, strict=True)])

    def ids(name: str, *, descending: bool = False) -> str:
        term = ordering(resolve("User", name), scim_users, engine.dialect.name, descending=descending)
        with engine.connect() as conn:
            return "".join(conn.execute(select(scim_users.c.id).order_by(term, scim_users.c.position)).scalars())

    yield ids
    engine.dispose()


@pytest.mark.parametrize(
    ("name", "upwards", "downwards"),
    [
        ("title", "40312", "21304"),
        ("USERNAME", "43210", "01234"),
        ("id", "01234", "43210"),
        ("active", "10234", "23401"),
        ("emails", "01234", "23410"),
        ("emails.value", "01234", "23410"),
        ("meta.created", "43012", "01234"),
        (f"{ENTERPRISE_SCHEMA}:department", "43012", "01234"),
    ],
)
def test_rows_are_sorted_without_regard_to_case_and_those_without_a_value_come_last(
    by: Sorted, name: str, upwards: str, downwards: str
) -> None:
    assert by(name) == upwards
    assert by(name, descending=True) == downwards


@pytest.mark.parametrize("name", ["name", "meta", "addresses", "password", ENTERPRISE_SCHEMA])
def test_what_has_no_single_value_is_not_sorted_by(name: str) -> None:
    with pytest.raises(ScimError) as refused:
        sort_key(resolve("User", name), scim_users, "sqlite")

    assert refused.value.scim_type == "invalidPath"


def test_groups_are_not_sorted_by_their_members() -> None:
    with pytest.raises(ScimError):
        sort_key(resolve("Group", "members.value"), scim_groups, "sqlite")
