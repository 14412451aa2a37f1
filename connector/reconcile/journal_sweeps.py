"""Sessions that were proven ended some nights ago, and what a sweep of a later night found of them.

Stores whose applications save at request end bring a session back long after its leg was closed. What is found then is
counted on the leg and audited; the leg stays closed, and no state is ever written here.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Exists, bindparam, exists, select, update

from connector.model import LegKind, LegState
from connector.reconcile import journal_tables as tables
from connector.reconcile.journal_claims import fence
from connector.reconcile.journal_rows import LEG_JOIN, open_leg
from connector.reconcile.journal_store import Store, Writing
from connector.reconcile.journal_values import FINAL, Claim, Direction, OpenLeg, Run

_ENDED = (LegState.CLOSED.value, LegState.ALREADY_CLOSED.value)


class Sweeps:
    """List session legs that were closed lately; record what came back."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def lately(self, days: float) -> tuple[OpenLeg, ...]:
        """Give the session legs closed in the last days, as they were intended, of people not restored since.

        Of several on one user of one store the newest.
        """
        legs, revocations = tables.legs, tables.revocations
        closed = LEG_JOIN.where(
            legs.c.kind == LegKind.SESSIONS.value,
            legs.c.state.in_(_ENDED),
            revocations.c.direction == Direction.CLOSE.value,
            ~_restored_since(),
        ).order_by(legs.c.id)
        with self._store.reading() as conn:
            since = self._store.clock(conn) - timedelta(days=days)
            found = [open_leg(row) for row in conn.execute(closed.where(legs.c.finished_at >= since))]
        return tuple({(leg.planned.target, leg.planned.subject): leg for leg in found}.values())

    def open_doors(self) -> frozenset[str]:
        """Give the keys of those who have a door that is to be closed and is not."""
        legs, revocations = tables.legs, tables.revocations
        query = select(revocations.c.key).distinct().join(legs, legs.c.revocation_id == revocations.c.id)
        closing = revocations.c.direction == Direction.CLOSE.value
        waits = legs.c.state.not_in([state.value for state in FINAL])
        with self._store.reading() as conn:
            return frozenset(conn.scalars(query.where(closing, waits, legs.c.kind != LegKind.SESSIONS.value)))

    def swept_again(self, found: Sequence[tuple[OpenLeg, int]], run: Run | None, claims: Sequence[Claim] = ()) -> None:
        """Count sessions that had come back and were ended, one audit record each. Raises RunInProgress as `record`."""
        table = tables.legs
        counted = update(table).where(table.c.id == bindparam("a_leg"))
        with self._store.writing() as writing:
            fence(writing, run, claims, {leg.key for leg, _ in found})
            rows = [{"a_leg": leg.leg_id, "a_count": count} for leg, count in found]
            writing.conn.execute(counted.values(ended=table.c.ended + bindparam("a_count")), rows)
            for leg, count in found:
                _note(writing, leg, count, run)


def _restored_since() -> Exists:
    table, later = tables.revocations, tables.revocations.alias()
    opened = later.c.direction == Direction.OPEN.value
    return exists().where(later.c.key == table.c.key, opened, later.c.id > table.c.id)


def _note(writing: Writing, leg: OpenLeg, count: int, run: Run | None) -> None:
    came = "1 session had" if count == 1 else f"{count} sessions had"
    sentence = f"Revocation {leg.revocation_id}: {came} come back in {leg.planned.target} and ended again."
    operator, run_id = (run.operator, run.run_id) if run else (leg.operator, None)
    detail = {"leg": leg.leg_id, "revocation": leg.revocation_id, "ended": count}
    writing.note("swept-again", leg.key, operator, sentence, person_id=leg.person_id, run_id=run_id, detail=detail)
