"""Proves the audit chain: what is in the journal, and what was sealed and taken out of it.

The newest records can only be proven present by a head kept elsewhere. Nothing here writes; what a file says is hostile
until its chain values are proven with the key.
"""

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Connection, select

from connector.errors import JournalError
from connector.reconcile import journal_tables as tables
from connector.reconcile.audit_lines import read_line
from connector.reconcile.codec import CodecError
from connector.reconcile.journal_audit import START, link
from connector.reconcile.journal_checkpoints import first_broken, is_signed, link_of, read_checkpoints
from connector.reconcile.journal_values import AuditRecord, AuditState, Checkpoint

_ROWS = 5000


def verify(conn: Connection, key: bytes, head: str | None) -> AuditState:
    """Walk the whole chain, and hold it against the head in the database and one kept elsewhere."""
    kept = _split(head)
    sealed = read_checkpoints(conn)
    if broken := first_broken(key, sealed):
        fault = f"the checkpoint of records {broken.first} to {broken.last} was changed, or written without the key"
        return _broken(broken.first, START, fault)
    if state := _sealed_head(sealed, kept):
        return state
    number, mac = link_of(sealed)
    for record in records(conn, after=number):
        if fault := fault_of(key, number + 1, mac, record) or kept.fault_at(record):
            return _broken(number + 1, mac, fault)
        number, mac = record.number, record.mac
    return _ending(conn, sealed, f"{number}:{mac}", kept)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A head kept elsewhere; `number` 0 means there is none to hold against."""

    number: int = 0
    mac: str = START

    def fault_at(self, record: AuditRecord) -> str:
        if record.number != self.number or hmac.compare_digest(self.mac.encode(), record.mac.encode()):
            return ""
        return _other_head(record.number)


def _other_head(number: int) -> str:
    return f"record {number} is not the one the given head was taken of"


def _split(head: str | None) -> _Kept:
    if head is None:
        return _Kept()
    number, _, mac = head.strip().partition(":")
    if not (number.isascii() and number.isdecimal()) or len(mac) != len(START):
        raise JournalError(
            f"{head!r} is not an audit head.", "Copy it whole from the report: number, colon, 64 digits."
        )
    return _Kept(int(number), mac)


def _sealed_head(sealed: tuple[Checkpoint, ...], kept: _Kept) -> AuditState | None:
    """Hold a head from before the newest checkpoint against the checkpoints, or refuse: its record is in a file."""
    last, _ = link_of(sealed)
    if not 0 < kept.number <= last:
        return None
    ends = {checkpoint.last: checkpoint.mac for checkpoint in sealed}
    if kept.number not in ends:
        raise JournalError(
            f"Record {kept.number}, which the given head was taken of, is sealed: it is no longer in the journal.",
            "Hold the head against its file: connector audit verify --sealed FILE --head HEAD",
        )
    if not hmac.compare_digest(ends[kept.number].encode(), kept.mac.encode()):
        return _broken(kept.number, START, _other_head(kept.number))
    return None


def records(conn: Connection, after: int = 0, *where: ColumnElement[bool]) -> Iterator[AuditRecord]:
    """Give the records that follow one and fit the conditions, a few thousand in memory at a time."""
    table = tables.audit
    query = select(table).where(table.c.id > after, *where).order_by(table.c.id)
    # On the statement: on the connection it would also hold for what is written afterwards.
    with conn.execute(query.execution_options(yield_per=_ROWS)) as rows:
        for row in rows:
            yield AuditRecord(*row)


def fault_of(key: bytes, expected: int, previous: str, record: AuditRecord) -> str:
    """Say what is wrong with a record that should be this one and follow that chain value; empty where nothing is."""
    if record.number != expected:
        return f"record {expected} is missing; the next one is {record.number}"
    if not hmac.compare_digest(_link(key, previous, record).encode(), record.mac.encode()):
        return f"record {expected} was changed, moved, or written without the key"
    return ""


def _link(key: bytes, previous: str, record: AuditRecord) -> str:
    row = {
        "id": record.number,
        "at": record.at,
        "kind": record.kind,
        "subject": record.subject,
        "person_id": record.person_id,
        "operator": record.operator,
        "run_id": record.run_id,
        "text": record.text,
        "detail": record.detail,
    }
    return link(key, previous, row)


def _ending(conn: Connection, sealed: tuple[Checkpoint, ...], found: str, kept: _Kept) -> AuditState:
    number, _, mac = found.partition(":")
    count = int(number)
    head = conn.execute(select(tables.audit_head)).one()
    if count < kept.number:
        return _broken(count + 1, mac, f"the given head counts {kept.number} records, and only {count} are here")
    if (head.records, head.mac) != (count, mac):
        return _broken(count + 1, mac, f"{head.records} records were written, and only {count} are here")
    sentence = f"The audit trail holds: {count} records, each signed over the one before."
    if sealed:
        sentence += f" Records 1 to {sealed[-1].last} are sealed and in files of their own."
    return AuditState(ok=True, records=count, head=found, first_bad=None, sentence=sentence)


def with_rows(state: AuditState, bad_rows: tuple[str, ...]) -> AuditState:
    """Say of a trail that holds which rows are not as it tells it; a state without such rows is as it was."""
    if not bad_rows:
        return state
    more = f" and {len(bad_rows) - 1} more" if len(bad_rows) > 1 else ""
    sentence = (
        f"The audit trail holds ({state.records} records), but the journal's rows are not as it tells: {bad_rows[0]}"
        f"{more}. Somebody wrote to the journal's database by another way: compare it with a backup. A block that "
        "stands by the trail still blocks. To mend a row, say the word anew; a block is lifted first, which takes two."
    )
    return replace(state, ok=False, sentence=sentence, bad_rows=bad_rows)


def _broken(first_bad: int, mac: str, fault: str) -> AuditState:
    sound = first_bad - 1
    sentence = (
        f"The audit trail does not hold: {fault}. The {sound} records before it are sound. "
        "Somebody wrote to the journal's database by another way: compare it with a backup."
    )
    return AuditState(ok=False, records=sound, head=f"{sound}:{mac}", first_bad=first_bad, sentence=sentence)


# --- a sealed segment -----------------------------------------------------------------------------------------------


def verify_sealed(lines: Iterable[str], key: bytes, head: str | None, known: tuple[Checkpoint, ...]) -> AuditState:
    """Prove a sealed segment line by line, also against a head kept elsewhere and the checkpoints of the journal."""
    walk = _Walk(key, _split(head))
    for place, line in enumerate(lines, start=1):
        if fault := walk.take(place, line):
            return walk.broken(fault)
    return walk.ending(known)


@dataclass(slots=True)
class _Walk:
    """A walk along the lines of a sealed segment. The first record is proven last, when what it follows is known."""

    key: bytes
    kept: _Kept
    first: AuditRecord | None = None
    last: AuditRecord | None = None
    checkpoint: Checkpoint | None = None

    def take(self, place: int, text: str) -> str:
        """Take the next line; say what is wrong with it."""
        if self.checkpoint:
            return f"line {place} follows the checkpoint, which is the last of a segment"
        try:
            made = read_line(text)
        except CodecError as error:
            return f"line {place} is neither a record nor a checkpoint ({error})"
        return self._end(made) if isinstance(made, Checkpoint) else self._next(made)

    def _next(self, record: AuditRecord) -> str:
        before, self.last = self.last, record
        if before is None:
            self.first = record
            return self.kept.fault_at(record)
        fault = fault_of(self.key, before.number + 1, before.mac, record) or self.kept.fault_at(record)
        if fault:
            self.last = before
        return fault

    def _end(self, checkpoint: Checkpoint) -> str:
        if not is_signed(self.key, checkpoint):
            return "its checkpoint was changed, or written without the key"
        if self.first is None or self.last is None:
            return "it has a checkpoint and no records"
        if fault := fault_of(self.key, checkpoint.first, checkpoint.previous, self.first):
            self.last = None
            return fault
        if (self.last.number, self.last.mac) != (checkpoint.last, checkpoint.mac):
            return f"its checkpoint stands for the records up to {checkpoint.last}, and {self.last.number} is the last"
        self.checkpoint = checkpoint
        return ""

    def broken(self, fault: str) -> AuditState:
        first_bad = self.last.number + 1 if self.last else (self.first.number if self.first else 1)
        sound, mac = first_bad - 1, self.last.mac if self.last else START
        sentence = f"The sealed segment does not hold: {fault}. Changed, or cut off: compare it with a copy."
        return AuditState(ok=False, records=sound, head=f"{sound}:{mac}", first_bad=first_bad, sentence=sentence)

    def ending(self, known: tuple[Checkpoint, ...]) -> AuditState:
        """Say what the whole segment comes to."""
        checkpoint = self.checkpoint
        if checkpoint is None:
            return self.broken("it has no checkpoint at its end")
        if self.kept.number and not checkpoint.first <= self.kept.number <= checkpoint.last:
            raise JournalError(
                f"Record {self.kept.number}, which the given head was taken of, is not among {checkpoint.first} to "
                f"{checkpoint.last}, which this segment holds.",
                "Hold it against another segment (--sealed FILE), or against the journal (without --sealed).",
            )
        count = checkpoint.last - checkpoint.first + 1
        sentence = (
            f"The sealed segment holds: {count} records, {checkpoint.first} to {checkpoint.last}, each signed over "
            f"the one before, sealed on {checkpoint.sealed_at:%Y-%m-%d} by {checkpoint.operator}."
        )
        if checkpoint not in known:
            sentence += " The journal does not know this seal: the records were never taken out of it."
        head = f"{checkpoint.last}:{checkpoint.mac}"
        return AuditState(ok=True, records=checkpoint.last, head=head, first_bad=None, sentence=sentence)
