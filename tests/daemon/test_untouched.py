"""What needs somebody and is left alone goes one level up, once; whatever somebody does about it ends that."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connector.model import Hold
from connector.policy import Policy
from connector.reconcile.memory import Release
from connector.reconcile.plan import hold_digest
from tests.daemon.mailed import Mailed, told

HEAD = "head@school.example"


def held(folder: Path) -> Mailed:
    """Give a school in which one row waits for a person since last night."""
    one = told(folder).reported(escalate_to=(HEAD,))
    one.nights.school.policy(no_student_at_school=Policy.HOLD)
    return one.leave("ok0").nights_pass()


def test_what_is_untouched_for_a_day_is_told_one_level_up_once(tmp_path: Path) -> None:
    one = held(tmp_path)
    before = one.subjects("untouched")
    one.nights_pass(3)

    (letter,) = one.letters("untouched")
    assert before == []
    assert letter.subject == "1 untouched for 24 hours (Harbour)"
    assert letter.to == ("directory@school.example", HEAD)
    assert "connector release" in letter.text
    assert "Audit head: " in letter.text


def test_without_anybody_one_level_up_nothing_is_told_there(tmp_path: Path) -> None:
    one = held(tmp_path).reported(escalate_to=()).nights_pass(2)

    assert one.subjects("untouched") == []


def released(one: Mailed) -> None:
    row = one.connector().look(one.connector().today()).plan.revocations[0]
    digest = hold_digest(Hold.POLICY, row.reasons, row.evidence)
    one.journal.release(Release(row.key, Hold.POLICY, digest, "alice@host", "checked"))


def kept(one: Mailed) -> None:
    one.journal.keep("ok0", "alice@host", "exam week", None)


def gone(one: Mailed) -> None:
    """The child is at the school after all."""
    school = one.nights.school
    school.enrolments = [replace(enrolment, exit_date=None) for enrolment in school.enrolments]


@pytest.mark.parametrize("touch", [released, kept, gone])
def test_whatever_somebody_does_about_it_ends_it(tmp_path: Path, touch: Callable[[Mailed], None]) -> None:
    one = held(tmp_path)

    touch(one)
    one.nights_pass(2)

    assert one.subjects("untouched") == []


def test_a_stopped_plan_is_told_though_it_is_another_plan_every_night(tmp_path: Path) -> None:
    one = told(tmp_path, families=9).reported(escalate_to=(HEAD,))
    one.nights.school.limits(max_revocations=2, share_floor=1)
    one.leave("ok0", "ok1", "ok2").nights_pass().leave("ok3").nights_pass(2)

    (letter,) = one.letters("untouched")
    assert letter.subject == "1 untouched for 24 hours (Harbour)"
    assert "max-revocations" in letter.text


def test_a_plan_that_was_approved_is_touched(tmp_path: Path) -> None:
    one = told(tmp_path, families=9).reported(escalate_to=(HEAD,))
    one.nights.school.limits(max_revocations=2, share_floor=1)
    one.leave("ok0", "ok1", "ok2").nights_pass()
    plan = one.journal.plan(one.journal.runs(1)[0].plan_id).plan
    waivers = tuple(objection.label for objection in plan.objections)
    one.journal.approve(plan.digest, plan.plan_id, waivers, "alice@host", "read")

    one.nights_pass(2)

    assert one.subjects("untouched") == []


def test_a_clock_that_was_ahead_lets_nobody_wait_for_ever(tmp_path: Path) -> None:
    one = told(tmp_path).reported(escalate_to=("head@school.example",))
    one.clock.on(days=365)
    one.nights.school.limits(max_revocations=0)
    one.leave("ok0").nights_pass()
    one.clock.on(days=-365)

    one.nights_pass(3)

    assert len(one.letters("untouched")) == 1


def test_nights_that_do_not_run_are_told_one_level_up(tmp_path: Path) -> None:
    one = told(tmp_path, retry_minutes=480).reported(escalate_to=(HEAD,))
    one.nights.admin.trouble.down = True
    one.nights_pass(3)

    assert one.subjects("untouched") == ["1 untouched for 24 hours (Harbour)"]
    assert "The night [failed]" in one.letters("untouched")[0].text


def test_a_door_that_could_not_be_closed_for_a_day_is_told(tmp_path: Path) -> None:
    one = told(tmp_path, retry_minutes=480).reported(escalate_to=(HEAD,)).leave("ok0")
    one.nights.ad.trouble.lost_before = {a.guid for a in one.nights.school.accounts}
    one.nights_pass(2)

    assert one.subjects("untouched") == ["1 untouched for 24 hours (Harbour)"]


def test_what_goes_one_level_up_stands_in_the_thread_of_the_mail_that_told_of_it_first(tmp_path: Path) -> None:
    one = held(tmp_path).nights_pass(3)

    (letter,) = one.letters("untouched")
    assert letter.answers == one.letters("report")[0].name


def test_of_a_source_that_is_not_believed_nothing_goes_one_level_up_but_that(tmp_path: Path) -> None:
    one = told(tmp_path, families=8).reported(escalate_to=(HEAD,))
    one.nights.school.policy(no_student_at_school=Policy.HOLD)
    one.nights.school.enrolments = one.nights.school.enrolments[:3]

    one.nights_pass(3)

    (letter,) = one.letters("untouched")
    assert letter.subject == "1 untouched for 24 hours (Harbour)"
    assert "source-shrank:enrolments" in letter.text
