"""Who is entitled to which portal on a day."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from connector.model import Enrolment, MemberStatus, PersonStatus, Status
from connector.policy import OnMismatch, Rules, Strategy
from connector.reconcile.entitlement import Attendance, attendance
from connector.reconcile.memory import Block
from tests.reconcile.build import (
    ALUMNI,
    ASSOCIATION,
    ENGAGE,
    FACULTY,
    TODAY,
    TOMORROW,
    YESTERDAY,
    SchoolBuilder,
    school,
)

CLUB = replace(ALUMNI, name="club", on_mismatch=OnMismatch.REVOKE)
VENDOR = replace(CLUB, name="vendor", strategy=Strategy.CUSTOM)


def entitled(one: SchoolBuilder, portal: str = "engage", person: str = "p1", as_of: date = TODAY) -> bool:
    return portal in one.judge(as_of).decisions.scene.claims.portals_of(person)


def days(number: int) -> timedelta:
    return timedelta(days=number)


# --- contacts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grace", [0, 36_600])
@pytest.mark.parametrize("early", [0, 36_600])
@pytest.mark.parametrize("as_of", [date.min, TODAY, date.max])
def test_no_day_of_the_calendar_and_no_number_of_days_is_too_much(early: int, grace: int, as_of: date) -> None:
    rules = Rules(early_access_days=early, grace_days={"left": grace})
    forever = Enrolment("s1", date.min, date.max, "left")
    only_the_last_day = Enrolment("s1", date.max, date.max, "left")

    assert attendance([forever], rules, as_of) is Attendance.YES
    assert (attendance([only_the_last_day], rules, as_of) is Attendance.YES) == (as_of == date.max)


def test_a_flagged_contact_of_a_student_at_the_school_is_entitled() -> None:
    assert entitled(school().student().contact())


def test_somebody_who_is_in_no_record_is_entitled_to_nothing() -> None:
    one = school().family()
    del one.people["p1"]

    assert not entitled(one)


@pytest.mark.parametrize("status", [PersonStatus.INACTIVE, PersonStatus.DECEASED])
def test_somebody_who_is_not_active_is_entitled_to_nothing(status: PersonStatus) -> None:
    assert not entitled(school().student().contact(status=status))


def test_somebody_with_a_block_is_entitled_to_nothing() -> None:
    one = school().student().contact().remember(blocks={"p1": Block("p1", "Ada", "a quarrel")})

    assert not entitled(one)


def test_the_deny_role_takes_everything_while_it_is_in_force() -> None:
    one = school().portal(FACULTY).student().contact().role()
    denied = school().portal(FACULTY).student().contact().role().role(role="portal_account_disabled", ends=TODAY)

    assert entitled(one, "faculty")
    assert not entitled(denied, "faculty")
    assert not entitled(denied, "engage")
    assert entitled(denied, "engage", as_of=TOMORROW)


def test_a_relationship_holds_until_the_day_before_it_ended() -> None:
    assert not entitled(school().student().contact(ended_on=TODAY))
    assert entitled(school().student().contact(ended_on=TOMORROW))


def test_an_override_of_its_own_goes_before_the_contact_type() -> None:
    assert entitled(school().student().contact(contact_type="Uncle", access=True))
    assert not entitled(school().student().contact(contact_type="Mother", access=False))


def test_a_contact_type_nobody_listed_gives_no_access() -> None:
    assert not entitled(school().student().contact(contact_type="Godparent"))


def test_a_contact_type_is_found_whatever_its_case() -> None:
    assert entitled(school().student().contact(contact_type=" MOTHER "))


def test_one_relationship_that_counts_is_enough() -> None:
    one = school().student("s1", left=YESTERDAY).student("s2").contact(of="s1").contact(of="s2")

    assert entitled(one)


def test_a_restricted_relationship_does_not_count() -> None:
    assert not entitled(school().student().contact(restricted=True))


def test_a_restriction_bars_the_student_through_another_relationship_too() -> None:
    one = school().student().contact(restricted=True, contact_type="Uncle").contact(contact_type="Mother")

    assert not entitled(one)


def test_a_restriction_on_another_record_of_the_same_human_bars_the_student() -> None:
    twin: dict[str, Any] = {"given_name": "Sam", "family_name": "Lee", "email": "sam@mail.example"}
    one = school().student().contact("p1", **twin).contact("p2", restricted=True, **twin)

    assert not entitled(one, person="p1")


def test_a_restriction_for_one_child_leaves_the_other_child_open() -> None:
    one = school().student("s1").student("s2").contact(of="s1", restricted=True).contact(of="s2")

    assert entitled(one)


def test_a_restriction_that_ended_bars_nobody() -> None:
    one = school().student().contact(restricted=True, ended_on=YESTERDAY).contact()

    assert entitled(one)


def test_a_restriction_of_one_parent_does_not_bar_the_other() -> None:
    one = school().student().contact("p1").contact("p2", restricted=True)

    assert entitled(one, person="p1")


# --- at the school ----------------------------------------------------------------------------------------------


def test_the_exit_date_is_the_last_day_at_school() -> None:
    assert entitled(school().student(left=TODAY).contact())
    assert not entitled(school().student(left=YESTERDAY).contact())


@pytest.mark.parametrize(("left", "stays"), [(60, True), (61, False)])
def test_grace_runs_from_the_exit_date_for_as_many_days(left: int, stays: bool) -> None:
    assert entitled(school().student(left=TODAY - days(left), why="graduated").contact()) is stays


@pytest.mark.parametrize("why", ["exchange", "", "LEFT "])
def test_an_exit_reason_nobody_configured_gets_the_longest_grace(why: str) -> None:
    one = school().student(left=TODAY - days(60), why=why).contact()

    assert entitled(one) is (why.strip().lower() != "left")


def test_an_exit_reason_nobody_configured_is_warned_about() -> None:
    plan = school().student(left=YESTERDAY, why="exchange").contact().judge().plan

    assert plan.warnings == ("No grace is configured for 'exchange': it gets the longest, 60 days.",)


def test_nobody_is_warned_about_an_exit_reason_that_counts_as_one_that_is_configured() -> None:
    one = school().rules(grace_days={"moved away": 3}).student(left=YESTERDAY, why="Moved\u200e  away")

    assert one.contact().judge().plan.warnings == ()


@pytest.mark.parametrize(
    ("early", "ahead", "at_school"), [(0, 0, True), (0, 1, False), (14, 14, True), (14, 15, False)]
)
def test_early_access_opens_so_many_days_before_the_entry(early: int, ahead: int, at_school: bool) -> None:
    one = school().rules(early_access_days=early).student(entry=TODAY + days(ahead)).contact()

    assert entitled(one) is at_school


@pytest.mark.parametrize(("gap", "joined"), [(90, True), (91, False)])
def test_two_enrolments_count_through_a_gap_that_is_bridged(gap: int, joined: bool) -> None:
    one = school().student(left=TODAY - days(10)).student(entry=TODAY - days(10) + days(gap)).contact()

    assert entitled(one) is joined


def test_a_row_per_year_written_in_any_order_is_bridged() -> None:
    rows = [Enrolment("s1", TODAY + days(60)), Enrolment("s1", date(2025, 1, 1), TODAY - days(10), "left")]

    assert attendance(rows, Rules(grace_days={"left": 0}), TODAY) is Attendance.YES


def test_a_short_enrolment_inside_a_long_one_makes_no_gap() -> None:
    rows = [
        Enrolment("s1", date(2020, 1, 1), TODAY - days(200), "left"),
        Enrolment("s1", date(2021, 1, 1), date(2021, 2, 1), "left"),
        Enrolment("s1", TODAY + days(10)),
    ]

    assert attendance(rows, Rules(grace_days={"left": 0}), TODAY) is Attendance.NO


@pytest.mark.parametrize(
    "odd", [Enrolment("s1", None), Enrolment("s1", TODAY, YESTERDAY, "left"), Enrolment("s1", None, YESTERDAY)]
)
def test_an_enrolment_that_cannot_be_is_unknown_and_never_no(odd: Enrolment) -> None:
    assert attendance([odd], Rules(), TODAY) is Attendance.UNKNOWN
    assert attendance([odd, Enrolment("s1", YESTERDAY)], Rules(), TODAY) is Attendance.YES


def test_a_student_without_any_enrolment_is_not_at_the_school() -> None:
    assert not entitled(school().person("s1").contact())


# --- roles, manual, custom --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begins", "ends", "holds"),
    [
        (TODAY, TODAY, True),
        (None, None, True),
        (TOMORROW, None, False),
        (None, YESTERDAY, False),
    ],
)
def test_a_role_is_in_force_on_its_first_and_its_last_day(begins: date | None, ends: date | None, holds: bool) -> None:
    assert entitled(school().portal(FACULTY).person().role(begins=begins, ends=ends), "faculty") is holds


def test_another_role_than_the_portals_gives_nothing() -> None:
    assert not entitled(school().portal(FACULTY).person().role(role="Parent"), "faculty")


def test_an_enabled_member_of_a_manual_portal_is_kept() -> None:
    one = school().portal(CLUB).person().member(portal="club")

    assert entitled(one, "club")
    assert one.judge().status() is Status.ACTIVE


def test_a_member_of_a_manual_portal_is_closed_only_for_a_reason_of_the_person() -> None:
    one = school().portal(CLUB).person(status=PersonStatus.DECEASED).member(portal="club")

    judged = one.judge()

    assert judged.reasons() == ["contact-inactive"]
    assert judged.decision().legs.clear_credential == ("club",)


def test_a_disabled_member_of_a_manual_portal_is_neither_closed_nor_provisioned() -> None:
    one = school().portal(CLUB).person().member(portal="club", status=MemberStatus.DISABLED)

    assert one.judge().status() is Status.REVOKED


@pytest.mark.parametrize(("word", "enabled", "given"), [(True, False, True), (False, True, False), (None, True, True)])
def test_a_custom_portals_own_word_is_taken(word: bool | None, enabled: bool, given: bool) -> None:
    status = MemberStatus.ENABLED if enabled else MemberStatus.DISABLED
    one = school().portal(VENDOR).person().member(portal="vendor", strategy_match=word, status=status)

    assert entitled(one, "vendor") is given


def test_a_custom_portal_that_says_no_is_closed_by_nobody_before_somebody_looked() -> None:
    one = school().portal(VENDOR).person().member(portal="vendor", strategy_match=False)

    judged = one.judge()

    assert judged.status() is Status.READY_TO_REVOKE
    assert judged.holds() == ["policy"]


def test_a_portal_that_only_reports_is_never_closed() -> None:
    one = school().portal(ASSOCIATION, ALUMNI).person().member(portal="association").member(portal="alumni")

    assert one.judge().keys == []


def test_the_portal_of_every_test_is_the_one_the_design_describes() -> None:
    assert ENGAGE.governed
    assert not ASSOCIATION.governed
