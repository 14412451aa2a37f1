"""Kept snapshots: what was read, so that the next night can say what is different.

Only an accepted snapshot is ever compared with, and the last accepted one is never dropped. Content that is not what
was kept is refused: a limit computed from it would be worth nothing.
"""

import hmac
import json
import zlib
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from connector.errors import JournalError
from connector.reconcile import journal_tables as tables
from connector.reconcile.codec import canonical
from connector.reconcile.journal_audit import keyed
from connector.reconcile.journal_claims import require_run
from connector.reconcile.journal_store import Store
from connector.reconcile.journal_values import Run, StoredSnapshot


class Snapshots:
    """Keep, accept, read and drop snapshots."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(
        self, run: Run, as_of: date, content: bytes, counts: Mapping[str, int], fingerprints: Mapping[str, str]
    ) -> int:
        """Keep a snapshot's content (compressed here) and counts, giving its number. It is not accepted yet."""
        packed = zlib.compress(content, 6)  # before the transaction: nobody waits for it
        with self._store.writing() as writing:
            require_run(writing, run)
            number = writing.next_id(tables.snapshots)
            writing.conn.execute(
                insert(tables.snapshots).values(
                    id=number,
                    run_id=run.run_id,
                    as_of=as_of,
                    taken_at=writing.now,
                    counts=canonical(dict(counts)),
                    fingerprints=canonical(dict(fingerprints)),
                    content=packed,
                    content_mac=keyed(self._store.audit_key, "snapshot", packed),
                )
            )
        return number

    def accept(self, snapshot_id: int, run: Run) -> None:
        """Accept a snapshot: from now on the next ones are compared with it."""
        with self._store.writing() as writing:
            require_run(writing, run)
            table = tables.snapshots
            accepted = update(table).where(table.c.id == snapshot_id, table.c.accepted_at.is_(None))
            if not writing.conn.execute(accepted.values(accepted_at=writing.now)).rowcount:
                return
            subject, sentence = f"snapshot:{snapshot_id}", f"Snapshot {snapshot_id} accepted."
            writing.note("snapshot-accepted", subject, run.operator, sentence, run_id=run.run_id)

    def last_accepted(self) -> StoredSnapshot | None:
        """Give the newest accepted snapshot with its content, or none. Raises JournalError where it was changed."""
        table = tables.snapshots
        query = select(table).where(table.c.accepted_at.is_not(None)).order_by(table.c.id.desc()).limit(1)
        with self._store.reading() as conn:
            row = conn.execute(query).one_or_none()
        return None if row is None else self._stored(row)

    def _stored(self, row: Row[Any]) -> StoredSnapshot:
        packed = bytes(row.content or b"")
        if not hmac.compare_digest(keyed(self._store.audit_key, "snapshot", packed), row.content_mac):
            raise JournalError(
                f"Snapshot {row.id} of {row.as_of} is not as it was kept: somebody wrote to the journal's database.",
                "Restore the journal from a backup, and look at: connector audit verify",
            )
        return StoredSnapshot(
            row.id,
            row.run_id,
            row.as_of,
            row.taken_at,
            row.accepted_at,
            json.loads(row.fingerprints),
            json.loads(row.counts),
            zlib.decompress(packed),
        )

    def accepted_counts(self, days: int = 30) -> dict[str, int]:
        """Give the highest count of each dimension over the snapshots accepted in the last days."""
        table = tables.snapshots
        highest: dict[str, int] = {}
        with self._store.reading() as conn:
            since = self._store.clock(conn) - timedelta(days=days)
            for counts in conn.scalars(select(table.c.counts).where(table.c.accepted_at >= since)):
                for name, count in json.loads(counts).items():
                    highest[name] = max(count, highest.get(name, 0))
        return highest

    def accepted_runs(self, limit: int) -> int:
        """Count the runs that were accepted, as far as `limit`."""
        table = tables.snapshots
        accepted = select(table.c.run_id).where(table.c.accepted_at.is_not(None)).distinct().limit(limit).subquery()
        with self._store.reading() as conn:
            return conn.scalar(select(func.count()).select_from(accepted)) or 0

    def prune(self, keep_days: int, keep_last: int = 1) -> int:
        """Drop the content of snapshots older than `keep_days`, giving how many. Their counts stay.

        The newest `keep_last` accepted ones (at least the last) are kept whatever their age.
        """
        table = tables.snapshots
        accepted = select(table.c.id).where(table.c.accepted_at.is_not(None)).order_by(table.c.id.desc())
        with self._store.writing() as writing:
            kept = writing.conn.scalars(accepted.limit(max(keep_last, 1))).all()
            old = (table.c.taken_at < writing.now - timedelta(days=keep_days)) & table.c.content.is_not(None)
            dropped = writing.conn.execute(update(table).where(old, table.c.id.not_in(kept)).values(content=None))
        return dropped.rowcount
