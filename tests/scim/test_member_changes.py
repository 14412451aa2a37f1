"""PATCH of a Group: who goes in and who goes out, told without loading a member."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.scim.errors import ScimError
from connector.scim.patch import MemberChanges, member_changes, patched_group
from connector.scim.resources import GROUP_SCHEMA
from tests.scim.sent import Document, op, patch

GROUP: Document = {"schemas": [GROUP_SCHEMA], "id": "g1", "displayName": "Parents"}


def changes(*operations: Document, strict: bool = False) -> MemberChanges:
    return member_changes(patch(*operations), strict=strict)


def applied(body: object, *, strict: bool) -> Any:
    try:
        changed = member_changes(body, strict=strict)
        return patched_group(GROUP, changed.rest, strict=strict), changed
    except ScimError as refused:
        return refused


def refusal(*operations: Document, strict: bool = False) -> ScimError:
    came_to = applied(patch(*operations), strict=strict)
    assert isinstance(came_to, ScimError)
    return came_to


def members(*ids: str) -> list[Document]:
    return [{"value": one} for one in ids]


@pytest.mark.parametrize(
    "operation",
    [
        op("Add", "members", value=members("a", "b")),
        op("add", "MEMBERS", value=[{"value": "a", "display": "Amy"}, {"value": "b", "$ref": "../Users/b"}]),
        op("Add", value={"members": members("a", "b", "a")}),
        op("Add", f"{GROUP_SCHEMA}:members", value=members("a", "b")),
        op("Add", GROUP_SCHEMA, value={"members": members("a", "b")}),
        op("add", "members", value=["a", "b"]),
    ],
)
def test_members_are_added(operation: Document) -> None:
    assert changes(operation) == MemberChanges(add=("a", "b"))


@pytest.mark.parametrize(
    "operation",
    [
        op("Remove", 'members[value eq "a"]'),
        op("remove", 'members[VALUE EQ "a"]'),
        op("Remove", "members", value=members("a")),
        op("Remove", "members", value={"value": "a"}),
        op("Remove", "members", value=[{"value": "a", "display": "no longer so"}]),
        op("Remove", "members", value="a"),
        op("Remove", 'members[value eq "a"].value'),
    ],
)
def test_entra_removes_only_the_members_it_names(operation: Document) -> None:
    assert changes(operation) == MemberChanges(remove=("a",))


def test_several_members_are_removed_by_one_filter() -> None:
    path = 'members[value eq "a" or value eq "b" OR value eq "c\\"d"]'

    assert changes(op("remove", path), strict=True).remove == ("a", "b", 'c"d')


def test_an_empty_list_of_members_to_remove_removes_nobody() -> None:
    assert not changes(op("Remove", "members", value=[])).touches_members


@pytest.mark.parametrize("value", [{}, {"value": None}])
def test_removing_the_attribute_puts_everybody_out(value: Document) -> None:
    assert changes(op("remove", "members", **value), strict=True).replace == ()


@pytest.mark.parametrize(("value", "left"), [(members("a"), ("a",)), ([], ()), (None, ())])
def test_replacing_members_says_who_all_of_them_are(value: object, left: tuple[str, ...]) -> None:
    assert changes(op("replace", "members", value=value)) == MemberChanges(replace=left)
    assert changes(op("Replace", value={"members": value})) == MemberChanges(replace=left)


def test_the_last_word_on_a_member_counts() -> None:
    changed = changes(
        op("add", "members", value=members("a", "b")),
        op("remove", 'members[value eq "a"]'),
        op("remove", 'members[value eq "c"]'),
        op("add", "members", value=members("c")),
    )

    assert changed == MemberChanges(add=("b", "c"), remove=("a",))


def test_what_follows_a_replacement_is_part_of_it() -> None:
    changed = changes(
        op("add", "members", value=members("x")),
        op("replace", "members", value=members("a", "b")),
        op("remove", 'members[value eq "a"]'),
        op("add", "members", value=members("c")),
    )

    assert changed == MemberChanges(replace=("b", "c"))


def test_okta_renames_a_group_repeating_its_id() -> None:
    changed = changes(op("replace", value={"id": "g1", "displayName": "Families"}))

    assert not changed.touches_members
    assert patched_group(GROUP, changed.rest, strict=False) == {**GROUP, "displayName": "Families"}


def test_one_body_may_rename_a_group_and_change_its_members() -> None:
    changed = changes(op("Replace", value={"displayName": "Families", "externalId": "e", "members": members("a")}))

    document = patched_group(GROUP, changed.rest, strict=True)

    assert changed.replace == ("a",)
    assert document == {"schemas": [GROUP_SCHEMA], "id": "g1", "externalId": "e", "displayName": "Families"}


def test_a_member_written_through_a_filter_is_in_afterwards() -> None:
    assert changes(op("Add", 'members[value eq "a"].value', value="a")) == MemberChanges(add=("a",))
    assert refusal(op("add", 'members[value eq "a"]', value={}), strict=True).scim_type == "mutability"


def test_the_name_shown_beside_a_member_is_not_kept() -> None:
    assert not changes(op("replace", 'members[value eq "a"].display', value="Amy")).touches_members
    assert refusal(op("replace", "members.display", value="Amy"), strict=True).scim_type == "mutability"


def test_attributes_nobody_knows_are_passed_over() -> None:
    changed = changes(op("add", "shoeSize", value=9), op("add", value={"members of": 9, "shoe": {}, "active": True}))

    assert patched_group(GROUP, changed.rest, strict=False) == GROUP


@pytest.mark.parametrize(
    ("operation", "scim_type"),
    [
        (op("remove"), "noTarget"),
        (op("add", "members"), "invalidValue"),
        (op("add", "members", value=[{"display": "Amy"}]), "invalidValue"),
        (op("add", "members", value=[7]), "invalidValue"),
        (op("remove", 'members[display eq "Amy"]'), "invalidFilter"),
        (op("remove", 'members[value sw "a"]'), "invalidFilter"),
        (op("remove", 'members[value eq "a" and value eq "b"]'), "invalidFilter"),
        (op("remove", 'members[value eq "a" or]'), "invalidFilter"),
        (op("remove", 'members[value eq "a" value eq "b"]'), "invalidFilter"),
        (op("remove", 'members[not(value eq "a")]'), "invalidFilter"),
        (op("remove", "members[]"), "invalidFilter"),
        (op("remove", 'members[value eq "\\x"]'), "invalidFilter"),
        (op("remove", "members["), "invalidPath"),
        (op("remove", "displayName"), "mutability"),
        (op("replace", "displayName", value=""), "invalidValue"),
        (op("replace", "id", value="x"), "mutability"),
        (op("remove", GROUP_SCHEMA), "noTarget"),
        (op("replace", 'displayName[value eq "x"]', value="x"), "invalidPath"),
    ],
)
def test_what_cannot_be_meant_is_refused(operation: Document, scim_type: str) -> None:
    assert refusal(operation).scim_type == scim_type


def test_a_strict_client_selects_whom_to_remove_in_the_path() -> None:
    assert refusal(op("remove", "members", value=members("a")), strict=True).scim_type == "invalidValue"


def test_ten_thousand_members_fit_into_one_request() -> None:
    ids = tuple(f"user-{n}" for n in range(10_000))

    assert changes(op("add", "members", value=members(*ids))).add == ids


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["value", "members"]) | st.text(max_size=4), inner)
    ),
    max_leaves=6,
)
_PATHS = st.sampled_from(["members", "displayName", 'members[value eq "a"]', GROUP_SCHEMA, "members.value"]) | st.text(
    max_size=12
)
_OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace"])}, optional={"path": _PATHS, "value": _JSON}
)


@settings(max_examples=400)
@given(_JSON | st.lists(_OPERATIONS | _JSON, max_size=3).map(lambda several: patch(*several)), st.booleans())
def test_any_body_is_read_or_refused_and_members_never_end_in_the_document(body: object, strict: bool) -> None:
    came_to = applied(body, strict=strict)

    if isinstance(came_to, ScimError):
        assert came_to.status == 400
    else:
        document, changed = came_to
        assert "members" not in document
        assert not set(changed.add) & set(changed.remove)
