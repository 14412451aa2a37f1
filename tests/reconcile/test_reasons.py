"""Why somebody is ready to revoke: all reasons that hold, in their order."""

from dataclasses import replace
from typing import Any

import pytest

from connector.model import MemberStatus, PersonStatus, Status
from connector.policy import OnMismatch, PortalRules, SignIn, Strategy
from connector.reconcile.memory import Block
from tests.reconcile.build import ASSOCIATION, FACULTY, TOMORROW, YESTERDAY, SchoolBuilder, school

BLOCKED = {"p1": Block("p1", "Ada", "a quarrel")}
TWIN: dict[str, Any] = {"given_name": "Sam", "family_name": "Lee", "email": "sam@mail.example"}
HUB = PortalRules("hub", Strategy.CONTACTS, on_mismatch=OnMismatch.REVOKE, sign_in=SignIn.PASSWORD)


def reasons(one: SchoolBuilder, key: str = "p1") -> list[str]:
    return one.judge().reasons(key)


# --- half-revoked -----------------------------------------------------------------------------------------------


def test_a_disabled_account_while_the_member_lives_is_half_revoked() -> None:
    one = school().leaver()
    one.accounts[0] = replace(one.accounts[0], enabled=False)

    assert reasons(one) == ["half-revoked", "no-student-at-school"]


def test_a_closed_member_while_the_account_lives_is_half_revoked() -> None:
    one = school().student(left=YESTERDAY).contact().account().closed_member()

    assert reasons(one) == ["half-revoked", "no-student-at-school"]


def test_a_member_without_credential_that_is_enabled_does_not_stand_closed() -> None:
    one = school().student(left=YESTERDAY).contact().account().member(username="", has_password=False)

    assert reasons(one) == ["no-student-at-school"]


def test_a_disabled_member_that_keeps_its_username_does_not_stand_closed() -> None:
    one = school().student(left=YESTERDAY).contact().account().member(status=MemberStatus.DISABLED)

    assert reasons(one) == ["no-student-at-school"]


def test_half_revoked_rows_are_finished_first() -> None:
    one = school().leaver("a1").leaver("b1").student("s3", left=YESTERDAY).contact("z1", of="s3")
    one.account("z1").closed_member("z1")

    assert one.judge().keys == ["z1", "a1", "b1"]


# --- those that stand alone -------------------------------------------------------------------------------------


def test_a_member_whose_person_is_in_no_record_is_missing() -> None:
    assert reasons(school().member("gone"), "gone") == ["contact-missing"]


@pytest.mark.parametrize("status", [PersonStatus.INACTIVE, PersonStatus.DECEASED])
def test_somebody_not_active_is_inactive_and_nothing_else(status: PersonStatus) -> None:
    one = school().leaver().change("p1", status=status)

    assert reasons(one) == ["contact-inactive"]


def test_a_deny_role_in_force_stands_alone() -> None:
    assert reasons(school().leaver().role(role="Portal_Account_Disabled")) == ["denied"]


def test_half_revoked_blocked_and_requested_stand_beside_those() -> None:
    one = school().leaver().change("p1", status=PersonStatus.DECEASED)
    one.accounts[0] = replace(one.accounts[0], enabled=False)
    one.remember(blocks=BLOCKED, requested=frozenset({"p1"}))

    assert reasons(one) == ["half-revoked", "contact-inactive", "blocked", "requested"]


def test_a_block_closes_somebody_the_school_entitles() -> None:
    assert reasons(school().family().remember(blocks=BLOCKED)) == ["blocked"]


def test_a_block_stands_beside_what_the_school_says() -> None:
    assert reasons(school().leaver().remember(blocks=BLOCKED)) == ["blocked", "no-student-at-school"]


# --- the family -------------------------------------------------------------------------------------------------


def test_another_record_of_the_same_human_that_is_entitled_supersedes() -> None:
    one = school().leaver("p1", **TWIN).family("p2", **TWIN)

    judged = one.judge()

    assert judged.reasons("p1") == ["superseded", "no-student-at-school"]
    assert "Cp2" in judged.evidence("p1", "superseded")
    assert judged.status("p2") is Status.ACTIVE


def test_a_successor_for_another_portal_does_not_supersede() -> None:
    one = school().portal(replace(FACULTY, needs_directory_account=False))
    one.leaver("p1", **TWIN).person("p2", **TWIN).role("p2")

    assert reasons(one) == ["no-student-at-school"]


def test_a_record_without_any_relationship_has_none() -> None:
    assert reasons(school().person().doors()) == ["no-relationship"]


def test_no_relationship_is_asked_of_contacts_portals_only() -> None:
    one = school().portal(FACULTY).person().role(ends=YESTERDAY).member(portal="faculty")

    assert reasons(one) == ["role-ended"]


def test_an_account_that_closes_asks_for_every_governed_portal_that_needs_one() -> None:
    one = school().portal(FACULTY).person().role(ends=YESTERDAY).doors(portal="faculty")

    assert reasons(one) == ["no-relationship", "role-ended"]


def test_an_account_that_closes_does_not_ask_for_portals_that_need_none() -> None:
    one = school().portal(HUB, FACULTY).person().role(ends=YESTERDAY).account()
    del one.portals["engage"]

    assert reasons(one) == ["role-ended"]


def test_a_court_order_is_a_reason_of_its_own() -> None:
    judged = school().family(restricted=True).judge()

    assert judged.reasons() == ["restricted"]
    assert judged.row().urgent


def test_a_court_order_on_somebody_whose_type_has_no_flag_is_one_too() -> None:
    assert "restricted" in reasons(school().family(contact_type="Uncle", restricted=True))


def test_an_unflagged_sibling_beside_a_court_order_is_no_second_reason() -> None:
    one = school().student("s1").student("s2").contact(of="s1", restricted=True)
    one.contact(of="s2", contact_type="Uncle").doors()

    assert reasons(one) == ["restricted"]


def test_a_flagged_child_who_has_left_does_not_outweigh_a_court_order_for_one_who_is_here() -> None:
    one = school().student("s1").student("s2", left=YESTERDAY).contact(of="s1", restricted=True)
    one.contact(of="s2").doors()

    assert reasons(one) == ["restricted"]


def test_a_court_order_for_a_child_who_has_left_counts_unless_an_open_relationship_remains() -> None:
    alone = school().leaver(restricted=True)
    beside = school().leaver().student("s2", left=YESTERDAY).contact(of="s2", restricted=True)

    assert reasons(alone) == ["restricted", "no-student-at-school"]
    assert reasons(beside) == ["no-student-at-school"]


def test_a_court_order_that_ended_is_no_reason() -> None:
    assert reasons(school().leaver(restricted=True, ended_on=YESTERDAY)) == ["no-student-at-school"]


@pytest.mark.parametrize(("kind", "access"), [("Uncle", None), ("Godparent", None), ("Mother", False)])
def test_a_child_at_school_and_no_flag_is_portal_flag_off(kind: str, access: bool | None) -> None:
    assert reasons(school().family(contact_type=kind, access=access)) == ["portal-flag-off"]


def test_the_evidence_says_why_there_is_no_flag() -> None:
    texts = [
        school().family(contact_type="Uncle").judge().evidence("p1", "portal-flag-off"),
        school().family(contact_type="Godparent").judge().evidence("p1", "portal-flag-off"),
        school().family(access=False).judge().evidence("p1", "portal-flag-off"),
    ]

    assert "the contact type Uncle has no portal flag" in texts[0]
    assert "is not in the school's list" in texts[1]
    assert "the relationship's own portal access is no" in texts[2]


def test_no_child_at_school_says_since_when() -> None:
    judged = school().leaver(left=YESTERDAY).judge()

    assert "last day 2026-11-20 (left), access until 2026-11-20" in judged.evidence("p1", "no-student-at-school")


def test_a_relationship_that_ended_leaves_no_student_at_school() -> None:
    one = school().student().contact(ended_on=YESTERDAY).doors()

    assert reasons(one) == ["no-student-at-school"]


def test_a_child_who_starts_later_is_not_at_school_yet() -> None:
    one = school().student(entry=TOMORROW).contact().doors()

    assert reasons(one) == ["no-student-at-school"]


# --- roles ------------------------------------------------------------------------------------------------------


def test_a_role_that_was_held_and_is_not_in_force_has_ended() -> None:
    one = school().portal(FACULTY).family().role(ends=YESTERDAY).member(portal="faculty")

    judged = one.judge()

    assert judged.reasons() == ["role-ended"]
    assert "Faculty ended on 2026-11-20" in judged.evidence("p1", "role-ended")


def test_a_role_that_begins_later_has_not_ended() -> None:
    one = school().portal(FACULTY).family().role(begins=TOMORROW).member(portal="faculty")

    assert reasons(one) == []


def test_a_row_no_rule_explains_is_held() -> None:
    one = school().portal(FACULTY).family().member(portal="faculty")

    judged = one.judge()

    assert judged.status() is Status.READY_TO_REVOKE
    assert judged.holds() == ["policy"]


def test_a_role_of_a_portal_that_only_reports_has_no_reason() -> None:
    one = school().portal(ASSOCIATION).family().role(role="Parent", ends=YESTERDAY).member(portal="association")

    assert one.judge().status() is Status.ACTIVE


def test_the_order_of_reasons_is_always_the_same() -> None:
    one = school().portal(FACULTY).leaver("p1", **TWIN).family("p2", **TWIN).role("p1", ends=YESTERDAY)
    one.member("p1", "faculty")
    one.accounts[0] = replace(one.accounts[0], enabled=False)

    assert reasons(one) == ["half-revoked", "superseded", "no-student-at-school", "role-ended"]

    one.remember(blocks=BLOCKED)

    assert reasons(one) == ["half-revoked", "blocked", "no-student-at-school", "role-ended"]
