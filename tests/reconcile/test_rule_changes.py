"""Rules that changed and restrictions that were lifted since the last accepted run."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.model import MemberStatus, Reason
from connector.policy import OnMismatch, Policy
from connector.reconcile.guard import guard
from connector.reconcile.memory import Block
from connector.reconcile.report import Outcomes, RunFacts, report
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


def settled(**fields: Any) -> SchoolBuilder:
    """Accept a school of one family beside some others, and give the next night."""
    return school().family(**fields).families(3).next_night()


# --- contact types ----------------------------------------------------------------------------------------------


def without_hold(one: SchoolBuilder) -> SchoolBuilder:
    """Let the relationship's student leave, so that no hold asks about a child at school."""
    return one.leave("p1")


def test_a_flag_that_changed_is_looked_at_at_one_person() -> None:
    one = without_hold(settled(contact_type="Stepmother")).contact_type("Stepmother", flag=False)

    judged = one.judge()

    assert judged.labels == ["rule-changed:Stepmother"]
    assert judged.text(judged.labels[0]) == (
        "1 of 1 share contact type Stepmother, flag yes→no since 20 Nov. Nothing was closed. "
        "If wrong: correct it in the admin system. "
        f"connector approve {judged.plan.plan_id} --waive rule-changed:Stepmother"
    )


def test_the_others_can_be_closed_without_it() -> None:
    one = without_hold(settled(contact_type="Stepmother")).contact_type("Stepmother", flag=False).leave("ok0")

    text = one.judge().text("rule-changed:Stepmother")

    assert "1 of 2 share" in text
    assert "To close only the other 1, leave these out: connector plan --without contact_type=Stepmother" in text


def test_a_flag_that_changed_and_touches_nobody_is_silent() -> None:
    assert settled().contact_type("Stepmother", flag=False).judge().labels == []


def test_a_flag_that_touches_held_rows_only_is_silent() -> None:
    one = settled(contact_type="Stepmother").contact_type("Stepmother", flag=False)

    judged = one.judge()

    assert judged.keys == ["p1"]
    assert judged.labels == []


def test_a_relationship_with_a_word_of_its_own_is_not_touched_by_its_type() -> None:
    one = without_hold(settled(contact_type="Stepmother", access=True)).contact_type("Stepmother", flag=False)

    assert one.judge().labels == []


def test_a_type_that_is_gone_from_the_list_has_changed() -> None:
    one = without_hold(settled(contact_type="Stepmother")).contact_type("Stepmother", None)

    judged = one.judge()

    assert "rule-changed:Stepmother" in judged.labels
    assert "flag yes→not listed" in judged.text("rule-changed:Stepmother")


def test_nothing_changed_is_silent() -> None:
    assert without_hold(settled()).judge().labels == []


# --- portals and roles ------------------------------------------------------------------------------------------


def staffed() -> SchoolBuilder:
    one = school().portal(FACULTY, ASSOCIATION).families(3)
    return one.person("t1").role("t1").doors("t1", "faculty").next_night()


def test_a_strategy_role_that_changed_is_looked_at() -> None:
    one = staffed()
    one.roles[0] = replace(one.roles[0], ends_on=YESTERDAY)
    one.portal(replace(FACULTY, roles=("Faculty", "Coach")))

    judged = one.judge()

    assert judged.labels == ["rule-changed:faculty"]
    assert "roles Faculty→Faculty, Coach" in judged.text("rule-changed:faculty")
    assert "If wrong: correct [portals.faculty] in the config." in judged.text("rule-changed:faculty")


def test_a_strategy_role_that_adds_people_is_looked_at_too() -> None:
    one = school().portal(ASSOCIATION).person().role(role="Friend").next_night()
    one.portal(replace(ASSOCIATION, roles=("Parent", "Friend")))

    judged = one.judge()

    assert judged.plan.pending == 1
    assert judged.labels == ["rule-changed:association"]


def test_a_changed_portal_that_touches_nobody_is_silent() -> None:
    assert staffed().portal(replace(ASSOCIATION, status_default=MemberStatus.ENABLED)).judge().labels == []


def test_a_portal_that_becomes_governed_is_looked_at() -> None:
    one = school().portal(ALUMNI, ASSOCIATION).person().member(portal="association").families(2).next_night()
    one.portal(replace(ASSOCIATION, on_mismatch=OnMismatch.REVOKE)).role(role="Parent", ends=YESTERDAY)

    assert one.judge().labels == ["rule-changed:association"]


def test_a_portal_that_no_longer_needs_accounts_is_looked_at_where_accounts_close() -> None:
    one = school().portal(FACULTY).person("t1").role("t1").doors("t1", "faculty").next_night()
    one.portal(replace(FACULTY, needs_directory_account=False))
    del one.portals["engage"]
    one.portal(replace(ENGAGE, needs_directory_account=True))

    judged = one.judge()

    assert judged.row("t1").applies
    assert judged.labels == ["rule-changed:faculty"]


@pytest.mark.parametrize("gone", [True, False])
def test_a_portal_that_is_new_or_gone_is_looked_at(gone: bool) -> None:
    one = school().person("t1").role("t1").doors("t1", "faculty").families(2)
    with_faculty = one.portal(FACULTY).next_night()
    if gone:
        del with_faculty.portals["faculty"]
        with_faculty.members = [m for m in with_faculty.members if m.portal != "faculty"]
        with_faculty.sessions.clear()
        judged = with_faculty.judge()
        assert "it is gone from the config" in judged.text("rule-changed:faculty")
    else:
        del one.portals["faculty"]
        later = one.next_night().portal(FACULTY)
        later.roles[0] = replace(later.roles[0], ends_on=YESTERDAY)
        judged = later.judge()
        assert "it is new" in judged.text("rule-changed:faculty")


# --- config rules -----------------------------------------------------------------------------------------------


def test_a_config_rule_that_changed_is_looked_at_key_by_key() -> None:
    one = settled().rules(grace_days={"graduated": 60, "left": 0, "exchange": 3}, bridge_days=10).leave("p1")

    judged = one.judge()

    assert judged.labels == ["rule-changed:grace_days.exchange", "rule-changed:bridge_days"]
    assert "changed 90→10 since 20 Nov; 1 would be closed under it" in judged.text("rule-changed:bridge_days")
    assert "changed none→3" in judged.text("rule-changed:grace_days.exchange")


def test_a_policy_that_changed_is_named_with_its_reason() -> None:
    one = school().policy(no_student_at_school=Policy.HOLD).family().families(2).next_night()
    one.policy(no_student_at_school=Policy.APPLY).leave("p1")

    assert one.judge().labels == ["rule-changed:policies.no-student-at-school"]


def test_a_config_rule_that_changed_and_touches_nobody_is_silent() -> None:
    assert settled().rules(bridge_days=10).judge().labels == []


def test_announcing_a_rollover_is_no_changed_rule() -> None:
    assert settled().rules(rollover_from=TOMORROW, rollover_until=TOMORROW).leave("p1").judge().labels == []


# --- restrictions -----------------------------------------------------------------------------------------------


def barred() -> SchoolBuilder:
    return school().family(restricted=True).families(3).next_night()


def clear(one: SchoolBuilder, **fields: Any) -> SchoolBuilder:
    one.relationships[0] = replace(one.relationships[0], restricted=False, **fields)
    return one


def test_a_restriction_that_stands_is_silent() -> None:
    assert barred().judge().labels == []


def test_a_restriction_that_was_cleared_is_looked_at_at_one_person() -> None:
    judged = clear(barred()).judge()

    assert judged.labels == ["restriction-lifted"]
    assert judged.text("restriction-lifted") == (
        "A court order was cleared since 20 Nov for Cp1. Nobody is let in before a person has looked. "
        "Nothing was closed. If wrong: set restricted again in the admin system. "
        f"connector approve {judged.plan.plan_id} --waive restriction-lifted"
    )


def test_a_restricted_relationship_that_ended_lifts_nothing() -> None:
    one = barred()
    one.relationships[0] = replace(one.relationships[0], ended_on=YESTERDAY)

    assert one.judge().labels == []


def test_a_restricted_row_that_is_gone_lifts_the_one_beside_it() -> None:
    one = school().student().contact(restricted=True).contact(contact_type="Father").next_night()
    del one.relationships[0]

    assert "restriction-lifted" in one.judge().labels


def test_a_restriction_that_stands_on_another_record_of_the_same_human_is_not_lifted() -> None:
    twin: dict[str, Any] = {"given_name": "Sam", "family_name": "Lee", "email": "sam@mail.example"}
    one = school().student().contact("p1", restricted=True, **twin).contact("p2", restricted=True, **twin).next_night()

    assert clear(one).judge().labels == []


@pytest.mark.parametrize("old_record", ["stays", "gone"])
@pytest.mark.parametrize("proof", [{"email": "sam@mail.example"}, {"previous_codes": ("Cp1",)}])
def test_an_order_that_is_lifted_by_entering_the_human_anew_is_looked_at(
    old_record: str, proof: dict[str, Any]
) -> None:
    name: dict[str, Any] = {"given_name": "Sam", "family_name": "Lee"}
    one = school().student().contact("p1", of="s1", restricted=True, email="sam@mail.example", **name)
    later = one.closed_member().next_night()
    later.relationships = []
    if old_record == "gone":
        del later.people["p1"]

    judged = later.contact("p2", of="s1", **(name | proof)).judge()

    assert "restriction-lifted" in judged.labels
    assert "Cp2" in judged.text("restriction-lifted")


def test_a_restriction_lifted_because_the_records_no_longer_match_is_looked_at() -> None:
    twin: dict[str, Any] = {"given_name": "Sam", "family_name": "Lee", "email": "sam@mail.example"}
    one = school().student().contact("p1", restricted=True, **twin).contact("p2", **twin).next_night()
    one.change("p1", email="other@mail.example")

    judged = one.judge()

    assert "restriction-lifted" in judged.labels
    assert "Cp2" in judged.text("restriction-lifted")


def test_a_column_that_is_gone_is_looked_at_and_stops_everything() -> None:
    one = clear(barred())
    one.missing = frozenset({"relationships.restricted"})

    judged = one.judge()

    assert judged.labels == ["restriction-lifted"]
    assert "the column is gone" in judged.text("restriction-lifted")
    assert judged.plan.objections[0].stops_urgent


def test_a_column_that_never_was_there_is_silent() -> None:
    one = school().family()
    one.missing = frozenset({"relationships.restricted"})

    assert one.next_night().judge().labels == []


# --- restricted for one child, let in by another ----------------------------------------------------------------


def father_of_two(access: bool | None = None) -> SchoolBuilder:
    """Accept a father whom a court bars from one of his two children, and who sees the other."""
    one = school().student("s1").student("s2").families(3)
    one.contact("p1", of="s1", contact_type="Father", access=access, restricted=True)
    return one.contact("p1", of="s2", contact_type="Father", access=access).doors("p1").next_night()


def test_who_is_restricted_for_another_child_waits_like_everybody_a_changed_flag_would_close() -> None:
    judged = father_of_two().contact_type("Father", flag=False).judge()

    assert judged.row("p1").urgent
    assert judged.going == []
    assert judged.text("rule-changed:Father").startswith(
        "1 of 1 share contact type Father, flag yes→no since 20 Nov. Nothing was closed. "
        "1 urgent row waits too: under the rules as they were nothing would close it."
    )


def test_an_order_that_is_new_is_not_held_up_by_a_flag_that_changed_the_same_day() -> None:
    one = father_of_two().contact_type("Father", flag=False)
    one.relationships = [replace(r, restricted=True) if r.contact_id == "p1" else r for r in one.relationships]

    assert one.judge().going == ["p1"]


def test_an_order_goes_before_a_flag_where_the_other_child_has_left() -> None:
    one = father_of_two(access=True).contact_type("Father", flag=False)
    one.relationships = [replace(r, ended_on=YESTERDAY) if r.student_id == "s2" else r for r in one.relationships]

    assert one.judge().going == ["p1"]


@pytest.mark.parametrize("changed", ["a rule", "a portal", "the contact type that the order itself is under"])
def test_an_order_waits_for_no_changed_rule_where_the_other_child_has_left(changed: str) -> None:
    one = father_of_two()
    one.relationships = [replace(r, ended_on=YESTERDAY) if r.student_id == "s2" else r for r in one.relationships]
    match changed:
        case "a rule":
            one.rules(notice_days=3)
        case "a portal":
            one.portal(replace(ENGAGE, status_default=MemberStatus.DISABLED))
        case _:
            one.contact_type("Father", flag=False)

    judged = one.judge()

    assert len(judged.labels) == 1
    assert judged.going == ["p1"]


def test_who_is_restricted_for_another_child_waits_for_a_grace_that_was_cut() -> None:
    one = father_of_two().rules(grace_days={"graduated": 0, "left": 0})
    gone = [
        replace(e, exit_date=YESTERDAY, exit_reason="graduated") if e.student_id == "s2" else e for e in one.enrolments
    ]
    one.enrolments = gone

    judged = one.judge()

    assert judged.row("p1").urgent
    assert judged.going == []
    assert "1 urgent row waits too" in judged.text("rule-changed:grace_days.graduated")


def test_who_is_blocked_does_not_wait_for_a_flag() -> None:
    one = father_of_two().contact_type("Father", flag=False).remember(blocks={"p1": Block("p1", "Ada", "a quarrel")})

    assert one.judge().going == ["p1"]


# --- an order that reaches another record -----------------------------------------------------------------------


def namesakes(*, restricted: bool = True) -> SchoolBuilder:
    """Accept a father whom an order bars, or not yet, and a namesake of his who has another e-mail."""
    name: dict[str, Any] = {"given_name": "Sam", "family_name": "Lee"}
    one = (
        school().student("s1").families(3).contact("p1", of="s1", restricted=restricted, email="a@mail.example", **name)
    )
    one.contact("p2", of="s1", email="b@mail.example", **name).doors("p2")
    return one.closed_member("p1").next_night()


def test_an_order_does_not_close_at_once_whom_a_wrong_e_mail_makes_one_with_a_namesake() -> None:
    one = namesakes().change("p2", email="a@mail.example")

    judged = one.judge()

    assert judged.reasons("p2") == [Reason.RESTRICTED]
    assert judged.labels == ["records-joined"]
    assert judged.going == []
    assert "reaches Cp2: since 20 Nov the e-mail and the name" in judged.text("records-joined")


def test_an_order_that_is_new_reaches_the_other_record_at_once() -> None:
    one = namesakes(restricted=False).change("p2", email="a@mail.example")
    one.relationships = [replace(r, restricted=True) if r.contact_id == "p1" else r for r in one.relationships]

    assert "p2" in one.judge().going


def test_a_record_that_is_new_is_barred_at_once_by_the_order_on_the_old_one() -> None:
    one = namesakes()
    name: dict[str, Any] = {"given_name": "Sam", "family_name": "Lee", "email": "a@mail.example"}

    judged = one.contact("p3", of="s1", **name).doors("p3").judge()

    assert judged.labels == []
    assert judged.going == ["p3"]


# --- rows that wait ---------------------------------------------------------------------------------------------


def test_a_flag_that_touches_rows_waiting_for_a_second_run_is_looked_at_before_they_go() -> None:
    """Confirmed by a second run, they would be compared with a night that has the new flag already."""
    one = without_hold(settled(contact_type="Stepmother").rules(confirm_runs=2).next_night())
    one.contact_type("Stepmother", flag=False)

    judged = one.judge()

    assert not judged.row("p1").applies
    assert judged.labels == ["rule-changed:Stepmother"]


def test_a_flag_that_rows_are_held_for_is_named_although_nothing_is_stopped() -> None:
    one = settled(contact_type="Stepmother").contact_type("Stepmother", flag=False)

    judged = one.judge()

    assert judged.labels == []
    (warning,) = judged.plan.warnings
    assert warning == (
        "1 row that waits for a person: contact type Stepmother, flag yes→no since 20 Nov. "
        "If wrong: correct it in the admin system."
    )


def test_the_cause_of_held_rows_is_named_once_however_often_a_plan_is_guarded() -> None:
    judged = settled(contact_type="Stepmother").contact_type("Stepmother", flag=False).judge()

    again = guard(judged.plan, judged.decisions, judged.judgement.night)

    assert again.warnings == judged.plan.warnings


def test_the_change_that_rows_are_held_for_has_a_name_and_a_heading_above_them() -> None:
    judged = settled(contact_type="Stepmother").contact_type("Stepmother", flag=False).judge()

    made = report(
        RunFacts("7", "Harbour", TODAY, datetime(2026, 11, 21, tzinfo=UTC), result="applied"),
        judged.plan,
        Outcomes(),
        judged.decisions,
    )

    assert [section.title for section in made.sections] == ["Why rows are held", "New holds"]
    (line,) = made.sections[0].lines
    assert (line.label, line.what) == ("Contact type Stepmother", "common-cause")
    assert line.text == "1 row that waits for a person: contact type Stepmother, flag yes→no since 20 Nov."
    assert line.to_do == "If wrong: correct it in the admin system."
    assert not any("Stepmother" in note for note in made.notes)
