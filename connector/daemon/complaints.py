"""Says in the log what goes wrong with step after step: when it begins, when it is another thing, and once a minute.

Must never keep the first word of a problem back. A journal without room for a weekend would else fill what is left of
the disk with the same line.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

AGAIN = timedelta(minutes=1)

_log = structlog.stdlib.get_logger("connector.daemon")


@dataclass(slots=True)
class Complaints:
    """Remembers what was said last, and when."""

    _last: tuple[str, str] = ("", "")
    _at: datetime | None = None

    def say(self, event: str, problem: str, now: datetime, **more: object) -> None:
        """Say it, unless the very same was said less than a minute ago."""
        if (event, problem) == self._last and self._at is not None and self._at <= now < self._at + AGAIN:
            return
        self._last, self._at = (event, problem), now
        _log.warning(event, problem=problem, **more)

    def over(self) -> None:
        """Note that all is well: the next problem is a new one."""
        self._last, self._at = ("", ""), None
