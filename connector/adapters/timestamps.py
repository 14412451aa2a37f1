"""Timestamps as session stores write them: ISO-8601 text, epoch numbers, native values.

Never guesses: a value that is none of these is no timestamp at all, and what rests on it takes the careful side.
"""

import math
from datetime import UTC, datetime, tzinfo
from decimal import Decimal

import msgpack

_MILLISECONDS_FROM = 100_000_000_000  # as seconds this is the year 5138, as milliseconds 1973: stores write both
_LONGEST_TEXT = 40


def moment(value: object, naive: tzinfo = UTC) -> datetime | None:
    """Give the zoned moment a stored value stands for, or none; `naive` is the zone of values that name none."""
    try:
        return _moment(value, naive)
    except (ValueError, OverflowError, OSError):
        return None


def _moment(value: object, naive: tzinfo) -> datetime | None:
    match value:
        case bool():
            return None
        case datetime():
            return value if value.tzinfo else value.replace(tzinfo=naive)
        case int() | float() | Decimal():
            return _from_epoch(float(value))
        case msgpack.Timestamp():
            return _from_epoch(value.to_unix())
        case str():
            return _from_text(value.strip(), naive)
        case _:
            return None


def _from_epoch(seconds: float) -> datetime | None:
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return datetime.fromtimestamp(seconds / 1000 if seconds >= _MILLISECONDS_FROM else seconds, UTC)


def _from_text(text: str, naive: tzinfo) -> datetime | None:
    if not text or len(text) > _LONGEST_TEXT:
        return None
    try:
        return _from_epoch(float(text))
    except ValueError:
        return _moment(datetime.fromisoformat(text), naive)
