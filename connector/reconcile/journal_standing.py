"""The register of standing words: what the audit trail says stands, kept with a signature, read on from there.

A row of the journal can be changed by whoever can write to its database; the trail cannot, without the key. So before
every decision the words about persons are held against it, and a block that the trail says stands still blocks. The
register spares the walk from the first record, also when the beginning of the trail is sealed. Nothing here opens a
transaction.
"""

import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, insert, select, update

from connector.reconcile import journal_tables as tables
from connector.reconcile.codec import canonical
from connector.reconcile.journal_audit import keyed
from connector.reconcile.journal_checkpoints import link_of, read_checkpoints
from connector.reconcile.journal_store import Writing
from connector.reconcile.journal_verify import fault_of, records
from connector.reconcile.standing import BLOCK, KEEP, LINK, REQUEST, SETTING, Telling, Words, differences

FAR = 500
"""How many records the trail may be ahead before the register follows: few enough to walk with every decision."""

EVERYTHING = (BLOCK, REQUEST, KEEP, LINK, SETTING)

_TABLE = tables.standing


@dataclass(frozen=True, slots=True)
class Register:
    """What stands by the trail as of its record `number`, and what is wrong with the trail since the register."""

    words: Words
    number: int
    mac: str
    since: int
    faults: tuple[str, ...] = ()


def read_register(conn: Connection, key: bytes) -> Register:
    """Give what stands, proven record by record since the register was signed.

    Behind a fault, what keeps somebody out is taken all the same, and nothing that lets anybody in is.
    """
    row = conn.execute(select(_TABLE)).one_or_none()
    faults: list[str] = []
    if row is not None and hmac.compare_digest(_signature(key, row.upto, row.mac, row.content), row.signature.encode()):
        number, mac, telling = row.upto, row.mac, Telling(_words(row.content))
    else:
        number, mac = link_of(read_checkpoints(conn))
        telling = Telling({})
        faults.append("the register of standing words is gone, or was written without the key")
    since = number
    for record in records(conn, after=number):
        fault = fault_of(key, number + 1, mac, record)
        faults += [fault] if fault else []
        telling.take(record, proven=not fault)
        number, mac = record.number, record.mac
    head = conn.execute(select(tables.audit_head)).one()
    if (head.records, head.mac) != (number, mac):
        faults.append(f"{head.records} audit records were written, and {number} is the last that is here")
    return Register(telling.words, number, mac, since, tuple(faults))


def begin_register(conn: Connection, key: bytes) -> None:
    """Make the register where there is none: of a new journal, or of one from before there was a register."""
    if conn.scalar(select(_TABLE.c.id)) is None:
        head = conn.execute(select(tables.audit_head)).one()
        rows = enumerate(rows_as_they_stand(conn))
        words = {(kind, said[0] if kind in (LINK, SETTING) else f"0-{place}"): said for place, (kind, said) in rows}
        conn.execute(insert(_TABLE).values(id=1, **_signed(key, head.records, head.mac, words)))


def advance(writing: Writing, key: bytes, *, at_least: int = FAR) -> Register:
    """Let the register follow the trail once it is this far ahead. A trail that does not hold is not followed."""
    found = read_register(writing.conn, key)
    if not found.faults and found.number - found.since >= at_least:
        writing.conn.execute(update(_TABLE).values(**_signed(key, found.number, found.mac, found.words)))
    return found


def wrong_rows(conn: Connection, register: Register, kinds: Sequence[str] = EVERYTHING) -> tuple[str, ...]:
    """Say which rows are not as the trail tells it."""
    return differences(register.words, rows_as_they_stand(conn, kinds), kinds)


def rows_as_they_stand(conn: Connection, kinds: Sequence[str] = EVERYTHING) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give the rows of these kinds that stand, as the trail would tell them."""
    for kind in kinds:
        match kind:
            case "block" | "keep":
                yield from ((kind, _said(row)) for row in _standing(conn, getattr(tables, f"{kind}s")))
            case "request":
                yield from (
                    (kind, (row.person_id, row.operator, row.reason, "")) for row in _standing(conn, tables.requests)
                )
            case "link":
                for row in conn.execute(select(tables.links)):
                    yield kind, (f"{row.directory}:{row.guid}", row.person_id)
            case _:
                yield from ((kind, (row.name, row.value)) for row in conn.execute(select(tables.settings)))


def _standing(conn: Connection, table: Table) -> Sequence[Row[Any]]:
    return conn.execute(select(table).where(table.c.lifted_at.is_(None))).all()


def _said(row: Row[Any]) -> tuple[str, ...]:
    return row.person_id, row.owner, row.reason, row.until.isoformat() if row.until else ""


def _words(content: str) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(kind, key): tuple(said) for kind, key, said in json.loads(content)}


def _signed(key: bytes, upto: int, mac: str, words: Words) -> dict[str, Any]:
    content = canonical([[kind, name, list(said)] for (kind, name), said in sorted(words.items())])
    signature = _signature(key, upto, mac, content).decode()
    return {"upto": upto, "mac": mac, "content": content, "signature": signature}


def _signature(key: bytes, upto: int, mac: str, content: str) -> bytes:
    return keyed(key, "standing", canonical([upto, mac, content]).encode()).encode()
