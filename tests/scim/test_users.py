"""Users over HTTP: created, read, found, changed, deleted."""

from connector.reconcile.journal_audit import newest
from connector.scim.models import CONNECTOR_SCHEMA
from tests.scim.endpoint import ENTERPRISE, SCIM, Provider, user


def audited(entra: Provider) -> list[str]:
    with entra.store.reading() as conn:
        return [event.text for event in newest(conn, 10)]


def test_a_user_that_was_created_is_answered_as_it_is_read_later(entra: Provider) -> None:
    answer = entra.post("/Users", user("Ada@school.example", externalId="e-1", password="not kept"))

    read = entra.get(f"/Users/{answer.json['id']}")
    assert answer.status == 201
    assert answer.headers["Content-Type"] == SCIM
    assert answer.headers["Location"] == answer.json["meta"]["location"] == read.json["meta"]["location"]
    assert answer.headers["Location"] == f"http://localhost/scim/v2/Users/{answer.json['id']}"
    assert read.json == answer.json
    assert read.json["active"] is True
    assert read.json["externalId"] == "e-1"
    assert "password" not in read.json
    assert read.headers["ETag"] == read.json["meta"]["version"] == 'W/"1"'


def test_a_name_that_is_taken_in_another_case_is_refused(entra: Provider) -> None:
    entra.user("ada@school.example")

    again = entra.post("/Users", user("ADA@school.example"))

    assert again.status == 409
    assert again.json["scimType"] == "uniqueness"
    assert entra.get("/Users").json["totalResults"] == 1


def test_a_user_is_found_by_name_and_by_external_id(entra: Provider) -> None:
    ada = entra.user("ada@school.example", externalId="e-1")
    entra.user("bob@school.example", externalId="e-2")

    by_name = entra.get('/Users?filter=userName eq "ADA@school.example"')
    by_external_id = entra.get('/Users?filter=externalId eq "e-1"')
    nobody = entra.get('/Users?filter=userName eq "eve@school.example"')

    assert [found["id"] for found in by_name.json["Resources"]] == [ada["id"]]
    assert [found["id"] for found in by_external_id.json["Resources"]] == [ada["id"]]
    assert (nobody.json["totalResults"], nobody.json["Resources"]) == (0, [])


def test_a_patch_is_answered_with_the_resource_and_a_new_version(entra: Provider) -> None:
    ada = entra.user("ada@school.example", **{ENTERPRISE: {"employeeNumber": "P001"}})

    answer = entra.patch(f"/Users/{ada['id']}", {"op": "Replace", "path": "active", "value": "False"})

    assert answer.status == 200
    assert answer.json["active"] is False
    assert answer.json["meta"]["version"] == answer.headers["ETag"] == 'W/"2"'
    assert answer.json[ENTERPRISE] == {"employeeNumber": "P001"}


def test_a_patch_that_changes_nothing_leaves_the_version(entra: Provider) -> None:
    ada = entra.user("ada@school.example")

    answer = entra.patch(f"/Users/{ada['id']}", {"op": "replace", "value": {"active": True}})

    assert answer.json["meta"]["version"] == 'W/"1"'


def test_a_put_without_active_opens_no_door(entra: Provider) -> None:
    ada = entra.user("ada@school.example", active=False, displayName="Ada")

    answer = entra.send("PUT", f"/Users/{ada['id']}", user("ada@school.example", nickName="A"))

    assert answer.status == 200
    assert answer.json["active"] is False
    assert "displayName" not in answer.json
    assert answer.json["nickName"] == "A"


def test_a_user_that_was_deleted_is_gone_and_its_name_is_free(entra: Provider) -> None:
    ada = entra.user("ada@school.example")

    answer = entra.delete(f"/Users/{ada['id']}")

    gone = entra.get(f"/Users/{ada['id']}")
    assert (answer.status, answer.body) == (204, b"")
    assert (gone.status, gone.json["status"]) == (404, "404")
    assert entra.get("/Users").json["totalResults"] == 0
    assert entra.user("ada@school.example")["id"] != ada["id"]


def test_ids_rise_with_time_and_are_all_different(entra: Provider) -> None:
    ids = [entra.user(f"user{number}")["id"] for number in range(3)]

    assert len({*ids}) == 3
    assert [one[:8] for one in ids] == sorted(one[:8] for one in ids)
    assert all(one[14] == "7" and one[19] in "89ab" for one in ids)  # RFC 9562 4.1, 4.2


def test_a_note_about_a_change_is_kept_with_the_user_and_stands_in_its_audit_record(entra: Provider) -> None:
    ada = entra.user("ada@school.example", **{CONNECTOR_SCHEMA: {"note": "INC-1"}})
    leaving = {"active": False, CONNECTOR_SCHEMA: {"note": "INC-2: left\r\nthe school\u202e"}}

    answer = entra.patch(f"/Users/{ada['id']}", {"op": "replace", "value": leaving})
    entra.patch(f"/Users/{ada['id']}", {"op": "replace", "path": "nickName", "value": "A"})

    assert ada[CONNECTOR_SCHEMA] == {"note": "INC-1"}
    assert answer.json[CONNECTOR_SCHEMA] == leaving[CONNECTOR_SCHEMA]
    assert audited(entra) == [
        'User ada@school.example was created. Note: "INC-1"',
        f'User ada@school.example was changed: active, {CONNECTOR_SCHEMA}. Note: "INC-2: left  the school"',
        "User ada@school.example was changed: nickName.",
    ]


def test_of_a_long_note_the_audit_record_has_the_beginning(entra: Provider) -> None:
    ada = entra.user("ada@school.example")

    answer = entra.patch(f"/Users/{ada['id']}", {"op": "add", "path": f"{CONNECTOR_SCHEMA}:note", "value": "n" * 5000})

    assert len(answer.json[CONNECTOR_SCHEMA]["note"]) == 5000
    assert audited(entra)[-1].endswith(f'Note: "{"n" * 200}"')


def test_users_are_found_by_their_note(entra: Provider) -> None:
    ada = entra.user("ada@school.example", **{CONNECTOR_SCHEMA: {"note": "INC-1"}})
    entra.user("bob@school.example", **{CONNECTOR_SCHEMA: {"note": "INC-2"}})

    found = entra.get(f'/Users?filter={CONNECTOR_SCHEMA}:note sw "inc-1"')

    assert [one["id"] for one in found.json["Resources"]] == [ada["id"]]


def test_a_name_that_only_shares_its_key_is_taken_but_not_found_by(entra: Provider) -> None:
    entra.user("Straße  1")

    taken = entra.post("/Users", user("STRASSE 1"))
    found = [entra.get(f'/Users?filter=userName eq "{name}"') for name in ("straße  1", "strasse  1", "straße 1")]

    assert taken.status == 409
    assert [answer.json["totalResults"] for answer in found] == [1, 0, 0]
