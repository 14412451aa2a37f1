"""What was closed and opened, when and by whom: for history, certificates and restore. Reads only."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, or_, select

from connector.reconcile import journal_audit
from connector.reconcile import journal_tables as tables
from connector.reconcile.journal_rows import stored_leg, stored_revocation
from connector.reconcile.journal_store import Store, parts
from connector.reconcile.journal_values import Direction, Event, StoredLeg, StoredRevocation


class Past:
    """Revocations with their before and after values; events."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def revocations(
        self,
        person_key: str | None = None,
        run_id: int | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> tuple[StoredRevocation, ...]:
        """Give revocations and restores, newest first, with all legs: of an identity (key or person), a run, since."""
        table = tables.revocations
        query = select(table).order_by(table.c.id.desc()).limit(limit)
        if person_key is not None:
            query = query.where(_of(person_key))
        if run_id is not None:
            query = query.where(table.c.run_id == run_id)
        if since is not None:
            query = query.where(table.c.intended_at >= since)
        with self._store.reading() as conn:
            return with_legs(conn, query)

    def who_closed(self, person_key: str) -> StoredRevocation | None:
        """Give the newest revocation that really took something away from an identity (key or person), or none."""
        table = tables.revocations
        closing = (table.c.direction == Direction.CLOSE.value) & table.c.closed_at.is_not(None)
        query = select(table).where(_of(person_key), closing).order_by(table.c.closed_at.desc()).limit(1)
        with self._store.reading() as conn:
            found = with_legs(conn, query)
        return found[0] if found else None

    def history(self, person_key: str, limit: int = 100) -> tuple[Event, ...]:
        """Give the newest events about a key or a person, in the order they happened."""
        with self._store.reading() as conn:
            return journal_audit.history(conn, person_key, limit)

    def events(self, limit: int = 100) -> tuple[Event, ...]:
        """Give the newest events of all, in the order they happened."""
        with self._store.reading() as conn:
            return journal_audit.newest(conn, limit)


def _of(person_key: str) -> ColumnElement[bool]:
    return or_(tables.revocations.c.key == person_key, tables.revocations.c.person_id == person_key)


def with_legs(conn: Connection, query: Select[Any]) -> tuple[StoredRevocation, ...]:
    """Read revocations, each with all its legs."""
    rows = conn.execute(query).mappings().all()
    legs = _legs_of(conn, [row["id"] for row in rows])
    return tuple(stored_revocation(row, tuple(legs[row["id"]])) for row in rows)


def _legs_of(conn: Connection, revocation_ids: Sequence[int]) -> defaultdict[int, list[StoredLeg]]:
    found: defaultdict[int, list[StoredLeg]] = defaultdict(list)
    for part in parts(revocation_ids):
        query = select(tables.legs).where(tables.legs.c.revocation_id.in_(part)).order_by(tables.legs.c.id)
        for row in conn.execute(query):
            found[row.revocation_id].append(stored_leg(row))
    return found
