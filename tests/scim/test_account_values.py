"""A User's document gives the texts an account template asks for, and nothing that is not a text."""

import pytest

from connector.scim.account_values import values_of
from connector.scim.models import ENTERPRISE_SCHEMA

DOCUMENT = {
    "userName": "nora",
    "active": True,
    "name": {"givenName": " Nora ", "familyName": {"deep": "er"}},
    "emails": [
        {"type": "home", "value": "home@mail.example", "primary": True},
        {"type": "Work", "value": "work@mail.example"},
        "stray",
    ],
    ENTERPRISE_SCHEMA: {"employeeNumber": 17, "manager": {"value": "x"}},
}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("userName", "nora"),
        ("name.givenName", "Nora"),
        ("name.familyName", ""),
        ("name", ""),
        ("active", ""),
        ("employeeNumber", "17"),
        ("department", ""),
        ("manager", ""),
        ("emails[work]", "work@mail.example"),
        ("emails[primary]", "home@mail.example"),
        ("emails[other]", ""),
        ("phoneNumbers[mobile]", ""),
    ],
)
def test_a_path_gives_the_text_under_it_or_nothing(path: str, text: str) -> None:
    assert values_of(DOCUMENT, [path]) == {path: text}
