"""Groups over HTTP: pushed ones whole, portals by their members only, and members at any size."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import event, func, insert, select

from connector.reconcile.journal_audit import newest
from connector.reconcile.journal_bulk import execute_many
from connector.reconcile.journal_scim_tables import scim_members, scim_users
from connector.reconcile.journal_store import Store
from connector.scim import group_store
from connector.scim.clients import Client
from connector.scim.committing import turn
from connector.scim.prepared import Prepared
from connector.scim.serving import EXTENSION
from tests.scim.endpoint import GROUP, USER, Provider, group

Provide = Callable[..., Provider]


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """Collect what SQLAlchemy sends to the database."""
    sent: list[str] = []

    def collect(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(store.engine, "before_cursor_execute", collect)
    try:
        yield sent
    finally:
        event.remove(store.engine, "before_cursor_execute", collect)


def portal(store: Store, name: str) -> str:
    """Put a portal's Group there, as the mirror does."""
    with turn(store) as now:
        group_store.add(now, f"portal-{name}", {"schemas": [GROUP], "displayName": name}, "", portal=name)
    return f"portal-{name}"


def crowd(store: Store, group_id: str, size: int) -> None:
    """Put so many Users into a Group, past the endpoint."""
    with turn(store) as now:
        at = now.writing.now
        document = json.dumps({"schemas": [USER], "userName": "one of many", "active": True})
        same = {"source": "scim", "client": "", "external_id": None, "code_key": "", "active": True, "wanted": True}
        kept: dict[str, object] = {
            "pending": "",
            "pending_since": None,
            "document": document,
            "search": {},
            "mirror_digest": "",
        }
        times = {"version": 1, "created_at": at, "modified_at": at}
        names = [f"u{number}" for number in range(size)]
        own = [
            {"id": one, "position": -1 - number, "person_id": one, "user_name": one, "user_name_key": one}
            for number, one in enumerate(names)
        ]
        Prepared(insert(scim_users)).write_many(now.writing.conn, [{**one, **same, **kept, **times} for one in own])
        rows = [{"group_id": group_id, "user_id": one, "added_at": at} for one in names]
        execute_many(now.writing.conn, insert(scim_members), rows)


def add(user_id: str) -> dict[str, object]:
    return {"op": "Add", "path": "members", "value": [{"value": user_id}]}


def remove(user_id: str) -> dict[str, object]:
    return {"op": "Remove", "path": f'members[value eq "{user_id}"]'}


def test_a_group_has_its_members_and_they_have_it(entra: Provider) -> None:
    ada = entra.user("ada")

    staff = entra.group("Staff", ada["id"])

    base = "http://localhost/scim/v2"
    member = {"value": ada["id"], "$ref": f"{base}/Users/{ada['id']}", "type": "User"}
    assert staff["members"] == [member]
    assert entra.get(f"/Groups/{staff['id']}").json == staff
    own = entra.get(f"/Users/{ada['id']}").json
    assert own["groups"] == [{"value": staff["id"], "$ref": f"../Groups/{staff['id']}", "display": "Staff"}]
    assert own["meta"]["version"] == 'W/"2"'


def test_a_member_is_called_by_its_users_name_for_who_asks_and_a_name_that_is_sent_counts_for_nothing(
    entra: Provider,
) -> None:
    ada, staff = entra.user("ada"), entra.group("Staff")
    sent = {"op": "Add", "path": "members", "value": [{"value": ada["id"], "display": "Countess"}]}

    entra.patch(f"/Groups/{staff['id']}", sent)

    path = f"/Groups/{staff['id']}"
    assert entra.get(f"{path}?attributes=Members.Display").json["members"] == [{"display": "ada"}]
    both = entra.get(f"{path}?attributes=members,members.display").json["members"]
    assert [(one["value"], one["display"]) for one in both] == [(ada["id"], "ada")]
    assert "display" not in entra.get(f"{path}?attributes=members").json["members"][0]


@pytest.mark.parametrize(
    "asked",
    [
        'filter=members.display sw "a"', 'filter=members[type eq "User" and display sw "a"]', "sortBy=members.display",
        f'filter=not ({GROUP}:members.Display eq "x")',
    ],
)  # fmt: skip
def test_the_names_of_members_are_for_clients_that_may_read_users(
    entra: Provider, provide: Provide, asked: str
) -> None:
    staff = entra.group("Staff", entra.user("ada")["id"])
    groups_only = provide(client=Client("phones", scopes=frozenset({"groups:read", "groups:write"})))

    told = groups_only.get(f"/Groups/{staff['id']}?attributes=members,members.display").json["members"]
    searched = groups_only.get(f"/Groups?{asked}")
    by_search = groups_only.post("/Groups/.search", {"filter": asked.partition("=")[2]})

    assert "ada" not in json.dumps(told)
    assert searched.status == 403
    assert by_search.status in (400, 403)
    assert groups_only.get('/Groups?filter=displayName eq "Staff"').json["totalResults"] == 1


def test_members_alone_are_answered_without_a_body_and_for_a_strict_client_with_one(
    entra: Provider, provide: Provide
) -> None:
    ada, staff = entra.user("ada"), entra.group("Staff")
    strict = provide(client=Client("strict", strict=True))

    tolerant = entra.patch(f"/Groups/{staff['id']}", add(ada["id"]))
    asked = entra.patch(f"/Groups/{staff['id']}", remove(ada["id"]), headers={"Prefer": "return=representation"})
    whole = strict.patch(f"/Groups/{staff['id']}", {"op": "add", "path": "members", "value": [{"value": ada["id"]}]})

    assert (tolerant.status, tolerant.body, tolerant.headers["ETag"]) == (204, b"", 'W/"2"')
    assert (asked.status, "members" in asked.json) == (200, False)
    assert (whole.status, [member["value"] for member in whole.json["members"]]) == (200, [ada["id"]])


def test_removing_one_member_leaves_the_others(entra: Provider) -> None:
    ada, bob = entra.user("ada"), entra.user("bob")
    staff = entra.group("Staff", ada["id"], bob["id"])

    entra.patch(f"/Groups/{staff['id']}", {"op": "Remove", "path": "members", "value": [{"value": ada["id"]}]})

    assert entra.members(staff["id"]) == {bob["id"]}
    assert "groups" not in entra.get(f"/Users/{ada['id']}").json


def test_a_member_that_is_no_user_is_refused_by_name_and_nothing_is_changed(entra: Provider) -> None:
    ada, staff = entra.user("ada"), entra.group("Staff")

    answer = entra.patch(f"/Groups/{staff['id']}", add(ada["id"]), add("nobody-7"))

    assert (answer.status, answer.json["scimType"]) == (400, "invalidValue")
    assert "nobody-7" in answer.json["detail"]
    assert entra.members(staff["id"]) == set()


def test_a_put_that_says_nothing_about_members_leaves_them_and_an_empty_list_takes_them_out(entra: Provider) -> None:
    ada = entra.user("ada")
    staff = entra.group("Staff", ada["id"])

    entra.send("PUT", f"/Groups/{staff['id']}", group("Teachers"))
    renamed, named = entra.members(staff["id"]), entra.get(f"/Users/{ada['id']}").json["groups"][0]["display"]
    entra.send("PUT", f"/Groups/{staff['id']}", {**group("Teachers"), "members": []})

    assert (renamed, named) == ({ada["id"]}, "Teachers")
    assert entra.members(staff["id"]) == set()


def test_a_portal_takes_members_but_is_not_created_renamed_or_deleted(entra: Provider) -> None:
    engage, ada = portal(entra.store, "Engage"), entra.user("ada")

    created = entra.post("/Groups", group("engage"))
    renamed = entra.patch(f"/Groups/{engage}", {"op": "replace", "path": "displayName", "value": "Other"})
    taken = entra.send("PUT", f"/Groups/{entra.group('Staff')['id']}", group("ENGAGE"))
    deleted = entra.delete(f"/Groups/{engage}")
    joined = entra.patch(f"/Groups/{engage}", add(ada["id"]))

    assert (created.status, created.json["scimType"]) == (409, "uniqueness")
    assert (renamed.status, renamed.json["scimType"]) == (400, "mutability")
    assert taken.status == 409
    assert (deleted.status, "portal" in deleted.json["detail"]) == (403, True)
    assert (joined.status, entra.members(engage)) == (204, {ada["id"]})
    assert entra.rules.asked == ["ada joined Engage"]


def test_deleting_a_group_and_deleting_a_member_are_seen_from_the_other_side(entra: Provider) -> None:
    ada, bob = entra.user("ada"), entra.user("bob")
    staff, choir = entra.group("Staff", ada["id"], bob["id"]), entra.group("Choir", ada["id"])

    entra.delete(f"/Groups/{choir['id']}")
    entra.delete(f"/Users/{bob['id']}")

    assert [one["display"] for one in entra.get(f"/Users/{ada['id']}").json["groups"]] == ["Staff"]
    left = entra.get(f"/Groups/{staff['id']}").json
    assert [member["value"] for member in left["members"]] == [ada["id"]]
    assert left["meta"]["version"] == 'W/"2"'


def test_members_left_out_of_the_answer_are_not_read(entra: Provider) -> None:
    ada = entra.user("ada")
    staff = entra.group("Staff", ada["id"])
    reader, asked = entra.flask.extensions[EXTENSION].lookup._reader, []
    real = reader.rows

    def rows(statement: Prepared, **values: object) -> object:
        asked.append(str(statement._statement))
        return real(statement, **values)

    reader.rows = rows

    without = entra.get(f"/Groups/{staff['id']}?excludedAttributes=members").json
    listed = entra.get("/Groups?attributes=displayName").json["Resources"]

    assert "members" not in without
    assert listed == [{"schemas": [GROUP], "id": staff["id"], "displayName": "Staff"}]
    assert not any("scim_members" in statement for statement in asked)


@pytest.mark.parametrize("change", [add, remove], ids=["add", "remove"])
def test_one_member_of_ten_thousand_is_changed_without_loading_the_others(
    entra: Provider, change: Callable[[str], dict[str, object]]
) -> None:
    staff = entra.group("Staff")["id"]
    crowd(entra.store, staff, 10_000)
    one = entra.user("one more")["id"] if change is add else "u7"
    with statements(entra.store) as sent:
        begun = time.perf_counter()
        answer = entra.patch(f"/Groups/{staff}", change(one))
        took = time.perf_counter() - begun

    assert answer.status == 204
    assert len(sent) <= 20
    assert took < 0.2  # 20 ms are promised on a machine that does nothing else
    with entra.store.reading() as conn:
        assert conn.scalar(select(func.count()).select_from(scim_members)) == (10_001 if change is add else 9_999)


def test_eighty_members_added_at_once_are_eighty_members(entra: Provider) -> None:
    staff = entra.group("Staff")["id"]
    users = [entra.user(f"user {number}")["id"] for number in range(80)]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda user_id: entra.patch(f"/Groups/{staff}", add(user_id)).status, users))

    assert answers == [204] * 80
    assert entra.members(staff) == set(users)


def test_a_write_leaves_one_audit_record_without_values(entra: Provider) -> None:
    ada = entra.user("ada", nickName="the-secret-nick")
    entra.patch(f"/Users/{ada['id']}", {"op": "replace", "path": "nickName", "value": "another"})

    staff = entra.group("Staff", ada["id"])["id"]

    with entra.store.reading() as conn:
        events = newest(conn, 10)
    assert [one.kind for one in events] == ["scim-created", "scim-changed", "scim-created"]
    assert {one.operator for one in events} == {"scim:entra"}
    assert "nick" not in json.dumps([one.text for one in events]).replace("nickName", "")
    assert staff in [one.subject for one in events]
