"""What the journal holds of a period, for an auditor: revocations, approvals, and what named people said. Reads only.

Everything is read in one transaction, so that the parts of a report never contradict each other.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, or_, select

from connector.reconcile import journal_tables as tables
from connector.reconcile.journal_checkpoints import link_of, read_checkpoints
from connector.reconcile.journal_past import with_legs
from connector.reconcile.journal_plans import approval
from connector.reconcile.journal_rows import LEG_JOIN, open_change, open_leg
from connector.reconcile.journal_store import Store
from connector.reconcile.journal_values import FINAL, Approval, PeriodRecords, StoredRevocation, Word

_FINAL = tuple(state.value for state in FINAL)


class Period:
    """Reads a period."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, since: datetime, until: datetime) -> PeriodRecords:
        """Give what touched the time from `since` on and before `until`; what is open now is given whatever its age."""
        with self._store.reading() as conn:
            return PeriodRecords(
                _revocations(conn, since, until),
                _approvals(conn, since, until),
                (*_blocks_and_keeps(conn, since, until), *_releases(conn, since, until)),
                tuple(open_leg(row) for row in conn.execute(_open(tables.legs, LEG_JOIN))),
                tuple(open_change(row) for row in conn.execute(_open(tables.changes, select(tables.changes)))),
                link_of(read_checkpoints(conn))[0],
            )


def _open(table: Table, query: Any) -> Any:
    return query.where(table.c.state.not_in(_FINAL)).order_by(table.c.id)


def _revocations(conn: Connection, since: datetime, until: datetime) -> tuple[StoredRevocation, ...]:
    table = tables.revocations
    touching = (table.c.intended_at < until) & or_(table.c.done_at.is_(None), table.c.done_at >= since)
    return with_legs(conn, select(table).where(touching).order_by(table.c.id))


def _approvals(conn: Connection, since: datetime, until: datetime) -> tuple[Approval, ...]:
    table = tables.approvals
    given = (table.c.approved_at >= since) & (table.c.approved_at < until)
    return tuple(approval(row) for row in conn.execute(select(table).where(given).order_by(table.c.id)))


def _blocks_and_keeps(conn: Connection, since: datetime, until: datetime) -> Iterator[Word]:
    for kind, table in (("block", tables.blocks), ("keep", tables.keeps)):
        standing = or_(table.c.lifted_at.is_(None), table.c.lifted_at >= since)
        unexpired = or_(table.c.until.is_(None), table.c.until >= since.date())
        query = select(table).where(table.c.made_at < until, standing, unexpired).order_by(table.c.id)
        for row in conn.execute(query):
            yield Word(
                kind,
                row.person_id,
                row.owner,
                row.reason,
                row.made_at,
                until=row.until,
                lifted_at=row.lifted_at,
                lifted_by=row.lifted_by or "",
                seconded_by=row.seconded_by or "",
            )


def _releases(conn: Connection, since: datetime, until: datetime) -> list[Word]:
    """Give the releases of the period. A release is replaced by the next of the same hold; the audit trail has both."""
    table, audit = tables.releases, tables.audit
    given = (table.c.released_at >= since) & (table.c.released_at < until)
    found = [
        Word("release", row.key, row.owner, row.reason, row.released_at, row.hold)
        for row in conn.execute(select(table).where(given))
    ]
    told = (audit.c.kind == "released") & (audit.c.at >= since) & (audit.c.at < until)
    found += [_told(row) for row in conn.execute(select(audit).where(told))]
    each = {(word.key, word.hold, word.made_at, word.owner, word.reason): word for word in found}
    return sorted(each.values(), key=lambda word: (word.made_at, word.key, word.hold, word.owner))


def _told(row: Row[Any]) -> Word:
    try:
        detail = dict(json.loads(row.detail))
    except (TypeError, ValueError):  # somebody wrote it by another way: what can be read is still told
        detail = {}
    reason, hold = str(detail.get("reason", "")), str(detail.get("hold", ""))
    return Word("release", row.subject, row.operator, reason, row.at, hold)
