"""From which day the days to a proven closing are reckoned: the last one on which somebody still counted."""

from datetime import date

import pytest

from connector.model import Reason
from connector.reconcile.exit_day import exit_day
from connector.reconcile.plan_values import Evidence
from tests.reconcile.build import FACULTY, TODAY, TOMORROW, Judged, SchoolBuilder, school
from tests.reconcile.harbour import AS_OF, harbour

LEFT = date(2026, 9, 30)


def day_of(judged: Judged, key: str = "p1", closed_on: date = TODAY) -> date | None:
    """Give the exit day as today's decisions have it."""
    d = judged.decision(key)
    return exit_day(d.identity.person_id, d.reasons, d.evidence, d.closing, judged.decisions, closed_on)


def test_a_leaver_counts_until_the_last_day_of_grace() -> None:
    judged = school().leaver("p1", left=LEFT).rules(grace_days={"left": 14}).judge()

    assert day_of(judged) == date(2026, 10, 14)


def test_the_last_of_several_children_counts() -> None:
    judged = school().leaver("p1", left=LEFT).student("s2", left=date(2026, 10, 2)).contact("p1", of="s2").judge()

    assert day_of(judged) == date(2026, 10, 2)


def test_a_child_who_never_gave_access_does_not_count() -> None:
    later = school().leaver("p1", left=LEFT).student("s2", left=date(2026, 10, 2))

    assert day_of(later.contact("p1", of="s2", contact_type="Uncle").judge()) == LEFT


def test_a_relationship_counts_until_the_day_before_it_ended() -> None:
    judged = (
        school().student("s1").contact("p1", ended_on=date(2026, 9, 1)).doors("p1").rules(ended_link_days=1).judge()
    )

    assert day_of(judged) == date(2026, 8, 31)


def test_a_role_counts_until_its_last_day() -> None:
    judged = school().portal(FACULTY).person("p1").role("p1", ends=LEFT).doors("p1", "faculty").judge()

    assert day_of(judged) == LEFT


def test_a_portal_somebody_still_has_does_not_hide_the_end_of_another() -> None:
    staff = school().portal(FACULTY).leaver("p1", left=LEFT).role("p1").member("p1", "faculty")

    assert day_of(staff.judge()) == LEFT


@pytest.mark.parametrize(
    "builder",
    [
        school().student("s1").contact("p1", restricted=True).doors("p1"),
        school().family("p1", contact_type="Uncle"),
        school().person("p1").doors("p1"),
        school().doors("p1"),
    ],
    ids=["a court order", "a flag that is off", "no relationship", "a record that is gone"],
)
def test_nobody_knows_the_day_of(builder: SchoolBuilder) -> None:
    assert day_of(builder.judge()) is None


def test_a_day_after_the_closing_is_not_the_one_it_was_closed_for() -> None:
    assert day_of(school().leaver("p1", left=LEFT).judge(), closed_on=date(2026, 9, 1)) is None


def test_what_was_written_down_counts_once_the_people_have_left_the_data() -> None:
    told = (
        Evidence("no-student-at-school", "Ben (Mother): last day 2026-09-30 (left), access until 2026-10-14"),
        Evidence("no-student-at-school", "Eve (Mother): the relationship ended on 2026-09-01"),
        Evidence("still-has-children", "Eve (Mother): the relationship ended on 2026-11-01"),
    )

    day = exit_day("gone", (Reason.NO_STUDENT_AT_SCHOOL,), told, ("engage",), school().judge().decisions, TOMORROW)

    assert day == date(2026, 10, 14)


def test_what_is_written_down_as_evidence_says_the_same_day_as_the_data() -> None:
    decisions = harbour().decided()
    dated = {Reason.NO_STUDENT_AT_SCHOOL, Reason.ROLE_ENDED}
    rows = [d for d in decisions.rows if dated.intersection(d.reasons) and len(set(d.reasons)) == 1]
    from_data = [exit_day(d.identity.person_id, d.reasons, (), d.closing, decisions, AS_OF) for d in rows]

    from_evidence = [exit_day("gone", d.reasons, d.evidence, d.closing, decisions, AS_OF) for d in rows]

    assert from_evidence == from_data
    assert len([day for day in from_data if day]) > 10
