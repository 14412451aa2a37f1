"""From when on what is open can be driven, and how often: asked of the journal with every step. It drives nothing.

What has been open for long is tried less often, at least hourly: every try reads the whole school.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from connector.app import Connector
from connector.model import LegState
from connector.reconcile.journal_values import OpenLeg

MOST = timedelta(hours=1)
"""The longest pause between two tries, but where the config asks for a longer one."""

_SHARE = 6


class OpenWork(NamedTuple):
    """From when on something that is open can be driven (None: nothing), and the pause between two tries."""

    since: datetime | None
    pause: timedelta


def open_work(connector: Connector, retry: timedelta, now: datetime) -> OpenWork:
    """Say what there is to drive: what is effective by a time, not before it."""
    if connector.live.was_put_back:
        return OpenWork(None, retry)  # it may have been called off, or undone, after the backup: somebody looks first
    legs = connector.journal.open_legs()
    waiting = [leg.effective_by for leg in legs if _waits_for_time(leg)]
    intended = [leg.intended_at for leg in legs if not _waits_for_time(leg)]
    intended += [change.intended_at for change in connector.journal.open_changes()]
    # What was intended far ahead was intended before the clock was set back: it does not wait for that day.
    begun = (at + retry if at <= now + retry else now for at in intended)
    since = min([*(at for at in waiting if at), *begun], default=None)
    return OpenWork(since, pause([*intended, *(at for at in waiting if at)], retry, now))


def pause(begun: Sequence[datetime], retry: timedelta, now: datetime) -> timedelta:
    """Give the pause between two tries: a sixth of the time for which the youngest has been open, within bounds."""
    youngest = max((at for at in begun if at <= now), default=now)
    return max(retry, min((now - youngest) / _SHARE, MOST))


def _waits_for_time(leg: OpenLeg) -> bool:
    return leg.state is LegState.EFFECTIVE_BY and leg.effective_by is not None
