"""What somebody with a parent on the phone is told."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from connector.errors import UnknownPerson
from connector.model import Hold, MemberStatus
from connector.policy import Policy
from connector.reconcile.decide import Decisions
from connector.reconcile.diagnose import EMPTY_PORTAL, Explanation, PastEvent, explain
from connector.reconcile.empty_portal import Verdict
from connector.reconcile.find_person import find, find_one
from connector.reconcile.memory import Block, Keep, Memory, Release
from connector.reconcile.plan import hold_digest
from tests.reconcile.build import TODAY, school
from tests.reconcile.harbour import harbour

TELLING = ("restrict", "court", "block", "barred", "bars")


def keys(decisions: Decisions, text: str) -> list[str]:
    return [f.key for f in find(decisions, text)]


def told(explanation: Explanation) -> str:
    return "\n".join(explanation.lines)


@pytest.fixture(scope="module")
def decisions() -> Decisions:
    return harbour().decided()


# --- finding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("1094", "1094"),
        ("te-1094", "1094"),
        ("U1094", "1094"),
        ("p1094@MAIL.example", "1094"),
        ("tanaka lukasz", "1009"),
        ("Lukasz", "1009"),
        ("overgard priya", "1496"),
        ("mul1045", None),
    ],
)
def test_a_person_answers_to_id_code_username_email_and_name_in_any_case_and_order(
    decisions: Decisions, text: str, key: str | None
) -> None:
    if key is None:
        with pytest.raises(UnknownPerson):
            find(decisions, text)
        return

    assert key in keys(decisions, text)


def test_a_person_answers_to_a_previous_code_nobody_holds_today() -> None:
    sample = harbour().with_person("1094", previous_codes=("OLD77",)).decided()

    assert keys(sample, "old77") == ["1094"]


def test_a_code_is_found_as_accounts_are_matched_by_it_however_wide_it_is_written() -> None:
    wide = "".join(chr(ord(character) + 0xFEE0) for character in "AB12")
    judged = school().person("p1", code=wide).person("p2", code="CD34", previous_codes=(wide,)).judge()

    assert keys(judged.decisions, "ab12") == ["p1"]
    assert keys(judged.decisions, wide) == ["p1"]
    assert keys(judged.decisions, "\uff43\uff4434") == ["p2"]


def test_the_code_of_today_goes_before_a_previous_one(decisions: Decisions) -> None:
    assert keys(decisions, "HUG1160") == ["1160"]


def test_a_person_answers_to_a_mobile_however_it_is_written() -> None:
    sample = harbour().with_person("1094", mobile="0412 345 678").decided()

    assert keys(sample, "+61 412 345 678") == ["1094"]
    assert keys(sample, "0412345678") == ["1094"]


def test_a_child_answers_with_its_contacts(decisions: Decisions) -> None:
    found = find(decisions, "Uma Quinn")

    assert [f.key for f in found] == ["1063", "1066"]
    assert found[0].by.startswith("child Uma Quinn")


def test_an_account_without_a_record_answers_too(decisions: Decisions) -> None:
    assert find_one(decisions, "TAN1187").identity.person_id is None
    assert find_one(decisions, "1326").identity.person is None


def test_nobody_is_an_error_that_names_the_nearest(decisions: Decisions) -> None:
    with pytest.raises(UnknownPerson, match=r"Hamish Xu \(XU1003\)"):
        find(decisions, "Hamisch Xu")


def test_several_are_all_given_and_one_is_never_guessed(decisions: Decisions) -> None:
    assert len(find(decisions, "Te-Rangi")) > 3
    with pytest.raises(UnknownPerson, match="people answer to 'Te-Rangi'"):
        find_one(decisions, "Te-Rangi")


@pytest.mark.parametrize("text", ["", "   ", "=HYPERLINK(1)\x1b[2J", "(((", "%", "\u202e"])
def test_hostile_text_finds_nobody_and_is_not_echoed_raw(decisions: Decisions, text: str) -> None:
    with pytest.raises(UnknownPerson) as refusal:
        find(decisions, text)

    assert "\x1b" not in str(refusal.value)
    assert "\u202e" not in str(refusal.value)


@pytest.mark.parametrize("mark", [0xFFFD, 0xDCE9])
def test_a_name_that_lost_a_character_on_the_way_leads_to_nobody(mark: int) -> None:
    sample = harbour().with_person("1094", given_name="Wulfrida", family_name="Vale").decided()
    assert find_one(sample, "wulfr").identity.key == "1094"

    with pytest.raises(UnknownPerson, match="a character of it was lost on the way"):
        find_one(sample, f"Wulfr{chr(mark)}")


# --- the first three lines ------------------------------------------------------------------------------------------


def test_an_entitled_person_is_told_until_when(decisions: Decisions) -> None:
    explanation = explain(decisions, "1003", Memory())

    assert explanation.can_log_in is True
    assert explanation.log_in_line.startswith("Yes: Hamish Xu (XU1003) can log in to engage as u1003")
    assert "last day of access: 2026-11-21" in explanation.log_in_line
    assert explanation.closed_line == "Nobody closed it."
    assert explanation.next_line == "What to do: Nothing to do."
    assert any("access ends after 2026-11-21" in text for text in explanation.would_change)


def test_the_last_day_of_access_is_when_the_only_child_leaves_with_grace() -> None:
    built = school().family("p1").leave("p1", TODAY + timedelta(days=10), "graduated").judge()

    explanation = explain(built.judgement.decisions, "p1", Memory())

    until = TODAY + timedelta(days=10 + built.judgement.decisions.school.rules.grace_days["graduated"])
    assert f"last day of access: {until}" in explanation.log_in_line


def test_a_person_in_grace_is_told_so(decisions: Decisions) -> None:
    explanation = explain(decisions, "1469", Memory())

    assert "who has left: in grace until 2027-01-12" in explanation.log_in_line


def test_a_person_who_can_log_in_though_not_entitled_is_told_why_and_what_closes_it(decisions: Decisions) -> None:
    explanation = explain(decisions, "1059", Memory())

    assert explanation.log_in_line.startswith("Yes:")
    assert "Not entitled to engage: Priya Lim (Mother): last day 2026-08-14" in explanation.log_in_line
    assert explanation.commands == ("connector revoke FER1059 --reason TEXT --apply",)


def test_a_disabled_account_is_no_and_not_ours_unless_the_journal_says_so(decisions: Decisions) -> None:
    explanation = explain(decisions, "1086", Memory())
    account = next(a.account for i in decisions.correlation.identities if i.key == "1086" for a in i.accounts)
    ours = explain(decisions, "1086", Memory(closed_accounts=frozenset({(account.directory, account.guid)})))

    assert explanation.can_log_in is False
    assert explanation.log_in_line.startswith("No:")
    assert "Closed by somebody else" in explanation.closed_line
    assert "the account" not in ours.closed_line


def test_who_closed_it_and_when_is_the_newest_closing(decisions: Decisions) -> None:
    closed = PastEvent(datetime(2026, 11, 1, 9, tzinfo=UTC), "closed", "ada@host", "account u1631 disabled")
    later = PastEvent(datetime(2026, 11, 2, 9, tzinfo=UTC), "released", "bo@host", "a hold")

    explanation = explain(decisions, "1631", Memory(), [later, closed])

    assert explanation.closed_line == "Closed on 2026-11-01 09:00 UTC by ada@host: account u1631 disabled"
    assert told(explanation).index("bo@host") > told(explanation).index("History")


def test_a_hold_says_the_mend_before_the_release(decisions: Decisions) -> None:
    explanation = explain(decisions, "1017", Memory())

    assert "Check the family in the admin system first" in explanation.next_line
    assert explanation.commands == (
        "connector family NGU1017",
        "connector release NGU1017 --hold still-has-children",
    )


def test_a_released_hold_no_longer_asks(decisions: Decisions) -> None:
    decision = decisions.by_key()["1017"]
    digest = hold_digest(Hold.STILL_HAS_CHILDREN, decision.reasons, decision.evidence)
    release = Release("1017", Hold.STILL_HAS_CHILDREN, digest, "ada@host", "looked")

    explanation = explain(decisions, "1017", Memory(releases=(release,)))

    assert "The next run closes it" in explanation.next_line
    assert "(released)" in told(explanation)


def test_a_protected_account_offers_no_release(decisions: Decisions) -> None:
    explanation = explain(decisions, "1009", Memory())

    assert "protected" in explanation.next_line
    assert explanation.commands == ()


def test_a_username_of_somebody_else_opens_the_wrong_record(decisions: Decisions) -> None:
    explanation = explain(decisions, "1554", Memory())

    assert "with the account u1548, which is Ben Singh (SIN1548)'s" in explanation.log_in_line


def test_an_unread_directory_is_not_known_rather_than_shut() -> None:
    built = school().family("p1").member("p1").not_read("directory", "ad").judge()

    explanation = explain(built.judgement.decisions, "p1", Memory())

    assert explanation.can_log_in is None
    assert explanation.log_in_line.startswith("Not known")


def test_an_expired_account_cannot_log_in() -> None:
    ran_out = datetime(2026, 11, 1, tzinfo=UTC)
    sample = harbour().with_account("u1003", expires_at=ran_out).decided()

    explanation = explain(sample, "1003", Memory())

    assert explanation.can_log_in is False
    assert "ran out on 2026-11-01" in explanation.log_in_line


def test_what_is_missing_to_log_in_is_named(decisions: Decisions) -> None:
    explanation = explain(decisions, "1637", Memory())

    assert explanation.log_in_line.startswith("No:")
    assert "Missing: " in explanation.next_line
    assert "welcome e-mail" in explanation.next_line


def test_live_sessions_are_counted_and_never_shown(decisions: Decisions) -> None:
    session_ids = [s.session_id for i in decisions.correlation.identities for s in i.sessions]

    explanation = explain(decisions, "1111", Memory())

    assert "3 sessions are live" in explanation.log_in_line
    assert not [s for s in session_ids if s in told(explanation)]


def test_an_unknown_key_and_an_unknown_symptom_are_refused(decisions: Decisions) -> None:
    with pytest.raises(UnknownPerson):
        explain(decisions, "nobody", Memory())
    with pytest.raises(UnknownPerson, match="empty-portal"):
        explain(decisions, "1003", Memory(), symptom="headache")


def test_everybody_in_the_school_can_be_explained(decisions: Decisions) -> None:
    for identity in decisions.correlation.identities:
        explanation = explain(decisions, identity.key, Memory(), symptom=EMPTY_PORTAL)
        assert all(explanation.first_lines)
        assert not [line for line in explanation.lines if "\n" in line]


# --- what would change the outcome ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("1015", "engage: entitled when the admin system sets status active"),
        ("1017", "engage: entitled when contact type Uncle gets the portal flag, or"),
        ("1560", "engage: entitled when there is a current relationship to a student at the school"),
        ("1366", "faculty: entitled when the role Faculty is in force"),
        ("1354", "engage: entitled from 2027-0"),
        ("1017", "released by name, it closes: connector release NGU1017 --hold still-has-children"),
    ],
)
def test_what_would_change_the_outcome_is_concrete(decisions: Decisions, key: str, text: str) -> None:
    changes = explain(decisions, key, Memory()).would_change

    assert [c for c in changes if c.startswith(text)]


def test_a_role_that_has_an_end_says_its_last_day() -> None:
    row = replace(harbour().people.security_roles[0], person_id="1025", role="Faculty", ends_on=date(2026, 12, 24))
    others = tuple(g for g in harbour().people.security_roles if g.person_id != "1025")
    sample = harbour()
    sample = replace(sample, people=replace(sample.people, security_roles=(*others, row)))

    changes = explain(sample.decided(), "1025", Memory()).would_change

    assert any("faculty: access ends after 2026-12-24" in text for text in changes)


def test_a_notice_and_a_confirmation_say_when_they_end() -> None:
    built = school().leaver("p1").rules(notice_days=7, confirm_runs=3).judge()

    changes = explain(built.judgement.decisions, "p1", built.judgement.night.memory).would_change

    assert f"the notice ends on {TODAY + timedelta(days=7)}: then it closes" in changes
    assert "ready in 3 more runs (this one included): then it closes" in changes


def test_a_parent_who_never_was_staff_hears_nothing_of_the_staff_portal(decisions: Decisions) -> None:
    assert "faculty" not in told(explain(decisions, "1003", Memory()))


# --- discretion -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["1111", "1066", "1063", "1475", "1391", "1168"])
@pytest.mark.parametrize("symptom", ["", EMPTY_PORTAL])
def test_outside_the_authority_role_nothing_tells_a_court_order(decisions: Decisions, key: str, symptom: str) -> None:
    events = [PastEvent(datetime(2026, 11, 1, tzinfo=UTC), "closed", "ada", "restricted: a court order bars X")]

    text = told(explain(decisions, key, Memory(), events, symptom, discreet=True)).casefold()

    assert not [word for word in TELLING if word in text]


def test_outside_the_authority_role_a_block_reads_access_ended() -> None:
    block = Block("p1", "ada@host", "custody order 77", TODAY + timedelta(days=30))
    built = school().family("p1").doors("p1").remember(blocks={"p1": block}).judge()
    memory = built.judgement.night.memory

    open_words = told(explain(built.judgement.decisions, "p1", memory))
    quiet = told(explain(built.judgement.decisions, "p1", memory, discreet=True))

    assert "custody order 77" in open_words
    assert "access-ended" in quiet
    assert not [word for word in (*TELLING, "custody", "ada@host") if word in quiet.casefold()]


def test_the_authority_role_reads_the_whole_reason(decisions: Decisions) -> None:
    text = told(explain(decisions, "1111", Memory()))

    assert "a court order bars Ines Fernandez (Father)" in text
    assert "the restriction for Ines Fernandez (FER1115) is lifted" in text


def test_a_keep_is_told_with_owner_and_reason() -> None:
    keep = Keep("p1", "ada@host", "appeal runs", TODAY + timedelta(days=5))
    built = school().leaver("p1").remember(keeps={"p1": keep}).judge()

    text = told(explain(built.judgement.decisions, "p1", built.judgement.night.memory))

    assert "kept by ada@host" in text
    assert "appeal runs" in text


# --- a parent logs in and sees nothing ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "verdict"),
    [
        ("1094", Verdict.OLD_ACCOUNT),
        ("1098", Verdict.OLD_ACCOUNT),
        ("1160", Verdict.OLD_ACCOUNT),
        ("1554", Verdict.WRONG_RECORD),
        ("1560", Verdict.WRONG_RECORD),
        ("1537", Verdict.POSSIBLE_SUCCESSOR),
        ("1017", Verdict.NOT_FLAGGED),
        ("1059", Verdict.NO_STUDENT),
        ("1015", Verdict.RECORD_CLOSED),
        ("1111", Verdict.RESTRICTED),
        ("1168", Verdict.RESTRICTED),
        ("1003", Verdict.IN_ORDER),
        ("1631", Verdict.CANNOT_LOG_IN),
    ],
)
def test_an_empty_portal_has_a_verdict_and_a_next_step(decisions: Decisions, key: str, verdict: Verdict) -> None:
    symptom = explain(decisions, key, Memory(), symptom=EMPTY_PORTAL).symptom

    assert symptom is not None
    assert symptom.verdict is verdict
    assert symptom.advice.text


def test_a_parent_in_grace_is_told_that_the_child_has_left_and_until_when() -> None:
    judged = school().leaver("p1", left=TODAY - timedelta(days=4)).rules(grace_days={"left": 14}).judge()

    symptom = explain(judged.decisions, "p1", Memory(), symptom=EMPTY_PORTAL).symptom

    assert symptom is not None
    assert symptom.verdict is Verdict.IN_GRACE
    assert "has left, and access ends on 2026-12-01" in symptom.text


def test_an_old_account_beside_one_not_provisioned_asks_to_provision_first(decisions: Decisions) -> None:
    symptom = explain(decisions, "1160", Memory(), symptom=EMPTY_PORTAL).symptom

    assert symptom is not None
    assert symptom.advice.text.startswith("Provision ")
    assert "welcome e-mail" in symptom.advice.text


def test_a_new_account_never_used_asks_for_the_welcome_mail() -> None:
    sample = harbour().with_member("1098", last_login=None).decided()

    symptom = explain(sample, "1094", Memory(), symptom=EMPTY_PORTAL).symptom

    assert symptom is not None
    assert "welcome e-mail" in symptom.advice.text


def test_when_all_is_in_order_the_case_carries_contact_type_and_code(decisions: Decisions) -> None:
    symptom = explain(decisions, "1003", Memory(), symptom=EMPTY_PORTAL).symptom

    assert symptom is not None
    assert "contact type Mother, contact code XU1003" in symptom.advice.text


def test_reported_only_rows_say_that_nothing_happens_by_itself() -> None:
    built = school().leaver("p1").policy(**{"no-student-at-school": Policy.REPORT}).judge()

    explanation = explain(built.judgement.decisions, "p1", Memory())

    assert "The policy only reports this" in explanation.next_line


def test_a_member_disabled_in_the_portal_cannot_log_in() -> None:
    sample = harbour().with_member("1003", status=MemberStatus.DISABLED).decided()

    explanation = explain(sample, "1003", Memory())

    assert explanation.can_log_in is False
    assert "engage: the member is disabled" in explanation.log_in_line
