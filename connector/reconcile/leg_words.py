"""One effect of a revocation on one target, said to people. Pure; never carries a session id, only whose they were."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from connector.model import LegKind, LegState
from connector.reconcile.advice import Advice
from connector.reconcile.journal_values import StoredLeg, StoredRevocation
from connector.reconcile.plan_values import Revocation
from connector.reconcile.wording import Who, clean, counted, moment, said

CLOSED = frozenset({LegState.CLOSED, LegState.ALREADY_CLOSED})
"""States in which a leg is proven closed."""

NEEDS_SOMEBODY = frozenset({LegState.CONFLICT, LegState.REFUSED, LegState.INTENDED})
"""States of an open leg that no time and no further try ends."""

_FINAL = CLOSED | {LegState.CALLED_OFF}


@dataclass(frozen=True, slots=True)
class LegLine:
    """A leg's result. `subject` is a GUID, a person_id or a user name; `at` when it was last tried.

    `key`, `code` and `name` say whose it is; `intended_at` when the intent was written, from which its age counts.
    """

    kind: str
    target: str
    subject: str
    state: LegState
    detail: str
    at: datetime
    attempts: int
    intended_at: datetime
    key: str
    code: str = ""
    name: str = ""
    ended: int = 0
    effective_by: datetime | None = None

    @property
    def who(self) -> Who:
        """Whose leg it is."""
        return Who(self.key, None if self.key.startswith("account:") else self.key, self.code, self.name, "")

    @property
    def label(self) -> str:
        """Whose leg it is, for people."""
        return clean(self.who.label)


def leg_lines(revocation: StoredRevocation, zone: tzinfo = UTC) -> tuple[LegLine, ...]:
    """Give the legs of a revocation as the journal has them, at the times of a zone."""
    return tuple(_line(leg, revocation.row, zone) for leg in revocation.legs)


def _line(leg: StoredLeg, row: Revocation, zone: tzinfo) -> LegLine:
    return LegLine(
        leg.planned.kind.value,
        leg.planned.target,
        leg.planned.subject,
        leg.state,
        leg.detail,
        (leg.finished_at or leg.last_tried or leg.intended_at).astimezone(zone),
        leg.attempts,
        leg.intended_at.astimezone(zone),
        row.key,
        row.code,
        row.name,
        leg.ended,
        leg.effective_by.astimezone(zone) if leg.effective_by else None,
    )


def is_open(leg: LegLine) -> bool:
    """Say whether a leg is not at its end yet."""
    return leg.state not in _FINAL


def leg_words(leg: LegLine, discreet: bool) -> str:
    """Say what became of a leg: what, where, how far, and the target's own words."""
    what = f"{_KINDS.get(leg.kind, leg.kind)} {clean(leg.target)} {_STATES[leg.state]}"
    if leg.ended and "session" not in leg.detail:
        what += f" ({counted(leg.ended, 'session')})"
    if leg.effective_by and leg.state is LegState.EFFECTIVE_BY:
        what += f" by {moment(leg.effective_by)}"
    detail = said(leg.detail, discreet)
    return f"{what}: {detail}" if detail else what


_KINDS: Mapping[str, str] = {
    LegKind.DIRECTORY: "account in",
    LegKind.CREDENTIAL: "credential in",
    LegKind.SESSIONS: "sessions in",
}

_STATES: Mapping[LegState, str] = {
    LegState.INTENDED: "not done yet",
    LegState.CLOSED: "closed",
    LegState.ALREADY_CLOSED: "closed already",
    LegState.CALLED_OFF: "called off",
    LegState.CONFLICT: "in conflict",
    LegState.REFUSED: "refused",
    LegState.UNREACHABLE: "unreachable",
    LegState.EFFECTIVE_BY: "effective",
}


def leg_advice(leg: LegLine) -> Advice:
    """Say what to do about an open leg."""
    typed = leg.who.typed
    match leg.state:
        case LegState.CONFLICT:
            text = "Somebody changed it meanwhile: look; the next run plans it anew."
            return Advice(text, (f"connector explain {typed}",))
        case LegState.REFUSED:
            return Advice("The target refused: mend what it says, then drive it again.", ("connector resume --apply",))
        case LegState.UNREACHABLE:
            text = "The target does not answer: mend it; it is driven again."
            return Advice(text, ("connector check", "connector resume --apply"))
        case LegState.EFFECTIVE_BY:
            return Advice("Nothing to do until then.")
        case _ if "on the worklist" in leg.detail:
            text = "Do what the worklist says, then export the portal's accounts again: the next run sees it."
            return Advice(text, ("connector check",))
        case _:
            return Advice("The next run drives it. To try now:", ("connector resume --apply",))
