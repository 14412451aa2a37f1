"""What the journal remembers of one identity, as `explain` tells it: what was closed and opened, and who said what.

Reads only. Single legs are left out: what counts is when a person's access went or came back.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, tzinfo

from connector.reconcile.diagnose import CLOSED, RESTORED, PastEvent
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import Direction, Event, StoredRevocation

_NEWEST = 100


def past_events(journal: Journal, key: str, zone: tzinfo = UTC) -> tuple[PastEvent, ...]:
    """Give what happened to an identity (key or person_id), oldest first, at the times of a zone."""
    changes = [event for revocation in journal.revocations(key) for event in _access(revocation)]
    said = [_word(event) for event in journal.history(key, _NEWEST) if _is_a_word(event)]
    events = sorted((*changes, *said), key=lambda e: e.at)
    return tuple(replace(event, at=event.at.astimezone(zone)) for event in events)


def _access(revocation: StoredRevocation) -> Iterable[PastEvent]:
    """Give the moment at which a revocation really took something away, or a restore gave it back."""
    at = revocation.closed_at
    if at is None:
        return
    what = CLOSED if revocation.direction is Direction.CLOSE else RESTORED
    why = ", ".join(r.value for r in revocation.row.reasons)
    still = "" if revocation.state != "open" else "; not finished yet"
    text = f"revocation {revocation.revocation_id} ({why}){still}" if what == CLOSED else "restored"
    yield PastEvent(at, what, revocation.operator, text)


def _is_a_word(event: Event) -> bool:
    """Say whether an audit record is somebody's word about the person, not a step of a revocation."""
    return "leg" not in event.detail and "revocation" not in event.detail


def _word(event: Event) -> PastEvent:
    return PastEvent(event.at, event.kind, event.operator, event.text)
