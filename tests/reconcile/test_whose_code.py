"""Whose a contact code is: today's holder, else whoever held it; two are refused, nobody is told as such."""

from pathlib import Path

import pytest

from connector.model import MembersReading, Person
from connector.reconcile.whose_code import WhoseCode, whose_code
from tests.reconcile.build import TODAY, school
from tests.reconcile.nights import settled


@pytest.mark.parametrize(
    ("code", "person_id"),
    [
        ("XU1", "p1"),
        (" xu1 ", "p1"),
        ("OLD1", "p1"),
        ("BEN2", "p2"),
        ("p2", "code p2"),
        ("NONE", "code NONE"),
    ],
    ids=["today's", "spelt otherwise", "an earlier one", "given on to somebody", "somebody's person_id", "nobody's"],
)
def test_a_code_is_its_holders_of_today_else_of_whoever_held_it(code: str, person_id: str) -> None:
    people = [Person("p1", "XU1", previous_codes=("OLD1", "BEN2")), Person("p2", "BEN2"), Person("p3", "")]

    assert whose_code(people)(code) == person_id


@pytest.mark.parametrize(
    "people",
    [
        [Person("p2", "XU1"), Person("p1", "xu1")],
        [Person("p2", "", previous_codes=("XU1",)), Person("p1", "", previous_codes=("XU1",))],
    ],
    ids=["today", "earlier"],
)
def test_a_code_of_two_people_is_refused_and_both_are_named(people: list[Person]) -> None:
    with pytest.raises(ValueError, match="XU1 is the contact code of 2 people: p1, p2"):
        whose_code(people)("XU1")


def test_a_portal_that_goes_by_code_is_told_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nights = settled(tmp_path, school().families(2))
    told: list[WhoseCode] = []
    told_before_reading: list[bool] = []
    read_all = nights.engage.read_all

    def noted() -> MembersReading:
        told_before_reading.append(bool(told))
        return read_all()

    monkeypatch.setattr(nights.engage, "learn", told.append, raising=False)
    monkeypatch.setattr(nights.engage, "read_all", noted)

    nights.running().look(TODAY)

    somebody = nights.admin.read_all().people[0]
    assert told_before_reading == [True]
    assert told[0](somebody.code) == somebody.person_id
