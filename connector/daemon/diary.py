"""What the daemon remembers of its own doings, in the journal's duties, so that the next one goes on where it ended.

Every entry stands on the daemon's claim. A run is entered before it begins and struck out when all have heard of it:
whoever finds such an entry knows that somebody was cut short.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from threading import Lock

from connector.daemon.duties import (
    ASKED,
    BEGUN,
    DRIVEN,
    NIGHT,
    RETRY,
    TRIED,
    TRIGGERED,
    Asked,
    Begun,
    Remembered,
    Tried,
    asked_text,
    begun_of,
    begun_text,
    remembered,
    tried_text,
    with_night,
)
from connector.daemon.folders import Listing, listing_of, listing_text
from connector.daemon.webhook import TOLERANCE_SECONDS, Genuine
from connector.errors import ConnectorError
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import Claim, PastRun
from connector.reconcile.running import STOPPED_EARLY

WATCHED = "watched"
"""Under this name lies what the watched folders held when the last run began."""

TAKEN = "webhooks-taken"
"""Under this name lie the ids of the messages that asked for a run, as long as one that was overheard is fresh."""

_KINDS = ("run", "report", "retry")
_CUT_SHORT = ("", "interrupted", STOPPED_EARLY)


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that is remembered at one moment. `files` is None where nothing was watched yet."""

    known: Remembered
    files: Listing | None
    begun: Begun | None


class ReplayError(ConnectorError):
    """A message that asked for a run has come again. Nothing was written."""


class Diary:
    """Reads and writes what is remembered. `asked_for` may be entered from any thread."""

    def __init__(self, journal: Journal, operator: str) -> None:
        self._journal, self._operator = journal, operator
        self._asking = Lock()

    def page(self) -> Page:
        """Read everything."""
        values = self._values()
        begun = begun_of(values[BEGUN]) if BEGUN in values else None
        return Page(remembered(values), listing_of(values.get(WATCHED)), begun)

    def first_page(self, claim: Claim, begun_day: date) -> None:
        """Begin the diary: the night that has begun already counts as done, the next one is the first."""
        self._write(claim, NIGHT, with_night((), begun_day))

    def watched(self, claim: Claim, listing: Listing) -> None:
        """Enter what the watched folders hold: it is no news any more."""
        self._write(claim, WATCHED, listing_text(listing))

    def asked_for(self, claim: Claim, asked: Asked, message: Genuine | None = None) -> None:
        """Enter that somebody asked for a run, and by which message; both or none. Several are one.

        Raises ReplayError where that message was entered before, by whichever daemon.
        """
        with self._asking:
            entries = {ASKED: asked_text(asked)}
            if message is not None:
                entries[TAKEN] = _with(message, self._values().get(TAKEN, ""), asked.at)
            self._journal.duties.all_done(claim, entries)

    def begins(self, claim: Claim, begun: Begun) -> None:
        """Enter a run before it begins."""
        self._write(claim, BEGUN, begun_text(begun))
        if begun.night is None and begun.cause != RETRY:
            self._write(claim, TRIGGERED, begun.at.isoformat())

    def went_well(self, claim: Claim, begun: Begun, now: datetime, *, drove: bool) -> None:
        """Enter that a run came to its end. `drove` is whether it drove what is open too."""
        known = remembered(self._values())
        if begun.night is not None:
            self._write(claim, NIGHT, with_night(known.nights, begun.night))
            self._journal.duties.forget(claim, [TRIED])
        if drove:
            self._write(claim, DRIVEN, now.isoformat())
        if begun.cause != RETRY:
            self._answered(claim, begun.at, now)

    def went_wrong(self, claim: Claim, begun: Begun, now: datetime) -> None:
        """Enter that a run did not come to its end, and when: it is tried again some time later."""
        if begun.night is not None:
            self._write(claim, TRIED, tried_text(Tried(begun.night, now, begun.cause)))
        elif begun.cause == RETRY:
            self._write(claim, DRIVEN, now.isoformat())

    def heard(self, claim: Claim) -> None:
        """Strike the run out: everybody has heard of its end, or there is nothing to hear."""
        self._journal.duties.forget(claim, [BEGUN])

    def came_to(self, begun: Begun) -> PastRun | None:
        """Give the run that came of an entry and reached its end, though nobody was there any more to say so."""
        entry = self._journal.duties.find(BEGUN).get(BEGUN)
        runs = self._journal.runs() if entry else ()
        since = [r for r in runs if entry and r.started_at >= entry.done_at and self._is_ours(r)]
        first = min(since, key=lambda r: r.run_id, default=None)
        if first is None or first.result in _CUT_SHORT or first.result.startswith("failed"):
            return None
        return first if (first.kind == RETRY) is (begun.cause == RETRY) else None

    def _is_ours(self, run: PastRun) -> bool:
        return run.kind in _KINDS and run.operator == self._operator

    def _answered(self, claim: Claim, since: datetime, now: datetime) -> None:
        """Forget what was asked for before a run began, also by a clock that was ahead: it has seen all there was."""
        with self._asking:
            asked = remembered(self._values()).asked
            if asked is not None and not since < asked.at <= now:
                self._journal.duties.forget(claim, [ASKED])

    def _values(self) -> Mapping[str, str]:
        return {name: duty.value for name, duty in self._journal.duties.find().items()}

    def _write(self, claim: Claim, name: str, value: str) -> None:
        self._journal.duties.done(claim, name, value)


def _with(message: Genuine, text: str, now: datetime) -> str:
    """Add a message to those that were taken, and let go of those that nobody would believe any more."""
    fresh = {name: until for name, until in _taken(text).items() if until >= now.timestamp()}
    if message.id in fresh:
        raise ReplayError("This message was taken already.", "Sign a new one, under an id of its own.")
    fresh[message.id] = message.sent_at.timestamp() + TOLERANCE_SECONDS
    return json.dumps(fresh, separators=(",", ":"))


def _taken(text: str) -> dict[str, float]:
    """Read until when which message is fresh. What cannot be read counts as forgotten, like every entry here."""
    try:
        return {str(name): float(until) for name, until in json.loads(text or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}
