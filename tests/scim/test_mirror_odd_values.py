"""What an admin system holds and no database takes: it is left out, and everybody else is mirrored as ever."""

import csv
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from connector.reconcile.journal_scim_tables import scim_people
from connector.scim.clients import Client
from connector.scim.errors import ScimError
from connector.scim.mirrored import left_out
from connector.scim.models import ENTERPRISE_SCHEMA
from tests.scim.school import Mirrored, mirrored
from tests.servers.postgres import PostgresServer

# No compression makes these fit: PostgreSQL's indexes take 2,704 bytes of a row.
_LETTERS = [chr(letter) for letter in range(0x4E00, 0x9F00)]
ABSURD = "".join(random.Random(7).choices(_LETTERS, k=5_000))  # noqa: S311 - no secret, and the same in every run

Edit = Callable[[list[dict[str, str]]], None]
Open = Callable[[Edit], Mirrored]


@pytest.fixture(params=["sqlite", "postgresql"])
def school_with(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Open the sample school with its people edited, the journal in either database."""
    opened = []

    def edit_school(folder: Path, edit: Edit) -> None:
        path = folder / "admin" / "people.csv"
        with path.open(encoding="utf-8", newline="") as lines:
            people = list(csv.DictReader(lines))
        edit(people)
        with path.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.DictWriter(lines, people[0].keys())
            writer.writeheader()
            writer.writerows(people)
        if request.param == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres")
            config = (folder / "config.toml").read_text(encoding="utf-8")
            moved = config.replace("sqlite:///journal.sqlite", server.create_database())
            (folder / "config.toml").write_text(moved, encoding="utf-8")

    def open_school(edit: Edit) -> Mirrored:
        opened.append(mirrored(tmp_path / "school", lambda folder: edit_school(folder, edit)))
        return opened[-1].__enter__()

    yield open_school
    for one in opened:
        one.__exit__(None, None, None)


def test_one_persons_absurd_code_and_address_keep_nobody_from_being_mirrored(school_with: Open) -> None:
    def edit(people: list[dict[str, str]]) -> None:
        people[0] |= {"code": ABSURD, "email": f"{ABSURD}@x.example"}

    school = school_with(edit)

    users = {row.person_id: json.loads(row.document) for row in school.users()}
    assert len(users) > 100
    assert users["1003"]["name"]["familyName"] == "Xu"
    assert ENTERPRISE_SCHEMA not in users["1003"]
    assert left_out(school.judgement) == ("1003",)
    assert school.mirror.write(school.judgement) == 0


def test_somebody_with_an_absurd_person_id_is_let_in_by_no_provider(school_with: Open) -> None:
    def edit(people: list[dict[str, str]]) -> None:
        people.append(people[0] | {"person_id": ABSURD, "code": "ODD1", "email": "odd@x.example"})

    school = school_with(edit)

    assert len(school.users()) > 100
    with school.connector.journal.store.reading() as conn:
        known = conn.execute(select(scim_people.c.why).where(scim_people.c.code_key == "odd1")).one()
    assert "person_id" in known.why
    sent = {"userName": "odd", "active": True, ENTERPRISE_SCHEMA: {"employeeNumber": "ODD1"}}
    with school.connector.journal.store.writing() as writing, pytest.raises(ScimError) as refused:
        school.gate.create(writing, Client("entra"), sent)
    assert refused.value.status == 403
