"""When the nights are: every local day has exactly one, whatever its clocks do."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.daemon.calendar import Schedule

ZONES = (
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "America/New_York",
    "Africa/Casablanca",
)


def schedule(at: str, zone: str, *days: int) -> Schedule:
    return Schedule(time.fromisoformat(at), ZoneInfo(zone), frozenset(days or range(7)))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "at", "day", "local"),
    [
        ("Europe/Berlin", "02:30", date(2027, 3, 28), "03:00+02:00"),
        ("Australia/Sydney", "02:30", date(2026, 10, 4), "03:00+11:00"),
        ("Australia/Lord_Howe", "02:10", date(2026, 10, 4), "02:30+11:00"),  # half an hour is skipped
        ("America/Sao_Paulo", "00:15", date(2017, 10, 15), "01:00-02:00"),  # midnight itself was skipped
    ],
)
def test_a_skipped_time_means_the_next_valid_minute(zone: str, at: str, day: date, local: str) -> None:
    night = schedule(at, zone).night_of(day).astimezone(ZoneInfo(zone))

    assert f"{night:%H:%M}{night.isoformat()[-6:]}" == local
    assert night.date() == day


@pytest.mark.parametrize("at", ["00:00", "02:30", "23:45"])
def test_a_day_that_a_zone_skipped_has_no_night_of_its_own(at: str) -> None:
    apia, now = schedule(at, "Pacific/Apia"), datetime(2011, 12, 28, 12, 0, tzinfo=UTC)
    done: list[date] = []
    while now < datetime(2012, 1, 2, 12, 0, tzinfo=UTC):
        done += [day for day in [apia.due(now, done)] if day]
        now = apia.next_night(now)

    assert [day for day in done if day.day > 28] == [date(2011, 12, 29), date(2011, 12, 31)]


@pytest.mark.parametrize(
    ("zone", "at", "day", "offset"),
    [
        ("Europe/Berlin", "02:30", date(2026, 10, 25), "+02:00"),
        ("Australia/Sydney", "02:30", date(2027, 4, 4), "+11:00"),
        ("Australia/Lord_Howe", "01:45", date(2027, 4, 4), "+11:00"),
        ("America/Sao_Paulo", "23:30", date(2018, 2, 17), "-02:00"),
    ],
)
def test_a_doubled_time_is_its_first_showing_and_that_once(zone: str, at: str, day: date, offset: str) -> None:
    one = schedule(at, zone)

    night = one.night_of(day)

    assert night.astimezone(ZoneInfo(zone)).isoformat().endswith(offset)
    assert one.due(night + timedelta(hours=1, minutes=1), [day]) is None


def test_a_zone_of_three_quarters_of_an_hour_has_its_nights_too() -> None:
    assert schedule("02:30", "Asia/Kathmandu").night_of(date(2026, 11, 21)) == utc("2026-11-20T20:45")


def test_nights_that_were_missed_are_due_once_and_only_the_newest() -> None:
    one = schedule("02:30", "Europe/Berlin")
    now = utc("2026-11-21T12:00")

    assert one.due(now, [date(2026, 11, 17)]) == date(2026, 11, 21)
    assert one.due(now, [date(2026, 11, 17), date(2026, 11, 21)]) is None


def test_before_its_time_today_the_newest_night_is_yesterdays() -> None:
    one = schedule("22:00", "Europe/Berlin")

    assert one.begun(utc("2026-11-21T20:59")) == date(2026, 11, 20)
    assert one.begun(utc("2026-11-21T21:00")) == date(2026, 11, 21)


def test_a_night_applies_on_the_days_that_are_named() -> None:
    one = schedule("02:30", "Europe/Berlin", 0, 1, 2, 3)

    assert [one.may_apply(date(2026, 11, 16) + timedelta(days=n)) for n in range(7)] == [True] * 4 + [False] * 3


@settings(max_examples=40, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    at=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    first=st.dates(date(2005, 1, 1), date(2035, 1, 1)),
)
def test_over_any_two_years_each_local_day_has_exactly_one_night(zone: str, at: time, first: date) -> None:
    one = Schedule(at, ZoneInfo(zone))
    days = [first + timedelta(days=n) for n in range(731)]

    nights = [one.night_of(day) for day in days]

    assert all(before < after for before, after in pairwise(nights))
    assert [one.day(night) for night in nights] == days
    assert all(night.second == 0 for night in nights)


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    at=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    start=st.datetimes(datetime(2005, 1, 1), datetime(2035, 1, 1)),  # noqa: DTZ001 - Hypothesis takes its bounds so
    steps=st.lists(st.timedeltas(timedelta(minutes=1), timedelta(days=3)), max_size=60),
)
def test_whoever_looks_at_any_times_runs_no_day_twice_and_misses_no_newest(
    zone: str, at: time, start: datetime, steps: list[timedelta]
) -> None:
    one, now = Schedule(at, ZoneInfo(zone)), start.replace(tzinfo=UTC)
    done: list[date] = [one.begun(now)]

    for step in steps:
        now += step
        if (day := one.due(now, done)) is not None:
            done.append(day)

    assert done == sorted(set(done))
    assert done[-1] == one.begun(now)
    assert one.next_night(now) > now >= one.night_of(done[-1])
