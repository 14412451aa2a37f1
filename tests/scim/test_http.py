"""What HTTP asks of the endpoint: versions, media types, addresses, and errors that are SCIM documents."""

from collections.abc import Callable
from typing import Any

import pytest

from connector.errors import JournalError
from connector.reconcile.journal_audit import newest
from connector.reconcile.journal_store import Store
from connector.scim.clients import Client
from connector.scim.errors import forbidden
from connector.scim.serving import assembled
from tests.scim.endpoint import SCIM, EverybodyIsTheProviders, Given, Provider, user

Provide = Callable[..., Provider]
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


def assert_error(answer: Any, status: int) -> None:
    assert (answer.status, answer.json["status"], answer.json["schemas"]) == (status, str(status), [ERROR])
    assert answer.headers["Content-Type"] == SCIM
    assert answer.json["detail"]


def test_a_version_the_client_has_is_not_sent_again(entra: Provider) -> None:
    path = f"/Users/{entra.user('ada')['id']}"

    known = entra.get(path, headers={"If-None-Match": 'W/"1"'})
    other = entra.get(path, headers={"If-None-Match": 'W/"7", "8"'})

    assert (known.status, known.body, known.headers["ETag"]) == (304, b"", 'W/"1"')
    assert other.status == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_write_to_another_version_is_refused_and_changes_nothing(entra: Provider, method: str) -> None:
    path = f"/Users/{entra.user('ada')['id']}"
    body = {"userName": "eve", "Operations": [{"op": "replace", "value": {"userName": "eve"}}]}

    late = entra.send(method, path, body, headers={"If-Match": 'W/"2"'})
    unchanged = entra.get(path).json["userName"]
    right = entra.send(method, path, body, headers={"If-Match": 'W/"1"'})

    assert_error(late, 412)
    assert unchanged == "ada"
    assert right.status in (200, 204)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "", "application/scim+json; charset=latin-1"])
def test_a_body_of_another_type_is_refused(entra: Provider, kind: str) -> None:
    answer = entra.call("POST", "/Users", data=b'{"userName": "ada"}', content_type=kind)

    assert_error(answer, 415)


@pytest.mark.parametrize("kind", ["application/json", "Application/SCIM+JSON; charset=UTF-8"])
def test_plain_json_is_taken_too(entra: Provider, kind: str) -> None:
    answer = entra.call("POST", "/Users", data=b'{"userName": "ada"}', content_type=kind)

    assert answer.status == 201


def test_addresses_and_verbs_that_are_none_are_answered_in_scim(entra: Provider) -> None:
    assert_error(entra.get("/Nothing"), 404)
    assert_error(entra.get("/Users/a/b"), 404)
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert_error(entra.send(method, "/Users/%00", {"Operations": []}), 404)
    assert_error(entra.get(f"/Users/{'x' * 5000}"), 404)
    wrong = entra.send("PUT", "/Users", {})
    assert_error(wrong, 405)
    assert "POST" in wrong.headers["Allow"]
    assert_error(entra.get("/Me"), 501)
    assert_error(entra.send("PATCH", "/Me", {}), 501)


def test_a_body_over_the_limit_is_refused(provide: Provide) -> None:
    small = provide(given=Given(max_body_bytes=500))

    assert_error(small.post("/Users", user("ada", nickName="x" * 600)), 413)
    assert small.post("/Users", user("ada")).status == 201


def test_discovery_is_there_and_is_not_filtered(entra: Provider) -> None:
    config = entra.get("/ServiceProviderConfig").json

    assert config["pagination"]["cursor"] is True
    assert config["bulk"]["maxOperations"] == 100
    assert entra.get("/Schemas").json["totalResults"] == 4
    assert entra.get("/Schemas/urn:ietf:params:scim:schemas:core:2.0:User").json["name"] == "User"
    assert {one["name"] for one in entra.get("/ResourceTypes").json["Resources"]} == {"User", "Group"}
    assert entra.get("/ResourceTypes/User").json["endpoint"] == "/Users"
    for path in ("/Schemas", "/ResourceTypes"):
        assert_error(entra.get(f"{path}?filter=name pr"), 403)
    assert_error(entra.get("/Schemas/urn:none"), 404)


def test_nobody_is_admitted_where_nothing_says_who_is(store: Store) -> None:
    bare = Provider(assembled(store, Given(), EverybodyIsTheProviders()), store, None)

    for answer in (bare.get("/Users"), bare.get("/Nothing"), bare.post("/Users", user("ada"))):
        assert_error(answer, 401)


def test_a_client_does_only_what_its_scopes_say(provide: Provide) -> None:
    reader = provide(client=Client("reader", scopes=frozenset({"users:read"})))

    assert reader.get("/Users").status == 200
    assert_error(reader.post("/Users", user("ada")), 403)
    assert_error(reader.get("/Groups"), 403)
    assert_error(reader.get("/"), 403)


def test_the_address_is_the_configured_one_and_never_a_forged_one(provide: Provide) -> None:
    known, open_ = provide(given=Given(base_url="https://scim.school.example/scim/v2/")), provide()

    located = known.user("ada")["meta"]["location"]

    assert located.startswith("https://scim.school.example/scim/v2/Users/")
    assert_error(open_.get("/Users", headers={"Host": 'evil"},{"x.example'}), 400)


def test_less_is_answered_where_less_is_preferred(entra: Provider) -> None:
    path = f"/Users/{entra.user('ada')['id']}"

    minimal = entra.patch(path, {"op": "replace", "value": {"active": False}}, headers={"Prefer": "return=minimal"})
    projected = entra.patch(f"{path}?attributes=active", {"op": "replace", "value": {"active": True}})

    assert (minimal.status, minimal.body) == (204, b"")
    assert set(projected.json) == {"schemas", "id", "active"}


def test_what_a_client_sends_never_looks_like_our_own_address(entra: Provider) -> None:
    sent = {"displayName": "@LOCATION@", "nickName": '"location":"@LOCATION@"'}

    ada = entra.user("ada", **sent)

    assert {name: ada[name] for name in sent} == sent


class _Refusing(EverybodyIsTheProviders):
    def create(self, *_: Any) -> Any:
        raise forbidden("Not entitled.")


class _Failing(EverybodyIsTheProviders):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def create(self, *_: Any) -> Any:
        raise self.error


def test_a_refusal_for_somebodys_access_changes_nothing_and_is_audited(provide: Provide) -> None:
    strict_school = provide(rules=_Refusing())

    assert_error(strict_school.post("/Users", user("ada")), 403)

    assert strict_school.get("/Users").json["totalResults"] == 0
    with strict_school.store.reading() as conn:
        assert [(one.kind, one.operator) for one in newest(conn, 5)] == [("scim-refused", "scim:entra")]


def test_what_nobody_foresaw_is_told_without_a_word_about_us(
    provide: Provide, caplog: pytest.LogCaptureFixture
) -> None:
    broken = provide(rules=_Failing(ZeroDivisionError("secret detail")))

    answer = broken.post("/Users", user("ada"))

    assert_error(answer, 500)
    assert b"secret" not in answer.body
    assert b"Zero" not in answer.body
    assert "secret detail" in caplog.text


def test_a_journal_that_cannot_be_written_is_an_answer_to_try_again(provide: Provide) -> None:
    broken = provide(rules=_Failing(JournalError("The disk is full.", "Make room.")))

    answer = broken.post("/Users", user("ada"))

    assert_error(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0


def test_an_answer_waits_for_the_targets_and_tells_how_things_stand_then(store: Store, provide: Provide) -> None:
    rules = EverybodyIsTheProviders(pending="close")
    slow = provide(rules=rules, given=Given(answer_seconds=0.2), acts=True)
    rules.pending = ""
    path = f"/Users/{slow.user('ada')['id']}"
    rules.pending = "close"

    answer = slow.patch(path, {"op": "replace", "value": {"active": False}})

    with store.reading() as conn:
        row = conn.exec_driver_sql("SELECT pending, pending_since FROM scim_users").one()
    assert (answer.status, answer.json["active"]) == (200, False)
    assert row.pending == "close"
    assert row.pending_since is not None
