"""Whose an account is."""

from dataclasses import replace

import pytest

from connector.model import Hold, LegKind, Status
from connector.policy import Policy, SignIn
from connector.reconcile.correlate import Identity, LinkMove, MatchLevel
from connector.reconcile.memory import Memory
from tests.reconcile.build import FACULTY, Judged, SchoolBuilder, guid, school

P1 = ("ad", guid("ad:p1"))


def identity(judged: Judged, key: str = "p1") -> Identity:
    return judged.decisions.correlation.by_key()[key]


def level(one: SchoolBuilder, key: str = "p1") -> MatchLevel | None:
    accounts = identity(one.judge(), key).accounts
    return accounts[0].by if accounts else None


# --- levels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "employee_id", ["Cp1", " cP1 ", "\u200bCp1", "C\u00adp1", "Cp1\x7f", "\uff23\uff50\uff11", "\u2066Cp1\u2069"]
)
def test_an_employee_id_that_is_the_contact_code_matches(employee_id: str) -> None:
    assert level(school().person().account(employee_id=employee_id)) is MatchLevel.EMPLOYEE_ID


def test_a_member_of_a_directory_portal_matches_by_username() -> None:
    assert level(school().person().member().account(employee_id="", username="UP1")) is MatchLevel.USERNAME


def test_the_username_of_a_password_portal_says_nothing_about_the_directory() -> None:
    one = school().portal(replace(FACULTY, name="shop", sign_in=SignIn.PASSWORD))
    one.person().member(portal="shop").account(employee_id="")

    assert level(one) is None


def test_an_account_whose_old_code_nobody_has_is_found_by_its_username() -> None:
    assert level(school().family().change("p1", code="NEW1")) is MatchLevel.USERNAME


def test_a_mail_matches_where_one_person_and_one_account_have_it() -> None:
    one = school().person().account(employee_id="", username="x", email="P1@mail.example ")

    assert level(one) is MatchLevel.EMAIL


def test_a_mail_of_two_people_matches_nobody() -> None:
    one = school().person().person("p2", email="p1@mail.example")
    one.account(employee_id="", username="x", email="p1@mail.example")

    assert level(one) is None


def test_a_mail_of_two_accounts_matches_nobody() -> None:
    one = school().person()
    one.account(employee_id="", username="x", email="p1@mail.example")
    one.account("p2", employee_id="", username="y", email="p1@mail.example")

    assert level(one) is None


def test_a_mail_counts_anew_in_each_directory() -> None:
    one = school().person()
    one.account(employee_id="", username="x", email="p1@mail.example")
    one.account(directory="ldap", employee_id="", username="y", email="p1@mail.example")

    assert [a.by for a in identity(one.judge()).accounts] == [MatchLevel.EMAIL, MatchLevel.EMAIL]


def test_the_employee_id_goes_before_the_username() -> None:
    one = school().family("p1").family("p2")
    one.accounts = [replace(one.accounts[0], username="up2")]

    assert level(one, "p1") is MatchLevel.EMPLOYEE_ID
    assert level(one, "p2") is None


def test_an_account_with_the_username_is_the_persons_beside_the_one_with_the_code() -> None:
    one = school().leaver().account(guid=guid("other"), employee_id="", username="UP1")
    one.accounts[0] = replace(one.accounts[0], username="old")

    judged = one.judge()

    assert {leg.subject for leg in judged.legs("p1", LegKind.DIRECTORY)} == {guid("ad:p1"), guid("other")}


# --- disputes ---------------------------------------------------------------------------------------------------


def test_two_accounts_with_one_code_are_disputed() -> None:
    judged = school().leaver().account(guid=guid("second"), username="second").judge()

    assert judged.holds() == [Hold.DISPUTED]
    assert not judged.row().applies


def test_two_people_with_one_code_are_disputed_both() -> None:
    judged = school().leaver("p1").leaver("p2", code="Cp1").judge()

    assert Hold.DISPUTED in judged.holds("p1")
    assert Hold.DISPUTED in judged.holds("p2")


def test_two_accounts_on_different_levels_are_not_disputed() -> None:
    judged = school().leaver().account(guid=guid("second"), employee_id="", username="up1").judge()

    assert judged.holds() == []


def test_one_account_in_each_of_two_directories_is_not_disputed() -> None:
    judged = school().leaver().account(directory="ldap").judge()

    assert judged.holds() == []
    assert {leg.target for leg in judged.legs("p1", LegKind.DIRECTORY)} == {"ad", "ldap"}


def test_somebody_disputed_is_not_provisioned() -> None:
    one = school().student().contact().account(enabled=False).account(guid=guid("second"), username="second")

    assert Hold.DISPUTED in one.judge().holds()


def test_a_disputed_person_is_not_added_to_a_portal() -> None:
    one = school().portal(FACULTY).person().role().account().account(guid=guid("second"), username="second")

    assert one.judge().plan.additions == ()


# --- stored links -----------------------------------------------------------------------------------------------


def linked(person_id: str = "p1") -> Memory:
    return Memory(links={P1: person_id})


@pytest.mark.parametrize("employee_id", ["", "Cp1", "Cnobody"])
def test_a_link_holds_while_the_code_is_blank_matches_or_is_nobodys(employee_id: str) -> None:
    one = school().leaver().remember(links=linked().links)
    one.accounts[0] = replace(one.accounts[0], employee_id=employee_id, username="renamed")

    judged = one.judge()

    assert identity(judged).accounts[0].by is MatchLevel.LINK
    assert judged.holds() == []


def test_a_link_goes_before_the_employee_id_of_nobody_and_before_a_username() -> None:
    one = school().leaver("p1").family("p2").remember(links=linked().links)
    one.accounts = [replace(one.accounts[0], employee_id="", username="other")]

    assert level(one, "p1") is MatchLevel.LINK


def test_a_link_moves_to_another_record_of_the_same_human() -> None:
    one = school().person("p1").family("p2", previous_codes=("Cp1",)).remember(links=linked().links)
    one.accounts = [replace(one.accounts[0], guid=P1[1], employee_id="Cp2")]

    judged = one.judge()

    assert identity(judged, "p2").accounts[0].by is MatchLevel.LINK
    assert judged.decisions.correlation.links == (LinkMove("ad", P1[1], "p2", "p1"),)
    assert judged.holds("p2") == []


def test_a_link_to_one_person_and_the_code_of_a_stranger_is_disputed() -> None:
    one = school().leaver("p1").leaver("p2").remember(links=linked().links)
    one.accounts[0] = replace(one.accounts[0], employee_id="Cp2")
    del one.accounts[1]

    judged = one.judge()

    assert Hold.DISPUTED in judged.holds("p1")
    assert Hold.DISPUTED in judged.holds("p2")
    assert judged.plan.pending == 0


def test_a_disputed_link_stays_as_it_is() -> None:
    one = school().leaver("p1").family("p2").remember(links=linked().links)
    one.accounts[0] = replace(one.accounts[0], employee_id="Cp2")
    del one.accounts[1]

    assert one.judge().decisions.correlation.links == ()


def test_an_account_that_was_created_anew_is_not_the_old_one() -> None:
    one = school().person("p1").person("p2").remember(links=linked().links)
    one.account("p2", username="up1", guid=guid("created anew"))

    assert level(one, "p2") is MatchLevel.EMPLOYEE_ID
    assert level(one, "p1") is None


def test_a_match_by_code_is_worth_storing_and_one_by_mail_is_not() -> None:
    by_code = school().person().account().judge()
    by_mail = school().person().account(employee_id="", username="x", email="p1@mail.example").judge()

    assert by_code.decisions.correlation.links == (LinkMove("ad", P1[1], "p1"),)
    assert by_mail.decisions.correlation.links == ()


def test_a_link_to_a_record_that_is_gone_is_a_contact_that_is_missing() -> None:
    one = school().account(employee_id="", username="x").remember(links=linked("gone").links)

    judged = one.judge()

    assert judged.reasons("gone") == ["contact-missing"]
    assert judged.row("gone").person_id == "gone"


# --- nobody's accounts ------------------------------------------------------------------------------------------


def test_a_managed_account_whose_code_nobody_has_is_an_orphan_to_close() -> None:
    judged = school().account(employee_id="Cgone").judge()

    assert judged.keys == [f"account:ad:{P1[1]}"]
    assert judged.reasons(judged.keys[0]) == ["contact-missing"]
    assert judged.row(judged.keys[0]).person_id is None


def test_a_managed_account_with_no_code_and_no_match_is_counted_and_never_touched() -> None:
    judged = school().account(employee_id=" ").judge()

    assert judged.keys == []
    assert judged.decisions.correlation.unmanaged == 1


def test_an_account_outside_the_managed_units_is_seen_and_never_written() -> None:
    judged = school().portal(FACULTY).person().role(ends=None).doors(portal="faculty").judge()
    gone = (
        school().portal(FACULTY).person().member(portal="faculty").account(managed=False, dn="CN=p1,OU=Staff").judge()
    )

    assert judged.status() is Status.ACTIVE
    assert gone.legs("p1", LegKind.DIRECTORY) == []
    assert gone.decision().open_outside_scope == ("CN=p1,OU=Staff",)


@pytest.mark.parametrize("policy", [Policy.HOLD, Policy.APPLY])
def test_an_account_that_carries_the_code_somebody_had_before_is_disputed_and_not_a_strangers(policy: Policy) -> None:
    one = school().student().contact("p1", of="s1", previous_codes=("OLD1",)).policy(contact_missing=policy)

    judged = one.account("x", employee_id=" old1 ").judge()

    (key,) = judged.keys
    assert judged.holds(key)[0] is Hold.DISPUTED
    assert "is the contact code that Cp1 had before" in judged.evidence(key, "disputed")


def test_an_orphan_outside_the_managed_units_is_nobodys_business() -> None:
    judged = school().account(employee_id="Cgone", managed=False).judge()

    assert judged.keys == []
    assert judged.decisions.correlation.unmanaged == 0


# --- what entitled people claim ---------------------------------------------------------------------------------


def test_an_account_is_not_closed_for_one_record_while_an_entitled_person_signs_in_with_it() -> None:
    one = school().leaver("p1").family("p2")
    one.accounts = [replace(one.accounts[0], username="up2")]
    one.sessions.clear()

    judged = one.judge()

    assert judged.legs("p1", LegKind.DIRECTORY) == []
    assert judged.legs("p1", LegKind.CREDENTIAL) != []
    assert "Cp2" in judged.evidence("p1", "claimed")


def test_an_account_is_not_closed_while_an_entitled_person_alone_has_its_mail() -> None:
    one = school().leaver("p1").family("p2")
    one.accounts[0] = replace(one.accounts[0], email="p2@mail.example")

    assert one.judge().legs("p1", LegKind.DIRECTORY) == []


def test_an_account_is_not_closed_while_a_link_gives_it_to_somebody_entitled() -> None:
    one = school().leaver("p1").family("p2", previous_codes=("Cp1",)).remember(links={P1: "p2"})
    one.accounts = one.accounts[:1]

    assert one.judge().legs("p1", LegKind.DIRECTORY) == []


def test_an_orphans_account_is_not_closed_while_it_is_an_entitled_persons_by_any_sign() -> None:
    one = school().family().change("p1", code="NEW1")

    assert one.judge().keys == []


def test_only_an_entitled_person_keeps_an_account_for_somebody_else() -> None:
    one = school().leaver("p1").leaver("p2")
    one.accounts = [replace(one.accounts[0], username="up2")]

    assert len(one.judge().legs("p1", LegKind.DIRECTORY)) == 1


# --- what could not be read -------------------------------------------------------------------------------------


def test_an_account_is_no_orphan_while_the_portal_that_may_know_its_username_did_not_answer() -> None:
    one = school().family().change("p1", code="NEW1").not_read("portal", "engage")

    judged = one.judge()

    assert judged.keys == []


def test_whom_the_journal_remembers_keeps_an_account_while_the_portal_does_not_answer() -> None:
    one = school().portal(FACULTY).student().contact("p2").leaver("p1").not_read("portal", "engage")
    one.accounts[0] = replace(one.accounts[0], username="UP2")
    one.remember(users={("engage", "up2"): "p2"})

    judged = one.judge()

    assert judged.legs("p1", LegKind.DIRECTORY) == []


def test_a_member_does_not_hide_behind_an_id_that_reads_like_an_account() -> None:
    one = school().family().member("account:ad:1", username="ghost")

    assert one.judge().decisions.by_key()["account:ad:1"].status is Status.READY_TO_REVOKE


@pytest.mark.parametrize("person_id", ["P1", " p1", "p1\n", "\u200bp1", "\uff50\uff11"])
def test_a_member_whose_id_only_reads_like_a_persons_is_disputed_and_waits(person_id: str) -> None:
    one = school().family("p1").member(person_id, username="typed.by.hand")

    judged = one.judge()

    row = next(r for r in judged.plan.revocations if r.key == person_id)
    assert Hold.DISPUTED in row.holds
    assert not row.applies
