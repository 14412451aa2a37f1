"""Ids of resources. They rise with time, so that new rows lie together in every index: a commit writes fewer pages."""

import secrets
import time
from uuid import UUID

_VERSION, _VARIANT = 7 << 76, 2 << 62


def new_id() -> str:
    """Give an id nobody can guess the next of: milliseconds, then 74 random bits. Source: RFC 9562 5.7."""
    random = secrets.randbits(74)
    high, low = random >> 62, random & ((1 << 62) - 1)
    return str(UUID(int=(time.time_ns() // 1_000_000 & ((1 << 48) - 1)) << 80 | _VERSION | high << 64 | _VARIANT | low))
