"""PATCH by the book (RFC 7644 3.5.2), its limits, and that both ways of applying it come to the same."""

import copy
import json
import timeit
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.scim.errors import ScimError
from connector.scim.library_patch import by_library
from connector.scim.mending import Step, steps
from connector.scim.operations import MOST_OPERATIONS, operations
from connector.scim.patch import MOST_WORK, patched_user
from connector.scim.plain_patch import plainly
from connector.scim.resources import CONNECTOR_SCHEMA, ENTERPRISE_SCHEMA, validated_user, with_schemas
from connector.scim.shapes import USER
from tests.scim.sent import Document, email, op, patch, stored_user, user_body


def after(document: Document, *operations: Document, strict: bool = True) -> Document:
    return patched_user(document, patch(*operations), strict=strict)


def refusal(body: object, *, strict: bool = False, document: Document | None = None) -> ScimError:
    with pytest.raises(ScimError) as caught:
        patched_user(document or stored_user(), body, strict=strict)
    return caught.value


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("operation", "scim_type"),
    [
        (op("remove"), "noTarget"),
        (op("remove", ""), "noTarget"),
        (op("replace", "user name", value="x"), "invalidPath"),
        (op("replace", "emails[type eq", value="x"), "invalidPath"),
        (op("replace", "emails[type eq]", value={"value": "x"}), "invalidPath"),
        (op("replace", 'emails[type zz "work"].value', value="x"), "invalidPath"),
        (op("replace", "name.givenName.x", value="x"), "invalidPath"),
        (op("replace", 'userName[value eq "x"]', value="x"), "invalidPath"),
        (op("replace", "x" * 5000, value="x"), "invalidPath"),
        (op("replace", "id", value="x"), "mutability"),
        (op("remove", "id"), "mutability"),
        (op("replace", "meta.version", value="x"), "mutability"),
        (op("add", "groups", value=[{"value": "g"}]), "mutability"),
        (op("remove", 'groups[value eq "g"]'), "mutability"),
        (op("replace", f"{ENTERPRISE_SCHEMA}:manager.displayName", value="x"), "mutability"),
        (op("replace", f"{CONNECTOR_SCHEMA}:status", value="active"), "mutability"),
        (op("remove", f"{CONNECTOR_SCHEMA}:legs"), "mutability"),
        (op("add", f"{CONNECTOR_SCHEMA}:reason", value="x"), "mutability"),
        (op("add", CONNECTOR_SCHEMA, value="INC-1"), "invalidValue"),
        (op("add", CONNECTOR_SCHEMA, value={"note": ["INC-1"]}), "invalidValue"),
        (op("remove", "userName"), "mutability"),
        (op("replace", "userName", value=None), "mutability"),
        (op("remove", "active"), "mutability"),
        (op("replace", "active", value=None), "mutability"),
        (op("replace", value={"active": None}), "mutability"),
        (op("replace", "userName", value=""), "invalidValue"),
        (op("replace", "userName", value=["amy"]), "invalidValue"),
        (op("replace", "name", value="Amy"), "invalidValue"),
        (op("replace", "title"), "invalidValue"),
        (op("add", "emails"), "invalidValue"),
        (op("replace", value="x"), "invalidValue"),
        (op("replace"), "invalidValue"),
        (op("move", "title", value="x"), "invalidValue"),
        ({"path": "title", "value": "x"}, "invalidValue"),
        ({"op": "replace", "path": 7, "value": "x"}, "invalidPath"),
        ({"op": "replace", "OP": "add", "path": "title", "value": "x"}, "invalidSyntax"),
        ("replace", "invalidSyntax"),
    ],
)
def test_what_the_standard_refuses_is_refused_in_its_words(operation: Any, scim_type: str, strict: bool) -> None:
    refused = refusal(patch(operation), strict=strict)

    assert (refused.status, refused.scim_type) == (400, scim_type)


@pytest.mark.parametrize("body", [[], "x", None, {}, {"schemas": []}, {"Operations": {}}, {"Operations": None}])
def test_a_body_that_is_no_patch_is_refused(body: object) -> None:
    assert refusal(body).scim_type == "invalidSyntax"


def test_a_body_is_applied_whole_or_not_at_all() -> None:
    before = stored_user(emails=[email("a@x")], name={"givenName": "Amy"})
    kept = copy.deepcopy(before)
    good = [
        op("replace", "name.givenName", value="Bea"),
        op("replace", 'emails[type eq "work"].value', value="b@x"),
        op("add", f"{ENTERPRISE_SCHEMA}:department", value="d"),
        op("add", "emails", value=[email("c@x", "home")]),
    ]

    assert after(before, *good) != before
    assert refusal(patch(*good, op("replace", "id", value="x")), document=before)
    assert before == kept


def test_later_operations_see_what_earlier_ones_did() -> None:
    document = after(
        stored_user(),
        op("add", "emails", value=[email("a@x")]),
        op("replace", 'emails[type eq "work"].value', value="b@x"),
        op("add", "title", value="Dr"),
        op("remove", "title"),
        op("add", 'emails[type eq "work"].display', value="B"),
    )

    assert document["emails"] == [email("b@x", display="B")]
    assert "title" not in document


def test_a_list_operation_beside_a_deactivation_loses_neither() -> None:
    document = after(stored_user(), op("add", "emails", value=[email("a@x")]), op("replace", "active", value=False))

    assert (document["active"], document["emails"]) == (False, [email("a@x")])


def test_the_examples_of_the_standard_work() -> None:
    before = stored_user(
        addresses=[{"type": "work", "streetAddress": "old"}, {"type": "home", "streetAddress": "h"}],
        emails=[email("babs@jensen.org", "home"), email("old@x")],
    )

    document = after(
        before,
        op(
            "replace", 'addresses[type eq "work"]', value={"streetAddress": "911 Universal City Plaza", "country": "US"}
        ),
        op("remove", 'emails[type eq "work" and value ew "x"]'),
        op("add", value={"nickName": "Babs", "emails": [email("babs@x", "other")]}),
    )

    assert document["addresses"][0] == {"streetAddress": "911 Universal City Plaza", "country": "US", "type": "work"}
    assert document["emails"] == [email("babs@jensen.org", "home"), email("babs@x", "other")]
    assert document["nickName"] == "Babs"


def test_adding_a_value_that_is_there_changes_nothing() -> None:
    before = stored_user(emails=[email("a@x")])

    assert after(before, op("add", "emails", value=[email("A@X")])) == before


def test_an_object_changes_the_parts_it_names() -> None:
    before = stored_user(name={"familyName": "Lee", "givenName": "Amy", "middleName": "B"})

    document = after(before, op("replace", "name", value={"givenName": "Bea", "middleName": None}))

    assert document["name"] == {"familyName": "Lee", "givenName": "Bea"}


def test_an_extension_can_be_removed_and_ours_stays() -> None:
    document = after(stored_user(), op("remove", ENTERPRISE_SCHEMA))

    assert ENTERPRISE_SCHEMA not in document
    assert ENTERPRISE_SCHEMA not in document["schemas"]
    assert CONNECTOR_SCHEMA in document["schemas"]


@pytest.mark.parametrize("name", ["add", "replace"])
def test_the_note_is_written_by_its_path_or_in_the_extension(name: str) -> None:
    before = stored_user()
    noted = {**before, CONNECTOR_SCHEMA: {**before[CONNECTOR_SCHEMA], "note": "INC-1"}}

    assert after(before, op(name, f"{CONNECTOR_SCHEMA}:note", value="INC-1")) == noted
    assert after(before, op(name, CONNECTOR_SCHEMA, value={"note": "INC-1"})) == noted
    assert after(before, op(name, value={CONNECTOR_SCHEMA: {"note": "INC-1"}})) == noted


def test_only_the_note_is_removed_with_our_extension() -> None:
    before = stored_user()
    noted = after(before, op("add", f"{CONNECTOR_SCHEMA}:note", value="INC-1"))

    assert after(noted, op("remove", f"{CONNECTOR_SCHEMA}:note")) == before
    assert after(noted, op("remove", CONNECTOR_SCHEMA)) == before
    assert after(noted, op("replace", CONNECTOR_SCHEMA, value={"note": None})) == before


def test_what_we_said_is_passed_over_in_a_value_and_refused_to_a_strict_client_who_changes_it() -> None:
    before = stored_user()
    told = {**before[CONNECTOR_SCHEMA], "note": "INC-1"}
    other = op("replace", CONNECTOR_SCHEMA, value={**told, "status": "none"})

    assert after(before, op("replace", CONNECTOR_SCHEMA, value=told)) == {**before, CONNECTOR_SCHEMA: told}
    assert after(before, other, strict=False) == {**before, CONNECTOR_SCHEMA: told}
    assert refusal(patch(other), strict=True).scim_type == "mutability"


def test_an_extension_that_is_removed_after_an_unusual_step_is_gone() -> None:
    chosen = op("add", f'{ENTERPRISE_SCHEMA}:manager[value eq "u2"]', value={"value": "u2"})

    document = after(stored_user(), chosen, op("remove", ENTERPRISE_SCHEMA), strict=False)

    assert ENTERPRISE_SCHEMA not in document


def test_what_a_client_may_not_write_survives_the_library() -> None:
    before = stored_user(groups=[{"value": "g1"}])

    document = after(before, op("add", "emails", value=[email("a@x")]))

    assert document == {**before, "emails": [email("a@x")]}


def test_more_operations_than_the_limit_are_413() -> None:
    assert refusal(patch(*[op("replace", "title", value="x")] * (MOST_OPERATIONS + 1))).status == 413
    assert refusal(patch(op("replace", value={f"a{n}": 1 for n in range(MOST_OPERATIONS + 1)}))).status == 413


def test_more_filtering_than_the_limit_is_413() -> None:
    many = stored_user(emails=[email(f"{n}@x", f"k{n}") for n in range(400)])
    unusual = op("remove", 'emails[type eq "a" or type eq "b"].display')

    assert patched_user(many, patch(unusual), strict=False) == many
    assert refusal(patch(unusual, unusual), document=many).status == 413
    assert refusal(patch(*[op("replace", "emails.display", value="x")] * (MOST_WORK + 1))).status == 413


def test_a_list_never_grows_past_its_limit() -> None:
    many = [email(f"{n}@x", f"k{n}") for n in range(500)]

    assert (
        refusal(patch(op("add", 'emails[type eq "work"].value', value="a@x")), document=stored_user(emails=many)).status
        == 413
    )
    assert refusal(patch(op("add", "emails", value=[email("a@x")])), document=stored_user(emails=many)).status == 413


@pytest.mark.parametrize("depth", [40, 700, 10_000])
def test_deep_filters_are_refused(depth: int) -> None:
    deep = "not(" * depth + 'type eq "x"' + ")" * depth

    assert refusal(patch(op("remove", f"emails[{deep}]"))).status == 400


def test_a_refusal_never_repeats_a_value() -> None:
    body = patch(op("replace", "active", value="hunter2"), op("replace", value={"password": {"x": "hunter2"}}))

    assert "hunter2" not in refusal(body).detail


# --- both ways come to the same -------------------------------------------------------------------------------------

_TEXTS = st.sampled_from(["Amy", "Öz", "x", "a@x", "A@X", "work", "o\u0308z", 'q"\\'])
_KINDS = st.sampled_from(["work", "Work", "home", "odd", "ÖDD"])
_VALUE = st.fixed_dictionaries(
    {"value": _TEXTS}, optional={"type": _KINDS, "display": _TEXTS, "primary": st.booleans()}
)
_LISTS = st.sampled_from(["emails", "phoneNumbers", "roles", "photos"])
_NAME = st.fixed_dictionaries({}, optional={"givenName": st.none() | _TEXTS, "familyName": _TEXTS})
_DOCUMENTS = st.fixed_dictionaries(
    {"userName": _TEXTS, "active": st.booleans()},
    optional={
        "title": _TEXTS,
        "name": _NAME,
        "emails": st.lists(_VALUE, max_size=3),
        "phoneNumbers": st.lists(_VALUE, max_size=2),
        "roles": st.lists(_VALUE, max_size=2),
        "photos": st.lists(_VALUE, max_size=2),
        ENTERPRISE_SCHEMA: st.fixed_dictionaries({}, optional={"department": _TEXTS, "manager": _TEXTS}),
        CONNECTOR_SCHEMA: st.fixed_dictionaries({}, optional={"note": _TEXTS}),
    },
)
_PLAIN_PATHS = st.sampled_from(
    ["title", "displayName", "externalId", "name.givenName", "name.familyName"]
    + [f"{ENTERPRISE_SCHEMA}:{name}" for name in ("department", "manager", "manager.value")]
    + [f"{CONNECTOR_SCHEMA}:note"]
)
_EXTENSIONS = st.sampled_from([ENTERPRISE_SCHEMA, CONNECTOR_SCHEMA])
_SELECTIONS = st.builds(
    lambda name, key, text, part: f"{name}[{key} eq {json.dumps(text)}]{part}",
    _LISTS,
    st.sampled_from(["type", "TYPE", "value", "display"]),
    _KINDS | _TEXTS,
    st.sampled_from(["", ".value", ".display", ".type"]),
)
_OPERATIONS = st.one_of(
    st.builds(lambda o, p, v: op(o, p, value=v), st.sampled_from(["Add", "replace"]), _PLAIN_PATHS, st.none() | _TEXTS),
    st.builds(lambda p: op("Remove", p), _PLAIN_PATHS | _SELECTIONS | _LISTS | _EXTENSIONS),
    st.builds(lambda o, p, v: op(o, p, value=v), st.sampled_from(["add", "replace"]), _SELECTIONS, st.none() | _TEXTS),
    st.builds(lambda p, v: op("replace", p, value=v), _LISTS, st.lists(_VALUE, max_size=2)),
    st.builds(
        lambda o, p, v: op(o, p, value=v), st.sampled_from(["add", "Remove"]), _LISTS, st.lists(_VALUE, max_size=2)
    ),
    st.builds(lambda v: op("replace", "active", value=v), st.booleans() | st.sampled_from(["True", "False"])),
    st.builds(lambda o, v: op(o, "name", value=v), st.sampled_from(["add", "replace"]), _NAME),
    st.builds(lambda o, v, n: op(o, value={"title": v, "name": n}), st.sampled_from(["add", "replace"]), _TEXTS, _NAME),
)


def plain_steps(document: Document, operation: Document, *, strict: bool) -> list[Step]:
    """The steps of an operation, where there is one that is not refused before it is applied."""
    try:
        return [
            step
            for one in operations(patch(operation), strict=strict)
            for step in steps(one, document, USER, strict=strict)
        ]
    except ScimError:
        return []


NOT_PLAIN = "left to the library"


def done_by_hand(document: Document, step: Step, *, strict: bool) -> Document | str:
    changed = dict(document)
    return changed if plainly(changed, step, strict=strict) else NOT_PLAIN


def outcome(way: Any) -> Any:
    try:
        after = way()
        return after if isinstance(after, str) else with_schemas(after, USER)
    except ScimError as refused:
        return refused.scim_type


@settings(max_examples=400, deadline=None)
@given(_DOCUMENTS, _OPERATIONS, st.booleans())
def test_a_plain_step_comes_to_what_the_library_makes_of_it(body: Document, operation: Document, strict: bool) -> None:
    document = validated_user(body, strict=False)
    for step in plain_steps(document, operation, strict=strict):
        kept = copy.deepcopy(document)

        by_hand = outcome(lambda step=step: done_by_hand(document, step, strict=strict))

        if by_hand != NOT_PLAIN:
            assert by_hand == outcome(lambda step=step: by_library(document, [step], strict=strict))
        assert document == kept


@settings(max_examples=200, deadline=None)
@given(_DOCUMENTS, st.lists(_OPERATIONS, max_size=5))
def test_whatever_is_patched_is_a_user_that_could_have_been_created(body: Document, several: list[Document]) -> None:
    document = validated_user(body, strict=False)

    patched = outcome(lambda: patched_user(document, patch(*several), strict=False))

    assert isinstance(patched, str) or validated_user(patched, strict=False) == patched


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | _TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            _LISTS | _PLAIN_PATHS | st.sampled_from(["value", "active", "Operations"]) | st.text(max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
_ANY_PATH = (
    _PLAIN_PATHS
    | _LISTS
    | _SELECTIONS
    | st.text(max_size=20)
    | st.builds(lambda a, b: f"{a}[{b}]", _LISTS, st.text(max_size=12))
)
_ANY_OPERATION = _JSON | st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "Remove", "replace"]) | _JSON}, optional={"path": _ANY_PATH | _JSON, "value": _JSON}
)


@settings(max_examples=600, deadline=None)
@given(_JSON | st.lists(_ANY_OPERATION, max_size=3).map(lambda several: patch(*several)), st.booleans())
def test_any_body_is_applied_or_refused(body: object, strict: bool) -> None:
    try:
        patched = patched_user(stored_user(emails=[email("a@x")], roles=[{"value": "r"}]), body, strict=strict)
    except ScimError as refused:
        patched = {"status": refused.status}

    assert patched.get("status") in {None, 400, 413}


@given(_JSON, st.booleans())
def test_any_body_is_a_user_or_refused(body: object, strict: bool) -> None:
    try:
        read = validated_user(body, strict=strict)
    except ScimError as refused:
        read = {"status": refused.status}

    assert read.get("status") in {None, 400, 413}


# --- fast enough to stand in front of a database --------------------------------------------------------------------


def microseconds(way: Any) -> float:
    return min(timeit.repeat(way, number=50, repeat=5)) / 50 * 1e6


def test_a_deactivation_costs_less_than_a_tenth_of_a_millisecond() -> None:
    before = stored_user(emails=[email("a@x")])
    body = patch(op("Replace", "active", value="False"))

    assert microseconds(lambda: patched_user(before, body, strict=False)) < 100


def test_an_ordinary_user_is_read_in_a_quarter_of_a_millisecond() -> None:
    body = user_body(
        name={"givenName": "Amy", "familyName": "Lee"},
        emails=[email("a@x")],
        **{ENTERPRISE_SCHEMA: {"employeeNumber": "1"}},
    )

    assert microseconds(lambda: validated_user(body, strict=False)) < 250
