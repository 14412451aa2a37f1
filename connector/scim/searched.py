"""A document with its id and meta, as a filter sees it. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any


def with_meta(
    resource_type: str,
    document: Mapping[str, Any],
    resource_id: str,
    version: int,
    created: datetime,
    modified: datetime,
) -> dict[str, Any]:
    """Give the document with `id` and `meta` (RFC 7643 3.1), which are stored beside it."""
    meta = {
        "resourceType": resource_type,
        "created": instant(created),
        "lastModified": instant(modified),
        "version": f'W/"{version}"',
    }
    return {**document, "id": resource_id, "meta": meta}


@lru_cache(maxsize=256)  # what is written in one transaction has one time
def instant(at: datetime) -> str:
    """Give a moment as a document says it, in UTC (RFC 7643 2.3.5)."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
