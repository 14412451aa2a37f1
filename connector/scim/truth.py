"""What a User says about closing and opening: our extension, and whether `active` is true. Pure.

`active` is true only while the person is let in and nothing of theirs is being closed; what is still open is listed.
Why somebody is kept out is told as `access-ended` and no further.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connector.model import LegState, Reason, Status
from connector.reconcile.journal_values import FINAL, StoredLeg, StoredRevocation
from connector.reconcile.wording import ACCESS_ENDED
from connector.scim.models import CONNECTOR_SCHEMA

LET_IN = (Status.ACTIVE, Status.READY_TO_PROVISION)
"""The statuses in which somebody is let in. Source: DESIGN 5."""

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
    """Give a document that says how things stand."""
    return {**document, "active": active and not truth.open, CONNECTOR_SCHEMA: extension(truth)}


def told_reason(reasons: Iterable[Reason]) -> str:
    """Give reasons in words for anybody: what only the authority role may know reads access-ended."""
    words = dict.fromkeys(ACCESS_ENDED if reason in _DISCREET else reason.value for reason in reasons)
    return ACCESS_ENDED if ACCESS_ENDED in words else ", ".join(words)


def newest_closing(revocations: Sequence[StoredRevocation]) -> StoredRevocation | None:
    """Give the newest closing unless somebody opened it again since; they come newest first."""
    newest = revocations[0] if revocations else None
    return newest if newest is not None and newest.direction.value == "close" else None


def _is_open(leg: StoredLeg) -> bool:
    return leg.state not in FINAL and not leg.planned.withheld


def _leg(leg: StoredLeg) -> dict[str, Any]:
    told = {"target": leg.planned.target, "kind": leg.planned.kind.value, "state": leg.state.value}
    if leg.effective_by is not None and leg.state is LegState.EFFECTIVE_BY:
        told["effectiveBy"] = _instant(leg.effective_by)
    return told


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
