"""Audit records as JSON Lines: one record a line, in ASCII, exactly as it was signed. Pure.

A sealed segment is its records and, as its last line, the signed checkpoint that stands for them. What comes back in is
hostile: a line is a whole record or a whole checkpoint, or it is refused.
"""

import json
from typing import Any

from connector.reconcile.codec import CodecError, canonical, from_json, to_json
from connector.reconcile.journal_values import AuditRecord, Checkpoint

_CHECKPOINT = "checkpoint"


def record_line(record: AuditRecord) -> str:
    """Write one record as a line, without its end."""
    return canonical({**json.loads(to_json(record)), "detail": detail_of(record)})


def detail_of(record: AuditRecord) -> Any:
    """Give a record's detail as values; as it stands where somebody wrote what is no JSON into the journal."""
    try:
        detail = json.loads(record.detail)
        return detail if canonical(detail) == record.detail else record.detail
    except (ValueError, RecursionError):
        return record.detail


def checkpoint_line(checkpoint: Checkpoint) -> str:
    """Write a checkpoint as a line, without its end."""
    return canonical({_CHECKPOINT: json.loads(to_json(checkpoint))})


def read_line(line: str) -> AuditRecord | Checkpoint:
    """Read one line back. Raises CodecError saying what is wrong with it."""
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CodecError("not JSON") from error
    if not isinstance(raw, dict):
        raise CodecError("not an object")
    if _CHECKPOINT in raw:
        return from_json(Checkpoint, _text(raw[_CHECKPOINT]))
    detail = raw.get("detail")
    return from_json(AuditRecord, _text({**raw, "detail": detail if isinstance(detail, str) else _text(detail)}))


def _text(raw: Any) -> str:
    try:
        return canonical(raw)
    except (ValueError, RecursionError) as error:
        raise CodecError("a number that is none, or nested too deeply") from error
