"""What Entra ID and Okta really send in a PATCH, shape by shape: accepted, or a leaver stays active."""

from typing import Any

import pytest

from connector.scim.errors import ScimError
from connector.scim.patch import patched_user
from connector.scim.resources import CONNECTOR_SCHEMA, ENTERPRISE_SCHEMA
from tests.scim.sent import Document, email, op, patch, stored_user

MANAGER = f"{ENTERPRISE_SCHEMA}:manager"


def after(document: Document, *operations: Document) -> Document:
    return patched_user(document, patch(*operations), strict=False)


def refusal(*operations: Document, strict: bool = True, **attributes: Any) -> ScimError:
    with pytest.raises(ScimError) as caught:
        patched_user(stored_user(**attributes), patch(*operations), strict=strict)
    return caught.value


# --- Entra ID -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Replace", "replace", "REPLACE", "Add", "add"])
def test_entra_writes_the_operation_with_a_capital(name: str) -> None:
    assert after(stored_user(), op(name, "displayName", value="Amy"))["displayName"] == "Amy"


def test_entra_deactivates_with_the_text_false() -> None:
    assert after(stored_user(), op("Replace", "active", value="False"))["active"] is False


def test_entra_reactivates_with_the_text_true() -> None:
    assert after(stored_user(active=False), op("Add", "active", value="True"))["active"] is True


def test_an_active_that_cannot_be_read_is_refused_not_passed_over() -> None:
    assert refusal(op("Replace", "active", value="disabled"), strict=False).scim_type == "invalidValue"


def test_entra_writes_the_work_address_of_somebody_who_has_none() -> None:
    document = after(stored_user(), op("Add", 'emails[type eq "work"].value', value="amy@school.example"))

    assert document["emails"] == [email("amy@school.example")]


def test_entra_replaces_the_work_address_and_leaves_the_other() -> None:
    before = stored_user(emails=[email("old@x", primary=True), email("amy@home.example", "home")])

    document = after(before, op("Replace", 'emails[type eq "work"].value', value="new@x"))

    assert document["emails"] == [email("new@x", primary=True), email("amy@home.example", "home")]


def test_entra_writes_the_parts_of_an_address_one_after_the_other() -> None:
    document = after(
        stored_user(),
        op("Add", 'addresses[type eq "work"].streetAddress', value="1 High St"),
        op("Add", 'addresses[type eq "work"].locality', value="Perth"),
    )

    assert document["addresses"] == [{"streetAddress": "1 High St", "locality": "Perth", "type": "work"}]


def test_entra_writes_a_role_that_is_primary_by_a_text() -> None:
    before = stored_user(roles=[{"value": "old", "primary": True}])

    assert after(before, op("Replace", 'roles[primary eq "True"].value', value="new"))["roles"] == [
        {"value": "new", "primary": True}
    ]
    assert after(stored_user(), op("Add", 'roles[primary eq "True"].value', value="new"))["roles"] == [
        {"value": "new", "primary": True}
    ]


def test_entra_puts_dotted_names_and_extension_urns_into_one_value() -> None:
    document = after(
        stored_user(name={"familyName": "Lee"}),
        op(
            "Add",
            value={
                "displayName": "Amy Lee",
                "name.givenName": "Amy",
                'emails[type eq "work"].value': "amy@school.example",
                f"{ENTERPRISE_SCHEMA}:department": "Parents",
                MANAGER: "u2",
                "urn:ietf:params:scim:schemas:core:2.0:User:title": "Dr",
            },
        ),
    )

    assert document["displayName"] == "Amy Lee"
    assert document["name"] == {"familyName": "Lee", "givenName": "Amy"}
    assert document["emails"] == [email("amy@school.example")]
    assert document["title"] == "Dr"
    assert document[ENTERPRISE_SCHEMA] == {
        "employeeNumber": "P001",
        "department": "Parents",
        "manager": {"value": "u2"},
    }


def test_an_extension_may_be_written_as_an_object_under_its_urn() -> None:
    for path, value in (
        (None, {ENTERPRISE_SCHEMA: {"department": "Parents"}}),
        (ENTERPRISE_SCHEMA, {"department": "Parents"}),
    ):
        document = after(stored_user(), op("Replace", path, value=value))

        assert document[ENTERPRISE_SCHEMA] == {"employeeNumber": "P001", "department": "Parents"}


@pytest.mark.parametrize("manager", ["u2", {"value": "u2"}, {"value": "u2", "displayName": "Bob"}])
@pytest.mark.parametrize("name", ["Add", "Replace"])
def test_entra_sets_a_manager_by_the_bare_id_too(name: str, manager: object) -> None:
    document = after(stored_user({"manager": {"value": "u1", "$ref": "../Users/u1"}}), op(name, MANAGER, value=manager))

    assert document[ENTERPRISE_SCHEMA]["manager"] == {"value": "u2"}


@pytest.mark.parametrize("manager", ["", None, {"value": None}, {"value": ""}])
@pytest.mark.parametrize("name", ["Add", "Replace"])
def test_entra_clears_a_manager_in_four_spellings(name: str, manager: object) -> None:
    document = after(stored_user({"manager": {"value": "u1"}}), op(name, MANAGER, value=manager))

    assert document[ENTERPRISE_SCHEMA] == {"employeeNumber": "P001"}


@pytest.mark.parametrize("path", [MANAGER, f"{MANAGER}.value", f'{MANAGER}[value eq "u1"]', f"{MANAGER.upper()}"])
@pytest.mark.parametrize("value", [{}, {"value": "u1"}, {"value": None}])
def test_entra_removes_a_manager(path: str, value: Document) -> None:
    document = after(stored_user({"manager": {"value": "u1"}}), op("Remove", path, **value))

    assert document[ENTERPRISE_SCHEMA] == {"employeeNumber": "P001"}


def test_removing_another_manager_than_the_one_there_changes_nothing() -> None:
    before = stored_user({"manager": {"value": "u1"}})

    assert after(before, op("Remove", f'{MANAGER}[value eq "u9"]')) == before


def test_entra_removes_the_work_address_naming_its_value() -> None:
    before = stored_user(emails=[email("a@x"), email("b@x", "home")])

    for operation in (
        op("Remove", 'emails[type eq "work"]'),
        op("Remove", 'emails[type eq "work"]', value=[{"value": "a@x"}]),
        op("Remove", "emails", value=[{"value": "A@X"}]),
        op("Remove", "emails", value={"value": "a@x", "display": "no longer so"}),
        op("Remove", "emails", value="a@x"),
    ):
        assert after(before, operation)["emails"] == [email("b@x", "home")]


def test_entra_removes_a_part_naming_its_old_value() -> None:
    before = stored_user(emails=[email("a@x", display="A")])

    document = after(before, op("Remove", 'emails[type eq "work"].display', value="A"))

    assert document["emails"] == [email("a@x")]


def test_entra_removes_a_plain_attribute_naming_its_old_value() -> None:
    assert "title" not in after(stored_user(title="Dr"), op("Remove", "title", value="Dr"))


@pytest.mark.parametrize("value", [[], [{}], [{"value": "nobody@x"}], [{"shoeSize": 9}], "nobody@x"])
def test_removing_values_that_are_not_there_never_removes_the_others(value: object) -> None:
    before = stored_user(emails=[email("a@x")])

    assert after(before, op("Remove", "emails", value=value)) == before


@pytest.mark.parametrize("value", [{}, {"value": None}])
def test_removing_an_attribute_without_values_removes_all_of_it(value: Document) -> None:
    assert "emails" not in after(stored_user(emails=[email("a@x")]), op("Remove", "emails", **value))


def test_entra_may_send_an_empty_list_of_operations() -> None:
    assert after(stored_user()) == stored_user()


def test_entra_changes_a_user_name() -> None:
    assert after(stored_user(), op("Replace", "userName", value="amy.lee"))["userName"] == "amy.lee"


@pytest.mark.parametrize(
    "path", ["displayName", "title", "name.givenName", "phoneNumbers", 'emails[type eq "work"].value']
)
def test_entra_updates_an_attribute_to_null(path: str) -> None:
    before = stored_user(displayName="Amy", title="Dr", name={"givenName": "Amy"}, phoneNumbers=[{"value": "1"}])

    document = after(before, op("Replace", path, value=None))

    assert document.get(path.partition(".")[0]) is None


def test_two_primary_addresses_are_mended_the_last_one_standing() -> None:
    document = after(
        stored_user(), op("Replace", "emails", value=[email("a@x", primary=True), email("b@x", "home", primary=True)])
    )

    assert [one["primary"] for one in document["emails"]] == [False, True]


def test_a_new_primary_address_takes_it_from_the_old_one() -> None:
    document = after(
        stored_user(emails=[email("a@x", primary=True)]),
        op("Add", "emails", value=[email("b@x", "home", primary="True")]),
    )

    assert [one["primary"] for one in document["emails"]] == [False, True]


def test_attributes_nobody_knows_are_passed_over_beside_those_that_count() -> None:
    document = after(
        stored_user(),
        op("Add", "urn:acme:params:User:shoeSize", value=9),
        op("Add", "shoeSize", value=9),
        op("Add", 'shoes[type eq "left"].size', value=9),
        op("Replace", value={"shoe size": 9, "urn:acme": {}, "name.nick": "x", "active": "False"}),
    )

    assert document == stored_user(active=False)


# --- Okta -----------------------------------------------------------------------------------------------------------


def test_okta_deactivates_without_a_path() -> None:
    assert after(stored_user(), op("replace", value={"active": False}))["active"] is False


def test_okta_sends_a_password_which_goes_nowhere() -> None:
    before = stored_user()

    assert after(before, op("replace", "password", value="hunter2")) == before
    assert after(before, op("replace", value={"password": "hunter2"})) == before
    assert after(before, op("remove", "password")) == before


def test_okta_repeats_the_id_and_what_it_was_told_in_a_value() -> None:
    before = stored_user()
    value = {"schemas": [], "id": "u1", "meta": {}, "groups": [], CONNECTOR_SCHEMA: {"status": "none"}, "title": "Dr"}

    assert after(before, op("replace", value=value)) == stored_user(title="Dr")


# --- strict ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "scim_type"),
    [
        (op("Replace", "active", value="False"), "invalidValue"),
        (op("replace", 'emails[type eq "work"].value', value="a@x"), "noTarget"),
        (op("replace", 'emails[type eq "work" and display pr].value', value="a@x"), "noTarget"),
        (op("replace", MANAGER, value="u2"), "invalidValue"),
        (op("remove", f'{MANAGER}[value eq "u1"]'), "invalidPath"),
        (op("remove", "emails", value=[{"value": "a@x"}]), "invalidValue"),
        (op("add", "title", value=None), "invalidValue"),
        (op("replace", "shoeSize", value=9), "invalidPath"),
        (op("replace", "name.nick", value="x"), "invalidPath"),
        (op("replace", "urn:acme:User:x", value="x"), "invalidPath"),
        (op("replace", "name", value={"nick": "x"}), "invalidSyntax"),
        (op("replace", value={"shoeSize": 9}), "invalidPath"),
        (op("replace", value={"id": "other"}), "mutability"),
        (op("replace", "emails", value=[email("a@x", primary=True), email("b@x", primary=True)]), "invalidValue"),
    ],
)
def test_a_strict_client_gets_no_mending(operation: Document, scim_type: str) -> None:
    assert refusal(operation).scim_type == scim_type


def test_a_strict_client_must_send_operations_and_say_what_they_are() -> None:
    assert refusal().scim_type == "invalidValue"
    with pytest.raises(ScimError, match="schemas"):
        patched_user(stored_user(), {"Operations": [op("replace", "title", value="Dr")]}, strict=True)


def test_a_strict_client_may_capitalise_and_repeat_the_id_it_was_told() -> None:
    body = patch(op("Replace", value={"id": "u1", "title": "Dr"}))

    assert patched_user(stored_user(), body, strict=True)["title"] == "Dr"
