"""Users over HTTP: created, read, found, changed, deleted."""

from tests.scim.endpoint import ENTERPRISE, SCIM, Provider, user


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
