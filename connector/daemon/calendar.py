"""When the nights are, in the school's zone. Pure: no clock is asked and nothing is remembered here.

Every local day has exactly one night, however often its clocks are changed: a time they skip means the next valid
minute, a time they show twice means its first showing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

EVERY_DAY = frozenset(range(7))

_NOON = time(12)
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Nights begin `at` (local time) in `zone`; they apply on `apply_days` (0 is Monday) only."""

    at: time
    zone: ZoneInfo
    apply_days: frozenset[int] = EVERY_DAY

    def night_of(self, day: date) -> datetime:
        """Give the moment, in UTC, at which a local day's night begins; of a day that was skipped, the next one's."""
        if not _is_shown(datetime.combine(day, _NOON), self.zone):  # Samoa had no 30 December 2011
            return self.night_of(day + _DAY)
        local = datetime.combine(day, self.at)
        while not _is_shown(local, self.zone):
            local += _MINUTE
        # PEP 495: fold 0 is the first of the two moments that a doubled hour shows.
        return local.replace(tzinfo=self.zone, fold=0).astimezone(UTC)

    def begun(self, now: datetime) -> date:
        """Give the newest local day whose night has begun."""
        day = self.day(now) + _DAY
        while self.night_of(day) > now:
            day -= _DAY
        return day

    def due(self, now: datetime, done: Collection[date]) -> date | None:
        """Give the newest local day whose night has begun, unless it is done. Older nights that were missed are one."""
        newest = self.begun(now)
        return None if newest in done else newest

    def next_night(self, now: datetime) -> datetime:
        """Give when the next night begins."""
        day = self.begun(now) + _DAY
        while (night := self.night_of(day)) <= now:
            day += _DAY
        return night

    def day(self, now: datetime) -> date:
        """Give the local day."""
        return now.astimezone(self.zone).date()

    def may_apply(self, day: date) -> bool:
        """Say whether a night of this day applies."""
        return day.weekday() in self.apply_days


def _is_shown(local: datetime, zone: ZoneInfo) -> bool:
    """Say whether clocks in a zone ever show a local time."""
    there_and_back = local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    return there_and_back.replace(tzinfo=None) == local
