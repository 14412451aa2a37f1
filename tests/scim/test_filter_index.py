"""What providers ask for around the clock is found by an index, on both databases, among many."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Table, create_engine, insert, select, text

from connector.reconcile.journal_scim_tables import scim_emails, scim_groups, scim_members, scim_users
from connector.scim.filter import parse
from connector.scim.filter_sql import compile_filter
from connector.scim.models import ENTERPRISE_SCHEMA, USER_SCHEMA
from connector.scim.search_document import email_keys, group_columns, user_columns
from tests.scim import population

MANY = 3_000


def _user(number: int) -> dict[str, Any]:
    return {
        "schemas": [USER_SCHEMA],
        "id": f"u-{number}",
        "userName": f"Übung{number}@example.org",
        "externalId": f"X{number}",
        "emails": [
            {"type": "work", "value": f"w{number}@example.org"},
            {"type": "home", "value": f"h{number}@example.org"},
        ],
        ENTERPRISE_SCHEMA: {"employeeNumber": f"C{number}"},
    }


def _user_row(number: int) -> dict[str, Any]:
    document = _user(number)
    own = {"id": document["id"], "position": number, "person_id": document["id"], "user_name": document["userName"]}
    fixed = {"source": "scim", "client": "test", "pending": "", "document": "{}", "mirror_digest": "", "version": 1}
    times = {"created_at": population.NOW, "modified_at": population.NOW}
    return {**user_columns(document), **own, **fixed, **times, "active": True, "wanted": True}


def _group_row(number: int) -> dict[str, Any]:
    document = {"id": f"g-{number}", "displayName": f"Group {number}", "externalId": f"Y{number}"}
    own = {"id": document["id"], "position": number, "display_name": document["displayName"]}
    fixed = {"portal": "", "client": "test", "document": "{}", "version": 1}
    return {**group_columns(document), **own, **fixed, "created_at": population.NOW, "modified_at": population.NOW}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crowd(request: pytest.FixtureRequest) -> Iterator[Connection]:
    on_sqlite = request.param == "sqlite"
    engine = create_engine("sqlite://" if on_sqlite else request.getfixturevalue("postgres").create_database())
    population.store(engine, [])
    numbers = range(MANY)
    mails = [{"user_id": f"u-{n}", "value_key": key} for n in numbers for key in sorted(email_keys(_user(n)))]
    links = [{"group_id": f"g-{n % 100}", "user_id": f"u-{n}", "added_at": population.NOW} for n in numbers]
    with engine.connect() as conn:
        conn.execute(scim_groups.delete())
        conn.execute(insert(scim_users), [_user_row(n) for n in numbers])
        conn.execute(insert(scim_emails), mails)
        conn.execute(insert(scim_groups), [_group_row(n) for n in range(1_000)])
        conn.execute(insert(scim_members), links)
        conn.execute(text("ANALYZE"))
        conn.commit()
        yield conn
    engine.dispose()


def explained(conn: Connection, table: Table, asked: str) -> str:
    kind = "User" if table is scim_users else "Group"
    page = select(table.c.id).where(compile_filter(parse(asked, kind), table, conn.dialect.name))
    compiled = page.order_by(table.c.position).limit(100).compile(conn, compile_kwargs={"render_postcompile": True})
    prefix = "EXPLAIN QUERY PLAN " if conn.dialect.name == "sqlite" else "EXPLAIN "
    parameters = tuple(compiled.params[name] for name in compiled.positiontup or ()) or dict(compiled.params)
    rows = conn.exec_driver_sql(prefix + str(compiled), parameters).all()
    return "\n".join(str(row[-1]) for row in rows)


def found(conn: Connection, table: Table, asked: str) -> list[str]:
    kind = "User" if table is scim_users else "Group"
    page = select(table.c.id).where(compile_filter(parse(asked, kind), table, conn.dialect.name))
    return list(conn.execute(page.order_by(table.c.position)).scalars())


USERS = [
    'userName eq "übung1234@EXAMPLE.org"',
    'externalId eq "X1234"',
    'id eq "u-1234"',
    'emails.value eq "W1234@example.org"',
    'emails eq "w1234@example.org"',
    'emails[type eq "work"].value eq "w1234@example.org"',
    'emails[type eq "work" and value eq "w1234@example.org"]',
    f'{ENTERPRISE_SCHEMA}:employeeNumber eq "c1234"',
    'userName eq "übung1234@example.org" and active ne true',
]
GROUPS = ['displayName eq "group 34"', 'externalId eq "Y34"', 'id eq "g-34"']
MEMBERS = ['members.value eq "u-1234"', 'members[value eq "u-1234"]', 'members eq "u-1234"']


@pytest.mark.parametrize("asked", USERS)
def test_a_user_is_found_by_an_index(crowd: Connection, asked: str) -> None:
    plan = explained(crowd, scim_users, asked)

    assert found(crowd, scim_users, asked) == ["u-1234"]
    assert "SEARCH scim_users USING" in plan or "Index Scan" in plan
    assert "SCAN scim_users" not in plan
    assert "Seq Scan on scim_users" not in plan


@pytest.mark.parametrize("asked", [*GROUPS, *MEMBERS])
def test_a_group_is_found_by_an_index_also_by_its_members(crowd: Connection, asked: str) -> None:
    plan = explained(crowd, scim_groups, asked)

    assert found(crowd, scim_groups, asked) == ["g-34"]
    assert "SEARCH scim_groups USING" in plan or "Index Scan" in plan
    assert "SCAN scim_groups" not in plan
    assert "Seq Scan on scim_groups" not in plan
    assert "SCAN scim_members" not in plan
    assert "Seq Scan on scim_members" not in plan


def test_an_address_of_another_kind_is_not_the_one_asked_for(crowd: Connection) -> None:
    assert found(crowd, scim_users, 'emails[type eq "home"].value eq "w7@example.org"') == []
    assert found(crowd, scim_users, 'emails[type eq "home"].value eq "h7@example.org"') == ["u-7"]


def test_filters_that_differ_only_in_their_values_are_one_prepared_statement(crowd: Connection) -> None:
    asked = [
        f'userName eq "{name}" or emails co "{name}" or not (title sw "{name}")' for name in ("ada", "grace hopper")
    ]

    trees = (compile_filter(parse(each, "User"), scim_users, crowd.dialect.name) for each in asked)
    one, other = (select(scim_users.c.id).where(tree)._generate_cache_key() for tree in trees)

    assert one is not None
    assert other is not None
    assert one.key == other.key
