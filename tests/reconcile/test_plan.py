"""The plan: its order, its legs, its digest, and how it is cut."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from connector.errors import PlanError
from connector.model import LegKind, MemberStatus, SessionKey, Status
from connector.policy import Policy, PortalRules, Strategy
from connector.reconcile.memory import Block
from connector.reconcile.plan import except_for, oldest_login_first, only, without
from tests.reconcile.build import (
    ALUMNI,
    ASSOCIATION,
    FACULTY,
    NOW,
    TODAY,
    TOMORROW,
    YESTERDAY,
    SchoolBuilder,
    school,
)

Change = Callable[[SchoolBuilder], object]


# --- rows and legs ----------------------------------------------------------------------------------------------


def test_urgent_rows_come_first_then_half_revoked_ones_then_by_code() -> None:
    one = school().leaver("c").leaver("b").family("z", restricted=True)
    one.student("s-h", left=YESTERDAY).contact("h", of="s-h").account("h").closed_member("h")

    assert one.judge().keys == ["z", "h", "b", "c"]


def test_legs_come_in_the_order_they_are_driven() -> None:
    kinds = [leg.kind for leg in school().leaver().judge().legs()]

    assert kinds == [LegKind.DIRECTORY, LegKind.CREDENTIAL, LegKind.SESSIONS]


def test_a_leg_carries_what_it_is_conditional_on() -> None:
    one = school().leaver()

    directory, credential, _ = one.judge().legs()

    assert directory.before == one.accounts[0]
    assert credential.before == one.members[0]
    assert credential.clear_credential
    assert credential.disable_member


def test_a_row_names_the_person_and_an_orphan_what_is_known_of_it() -> None:
    one = school().leaver().account("x", employee_id="Cgone", name="Sam Lee", username="slee")

    judged = one.judge()

    assert (judged.row().code, judged.row().name, judged.row().username) == ("Cp1", "Givenp1 Familyp1", "up1")
    orphan = next(r for r in judged.plan.revocations if r.person_id is None)
    assert (orphan.code, orphan.name, orphan.username) == ("Cgone", "Sam Lee", "slee")


def test_a_row_says_what_it_shares_with_others() -> None:
    factors = school().leaver(left=YESTERDAY).judge().row().factors

    assert ("contact_type", "Mother") in factors
    assert ("portal", "engage") in factors
    assert ("exit_date", YESTERDAY.isoformat()) in factors
    assert ("reason", "no-student-at-school") in factors


def test_pending_counts_what_a_run_would_apply_now() -> None:
    one = school().portal(ASSOCIATION).leaver("p1").family("p2", contact_type="Uncle")
    one.person("p3").role("p3", "Parent")

    judged = one.judge()

    assert judged.keys == ["p1", "p2"]
    assert judged.plan.pending == 2  # p1 and the addition of p3: p2 is held


def test_what_could_not_be_read_is_said() -> None:
    judged = school().leaver().not_read("directory", "ad").judge()

    assert judged.plan.unread == ("directory ad: it did not answer",)


# --- the digest -------------------------------------------------------------------------------------------------


def two_leavers() -> SchoolBuilder:
    return school().portal(ASSOCIATION).leaver("p1").leaver("p2", left=YESTERDAY - timedelta(days=5)).family("p3")


def digest(one: SchoolBuilder) -> str:
    return one.judge().plan.digest


def test_the_same_facts_give_the_same_plan_tomorrow() -> None:
    one = two_leavers()

    today, tomorrow = one.judge(TODAY, NOW).plan, one.judge(TOMORROW, NOW + timedelta(days=1)).plan

    assert today.digest == tomorrow.digest
    assert today.plan_id == tomorrow.plan_id
    assert today.digest.startswith(today.plan_id)


def test_the_same_facts_give_the_same_plan_after_weeks_of_notice_and_confirmation() -> None:
    one = two_leavers().rules(confirm_runs=2, notice_days=3)
    ready = {"p1": YESTERDAY - timedelta(days=9), "p2": YESTERDAY - timedelta(days=9)}

    first = one.remember(ready_runs={"p1": 1, "p2": 1}, ready_since=ready).judge().plan
    later = one.remember(ready_runs={"p1": 7, "p2": 7}, ready_since=ready).judge(TOMORROW).plan

    assert first.pending == 2
    assert first.digest == later.digest


def _rename(one: SchoolBuilder) -> object:
    one.members[0] = replace(one.members[0], username="new")
    return one


def _password_gone(one: SchoolBuilder) -> object:
    one.members[0] = replace(one.members[0], has_password=False)
    return one


def _disabled(one: SchoolBuilder) -> object:
    one.members[0] = replace(one.members[0], status=MemberStatus.DISABLED)
    return one


def _state(one: SchoolBuilder) -> object:
    one.accounts[0] = replace(one.accounts[0], state="66048")
    return one


FACTS: dict[str, Change] = {
    "somebody more leaves": lambda one: one.leaver("p9"),
    "a username": _rename,
    "a password": _password_gone,
    "a member's status": _disabled,
    "an account's state": _state,
    "an account more": lambda one: one.account("p1", "ldap"),
    "another exit date": lambda one: one.leave("p1", YESTERDAY - timedelta(days=1)),
    "another reason": lambda one: one.remember(blocks={"p1": Block("p1", "Ada", "a quarrel")}),
    "an addition": lambda one: one.role("p3", "Parent"),
    "a session store": lambda one: one.store("app", SessionKey.PERSON_ID),
    "somebody held": lambda one: one.rules(policies={}),
}


@pytest.mark.parametrize("change", FACTS.values(), ids=FACTS.keys())
def test_another_fact_gives_another_plan(change: Change) -> None:
    before, after = two_leavers(), two_leavers()
    change(after)

    assert digest(before) != digest(after)


def test_what_concerns_nobody_in_the_plan_changes_nothing() -> None:
    one = two_leavers().family("p8")

    assert digest(one) == digest(two_leavers())


def test_a_session_that_comes_and_goes_changes_nothing() -> None:
    assert digest(two_leavers().session("p1")) == digest(two_leavers())


def test_the_order_of_sessions_changes_nothing() -> None:
    clubs = [PortalRules(name, Strategy.MANUAL) for name in ("chess", "rowing")]
    users = {(club.name, "sam"): "p1" for club in clubs}

    plans = [
        two_leavers().portal(*clubs).remember(users=users).session(portal=a, user="sam").session(portal=b, user="sam")
        for a, b in (("chess", "rowing"), ("rowing", "chess"))
    ]

    assert plans[0].judge().plan == plans[1].judge().plan
    assert plans[0].judge().legs("p1")[-2].portals == ("chess", "rowing")


def test_an_objection_is_not_part_of_the_digest() -> None:
    one = two_leavers()

    assert digest(one) == digest(one.limits(max_revocations=0))


# --- cutting ----------------------------------------------------------------------------------------------------


def test_without_cuts_the_rows_with_a_factor_whatever_its_case() -> None:
    plan = school().leaver("p1").leaver("p2", contact_type="Stepmother").judge().plan

    cut = without(plan, [("contact_type", "stepmother")])

    assert [r.key for r in cut.revocations] == ["p1"]
    assert cut.plan_id != plan.plan_id


@pytest.mark.parametrize("written", ["Stepmother", "stepmother ", "Step\u200emother"])
def test_the_cut_an_objection_offers_leaves_out_everybody_it_is_about_however_their_type_is_written(
    written: str,
) -> None:
    one = (
        school()
        .contact_type("Stepmother", flag=True)
        .families(3)
        .family("p1", contact_type=written)
        .family("p2")
        .next_night()
    )
    judged = one.leave("p1").leave("p2").contact_type("Stepmother", flag=False).judge()

    (objection,) = [o for o in judged.plan.objections if o.label == "rule-changed:Stepmother"]
    cut = without(judged.plan, [("contact_type", "Stepmother")])

    assert "To close only the other 1, leave these out:" in objection.fix
    assert [r.key for r in cut.revocations] == ["p2"]


def test_without_a_portal_cuts_its_additions_too() -> None:
    plan = school().portal(ASSOCIATION).person().role(role="Parent").judge().plan

    assert without(plan, [("portal", "association")]).additions == ()


def test_except_leaves_somebody_out_and_says_why() -> None:
    plan = school().leaver("p1").leaver("p2").judge().plan

    cut = except_for(plan, ["p2"], "on a journey")

    assert [r.key for r in cut.revocations] == ["p1"]
    assert cut.warnings == ("left out by hand: Cp2 (on a journey)",)


def test_only_keeps_these_rows_and_no_additions() -> None:
    plan = school().portal(ASSOCIATION).leaver("p1").leaver("p2").role("p2", "Parent").judge().plan

    cut = only(plan, ["p2"])

    assert [r.key for r in cut.revocations] == ["p2"]
    assert cut.additions == ()


def test_the_backlog_goes_by_the_oldest_login_never_first() -> None:
    one = school().leaver("a").leaver("b").leaver("c")
    one.members[0] = replace(one.members[0], last_login=NOW)
    one.members[2] = replace(one.members[2], last_login=NOW - timedelta(days=400))

    rows = oldest_login_first(one.judge().plan.revocations)

    assert [r.key for r in rows] == ["b", "c", "a"]


def test_a_row_that_only_reports_is_shown_and_is_no_part_of_the_digest() -> None:
    one = school().policy(no_student_at_school=Policy.REPORT).leaver()

    judged = one.judge()

    assert judged.keys == ["p1"]
    assert judged.plan.digest == school().judge().plan.digest


def test_a_plan_of_a_school_where_nothing_is_to_do_is_empty() -> None:
    judged = school().portal(FACULTY).families(3).judge()

    assert judged.plan.pending == 0
    assert judged.status("ok0") is Status.ACTIVE


def test_the_same_facts_give_the_same_plan_after_an_account_was_linked() -> None:
    one = school().leaver().families(2)
    before = one.judge().plan

    after = one.remember(links={("ad", one.accounts[0].guid): "p1"}).judge().plan

    assert after.digest == before.digest
    assert [r.basis for r in after.revocations] == [r.basis for r in before.revocations]


def test_a_cut_that_cuts_nothing_is_refused_with_what_there_is() -> None:
    plan = school().leaver().judge().plan

    with pytest.raises(PlanError, match="No row of this plan has contact_type=Mohter") as refused:
        without(plan, [("contact_type", "Mohter")])

    assert "contact_type=Mother" in refused.value.remedy


def test_a_row_is_named_by_the_username_of_what_is_closed() -> None:
    one = school().portal(ALUMNI).student("s1", left=YESTERDAY).contact("p1", of="s1")
    one.member("p1", portal="alumni", username="old").member("p1", username="new")

    assert one.judge().row("p1").username == "new"


def test_a_row_is_named_by_the_account_before_a_portal_that_stays() -> None:
    one = school().portal(ALUMNI).leaver().member("p1", portal="alumni", username="a1")

    assert one.judge().row("p1").username == "up1"
