"""Bulk requests: each operation stands or falls alone, and refers to others by bulkId."""

from collections.abc import Callable
from typing import Any

from connector.reconcile.journal_audit import newest
from connector.scim.bulk import Operation, _Order
from connector.scim.clients import Client
from tests.scim.endpoint import BULK, PATCH, Answer, Given, Provider, group, user


def bulk(entra: Provider, *operations: dict[str, Any], **named: Any) -> Answer:
    return entra.post("/Bulk", {"schemas": [BULK], "Operations": list(operations), **named})


def post(path: str, bulk_id: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"method": "POST", "path": path, "bulkId": bulk_id, "data": body}


def statuses(answer: Answer) -> list[str]:
    return [one["status"] for one in answer.json["Operations"]]


def test_a_group_has_members_that_are_created_in_the_same_request_even_later(entra: Provider) -> None:
    answer = bulk(
        entra,
        post("/Groups", "g", group("Staff", "bulkId:a", "bulkId:b")),
        post("/Users", "a", user("ada")),
        post("/Users", "b", user("bob")),
    )

    made, ada, bob = answer.json["Operations"]
    assert statuses(answer) == ["201", "201", "201"]
    assert (made["bulkId"], made["version"]) == ("g", 'W/"1"')
    group_id = made["location"].rpartition("/")[2]
    assert entra.members(group_id) == {ada["location"].rpartition("/")[2], bob["location"].rpartition("/")[2]}


def test_one_that_fails_leaves_the_others(entra: Provider) -> None:
    ada = entra.user("ada")

    answer = bulk(
        entra,
        post("/Users", "x", user("ADA")),
        post("/Users", "y", user("bob")),
        {"method": "DELETE", "path": f"/Users/{ada['id']}", "version": 'W/"9"'},
        {
            "method": "PATCH",
            "path": f"/Users/{ada['id']}",
            "data": {"schemas": [PATCH], "Operations": [{"op": "replace", "value": {"active": False}}]},
        },
        {"method": "DELETE", "path": "/Users/nobody"},
    )

    assert statuses(answer) == ["409", "201", "412", "200", "404"]
    assert answer.json["Operations"][0]["response"]["scimType"] == "uniqueness"
    assert entra.get("/Users").json["totalResults"] == 2
    assert entra.get(f"/Users/{ada['id']}").json["active"] is False


def test_after_so_many_errors_the_rest_is_left_undone(entra: Provider) -> None:
    wrong = post("/Users", "a", {})

    answer = bulk(entra, wrong, {**wrong, "bulkId": "b"}, post("/Users", "c", user("late")), failOnErrors=2)

    assert statuses(answer) == ["400", "400"]
    assert entra.get("/Users").json["totalResults"] == 0


def test_what_refers_to_one_that_failed_fails_and_circles_are_refused(entra: Provider) -> None:
    answer = bulk(
        entra,
        post("/Users", "a", {}),
        post("/Groups", "g", group("Staff", "bulkId:a")),
        post("/Groups", "h", group("Staff", "bulkId:nowhere")),
        post("/Groups", "p", group("P", "bulkId:q")),
        post("/Groups", "q", group("Q", "bulkId:p")),
    )

    assert statuses(answer) == ["400", "400", "400", "409", "400"]
    assert entra.get("/Groups").json["totalResults"] == 0


def test_thousands_that_refer_to_one_another_are_put_in_order_while_others_wait() -> None:
    last = 5_000
    chain = tuple(Operation("POST", "/Groups", f"{n}", "", {"members": [f"bulkId:{n + 1}"]}) for n in range(last))
    order = _Order((*chain, Operation("POST", "/Users", f"{last}", "", {})))

    given = [order.next() for _ in range(last + 2)]

    assert given == [*((n, False) for n in range(last, -1, -1)), None]


def test_a_path_may_name_what_was_just_created(entra: Provider) -> None:
    answer = bulk(entra, post("/Users", "a", user("ada")), {"method": "DELETE", "path": "/Users/bulkId:a"})

    assert statuses(answer) == ["201", "204"]
    assert entra.get("/Users").json["totalResults"] == 0


def test_too_many_operations_are_refused_whole(provide: Callable[..., Provider]) -> None:
    small = provide(given=Given(bulk_max_operations=2))

    answer = bulk(small, *(post("/Users", name, user(name)) for name in "abc"))

    assert answer.status == 413
    assert small.get("/Users").json["totalResults"] == 0


def test_a_bulk_request_does_nothing_that_the_client_may_not_do(provide: Callable[..., Provider]) -> None:
    reader = provide(client=Client("reader", scopes=frozenset({"users:read", "groups:write"})))

    answer = bulk(reader, post("/Users", "a", user("ada")), post("/Groups", "g", group("Staff")))

    assert statuses(answer) == ["403", "201"]
    with reader.store.reading() as conn:
        assert [one.kind for one in newest(conn, 9)] == ["scim-refused", "scim-created"]


def test_a_request_that_is_no_bulk_request_is_refused(entra: Provider) -> None:
    ok = post("/Users", "a", user("ada"))

    assert entra.post("/Bulk", {"Operations": [ok]}).status == 400
    assert bulk(entra, {**ok, "method": "GET"}).status == 400
    assert bulk(entra, ok, ok).status == 400
    assert bulk(entra, ok, failOnErrors="1").status == 400
    assert statuses(bulk(entra, {**ok, "bulkId": ""}, {**ok, "path": "/Nothing"})) == ["400", "404"]
