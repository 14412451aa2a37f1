"""What a User's document says, by the paths that account templates name. Pure.

A path that says nothing is left out. Only texts are given: what is written into a directory is never a structure.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from connector.scim.models import ENTERPRISE_SCHEMA

_TYPED = re.compile(r"(\w+)\[(\w+)\]")
_ENTERPRISE = frozenset({"employeeNumber", "costCenter", "organization", "division", "department"})


def values_of(document: Mapping[str, Any], paths: Iterable[str]) -> dict[str, str]:
    """Give the value of every path that has one: `userName`, `name.givenName`, `emails[work]`, `employeeNumber`."""
    found = {path: _value(document, path) for path in paths}
    return {path: value for path, value in found.items() if value}


def _value(document: Mapping[str, Any], path: str) -> str:
    if typed := _TYPED.fullmatch(path):
        rows = document.get(typed[1]) or ()
        mine = [row for row in rows if str(row.get("type") or "").casefold() == typed[2].casefold()]
        return str(mine[0].get("value") or "").strip() if mine else ""
    at: Any = document.get(ENTERPRISE_SCHEMA) if path in _ENTERPRISE else document
    for part in path.split("."):
        at = at.get(part) if isinstance(at, Mapping) else None
    return at.strip() if isinstance(at, str) else ""
