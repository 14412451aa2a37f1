"""Whether a source can be believed: its age, and what became of its size."""

from datetime import timedelta

import pytest

from connector.errors import SourceError
from tests.reconcile.build import ASSOCIATION, FACULTY, NOW, SchoolBuilder, school

HOURS = timedelta(hours=1)


def made(ago: timedelta) -> list[str]:
    one = school().families(2).next_night()
    one.produced_at = NOW - ago
    return one.judge().labels


def shrunk(before: int, after: int, **limits: object) -> list[str]:
    one = school().families(before).next_night().limits(**limits)
    for number in range(after, before):
        del one.people[f"s-ok{number}"]
    return [label for label in one.judge().labels if label == "source-shrank:people"]


@pytest.mark.parametrize(
    ("ago", "fires"), [(30 * HOURS, False), (30 * HOURS + timedelta(seconds=1), True), (-5 * HOURS, False)]
)
def test_a_source_that_is_too_old_decides_nothing(ago: timedelta, fires: bool) -> None:
    assert made(ago) == (["source-too-old"] if fires else [])


def test_a_source_that_is_too_old_says_what_to_do_and_stops_urgent_rows_too() -> None:
    one = school().family(restricted=True).next_night()
    one.produced_at = NOW - 31 * HOURS

    judged = one.judge()

    assert "was made 31 hours ago; [limits] max_age_hours is 30" in judged.text("source-too-old")
    assert judged.plan.objections[0].stops_urgent


def test_a_live_source_has_no_age() -> None:
    assert school().families(2).next_night().judge().labels == []


@pytest.mark.parametrize(("after", "fires"), [(40, False), (39, True)])
def test_people_that_shrank_over_the_limit(after: int, fires: bool) -> None:
    # Each family is two people: 50 families less 10 students are a tenth less, 11 are more.
    assert bool(shrunk(50, after)) is fires


def test_a_source_that_grew_is_believed() -> None:
    assert school().families(3).next_night().families(9, "new").judge().labels == []


@pytest.mark.parametrize("dimension", ["relationships", "enrolments", "roles"])
def test_every_dimension_is_watched(dimension: str) -> None:
    one = school().portal(ASSOCIATION).families(20)
    for number in range(20):
        one.role(f"ok{number}", "Other")
    one = one.next_night()
    setattr(one, dimension, getattr(one, dimension)[:17])

    name = {"roles": "security_roles"}.get(dimension, dimension)

    assert f"source-shrank:{name}" in one.judge().labels


def test_contact_types_are_watched() -> None:
    one = school().families(2).next_night().contact_type("Uncle", None)

    assert "source-shrank:contact_types" in one.judge().labels


def test_a_short_source_is_compared_with_the_highest_of_thirty_days_too() -> None:
    one = school().families(10).next_night()
    one.highest = {"people": 40}

    judged = one.judge()

    assert judged.labels == ["source-shrank:people"]
    assert "people shrank from 40 to 20 rows (50.0 %; [limits] max_shrink is 10 %)" in judged.text(judged.labels[0])
    assert judged.plan.objections[0].stops_urgent


def test_a_short_source_is_seen_on_a_first_run_where_an_earlier_run_was_bigger() -> None:
    one = school().families(10)
    one.highest = {"people": 40}

    assert one.judge().labels == ["source-shrank:people"]


@pytest.mark.parametrize(("left", "fires"), [(7, False), (6, True)])
def test_a_small_portal_may_lose_a_few_members(left: int, fires: bool) -> None:
    one = school().portal(ASSOCIATION)
    for number in range(12):
        one.person(f"p{number}").member(f"p{number}", "association", username="", status="disabled")
    one = one.next_night().limits(share_floor=5)
    one.members = one.members[:left]

    assert ("source-shrank:portal-association" in one.judge().labels) is fires


def test_a_directory_that_shrank_is_seen() -> None:
    one = school().families(30).next_night().limits(share_floor=5)
    one.accounts = one.accounts[:20]

    assert one.judge().labels == ["source-shrank:directory-ad"]


def test_sessions_come_and_go() -> None:
    one = school().families(30).next_night().limits(share_floor=5)
    one.sessions.clear()

    assert one.judge().labels == []


def test_a_target_that_did_not_answer_has_not_shrunk() -> None:
    one = school().families(30).next_night().limits(share_floor=5).not_read("directory", "ad")

    assert one.judge().labels == []


def lacking(dimension: str) -> SchoolBuilder:
    one = school().portal(FACULTY).leaver()
    one.missing = frozenset({dimension})
    return one


@pytest.mark.parametrize("dimension", ["relationships", "enrolments", "contact_types", "security_roles"])
def test_a_whole_dimension_that_is_lacking_is_unknown_and_never_none(dimension: str) -> None:
    with pytest.raises(SourceError, match=f"carries no {dimension} at all"):
        lacking(dimension).judge()


def test_a_dimension_no_portal_is_decided_by_may_be_lacking() -> None:
    one = lacking("security_roles")
    del one.portals["faculty"]

    assert one.judge().keys == ["p1"]
