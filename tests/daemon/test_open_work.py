"""How often what is open is tried: soon at first, at least hourly, and soon again when something new is open."""

from datetime import UTC, datetime, timedelta

import pytest

from connector.daemon.open_work import pause

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("open_minutes", "pause_minutes"),
    [((0,), 10), ((60,), 10), ((180,), 30), ((360,), 60), ((9000,), 60), ((9000, 5), 10)],
)
def test_the_pause_grows_with_the_time_the_youngest_has_been_open(
    open_minutes: tuple[int, ...], pause_minutes: int
) -> None:
    begun = [NOON - minutes * MINUTE for minutes in open_minutes]

    assert pause(begun, 10 * MINUTE, NOON) == pause_minutes * MINUTE


def test_a_longer_pause_of_the_config_stands() -> None:
    assert pause([NOON - timedelta(days=3)], 240 * MINUTE, NOON) == 240 * MINUTE


def test_what_was_intended_before_the_clock_was_set_back_does_not_count() -> None:
    assert pause([NOON + timedelta(days=1)], 10 * MINUTE, NOON) == 10 * MINUTE
