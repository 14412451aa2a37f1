"""Checkpoints: signed words that stand for the audit records sealed before them.

A checkpoint somebody wrote without the key, or one too few or too many, breaks the chain like a record would. Nothing
here opens a transaction.
"""

import hmac
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from connector.reconcile import journal_tables as tables
from connector.reconcile.codec import to_json
from connector.reconcile.journal_audit import START, keyed
from connector.reconcile.journal_values import Checkpoint


def signed(key: bytes, checkpoint: Checkpoint) -> Checkpoint:
    """Give a checkpoint its signature."""
    return replace(checkpoint, signature=_signature(key, checkpoint))


def is_signed(key: bytes, checkpoint: Checkpoint) -> bool:
    """Say whether a checkpoint is as it was signed with this key."""
    return hmac.compare_digest(_signature(key, checkpoint).encode(), checkpoint.signature.encode())


def _signature(key: bytes, checkpoint: Checkpoint) -> str:
    return keyed(key, "checkpoint", to_json(replace(checkpoint, signature="")).encode())


def read_checkpoints(conn: Connection) -> tuple[Checkpoint, ...]:
    """Give the checkpoints, oldest first."""
    return tuple(_checkpoint(row) for row in conn.execute(select(tables.checkpoints).order_by(tables.checkpoints.c.id)))


def _checkpoint(row: Row[Any]) -> Checkpoint:
    return Checkpoint(
        row.first_record, row.last_record, row.previous, row.mac, row.sealed_at, row.operator, row.signature
    )


def write_checkpoint(conn: Connection, number: int, checkpoint: Checkpoint) -> None:
    """Keep a checkpoint under its number."""
    conn.execute(
        insert(tables.checkpoints).values(
            id=number,
            first_record=checkpoint.first,
            last_record=checkpoint.last,
            previous=checkpoint.previous,
            mac=checkpoint.mac,
            sealed_at=checkpoint.sealed_at,
            operator=checkpoint.operator,
            signature=checkpoint.signature,
        )
    )


def link_of(checkpoints: Sequence[Checkpoint]) -> tuple[int, str]:
    """Give the last sealed record's number and chain value; before anything is sealed, those the chain starts from."""
    return (checkpoints[-1].last, checkpoints[-1].mac) if checkpoints else (0, START)


def first_broken(key: bytes, checkpoints: Sequence[Checkpoint]) -> Checkpoint | None:
    """Give the first checkpoint that is not signed, or does not go on where the one before it ended."""
    last, mac = 0, START
    for checkpoint in checkpoints:
        if (checkpoint.first, checkpoint.previous) != (last + 1, mac) or not is_signed(key, checkpoint):
            return checkpoint
        last, mac = checkpoint.last, checkpoint.mac
    return None
