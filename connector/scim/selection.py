"""The one filter providers put into nearly every PATCH path: `type eq "work"`, read without a parser.

Pure. What is not exactly that shape is left to the library; nothing here guesses.
"""

import json
import re
from typing import Any
from unicodedata import normalize

from connector.scim.shapes import Attribute

_EQUALS = re.compile(r'\s{0,8}([A-Za-z]+)\s{1,8}eq\s{1,8}("(?:[^"\\\x00-\x1f]|\\.){0,1000}")\s{0,8}', re.IGNORECASE)


def plain_condition(text: str, attribute: Attribute) -> tuple[Attribute, str] | None:
    """The sub-attribute and the text it is compared with; None for any other filter."""
    match = _EQUALS.fullmatch(text)
    part = attribute.parts.find(match[1]) if match and attribute.parts else None
    if match is None or part is None or part.kind != "string":
        return None
    try:
        value = json.loads(match[2])
    except ValueError:
        return None
    return part, str(value)


def equals(value: Any, wanted: str) -> bool:
    """Whether a text is the one meant: without regard to case or to how its accents are composed."""
    return isinstance(value, str) and (value == wanted or _key(value) == _key(wanted))


def comparable(attribute: Attribute, value: dict[str, Any]) -> dict[str, Any]:
    """One value of a list in the form values are compared in."""
    return {
        name: _part_key(attribute.parts.find(name) if attribute.parts else None, one) for name, one in value.items()
    }


def _part_key(part: Attribute | None, value: Any) -> Any:
    # RFC 7643 2.3.6 and 2.3.7: binary values and references are case exact.
    exact = not isinstance(value, str) or part is None or part.kind != "string"
    return (normalize("NFC", value) if isinstance(value, str) else value) if exact else _key(value)


def _key(text: str) -> str:
    # The form the library compares in, so that both ways of applying a PATCH select the same values.
    return text.lower() if text.isascii() else normalize("NFC", normalize("NFC", text).lower())
