"""Nobody is let in beside their own record: not under their own user name, and not by becoming like them afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from connector.model import Status
from connector.reconcile.journal_people import write_block
from connector.reconcile.journal_scim_tables import scim_people, scim_usernames, scim_users
from connector.reconcile.memory import Block
from connector.scim.clients import Client
from connector.scim.errors import ScimError
from tests.scim.endpoint import ENTERPRISE, Provider, provider
from tests.scim.school import Mirrored, mirrored

CLIENT = Client("entra", per_hour=0)


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Mirrored]:
    with mirrored(tmp_path / "school") as opened:
        yield opened


@pytest.fixture
def entra(school: Mirrored) -> Iterator[Provider]:
    made = provider(school.connector.journal.store, rules=school.gate, client=CLIENT)
    yield made
    made.close()


def gone(school: Mirrored, *, blocked: bool) -> tuple[str, str]:
    """Give user name and e-mail of somebody let in whose User is deleted; a provider's deletion blocks them."""
    active = {key for key, one in school.judgement.decisions.by_key().items() if one.status is Status.ACTIVE}
    people = school.judgement.decisions.school.people
    row = next(r for r in school.users() if r.person_id in active and r.user_name.startswith("u"))
    with school.connector.journal.store.writing() as writing:
        writing.conn.execute(delete(scim_users).where(scim_users.c.id == row.id))
        if blocked:
            write_block(writing, Block(row.person_id, "entra", "deleted"))
    return row.user_name, people[row.person_id].email


def test_who_was_deleted_is_not_created_anew_by_user_name_alone(school: Mirrored, entra: Provider) -> None:
    name, _ = gone(school, blocked=True)

    for sent in (name, name.upper(), f" {name}"):
        answer = entra.post("/Users", {"userName": sent})
        assert (answer.status, "access-ended" in answer.json["detail"]) == (403, True)


def test_whoever_has_somebodys_user_name_says_by_contact_code_who_they_are(school: Mirrored, entra: Provider) -> None:
    name, _ = gone(school, blocked=False)

    unsaid = entra.post("/Users", {"userName": name})
    said = entra.post("/Users", {"userName": name, ENTERPRISE: {"employeeNumber": "NOBODYS"}})

    assert (unsaid.status, "employeeNumber" in unsaid.json["detail"]) == (409, True)
    assert said.status == 201


@pytest.mark.parametrize("what", ["userName", "emails", "a user name that is an e-mail"])
@pytest.mark.parametrize("active", [True, False])
def test_nobody_becomes_by_a_change_whom_they_could_not_be_created_as(
    school: Mirrored, entra: Provider, what: str, active: bool
) -> None:
    name, mail = gone(school, blocked=True)
    new = {"userName": name, "emails": [{"value": mail}], "a user name that is an e-mail": mail}[what]
    made = entra.user("stranger", active=active)
    path = "emails" if what == "emails" else "userName"

    answer = entra.patch(f"/Users/{made['id']}", {"op": "replace", "path": path, "value": new})

    assert answer.status == 403
    assert entra.get(f"/Users/{made['id']}").json == made


def test_a_leaver_is_deactivated_whomever_they_are_like_and_not_let_in_again(school: Mirrored, entra: Provider) -> None:
    _, mail = gone(school, blocked=True)
    made = entra.user("stranger")

    closed = entra.send("PUT", f"/Users/{made['id']}", made | {"emails": [{"value": mail}], "active": False})
    opened = entra.patch(f"/Users/{made['id']}", {"op": "replace", "path": "active", "value": True})

    assert (closed.status, closed.json["active"]) == (200, False)
    assert opened.status == 403
    assert entra.get(f"/Users/{made['id']}").json["active"] is False


@pytest.mark.parametrize("what", ["user name", "user name that is an e-mail", "e-mail"])
def test_whoever_is_like_somebody_by_now_is_not_let_in_again_in_a_batch_either(
    school: Mirrored, entra: Provider, what: str
) -> None:
    name = "amy@new.example" if "that is" in what else "amy.new"
    mails = [{"value": "amy@new.example"}] if what == "e-mail" else []
    made = entra.user(name, active=False, emails=mails)
    store, person = school.connector.journal.store, {"person_id": "p-new", "code_key": "new1"}
    with store.writing() as writing:  # the admin system has her by now
        there = dict(writing.conn.execute(select(scim_people)).mappings().first() or {})
        mail = "" if what == "user name" else "amy@new.example"
        writing.conn.execute(scim_people.insert(), there | person | {"email_key": mail})
        writing.conn.execute(scim_usernames.insert(), {"person_id": "p-new", "name_key": "amy.new"})

    with store.writing() as writing:
        row = writing.conn.execute(select(scim_users).where(scim_users.c.id == made["id"])).one()
        school.gate.foresee(writing, [], [row])
        with pytest.raises(ScimError, match="employeeNumber"):
            school.gate.update(writing, CLIENT, row, made | {"active": True})


def test_what_a_user_was_created_with_stands_in_no_changes_way(school: Mirrored, entra: Provider) -> None:
    made = entra.user("amy.new", emails=[{"value": "amy@new.example"}])
    with school.connector.journal.store.writing() as writing:  # the admin system has her by now
        person = dict(writing.conn.execute(select(scim_people)).mappings().first() or {})
        other = {"person_id": "p-new", "code_key": "new1", "email_key": "amy@new.example"}
        writing.conn.execute(scim_people.insert(), person | other)
        writing.conn.execute(scim_usernames.insert(), {"person_id": "p-new", "name_key": "amy.new"})

    answer = entra.patch(f"/Users/{made['id']}", {"op": "replace", "path": "title", "value": "Dr"})

    assert (answer.status, answer.json["title"]) == (200, "Dr")


def test_the_mirror_keeps_the_names_of_everybody_and_of_nobody_else(school: Mirrored) -> None:
    with school.connector.journal.store.writing() as writing:
        writing.conn.execute(scim_usernames.insert(), {"person_id": "1003", "name_key": "an old name"})
        writing.conn.execute(scim_people.update().values(digest=""))

    school.mirror.write(school.judgement)

    kept = names(school)
    assert ("1003", "u1003") in kept
    assert ("1003", "an old name") not in kept
    assert {person_id for person_id, _ in kept} <= school.judgement.decisions.school.people.keys()


def names(school: Mirrored) -> set[tuple[str, str]]:
    with school.connector.journal.store.reading() as conn:
        return {tuple(row) for row in conn.execute(select(scim_usernames))}
