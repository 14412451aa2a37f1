"""The authority's signature under an urgent termination, as it is written and believed.

It is keyed with the audit key over what is signed: a signature without it counts for nothing, the countersignature is
still due. Nothing here opens a transaction.
"""

import hmac
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, select, update

from connector.errors import NotAllowed, UnknownPerson
from connector.reconcile.authority import Record, Signature, StoredTermination
from connector.reconcile.codec import canonical
from connector.reconcile.journal_audit import keyed
from connector.reconcile.journal_authority_tables import termination_records, terminations
from connector.reconcile.journal_store import Detail, Writing


def sign(writing: Writing, key: bytes, number: int, word: tuple[str, str, str], operator: str) -> Signature:
    """Write a countersignature (by whom, as which role, how) inside a transaction that may do more."""
    row = writing.conn.execute(select(terminations).where(terminations.c.id == number)).one_or_none()
    if row is None:
        raise UnknownPerson(f"There is no urgent termination {number}.", "See: connector status")
    stored = stored_termination(writing.conn, key, row)
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
    detail: Detail = {"termination": number, "by": signature.by, "role": signature.role, "how": signature.how}
    for record in stored.records:
        writing.note("countersigned", record.key, operator, sentence, person_id=record.person_id, detail=detail)
    return signature


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
