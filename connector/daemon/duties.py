"""What is to be done next, from what is remembered and what time it is. Pure: it reads no clock and no journal.

A night is remembered by its local day, never by its order: a clock that is set back runs no night twice, and one that
was years ahead keeps no later night from its turn.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from connector.daemon.calendar import Schedule

NIGHT, TRIED, ASKED, TRIGGERED, DRIVEN, BEGUN = "night", "night-tried", "asked", "triggered", "driven", "begun"
"""The names under which the journal's duties remember."""

AT_NIGHT, CAUGHT_UP, RETRY = "night", "caught-up", "retry"
"""Why a run is begun, beside "webhook" and "file NAME"."""

_KEPT_DAYS = 60
_ON_TIME = timedelta(minutes=10)
"""How long after its time a night is still the night, and not one that is caught up."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A night that was tried and did not come to its end: whose, when last, and why it was begun."""

    day: date
    at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A run that somebody asked for: why, and since when."""

    cause: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that was begun: why, when, and for a night whose. It is remembered until everybody has heard of its end."""

    cause: str
    at: datetime
    night: date | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of earlier: the days whose nights are done, and when which other run was last begun or ended.

    `nights` is None where there never was a daemon.
    """

    nights: tuple[date, ...] | None = None
    tried: Tried | None = None
    asked: Asked | None = None
    triggered_at: datetime | None = None
    driven_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited after a night that failed, between two runs that events caused, and to drive what is open."""

    retry: timedelta = timedelta(minutes=10)
    trigger: timedelta = timedelta(minutes=15)
    drive: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class RunNight:
    """Run the night of a local day."""

    day: date
    cause: str


@dataclass(frozen=True, slots=True)
class RunAsked:
    """Run because something arrived, or somebody asked."""

    asked: Asked


@dataclass(frozen=True, slots=True)
class Retry:
    """Drive what is open."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing is due before `until`."""

    until: datetime


Next = RunNight | RunAsked | Retry | Nothing


def next_duty(
    schedule: Schedule, known: Remembered, drive_from: datetime | None, now: datetime, patience: Patience
) -> Next:
    """Say what is to be done now. `drive_from` is from when on something that is open can be driven; None: nothing."""
    night_at = _night_at(schedule, known, now, patience)
    # What was asked for at a time that has not come yet, was so before the clock was set back.
    asked_at = _later(min(known.asked.at, now), known.triggered_at, patience.trigger, now) if known.asked else None
    retry_at = _later(drive_from, known.driven_at, patience.drive, now) if drive_from else None
    if night_at <= now:
        return RunNight(schedule.begun(now), _cause(schedule, known, now))
    if known.asked and asked_at is not None and asked_at <= now:
        return RunAsked(known.asked)
    if retry_at is not None and retry_at <= now:
        return Retry()
    return Nothing(min(at for at in (night_at, asked_at, retry_at) if at is not None))


def begun_by(duty: RunNight | RunAsked | Retry, now: datetime) -> Begun:
    """Give the run that a duty begins."""
    match duty:
        case RunNight():
            return Begun(duty.cause, now, duty.day)
        case RunAsked():
            return Begun(duty.asked.cause, now)
        case Retry():
            return Begun(RETRY, now)


def _night_at(schedule: Schedule, known: Remembered, now: datetime, patience: Patience) -> datetime:
    """Give when a night is run next: one that was tried in vain is tried again until the next one begins."""
    day, tried = schedule.due(now, known.nights or ()), known.tried
    if day is None:
        return schedule.next_night(now)
    if tried is None or tried.day != day or tried.at > now:
        return now
    return min(tried.at + patience.retry, schedule.next_night(now))


def _cause(schedule: Schedule, known: Remembered, now: datetime) -> str:
    day = schedule.begun(now)
    if known.tried is not None and known.tried.day == day:
        return known.tried.cause
    return AT_NIGHT if now - schedule.night_of(day) <= _ON_TIME else CAUGHT_UP


def _later(since: datetime, last: datetime | None, gap: timedelta, now: datetime) -> datetime:
    """Give when something is due that waits since a time, a gap after it was done last.

    A last time that has not come yet was written before the clock was set back: it keeps nothing from its turn.
    """
    return max(last + gap, since) if last is not None and last <= now else since


# --- what is remembered, as text ------------------------------------------------------------------------------------


def remembered(values: Mapping[str, str]) -> Remembered:
    """Read what is remembered. What cannot be read counts as forgotten: at worst something is done once more."""
    return Remembered(
        _days(values.get(NIGHT)),
        _tried(values.get(TRIED)),
        _asked(values.get(ASKED)),
        _moment(values.get(TRIGGERED)),
        _moment(values.get(DRIVEN)),
    )


def with_night(nights: tuple[date, ...] | None, day: date) -> str:
    """Write the days whose nights are done, this one the newest."""
    days = (day, *(d for d in nights or () if d != day))
    return " ".join(d.isoformat() for d in days[:_KEPT_DAYS])


def tried_text(tried: Tried) -> str:
    """Write a night that was tried in vain."""
    return f"{tried.day.isoformat()} {tried.at.isoformat()} {tried.cause}"


def asked_text(asked: Asked) -> str:
    """Write what was asked for."""
    return json.dumps({"cause": asked.cause, "at": asked.at.isoformat()})


def begun_text(begun: Begun) -> str:
    """Write a run that is begun."""
    night = begun.night.isoformat() if begun.night else None
    return json.dumps({"cause": begun.cause, "at": begun.at.isoformat(), "night": night})


def begun_of(text: str) -> Begun | None:
    """Read a run that was begun."""
    try:
        value = json.loads(text)
        night = date.fromisoformat(value["night"]) if value["night"] else None
        return Begun(str(value["cause"]), datetime.fromisoformat(value["at"]), night)
    except (ValueError, KeyError, TypeError):
        return None


def _days(text: str | None) -> tuple[date, ...] | None:
    try:
        return None if text is None else tuple(date.fromisoformat(word) for word in text.split())
    except ValueError:
        return ()


def _tried(text: str | None) -> Tried | None:
    words = (text or "").split(" ", 2)
    try:
        return Tried(date.fromisoformat(words[0]), datetime.fromisoformat(words[1]), words[2])
    except (ValueError, IndexError):
        return None


def _asked(text: str | None) -> Asked | None:
    try:
        value = json.loads(text or "null")
        return Asked(str(value["cause"]), datetime.fromisoformat(value["at"])) if value else None
    except (ValueError, KeyError, TypeError):
        return None


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
