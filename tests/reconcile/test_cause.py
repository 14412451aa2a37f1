"""Which change most people of a plan share since the last accepted snapshot."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connector.model import PersonStatus
from connector.reconcile.cause import Cause, common_cause
from connector.reconcile.memory import Block
from tests.reconcile.build import FACULTY, YESTERDAY, SchoolBuilder, school

Change = Callable[[SchoolBuilder], object]


def cause(one: SchoolBuilder) -> Cause | None:
    judged = one.judge()
    return common_cause(judged.plan.revocations, judged.decisions.school, one.baseline)


def sentence(one: SchoolBuilder) -> str:
    found = cause(one)
    return found.sentence("20 Nov") if found else ""


def families(count: int = 4, **fields: Any) -> SchoolBuilder:
    one = school().portal(FACULTY)
    for number in range(count):
        one.family(f"p{number}", **fields)
    return one.next_night()


def each(one: SchoolBuilder, number: int = 4, **fields: Any) -> SchoolBuilder:
    one.relationships = [replace(r, **fields) if n < number else r for n, r in enumerate(one.relationships)]
    return one


def _gone(one: SchoolBuilder) -> None:
    for number in range(4):
        del one.people[f"p{number}"]
    one.relationships.clear()


def _inactive(one: SchoolBuilder) -> None:
    for number in range(4):
        one.change(f"p{number}", status=PersonStatus.INACTIVE)


def _left(one: SchoolBuilder) -> None:
    for number in range(4):
        one.leave(f"p{number}", YESTERDAY, "graduated")
    one.rules(grace_days={"graduated": 0})


def _moved(one: SchoolBuilder) -> None:
    for number in range(4):
        one.change(f"p{number}", email="placeholder@mail.example")
    one.remember(blocks={f"p{n}": Block(f"p{n}", "Ada", "") for n in range(4)})


def _unknown(one: SchoolBuilder) -> None:
    one.enrolments = [replace(e, entry_date=None) for e in one.enrolments]
    one.remember(blocks={f"p{n}": Block(f"p{n}", "Ada", "") for n in range(4)})


CHANGES: dict[str, tuple[Change, str]] = {
    "a flag": (lambda one: one.contact_type("Mother", flag=False), "contact type Mother, flag yes→no"),
    "a type that is gone": (lambda one: one.contact_type("Mother", None), "contact type Mother, flag yes→not listed"),
    "exit dates": (_left, "exit date 2026-11-20, exit date 2026-11-20 was set"),
    "records": (_gone, "record gone, no longer in the admin system"),
    "a status": (_inactive, "status inactive, status active→inactive"),
    "an override": (lambda one: each(one, portal_access=False), "portal access no, portal access blank→no"),
    "ended": (lambda one: each(one, ended_on=YESTERDAY), "relationship ended on 2026-11-20, relationship ended"),
    "court orders": (lambda one: each(one, restricted=True), "restricted yes, restricted no→yes"),
    "relationships": (lambda one: one.relationships.clear(), "contact type Mother, relationships removed"),
    "enrolments": (lambda one: one.enrolments.clear(), "enrolment removed, all enrolments of the student are gone"),
    "e-mails": (_moved, "e-mail changed, e-mail changed"),
    "entry dates": (_unknown, "entry date removed, entry dates are gone"),
}


@pytest.mark.parametrize(("change", "text"), CHANGES.values(), ids=CHANGES.keys())
def test_the_change_they_share_is_named_in_the_words_of_the_admin_system(change: Change, text: str) -> None:
    one = families()
    change(one)

    assert sentence(one) == f"4 of 4 share {text} since 20 Nov."


def test_a_role_that_ended_is_named() -> None:
    one = school().portal(FACULTY)
    for number in range(3):
        one.person(f"t{number}").role(f"t{number}").doors(f"t{number}", "faculty")
    one = one.next_night()
    one.roles = [replace(g, ends_on=YESTERDAY) for g in one.roles]

    assert sentence(one) == "3 of 3 share role Faculty, role ended or removed since 20 Nov."


def test_a_type_of_the_contacts_own_word_is_not_the_flags_doing() -> None:
    one = school()
    for number in range(3):
        one.family(f"p{number}", access=True)
    one = one.next_night().contact_type("Mother", flag=False)
    each(one, portal_access=False)

    assert "portal access yes→no" in sentence(one)


def test_what_at_least_half_of_them_share_is_common() -> None:
    one = families(6)
    for number in range(3):
        one.leave(f"p{number}")
    for number in range(3, 6):
        one.change(f"p{number}", status=PersonStatus.INACTIVE)

    assert sentence(one).startswith("3 of 6 share ")


def test_a_change_that_fewer_than_half_of_them_share_is_not() -> None:
    one = families(5)
    one.leave("p0").leave("p1").change("p2", status=PersonStatus.INACTIVE).change("p3", status=PersonStatus.DECEASED)
    del one.people["p4"]

    assert sentence(one) == "5 of 5 share contact type Mother."  # a fact, which nobody changed


def test_nothing_is_common_to_one_person() -> None:
    assert cause(families().leave("p0")) is None


def test_without_a_change_since_then_the_fact_they_share_is_named() -> None:
    one = school().leavers(3)

    assert "3 of 3 share" in sentence(one)


def test_without_an_earlier_snapshot_a_fact_has_no_since() -> None:
    assert "since" not in sentence(school().leavers(3))
