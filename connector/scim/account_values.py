"""What a User's document says under the paths of an account template. Pure: a document in, texts out.

Must never take anything but a text, a number or a truth value for a value: what is nested is nobody's name.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from connector.scim.models import ENTERPRISE_SCHEMA

_TYPED = re.compile(r"(\w+)\[(\w+)\]")


def values_of(document: Mapping[str, Any], paths: Iterable[str]) -> dict[str, str]:
    """Give the text under each path; empty where there is none."""
    return {path: _value(document, path).strip() for path in paths}


def _value(document: Mapping[str, Any], path: str) -> str:
    if typed := _TYPED.fullmatch(path):
        return _of_type(document.get(typed[1]), typed[2])
    enterprise = document.get(ENTERPRISE_SCHEMA)
    for part in (document, enterprise):  # RFC 7643 4.3: employeeNumber, department and their like stand there
        found: Any = part
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        if found is not None:
            return _text(found)
    return ""


def _of_type(entries: Any, kind: str) -> str:
    """Give the value of this type (RFC 7643 2.4); `primary` is the one marked so, whatever its type."""
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping):
            is_it = (
                entry.get("primary") is True if kind == "primary" else str(entry.get("type")).lower() == kind.lower()
            )
            if is_it:
                return _text(entry.get("value"))
    return ""


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
