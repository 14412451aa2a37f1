"""The audit chain: every record is signed over its predecessor with a key that is not in the database.

A record changed, removed or moved breaks the chain from there on. The newest records can only be proven present by a
head kept elsewhere. Nothing here opens a transaction; no secret, password or session id is ever put into a record.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, insert, or_, select, update

from connector.errors import JournalError
from connector.reconcile import journal_tables as tables
from connector.reconcile.codec import canonical
from connector.reconcile.journal_values import AuditState, Event

KEY_BYTES = 16
"""The shortest audit key that is taken, in bytes."""

START = "0" * 64


@dataclass(frozen=True, slots=True)
class Note:
    """An audit record before it has a number, a time and a place in the chain."""

    kind: str
    subject: str
    operator: str
    text: str
    person_id: str | None
    run_id: int | None
    detail: Mapping[str, str | int | bool | None]


def keyed(key: bytes, purpose: str, content: bytes) -> str:
    """Sign content for one purpose, so that a signature made for a plan is worth nothing as an audit record."""
    return hmac.new(key, purpose.encode() + b"\0" + content, hashlib.sha256).hexdigest()  # RFC 2104


def key_check(key: bytes) -> str:
    """Give what tells the right audit key from a wrong one when a journal is opened."""
    return keyed(key, "key", b"")


def append(conn: Connection, key: bytes, head: Row[Any], now: datetime, notes: Sequence[Note]) -> None:
    """Chain and write the records of one transaction, and move the head. The caller holds the head's lock."""
    if not notes:
        return
    rows, mac = [], head.mac
    for number, note in enumerate(notes, start=head.records + 1):
        row = _row(number, now, note)
        mac = row["mac"] = _mac(key, mac, row)
        rows.append(row)
    conn.execute(insert(tables.audit), rows)
    conn.execute(update(tables.audit_head).values(records=head.records + len(rows), mac=mac))


def _row(number: int, now: datetime, note: Note) -> dict[str, Any]:
    return {
        "id": number,
        "at": now,
        "kind": note.kind,
        "subject": note.subject,
        "person_id": note.person_id,
        "operator": note.operator,
        "run_id": note.run_id,
        "text": note.text,
        "detail": canonical(dict(note.detail)),
    }


def _mac(key: bytes, previous: str, row: Mapping[str, Any]) -> str:
    signed = {**row, "at": row["at"].isoformat(timespec="microseconds"), "previous": previous}
    return keyed(key, "audit", canonical(signed).encode())


def verify(conn: Connection, key: bytes, head: str | None) -> AuditState:
    """Walk the whole chain, and hold it against the head in the database and one kept elsewhere."""
    kept_at, kept_mac = _split(head) if head else (0, START)
    expected, mac = 1, START
    query = select(*_SIGNED, tables.audit.c.mac).order_by(tables.audit.c.id)
    with conn.execution_options(yield_per=5000).execute(query) as rows:
        for row in rows.mappings():
            if fault := _fault(key, expected, mac, row):
                return _broken(expected, mac, fault)
            mac = row["mac"]
            if expected == kept_at and mac != kept_mac:
                return _broken(expected, mac, f"record {expected} is not the one the given head was taken of")
            expected += 1
    return _ending(conn, expected - 1, mac, kept_at)


_SIGNED = tuple(column for column in tables.audit.columns if column.name != "mac")


def _fault(key: bytes, expected: int, previous: str, row: RowMapping) -> str:
    if row["id"] != expected:
        return f"record {expected} is missing; the next one is {row['id']}"
    signed = {name: row[name] for name in row if name != "mac"}
    if not hmac.compare_digest(_mac(key, previous, signed), row["mac"]):
        return f"record {expected} was changed, moved, or written without the key"
    return ""


def _ending(conn: Connection, records: int, mac: str, kept_at: int) -> AuditState:
    head = conn.execute(select(tables.audit_head)).one()
    if records < kept_at:
        return _broken(records + 1, mac, f"the given head counts {kept_at} records, and only {records} are here")
    if (head.records, head.mac) != (records, mac):
        return _broken(records + 1, mac, f"{head.records} records were written, and only {records} are here")
    sentence = f"The audit trail holds: {records} records, each signed over the one before."
    return AuditState(ok=True, records=records, head=f"{records}:{mac}", first_bad=None, sentence=sentence)


def _broken(first_bad: int, mac: str, fault: str) -> AuditState:
    sentence = (
        f"The audit trail does not hold: {fault}. The {first_bad - 1} records before it are sound. "
        "Somebody wrote to the journal's database by another way: compare it with a backup."
    )
    return AuditState(
        ok=False, records=first_bad - 1, head=f"{first_bad - 1}:{mac}", first_bad=first_bad, sentence=sentence
    )


def _split(head: str) -> tuple[int, str]:
    number, _, mac = head.partition(":")
    if not number.isdecimal() or len(mac) != len(START):
        raise JournalError(
            f"{head!r} is not an audit head.", "Copy it whole from the report: number, colon, 64 digits."
        )
    return int(number), mac


def history(conn: Connection, subject: str, limit: int) -> tuple[Event, ...]:
    """Give the newest records about a key or a person, oldest first; what is known by the other name counts too."""
    audit, revocations = tables.audit, tables.revocations
    names = select(revocations.c.person_id).where(revocations.c.key == subject, revocations.c.person_id.is_not(None))
    about = or_(audit.c.subject == subject, audit.c.person_id == subject, audit.c.person_id.in_(names))
    rows = conn.execute(select(audit).where(about).order_by(audit.c.id.desc()).limit(limit)).all()
    return tuple(_event(row) for row in reversed(rows))


def newest(conn: Connection, limit: int) -> tuple[Event, ...]:
    """Give the newest records of all, oldest first."""
    rows = conn.execute(select(tables.audit).order_by(tables.audit.c.id.desc()).limit(limit)).all()
    return tuple(_event(row) for row in reversed(rows))


def _event(row: Row[Any]) -> Event:
    return Event(
        row.id, row.at, row.kind, row.subject, row.person_id, row.operator, row.run_id, row.text, json.loads(row.detail)
    )
