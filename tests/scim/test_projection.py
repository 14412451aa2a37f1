import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.scim.errors import ScimError
from connector.scim.projection import MOST_NAMES, projected, projection
from connector.scim.resources import CONNECTOR_SCHEMA, ENTERPRISE_SCHEMA, USER_SCHEMA
from connector.scim.shapes import GROUP, USER
from tests.scim.sent import Document, email, stored_user


def amy() -> Document:
    return stored_user(
        {"manager": {"value": "u2", "displayName": "Bob"}},
        name={"givenName": "Amy", "familyName": "Lee"},
        emails=[email("a@x", display="A"), email("b@x", "home")],
    )


def shown(attributes: str | None = None, excluded: str | None = None) -> Document:
    return projected(amy(), projection(attributes, excluded, USER))


def test_without_parameters_everything_is_shown() -> None:
    assert projection(None, "", USER).is_everything
    assert shown() == amy()


@pytest.mark.parametrize(
    "name", ["userName", "USERNAME", " username ", f"{USER_SCHEMA}:userName", f"{USER_SCHEMA.upper()}:username"]
)
def test_only_what_is_named_is_shown_with_id_and_schemas(name: str) -> None:
    assert shown(name) == {"schemas": amy()["schemas"], "id": "u1", "userName": "amy"}


def test_sub_attributes_are_shown_alone() -> None:
    answer = shown("name.familyName,emails.value,meta.version")

    assert answer["name"] == {"familyName": "Lee"}
    assert answer["emails"] == [{"value": "a@x"}, {"value": "b@x"}]
    assert answer["meta"] == {"version": 'W/"1"'}


def test_naming_a_whole_attribute_and_a_part_of_it_shows_the_whole() -> None:
    assert shown("name.familyName,name")["name"] == shown("name,name.familyName")["name"] == amy()["name"]


def test_extensions_are_shown_by_their_urn_whole_or_in_part() -> None:
    assert shown(ENTERPRISE_SCHEMA)[ENTERPRISE_SCHEMA] == amy()[ENTERPRISE_SCHEMA]
    assert shown(f"{ENTERPRISE_SCHEMA}:employeeNumber")[ENTERPRISE_SCHEMA] == {"employeeNumber": "P001"}
    assert shown(f"{ENTERPRISE_SCHEMA}:manager.value")[ENTERPRISE_SCHEMA] == {"manager": {"value": "u2"}}
    assert CONNECTOR_SCHEMA not in shown(ENTERPRISE_SCHEMA)


@pytest.mark.parametrize("name", ["nickName", "shoeSize", "urn:acme:User:x", "a b", "name.nick", "emails[", "x" * 9000])
def test_a_name_that_selects_nothing_is_no_error(name: str) -> None:
    assert shown(name) == {"schemas": amy()["schemas"], "id": "u1"}
    assert shown(None, name) == amy()


def test_what_is_excluded_is_left_out() -> None:
    answer = shown(None, f"EMAILS,name.givenName,{ENTERPRISE_SCHEMA}:manager,{CONNECTOR_SCHEMA}")

    assert "emails" not in answer
    assert answer["name"] == {"familyName": "Lee"}
    assert answer[ENTERPRISE_SCHEMA] == {"employeeNumber": "P001"}
    assert CONNECTOR_SCHEMA not in answer


def test_id_and_schemas_cannot_be_excluded() -> None:
    assert shown(None, "id,schemas") == amy()
    assert shown("id", "id") == {"schemas": amy()["schemas"], "id": "u1"}


def test_excluding_the_last_part_leaves_no_empty_shell() -> None:
    assert "name" not in shown(None, "name.givenName,name.familyName")


def test_an_exclusion_narrows_what_is_named() -> None:
    assert shown("name,userName", "name.givenName")["name"] == {"familyName": "Lee"}


def test_the_names_may_come_as_a_list() -> None:
    assert projected(amy(), projection(["userName"], [], USER)) == shown("userName")


@pytest.mark.parametrize(
    ("attributes", "excluded", "wanted"),
    [
        (None, None, True),
        (None, "members", False),
        (None, "Members", False),
        ("displayName", None, False),
        ("members.value", None, True),
        (None, "members.display", True),
    ],
)
def test_members_of_a_group_are_only_read_when_they_are_wanted(
    attributes: str | None, excluded: str | None, wanted: bool
) -> None:
    assert projection(attributes, excluded, GROUP).wants("members") is wanted


def test_hundreds_of_names_are_refused() -> None:
    with pytest.raises(ScimError, match="at most"):
        projection(",".join(["userName"] * (MOST_NAMES + 1)), None, USER)


_NAMES = st.lists(
    st.sampled_from(
        ["id", "name", "name.givenName", "emails.value", ENTERPRISE_SCHEMA, f"{ENTERPRISE_SCHEMA}:manager.value"]
    )
    | st.text(max_size=6),
    max_size=4,
)


@given(_NAMES, _NAMES)
def test_any_names_leave_id_and_schemas_and_invent_nothing(attributes: list[str], excluded: list[str]) -> None:
    answer = projected(amy(), projection(attributes, excluded, USER))

    assert answer["id"] == "u1"
    assert answer["schemas"] == amy()["schemas"]
    assert set(answer) <= set(amy())
