"""The words of a filter, as RFC 7644 3.4.2.2 spells them: what the parser of the library is given to read.

The library's own lexer knows neither escapes nor signs nor names like `trueName`. Every text that is not a filter is
refused here or by the parser; how long, how deep and how many is bounded before anything is built. Pure.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from connector.scim.errors import ScimError, invalid_filter

MOST_CHARACTERS: Final = 8192
MOST_TERMS: Final = 200
# SQLite's parser has a stack of a hundred places, and every level of a condition takes a few of them.
MOST_LEVELS: Final = 20

_NAME = r"\$?[A-Za-z][A-Za-z0-9$_-]*"
_TOKEN = re.compile(
    rf"""[ \t\r\n]*+(?:
      (?P<mark>[()\[\]])
    | (?P<text>"[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+")
    | (?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)(?![\w$.-])
    | (?P<urn>urn:[A-Za-z0-9._:-]*):(?P<of_urn>{_NAME})(?P<part_of_urn>\.{_NAME})?
    | (?P<name>{_NAME})(?P<part>\.{_NAME})?
    | (?<=\])(?P<chosen>\.{_NAME})
    )""",
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)
_MARKS = {"(": "LPAREN", ")": "RPAREN", "[": "LBRACKET", "]": "RBRACKET"}
_STEPS = {"LPAREN": 1, "LBRACKET": 1, "RPAREN": -1, "RBRACKET": -1}
_TERMS = frozenset({"EQ", "NE", "CO", "SW", "EW", "GT", "LT", "GE", "LE", "PR"})
_WORDS = frozenset({*_TERMS, "AND", "OR", "NOT"})
_LITERALS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Token:
    """One word: its type in the library's grammar, and its value (that of a literal, decoded)."""

    type: str
    value: Any
    index: int
    end: int = 0
    lineno: int = 1


def tokens(text: str) -> Iterator[Token]:
    """Give the words of a filter, one by one.

    Raises:
        ScimError: invalidFilter where the text is no filter, or more of one than is answered.
    """
    if len(text) > MOST_CHARACTERS:
        raise invalid_filter(f"The filter has {len(text)} characters; at most {MOST_CHARACTERS} are read.")
    end, length, levels, terms = 0, len(text.rstrip(" \t\r\n")), 0, 0
    while end < length:
        matched = _TOKEN.match(text, end)
        if matched is None:
            raise _unreadable(text, end)
        for token in _read(matched):
            levels += _STEPS.get(token.type, 0)
            terms += token.type in _TERMS
            _bounded(levels, terms)
            yield token
        end = matched.end()


def _read(matched: re.Match[str]) -> Iterator[Token]:
    kind, start = str(matched.lastgroup), matched.start(str(matched.lastgroup))
    if kind == "mark":
        yield Token(_MARKS[matched[kind]], matched[kind], start)
    elif kind == "text":
        yield Token("COMP_VALUE", _decoded(matched[kind], start), start)
    elif kind == "number":
        yield Token("NUMBER", float(matched[kind]), start)
    elif kind == "chosen":
        yield Token("SUBATTR", matched[kind][1:], start)
    elif matched["urn"]:
        yield Token("SCHEMA_URI", matched["urn"], start)
        yield from _named(matched["of_urn"], matched["part_of_urn"], start)
    elif matched["part"] is None:
        yield _word(matched["name"], start)
    else:
        yield from _named(matched["name"], matched["part"], start)


def _named(name: str, part: str | None, start: int) -> Iterator[Token]:
    yield Token("ATTRNAME", name, start)
    if part:
        yield Token("SUBATTR", part[1:], start)


def _word(word: str, start: int) -> Token:
    lower = word.lower()
    if (upper := word.upper()) in _WORDS:
        return Token(upper, lower, start)
    if lower in _LITERALS:
        return Token(upper, _LITERALS[lower], start)
    return Token("ATTRNAME", word, start)


def _decoded(quoted: str, start: int) -> str:
    try:
        value = str(json.loads(quoted))
        value.encode()
    except ValueError:
        raise invalid_filter(f"The text at character {start + 1} of the filter is no JSON string.") from None
    if "\x00" in value:
        raise invalid_filter(f"The text at character {start + 1} of the filter holds a NUL, which no value has.")
    return value


def _bounded(levels: int, terms: int) -> None:
    if levels > MOST_LEVELS:
        raise invalid_filter(f"The filter is nested deeper than {MOST_LEVELS} levels. Write it flatter.")
    if terms > MOST_TERMS:
        raise invalid_filter(f"The filter has more than {MOST_TERMS} comparisons. Ask in parts.")


def _unreadable(text: str, start: int) -> ScimError:
    at = start + len(text[start:]) - len(text[start:].lstrip())
    return invalid_filter(f"The filter cannot be read at character {at + 1}. See RFC 7644 3.4.2.2.")
