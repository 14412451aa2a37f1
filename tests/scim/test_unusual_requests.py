"""What providers send beside their everyday traffic: wrapped values, short names, odd addresses. None is lost."""

import gzip
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from connector.scim.clients import Client
from connector.scim.errors import ScimError
from connector.scim.patch import patched_user
from connector.scim.resources import ENTERPRISE_SCHEMA, USER_SCHEMA, validated_user
from tests.scim.endpoint import SCIM, Provider, group, user
from tests.scim.sent import Document, email, op, patch, stored_user, user_body

MANAGER = f"{ENTERPRISE_SCHEMA}:manager"


def after(document: Document, *operations: Document) -> Document:
    return patched_user(document, patch(*operations), strict=False)


# --- Entra ID without aadOptscim062020 ------------------------------------------------------------------------------


def test_a_leaver_is_deactivated_by_a_value_wrapped_in_a_list() -> None:
    for wrapped in ([{"$ref": None, "value": "False"}], [{"value": False}]):
        assert after(stored_user(), op("Replace", "active", value=wrapped))["active"] is False


def test_a_wrapped_text_is_that_text() -> None:
    before = stored_user(emails=[email("old@x")])

    document = after(
        before,
        op("Replace", "displayName", value=[{"$ref": None, "value": "Amy Lee"}]),
        op("Replace", "name.familyName", value=[{"value": "Lee"}]),
        op("Replace", 'emails[type eq "work"].value', value=[{"$ref": None, "value": "new@x"}]),
    )

    assert (document["displayName"], document["name"]) == ("Amy Lee", {"familyName": "Lee"})
    assert document["emails"] == [email("new@x")]


def test_a_wrapped_null_takes_the_value_away_but_never_active() -> None:
    assert "title" not in after(stored_user(title="Dr"), op("Replace", "title", value=[{"$ref": None, "value": None}]))
    with pytest.raises(ScimError) as refused:
        after(stored_user(), op("Replace", "active", value=[{"value": None}]))
    assert refused.value.scim_type == "mutability"


@pytest.mark.parametrize("value", [[], [False], [{"value": False}, {"value": True}], [{"active": False}], {"value": 0}])
def test_what_is_not_plainly_one_wrapped_value_is_refused(value: object) -> None:
    with pytest.raises(ScimError) as refused:
        after(stored_user(), op("Replace", "active", value=value))

    assert refused.value.scim_type == "invalidValue"


def test_a_strict_client_unwraps_its_values_itself() -> None:
    with pytest.raises(ScimError) as refused:
        patched_user(stored_user(), patch(op("replace", "active", value=[{"value": False}])), strict=True)

    assert refused.value.scim_type == "invalidValue"


@pytest.mark.parametrize("path", ["manager", "Manager", MANAGER])
def test_a_manager_comes_wrapped_and_without_its_urn(path: str) -> None:
    wrapped = [{"$ref": "https://x/Users/u2", "value": "u2"}]

    document = after(stored_user(), op("Add", path, value=wrapped))

    assert document[ENTERPRISE_SCHEMA]["manager"] == {"value": "u2", "$ref": "https://x/Users/u2"}


def test_entra_asks_whether_somebody_has_a_manager(entra: Provider) -> None:
    amy = entra.user("amy", **{ENTERPRISE_SCHEMA: {"manager": {"value": "u2"}}})

    for name in ("manager", "manager.value", MANAGER, f"{MANAGER}.value"):
        asked = [quote(f'id eq "{amy["id"]}" and {name} eq "{manager}"') for manager in ("u2", "u3")]
        found = [entra.get(f"/Users?filter={one}&attributes=id").json["totalResults"] for one in asked]
        assert found == [1, 0]


# --- names without, or with, the URN they stand under ---------------------------------------------------------------


def test_what_stands_in_the_enterprise_extension_is_understood_beside_it() -> None:
    document = validated_user(user_body(employeeNumber="P002", manager="u2"), strict=False)

    assert document[ENTERPRISE_SCHEMA] == {"employeeNumber": "P002", "manager": {"value": "u2"}}
    assert after(stored_user(), op("Add", "department", value="HR"))[ENTERPRISE_SCHEMA]["department"] == "HR"


def test_an_active_under_the_urn_of_the_user_is_not_passed_over() -> None:
    document = validated_user(
        {f"{USER_SCHEMA}:userName": "amy", f"{USER_SCHEMA}:active": "False", f"{ENTERPRISE_SCHEMA}:department": "HR"},
        strict=False,
    )

    assert (document["userName"], document["active"]) == ("amy", False)
    assert document[ENTERPRISE_SCHEMA] == {"department": "HR"}


@pytest.mark.parametrize(
    "sent",
    [
        {f"{USER_SCHEMA}:userName": "bob"},
        {"employeeNumber": "P001", ENTERPRISE_SCHEMA: {"employeeNumber": "P002"}},
    ],
)
def test_two_words_on_one_attribute_are_refused(sent: Document) -> None:
    with pytest.raises(ScimError, match="twice"):
        validated_user(user_body(**sent), strict=False)


@pytest.mark.parametrize("key", [f"{USER_SCHEMA}:active", "employeeNumber", f"{ENTERPRISE_SCHEMA}:department"])
def test_a_strict_client_puts_everything_in_its_place(key: str) -> None:
    with pytest.raises(ScimError) as refused:
        validated_user({"schemas": [USER_SCHEMA], "userName": "amy", key: "x"}, strict=True)

    assert refused.value.scim_type == "invalidSyntax"


def test_a_refused_value_is_named_with_the_attribute_it_is_part_of() -> None:
    with pytest.raises(ScimError, match=r"x509Certificates\.value must be base64"):
        validated_user(user_body(x509Certificates=[{"value": "-----BEGIN CERTIFICATE-----"}]), strict=False)


# --- addresses and headers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["//Users/{}", "/Users//{}"])
def test_a_doubled_slash_is_one_and_no_redirect(entra: Provider, path: str) -> None:
    made = entra.user("amy")

    answer = entra.patch(path.format(made["id"]), op("replace", "active", value=False))

    assert (answer.status, answer.json["active"]) == (200, False)


@pytest.mark.parametrize("charset", ["utf-8", '"UTF-8"', "utf8", "US-ASCII"])
def test_a_body_may_say_that_it_is_utf_8_in_every_spelling(entra: Provider, charset: str) -> None:
    sent = json.dumps(user("amy")).encode()

    assert entra.call("POST", "/Users", data=sent, content_type=f"application/json; charset={charset}").status == 201


def test_a_body_in_another_form_is_refused_and_says_why(entra: Provider) -> None:
    sent = json.dumps(user("amy")).encode()

    latin = entra.call("POST", "/Users", data=sent, content_type=f"{SCIM}; charset=iso-8859-1")
    packed = entra.call(
        "POST", "/Users", data=gzip.compress(sent), content_type=SCIM, headers={"Content-Encoding": "gzip"}
    )

    assert (latin.status, packed.status) == (415, 415)
    assert "Content-Encoding" in packed.json["detail"]


def test_a_list_of_attributes_may_come_in_pieces(entra: Provider) -> None:
    made = entra.user("amy", title="Dr", displayName="Amy")

    answer = entra.get(f"/Users/{made['id']}?attributes=userName&attributes=active&attributes=title,nickName")

    assert answer.json.keys() - {"schemas", "id"} == {"userName", "active", "title"}


@pytest.mark.parametrize("asked", ["filter={0}&filter={1}", "count=1&count=2", "filter={0}&FILTER={1}"])
def test_of_two_filters_none_is_passed_over(entra: Provider, asked: str) -> None:
    filters = quote('userName eq "amy"'), quote('active eq "false"')

    answer = entra.get(f"/Users?{asked.format(*filters)}")

    assert (answer.status, answer.json["scimType"]) == (400, "invalidValue")


def test_a_cursor_goes_on_after_a_value_that_no_address_holds(entra: Provider) -> None:
    made = [entra.user(f"u{n}", displayName=f"{n}" + "\U0001f600" * 3_000)["id"] for n in range(3)]

    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = entra.get(f"/Users?sortBy=displayName&count=1&cursor={quote(cursor)}").json
        found += [one["id"] for one in page["Resources"]]
        cursor = page.get("nextCursor")

    assert found == made


def test_a_cursor_whose_place_is_gone_says_so(entra: Provider) -> None:
    made = [entra.user(f"u{n}", displayName=f"{n}" + "x" * 3_000)["id"] for n in range(2)]
    cursor = entra.get("/Users?sortBy=displayName&count=1&cursor=").json["nextCursor"]
    entra.delete(f"/Users/{made[0]}")

    answer = entra.get(f"/Users?sortBy=displayName&count=1&cursor={quote(cursor)}")

    assert (answer.status, answer.json["scimType"]) == (400, "expiredCursor")


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [{"externalId": "a" + " " * 20_000 + "b"}, {ENTERPRISE_SCHEMA: {"employeeNumber": "\ufdfa" * 500}}],
    ids=["blanks that count", "letters that are compared as eighteen"],
)
def test_what_is_measured_is_the_key_that_is_stored(entra: Provider, sent: dict[str, Any]) -> None:
    answer = entra.post("/Users", user("amy", **sent))

    assert (answer.status, answer.json["scimType"]) == (400, "invalidValue")


def test_a_group_in_a_group_is_refused_by_name(provide: Callable[..., Provider]) -> None:
    for strict in (False, True):
        entra = provide(client=Client("entra", strict=strict))
        inner = entra.group(f"inner {strict}")["id"]

        answer = entra.post("/Groups", group("outer") | {"members": [{"value": inner, "type": "Group"}]})

        assert answer.status == 400
        assert "never a Group" in answer.json["detail"]
