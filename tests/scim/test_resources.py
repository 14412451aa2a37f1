import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scim2_models import Context, ScimPolicy

from connector.scim.errors import ScimError
from connector.scim.resources import (
    CONNECTOR_SCHEMA,
    ENTERPRISE_SCHEMA,
    GROUP_SCHEMA,
    LOCATION,
    USER_SCHEMA,
    User,
    rendered,
    replaced_group,
    replaced_user,
    validated_group,
    validated_user,
)
from tests.scim.sent import email, stored_user, user_body

AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


def refusal(sent: object, *, strict: bool = False) -> ScimError:
    with pytest.raises(ScimError) as caught:
        validated_user(sent, strict=strict)
    return caught.value


def group_body(**attributes: Any) -> dict[str, Any]:
    return {"schemas": [GROUP_SCHEMA], "displayName": "Parents", **attributes}


CORE: dict[str, Any] = {
    "externalId": "e1",
    "userName": "amy",
    "name": {
        "formatted": "Ms Amy B. Lee III",
        "familyName": "Lee",
        "givenName": "Amy",
        "middleName": "B.",
        "honorificPrefix": "Ms",
        "honorificSuffix": "III",
    },
    "displayName": "Amy Lee",
    "nickName": "Am",
    "profileUrl": "https://school.example/amy",
    "title": "Dr",
    "userType": "Parent",
    "preferredLanguage": "en-AU",
    "locale": "en-AU",
    "timezone": "Australia/Perth",
    "active": True,
    "emails": [email("amy@school.example", primary=True)],
    "phoneNumbers": [{"value": "+61 8 1", "type": "mobile"}],
    "ims": [{"value": "amy", "type": "xmpp"}],
    "photos": [{"value": "https://school.example/amy.png", "type": "photo"}],
    "addresses": [{"streetAddress": "1 High St", "locality": "Perth", "type": "home"}],
    "entitlements": [{"value": "x"}],
    "roles": [{"value": "Parent"}],
    "x509Certificates": [{"value": "TUlJ"}],
}
ENTERPRISE: dict[str, Any] = {
    "employeeNumber": "P001",
    "costCenter": "c",
    "organization": "o",
    "division": "d",
    "department": "dep",
    "manager": {"value": "u2", "$ref": "../Users/u2"},
}


def test_every_attribute_of_the_core_user_is_kept() -> None:
    whole = {"schemas": [USER_SCHEMA, ENTERPRISE_SCHEMA], **CORE, ENTERPRISE_SCHEMA: ENTERPRISE}

    assert validated_user(whole, strict=True) == whole


def test_names_count_in_any_case() -> None:
    document = validated_user({"SCHEMAS": [USER_SCHEMA], "USERNAME": "amy", "name": {"GIVENNAME": "Amy"}}, strict=True)

    assert (document["userName"], document["name"]) == ("amy", {"givenName": "Amy"})


def test_the_same_name_in_two_spellings_is_refused() -> None:
    refused = refusal(user_body(active=True, ACTIVE=False))

    assert refused.scim_type == "invalidSyntax"
    assert "twice" in refused.detail


def test_a_user_without_active_is_active() -> None:
    assert validated_user(user_body(), strict=False)["active"] is True
    assert validated_user(user_body(active=None), strict=False)["active"] is True


@pytest.mark.parametrize(("sent", "read"), [("False", False), ("True", True), ("false", False), (" TRUE ", True)])
def test_entra_sends_booleans_as_texts(sent: str, read: bool) -> None:
    assert validated_user(user_body(active=sent), strict=False)["active"] is read


@pytest.mark.parametrize("sent", ["", "no", "0", 0, 1, [False], {"value": False}])
def test_a_boolean_that_cannot_be_read_is_refused_and_never_guessed(sent: object) -> None:
    assert refusal(user_body(active=sent)).scim_type == "invalidValue"


def test_a_password_is_taken_and_kept_nowhere() -> None:
    document = validated_user(user_body(password="hunter2"), strict=True)

    assert "hunter2" not in json.dumps(document)


@pytest.mark.parametrize("strict", [True, False])
def test_what_a_client_may_not_write_is_passed_over(strict: bool) -> None:
    sent = user_body(
        id="mine", meta={"version": "9"}, groups=[{"value": "g"}], **{CONNECTOR_SCHEMA: {"status": "active"}}
    )

    document = validated_user(sent, strict=strict)

    assert document == {"schemas": [USER_SCHEMA], "userName": "amy", "active": True}


def test_unknown_attributes_and_extensions_are_passed_over() -> None:
    sent = user_body(shoeSize=9, name={"nick": "x", "givenName": "Amy"}, **{"urn:acme:User": {"a": 1}})

    assert validated_user(sent, strict=False)["name"] == {"givenName": "Amy"}


@pytest.mark.parametrize(
    "more",
    [
        {"shoeSize": 9},
        {"name": {"nick": "x"}},
        {"urn:acme:User": {}},
        {"schemas": [USER_SCHEMA, "urn:acme:User"]},
        {"schemas": []},
        {"schemas": USER_SCHEMA},
    ],
)
def test_a_strict_client_is_told_of_what_is_unknown(more: dict[str, Any]) -> None:
    assert refusal(user_body(**more), strict=True).scim_type == "invalidSyntax"


@pytest.mark.parametrize(
    "more",
    [
        {"active": "False"},
        {"emails": email("a@b.example")},
        {"emails": ["a@b.example"]},
        {"emails": [email("a@b.example", primary=True), email("c@d.example", primary=True)]},
        {"title": 7},
        {ENTERPRISE_SCHEMA: {"manager": "u2"}},
    ],
)
def test_a_strict_client_gets_no_mending(more: dict[str, Any]) -> None:
    assert validated_user(user_body(**more), strict=False)
    assert refusal(user_body(**more), strict=True).scim_type == "invalidValue"


def test_of_two_primary_values_the_last_stands() -> None:
    sent = user_body(emails=[email("a@x", primary=True), email("b@x", "home", primary="True")])

    document = validated_user(sent, strict=False)

    assert [one["primary"] for one in document["emails"]] == [False, True]


@pytest.mark.parametrize("manager", ["", None, {"value": None}, {"value": ""}, {}])
def test_an_empty_manager_is_no_manager(manager: object) -> None:
    document = validated_user(user_body(**{ENTERPRISE_SCHEMA: {"manager": manager}}), strict=False)

    assert ENTERPRISE_SCHEMA not in document


def test_a_manager_may_be_the_bare_id() -> None:
    document = validated_user(user_body(**{ENTERPRISE_SCHEMA: {"manager": "u2"}}), strict=False)

    assert document[ENTERPRISE_SCHEMA] == {"manager": {"value": "u2"}}


def test_an_address_without_a_dot_and_a_photo_that_is_no_url_are_kept() -> None:
    document = validated_user(user_body(emails=[email("amy@local")], photos=[{"value": "none"}]), strict=True)

    assert (document["emails"][0]["value"], document["photos"][0]["value"]) == ("amy@local", "none")


@pytest.mark.parametrize(
    ("sent", "scim_type"),
    [
        ([], "invalidSyntax"),
        ({"schemas": [USER_SCHEMA]}, "invalidValue"),
        (user_body(userName=""), "invalidValue"),
        (user_body(userName=" "), "invalidValue"),
        (user_body(userName=None), "invalidValue"),
        (user_body(userName=["amy"]), "invalidValue"),
        (user_body(name="Amy"), "invalidValue"),
        (user_body(emails=[1.5]), "invalidValue"),
        (user_body(x509Certificates=[{"value": "not base64!"}]), "invalidValue"),
        (user_body(**{ENTERPRISE_SCHEMA: "P001"}), "invalidValue"),
    ],
)
def test_what_cannot_be_a_user_is_refused(sent: object, scim_type: str) -> None:
    assert refusal(sent).scim_type == scim_type


def test_a_refusal_never_repeats_a_value() -> None:
    assert "hunter2" not in refusal(user_body(password=["hunter2"])).detail


def test_a_thousand_addresses_are_too_many() -> None:
    assert refusal(user_body(emails=[email(f"{n}@x") for n in range(1000)])).status == 413


def test_a_replacement_keeps_what_a_client_may_not_write_and_nothing_else() -> None:
    before = stored_user(title="Dr", groups=[{"value": "g1"}])

    after = replaced_user(before, user_body(id="other", displayName="Amy"), strict=False)

    assert after == {
        "schemas": [USER_SCHEMA, CONNECTOR_SCHEMA],
        "id": "u1",
        "meta": before["meta"],
        "userName": "amy",
        "displayName": "Amy",
        "active": True,
        "groups": [{"value": "g1"}],
        CONNECTOR_SCHEMA: before[CONNECTOR_SCHEMA],
    }


def test_of_our_extension_the_note_is_the_clients() -> None:
    sent = user_body(**{CONNECTOR_SCHEMA: {"status": "none", "NOTE": "INC-2"}})
    before = stored_user()
    before[CONNECTOR_SCHEMA] |= {"note": "INC-1"}

    created = validated_user(sent, strict=True)
    replaced, silent = replaced_user(before, sent, strict=True), replaced_user(before, user_body(), strict=True)

    assert created[CONNECTOR_SCHEMA] == {"note": "INC-2"}
    assert created["schemas"] == [USER_SCHEMA, CONNECTOR_SCHEMA]
    assert replaced[CONNECTOR_SCHEMA] == {"status": "active", "source": "admin", "note": "INC-2"}
    assert silent[CONNECTOR_SCHEMA] == {"status": "active", "source": "admin"}


@pytest.mark.parametrize("silent", [{}, {"active": None}])
def test_a_replacement_silent_about_active_opens_no_door(silent: dict[str, Any]) -> None:
    after = replaced_user(stored_user(active=False), user_body(**silent), strict=False)

    assert after["active"] is False


def test_okta_deactivates_by_a_replacement() -> None:
    assert replaced_user(stored_user(), user_body(active=False), strict=False)["active"] is False


def test_a_group_is_split_from_its_members() -> None:
    body = validated_group(
        group_body(externalId="e", members=[{"value": "u1"}, {"value": "u2"}, {"value": "u1"}]), strict=True
    )

    assert body.document == {"schemas": [GROUP_SCHEMA], "externalId": "e", "displayName": "Parents"}
    assert body.members == ("u1", "u2")


@pytest.mark.parametrize(
    ("sent", "read"), [({}, None), ({"members": []}, ()), ({"members": None}, ()), ({"MEMBERS": "u1"}, ("u1",))]
)
def test_a_group_silent_about_members_is_not_one_without_members(sent: dict[str, Any], read: object) -> None:
    assert validated_group(group_body(**sent), strict=False).members == read


@pytest.mark.parametrize("members", [[{"display": "Amy"}], [7], [""], [{"value": None}]])
def test_a_member_without_an_id_is_refused(members: object) -> None:
    with pytest.raises(ScimError, match="id of a User"):
        validated_group(group_body(members=members), strict=False)


def test_a_replaced_group_keeps_its_id() -> None:
    before = {"schemas": [GROUP_SCHEMA], "id": "g1", "displayName": "Old"}

    assert replaced_group(before, group_body(), strict=False).document["id"] == "g1"


def test_an_answer_begins_with_who_it_is_about() -> None:
    text = rendered(
        validated_user(user_body(externalId="e1", title="Zoë"), strict=False), "u1", 3, AT, AT + timedelta(seconds=1)
    )

    answer = json.loads(text)
    assert list(answer) == ["schemas", "id", "externalId", "meta", "userName", "title", "active"]
    assert answer["meta"] == {
        "resourceType": "User",
        "created": "2026-11-23T08:30:00.000000Z",
        "lastModified": "2026-11-23T08:30:01.000000Z",
        "location": LOCATION,
        "version": 'W/"3"',
    }
    assert "Zoë" in text


def test_times_are_answered_in_utc() -> None:
    perth = AT.astimezone(timezone(timedelta(hours=8)))

    assert '"2026-11-23T08:30:00.000000Z"' in rendered(user_body(), "u1", 1, perth, perth)


@given(
    st.lists(st.sampled_from(["@LOCATION@", "@LOCATION", "@", "LOCATION@", "\\", '"', "x"]), max_size=8).map("".join)
)
def test_the_marker_stands_in_an_answer_once_whatever_was_sent(text: str) -> None:
    document = validated_user(user_body(externalId=text or "x", title=text, name={"givenName": text}), strict=False)

    answer = rendered(document, "u1", 1, AT, AT)

    assert answer.count(LOCATION) == 1
    assert json.loads(answer)["title"] == text


def test_an_answer_can_be_answered_again() -> None:
    once = rendered(stored_user(externalId="e"), "u1", 1, AT, AT)

    assert rendered(json.loads(once), "u1", 1, AT, AT) == once


def test_a_bare_group_is_rendered_too() -> None:
    answer = json.loads(rendered({"schemas": [GROUP_SCHEMA]}, "g1", 1, AT, AT))

    assert (answer["id"], answer["meta"]["resourceType"]) == ("g1", "Group")


_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8).filter(str.strip)
_MAYBE = st.none() | _TEXTS
_VALUES = st.fixed_dictionaries(
    {"value": _TEXTS}, optional={"type": st.sampled_from(["work", "WORK", "home", "odd"]), "display": _MAYBE}
)
_USERS = st.fixed_dictionaries(
    {"schemas": st.just([USER_SCHEMA]), "userName": _TEXTS, "active": st.booleans()},
    optional={
        "externalId": _MAYBE,
        "title": _MAYBE,
        "name": st.none() | st.fixed_dictionaries({}, optional={"givenName": _MAYBE, "familyName": _MAYBE}),
        "emails": st.none() | st.lists(_VALUES, max_size=3),
        "phoneNumbers": st.lists(_VALUES, max_size=3),
        "roles": st.lists(_VALUES, max_size=2),
        "shoeSize": st.integers(),
        "x509Certificates": st.lists(st.fixed_dictionaries({"value": st.sampled_from(["TUlJ", "QQ=="])}), max_size=2),
        ENTERPRISE_SCHEMA: st.fixed_dictionaries(
            {}, optional={"employeeNumber": _MAYBE, "manager": st.fixed_dictionaries({"value": _TEXTS})}
        ),
    },
)


@given(_USERS)
def test_a_user_is_read_as_the_library_reads_it(sent: dict[str, Any]) -> None:
    library = User.model_validate(
        sent, scim_ctx=Context.RESOURCE_CREATION_REQUEST, scim_policy=ScimPolicy(unknown=ScimPolicy.Unknown.ignore)
    ).model_dump()

    document = validated_user(sent, strict=False)

    assert validated_user(library, strict=False) == document
    assert document == {**{k: v for k, v in library.items() if k != "schemas"}, "schemas": document["schemas"]}
