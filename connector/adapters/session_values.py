"""What a key-value session store keeps under one key: decoded, and read by dotted paths.

Everything here is written by whoever can reach the store, so nothing is believed: a value that does not decode is
`None`, never an exception, and nothing of it is ever quoted.
"""

import json
from collections.abc import Mapping
from typing import Literal

import msgpack

Format = Literal["json", "msgpack"]

LARGEST_VALUE = 1 << 20
"""Bytes. A larger value is no session: decoding it would cost more memory than the sweep may take."""

_LONGEST_USER = 512


def decode(value: bytes, form: Format) -> Mapping[object, object] | None:
    """Give the map a stored value holds, or none where it holds anything else."""
    if len(value) > LARGEST_VALUE:
        return None
    try:
        decoded = json.loads(value.decode("utf-8")) if form == "json" else _unpack(value)
    # ValueError: malformed, not UTF-8, or a number too long to parse. RecursionError: nested too deeply. TypeError:
    # a map with a list for a key. The rest is msgpack's own.
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException):
        return None
    return decoded if isinstance(decoded, dict) else None


def _unpack(value: bytes) -> object:
    # A stray byte in some other text must not hide a session, hence surrogateescape. Timestamps stay raw (0): as
    # datetimes they can overflow.
    return msgpack.unpackb(value, raw=False, strict_map_key=False, unicode_errors="surrogateescape", timestamp=0)


def at(values: Mapping[object, object], path: str) -> object:
    """Give what stands at a dotted path, or none."""
    found: object = values
    for step in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found


def text_at(values: Mapping[object, object], path: str) -> str:
    """Give the text (or whole number, as text) at a dotted path; empty for anything else: nobody's session."""
    found = at(values, path)
    if isinstance(found, bytes):
        found = found.decode("utf-8", "surrogateescape")
    if isinstance(found, int) and not isinstance(found, bool) and found.bit_length() <= 64:  # noqa: PLR2004 - widest id
        return str(found)
    if not isinstance(found, str) or len(found) > _LONGEST_USER or not is_unicode(found):
        return ""
    return found


def is_unicode(text: str) -> bool:
    """Whether a text could be written out again: no lone surrogates."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
