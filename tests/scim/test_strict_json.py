import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.scim.errors import ScimError
from connector.scim.strict_json import DEEPEST, object_in


def refusal(body: bytes, **limits: int) -> ScimError:
    with pytest.raises(ScimError) as caught:
        object_in(body, **limits)
    return caught.value


def test_an_object_is_read_with_its_accents_and_emoji() -> None:
    read = object_in('{"userName": "Zoë 🙂", "n": [1, 2.5, null, true]}'.encode())

    assert read == {"userName": "Zoë 🙂", "n": [1, 2.5, None, True]}


def test_escaped_pairs_of_surrogates_are_the_character_they_mean() -> None:
    assert object_in(rb'{"a": "\ud83d\ude42"}') == {"a": "🙂"}


def test_a_byte_order_mark_is_passed_over() -> None:
    assert object_in(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"[]", "one JSON object"),
        (b'"active"', "one JSON object"),
        (b'{"active": tru', "not JSON"),
        (b'{"a": 1} {"b": 2}', "not JSON"),
        (b'{"active": true, "active": false}', "same name twice"),
        (b'{"x": {"active": true, "active": false}}', "same name twice"),
        (b'{"userName": "\xff\xfe"}', "not UTF-8"),
        (b'{"userName": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"userName": "a\x00b"}', "not JSON"),
        (rb'{"userName": "a\u0000b"}', "NUL"),
        (rb'{"a\u0000": 1}', "NUL"),
        ('{"userName": "é\\u0000"}'.encode(), "NUL"),
        (rb'{"userName": "\ud800"}', "surrogate"),
        (rb'{"\udc00": 1}', "surrogate"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too long"),
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(body: bytes, why: str) -> None:
    refused = refusal(body)

    assert (refused.status, refused.scim_type) == (400, "invalidSyntax")
    assert why in refused.detail


@pytest.mark.parametrize("depth", [DEEPEST, 1_000, 100_000])
def test_deep_nesting_is_refused_however_deep(depth: int) -> None:
    refused = refusal(b'{"a":' + b"[" * depth + b"]" * depth + b"}")

    assert (refused.status, refused.scim_type) == (400, "invalidSyntax")
    assert "nested deeper" in refused.detail


def test_nesting_up_to_the_limit_is_read() -> None:
    assert object_in(b'{"a":' + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1) + b"}")


def test_a_body_over_the_limit_is_413_before_it_is_read() -> None:
    refused = refusal(b'{"a": "' + b"x" * 100 + b'"}', most_bytes=100)

    assert refused.status == 413


def test_a_refusal_repeats_nothing_of_the_body() -> None:
    refused = refusal(b'{"password": "hunter2" "x"}')

    assert "hunter2" not in refused.detail


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def outcome(body: bytes) -> object:
    try:
        return object_in(body)
    except ScimError as refused:
        return refused


@given(st.dictionaries(st.text(max_size=8), _JSON, max_size=4))
def test_any_json_is_read_as_it_is_or_refused(value: dict[str, object]) -> None:
    read = outcome(json.dumps(value).encode())

    assert read.status == 400 if isinstance(read, ScimError) else read == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    read = outcome(body)

    assert read.status == 400 if isinstance(read, ScimError) else isinstance(read, dict)
