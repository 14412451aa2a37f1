"""Malformed traffic: whatever arrives is answered with a SCIM document, never with a 500."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.reconcile.journal import Journal
from tests.reconcile.journal_builders import KEY
from tests.scim.endpoint import SCIM, Answer, Provider, provider

FORESEEN = {200, 201, 204, 304, 400, 403, 404, 405, 409, 412, 413, 415, 501}
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"

NAMES = ["userName", "active", "emails", "members", "displayName", "schemas", "id", "meta", "name", "manager", "groups"]
PATHS = [
    "/Users",
    "/Users/x",
    "/Groups",
    "/Groups/x",
    "/.search",
    "/Users/.search",
    "/Bulk",
    "/Schemas",
    "/Nothing",
    "/Me",
]
KEYS = [
    *NAMES,
    "Operations",
    "op",
    "path",
    "value",
    "filter",
    "count",
    "sortBy",
    "method",
    "bulkId",
    "data",
    "failOnErrors",
]
VALUES = [
    *["userName", 'emails[type eq "work"].value', "members[value eq 1", "urn:x:y", "Replace", "add", "remove", "POST"],
    *["/Users", "bulkId:a", "\0", "\ud800", "é" * 50, "x" * 3000, "@LOCATION@", "1e999", "ascending", "a." * 200],
]


@pytest.fixture(scope="module")
def anybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    path = tmp_path_factory.mktemp("hostile") / "journal.db"
    with Journal.open(f"sqlite:///{path}", audit_key=KEY) as journal:
        caller = provider(journal.store)
        caller.user("x")
        caller.group("x")
        yield caller
        caller.close()


def assert_foreseen(answer: Answer) -> None:
    assert answer.status in FORESEEN, (answer.status, answer.body[:300])
    if answer.status >= 400:
        assert answer.headers["Content-Type"] == SCIM
        assert (answer.json["schemas"], answer.json["status"]) == ([ERROR], str(answer.status))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(VALUES) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
quick = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(
    method=st.sampled_from(["POST", "PUT", "PATCH"]),
    path=st.sampled_from(PATHS),
    body=st.dictionaries(st.sampled_from(KEYS), json_values, max_size=6),
)
def test_any_json_is_answered(anybody: Provider, method: str, path: str, body: dict[str, Any]) -> None:
    sent = json.dumps(body).encode("utf-8", "surrogatepass")

    assert_foreseen(anybody.call(method, path, data=sent, content_type=SCIM))


@quick
@given(
    method=st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]),
    path=st.sampled_from(PATHS),
    body=st.binary(max_size=200),
)
def test_any_bytes_are_answered(anybody: Provider, method: str, path: str, body: bytes) -> None:
    assert_foreseen(anybody.call(method, path, data=body, content_type=SCIM))


@quick
@given(
    path=st.sampled_from(PATHS),
    parameters=st.dictionaries(
        st.sampled_from(["filter", "sortBy", "sortOrder", "startIndex", "count", "cursor", "attributes"]),
        st.sampled_from([*VALUES[:8], *VALUES[10:], *NAMES, "-1", "9" * 40, "", "a eq b", 'userName eq "'])
        | st.text(max_size=20),
        max_size=4,
    ),
)
def test_any_question_is_answered(anybody: Provider, path: str, parameters: dict[str, str]) -> None:
    assert_foreseen(
        anybody.get(path, query_string={k: v.encode("utf-8", "replace").decode() for k, v in parameters.items()})
    )


@quick
@given(
    header=st.sampled_from(
        ["If-Match", "If-None-Match", "Prefer", "Content-Type", "Accept", "X-Forwarded-For", "Authorization"]
    ),
    value=st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60),
)
def test_any_header_is_answered(anybody: Provider, header: str, value: str) -> None:
    assert_foreseen(anybody.call("PUT", "/Users/x", data=b"{}", headers={"Content-Type": SCIM, header: value}))


WRONG = {
    "invalid UTF-8": b'{"userName": "\xff\xfe"}',
    "a NUL": b'{"userName": "a\\u0000b"}',
    "a lone surrogate": b'{"userName": "\\ud800"}',
    "a key twice": b'{"userName": "a", "userName": "b"}',
    "a deep list": b'{"userName":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "a deep object": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "no end": b'{"userName": "a"',
    "not a number": b'{"userName": NaN}',
    "a huge number": b'{"userName": "a", "x": 1' + b"0" * 5000 + b"}",
    "a list": b"[]",
    "nothing": b"",
    "a NUL byte": b'{"userName": "a\0b"}',
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_a_body_that_is_no_json_for_us_is_refused(anybody: Provider, body: bytes) -> None:
    answer = anybody.call("POST", "/Users", data=body, content_type=SCIM)

    assert answer.status == 400
    assert_foreseen(answer)


@pytest.mark.parametrize("size", [1 << 20, 5 << 20])
def test_a_body_over_a_megabyte_is_refused(anybody: Provider, size: int) -> None:
    body = b'{"userName": "' + b"x" * size + b'"}'

    answer = anybody.call("POST", "/Users", data=body, content_type=SCIM)

    assert answer.status == 413
    assert_foreseen(answer)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "userName pr" + ")" * 10_000,
        "not " * 5_000 + "userName pr",
        "userName eq " + '"' + "\\" * 5_001,
        " or ".join(['userName eq "a"'] * 3_000),
        'userName eq "a\0b"',
        "emails[" * 500 + "type pr" + "]" * 500,
        'userName co "%" and (',
    ],
    ids=["parentheses", "nots", "backslashes", "many terms", "a NUL", "brackets", "an open end"],
)
@pytest.mark.parametrize("asked", ["/Users/.search", "/.search"])
def test_a_filter_made_to_hurt_is_refused(anybody: Provider, asked: str, text: str) -> None:
    answer = anybody.post(asked, {"filter": text})

    assert answer.status == 400
    assert_foreseen(answer)


def test_a_name_that_no_database_takes_is_refused_and_not_stored(anybody: Provider) -> None:
    before = anybody.get("/Users?count=0").json["totalResults"]

    assert_foreseen(anybody.get('/Users?filter=userName eq "%00"'))
    assert_foreseen(anybody.get('/Users?filter=userName eq "%ED%A0%80"'))

    assert anybody.get("/Users?count=0").json["totalResults"] == before
