"""The mirror: what was judged of everybody, as a User the endpoint can answer without a snapshot."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from connector.model import Status
from connector.reconcile.journal_scim_tables import scim_people, scim_users
from connector.scim.clients import Client
from connector.scim.mirrored import users
from connector.scim.models import CONNECTOR_SCHEMA, ENTERPRISE_SCHEMA
from connector.scim.seam import Adopted
from connector.scim.search_document import index_key
from connector.scim.truth import LET_IN
from tests.scim.school import Mirrored, mirrored


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Mirrored]:
    with mirrored(tmp_path / "school") as opened:
        yield opened


def test_everybody_who_is_decided_is_a_user_whose_active_says_whether_they_are_let_in(school: Mirrored) -> None:
    decided = {
        d.identity.key: d.status
        for d in school.judgement.decisions.rows
        if d.identity.person is not None and d.identity.key not in school.judgement.decisions.school.student_records
    }

    users = {row.person_id: row for row in school.users()}

    assert len(decided) > 100
    missing = decided.keys() - users.keys()
    assert missing <= school.judgement.decisions.school.blocked
    assert users.keys() <= decided.keys()
    for key, row in users.items():
        document = json.loads(row.document)
        assert row.active == document["active"] == (decided[key] in LET_IN)
        assert document[CONNECTOR_SCHEMA]["status"] == decided[key]
        assert document["meta"]["location"] == "@LOCATION@"


def test_the_reason_of_a_court_order_is_told_to_nobody(school: Mirrored) -> None:
    barred = school.judgement.decisions.school.barred
    documents = [row.document for row in school.users() if row.person_id in barred and not row.active]

    assert documents
    for text in documents:
        assert "access-ended" in text
        assert "restrict" not in text
        assert "court" not in text


def test_the_same_judgement_writes_nothing_again(school: Mirrored) -> None:
    before = {row.id: row.version for row in school.users()}

    assert school.mirror.write(school.judgement) == 0

    assert {row.id: row.version for row in school.users()} == before


def test_a_portal_is_a_group_of_its_enabled_members(school: Mirrored) -> None:
    for reading in school.judgement.snapshot.portals:
        enabled = {m.person_id for m in reading.members if m.enabled}
        users = {row.person_id for row in school.users()}

        assert school.members(reading.portal) == enabled & users


def test_a_user_names_the_groups_it_is_in(school: Mirrored) -> None:
    portal = school.judgement.snapshot.portals[0].portal
    group = school.group(portal)
    person_id = min(school.members(portal))

    document = json.loads(school.user(person_id).document)

    assert {"value": group.id, "$ref": f"../Groups/{group.id}", "display": portal} in document["groups"]


def test_what_a_provider_wrote_about_a_user_it_adopted_stays(school: Mirrored) -> None:
    row = next(row for row in school.users() if row.active)
    document = json.loads(row.document) | {"nickName": "Bo"}
    adopted = {"client": "entra", "document": json.dumps(document), "mirror_digest": ""}
    with school.connector.journal.store.writing() as writing:
        writing.conn.execute(update(scim_users).where(scim_users.c.id == row.id).values(**adopted))

    school.mirror.write(school.judgement)

    assert json.loads(school.user(row.person_id).document)["nickName"] == "Bo"


def test_everybody_the_admin_system_has_is_known_students_and_staff_too(school: Mirrored) -> None:
    with school.connector.journal.store.reading() as conn:
        known = {row.person_id: row for row in conn.execute(select(scim_people))}

    people = school.judgement.decisions.school.people
    assert known.keys() == people.keys()
    entitled = school.judgement.decisions.scene.claims.entitled
    assert {p for p, row in known.items() if json.loads(row.entitled)} == set(entitled)
    assert all(row.why == "" for row in known.values() if json.loads(row.entitled))
    assert all(row.why for row in known.values() if not json.loads(row.entitled))


def test_contact_code_and_e_mail_stand_where_providers_look_for_them(school: Mirrored) -> None:
    people = school.judgement.decisions.school.people
    row = next(r for r in school.users() if people[r.person_id].email and people[r.person_id].code)
    document = json.loads(row.document)

    assert document[ENTERPRISE_SCHEMA]["employeeNumber"] == people[row.person_id].code
    assert document["emails"][0] == {"value": people[row.person_id].email, "type": "work", "primary": True}
    assert Status(document[CONNECTOR_SCHEMA]["status"])


def called(school: Mirrored, person_id: str, name: str, **values: object) -> None:
    """Let somebody's User have that name."""
    columns = {"user_name": name, "user_name_key": index_key(name), **values}
    with school.connector.journal.store.writing() as writing:
        writing.conn.execute(update(scim_users).where(scim_users.c.person_id == person_id).values(**columns))


@pytest.mark.parametrize("client", ["", "entra"])
def test_the_clients_note_outlives_whatever_is_told_of_a_user(school: Mirrored, client: str) -> None:
    row = next(row for row in school.users() if row.active)
    document = json.loads(row.document)
    document[CONNECTOR_SCHEMA] = {"status": "none", "note": "INC-1"}
    values = {"client": client, "document": json.dumps(document), "mirror_digest": ""}
    called(school, row.person_id, row.user_name, **values)

    school.mirror.write(school.judgement)
    mirrored_again = json.loads(school.user(row.person_id).document)[CONNECTOR_SCHEMA]
    school.telling.tell([row.id])
    told = json.loads(school.user(row.person_id).document)[CONNECTOR_SCHEMA]

    assert (mirrored_again["status"], mirrored_again["note"]) == ("active", "INC-1")
    assert (told["status"], told["note"]) == ("active", "INC-1")


def test_a_user_is_adopted_by_its_name_however_it_is_composed_and_by_no_other_of_the_same_key(school: Mirrored) -> None:
    entitled = {key for key, one in school.judgement.decisions.by_key().items() if one.status is Status.ACTIVE}
    row = next(row for row in school.users() if row.active and row.person_id in entitled)
    called(school, row.person_id, "Ömer  Straße")
    client = Client("entra")

    with school.connector.journal.store.writing() as writing:
        same = school.gate.create(writing, client, {"userName": "O\u0308MER  STRAßE", "active": True})
        other = school.gate.create(writing, client, {"userName": "Ömer Strasse", "active": True})

    assert isinstance(same, Adopted)
    assert same.user_id == row.id
    assert not isinstance(other, Adopted)
    assert other.source == "scim"


def test_a_name_somebody_else_has_in_another_spelling_is_not_given_again(
    school: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [one for one in users(school.judgement) if not one.blocked][:2]
    called(school, made[0].person_id, "Ömer Lee")
    with school.connector.journal.store.writing() as writing:
        writing.conn.execute(delete(scim_users).where(scim_users.c.person_id == made[1].person_id))
    renamed = [made[0], replace(made[1], names=("O\u0308mer  Lee", "the next one"))]
    monkeypatch.setattr("connector.scim.mirror.users", lambda _: renamed)

    school.mirror.write(school.judgement)

    row = school.user(made[1].person_id)
    assert row.user_name == "the next one"
    assert row.id[14] == "7"  # RFC 9562 5.7
