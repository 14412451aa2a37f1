"""How the journal writes down, for the audit trail, what is intended for legs and what came of them.

Each note is part of the transaction that changes the rows. Never put a secret, a password or a session id into one.
"""

from dataclasses import dataclass

from connector.model import Outcome
from connector.reconcile.journal_store import Writing
from connector.reconcile.journal_values import Direction, OpenLeg, Run
from connector.reconcile.plan_values import Revocation


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants a batch of revocations or restores, and on what plan."""

    direction: Direction
    operator: str
    run_id: int | None
    plan_id: str


def note_intent(writing: Writing, number: int, row: Revocation, order: Order) -> None:
    """Note that a revocation or a restore is intended."""
    verb = "Revocation" if order.direction is Direction.CLOSE else "Restore"
    because = ", ".join(row.reasons) or "asked for"
    sentence = f"{verb} {number} of {row.code or row.username or row.key} intended ({because}): {len(row.legs)} legs."
    detail = {"revocation": number, "direction": order.direction.value, "basis": row.basis}
    writing.note(
        "intended", row.key, order.operator, sentence, person_id=row.person_id, run_id=order.run_id, detail=detail
    )


def note_outcome(writing: Writing, leg: OpenLeg, outcome: Outcome, run: Run | None) -> None:
    """Note what came of a leg."""
    sentence = f"{named(leg)}: {outcome.state.value}{f' ({outcome.detail})' if outcome.detail else ''}."
    detail = {"leg": leg.leg_id, "revocation": leg.revocation_id, "ended": outcome.ended}
    operator, run_id = (run.operator, run.run_id) if run else (leg.operator, None)
    writing.note(
        outcome.state.value, leg.key, operator, sentence, person_id=leg.person_id, run_id=run_id, detail=detail
    )


def named(leg: OpenLeg) -> str:
    """Name a leg as the audit trail does."""
    verb = "close" if leg.direction is Direction.CLOSE else "open"
    return (
        f"Revocation {leg.revocation_id}, {verb} {leg.planned.kind.value} {leg.planned.subject} in {leg.planned.target}"
    )
