"""What a provider's words mean for the targets: over HTTP, with the driver at work, on the sample school's systems."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from connector.app import Connector
from connector.demo import build
from connector.model import Status
from connector.reconcile.judge import Judgement
from connector.scim.clients import Client, Clients
from connector.scim.driver import Driver
from connector.scim.gate import sourced_id
from connector.scim.models import CONNECTOR_SCHEMA, ENTERPRISE_SCHEMA
from connector.scim.serving import application
from tests.scim.school import AS_OF, SAMPLE

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
CORE = "urn:ietf:params:scim:schemas:core:2.0:User"


@dataclass(slots=True)
class School:
    folder: Path
    http: FlaskClient
    token: str
    connector: Connector
    judgement: Judgement

    def call(self, method: str, path: str, body: object = None) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token}"}
        data = None if body is None else json.dumps(body)
        return self.http.open(
            f"/scim/v2{path}", method=method, data=data, headers=headers, content_type="application/scim+json"
        )

    def patch(self, user_id: str, **values: object) -> TestResponse:
        operations = [{"op": "Replace", "path": name, "value": value} for name, value in values.items()]
        return self.call("PATCH", f"/Users/{user_id}", {"schemas": [PATCH], "Operations": operations})

    def user_of(self, person_id: str) -> dict[str, Any]:
        code = self.judgement.decisions.school.people[person_id].code
        found = self.call("GET", f'/Users?filter={ENTERPRISE_SCHEMA}:employeeNumber eq "{code}"').get_json()
        assert found["totalResults"] == 1
        user: dict[str, Any] = found["Resources"][0]
        return user

    def group_of(self, portal: str) -> dict[str, Any]:
        found = self.call("GET", f'/Groups?filter=displayName eq "{portal}"').get_json()
        group: dict[str, Any] = found["Resources"][0]
        return group

    def read(self, user_id: str) -> dict[str, Any]:
        user: dict[str, Any] = self.call("GET", f"/Users/{user_id}").get_json()
        return user

    def settled(self, user_id: str) -> dict[str, Any]:
        """Wait until every leg of a User has ended."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            user = self.read(user_id)
            legs = user[CONNECTOR_SCHEMA].get("legs", [])
            if legs and all(leg["state"] in ("closed", "already-closed") for leg in legs):
                return user
            time.sleep(0.1)
        raise AssertionError(user)

    def someone(self, status: Status = Status.ACTIVE) -> str:
        """Give somebody with that status who has an account and a member of the engage portal."""
        for decision in self.judgement.decisions.rows:
            identity = decision.identity
            enabled = [a for a in identity.accounts if a.account.enabled and a.account.managed]
            if decision.status is status and not decision.holds and enabled and identity.members_of("engage"):
                return identity.key
        raise AssertionError(status)

    def member(self, person_id: str) -> tuple[Any, ...]:
        with sqlite3.connect(self.folder / "portal.sqlite") as conn:
            row: tuple[Any, ...] = conn.execute(
                "select username, status from members where person_id = ? and portal = 'engage'", (person_id,)
            ).fetchone()
        return row


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[School]:
    monkeypatch.setattr(Connector, "today", lambda _: AS_OF)  # the sample's people leave as the years go by
    folder = tmp_path / "school"
    build(SAMPLE, folder)
    config = folder / "config.toml"
    config.write_text(config.read_text() + "\n[scim]\nanswer_seconds = 20\n", encoding="utf-8")
    connector = Connector.open(config)
    token = Clients(connector.journal.store).create(Client("entra", per_hour=4), 0, "alice")
    driver = Driver(config)
    thread = threading.Thread(target=driver.run)
    thread.start()
    try:
        judgement = connector.look(AS_OF)
        assert driver.mirrored.wait(60)
        yield School(folder, application(config).test_client(), token, connector, judgement)
    finally:
        driver.stop.set()
        thread.join()
        connector.close()


def test_active_false_means_out_everywhere_and_the_answer_tells_it(school: School) -> None:
    person = school.someone()
    user = school.user_of(person)
    assert user["active"] is True

    answer = school.patch(user["id"], active="False")

    assert answer.status_code == 200
    told = answer.get_json()
    assert told["active"] is False
    legs = told[CONNECTOR_SCHEMA]["legs"]
    assert {leg["kind"] for leg in legs} >= {"directory", "credential"}
    school.settled(user["id"])
    assert school.member(person) == (None, "disabled")
    again = school.connector.look(AS_OF).decisions.by_key()[person]
    assert again.status is Status.REVOKED
    assert not any(a.account.enabled for a in again.identity.accounts if a.account.managed)


def test_a_re_sent_active_true_changes_nothing_and_says_whose_word_it_takes(school: School) -> None:
    person = school.someone()
    user_id = school.user_of(person)["id"]
    school.patch(user_id, active=False)
    closed = school.settled(user_id)

    answer = school.patch(user_id, active=True)

    assert answer.status_code == 403
    assert "access-ended" in answer.get_json()["detail"]
    assert school.read(user_id) == closed
    assert school.member(person) == (None, "disabled")


def test_a_deactivated_person_is_not_brought_back_by_the_nightly_run(school: School) -> None:
    person = school.someone()
    user_id = school.user_of(person)["id"]
    school.patch(user_id, active=False)
    school.settled(user_id)

    school.connector.run(AS_OF)

    decision = school.connector.look(AS_OF).decisions.by_key()[person]
    assert decision.status is Status.REVOKED
    assert school.read(user_id)["active"] is False


def test_a_deleted_person_is_closed_everywhere_and_cannot_be_created_again(school: School) -> None:
    person = school.someone()
    user = school.user_of(person)

    assert school.call("DELETE", f"/Users/{user['id']}").status_code == 204

    assert school.call("GET", f"/Users/{user['id']}").status_code == 404
    until = time.monotonic() + 20
    while school.member(person) != (None, "disabled") and time.monotonic() < until:
        time.sleep(0.1)
    assert school.member(person) == (None, "disabled")
    body = {"schemas": [CORE], "userName": "again@school.example", ENTERPRISE_SCHEMA: user[ENTERPRISE_SCHEMA]}
    assert school.call("POST", "/Users", body).status_code == 403


def test_a_post_for_an_entitled_person_takes_over_the_user_there_is_once(school: School) -> None:
    user = school.user_of(school.someone())
    body = {"schemas": [CORE], "userName": "upn@school.example", ENTERPRISE_SCHEMA: user[ENTERPRISE_SCHEMA]}

    first, second = school.call("POST", "/Users", body), school.call("POST", "/Users", body)

    assert first.status_code == 201
    assert first.get_json()["id"] == user["id"]
    assert first.get_json()["userName"] == "upn@school.example"
    assert second.status_code == 409


@pytest.mark.parametrize("by", ["employeeNumber", "userName", "email"])
def test_a_post_for_somebody_the_school_keeps_out_is_refused_however_they_are_named(school: School, by: str) -> None:
    person = school.someone()
    user = school.user_of(person)
    school.connector.block(person, "a court order", None)
    body: dict[str, Any] = {"schemas": [CORE], "userName": "new@school.example"}
    if by == "employeeNumber":
        body[ENTERPRISE_SCHEMA] = user[ENTERPRISE_SCHEMA]
    elif by == "userName":
        body["userName"] = user["userName"].upper()
    else:
        body |= {"emails": user["emails"], "name": user["name"]}

    answer = school.call("POST", "/Users", body)

    assert answer.status_code == 403
    assert "court" not in answer.get_data(as_text=True)


def test_a_post_for_somebody_who_is_not_entitled_is_refused_with_the_reason(school: School) -> None:
    people = school.judgement.decisions.school.people
    person = next(
        d.identity.key
        for d in school.judgement.decisions.rows
        if d.status is Status.REVOKED and d.identity.person and people[d.identity.key].code
    )
    body = {"schemas": [CORE], "userName": "x", ENTERPRISE_SCHEMA: {"employeeNumber": people[person].code}}

    answer = school.call("POST", "/Users", body)

    assert answer.status_code == 403
    assert "admin system" in answer.get_json()["detail"]


def create(school: School, user_name: str, **more: object) -> dict[str, Any]:
    answer = school.call("POST", "/Users", {"schemas": [CORE], "userName": user_name, **more})
    assert answer.status_code == 201, answer.get_json()
    user: dict[str, Any] = answer.get_json()
    return user


def members(school: School, group: str, op: str, *users: str) -> TestResponse:
    operation = {"op": op, "path": "members", "value": [{"value": user} for user in users]}
    return school.call("PATCH", f"/Groups/{group}", {"schemas": [PATCH], "Operations": [operation]})


def portal_rows(school: School, user_name: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(school.folder / "portal.sqlite") as conn:
        person = (sourced_id(user_name),)
        return conn.execute("select portal, status from members where person_id = ?", person).fetchall()


def until(what: Any) -> None:
    end = time.monotonic() + 20
    while not what() and time.monotonic() < end:
        time.sleep(0.1)
    assert what()


def test_somebody_only_the_provider_knows_gets_the_portals_whose_groups_they_are_in(school: School) -> None:
    user = create(school, "coach@club.example", name={"givenName": "Cy", "familyName": "Coach"})
    assert user["active"] is True
    assert user[CONNECTOR_SCHEMA]["source"] == "scim"

    assert members(school, school.group_of("alumni")["id"], "Add", user["id"]).status_code == 204

    until(lambda: portal_rows(school, "coach@club.example") == [("alumni", "enabled")])


def test_leaving_the_last_portal_closes_everything(school: School) -> None:
    user = create(school, "coach@club.example", name={"givenName": "Cy", "familyName": "Coach"})
    group = school.group_of("engage")["id"]
    members(school, group, "Add", user["id"])
    until(lambda: portal_rows(school, "coach@club.example") == [("engage", "enabled")])

    assert members(school, group, "Remove", user["id"]).status_code == 204

    until(lambda: portal_rows(school, "coach@club.example") == [("engage", "disabled")])
    assert school.read(user["id"])["active"] is False


def test_a_provider_may_take_its_own_person_out_and_let_them_in_again(school: School) -> None:
    user = create(school, "coach@club.example", name={"givenName": "Cy", "familyName": "Coach"})
    members(school, school.group_of("engage")["id"], "Add", user["id"])
    until(lambda: portal_rows(school, "coach@club.example") == [("engage", "enabled")])
    assert school.patch(user["id"], active=False).get_json()["active"] is False
    until(lambda: portal_rows(school, "coach@club.example") == [("engage", "disabled")])

    answer = school.patch(user["id"], active=True)

    assert answer.status_code == 200
    assert answer.get_json()["active"] is True
    until(lambda: portal_rows(school, "coach@club.example") == [("engage", "enabled")])


def test_whom_the_school_blocks_no_provider_lets_in_again(school: School) -> None:
    user = create(school, "coach@club.example", name={"givenName": "Cy", "familyName": "Coach"})
    group = school.group_of("engage")["id"]
    members(school, group, "Add", user["id"])
    until(lambda: portal_rows(school, "coach@club.example") == [("engage", "enabled")])
    with school.connector.journal.store.reading() as conn:
        person = conn.exec_driver_sql("select person_id from scim_users where id = ?", (user["id"],)).scalar_one()
    school.connector.block(person, "by order of the head", None)

    until(lambda: school.read(user["id"])["active"] is False)
    assert school.patch(user["id"], active=True).status_code == 403
    assert members(school, school.group_of("alumni")["id"], "Add", user["id"]).status_code == 403
    assert school.call("DELETE", f"/Users/{user['id']}").status_code == 204
    assert school.call("POST", "/Users", {"schemas": [CORE], "userName": "Coach@club.example"}).status_code == 403


def test_a_portal_takes_nobody_the_admin_system_does_not_entitle_to_it(school: School) -> None:
    user = school.user_of(school.someone())
    group = school.group_of("faculty")["id"]

    answer = members(school, group, "Add", user["id"])

    assert answer.status_code == 403
    assert "faculty" in answer.get_json()["detail"]
    found = school.call("GET", f'/Groups?filter=id eq "{group}" and members.value eq "{user["id"]}"').get_json()
    assert found["totalResults"] == 0


def test_more_deactivations_than_a_client_may_make_in_an_hour_are_refused_and_alarm(school: School) -> None:
    users = [create(school, f"u{n}@club.example") for n in range(5)]
    for user in users[:4]:
        assert school.patch(user["id"], active=False).status_code == 200

    answer = school.patch(users[4]["id"], active=False)

    assert answer.status_code == 403
    assert "connector token limit entra" in answer.get_json()["detail"]
    assert school.read(users[4]["id"])["active"] is True
    kinds = [record.kind for record in school.connector.journal.audit_records()]
    assert "scim-too-many" in kinds


def test_an_urgent_termination_is_told_to_the_provider_at_once(school: School) -> None:
    person = school.someone()
    user_id = school.user_of(person)["id"]
    code = school.judgement.decisions.school.people[person].code

    urgent = school.connector.urgent
    urgent.terminate(urgent.order(AS_OF, code, "a court order"))

    until(lambda: school.read(user_id)["active"] is False)
    told = school.read(user_id)
    assert told[CONNECTOR_SCHEMA]["reason"] == "access-ended"
    assert "court" not in json.dumps(told)


def test_a_provider_that_changes_its_mind_at_once_is_taken_at_its_last_word(school: School) -> None:
    user = create(school, "coach@club.example", name={"givenName": "Cy", "familyName": "Coach"})
    members(school, school.group_of("engage")["id"], "Add", user["id"])
    until(lambda: portal_rows(school, "coach@club.example") == [("engage", "enabled")])

    for active in (False, True, False, True):
        assert school.patch(user["id"], active=active).status_code == 200

    until(lambda: portal_rows(school, "coach@club.example") == [("engage", "enabled")])
    assert school.read(user["id"])["active"] is True


def test_an_e_mail_alone_makes_nobody_somebody_of_the_admin_system(school: School) -> None:
    user = school.user_of(school.someone())
    body: dict[str, Any] = {
        "schemas": [CORE],
        "userName": "partner@club.example",
        "emails": user["emails"],
        "name": {"givenName": "Pat", "familyName": "Partner"},
    }

    without, elsewhere = school.call("POST", "/Users", body), {**body, ENTERPRISE_SCHEMA: {"employeeNumber": "NOBODYS"}}

    assert (without.status_code, without.get_json()["scimType"]) == (409, "uniqueness")
    assert "employeeNumber" in without.get_json()["detail"]
    assert school.read(user["id"]) == user
    made = school.call("POST", "/Users", elsewhere)
    assert (made.status_code, made.get_json()[CONNECTOR_SCHEMA]["source"]) == (201, "scim")


@pytest.mark.parametrize("by", ["e-mail", "user name"])
def test_whom_the_school_keeps_out_comes_in_under_no_other_name_with_their_e_mail(school: School, by: str) -> None:
    person = school.someone()
    mail = school.user_of(person)["emails"][0]["value"]
    school.connector.block(person, "a court order", None)
    body: dict[str, Any] = {"schemas": [CORE], "userName": "new", "name": {"givenName": "Other", "familyName": "Name"}}
    body |= {"emails": [{"value": mail.upper()}]} if by == "e-mail" else {"userName": mail.upper()}

    answer = school.call("POST", "/Users", {**body, ENTERPRISE_SCHEMA: {"employeeNumber": "NOBODYS"}})

    assert answer.status_code == 403
    assert "access-ended" in answer.get_json()["detail"]
