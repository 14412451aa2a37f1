"""Urgent terminations in the journal: ordered before the first effect, countersigned afterwards.

An order is on disk with its blocks and the countersignature it owes before anything is closed: in one transaction, with
the intent too where nobody holds the person. A signature is keyed with the audit
key: a row written without it leaves the countersignature due. Nothing here closes anything or proves anybody.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, update

from connector.errors import NotAllowed, UnknownPerson
from connector.reconcile import journal_tables
from connector.reconcile.authority import Asked, Due, Record, Refusal, Signature, StoredTermination, keys_of
from connector.reconcile.journal_authority_tables import termination_records, terminations
from connector.reconcile.journal_codes import open_alarms
from connector.reconcile.journal_legs import write_urgent_intent
from connector.reconcile.journal_people import write_block
from connector.reconcile.journal_signing import refuse, sign, stored_termination
from connector.reconcile.journal_store import Store, Writing, insert_rows, parts
from connector.reconcile.journal_values import Claim, OpenLeg
from connector.reconcile.memory import Block
from connector.reconcile.plan_values import Revocation

Word = Signature | Refusal | None
"""An authority's answer to an order; none while it is due."""


class Authority:
    """Order, finish, find and countersign urgent terminations; say what is due."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def order(self, asked: Asked, countersign_within: timedelta, blocks: Sequence[Block] = ()) -> StoredTermination:
        """Write an order down with its blocks, before anything is closed. Raises NotAllowed without a reason."""
        with self._store.writing() as writing:
            made = _write_order(writing, asked, countersign_within)
            for block in blocks:
                write_block(writing, block)
        return made

    def order_and_intend(
        self,
        asked: Asked,
        countersign_within: timedelta,
        blocks: Sequence[Block],
        rows: Sequence[Revocation],
        claims: Sequence[Claim],
    ) -> tuple[StoredTermination, tuple[OpenLeg, ...]]:
        """Write order, blocks and the intent of every leg in one transaction; give the order and the legs to drive.

        Raises NotAllowed without a reason, RunInProgress where a claim was lost.
        """
        with self._store.writing() as writing:
            made = _write_order(writing, asked, countersign_within)
            return made, write_urgent_intent(writing, rows, asked.operator, blocks, claims)

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
            found = [stored_termination(conn, self._store.audit_key, row) for row in rows]
            unsigned = tuple(t for t in found if t.signature is None and t.refusal is None)
            return Due(now, unsigned, open_alarms(conn), _refused(conn, found))

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

    def refuse(self, number: int, by: tuple[str, str], reason: str, operator: str) -> StoredTermination:
        """Write down that somebody proven (name, role) does not countersign, and why. It opens nothing.

        Raises UnknownPerson, or NotAllowed: it was answered already, or no reason is given.
        """
        if not reason.strip():
            raise NotAllowed("A refusal without a reason is not taken.", "Say why: --reason TEXT")
        with self._store.writing() as writing:
            return refuse(writing, self._store.audit_key, number, Refusal(*by, reason, writing.now), operator)

    def waiting(self, leg_ids: Collection[int]) -> dict[int, Word]:
        """Give, of these legs, those an urgent termination asked for, each with its answer (none: it is due)."""
        with self._store.reading() as conn:
            found: dict[int, Word] = {}
            for part in parts(sorted(leg_ids)):
                for leg_id, number in conn.execute(_ordered_by(part)):
                    row = conn.execute(select(terminations).where(terminations.c.id == number)).one()
                    stored = stored_termination(conn, self._store.audit_key, row)
                    found[leg_id] = stored.signature or stored.refusal
            return found

    def _read(self, query: Select[Any]) -> list[StoredTermination]:
        with self._store.reading() as conn:
            return [stored_termination(conn, self._store.audit_key, row) for row in conn.execute(query).all()]


def _refused(conn: Connection, orders: Sequence[StoredTermination]) -> tuple[StoredTermination, ...]:
    """Give the refused orders that somebody has to answer: still blocked, and not ordered anew since."""
    table, newest = journal_tables.blocks, {key: t.number for t in orders for key in keys_of(t.records)}
    found = [t for t in orders if t.refusal and all(newest[key] == t.number for key in keys_of(t.records))]
    people = {record.person_id for t in found for record in t.records if record.person_id}
    standing = table.c.lifted_at.is_(None) & table.c.person_id.in_(people)
    blocked = set(conn.scalars(select(table.c.person_id).where(standing)))
    return tuple(t for t in found if any(record.person_id in blocked for record in t.records))


def _write_order(writing: Writing, asked: Asked, countersign_within: timedelta) -> StoredTermination:
    if not asked.reason.strip():
        raise NotAllowed("A termination without a reason is not taken.", "Say why: --reason TEXT")
    number, due = writing.next_id(terminations), writing.now + countersign_within
    row = {"id": number, "operator": asked.operator, "reason": asked.reason}
    row |= {"contact_type": asked.contact_type, "commanded_at": asked.commanded_at, "due_at": due}
    writing.conn.execute(insert(terminations).values(**row))
    records = [_record_row(number, place, record) for place, record in enumerate(asked.records)]
    insert_rows(writing.conn, termination_records, records)
    made = _made(number, asked, due)
    _note_order(writing, made)
    return made


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
