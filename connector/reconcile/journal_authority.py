"""Urgent terminations in the journal: ordered before the first effect, countersigned afterwards.

An order is on disk, with the countersignature it owes, before anything is closed. A signature is keyed with the audit
key: a row written without it leaves the countersignature due. Nothing here closes anything or proves anybody.
"""

import hmac
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from connector.errors import NotAllowed, UnknownPerson
from connector.reconcile import journal_tables
from connector.reconcile.authority import Due, Record, Signature, StoredTermination
from connector.reconcile.codec import canonical
from connector.reconcile.journal_audit import keyed
from connector.reconcile.journal_authority_tables import termination_records, terminations
from connector.reconcile.journal_codes import open_alarms
from connector.reconcile.journal_store import Store, Writing, insert_rows, parts


class Authority:
    """Order, finish, find and countersign urgent terminations; say what is due."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def order(
        self, operator: str, reason: str, contact_type: str, records: Sequence[Record], countersign_hours: int
    ) -> StoredTermination:
        """Write an order down before it is carried out. Raises NotAllowed without a reason."""
        if not reason.strip():
            raise NotAllowed("A termination without a reason is not taken.", "Say why: --reason TEXT")
        with self._store.writing() as writing:
            due = writing.now + timedelta(hours=countersign_hours)
            number = writing.next_id(terminations)
            made = StoredTermination(number, operator, reason, contact_type, writing.now, due, tuple(records))
            row = {"id": number, "operator": operator, "reason": reason, "contact_type": contact_type}
            writing.conn.execute(insert(terminations).values(**row, commanded_at=writing.now, due_at=due))
            insert_rows(writing.conn, termination_records, [_record_row(number, p, r) for p, r in enumerate(records)])
            _note_order(writing, made)
        return made

    def finish(self, number: int, last_session_at: datetime | None) -> None:
        """Write down that an order was carried out as far as it goes now, and when its last session was dead."""
        with self._store.writing() as writing:
            values = {"finished_at": writing.now, "last_session_at": last_session_at}
            writing.conn.execute(update(terminations).where(terminations.c.id == number).values(**values))

    def find(self, number: int) -> StoredTermination:
        """Give one urgent termination. Raises UnknownPerson where there is none of that number."""
        found = self._read(select(terminations).where(terminations.c.id == number))
        if not found:
            raise UnknownPerson(f"There is no urgent termination {number}.", "See: connector status")
        return found[0]

    def due(self) -> Due:
        """Give what an authority role still has to say a word on."""
        with self._store.reading() as conn:
            now = self._store.clock(conn)
            rows = conn.execute(select(terminations).order_by(terminations.c.id)).all()
            found = (_stored(conn, self._store.audit_key, row) for row in rows)
            return Due(now, tuple(t for t in found if t.signature is None), open_alarms(conn))

    def terminated(self, keys: Iterable[str]) -> frozenset[str]:
        """Give which of these identities were ever closed by an urgent termination."""
        with self._store.reading() as conn:
            found: set[str] = set()
            for part in parts(list(keys)):
                table = termination_records
                found.update(conn.scalars(select(table.c.key).where(table.c.key.in_(part))))
        return frozenset(found)

    def countersign(self, number: int, name: str, role: str, how: str, operator: str) -> Signature:
        """Countersign for somebody who was proven. Raises UnknownPerson, or NotAllowed where it is signed already."""
        with self._store.writing() as writing:
            return sign(writing, self._store.audit_key, number, (name, role, how), operator)

    def waiting(self, leg_ids: Collection[int]) -> dict[int, Signature | None]:
        """Give, of these legs, those an urgent termination asked for, each with its signature (none: it is due)."""
        with self._store.reading() as conn:
            found: dict[int, Signature | None] = {}
            for part in parts(sorted(leg_ids)):
                for leg_id, number in conn.execute(_ordered_by(part)):
                    row = conn.execute(select(terminations).where(terminations.c.id == number)).one()
                    found[leg_id] = _stored(conn, self._store.audit_key, row).signature
            return found

    def _read(self, query: Select[Any]) -> list[StoredTermination]:
        with self._store.reading() as conn:
            return [_stored(conn, self._store.audit_key, row) for row in conn.execute(query).all()]


def sign(writing: Writing, key: bytes, number: int, word: tuple[str, str, str], operator: str) -> Signature:
    """Write a countersignature (by whom, as which role, how) inside a transaction that may do more."""
    row = writing.conn.execute(select(terminations).where(terminations.c.id == number)).one_or_none()
    if row is None:
        raise UnknownPerson(f"There is no urgent termination {number}.", "See: connector status")
    stored = _stored(writing.conn, key, row)
    if stored.signature:
        raise NotAllowed(f"Urgent termination {number} is countersigned: {stored.signature.sentence}.", "")
    signature = Signature(*word, writing.now)
    values = {
        "signed_at": signature.at,
        "signed_by": signature.by,
        "signed_role": signature.role,
        "signed_how": signature.how,
        "signature": _keyed(key, stored, signature),
    }
    writing.conn.execute(update(terminations).where(terminations.c.id == number).values(**values))
    sentence = f"Urgent termination {number} of {stored.label} countersigned by {signature.sentence}."
    detail = {"termination": number, "by": signature.by, "role": signature.role, "how": signature.how}
    for record in stored.records:
        writing.note("countersigned", record.key, operator, sentence, person_id=record.person_id, detail=detail)
    return signature


def _record_row(number: int, place: int, record: Record) -> dict[str, Any]:
    return {
        "termination_id": number,
        "key": record.key,
        "place": place,
        "person_id": record.person_id,
        "code": record.code,
        "name": record.name,
    }


def _note_order(writing: Writing, made: StoredTermination) -> None:
    sentence = (
        f"Urgent termination {made.number} of {made.label} ordered by {made.operator}: {made.reason}. "
        f"Countersignature due until {made.due_at:%Y-%m-%d %H:%M} UTC."
    )
    for record in made.records:
        detail = {"termination": made.number, "records": len(made.records)}
        writing.note("terminated", record.key, made.operator, sentence, person_id=record.person_id, detail=detail)


def _stored(conn: Connection, key: bytes, row: Row[Any]) -> StoredTermination:
    records = select(termination_records).where(termination_records.c.termination_id == row.id)
    stored = StoredTermination(
        row.id,
        row.operator,
        row.reason,
        row.contact_type,
        row.commanded_at,
        row.due_at,
        tuple(
            Record(r.key, r.person_id, r.code, r.name)
            for r in conn.execute(records.order_by(termination_records.c.place))
        ),
        row.finished_at,
        row.last_session_at,
    )
    if row.signature is None:
        return stored
    signature = Signature(row.signed_by or "", row.signed_role or "", row.signed_how or "", row.signed_at)
    if not hmac.compare_digest(_keyed(key, stored, signature).encode(), row.signature.encode()):
        return stored  # not signed with the audit key: the countersignature is still due
    return replace(stored, signature=signature)


def _keyed(key: bytes, stored: StoredTermination, signature: Signature) -> str:
    whom = [[record.key, record.person_id] for record in stored.records]
    at = signature.at.isoformat(timespec="microseconds") if signature.at else ""
    content = [stored.number, stored.operator, whom, signature.by, signature.role, signature.how, at]
    return keyed(key, "countersign", canonical(content).encode())


def _ordered_by(leg_ids: Sequence[int]) -> Select[Any]:
    """Select legs with the newest urgent termination that came before their intent and is about their identity."""
    legs, revocations = journal_tables.legs, journal_tables.revocations
    joined = (
        legs.join(revocations, legs.c.revocation_id == revocations.c.id)
        .join(termination_records, termination_records.c.key == revocations.c.key)
        .join(terminations, terminations.c.id == termination_records.c.termination_id)
    )
    newest = select(legs.c.id, func.max(terminations.c.id)).select_from(joined)
    before = terminations.c.commanded_at <= revocations.c.intended_at
    return newest.where(legs.c.id.in_(leg_ids), before).group_by(legs.c.id)
