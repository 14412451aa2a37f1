"""What a User says about closing and opening: our extension, and whether `active` is true. Pure.

`active` is true only while the person is let in and nothing of theirs is being closed; what is still open is listed.
Why somebody is kept out is told as `access-ended` and no further.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from connector.model import LegKind, LegState, Reason, Status
from connector.reconcile.journal_values import FINAL, Direction, StoredLeg, StoredRevocation
from connector.reconcile.wording import ACCESS_ENDED
from connector.scim.models import CONNECTOR_SCHEMA
from connector.scim.shapes import CONNECTOR

LET_IN = (Status.ACTIVE, Status.READY_TO_PROVISION)
"""The statuses in which somebody is let in. Source: DESIGN 5."""

_THE_CLIENTS = tuple(attribute.name for attribute in CONNECTOR.attributes if not attribute.read_only)
_REACHED = frozenset({LegState.CLOSED, LegState.ALREADY_CLOSED})
_ORDER = tuple(LegKind)

_DISCREET = frozenset({Reason.RESTRICTED, Reason.BLOCKED})


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of one User's access: status, who decides, the newest closing, and why in words for anybody."""

    status: Status
    source: str
    closing: StoredRevocation | None = None
    is_closing: bool = False
    why: str = ""

    @property
    def open(self) -> bool:
        """Whether something is still to be closed."""
        return self.is_closing or (self.closing is not None and any(_is_open(leg) for leg in self.closing.legs))


def extension(truth: Truth) -> dict[str, Any]:
    """Give the extension's attributes; what does not apply is left out."""
    told: dict[str, Any] = {"status": truth.status.value}
    if truth.closing is not None:
        told["legs"] = [_leg(leg) for leg in truth.closing.legs if not leg.planned.withheld]
        times = [leg.effective_by for leg in truth.closing.legs if leg.effective_by and _is_open(leg)]
        if times:
            told["effectiveBy"] = _instant(max(times))
    if truth.why:
        told["reason"] = truth.why
    return told | {"source": truth.source}


def with_truth(document: Mapping[str, Any], truth: Truth, *, active: bool) -> dict[str, Any]:
    """Give a document that says how things stand. The client's own note stays in it."""
    said = document.get(CONNECTOR_SCHEMA, {})
    told = extension(truth) | {name: said[name] for name in _THE_CLIENTS if name in said}
    return {**document, "active": active and not truth.open, CONNECTOR_SCHEMA: told}


def told_reason(reasons: Iterable[Reason]) -> str:
    """Give reasons in words for anybody: what only the authority role may know reads access-ended."""
    words = dict.fromkeys(ACCESS_ENDED if reason in _DISCREET else reason.value for reason in reasons)
    return ACCESS_ENDED if ACCESS_ENDED in words else ", ".join(words)


def newest_closing(revocations: Sequence[StoredRevocation]) -> StoredRevocation | None:
    """Give the newest closing unless somebody opened it again since; they come newest first.

    What was closed in several goes, one begun before the other was over (a target was down), is told as one.
    """
    parts: list[StoredRevocation] = []
    for revocation in revocations:
        if revocation.direction is Direction.OPEN:
            if any(leg.state in _REACHED for leg in revocation.legs):
                break
        elif not parts or revocation.done_at is None or revocation.done_at >= parts[-1].intended_at:
            parts.append(revocation)
        else:
            break
    return replace(parts[0], legs=_together(parts)) if parts else None


def _together(parts: Sequence[StoredRevocation]) -> tuple[StoredLeg, ...]:
    """Give every leg as it was driven last; one that could not be read gives way to those that were planned of it."""
    legs: list[StoredLeg] = []
    for part in parts:
        doors = {_door(leg) for leg in legs}
        places = {place for place, _ in doors}
        older = [leg for leg in part.legs if _door(leg) not in doors]
        legs = [*(leg for leg in older if not (leg.planned.unread and _door(leg)[0] in places)), *legs]
    return tuple(sorted(legs, key=lambda leg: _ORDER.index(leg.planned.kind)))


def _door(leg: StoredLeg) -> tuple[tuple[LegKind, str], str]:
    return (leg.planned.kind, leg.planned.target), leg.planned.subject


def _is_open(leg: StoredLeg) -> bool:
    return leg.state not in FINAL and not leg.planned.withheld


def _leg(leg: StoredLeg) -> dict[str, Any]:
    told = {"target": leg.planned.target, "kind": leg.planned.kind.value, "state": leg.state.value}
    if leg.effective_by is not None and leg.state is LegState.EFFECTIVE_BY:
        told["effectiveBy"] = _instant(leg.effective_by)
    return told


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
