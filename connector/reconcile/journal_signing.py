"""The authority's signature under an urgent termination, or their refusal, as it is written and believed.

It is keyed with the audit key over what is signed: a signature without it counts for nothing, the countersignature is
still due. Nothing here opens a transaction.
"""

import hmac
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from connector.errors import NotAllowed, UnknownPerson
from connector.reconcile.authority import Record, Refusal, Signature, StoredTermination
from connector.reconcile.codec import canonical
from connector.reconcile.journal_audit import keyed
from connector.reconcile.journal_authority_tables import termination_records, termination_refusals, terminations
from connector.reconcile.journal_store import Detail, Writing


def sign(writing: Writing, key: bytes, number: int, word: tuple[str, str, str], operator: str) -> Signature:
    """Write a countersignature (by whom, as which role, how) inside a transaction that may do more."""
    row = writing.conn.execute(select(terminations).where(terminations.c.id == number)).one_or_none()
    if row is None:
        raise UnknownPerson(f"There is no urgent termination {number}.", "See: connector status")
    stored = stored_termination(writing.conn, key, row)
    _refuse_answered(stored)
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
    detail: Detail = {"termination": number, "by": signature.by, "role": signature.role, "how": signature.how}
    for record in stored.records:
        writing.note("countersigned", record.key, operator, sentence, person_id=record.person_id, detail=detail)
    return signature


def refuse(writing: Writing, key: bytes, number: int, refusal: Refusal, operator: str) -> StoredTermination:
    """Write down that an authority does not countersign. Raises UnknownPerson, or NotAllowed where it was answered."""
    row = writing.conn.execute(select(terminations).where(terminations.c.id == number)).one_or_none()
    if row is None:
        raise UnknownPerson(f"There is no urgent termination {number}.", "See: connector status")
    stored = stored_termination(writing.conn, key, row)
    _refuse_answered(stored)
    table = termination_refusals
    # A row without the key refuses nothing; it must not stand in the way of one that does.
    writing.conn.execute(delete(table).where(table.c.termination_id == number))
    values = {"refused_at": refusal.at, "refused_by": refusal.by, "role": refusal.role, "reason": refusal.reason}
    signature = _keyed_refusal(key, stored, refusal)
    writing.conn.execute(insert(table).values(termination_id=number, **values, signature=signature))
    sentence = (
        f"Countersignature of urgent termination {number} of {stored.label} refused by {refusal.sentence}: "
        f"{refusal.reason}. Nothing was opened."
    )
    detail: Detail = {"termination": number, "by": refusal.by, "role": refusal.role, "reason": refusal.reason}
    for record in stored.records:
        person_id = record.person_id
        writing.note("countersign-refused", record.key, operator, sentence, person_id=person_id, detail=detail)
    return replace(stored, refusal=refusal)


def _refuse_answered(stored: StoredTermination) -> None:
    if stored.signature:
        raise NotAllowed(f"Urgent termination {stored.number} is countersigned: {stored.signature.sentence}.", "")
    if stored.refusal:
        raise NotAllowed(
            f"The countersignature of urgent termination {stored.number} was refused: {stored.refusal.sentence}.",
            "Order it anew, for another word on it: connector terminate WORDS --reason TEXT --apply",
        )


def stored_termination(conn: Connection, key: bytes, row: Row[Any]) -> StoredTermination:
    """Give an urgent termination with its records, and its signature where that is believed."""
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
    stored = replace(stored, refusal=_refusal(conn, key, stored))
    if row.signature is None:
        return stored
    signature = Signature(row.signed_by or "", row.signed_role or "", row.signed_how or "", row.signed_at)
    if not hmac.compare_digest(_keyed(key, stored, signature).encode(), row.signature.encode()):
        return stored  # not signed with the audit key: the countersignature is still due
    return replace(stored, signature=signature)


def _refusal(conn: Connection, key: bytes, stored: StoredTermination) -> Refusal | None:
    """Give the refusal of an order, where it was written with the key."""
    table = termination_refusals
    row = conn.execute(select(table).where(table.c.termination_id == stored.number)).one_or_none()
    if row is None:
        return None
    refusal = Refusal(row.refused_by, row.role, row.reason, row.refused_at)
    believed = hmac.compare_digest(_keyed_refusal(key, stored, refusal).encode(), row.signature.encode())
    return refusal if believed else None


def _keyed_refusal(key: bytes, stored: StoredTermination, refusal: Refusal) -> str:
    whom = [[record.key, record.person_id] for record in stored.records]
    at = refusal.at.isoformat(timespec="microseconds")
    content = [stored.number, stored.operator, whom, refusal.by, refusal.role, refusal.reason, at]
    return keyed(key, "refuse", canonical(content).encode())


def _keyed(key: bytes, stored: StoredTermination, signature: Signature) -> str:
    whom = [[record.key, record.person_id] for record in stored.records]
    at = signature.at.isoformat(timespec="microseconds") if signature.at else ""
    content = [stored.number, stored.operator, whom, signature.by, signature.role, signature.how, at]
    return keyed(key, "countersign", canonical(content).encode())
