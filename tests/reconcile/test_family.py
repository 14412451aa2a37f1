"""The household around one person, and where the fault sits."""

import pytest

from connector.errors import UnknownPerson
from connector.policy import OnMismatch, PortalRules, SignIn, Strategy
from connector.reconcile.decide import Decisions
from connector.reconcile.family import Family, family
from connector.reconcile.family_verdict import Verdict
from tests.reconcile.build import school
from tests.reconcile.harbour import harbour


@pytest.fixture(scope="module")
def decisions() -> Decisions:
    return harbour().decided()


def told(household: Family) -> str:
    return "\n".join(household.lines)


@pytest.mark.parametrize(
    ("key", "verdict", "why"),
    [
        ("1094", Verdict.NOTHING_TO_MEND, "the admin system is followed"),
        ("1017", Verdict.FIX_THE_RULE, "contact type Uncle has no portal flag"),
        ("1506", Verdict.FIX_THE_DATA, "contact type Godparent of the relationship"),
        ("1645", Verdict.FIX_THE_DATA, "own portal access no"),
        ("1406", Verdict.FIX_THE_DATA, "ended on 2026-11-13, and the child stays"),
        ("1537", Verdict.FIX_THE_DATA, "Perhaps two records of one person"),
        ("1554", Verdict.FIX_THE_DATA, "it is Ben Singh (SIN1548)'s"),
        ("1560", Verdict.FIX_THE_DATA, "no relationship to any student"),
        ("1502", Verdict.FIX_THE_DATA, "Disputed"),
        ("1494", Verdict.FIX_THE_DATA, "cannot be read"),
        ("1637", Verdict.NOTHING_TO_MEND, "ready to provision"),
        ("1003", Verdict.NOTHING_TO_MEND, "agree"),
    ],
)
def test_a_household_has_a_verdict_and_why(decisions: Decisions, key: str, verdict: Verdict, why: str) -> None:
    household = family(decisions, key)

    assert household.verdict is verdict
    assert why in household.why


def test_the_admin_system_is_checked_first_where_a_parent_still_has_children(decisions: Decisions) -> None:
    household = family(decisions, "1017")

    assert household.next_steps[0].startswith("Check the family in the admin system first")
    assert "split or blended" in household.next_steps[0]


def test_both_records_of_one_person_stand_together_and_say_which_stands_in(decisions: Decisions) -> None:
    household = family(decisions, "1094")

    assert [r.key for r in household.records] == ["1094", "1098"]
    assert [(s.old, s.new) for s in household.supersedes] == [("Zoe Te-Rangi (TE-1094)", "Zoe Te-Rangi (TE-1098)")]
    assert [c.code for c in household.children] == ["OB1099", "WAL1101"]


def test_the_other_contacts_of_the_children_are_shown_one_step_far(decisions: Decisions) -> None:
    household = family(decisions, "1537")

    assert [r.key for r in household.others] == ["1538"]
    assert household.others[0].status == "ready_to_provision"


def test_a_child_shows_attendance_contact_type_flag_and_restriction(decisions: Decisions) -> None:
    child = family(decisions, "1111").children[0]

    assert child.attendance == "at the school"
    assert [(k.contact_type, k.flagged, k.restricted, k.counts) for k in child.links if k.key == "1111"] == [
        ("Father", True, True, False)
    ]


def test_outside_the_authority_role_a_family_does_not_tell_a_court_order(decisions: Decisions) -> None:
    for key in ("1111", "1066", "1063", "1168", "1475"):
        household = family(decisions, key, discreet=True)

        text = told(household).casefold()
        assert "access-ended" in text
        assert not [w for w in ("restrict", "court", "barred") if w in text]
        assert not [k for c in household.children for k in c.links if k.restricted]


def test_two_entitled_records_of_one_person_are_doubled_data() -> None:
    built = school().family("p1", email="a@x.example", given_name="Ada", family_name="Lovelace")
    built = built.family("p2", email="a@x.example", given_name="Ada", family_name="Lovelace")

    household = family(built.judge().judgement.decisions, "p1")

    assert household.verdict is Verdict.FIX_THE_DATA
    assert "one person, doubled" in household.why


def test_a_portal_that_has_another_code_than_the_admin_system_is_a_case() -> None:
    sample = harbour().with_member("1003", code="OLD9").decided()

    household = family(sample, "1003")

    assert household.verdict is Verdict.RAISE_A_CASE
    assert "engage has the code OLD9 where the admin system says XU1003" in household.why
    assert "contact type Mother, contact code XU1003" in household.next_steps[0]


def test_a_custom_portal_that_says_no_where_the_admin_system_says_yes_is_a_case() -> None:
    custom = PortalRules("own", Strategy.CUSTOM, on_mismatch=OnMismatch.REVOKE, sign_in=SignIn.PASSWORD)
    built = school().family("p1").portal(custom).member("p1", "own", strategy_match=False).judge()

    household = family(built.judgement.decisions, "p1")

    assert household.verdict is Verdict.RAISE_A_CASE


def test_a_family_names_every_account_by_guid_for_link(decisions: Decisions) -> None:
    accounts = family(decisions, "1502").records[0].accounts

    assert len(accounts) == 2
    assert all("GUID " in text for text in accounts)


def test_a_name_that_is_markup_stays_text_on_one_line(decisions: Decisions) -> None:
    household = family(decisions, "1401")

    assert '=HYPERLINK("http://x") <b>Test</b>' in told(household)
    assert all("\n" not in line for line in household.lines)


def test_an_orphaned_account_has_a_household_of_its_own(decisions: Decisions) -> None:
    key = next(i.key for i in decisions.correlation.identities if i.key.startswith("account:"))

    household = family(decisions, key)

    assert household.children == ()
    assert household.records[0].status == "ready_to_revoke"


def test_nobody_has_no_household(decisions: Decisions) -> None:
    with pytest.raises(UnknownPerson):
        family(decisions, "nobody")


def test_every_household_of_the_school_can_be_shown(decisions: Decisions) -> None:
    for identity in decisions.correlation.identities:
        assert family(decisions, identity.key).causes
