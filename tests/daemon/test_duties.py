"""What is due next, from what is remembered and the time."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connector.daemon.calendar import Schedule
from connector.daemon.duties import (
    ASKED,
    BEGUN,
    NIGHT,
    TRIED,
    Asked,
    Begun,
    Nothing,
    Patience,
    Remembered,
    Retry,
    RunAsked,
    RunNight,
    Tried,
    asked_text,
    begun_of,
    begun_text,
    next_duty,
    remembered,
    tried_text,
    with_night,
)

SCHEDULE = Schedule(time(2, 30), ZoneInfo("UTC"))
TODAY = date(2026, 11, 21)
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def known(*nights: date, **other: Any) -> Remembered:
    return Remembered(nights or (TODAY,), **other)


def due(what: Remembered, now: datetime = NOON, drive_from: datetime | None = None) -> object:
    return next_duty(SCHEDULE, what, drive_from, now, Patience())


def at(text: str, day: date = TODAY) -> datetime:
    return datetime.combine(day, time.fromisoformat(text), UTC)


# --- nights -----------------------------------------------------------------------------------------------------------


def test_nothing_is_due_before_the_next_night() -> None:
    assert due(known()) == Nothing(at("02:30", TODAY + timedelta(days=1)))


def test_a_night_is_run_at_its_time() -> None:
    assert due(known(TODAY - timedelta(days=1)), at("02:30")) == RunNight(TODAY, "night")


def test_a_night_that_was_missed_is_caught_up() -> None:
    assert due(known(TODAY - timedelta(days=4))) == RunNight(TODAY, "caught-up")


def test_a_clock_that_is_set_back_runs_no_night_twice() -> None:
    nights = known(TODAY, TODAY - timedelta(days=1))

    assert isinstance(due(nights, NOON - timedelta(days=1)), Nothing)


def test_a_clock_that_was_years_ahead_keeps_no_later_night_from_its_turn() -> None:
    nights = known(date(2031, 1, 1), TODAY)

    assert due(nights, at("02:30", TODAY + timedelta(days=1))) == RunNight(TODAY + timedelta(days=1), "night")


def test_a_night_that_failed_is_tried_again_after_a_while_under_the_same_name() -> None:
    failed = known(TODAY - timedelta(days=1), tried=Tried(TODAY, at("02:31"), "night"))

    assert due(failed, at("02:35")) == Nothing(at("02:41"))
    assert due(failed, at("02:41")) == RunNight(TODAY, "night")


def test_a_night_that_failed_gives_way_to_the_next_one() -> None:
    tomorrow = TODAY + timedelta(days=1)
    failed = known(TODAY - timedelta(days=1), tried=Tried(TODAY, at("02:29", tomorrow), "night"))

    assert due(failed, at("02:30", tomorrow)) == RunNight(tomorrow, "night")


def test_a_try_of_the_future_was_written_by_a_wrong_clock() -> None:
    failed = known(TODAY - timedelta(days=1), tried=Tried(TODAY, NOON + timedelta(days=300), "night"))

    assert isinstance(due(failed), RunNight)


# --- what was asked for, and what is open -----------------------------------------------------------------------------


def test_what_was_asked_for_is_run_at_once() -> None:
    asked = Asked("webhook", NOON)

    assert due(known(asked=asked)) == RunAsked(asked)


def test_between_two_runs_that_were_asked_for_some_time_passes() -> None:
    asked = Asked("webhook", NOON)
    what = known(asked=asked, triggered_at=NOON - 5 * MINUTE)

    assert due(what) == Nothing(NOON + 10 * MINUTE)
    assert due(what, NOON + 10 * MINUTE) == RunAsked(asked)


def test_a_night_goes_before_what_was_asked_for() -> None:
    what = known(TODAY - timedelta(days=1), asked=Asked("webhook", at("02:30")))

    assert isinstance(due(what, at("02:30")), RunNight)


def test_what_is_open_is_driven_again_some_minutes_after_the_last_try() -> None:
    what = known(driven_at=NOON - 4 * MINUTE)

    assert due(what, drive_from=NOON - 60 * MINUTE) == Nothing(NOON + 6 * MINUTE)
    assert due(what, NOON + 6 * MINUTE, NOON - 60 * MINUTE) == Retry()


def test_what_can_be_driven_later_only_is_driven_then() -> None:
    assert due(known(), drive_from=NOON + 90 * MINUTE) == Nothing(NOON + 90 * MINUTE)


@pytest.mark.parametrize("last", ["triggered_at", "driven_at"])
def test_a_last_time_in_the_future_keeps_nothing_from_its_turn(last: str) -> None:
    what = known(**{last: NOON + timedelta(days=400), "asked": Asked("webhook", NOON)})

    assert not isinstance(due(what, drive_from=NOON), Nothing)


# --- as text ----------------------------------------------------------------------------------------------------------


def test_what_is_remembered_is_read_as_it_was_written() -> None:
    tried, asked = Tried(TODAY, NOON, "caught-up"), Asked("file people 1.csv", NOON)
    values = {
        NIGHT: with_night((TODAY,), TODAY + timedelta(days=1)),
        TRIED: tried_text(tried),
        ASKED: asked_text(asked),
    }

    assert remembered(values) == Remembered((TODAY + timedelta(days=1), TODAY), tried, asked)


@pytest.mark.parametrize("begun", [Begun("night", NOON, TODAY), Begun("file x", NOON)])
def test_a_run_that_is_begun_is_read_as_it_was_written(begun: Begun) -> None:
    assert begun_of(begun_text(begun)) == begun


def test_the_nights_that_are_remembered_are_bounded_and_the_newest_written_stay() -> None:
    nights: tuple[date, ...] | None = None
    for number in range(200):
        nights = remembered({NIGHT: with_night(nights, TODAY + timedelta(days=number))}).nights

    assert nights is not None
    assert len(nights) == 60
    assert nights[0] == TODAY + timedelta(days=199)


@pytest.mark.parametrize("name", [NIGHT, TRIED, ASKED, BEGUN])
def test_what_cannot_be_read_counts_as_forgotten(name: str) -> None:
    known_now = remembered({name: "{not what we wrote"})

    assert known_now.nights in (None, ())
    assert (known_now.tried, known_now.asked) == (None, None)
