"""Marks nobody sees: right-to-left systems write them beside names. What two people read alike is alike."""

import pytest

from connector.model import Hold, LegKind, Reason, SessionKey, Status
from connector.reconcile.wording import who
from tests.reconcile.build import FACULTY, SchoolBuilder, school
from tests.reconcile.test_reasons import TWIN

MARKS = pytest.mark.parametrize("mark", ["\u200f", "\u200e", "\u202b", "\u200b", "\ufeff"])


def users(one: SchoolBuilder, key: str = "p1") -> set[str]:
    return {leg.subject for leg in one.judge().legs(key, LegKind.SESSIONS)}


@MARKS
def test_a_court_order_holds_on_a_second_record_whose_name_has_a_mark(mark: str) -> None:
    one = school().family("p1", **TWIN)
    one.contact("p2", of="s-p1", restricted=True, **(TWIN | {"family_name": f"Lee{mark}"})).doors("p2")

    judged = one.judge()

    assert judged.reasons("p1") == [Reason.RESTRICTED]


@MARKS
def test_the_account_of_a_member_whose_username_has_a_mark_is_theirs(mark: str) -> None:
    one = school().student().contact("p1", of="s1").member("p1", username=f"up1{mark}")

    judged = one.account("p1", employee_id="gone").judge()

    assert judged.status("p1") is Status.ACTIVE
    assert judged.keys == []


@MARKS
def test_a_previous_code_with_a_mark_names_the_same_human(mark: str) -> None:
    judged = school().leaver("p1").family("p2", previous_codes=(f"{mark}Cp1",)).judge()

    assert Reason.SUPERSEDED in judged.reasons("p1")


@MARKS
def test_a_contact_type_and_a_role_with_a_mark_are_the_ones_the_school_knows(mark: str) -> None:
    one = school().portal(FACULTY).family("p1", contact_type=f"Mother{mark}")

    judged = one.person("p2").role("p2", f"{mark}Faculty").doors("p2", "faculty").judge()

    assert judged.status("p1") is Status.ACTIVE
    assert judged.status("p2") is Status.ACTIVE


@MARKS
def test_sessions_by_contact_code_end_as_the_record_and_as_the_store_spell_it(mark: str) -> None:
    one = school().store("app", SessionKey.CODE).leaver("p1", code=f"C1{mark}").session(store="app", user="C1")

    assert {f"C1{mark}", "C1"} <= users(one)


def test_a_mobile_in_arabic_digits_is_the_same_number() -> None:
    arabic = "050 1234567".translate({ord("0") + n: chr(0x660 + n) for n in range(10)})

    one = school().leaver("p1", mobile="050-1234567").family("p2", mobile=arabic)

    assert Hold.POSSIBLE_SUCCESSOR in one.judge().holds("p1")


# --- zeros that a spreadsheet lost ------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", ["123", "123.0", "0123"])
def test_a_member_whose_id_lost_its_zeros_is_disputed_and_not_a_stranger(shown: str) -> None:
    judged = school().family("00123").member(shown, username="other").judge()

    assert judged.holds(shown) == [Hold.DISPUTED]
    assert "reads like that of 00123" in judged.evidence(shown, "disputed")


def test_a_member_by_a_code_that_lost_its_zeros_is_disputed() -> None:
    judged = school().family("p1", code="00123").member("code 123", username="other").judge()

    assert judged.holds("code 123") == [Hold.DISPUTED]


def test_an_account_whose_employee_id_lost_its_zeros_is_disputed() -> None:
    judged = school().family("p1", code="00123").account("x", employee_id="123").judge()

    (key,) = judged.keys
    assert judged.holds(key) == [Hold.DISPUTED]
    assert "reads like the contact code 00123" in judged.evidence(key, "disputed")


def test_another_number_is_another_person() -> None:
    judged = school().family("00123").member("1230", username="other").judge()

    assert judged.holds("1230") == []


# --- what several people are known by ---------------------------------------------------------------------------


def test_a_session_under_a_native_id_of_two_members_is_nobody_s_and_stays() -> None:
    one = school().store("app", SessionKey.NATIVE_ID).family("p1").leaver("p2")
    one.members = []
    one.member("p1", native_id="7").member("p2", native_id="7").session("p2", store="app", user="7")

    assert "7" not in users(one, "p2")


def test_the_evidence_says_which_sessions_stay_because_an_entitled_person_shares_the_address() -> None:
    one = school().store("app", SessionKey.EMAIL).store("web", SessionKey.EMAIL)

    judged = one.leaver("p1", email="home@mail.example").family("p2", email="home@mail.example").judge()

    assert "sessions under home@mail.example may be of Cp2" in judged.evidence("p1", "claimed")
    assert judged.decision("p1").legs.end_sessions == ()


def test_of_thousands_of_records_that_are_one_human_by_a_placeholder_a_few_are_named() -> None:
    one = school().leaver("p0", **TWIN)
    for number in range(1, 41):
        one.family(f"p{number}", **TWIN)

    found = [e.text for e in one.judge().decision("p0").evidence if e.about == Reason.SUPERSEDED]

    assert len(found) == 6
    assert "so are 35 more records: is that name or e-mail a placeholder?" in found


def test_a_command_names_by_id_who_shares_a_contact_code() -> None:
    one = school().family("p1", code="LEE01").family("p2", code="LEE01").family("p3", code="TAN03")

    identities = one.judge().decisions.correlation.by_key()

    assert [who(identities[key]).typed for key in ("p1", "p2", "p3")] == ["p1", "p2", "TAN03"]
