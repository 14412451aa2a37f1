"""A document with its id and meta, as a filter sees it. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
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
        "created": _instant(created),
        "lastModified": _instant(modified),
        "version": f'W/"{version}"',
    }
    return {**document, "id": resource_id, "meta": meta}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
