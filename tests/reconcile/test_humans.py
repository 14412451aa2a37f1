"""Which records are the same human."""

from typing import Any

import pytest

from connector.model import PersonStatus
from tests.reconcile.build import SchoolBuilder, school


def alike(one: SchoolBuilder, left: str = "p1", right: str = "p2") -> bool:
    return right in one.judge().decisions.school.same_human(left)


def test_the_same_mail_and_the_same_full_name_are_the_same_human() -> None:
    one = school().person("p1", given_name="Sam", family_name="Lee", email="sam@mail.example")
    one.person("p2", given_name="SAM ", family_name="lee", email=" Sam@Mail.example")

    assert alike(one)


@pytest.mark.parametrize(
    "other",
    [
        {"email": "else@mail.example"},
        {"email": ""},
        {"family_name": "Li"},
    ],
)
def test_a_mail_or_a_name_alone_proves_nothing(other: dict[str, Any]) -> None:
    same: dict[str, Any] = {"given_name": "Sam", "family_name": "Lee", "email": "sam@mail.example"}
    one = school().person("p1", **same).person("p2", **(same | other))

    assert not alike(one)


def test_two_blank_mails_prove_nothing() -> None:
    same: dict[str, Any] = {"given_name": "Sam", "family_name": "Lee", "email": ""}

    assert not alike(school().person("p1", **same).person("p2", **same))


def test_two_blank_names_prove_nothing() -> None:
    same: dict[str, Any] = {"given_name": "", "family_name": " ", "email": "sam@mail.example"}

    assert not alike(school().person("p1", **same).person("p2", **same))


@pytest.mark.parametrize("listed", ["Cp1", " cP1 "])
def test_a_record_that_lists_the_others_code_is_the_same_human(listed: str) -> None:
    one = school().person("p1").person("p2", previous_codes=(listed,))

    assert alike(one)
    assert alike(one, "p2", "p1")


def test_a_code_that_a_third_active_record_holds_today_proves_nothing() -> None:
    one = school().person("p1").person("p2", previous_codes=("Cp1",)).person("p3", code="Cp1")

    assert not alike(one, "p2", "p1")


def test_a_code_that_an_inactive_record_holds_still_counts() -> None:
    one = school().person("p1").person("p2", previous_codes=("Cp1",))
    one.person("p3", code="Cp1", status=PersonStatus.INACTIVE)

    assert alike(one, "p2", "p1")


def test_a_chain_of_codes_is_followed() -> None:
    one = school().person("p1").person("p2", previous_codes=("Cp1",)).person("p3", previous_codes=("Cp2",))

    assert alike(one, "p1", "p3")


def test_a_student_record_never_stands_for_a_contact() -> None:
    same: dict[str, Any] = {"given_name": "Sam", "family_name": "Lee", "email": "sam@mail.example"}
    one = school().person("p1", **same).person("s1", **same, previous_codes=("Cp1",)).student("s1")

    assert not alike(one, "p1", "s1")
    assert not alike(one, "s1", "p1")


def test_a_former_student_who_is_a_parent_now_is_a_contact() -> None:
    same: dict[str, Any] = {"given_name": "Sam", "family_name": "Lee", "email": "sam@mail.example"}
    one = school().person("p1", **same).person("p2", **same).student("p2").student("s2").contact("p2", of="s2")

    assert alike(one)


def test_a_code_alone_of_a_student_does_not_join_two_contacts_through_the_student() -> None:
    one = school().student("s1").person("p1", previous_codes=("Cs1",)).person("p2", previous_codes=("Cs1",))

    assert not alike(one)
