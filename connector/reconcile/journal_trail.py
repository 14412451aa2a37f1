"""The audit trail as a whole: read it out, seal its beginning, prove it.

Sealing takes records out of the journal only after their file is on disk, and leaves a signed checkpoint the chain goes
on from. What is sealed is proven first: a broken trail is never tidied away.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from connector.errors import JournalError
from connector.reconcile import journal_tables as tables
from connector.reconcile.audit_lines import checkpoint_line, record_line
from connector.reconcile.journal_checkpoints import link_of, read_checkpoints, signed, write_checkpoint
from connector.reconcile.journal_standing import advance, read_register, wrong_rows
from connector.reconcile.journal_store import Detail, Store, Writing
from connector.reconcile.journal_values import AuditRecord, AuditState, Checkpoint
from connector.reconcile.journal_verify import fault_of, records, verify, verify_sealed, with_rows

_TABLE = tables.audit


class Trail:
    """Read, seal and prove the audit trail."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def records(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[AuditRecord]:
        """Give every record from `since` on and before `until`, oldest first, as one state of the journal."""
        with self._store.reading() as conn:
            where = [] if since is None else [_TABLE.c.at >= since]
            where += [] if until is None else [_TABLE.c.at < until]
            yield from records(conn, 0, *where)

    def oldest(self) -> datetime | None:
        """Give the time of the oldest record that is not sealed, none where there is none."""
        with self._store.reading() as conn:
            return conn.scalar(select(_TABLE.c.at).order_by(_TABLE.c.id).limit(1))

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Give what was sealed, oldest first."""
        with self._store.reading() as conn:
            return read_checkpoints(conn)

    def seal(self, before: datetime, operator: str, write: Callable[[Iterator[str]], None]) -> Checkpoint:
        """Seal the records before a time. `write` is handed the lines and has them on disk when it returns.

        Raises JournalError: nothing to seal, the trail does not hold, or somebody else sealed meanwhile. What `write`
        raises goes through; the journal is then as it was.
        """
        with self._store.reading() as conn:
            last, mac = link_of(read_checkpoints(conn))
            checkpoint = self._checkpoint(conn, (last, mac), before, operator)
            write(self._segment(conn, checkpoint))
        with self._store.writing() as writing:
            self._take_out(writing, checkpoint)
        return checkpoint

    def verify(self, head: str | None = None) -> AuditState:
        """Prove the audit chain, also against a head kept elsewhere, and by it the rows that stand by people's words.

        Raises JournalError where that is not a head.
        """
        with self._store.reading() as conn:
            state = verify(conn, self._store.audit_key, head)
            if not state.ok:
                return state
            register = read_register(conn, self._store.audit_key)
            return with_rows(state, (*register.faults, *wrong_rows(conn, register)))

    def verify_sealed(self, lines: Iterable[str], head: str | None = None) -> AuditState:
        """Prove the lines of a sealed segment, also against a head. Raises JournalError where it cannot hold that."""
        return verify_sealed(lines, self._store.audit_key, head, self.checkpoints())

    def _checkpoint(self, conn: Connection, link: tuple[int, str], before: datetime, operator: str) -> Checkpoint:
        newest = conn.scalar(select(func.max(_TABLE.c.id))) or 0
        kept = conn.scalar(select(func.min(_TABLE.c.id)).where(_TABLE.c.at >= before)) or newest + 1
        if kept - 1 <= link[0]:
            raise JournalError(
                f"The journal holds no audit record from before {before:%Y-%m-%d %H:%M}. Nothing was sealed.",
                "Give a later day: connector audit seal --before DATE --out FILE",
            )
        # A record that is missing here is found when the segment is proven.
        mac = conn.scalar(select(_TABLE.c.mac).where(_TABLE.c.id == kept - 1)) or ""
        made = Checkpoint(link[0] + 1, kept - 1, link[1], mac, self._store.clock(conn), operator)
        return signed(self._store.audit_key, made)

    def _segment(self, conn: Connection, checkpoint: Checkpoint) -> Iterator[str]:
        """Give the lines of a segment, proving each record on the way."""
        number, mac = checkpoint.first - 1, checkpoint.previous
        for record in records(conn, number, _TABLE.c.id <= checkpoint.last):
            if fault := fault_of(self._store.audit_key, number + 1, mac, record):
                raise _unsound(fault)
            yield record_line(record)
            number, mac = record.number, record.mac
        if number != checkpoint.last:
            raise _unsound(f"record {number + 1} is missing")
        yield checkpoint_line(checkpoint)

    def _take_out(self, writing: Writing, checkpoint: Checkpoint) -> None:
        """Replace the records by their checkpoint, if they still are the ones that were written out."""
        number, previous = link_of(read_checkpoints(writing.conn))
        mac = writing.conn.scalar(select(_TABLE.c.mac).where(_TABLE.c.id == checkpoint.last))
        if (number + 1, previous, mac) != (checkpoint.first, checkpoint.previous, checkpoint.mac):
            raise JournalError(
                "Somebody else sealed the audit trail meanwhile. Nothing was taken out of the journal here.",
                "What was written is a copy of what theirs holds. See: connector audit verify",
            )
        # What stands must be known without the records that go.
        if faults := advance(writing, self._store.audit_key, at_least=0).faults:
            raise _unsound(faults[0])
        write_checkpoint(writing.conn, writing.next_id(tables.checkpoints), checkpoint)
        writing.conn.execute(delete(_TABLE).where(_TABLE.c.id <= checkpoint.last))
        sentence = f"Audit records {checkpoint.first} to {checkpoint.last} sealed by {checkpoint.operator}."
        detail: Detail = {"first": checkpoint.first, "last": checkpoint.last, "signature": checkpoint.signature}
        writing.note("sealed", "audit", checkpoint.operator, sentence, detail=detail)


def _unsound(fault: str) -> JournalError:
    return JournalError(
        f"The audit trail does not hold: {fault}. Nothing was sealed.",
        "Compare the journal's database with a backup. See: connector audit verify",
    )
