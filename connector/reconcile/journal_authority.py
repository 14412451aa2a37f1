"""Urgent terminations in the journal: ordered before the first effect, countersigned afterwards.

An order is on disk, with the countersignature it owes, before anything is closed. A signature is keyed with the audit
key: a row written without it leaves the countersignature due. Nothing here closes anything or proves anybody.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, insert, select, update

from connector.errors import NotAllowed, UnknownPerson
from connector.reconcile import journal_tables
from connector.reconcile.authority import Asked, Due, Record, Signature, StoredTermination
from connector.reconcile.journal_authority_tables import termination_records, terminations
from connector.reconcile.journal_codes import open_alarms
from connector.reconcile.journal_signing import sign, stored_termination
from connector.reconcile.journal_store import Store, Writing, insert_rows, parts


class Authority:
    """Order, finish, find and countersign urgent terminations; say what is due."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def order(self, asked: Asked, countersign_within: timedelta) -> StoredTermination:
        """Write an order down before it is carried out. Raises NotAllowed without a reason."""
        if not asked.reason.strip():
            raise NotAllowed("A termination without a reason is not taken.", "Say why: --reason TEXT")
        with self._store.writing() as writing:
            number, due = writing.next_id(terminations), writing.now + countersign_within
            row = {"id": number, "operator": asked.operator, "reason": asked.reason}
            row |= {"contact_type": asked.contact_type, "commanded_at": asked.commanded_at, "due_at": due}
            writing.conn.execute(insert(terminations).values(**row))
            records = [_record_row(number, place, record) for place, record in enumerate(asked.records)]
            insert_rows(writing.conn, termination_records, records)
            made = _made(number, asked, due)
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
            found = (stored_termination(conn, self._store.audit_key, row) for row in rows)
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
                    found[leg_id] = stored_termination(conn, self._store.audit_key, row).signature
            return found

    def _read(self, query: Select[Any]) -> list[StoredTermination]:
        with self._store.reading() as conn:
            return [stored_termination(conn, self._store.audit_key, row) for row in conn.execute(query).all()]


def _record_row(number: int, place: int, record: Record) -> dict[str, Any]:
    return {
        "termination_id": number,
        "key": record.key,
        "place": place,
        "person_id": record.person_id,
        "code": record.code,
        "name": record.name,
    }


def _made(number: int, asked: Asked, due_at: datetime) -> StoredTermination:
    return StoredTermination(
        number, asked.operator, asked.reason, asked.contact_type, asked.commanded_at, due_at, asked.records
    )


def _note_order(writing: Writing, made: StoredTermination) -> None:
    sentence = (
        f"Urgent termination {made.number} of {made.label} ordered by {made.operator}: {made.reason}. "
        f"Countersignature due until {made.due_at:%Y-%m-%d %H:%M} UTC."
    )
    for record in made.records:
        detail = {"termination": made.number, "records": len(made.records)}
        writing.note("terminated", record.key, made.operator, sentence, person_id=record.person_id, detail=detail)


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
