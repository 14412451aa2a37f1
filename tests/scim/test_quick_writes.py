"""Writes that pass before the framework: answered, refused and stored as those that go through it."""

import json
import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest

from connector.scim.clients import Client
from connector.scim.quick import Quick
from tests.scim.endpoint import BULK, PATCH, SCIM, USER, Answer, Given, Provider

OFF = json.dumps({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": False}]})
NEW = json.dumps({"schemas": [USER], "userName": "eve", "emails": [{"value": "eve@mail.example"}]})
TAKEN = json.dumps({"schemas": [USER], "userName": "ADA"})

Provide = Callable[..., Provider]


def both(provide: Provide, method: str, path: str, **sent: Any) -> tuple[Answer, Answer]:
    """Send a request with the framework and without it, each to a school that has ada alone."""
    answers = []
    for framework in (False, True):
        one = provide(given=Given(max_body_bytes=2000))
        there = one.get("/Users").json["Resources"]
        ada = there[0]["id"] if there else one.user("ada")["id"]
        for other in there[1:]:
            one.delete(f"/Users/{other['id']}")
        if framework:
            quick = one.flask.wsgi_app
            assert isinstance(quick, Quick)
            one.flask.wsgi_app = quick.framework  # type: ignore[method-assign,assignment] # for once
        answers.append(one.call(method, path.format(id=ada), **sent))
    return answers[0], answers[1]


def plain(answer: Answer) -> tuple[int, str, dict[str, str]]:
    """Give an answer without what is new each time: ids, moments and versions."""
    new = re.compile(r"[0-9a-f-]{36}|\d{4}-\d\d-\d\dT[\d:.]+Z|W/\\?\\?\"\d+\\?\\?\"")
    headers = {name: new.sub("*", value) for name, value in answer.headers.items()}
    return answer.status, new.sub("*", answer.body.decode()), headers


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/Users", NEW, {}, 201),
        ("POST", "/Users", NEW, {"Content-Type": "application/json; charset=utf-8"}, 201),
        ("POST", "/Users", NEW, {"Content-Type": "text/plain"}, 415),
        ("POST", "/Users", NEW, {"Prefer": "return=minimal"}, 201),
        ("POST", "/Users", NEW, {"Host": "no host\x01"}, 400),
        ("POST", "/Users", TAKEN, {}, 409),
        ("POST", "/Users", '{"userName": "a", "userName": "b"}', {}, 400),
        ("POST", "/Users", '{"userName": ""}', {}, 400),
        ("POST", "/Users", "", {}, 400),
        ("POST", "/Users", f'{{"userName": "{"x" * 3000}"}}', {}, 413),
        ("POST", "/Users?attributes=userName", NEW, {}, 201),
        ("POST", "/Users/", NEW, {}, 201),
        ("POST", "/Users/{id}", NEW, {}, 405),
        ("PATCH", "/Users", OFF, {}, 405),
        ("PATCH", "/Users/{id}", OFF, {}, 200),
        ("PATCH", "/Users/{id}", OFF, {"If-Match": 'W/"99"'}, 412),
        ("PATCH", "/Users/{id}", OFF, {"If-Match": "*"}, 200),
        ("PATCH", "/Users/{id}", OFF, {"Prefer": "return=minimal"}, 204),
        ("PATCH", "/Users/{id}?attributes=active", OFF, {}, 200),
        ("PATCH", "/Users/nobody", OFF, {}, 404),
        ("PATCH", "/Users/{id}", "[]", {}, 400),
    ],
)
def test_a_write_is_answered_as_by_the_framework(
    provide: Provide, method: str, path: str, body: str, headers: dict[str, str], status: int
) -> None:
    quick, framework = both(provide, method, path, data=body, headers={"Content-Type": SCIM, **headers})

    assert quick.status == status
    assert plain(quick) == plain(framework)


@pytest.mark.parametrize("prefer", [{}, {"Prefer": "return=representation"}], ids=["without the framework", "with it"])
def test_what_is_refused_for_its_host_has_changed_nothing(entra: Provider, prefer: dict[str, str]) -> None:
    ada, odd = entra.user("ada")["id"], {"Host": "two,hosts", **prefer}
    bulk = {"schemas": [BULK], "Operations": [{"method": "DELETE", "path": f"/Users/{ada}"}]}

    answers = [
        entra.call("POST", "/Users", data=NEW, content_type=SCIM, headers=odd),
        entra.call("PATCH", f"/Users/{ada}", data=OFF, content_type=SCIM, headers=odd),
        entra.call("POST", "/Bulk", data=json.dumps(bulk), content_type=SCIM, headers=odd),
    ]

    assert [answer.status for answer in answers] == [400, 400, 400]
    assert [one["active"] for one in entra.get("/Users").json["Resources"]] == [True]


def test_who_may_not_write_does_not_here_either(provide: Provide) -> None:
    reads_only = provide(client=Client("entra", scopes=frozenset({"users:read"})))

    answers = [
        reads_only.call("POST", "/Users", data=NEW, content_type=SCIM),
        reads_only.call("PATCH", "/Users/0", data=OFF, content_type=SCIM),
    ]

    assert [answer.status for answer in answers] == [403, 403]


@pytest.mark.parametrize(
    "length", [str(len(NEW) + 1), "9" * 5000], ids=["ends early", "has a length that is no number"]
)
def test_a_body_that_is_not_as_long_as_it_is_said_to_be_is_refused(entra: Provider, length: str) -> None:
    quick = entra.flask.wsgi_app
    assert isinstance(quick, Quick)
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/scim/v2/Users", "QUERY_STRING": "", "HTTP_HOST": "scim.example",
        "SERVER_NAME": "scim.example", "SERVER_PORT": "443", "wsgi.url_scheme": "https", "CONTENT_TYPE": SCIM,
        "CONTENT_LENGTH": length, "wsgi.input": BytesIO(NEW.encode()),
    }  # fmt: skip
    said: list[str] = []

    list(quick(environ, lambda status, _headers, *_: said.append(status)))

    assert said[0].startswith("4")
    assert entra.get("/Users").json["totalResults"] == 0
