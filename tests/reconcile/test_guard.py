"""Every limit on a plan: it fires one step over, and is silent exactly at it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connector.model import MemberStatus, Reason
from connector.policy import Limits
from connector.reconcile.guard import addition_objections, enable_objections, standing_objections
from connector.reconcile.memory import Block, Closed, Release
from connector.reconcile.plan import hold_digest
from tests.reconcile.build import ASSOCIATION, FACULTY, NOW, TODAY, YESTERDAY, Judged, SchoolBuilder, school

HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)


def night(before: SchoolBuilder, **limits: Any) -> SchoolBuilder:
    """Accept a school, and give the next night with these limits."""
    return before.next_night().limits(**limits)


def leaving(count: int, of: int = 0, **limits: Any) -> Judged:
    """Let so many families leave since the last accepted night, beside others that stay."""
    one = night(school().families(count, "gone").families(of), **limits)
    for number in range(count):
        one.leave(f"gone{number}")
    return one.judge()


def closed(count: int, ago: timedelta, **more: Any) -> tuple[Closed, ...]:
    return tuple(Closed(f"earlier{n}", NOW - ago, ("Mother",), ("engage",), **more) for n in range(count))


# --- first run --------------------------------------------------------------------------------------------------


def test_a_first_run_has_nothing_to_compare_with() -> None:
    judged = school().leaver().judge()

    assert judged.labels == ["first-run"]
    assert "close 1 person and add 0" in judged.text("first-run")
    assert judged.plan.objections[0].stops_urgent


def test_a_first_run_that_finds_nothing_to_do_is_silent() -> None:
    assert school().families(3).judge().labels == []


def test_a_second_run_is_compared_with_the_first() -> None:
    assert leaving(1).labels == []


# --- how many ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "labels"), [(3, []), (4, ["max-revocations"])])
def test_max_revocations(count: int, labels: list[str]) -> None:
    judged = leaving(count, max_revocations=3)

    assert judged.labels == labels


@pytest.mark.parametrize(
    ("active", "floor", "share", "count", "fires"),
    [
        (100, 5, 0.05, 5, False),
        (100, 5, 0.05, 6, True),
        (40, 5, 0.05, 5, False),
        (40, 5, 0.05, 6, True),
        (50, 5, 0.29, 14, False),
        (50, 5, 0.28, 14, False),
        (50, 5, 0.27, 14, True),
    ],
)
def test_max_share_of_active_identities_with_its_floor(
    active: int, floor: int, share: float, count: int, fires: bool
) -> None:
    judged = leaving(count, active, max_share=share, share_floor=floor)

    assert ("max-share" in judged.labels) is fires


def test_the_floor_goes_for_every_share() -> None:
    shares = ("max_share", "max_share_7_days", "max_share_per_contact_type", "max_share_per_portal")
    strict: dict[str, Any] = dict.fromkeys(shares, 0.0)

    assert leaving(5, 10, share_floor=5, **strict).labels == []
    assert leaving(6, 10, share_floor=5, **strict).labels == [
        "max-share",
        "max-share-7-days",
        "max-share:contact_type=Mother",
        "max-share:portal=engage",
    ]


@pytest.mark.parametrize(("count", "fires"), [(4, False), (5, True)])
def test_a_share_per_contact_type(count: int, fires: bool) -> None:
    one = school().families(100)
    for number in range(20 + count):
        one.family(f"step{number}", contact_type="Stepmother")
    one = night(one, max_share_per_contact_type=0.2, share_floor=1)
    for number in range(count):
        one.leave(f"step{number}")

    assert ("max-share:contact_type=Stepmother" in one.judge().labels) is fires


@pytest.mark.parametrize(("count", "fires"), [(2, False), (3, True)])
def test_a_share_per_portal(count: int, fires: bool) -> None:
    one = school().portal(FACULTY).families(50)
    for number in range(10 + count):
        one.person(f"t{number}").role(f"t{number}").doors(f"t{number}", "faculty")
    one = night(one, max_share_per_portal=0.2, share_floor=1)
    one.roles = [replace(g, ends_on=YESTERDAY) if int(g.person_id[1:]) < count else g for g in one.roles]
    one.rules(policies=dict.fromkeys(Reason, "apply"))

    assert ("max-share:portal=faculty" in one.judge().labels) is fires


def test_held_and_reported_rows_count_under_no_limit() -> None:
    one = school()
    for number in range(9):
        one.family(f"p{number}", contact_type="Uncle", access=True)
    one = night(one, max_revocations=0)
    one.relationships = [replace(r, portal_access=None) for r in one.relationships]

    judged = one.judge()

    assert len(judged.keys) == 9
    assert judged.labels == []


# --- over a day and a week --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ago", "fires"), [(HOUR, True), (DAY - HOUR, True), (DAY, False), (DAY + HOUR, False)])
def test_a_day_rolls(ago: timedelta, fires: bool) -> None:
    one = night(school().family("p1"), max_revocations=3).leave("p1").remember(recent=closed(3, ago))

    assert ("max-revocations" in one.judge().labels) is fires


@pytest.mark.parametrize(("ago", "fires"), [(7 * DAY - HOUR, True), (7 * DAY, False)])
def test_a_week_rolls(ago: timedelta, fires: bool) -> None:
    one = night(school().family("p1"), max_revocations_7_days=3).leave("p1").remember(recent=closed(3, ago))

    judged = one.judge()

    assert judged.labels == (["max-revocations-7-days"] if fires else [])
    assert not fires or "1 person, after 3 in the last 7 days" in judged.text("max-revocations-7-days")


def test_a_week_rolls_per_share_too() -> None:
    limits: dict[str, Any] = {"max_share_7_days": 0.0, "share_floor": 3}
    one = night(school().family("p1").families(5), **limits).leave("p1").remember(recent=closed(3, 6 * DAY))

    assert one.judge().labels == ["max-share-7-days"]


def test_somebody_closed_twice_counts_once() -> None:
    one = night(school().family("p1"), max_revocations=1).leave("p1")
    one.remember(recent=(Closed("p1", NOW - HOUR), Closed("p1", NOW - 2 * HOUR)))

    assert one.judge().labels == []


def test_what_was_closed_under_another_contact_type_does_not_count_under_this_one() -> None:
    limits: dict[str, Any] = {"max_share_per_contact_type": 0.0, "max_share": 1.0, "share_floor": 1}
    one = night(school().family("p1"), **limits).leave("p1")
    one.remember(recent=(Closed("other", NOW - HOUR, ("Uncle",), ("engage",)),))

    assert "max-share:contact_type=Mother" not in one.judge().labels


def test_earlier_closings_alone_stop_nothing_where_nothing_is_planned() -> None:
    one = night(school().families(3), max_revocations=1).remember(recent=closed(9, HOUR))

    assert one.judge().labels == []


# --- additions, enables -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "fires"), [(3, False), (4, True)])
def test_max_additions(count: int, fires: bool) -> None:
    one = school().portal(ASSOCIATION)
    for number in range(count):
        one.person(f"p{number}").role(f"p{number}", "Parent")
    judged = night(one, max_additions=3).judge()

    assert judged.labels == (["max-additions"] if fires else [])
    assert bool(addition_objections(count, Limits(max_additions=3))) is fires


@pytest.mark.parametrize(("count", "fires"), [(25, False), (26, True)])
def test_max_enables(count: int, fires: bool) -> None:
    assert bool(enable_objections(count, Limits(max_enables=25))) is fires


# --- a portal closed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "fires"), [(2, False), (3, True)])
def test_over_a_fifth_of_a_portal_newly_disabled_by_this_plan(count: int, fires: bool) -> None:
    judged = leaving(count, 10 - count, max_portal_closed=0.2)

    assert judged.labels == (["portal-closed:engage"] if fires else [])


@pytest.mark.parametrize(("count", "fires"), [(2, False), (3, True)])
def test_over_a_fifth_of_a_portal_newly_disabled_by_somebody_else(count: int, fires: bool) -> None:
    one = night(school().families(10), max_portal_closed=0.2)
    one.members = [replace(m, status=MemberStatus.DISABLED) if n < count else m for n, m in enumerate(one.members)]

    judged = one.judge()

    assert ("portal-closed:engage" in judged.labels) is fires
    assert not fires or "3 of the 10 members of engage" in judged.text("portal-closed:engage")
    assert not fires or "0 by this plan, 3 by somebody else" in judged.text("portal-closed:engage")


def test_members_our_journal_disabled_are_not_newly_disabled() -> None:
    one = night(school().families(10), max_portal_closed=0.2)
    one.members = [replace(m, status=MemberStatus.DISABLED) if n < 5 else m for n, m in enumerate(one.members)]
    one.remember(closed_members=frozenset(("engage", f"ok{n}") for n in range(5)))

    assert one.judge().labels == []


def test_both_together_count() -> None:
    one = night(school().families(10), max_portal_closed=0.2).leave("ok0").leave("ok1")
    one.members = [replace(m, status=MemberStatus.DISABLED) if m.person_id == "ok9" else m for m in one.members]

    assert one.judge().labels == ["portal-closed:engage"]


def test_a_portal_that_did_not_answer_or_is_gone_from_the_config_is_not_closed() -> None:
    one = night(school().portal(ASSOCIATION).families(10), max_portal_closed=0.2)

    assert one.not_read("portal", "engage").judge().labels == []

    other = night(school().portal(ASSOCIATION).person().member(portal="association"), max_portal_closed=0.2)
    del other.portals["association"]
    other.members.clear()

    assert other.judge().labels == []


# --- urgent rows ------------------------------------------------------------------------------------------------


def urgent_among(urgent: int, others: int, **limits: Any) -> Judged:
    one = night(school().families(urgent, "court").families(others, "gone").families(20), **limits)
    for number in range(others):
        one.leave(f"gone{number}")
    one.relationships = [
        replace(r, restricted=True) if r.contact_id.startswith("court") else r for r in one.relationships
    ]
    return one.judge()


def test_urgent_rows_go_on_when_other_rows_break_a_limit() -> None:
    judged = urgent_among(2, 3, max_revocations=4)

    assert [(o.label, o.stops_urgent) for o in judged.plan.objections] == [("max-revocations", False)]
    assert judged.going == ["court0", "court1"]


def test_urgent_rows_stop_when_they_alone_break_the_limit() -> None:
    judged = urgent_among(5, 0, max_revocations=4)

    assert [(o.label, o.stops_urgent) for o in judged.plan.objections] == [("max-revocations", True)]


def test_urgent_rows_exactly_at_the_limit_go_on() -> None:
    judged = urgent_among(4, 1, max_revocations=4)

    assert [o.stops_urgent for o in judged.plan.objections] == [False]


def test_urgent_rows_of_the_last_day_count_beside_those_of_tonight() -> None:
    one = night(school().family("p1"), max_revocations=3).remember(recent=closed(3, HOUR, reasons=(Reason.RESTRICTED,)))
    one.relationships[0] = replace(one.relationships[0], restricted=True)

    assert [o.stops_urgent for o in one.judge().plan.objections] == [True]


@pytest.mark.parametrize("earlier", [{"approved": True}, {"reasons": (Reason.RESTRICTED, Reason.BLOCKED)}])
def test_what_a_person_approved_or_asked_for_keeps_no_order_of_the_next_night_waiting(earlier: dict[str, Any]) -> None:
    recent = closed(3, HOUR, **({"reasons": (Reason.RESTRICTED,)} | earlier))
    one = night(school().family("p1"), max_revocations=3).remember(recent=recent)
    one.relationships[0] = replace(one.relationships[0], restricted=True)

    judged = one.judge()

    assert judged.labels == ["max-revocations"]
    assert judged.going == ["p1"]


def test_a_portal_mostly_closed_by_others_does_not_stop_urgent_rows() -> None:
    few = urgent_among(1, 9, max_portal_closed=0.2)
    many = urgent_among(9, 0, max_portal_closed=0.2)

    assert [(o.label, o.stops_urgent) for o in few.plan.objections] == [("portal-closed:engage", False)]
    assert [(o.label, o.stops_urgent) for o in many.plan.objections] == [("portal-closed:engage", True)]


def test_a_blocked_row_is_urgent_too() -> None:
    one = night(school().families(4, "gone").family("p1"), max_revocations=3)
    for number in range(4):
        one.leave(f"gone{number}")
    one.remember(blocks={"p1": Block("p1", "Ada", "a quarrel")})

    assert one.judge().going == ["p1"]


# --- a rollover -------------------------------------------------------------------------------------------------

WINDOW = {"rollover_from": TODAY - timedelta(days=5), "rollover_until": TODAY + timedelta(days=5)}
ROLLING = {"rollover_max_revocations": 6, "rollover_max_share": 1.0, "max_revocations": 3, "max_revocations_7_days": 3}


def rollover(gone: int, others: int = 0, **rules: Any) -> SchoolBuilder:
    one = school().rules(**{**WINDOW, **rules}).families(gone, "gone").families(others, "odd")
    one = night(one, **ROLLING).remember(rollover_complete=True)
    for number in range(gone):
        one.leave(f"gone{number}")
    for number in range(others):
        one.change(f"odd{number}", status="inactive")
    return one


@pytest.mark.parametrize(("gone", "labels"), [(6, []), (7, ["max-revocations", "max-revocations-7-days"])])
def test_after_a_rollover_wider_limits_count_for_children_who_left(gone: int, labels: list[str]) -> None:
    assert rollover(gone).judge().labels == labels


@pytest.mark.parametrize(("others", "labels"), [(3, []), (4, ["max-revocations", "max-revocations-7-days"])])
def test_after_a_rollover_the_usual_limits_count_for_everything_else(others: int, labels: list[str]) -> None:
    assert rollover(6, others).judge().labels == labels


def test_wider_limits_count_inside_the_window_only() -> None:
    one = rollover(4, rollover_from=TODAY - timedelta(days=9), rollover_until=YESTERDAY)

    assert "max-revocations" in one.judge().labels


def test_wider_limits_do_not_count_before_the_rollover_is_complete() -> None:
    judged = rollover(9).remember(rollover_complete=False).judge()

    assert judged.plan.pending == 0
    assert judged.labels == []


def test_what_a_rollover_closed_does_not_stop_the_nights_after_it() -> None:
    one = rollover(0, 1).remember(recent=closed(300, DAY - HOUR, reasons=(Reason.NO_STUDENT_AT_SCHOOL,)))

    assert one.judge().labels == []


# --- what an objection says -------------------------------------------------------------------------------------


def test_a_share_of_more_than_are_left_is_said_without_a_percentage() -> None:
    judged = leaving(9, 3, max_share=0.05, share_floor=5)

    assert "would revoke 9 people, where 3 are active ([limits] max_share is 5 %" in judged.text("max-share")


def test_a_limit_says_how_many_of_how_many_and_leads_to_the_mend_before_the_override() -> None:
    judged = leaving(6, 100, max_share=0.05, share_floor=5)

    assert judged.text("max-share") == (
        "The plan would revoke 6 people, 6.0 % of 100 active ([limits] max_share is 5 %, at least 5). "
        "6 of 6 share exit date 2026-11-20, exit date 2026-11-20 was set since 20 Nov. Nothing was closed. "
        "If wrong: correct it in the admin system. "
        f"connector approve {judged.plan.plan_id} --waive max-share"
    )


def test_the_flag_of_a_contact_type_is_named_as_what_118_of_131_share() -> None:
    one = school().families(300)
    for number in range(118):
        one.family(f"step{number}", contact_type="Stepmother")
    one = night(one.families(13, "gone"), max_revocations=25).contact_type("Stepmother", flag=False)
    for number in range(13):
        one.leave(f"gone{number}")

    judged = released_all(one).judge()

    assert judged.labels == ["rule-changed:Stepmother", "max-revocations"]
    shared = "118 of 131 share contact type Stepmother, flag yes→no since 20 Nov. Nothing was closed."
    others = "To close only the other 13, leave these out: connector plan --without contact_type=Stepmother"
    assert judged.text("rule-changed:Stepmother") == (
        f"{shared} If wrong: correct it in the admin system. {others} "
        f"connector approve {judged.plan.plan_id} --waive rule-changed:Stepmother"
    )
    assert shared in judged.text("max-revocations")
    assert others in judged.text("max-revocations")


def released_all(one: SchoolBuilder) -> SchoolBuilder:
    """Release every hold: a child at school holds each of these rows by itself."""
    return one.remember(
        releases=tuple(
            Release(d.identity.key, hold, hold_digest(hold, d.reasons, d.evidence), "Ada")
            for d in one.judge().decisions.rows
            for hold in d.holds
        )
    )


def test_all_objections_are_reported() -> None:
    judged = leaving(9, 1, max_revocations=3, max_revocations_7_days=8, max_portal_closed=0.2)

    assert judged.labels == ["portal-closed:engage", "max-revocations", "max-revocations-7-days"]


def test_a_waiver_names_the_objections_it_waives() -> None:
    plan = leaving(9, 1, max_revocations=3, max_portal_closed=0.2).plan

    assert [o.label for o in standing_objections(plan, ["max-revocations"])] == ["portal-closed:engage"]
    assert standing_objections(plan, ["max-revocations", "portal-closed:engage"]) == ()
    assert len(standing_objections(plan, ["max"])) == 2


def test_a_label_with_a_blank_is_quoted_for_the_shell() -> None:
    one = school().contact_type("Step mother", flag=True)
    for number in range(3):
        one.family(f"p{number}", contact_type="Step mother")
    one = night(one, max_share_per_contact_type=0.0, share_floor=2)
    for number in range(3):
        one.leave(f"p{number}")

    assert "--waive 'max-share:contact_type=Step mother'" in one.judge().text("max-share:contact_type=Step mother")


def test_every_command_of_an_objection_can_be_pasted() -> None:
    one = night(school().families(3).family("s", contact_type="Stepmother"), max_revocations=0)
    one.contact_type("Stepmother", flag=False).leave("s").leave("ok0")

    commands = [c for o in one.judge().plan.objections for c in o.commands]

    assert len(commands) > 2
    assert all(command.startswith("connector ") for command in commands)


def test_an_objection_does_not_say_that_nothing_is_closed_where_urgent_rows_go() -> None:
    judged = urgent_among(1, 4, max_revocations=3)

    assert "Only what is urgent is closed." in judged.text("max-revocations")
    assert "Nothing was closed." not in judged.text("max-revocations")
