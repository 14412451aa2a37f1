"""Whether a daemon works for the school, where, and when its last night was: for those who look from beside it.

It reads the journal and the clock it is given, and writes nothing but who works, by whoever does.
"""

import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta

from connector.config import Config
from connector.daemon.calendar import Schedule
from connector.daemon.duties import NIGHT, TRIED, remembered
from connector.model import Finding, Level
from connector.reconcile.journal_gauges import Standing
from connector.reconcile.wording import clean, moment

KEY = "daemon"
"""The key of the claim that a daemon works under."""
WORKER = "worker"
"""Under this name lies who took the daemon's claim last."""

NIGHT_LATE = timedelta(hours=2)
"""How long after its time a night may still be under way: 26 hours after the one before."""

_START = "Start it as a service, or from cron: connector daemon --once. Its log says why it ended."


@dataclass(frozen=True, slots=True)
class Worker:
    """A daemon that took the claim: where, since when (UTC), and whether it only does what is due and ends."""

    host: str
    process: int
    since: datetime
    once: bool = False

    @classmethod
    def here(cls, now: datetime, *, once: bool) -> "Worker":
        """Give this process."""
        return cls(platform.node(), os.getpid(), now, once)

    def text(self) -> str:
        """Write it."""
        return json.dumps({**asdict(self), "since": self.since.isoformat()})


def worker_of(text: str) -> Worker | None:
    """Read who took the claim; None where that cannot be read."""
    try:
        value = json.loads(text)
        since = datetime.fromisoformat(value["since"])
        return Worker(clean(str(value["host"])), int(value["process"]), since, bool(value["once"]))
    except (ValueError, KeyError, TypeError):
        return None


def late_night(config: Config, known: Standing, now: datetime) -> str:
    """Say which night did not come to its end; nothing where all is well, or there never was a night."""
    values = _values(known)
    nights = remembered(values).nights or ()
    asked = Schedule(config.nightly.at, config.site.zone).begun(now - NIGHT_LATE)
    if any(day >= asked for day in _real(nights, config, now)):
        return ""
    return f"none came to its end for {asked.isoformat()}" if nights or TRIED in values else ""


def finding(config: Config, known: Standing, now: datetime) -> Finding | None:
    """Say how it stands with the daemon; None where none has ever worked for this school."""
    worker = worker_of(_values(known).get(WORKER, ""))
    if not known.claimed and worker is None:
        return None
    night = late_night(config, known, now)
    who, nights = _who(config, worker, claimed=known.claimed), f" Nights: {night or _last(config, known, now)}."
    if not known.claimed and not (worker and worker.once and not night):
        return Finding(Level.WARNING, "daemon", who + nights, _START)
    if night:
        return Finding(Level.WARNING, "daemon", who + nights, "See why: connector history, and its log.")
    if known.claimed and worker and _changed_since(config, worker):
        what = f"{who} It goes by a config that was changed since.{nights}"
        return Finding(Level.WARNING, "daemon", what, "Start the daemon anew.")
    return Finding(Level.OK, "daemon", who + nights)


def _values(known: Standing) -> Mapping[str, str]:
    return {name: value for name, (_, value) in known.duties.items() if name in (NIGHT, TRIED, WORKER)}


def _who(config: Config, worker: Worker | None, *, claimed: bool) -> str:
    since = moment(worker.since.astimezone(config.site.zone)) if worker else ""
    where = f" on {worker.host} (process {worker.process}), since {since}" if worker else ""
    if claimed:
        return f"One works{where}."
    return f"None works just now; the last one did{where}."


def _last(config: Config, known: Standing, now: datetime) -> str:
    nights = _real(remembered(_values(known)).nights or (), config, now)
    following = Schedule(config.nightly.at, config.site.zone).next_night(now).astimezone(config.site.zone)
    ended = f"{max(nights).isoformat()} was the last, " if nights else ""
    return f"{ended}{moment(following)} is the next"


def _real(nights: Iterable[date], config: Config, now: datetime) -> tuple[date, ...]:
    """Give the nights that can have been: a later one was run by a clock that was ahead, and says nothing of today."""
    today = now.astimezone(config.site.zone).date()
    return tuple(day for day in nights if day <= today)


def _changed_since(config: Config, worker: Worker) -> bool:
    """Say whether the config was written after the daemon on this machine was started."""
    try:
        return worker.host == platform.node() and config.path.stat().st_mtime > worker.since.timestamp()
    except OSError:
        return False
