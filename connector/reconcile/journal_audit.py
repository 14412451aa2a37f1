"""The audit chain: every record is signed over its predecessor with a key that is not in the database.

A record changed, removed or moved breaks the chain from there on; `journal_verify` walks it. Nothing here opens a
transaction; no secret, password or session id is ever put into a record.
"""

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, or_, select, update

from connector.reconcile import journal_tables as tables
from connector.reconcile.codec import canonical, text_of
from connector.reconcile.journal_at_once import given_rows
from connector.reconcile.journal_bulk import execute_once, insert_many
from connector.reconcile.journal_values import Event

KEY_BYTES = 16
"""The shortest audit key that is taken, in bytes."""

START = "0" * 64

# What is signed of a record: canonical JSON, its keys sorted once and for all.
_NAMES = ("at", "detail", "id", "kind", "operator", "person_id", "previous", "run_id", "subject", "text")
_SIGNED = f"{{{','.join(f'{text_of(name)}:%s' for name in _NAMES)}}}"

_WRITE = insert(tables.audit)
_GIVEN = given_rows(tables.audit)
_WRITE_AT_ONCE = insert(tables.audit).from_select([one.name for one in _GIVEN.c], select(_GIVEN))
_MOVE_HEAD = update(tables.audit_head).values(records=bindparam("a_count"), mac=bindparam("a_mac"))


@dataclass(frozen=True, slots=True)
class Head:
    """How many records there are, and the chain value of the newest."""

    records: int
    mac: str


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
    return hmac.digest(key, purpose.encode() + b"\0" + content, "sha256").hex()  # RFC 2104


def key_check(key: bytes) -> str:
    """Give what tells the right audit key from a wrong one when a journal is opened."""
    return keyed(key, "key", b"")


def append(conn: Connection, key: bytes, head: Head | Row[Any], now: datetime, notes: Sequence[Note]) -> None:
    """Chain and write the records of one transaction, and move the head. The caller holds the head's lock."""
    if not notes:
        return
    rows, mac = [], head.mac
    for number, note in enumerate(notes, start=head.records + 1):
        row = _row(number, now, note)
        mac = row["mac"] = link(key, mac, row)
        rows.append(row)
    insert_many(conn, _WRITE, _WRITE_AT_ONCE, rows)
    execute_once(conn, _MOVE_HEAD, {"a_count": head.records + len(rows), "a_mac": mac})


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


def link(key: bytes, previous: str, row: Mapping[str, Any]) -> str:
    """Give the chain value of a record (a row of `audit` but its `mac`) that follows the one with this chain value."""
    signed = {**row, "at": row["at"].isoformat(timespec="microseconds"), "previous": previous}
    return keyed(key, "audit", (_SIGNED % tuple([text_of(signed[name]) for name in _NAMES])).encode())


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
