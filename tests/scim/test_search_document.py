"""A document as it is searched, and the keys by which rows are found."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.reconcile.text import fold
from connector.scim.models import ENTERPRISE_SCHEMA, USER_SCHEMA
from connector.scim.search_document import (
    binary_key,
    comparison_key,
    email_keys,
    group_columns,
    index_key,
    moment_key,
    search_of,
    user_columns,
)
from tests.scim import population

# Written out: what a row is searched by is stored, so a changed key needs every row written anew.
DOCUMENT: dict[str, Any] = {
    "schemas": [USER_SCHEMA, ENTERPRISE_SCHEMA],
    "id": "U-1",
    "externalId": "AbC",
    "userName": "ÅDA",
    "password": "secret",
    "active": False,
    "title": "",
    "nickName": None,
    "name": {"givenName": "Ada", "middleName": None},
    "emails": [{"value": "Ada@X", "primary": False}, {}],
    "ims": [],
    "addresses": [None],
    "members": [{"value": "x"}],
    "nobody": "declared",
    "meta": {"created": "2026-11-20T13:00:00+01:00", "location": "@LOCATION@", "lastModified": "never"},
    "x509Certificates": [{"value": "AQ\nID"}],
    ENTERPRISE_SCHEMA: {"employeeNumber": "\uff230\uff17", "manager": {"value": None}},
}


def test_a_document_is_searched_in_the_same_shape_with_every_value_as_it_is_compared() -> None:
    assert search_of("User", DOCUMENT) == {
        "schemas": [USER_SCHEMA.lower(), ENTERPRISE_SCHEMA.lower()],
        "id": "U-1",
        "externalId": "AbC",
        "userName": "åda",
        "active": False,
        "title": "",
        "name": {"givenName": "ada"},
        "emails": [{"value": "ada@x", "primary": False}, {}],
        "meta": {"created": "2026-11-20T12:00:00.000000Z"},
        "x509Certificates": [{"value": "AQID"}],
        ENTERPRISE_SCHEMA: {"employeeNumber": "\uff430\uff17"},
    }


def test_the_columns_of_a_row_are_what_filters_and_correlation_look_into() -> None:
    columns = user_columns(DOCUMENT)

    assert columns["user_name_key"] == "åda"
    assert columns["external_id"] == "AbC"
    assert columns["code_key"] == "c07"
    assert email_keys(DOCUMENT) == {"ada@x"}
    assert group_columns({"displayName": "Straße"})["display_key"] == "strasse"
    assert group_columns({})["external_id"] is None


@pytest.mark.parametrize("value", [5, ["x"], {"x": 1}, True])
def test_a_value_of_the_wrong_type_is_not_searched(value: Any) -> None:
    assert "title" not in search_of("User", {"title": value})
    assert "emails" not in search_of("User", {"emails": value if not isinstance(value, list) else "x"})


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("2026-11-20T12:00:00Z", "2026-11-20T12:00:00.000000Z"),
        ("2026-11-20t12:00:00.1234567z", "2026-11-20T12:00:00.123456Z"),
        ("2026-11-20T00:30:00+13:00", "2026-11-19T11:30:00.000000Z"),
        ("0999-01-01T00:00:00Z", "0999-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59-01:00", None),
        ("2026-11-20T24:00:00Z", None),
        ("2026-11-20 12:00:00Z", None),
        ("2026-11-20T12:00Z", None),
        ("٢٠٢٦-11-20T12:00:00Z", None),
    ],
)
def test_moments_sort_as_texts(text: str, key: str | None) -> None:
    assert moment_key(text) == key


def test_base64_has_one_spelling() -> None:
    assert binary_key("AQ I\nD") == "AQID"
    assert binary_key("*") is None


@pytest.mark.parametrize("word", population.WORDS)
def test_a_name_is_looked_up_by_the_key_that_people_are_correlated_by(word: str) -> None:
    assert user_columns({"userName": word})["user_name_key"] == fold(word)


def test_names_that_compare_as_equal_have_one_index_key_where_folding_alone_would_give_two() -> None:
    capital, small = "\u0399\u0308\u0301", "\u0390"

    assert fold(capital) != fold(small)
    assert comparison_key(capital, case_exact=False) == comparison_key(small, case_exact=False)
    assert index_key(capital) == index_key(small)


@given(st.text(), st.booleans())
def test_a_key_is_its_own_key(text: str, case_exact: bool) -> None:
    key = comparison_key(text, case_exact=case_exact)

    assert comparison_key(key, case_exact=case_exact) == key
