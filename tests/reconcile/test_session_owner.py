"""Whose a session is, and which sessions a revocation ends."""

from dataclasses import replace
from pathlib import Path

import pytest

from connector.model import LegKind, SessionKey, Status
from connector.policy import OnMismatch, PortalRules, SignIn, Strategy
from connector.reconcile.accepting import usernames_of
from connector.reconcile.plan_values import PlannedLeg
from tests.reconcile.build import ALUMNI, ENGAGE, FACULTY, YESTERDAY, Judged, SchoolBuilder, guid, school
from tests.reconcile.nights import settled

SHOP = PortalRules("shop", Strategy.MANUAL, on_mismatch=OnMismatch.REPORT, sign_in=SignIn.PASSWORD)


def owners(one: SchoolBuilder) -> list[str]:
    return [i.key for i in one.judge().decisions.correlation.identities if i.sessions]


def ended(judged: Judged, key: str = "p1") -> list[tuple[str, str, tuple[str, ...]]]:
    return [(leg.target, leg.subject, leg.portals) for leg in judged.legs(key, LegKind.SESSIONS)]


def reaches(legs: list[PlannedLeg], store: str, portal: str, user: str) -> bool:
    return any(
        leg.target == store and leg.subject == user and (not leg.portals or portal in leg.portals) for leg in legs
    )


# --- whose it is ------------------------------------------------------------------------------------------------


def test_a_session_is_the_members_of_its_own_portal_with_that_username() -> None:
    one = school().portal(SHOP).person("p1").person("p2")
    one.member("p1", username="sam").member("p2", "shop", username="sam").session(portal="shop", user="SAM")

    assert owners(one) == ["p2"]


def test_where_the_portal_signs_in_through_the_directory_it_is_else_the_accounts() -> None:
    assert owners(school().person().account().session()) == ["p1"]


def test_where_the_portal_signs_in_by_password_an_account_of_that_name_says_nothing() -> None:
    assert owners(school().portal(SHOP).person().account().session(portal="shop")) == []


def test_else_it_is_whom_the_journal_remembers_whatever_the_case() -> None:
    one = school().person().session(user="up1").remember(users={("engage", "UP1"): "p1"})

    assert owners(one) == ["p1"]


def test_a_member_of_today_goes_before_whom_the_journal_remembers() -> None:
    one = school().person("p1").person("p2").member("p2", username="up1").session(user="up1")

    assert owners(one.remember(users={("engage", "up1"): "p1"})) == ["p2"]


def test_a_session_of_nobody_is_left_alone() -> None:
    judged = school().leaver().session(user="stranger").judge()

    assert not reaches(judged.legs(), "web", "engage", "stranger")


def test_a_name_that_stands_in_two_directories_belongs_to_nobody() -> None:
    one = school().person("p1").person("p2").account("p1", username="sam")
    one.account("p2", "ldap", username="sam").session(user="sam")

    assert owners(one) == []


KEYS = {
    SessionKey.USERNAME: "UP1",
    SessionKey.PERSON_ID: "p1",
    SessionKey.CODE: "cP1",
    SessionKey.EMAIL: "P1@mail.example",
    SessionKey.GUID: guid("ad:p1").upper(),
    SessionKey.NATIVE_ID: "17",
}


@pytest.mark.parametrize(("key", "user"), KEYS.items(), ids=[str(k) for k in KEYS])
def test_every_kind_of_key_finds_the_person(key: SessionKey, user: str) -> None:
    one = school().store("app", key).person().member(native_id="17").account().session(store="app", user=user)

    assert owners(one) == ["p1"]


@pytest.mark.parametrize("key", list(SessionKey))
def test_every_kind_of_key_is_ended_when_the_person_leaves(key: SessionKey) -> None:
    one = school().store("app", key).leaver(left=YESTERDAY)
    one.members[0] = replace(one.members[0], native_id="17")
    user = {**KEYS, SessionKey.USERNAME: "up1", SessionKey.CODE: "Cp1", SessionKey.EMAIL: "p1@mail.example"}[key]

    legs = one.judge().legs("p1", LegKind.SESSIONS)

    assert any(leg.target == "app" and leg.subject.casefold() == user.casefold() for leg in legs)


def test_a_native_id_counts_in_its_own_portal_only() -> None:
    one = school().portal(SHOP).store("app", SessionKey.NATIVE_ID).leaver("p1").family("p2")
    one.members[0] = replace(one.members[0], native_id="17")
    one.member("p2", "shop", native_id="17").session(store="app", portal="shop", user="17")

    judged = one.judge()

    assert owners(one)[-1:] == ["p2"]
    assert reaches(judged.legs("p1"), "app", "engage", "17")
    assert not reaches(judged.legs("p1"), "app", "shop", "17")


def test_a_native_id_is_ended_in_the_closing_portal_only_where_another_keeps_something() -> None:
    one = school().portal(FACULTY).store("app", SessionKey.NATIVE_ID).leaver().role().member(portal="faculty")
    one.members = [replace(m, native_id=number) for m, number in zip(one.members, ("17", "18"), strict=True)]

    legs = one.judge().legs("p1", LegKind.SESSIONS)

    assert [(leg.subject, leg.portals) for leg in legs if leg.target == "app"] == [("17", ("engage",))]


def test_a_person_id_that_looks_like_somebodys_username_is_not_one() -> None:
    one = school().store("app", SessionKey.PERSON_ID).family("p2").leaver("1005")
    one.members[0] = replace(one.members[0], username="1005")
    one.session(store="app", user="1005")

    judged = one.judge()

    assert reaches(judged.legs("1005"), "app", "engage", "1005")
    assert not reaches(judged.legs("1005"), "web", "engage", "1005")


def test_a_shared_mailbox_is_left_alone_while_one_of_its_people_is_entitled() -> None:
    one = school().store("app", SessionKey.EMAIL).leaver("p1", email="home@mail.example")
    one.family("p2", email="home@mail.example", mobile="1").session(store="app", user="home@mail.example")

    assert not reaches(one.judge().legs("p1"), "app", "engage", "home@mail.example")


def test_a_shared_mailbox_is_ended_when_all_its_people_have_left() -> None:
    one = school().store("app", SessionKey.EMAIL).leaver("p1", email="home@mail.example")
    one.leaver("p2", email="home@mail.example").session(store="app", user="home@mail.example")

    judged = one.judge()

    assert reaches(judged.legs("p1"), "app", "engage", "home@mail.example")
    assert reaches(judged.legs("p2"), "app", "engage", "home@mail.example")


def test_an_account_an_entitled_person_claims_keeps_its_sessions_by_guid() -> None:
    one = school().store("app", SessionKey.GUID).person("p1").account("p1", username="up2").student()
    one.contact("p2").member("p2").session(store="app", user=guid("ad:p1"))

    judged = one.judge()

    assert judged.legs("p1") == []


# --- which are ended --------------------------------------------------------------------------------------------


def test_all_sessions_end_where_no_portal_keeps_anything() -> None:
    assert school().leaver().judge().decision().legs.end_sessions == ("all",)


def test_only_the_closing_portals_sessions_end_where_another_keeps_an_entitlement() -> None:
    one = school().portal(FACULTY).leaver().role().member(portal="faculty").session(portal="faculty")

    judged = one.judge()

    assert judged.decision().legs.end_sessions == ("engage",)
    assert ended(judged) == [("web", "up1", ("engage",))]


def test_only_the_closing_portals_sessions_end_where_another_keeps_an_enabled_member() -> None:
    one = school().portal(ALUMNI).leaver().member(portal="alumni", username="a1")

    assert one.judge().decision().legs.end_sessions == ("engage",)


def test_a_username_on_the_wrong_record_ends_nobodys_session() -> None:
    one = school().student().contact("p2").account("p2").session("p2").person("p1").member("p1", username="up2")

    judged = one.judge()

    assert judged.status("p1") is Status.READY_TO_REVOKE
    assert judged.decision("p1").legs.end_sessions == ()
    assert ended(judged) == []
    assert "Cp2" in judged.evidence("p1", "claimed")


def test_a_username_that_looks_the_same_in_a_password_portal_is_somebody_else() -> None:
    one = school().portal(SHOP).leaver("p1").family("p2")
    one.member("p2", "shop", username="up1").session(portal="shop", user="up1")

    judged = one.judge()

    assert reaches(judged.legs("p1"), "web", "engage", "up1")
    assert not reaches(judged.legs("p1"), "web", "shop", "up1")


def test_a_username_that_looks_the_same_in_a_password_portal_claims_no_account() -> None:
    one = school().portal(SHOP).leaver("p1").family("p2").member("p2", "shop", username="up1")

    assert len(one.judge().legs("p1", LegKind.DIRECTORY)) == 1


def test_a_name_in_the_directory_opens_every_portal_that_signs_in_through_it() -> None:
    assert ended(school().portal(FACULTY).leaver().judge()) == [("web", "up1", ("engage", "faculty"))]


def test_a_session_alone_keeps_a_revocation_open() -> None:
    one = school().student(left=YESTERDAY).contact().account(enabled=False).closed_member().session()

    judged = one.judge()

    assert judged.reasons() == ["half-revoked", "no-student-at-school"]
    assert [leg.kind for leg in judged.legs()] == [LegKind.SESSIONS]


def test_sessions_are_planned_in_a_store_that_did_not_answer() -> None:
    judged = school().leaver().not_read("session_store", "web").judge()

    assert ended(judged) == [("web", "up1", ("engage",))]


def test_the_portal_that_all_of_this_is_about_signs_in_through_the_directory() -> None:
    assert ENGAGE.sign_in is SignIn.DIRECTORY


def test_closing_nothing_but_an_account_ends_no_session_of_a_portal_that_goes_on() -> None:
    club = replace(
        SHOP, name="club", strategy=Strategy.SECURITY_ROLES, roles=("Parent",), on_mismatch=OnMismatch.REVOKE
    )
    one = school().portal(club).store("app", SessionKey.PERSON_ID)
    one.student(left=YESTERDAY).contact().account().role(role="Parent").member(portal="club", username="club-p1")
    one.session(portal="club", store="app", user="p1")

    judged = one.judge()

    assert [leg.kind for leg in judged.legs()] == [LegKind.DIRECTORY]


# --- what the journal remembers -----------------------------------------------------------------------------------


def test_a_session_under_a_name_that_was_changed_before_the_person_left_is_ended(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2))
    nights.edit_account("ok0", username="renamed")
    nights.edit_member("ok0", username="renamed")
    nights.school.leave("ok0")

    nights.run()

    assert nights.sessions("ok0") == 0
    assert nights.sessions("ok1") == 1


def test_a_name_that_two_people_share_is_remembered_for_nobody() -> None:
    decisions = school().family("p1").family("p2").member("p1", "alumni", username="up2").portal(ALUMNI)
    decisions.member("p2", "alumni", username="up2")

    found = usernames_of(decisions.judge().decisions)

    assert ("alumni", "up2") not in found
    assert found["engage", "up2"] == "p2"
