"""What a filter means where the standard needs reading twice: null, several values; and where the library errs."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from scim2_models import InvalidFilterException, ScimFilter
from sqlalchemy import Engine, create_engine, select

from connector.reconcile.journal_scim_tables import scim_groups, scim_members, scim_users
from connector.scim.errors import ScimError
from connector.scim.filter import parse
from connector.scim.filter_sql import compile_filter
from connector.scim.models import ENTERPRISE_SCHEMA, USER_SCHEMA, User
from tests.scim import population

Asked = Callable[..., list[str]]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    on_sqlite = request.param == "sqlite"
    engine = create_engine("sqlite://" if on_sqlite else request.getfixturevalue("postgres").create_database())
    population.store(engine, [])
    yield engine
    engine.dispose()


@pytest.fixture
def asked(engine: Engine) -> Iterator[Asked]:
    """Give a function that stores Users (u-0, u-1 ...) and says who of them a filter selects."""

    def ask(text: str, *documents: dict[str, Any], kind: str = "User") -> list[str]:
        for position, document in enumerate(documents):
            own = {"schemas": [USER_SCHEMA], "id": f"u-{position}", "userName": f"name{position}"}
            population.store_user(conn, position, own | document)
        table = scim_users if kind == "User" else scim_groups
        condition = compile_filter(parse(text, kind), table, engine.dialect.name)
        return list(conn.execute(select(table.c.id).where(condition).order_by(table.c.position)).scalars())

    with engine.connect() as conn:
        yield ask
        conn.rollback()


def library(text: str, document: dict[str, Any]) -> bool:
    own = {"schemas": [USER_SCHEMA], "id": "u-0", "userName": "name0"}
    return bool(ScimFilter[User](text).match(User.model_validate(own | document)))


EMPTY_TITLE, A_TITLE = {"title": ""}, {"title": "Dr"}
NO_TITLE: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("title pr", ["u-2"]),
        ("not (title pr)", ["u-0", "u-1"]),
        ("title eq null", ["u-1"]),
        ("title ne null", ["u-0", "u-2"]),
        ('title eq ""', ["u-0"]),
        ('title ne "Dr"', ["u-0", "u-1"]),
        ('not (title eq "Dr")', ["u-0", "u-1"]),
        ('title co ""', ["u-0", "u-2"]),
        ('not (title gt "A")', ["u-0", "u-1"]),
        ("title gt null", []),
        ("not (title co null)", ["u-0", "u-1", "u-2"]),
    ],
)
def test_a_missing_value_is_null_and_not_identical_with_any_other(asked: Asked, text: str, selected: list[str]) -> None:
    assert asked(text, EMPTY_TITLE, NO_TITLE, A_TITLE) == selected


BOTH = {"emails": [{"type": "work", "value": "a@x"}, {"type": "home", "value": "b@x"}]}
HOME = {"emails": [{"type": "home", "value": "a@x"}]}
UNTYPED = {"emails": [{"value": "c@x"}]}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ('emails.type eq "work"', ["u-0"]),
        ('emails.type ne "work"', ["u-1", "u-2", "u-3"]),
        ('not (emails.type eq "work")', ["u-1", "u-2", "u-3"]),
        ('emails[type ne "work"]', ["u-0", "u-1", "u-2"]),
        ('emails[type eq "work" and value eq "b@x"]', []),
        ('emails.type eq "work" and emails.value eq "b@x"', ["u-0"]),
        ("emails.type eq null", ["u-2", "u-3"]),
        ("emails.type ne null", ["u-0", "u-1"]),
        ("emails eq null", ["u-3"]),
        ("emails pr", ["u-0", "u-1", "u-2"]),
        ("emails.type pr", ["u-0", "u-1"]),
        ("emails[not (type pr)]", ["u-2"]),
        ('emails[type eq "work"].value ne "a@x"', []),
    ],
)
def test_any_of_several_values_may_match_and_for_ne_none_may_be_equal(
    asked: Asked, text: str, selected: list[str]
) -> None:
    assert asked(text, BOTH, HOME, UNTYPED, {}) == selected


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ('displayName eq "100%"', ["u-0"]),
        ('displayName co "%"', ["u-0"]),
        ('displayName sw "a_"', ["u-1"]),
        (r'displayName ew "\\"', ["u-3"]),
        (r'displayName co "\" or 1=1"', ["u-4"]),
        ('displayName eq "STRASSE"', ["u-6"]),
        ('displayName eq "STRAẞE"', ["u-5"]),
        ('displayName eq "E\u0301"', ["u-7"]),
        ('displayName gt "straße"', ["u-4", "u-7", "u-8"]),
        ('displayName co "{"', ["u-8"]),
    ],
)
def test_no_sign_has_a_meaning_of_its_own_in_a_value(asked: Asked, text: str, selected: list[str]) -> None:
    names = ("100%", "a_b", "axb", "back\\", 'x" or 1=1 --', "Straße", "strasse", "é", '😀{"a": [1]}')

    assert asked(text, *({"displayName": name} for name in names)) == selected


@pytest.mark.parametrize("text", ['externalId eq "abc"', 'id eq "U-0"', 'groups.value eq "G-1"'])
def test_ids_are_compared_with_their_case(asked: Asked, text: str) -> None:
    assert asked(text, {"externalId": "ABC", "groups": [{"value": "g-1", "display": "Portal A"}]}) == []
    assert asked('externalId eq "ABC" and id eq "u-0" and groups eq "g-1" and groups.display eq "PORTAL A"') == ["u-0"]


def test_an_extension_is_present_when_any_of_it_is(asked: Asked) -> None:
    documents: tuple[dict[str, Any], ...] = (
        {ENTERPRISE_SCHEMA: {"manager": {"value": "u-0"}}},
        {ENTERPRISE_SCHEMA: {}},
        {},
    )

    assert asked(f"{ENTERPRISE_SCHEMA} pr", *documents) == ["u-0"]
    assert asked(f"not ({ENTERPRISE_SCHEMA} pr)") == ["u-1", "u-2"]


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ('members.value eq "u-0"', ["g-1", "g-2"]),
        ('members[value eq "u-1"]', ["g-1"]),
        ('members[value eq "u-1" and type eq "user"].display sw "NAME"', ["g-1"]),
        ('members eq "U-0"', []),
        ('members.display eq "name1"', ["g-1"]),
        ("members pr", ["g-1", "g-2"]),
        ("not (members pr)", ["g-3"]),
        ("members eq null", ["g-3"]),
        ('members ne "u-1"', ["g-2", "g-3"]),
        ('displayName eq "STRAẞE" and members pr', ["g-2"]),
        ('displayName co "%"', ["g-3"]),
        ('id eq "g-2" or meta.resourceType eq "Group"', ["g-2"]),
    ],
)
def test_groups_are_found_by_who_is_in_them(asked: Asked, text: str, groups: list[str]) -> None:
    in_both = {"groups": [{"value": "g-1"}, {"value": "g-2"}]}

    assert asked(text, in_both, {"groups": [{"value": "g-1"}]}, kind="Group") == groups


def test_the_deepest_and_the_longest_filter_that_are_read_are_also_answered(asked: Asked) -> None:
    deep = 'id eq "u-0"'
    for level in range(20):
        deep = f'{"not" if level % 3 else ""} ({deep} {"and" if level % 2 else "or"} title eq "Dr")'
    wide = " or ".join(f'name pr and not (emails[type eq "{n}"].value sw "x") and id pr' for n in range(40))

    assert asked(deep, A_TITLE) in ([], ["u-0"])
    assert asked(wide) == []


# --- where the library says something else than the standard ----------------------------------------------------------


def test_an_empty_list_is_no_value_although_the_library_takes_it_for_one(asked: Asked) -> None:
    # RFC 7643 2.5: unassigned, null and an empty array are equivalent.
    assert asked("emails eq null", {"emails": []}, {}) == ["u-0", "u-1"]
    assert asked("emails.value ne null") == []

    assert not library("emails eq null", {"emails": []})
    assert library("emails.value ne null", {"emails": []})


@pytest.mark.parametrize(
    "text", ['name ne "Ada"', 'addresses ne "x"', "name eq null", "title co 5", 'meta.created sw "2026"']
)
def test_a_comparison_without_a_meaning_is_refused_although_the_library_answers_it(text: str) -> None:
    # RFC 7644 3.4.2.2: a fully qualified sub-attribute MUST be named; 3.12: invalidFilter for such a combination.
    assert library(text, {}) in (True, False)
    with pytest.raises(ScimError):
        parse(text, "User")


@pytest.mark.parametrize("text", ['nickname2 ne "x"', 'not (emails[city eq "x"])'])
def test_an_unknown_attribute_is_refused_although_the_library_takes_it_for_one_without_a_match(text: str) -> None:
    assert library(text, {}) in (True, False)
    with pytest.raises(ScimError):
        parse(text, "User")


def test_a_moment_without_a_zone_is_refused_although_the_library_finds_nobody_with_it() -> None:
    # RFC 7643 2.3.5 wants a date, a time and, to name a moment, a zone: nobody is a wrong answer.
    assert not library('meta.created gt "2000-01-01T00:00:00"', {"meta": {"created": "2026-11-20T12:00:00Z"}})
    with pytest.raises(ScimError):
        parse('meta.created gt "2000-01-01T00:00:00"', "User")


def test_a_password_is_never_searched_although_the_library_would_compare_it() -> None:
    # RFC 7643 4.1.1 allows eq; we keep no password that could be compared.
    assert not library('password eq "x"', {})
    with pytest.raises(ScimError):
        parse('password eq "x"', "User")


def test_a_whole_extension_is_present_although_the_library_cannot_name_one() -> None:
    assert not library(f"{ENTERPRISE_SCHEMA} pr", {ENTERPRISE_SCHEMA: {"department": "x"}})


def test_the_library_refuses_what_we_refuse_of_booleans() -> None:
    for text in ("active gt true", "active co true", 'x509Certificates.value lt "AQID"'):
        with pytest.raises(InvalidFilterException):
            ScimFilter[User](text)


def test_nobody_is_left_in_the_tables_by_these_tests(engine: Engine) -> None:
    with engine.connect() as conn:
        assert conn.execute(select(scim_members)).all() == []
