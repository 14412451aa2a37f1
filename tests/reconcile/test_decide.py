"""What somebody is: the first status that holds, and what would be closed."""

from dataclasses import replace

import pytest

from connector.model import Hold, LegKind, MemberStatus, PersonStatus, Status
from connector.policy import OnMismatch, PortalRules, SignIn, Strategy
from tests.reconcile.build import (
    ALUMNI,
    ASSOCIATION,
    FACULTY,
    STUDENT,
    YESTERDAY,
    SchoolBuilder,
    guid,
    school,
)

HUB = PortalRules("hub", Strategy.CONTACTS, on_mismatch=OnMismatch.REVOKE, sign_in=SignIn.PASSWORD)
CUSTOM = PortalRules("vendor", Strategy.CUSTOM, on_mismatch=OnMismatch.REVOKE, needs_directory_account=True)


def left() -> SchoolBuilder:
    """Give a school whose one parent has no child there any more, and nothing else yet."""
    return school().student(left=YESTERDAY).contact()


# --- who is decided about ---------------------------------------------------------------------------------------


def test_a_student_with_an_account_in_the_managed_unit_is_no_subject() -> None:
    assert school().student().account("s1").judge().keys == []


def test_a_student_who_is_a_member_of_a_governed_portal_is_a_subject() -> None:
    assert school().student().member("s1").judge().keys == ["s1"]


def test_a_person_who_is_no_contact_is_a_subject_through_a_managed_account() -> None:
    judged = school().person().account().judge()

    assert judged.reasons() == ["no-relationship"]


def test_a_member_of_a_portal_that_only_reports_is_no_subject() -> None:
    judged = school().portal(ALUMNI).person().member(portal="alumni").judge()

    assert judged.decisions.by_key() == {}


# --- ready to revoke --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("username", "password", "status"),
    [("up1", False, "disabled"), ("", True, "disabled"), ("", False, "enabled")],
    ids=["username", "password", "enabled"],
)
def test_any_part_of_a_member_that_lives_is_a_door(username: str, password: bool, status: str) -> None:
    one = left().member(username=username, has_password=password, status=MemberStatus(status))

    assert one.judge().status() is Status.READY_TO_REVOKE


def test_a_session_alone_is_a_door() -> None:
    assert left().closed_member().session().remember(users={("engage", "up1"): "p1"}).judge().keys == ["p1"]


def test_an_enabled_account_that_nothing_needs_is_a_door() -> None:
    judged = left().account().judge()

    assert [leg.kind for leg in judged.legs()] == [LegKind.DIRECTORY, LegKind.SESSIONS]


def test_an_account_whose_date_has_expired_is_not_disabled() -> None:
    one = left().account(expires_at=None)
    one.accounts[0] = replace(one.accounts[0], expires_at=one.judge().judgement.night.now)

    assert one.judge().status() is Status.READY_TO_REVOKE


def test_an_account_another_portal_needs_stays() -> None:
    one = school().portal(FACULTY).leaver().role().member(portal="faculty")

    judged = one.judge()

    assert judged.status() is Status.READY_TO_REVOKE
    assert not judged.decision().legs.disable_directory
    assert judged.decision().legs.clear_credential == ("engage",)


def test_an_entitlement_that_needs_no_account_does_not_keep_it() -> None:
    one = school().portal(replace(ASSOCIATION, needs_directory_account=False)).leaver().role(role="Parent")

    assert one.judge().decision().legs.disable_directory


def test_a_portal_that_only_reports_keeps_an_account_it_needs() -> None:
    one = school().portal(replace(ASSOCIATION, needs_directory_account=True)).leaver().role(role="Parent")

    assert not one.judge().decision().legs.disable_directory


def test_only_what_lives_is_closed() -> None:
    judged = left().account().member(username="", has_password=False).judge()

    assert judged.decision().legs.clear_credential == ()
    assert judged.decision().legs.disable_member == ("engage",)


def test_every_governed_portal_that_lives_is_closed() -> None:
    judged = school().portal(HUB).leaver().member(portal="hub").judge()

    assert judged.decision().legs.clear_credential == ("engage", "hub")


# --- the others -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["member", "account", "credential", "enabled member", "enabled account"])
def test_a_part_that_is_missing_or_disabled_is_ready_to_provision(part: str) -> None:
    one = school().family()
    one.sessions.clear()
    match part:
        case "member":
            one.members.clear()
        case "account":
            one.accounts.clear()
        case "credential":
            one.members[0] = replace(one.members[0], username="")
        case "enabled member":
            one.members[0] = replace(one.members[0], status=MemberStatus.DISABLED)
        case _:
            one.accounts[0] = replace(one.accounts[0], enabled=False)

    judged = one.judge()

    assert judged.status() is Status.READY_TO_PROVISION
    assert judged.keys == []


def test_a_username_alone_stands_where_the_directory_holds_the_password() -> None:
    one = school().family()
    one.members[0] = replace(one.members[0], has_password=False)

    assert one.judge().status() is Status.ACTIVE


def test_a_username_alone_does_not_stand_in_a_password_portal() -> None:
    one = school().portal(HUB).family().member(portal="hub", has_password=False)

    assert one.judge().status() is Status.READY_TO_PROVISION


def test_a_portal_that_needs_no_account_is_active_without_one() -> None:
    one = school().portal(HUB).student().contact().member(portal="hub")
    del one.portals["engage"]

    assert one.judge().status() is Status.ACTIVE


def test_an_account_outside_the_managed_units_is_an_account() -> None:
    one = school().family()
    one.accounts[0] = replace(one.accounts[0], managed=False)

    assert one.judge().status() is Status.ACTIVE


def test_a_disabled_member_of_a_portal_that_only_reports_leaves_somebody_active() -> None:
    one = school().portal(ASSOCIATION).family().role(role="Parent")
    one.member(portal="association", username="", has_password=False, status=MemberStatus.DISABLED)

    assert one.judge().status() is Status.ACTIVE


def test_nothing_lives_and_a_record_stands_is_revoked() -> None:
    assert left().closed_member().judge().status() is Status.REVOKED
    assert left().account(enabled=False).judge().status() is Status.REVOKED


def test_nothing_at_all_is_none() -> None:
    assert left().judge().status() is Status.NONE


def test_ready_to_revoke_goes_before_ready_to_provision() -> None:
    one = school().portal(FACULTY).leaver().role(ends=None)
    one.accounts.clear()

    assert one.judge().status() is Status.READY_TO_REVOKE


# --- what a person should look at --------------------------------------------------------------------------------


def test_somebody_restricted_for_some_children_is_listed_and_stays() -> None:
    one = school().student("s1").family(of="s2").contact(of="s1", restricted=True)

    judged = one.judge()

    assert judged.status() is Status.ACTIVE
    assert "check that the portal hides Givens1" in judged.evidence("p1", "restricted-child")


def test_an_account_outside_scope_that_nothing_needs_is_shown() -> None:
    judged = left().closed_member().account(managed=False, dn="CN=p1,OU=Staff").judge()

    assert judged.decision().open_outside_scope == ("CN=p1,OU=Staff",)


def test_an_account_outside_scope_that_is_needed_is_not_shown() -> None:
    one = school().portal(FACULTY).leaver().role()
    one.accounts[0] = replace(one.accounts[0], managed=False)

    assert one.judge().decision().open_outside_scope == ()


# --- two directories --------------------------------------------------------------------------------------------


def test_an_account_in_each_directory_is_closed() -> None:
    judged = school().leaver().account(directory="ldap").judge()

    assert [(leg.target, leg.subject) for leg in judged.legs("p1", LegKind.DIRECTORY)] == [
        ("ad", guid("ad:p1")),
        ("ldap", guid("ldap:p1")),
    ]


def test_one_enabled_account_in_either_directory_is_enough_to_be_active() -> None:
    assert school().family().account(directory="ldap", enabled=False).judge().status() is Status.ACTIVE


# --- what could not be read -------------------------------------------------------------------------------------


def test_an_unread_directory_is_no_missing_account() -> None:
    assert school().family().not_read("directory", "ad").judge().status() is Status.ACTIVE


def test_an_unread_portal_is_no_missing_member() -> None:
    assert school().family().not_read("portal", "engage").judge().status() is Status.ACTIVE


def test_an_unread_directory_is_planned_and_driven_later() -> None:
    judged = school().leaver().not_read("directory", "ad").judge()

    legs = judged.legs("p1", LegKind.DIRECTORY)

    assert [(leg.target, leg.unread, leg.before) for leg in legs] == [("ad", True, None)]
    assert judged.decision().legs.disable_directory


def test_an_unread_portal_is_planned_and_driven_later() -> None:
    judged = school().leaver().not_read("portal", "engage").judge()

    legs = judged.legs("p1", LegKind.CREDENTIAL)

    assert [(leg.target, leg.subject, leg.unread) for leg in legs] == [("engage", "p1", True)]
    assert judged.decision().legs.end_sessions == ("all",)


@pytest.mark.parametrize("portal", [ALUMNI, ASSOCIATION, STUDENT])
def test_an_unread_portal_that_only_reports_is_never_closed(portal: PortalRules) -> None:
    judged = school().portal(portal).leaver().not_read("portal", portal.name).judge()

    assert {leg.target for leg in judged.legs("p1", LegKind.CREDENTIAL)} == {"engage"}
    assert judged.decision().legs.end_sessions == ("engage",)


def test_an_unread_custom_portal_may_need_the_account_so_it_stays() -> None:
    judged = school().portal(CUSTOM).leaver().not_read("portal", "vendor").judge()

    assert not judged.decision().legs.disable_directory
    assert {leg.target for leg in judged.legs("p1", LegKind.CREDENTIAL)} == {"engage"}


def test_an_unread_custom_portal_keeps_nobody_who_can_be_entitled_to_nothing() -> None:
    one = school().portal(CUSTOM).leaver().change("p1", status=PersonStatus.DECEASED).not_read("portal", "vendor")

    judged = one.judge()

    assert judged.decision().legs.disable_directory
    assert {leg.target for leg in judged.legs("p1", LegKind.CREDENTIAL)} == {"engage", "vendor"}


def test_a_username_may_be_anothers_while_the_directory_does_not_answer() -> None:
    judged = school().leaver().not_read("directory", "ad").judge()

    assert [leg.unread for leg in judged.legs("p1", LegKind.SESSIONS)] == [True]
    assert judged.holds() == []
    assert Hold.DISPUTED not in judged.decision().holds
