"""Bytes become a JSON object, or a refusal: the first thing that happens to a request's body.

Pure. What two parsers could read differently is refused: doubled keys, broken UTF-8, lone surrogates, NUL, NaN. Nothing
of the body is repeated in an error: it may hold a password.
"""

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any, Final, NoReturn

from connector.scim.errors import ScimError, invalid_syntax, too_large

MOST_BYTES: Final = 1 << 20
DEEPEST: Final = 32

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def object_in(body: bytes, *, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The JSON object a body is.

    Raises:
        ScimError: 413 for a body over `most_bytes`, else 400 invalidSyntax with what is wrong about it.
    """
    if len(body) > most_bytes:
        raise too_large(f"The body has {len(body)} bytes; at most {most_bytes} are taken.")
    value = _value(_text(body))
    if not isinstance(value, dict):
        raise invalid_syntax("The body must be one JSON object.")
    # Neither can be there without these bytes, and nearly no body has them.
    if body.count(b"{") + body.count(b"[") > DEEPEST or b"\\u" in body:
        _walk(value)
    return value


def _text(body: bytes) -> str:
    try:
        return body.removeprefix(_BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as fault:
        raise invalid_syntax(f"The body is not UTF-8 at byte {fault.start}.") from None


def _value(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as fault:
        raise invalid_syntax(f"The body is not JSON: {fault.msg} at character {fault.pos}.") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        # A number of thousands of digits.
        raise invalid_syntax("The body holds a number that is too long.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise invalid_syntax("An object in the body has the same name twice.")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise invalid_syntax("The body holds a number that is too large.")
    return number


def _not_json(name: str) -> NoReturn:
    raise invalid_syntax(f"{name} is not JSON.")


def _walk(value: Any) -> None:
    """Level by level, so that no nesting exhausts the stack here either."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise _too_deep()
        level = [inner for one in level for inner in _inside(one) if isinstance(inner, dict | list)]


def _inside(value: Any) -> Iterator[Any]:
    """What an object or a list holds; its texts are looked at on the way."""
    members = value.values() if isinstance(value, dict) else value
    for text in value if isinstance(value, dict) else ():
        _check(text)
    for one in members:
        if isinstance(one, str):
            _check(one)
        yield one


def _check(text: str) -> None:
    if text.isascii():
        if "\0" in text:
            raise invalid_syntax("A text in the body holds a NUL character.")
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid_syntax("A text in the body holds half a surrogate pair.") from None
    if "\0" in text:
        raise invalid_syntax("A text in the body holds a NUL character.")


def _too_deep() -> ScimError:
    return invalid_syntax(f"The body is nested deeper than {DEEPEST} levels.")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_not_json)
