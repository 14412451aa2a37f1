"""Why a row waits for a person."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from connector.model import Hold, LegKind, MemberStatus, PersonStatus, Status
from connector.policy import Policy
from connector.reconcile.memory import Block, Keep, Release
from connector.reconcile.plan import hold_digest
from tests.reconcile.build import FACULTY, TODAY, TOMORROW, YESTERDAY, Judged, SchoolBuilder, guid, school

TWIN: dict[str, Any] = {"given_name": "Sam", "family_name": "Lee", "email": "sam@mail.example"}
BLOCKED = {"p1": Block("p1", "Ada", "a quarrel")}


def holds(one: SchoolBuilder, key: str = "p1", as_of: date = TODAY) -> list[Hold]:
    return one.judge(as_of).holds(key)


def before(number: int) -> date:
    return TODAY - timedelta(days=number)


def protected(one: SchoolBuilder) -> SchoolBuilder:
    one.accounts[0] = replace(one.accounts[0], protected="adminCount is 1")
    return one


def released(judged: Judged, hold: Hold, key: str = "p1") -> Release:
    decision = judged.decision(key)
    return Release(key, hold, hold_digest(hold, decision.reasons, decision.evidence), "Ada")


# --- accounts ---------------------------------------------------------------------------------------------------


def test_a_protected_account_holds_the_row() -> None:
    judged = protected(school().leaver()).judge()

    assert judged.holds() == [Hold.PROTECTED]
    assert not judged.row().applies
    assert "adminCount is 1" in judged.evidence("p1", Hold.PROTECTED)


def test_a_protected_account_that_stays_anyway_holds_nothing() -> None:
    assert holds(protected(school().portal(FACULTY).leaver().role())) == []


def test_the_directory_leg_of_a_protected_account_is_never_released() -> None:
    one = protected(school().leaver())
    one.remember(releases=(released(one.judge(), Hold.PROTECTED),))

    row = one.judge().row()

    assert row.holds == ()
    assert row.applies
    assert [(leg.kind, bool(leg.withheld)) for leg in row.legs] == [
        (LegKind.DIRECTORY, True),
        (LegKind.CREDENTIAL, False),
        (LegKind.SESSIONS, False),
    ]


def test_an_account_matched_by_its_mail_alone_is_a_weak_match() -> None:
    one = school().student(left=YESTERDAY).contact().account(employee_id="", username="x", email="p1@mail.example")

    assert holds(one) == [Hold.WEAK_MATCH]


def test_a_weak_match_that_is_not_closed_holds_nothing() -> None:
    one = school().portal(FACULTY).leaver().role()
    one.accounts[0] = replace(one.accounts[0], employee_id="", username="x", email="p1@mail.example")

    assert holds(one) == []


# --- data -------------------------------------------------------------------------------------------------------


def test_a_decision_that_rests_on_an_unknown_enrolment_waits() -> None:
    assert holds(school().leaver(left=before(4000))) == [Hold.UNCLEAR_DATA]


def test_an_unknown_enrolment_of_a_child_that_would_not_count_holds_nothing() -> None:
    assert Hold.UNCLEAR_DATA not in holds(school().leaver(left=before(4000), contact_type="Uncle"))
    assert Hold.UNCLEAR_DATA not in holds(school().leaver(left=before(4000), ended_on=before(90)))


def test_an_unknown_enrolment_beside_a_child_without_a_flag_waits_too() -> None:
    one = school().student("s2", entry=None).family(contact_type="Uncle").contact(of="s2")

    assert holds(one) == [Hold.UNCLEAR_DATA, Hold.STILL_HAS_CHILDREN]


# --- the family -------------------------------------------------------------------------------------------------


def test_a_child_at_school_and_no_flag_waits_where_no_other_account_stands() -> None:
    assert holds(school().family(contact_type="Uncle")) == [Hold.STILL_HAS_CHILDREN]


@pytest.mark.parametrize(("ago", "waits"), [(0, True), (30, True), (31, False)])
def test_a_relationship_that_ended_lately_waits_for_so_many_days(ago: int, waits: bool) -> None:
    one = school().student().contact(ended_on=before(ago)).doors()

    assert (Hold.STILL_HAS_CHILDREN in holds(one)) is waits


def test_a_relationship_that_ended_with_the_childs_leaving_does_not_wait() -> None:
    assert holds(school().leaver(ended_on=YESTERDAY)) == []


def test_another_account_of_the_same_human_answers_the_question() -> None:
    one = school().portal(replace(FACULTY, needs_directory_account=False))
    one.family("p1", contact_type="Uncle", **TWIN).person("p2", **TWIN).role("p2").member("p2", "faculty")

    judged = one.judge()

    assert judged.status("p2") is Status.ACTIVE
    assert judged.reasons("p1") == ["portal-flag-off"]
    assert judged.holds("p1") == []


def test_a_staff_portal_that_closes_does_not_ask_about_children_whom_the_account_still_stands_for() -> None:
    one = school().portal(FACULTY).family().role(ends=YESTERDAY).member(portal="faculty")
    one.student("s2").contact(of="s2", ended_on=YESTERDAY)

    assert holds(one) == []


@pytest.mark.parametrize(
    "shared",
    [
        {"email": "home@mail.example"},
        {"mobile": "0400 111 222"},
    ],
)
def test_an_entitled_record_that_shares_a_mail_or_a_mobile_may_be_the_successor(shared: dict[str, Any]) -> None:
    one = school().leaver("p1", **shared).family("p2", **{key: value.upper() for key, value in shared.items()})

    assert holds(one) == [Hold.POSSIBLE_SUCCESSOR]


def test_a_mobile_is_compared_by_its_digits() -> None:
    assert holds(school().leaver("p1", mobile="0400-111").family("p2", mobile="(04)00111")) == [Hold.POSSIBLE_SUCCESSOR]


def test_a_student_and_a_given_name_shared_may_be_a_changed_surname() -> None:
    one = school().student("s1").contact("p1", given_name="Ines", ended_on=before(90)).doors("p1")
    one.family("p2", of="s1", given_name="INES")

    judged = one.judge()

    assert judged.holds("p1") == [Hold.POSSIBLE_SUCCESSOR]
    assert "Cp2" in judged.evidence("p1", Hold.POSSIBLE_SUCCESSOR)


def test_a_given_name_alone_or_a_student_alone_is_nobody() -> None:
    one = school().leaver("p1", given_name="Ines").family("p2", given_name="Ines")
    other = school().student("s1").contact("p1", ended_on=before(90)).doors("p1").family("p2", of="s1")

    assert holds(one) == []
    assert holds(other) == []


def test_a_successor_who_is_not_entitled_is_none() -> None:
    assert holds(school().leaver("p1", mobile="1").leaver("p2", mobile="1")) == []


def test_a_student_of_the_same_mailbox_is_no_successor() -> None:
    one = school().portal(FACULTY).leaver("p1", email="home@mail.example").role("s9").student("s9")
    one.change("s9", email="home@mail.example")

    assert holds(one) == []


@pytest.mark.parametrize("answered", ["superseded", "restricted", "inactive", "denied", "missing"])
def test_the_questions_about_the_family_are_not_asked_where_they_are_answered(answered: str) -> None:
    one = school().family("p1", contact_type="Uncle", **TWIN).family("p9", mobile="1").change("p1", mobile="1")
    match answered:
        case "superseded":
            one.family("p2", **TWIN)
        case "restricted":
            one.relationships[0] = replace(one.relationships[0], restricted=True)
        case "inactive":
            one.change("p1", status=PersonStatus.INACTIVE)
        case "denied":
            one.role("p1", "portal_account_disabled")
        case _:
            del one.people["p1"]

    judged = one.judge()

    assert any(answered in reason for reason in judged.reasons("p1"))
    assert judged.holds("p1") == []


# --- provisioning -----------------------------------------------------------------------------------------------


def returns(**account: Any) -> SchoolBuilder:
    return school().student().contact().member().account(enabled=False, **account)


def test_what_somebody_else_disabled_is_not_enabled_by_itself() -> None:
    assert holds(returns()) == [Hold.DISABLED_ELSEWHERE]


def test_what_our_journal_disabled_is_ready_to_provision() -> None:
    one = returns().remember(closed_accounts=frozenset({("ad", guid("ad:p1"))}))

    judged = one.judge()

    assert judged.status() is Status.READY_TO_PROVISION
    assert judged.holds() == []


def test_a_member_somebody_else_disabled_waits_and_one_of_ours_does_not() -> None:
    one = school().student().contact().account().member(status=MemberStatus.DISABLED)

    assert holds(one) == [Hold.DISABLED_ELSEWHERE]
    assert holds(one.remember(closed_members=frozenset({("engage", "p1")}))) == []


def test_a_second_account_that_is_disabled_does_not_matter_while_one_is_enabled() -> None:
    assert holds(school().student().contact().account().account(directory="ldap", enabled=False)) == []


def test_a_row_to_revoke_is_never_disabled_elsewhere() -> None:
    one = school().leaver()
    one.accounts[0] = replace(one.accounts[0], enabled=False)

    assert holds(one) == []


# --- keeps, oscillation, time -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("until", "kept"), [(None, True), (TODAY, True), (YESTERDAY, False)])
def test_a_keep_holds_through_its_last_day(until: date | None, kept: bool) -> None:
    one = school().leaver().remember(keeps={"p1": Keep("p1", "Ada", "travelling", until)})

    assert (holds(one) == [Hold.KEEP]) is kept


def test_a_keep_says_who_asked_for_it_and_why() -> None:
    judged = school().leaver().remember(keeps={"p1": Keep("p1", "Ada", "travelling", TOMORROW)}).judge()

    assert judged.evidence("p1", Hold.KEEP) == "kept by Ada: travelling (until 2026-11-22)"


@pytest.mark.parametrize(("flips", "waits"), [(1, False), (2, True)])
def test_twice_revoked_and_entitled_again_is_oscillating(flips: int, waits: bool) -> None:
    judged = school().leaver().remember(flips={"p1": flips}).judge()

    assert (judged.holds() == [Hold.OSCILLATING]) is waits
    assert not waits or "no-student-at-school" in judged.evidence("p1", Hold.OSCILLATING)


@pytest.mark.parametrize(("since", "waits"), [(TODAY, True), (before(6), True), (before(7), False)])
def test_the_notice_window_counts_from_the_first_day_it_was_ready(since: date, waits: bool) -> None:
    one = school().rules(notice_days=7).leaver().remember(ready_since={"p1": since})

    assert (holds(one) == [Hold.NOTICE]) is waits


def test_the_first_day_of_notice_is_today_where_nothing_is_remembered() -> None:
    assert holds(school().rules(notice_days=1).leaver()) == [Hold.NOTICE]
    assert holds(school().rules(notice_days=0).leaver()) == []


@pytest.mark.parametrize(("runs", "waits"), [(0, True), (1, False)])
def test_a_row_is_confirmed_by_being_ready_in_two_runs(runs: int, waits: bool) -> None:
    one = school().rules(confirm_runs=2).leaver().remember(ready_runs={"p1": runs})

    assert (holds(one) == [Hold.UNCONFIRMED]) is waits


@pytest.mark.parametrize(
    ("begins", "complete", "waits"),
    [(TOMORROW, False, False), (TODAY, False, True), (before(9), False, True), (before(9), True, False)],
)
def test_a_rollover_holds_from_its_first_day_until_it_is_declared_complete(
    begins: date, complete: bool, waits: bool
) -> None:
    one = school().rules(rollover_from=begins).leaver().remember(rollover_complete=complete)

    assert (holds(one) == [Hold.ROLLOVER]) is waits


def test_a_rollover_that_nobody_declared_complete_holds_after_its_last_day_too() -> None:
    assert holds(school().rules(rollover_from=before(60), rollover_until=before(30)).leaver()) == [Hold.ROLLOVER]


# --- policies ---------------------------------------------------------------------------------------------------


def test_a_policy_that_holds_holds() -> None:
    judged = school().policy(no_student_at_school=Policy.HOLD).leaver().judge()

    assert judged.holds() == [Hold.POLICY]
    assert "no-student-at-school" in judged.evidence("p1", Hold.POLICY)


def test_one_reason_that_holds_is_enough() -> None:
    one = school().portal(FACULTY).policy(role_ended=Policy.HOLD).leaver().role(ends=YESTERDAY)

    assert holds(one.member(portal="faculty")) == [Hold.POLICY]


def test_a_policy_that_reports_shows_the_row_and_applies_nothing() -> None:
    judged = school().policy(no_student_at_school=Policy.REPORT).leaver().judge()

    assert judged.holds() == []
    assert judged.row().reported_only
    assert judged.plan.pending == 0


def test_no_relationship_beside_superseded_follows_superseded() -> None:
    one = school().policy(no_relationship=Policy.HOLD)
    one.person("p1", **TWIN).doors("p1").family("p2", **TWIN)

    judged = one.judge()

    assert judged.reasons("p1") == ["superseded", "no-relationship"]
    assert judged.holds("p1") == []


def test_no_relationship_alone_follows_its_own_policy() -> None:
    assert holds(school().policy(no_relationship=Policy.HOLD).person().doors()) == [Hold.POLICY]


def test_a_reason_without_a_policy_is_held() -> None:
    assert holds(school().rules(policies={}).leaver()) == [Hold.POLICY]


@pytest.mark.parametrize(("successor_can", "held"), [(True, False), (False, True)])
def test_superseded_waits_for_a_successor_who_can_sign_in_where_the_school_says_so(
    successor_can: bool, held: bool
) -> None:
    one = school().rules(superseded_needs_active_successor=True).leaver("p1", **TWIN)
    one.family("p2", **TWIN) if successor_can else one.student("s2").contact("p2", of="s2", **TWIN)

    judged = one.judge()

    assert judged.reasons("p1") == ["superseded", "no-student-at-school"]
    assert (judged.holds("p1") == [Hold.POLICY]) is held


def test_superseded_does_not_wait_where_the_school_does_not_ask_for_it() -> None:
    assert holds(school().leaver("p1", **TWIN).student("s2").contact("p2", of="s2", **TWIN)) == []


# --- urgent -----------------------------------------------------------------------------------------------------


def everything_that_could_hold(one: SchoolBuilder) -> SchoolBuilder:
    one.rules(notice_days=9, confirm_runs=9, rollover_from=TODAY, policies={})
    return one.remember(flips={"p1": 9}, keeps={"p1": Keep("p1", "Ada", "travelling")})


@pytest.mark.parametrize("urgent", ["restricted", "blocked", "requested"])
def test_an_urgent_row_is_held_by_none_of_that(urgent: str) -> None:
    one = everything_that_could_hold(school().family(restricted=urgent == "restricted"))
    if urgent != "restricted":
        one.remember(blocks=BLOCKED)
    if urgent == "requested":
        one.remember(requested=frozenset({"p1"}))

    judged = one.judge()

    assert urgent in judged.reasons()
    assert judged.holds() == []
    assert judged.row().applies


def test_an_urgent_row_of_a_protected_account_is_held_in_its_directory_leg_only() -> None:
    row = protected(school().family(restricted=True)).judge().row()

    assert row.holds == (Hold.PROTECTED,)
    assert row.applies
    assert [(leg.kind, bool(leg.withheld)) for leg in row.legs] == [
        (LegKind.DIRECTORY, True),
        (LegKind.CREDENTIAL, False),
        (LegKind.SESSIONS, False),
    ]


def test_an_urgent_row_that_is_disputed_is_held_in_its_directory_leg_only() -> None:
    row = school().family(restricted=True).account(guid=guid("second"), username="second").judge().row()

    assert row.holds == (Hold.DISPUTED,)
    assert {leg.kind for leg in row.legs if not leg.withheld} == {LegKind.CREDENTIAL, LegKind.SESSIONS}
    assert {leg.kind for leg in row.legs if leg.withheld} == {LegKind.DIRECTORY}


# --- releases ---------------------------------------------------------------------------------------------------


def test_a_release_lifts_its_hold_and_no_other() -> None:
    one = school().policy(portal_flag_off=Policy.HOLD).family(contact_type="Uncle")
    one.remember(releases=(released(one.judge(), Hold.STILL_HAS_CHILDREN),))

    assert holds(one) == [Hold.POLICY]


def test_a_release_is_for_one_person() -> None:
    one = school().family("p1", contact_type="Uncle").family("p2", contact_type="Uncle")
    one.remember(releases=(released(one.judge(), Hold.STILL_HAS_CHILDREN, "p1"),))

    assert holds(one, "p1") == []
    assert holds(one, "p2") == [Hold.STILL_HAS_CHILDREN]


def test_a_release_ends_when_its_evidence_changes() -> None:
    one = school().student().contact(ended_on=before(9)).doors()
    one.remember(releases=(released(one.judge(), Hold.STILL_HAS_CHILDREN),))
    assert holds(one) == []

    one.relationships[0] = replace(one.relationships[0], ended_on=before(8))

    assert holds(one) == [Hold.STILL_HAS_CHILDREN]


def test_a_release_ends_when_the_reasons_change() -> None:
    one = school().portal(FACULTY).family(contact_type="Uncle")
    one.remember(releases=(released(one.judge(), Hold.STILL_HAS_CHILDREN),))
    assert holds(one) == []

    one.role(ends=YESTERDAY).member(portal="faculty")

    assert holds(one) == [Hold.STILL_HAS_CHILDREN]


def test_a_release_stays_from_one_day_to_the_next() -> None:
    one = school().student().contact(ended_on=before(9)).doors()
    one.remember(releases=(released(one.judge(), Hold.STILL_HAS_CHILDREN),))

    assert holds(one, as_of=TOMORROW) == []


def test_holds_come_in_their_order() -> None:
    one = protected(school().family(contact_type="Uncle")).rules(confirm_runs=3, notice_days=3)
    one.policy(portal_flag_off=Policy.HOLD)

    found = holds(one)

    assert found == sorted(found, key=list(Hold).index)
    assert len(found) == 5
