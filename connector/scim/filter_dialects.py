"""What the two databases call the same steps into a JSON column. Expressions only: no text of a client is ever SQL.

Keys are names of our schema; values are bound parameters. Both compare bytes, which for UTF-8 is the order of the code
points, so both give what Python gives. LIKE is not used: it has wildcards, and an opinion on case.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import ColumnElement, FromClause, Integer, Text, column, func, literal
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

Words = ColumnElement[str]
"""A text, or no text: null."""


@dataclass(frozen=True, slots=True)
class Items:
    """The values of a list as rows: `value` is one of them, `place` its place in the list."""

    rows: FromClause
    value: ColumnElement[Any]
    place: ColumnElement[Any]


class Dialect(Protocol):
    """The steps that differ."""

    def __hash__(self) -> int:
        """One is as good as itself."""

    def text(self, document: ColumnElement[Any], keys: tuple[str, ...]) -> Words:
        """The text at a place of a document, null where there is none; with no keys a value of `items` itself."""

    def flag(self, *, value: bool) -> ColumnElement[Any]:
        """What `text` gives for a boolean."""

    def items(self, document: ColumnElement[Any], keys: tuple[str, ...], *, plain: bool) -> Items:
        """The list at a place of a document; `plain` where its values are texts."""

    def contains(self, text: Words, part: str) -> ColumnElement[bool]:
        """Whether the part is in the text."""

    def starts(self, text: Words, part: str) -> ColumnElement[bool]:
        """Whether the text starts with the part."""

    def ends(self, text: Words, part: str) -> ColumnElement[bool]:
        """Whether the text ends with the part, which is not empty."""

    def ordered(self, text: Words) -> Words:
        """The text in the order of its code points."""


class Sqlite:
    """SQLite 3.38 and newer: its JSON functions are part of it."""

    def text(self, document: ColumnElement[Any], keys: tuple[str, ...]) -> Words:
        """See Dialect."""
        return func.json_extract(document, _json_path(keys), type_=Text()) if keys else document

    def flag(self, *, value: bool) -> ColumnElement[Any]:
        """JSON's booleans are 1 and 0."""
        return literal(int(value), Integer())

    def items(self, document: ColumnElement[Any], keys: tuple[str, ...], *, plain: bool) -> Items:  # noqa: ARG002  # one way for both here
        """See Dialect."""
        rows = func.json_each(document, _json_path(keys)).table_valued(column("value", Text), column("key", Integer))
        return Items(rows, rows.c.value, rows.c.key)

    def contains(self, text: Words, part: str) -> ColumnElement[bool]:
        """See Dialect."""
        return func.instr(text, part) > 0

    def starts(self, text: Words, part: str) -> ColumnElement[bool]:
        """See Dialect."""
        return func.substr(text, 1, len(part), type_=Text()) == part

    def ends(self, text: Words, part: str) -> ColumnElement[bool]:
        """See Dialect."""
        return func.substr(text, -len(part), type_=Text()) == part

    def ordered(self, text: Words) -> Words:
        """BINARY is the collation of every expression."""
        return text


class Postgresql:
    """PostgreSQL with JSONB."""

    def text(self, document: ColumnElement[Any], keys: tuple[str, ...]) -> Words:
        """See Dialect."""
        return func.jsonb_extract_path_text(document, *keys, type_=Text()) if keys else document

    def flag(self, *, value: bool) -> ColumnElement[Any]:
        """JSON's booleans are texts here."""
        return literal("true" if value else "false", Text())

    def items(self, document: ColumnElement[Any], keys: tuple[str, ...], *, plain: bool) -> Items:
        """See Dialect."""
        found = func.jsonb_extract_path(document, *keys)
        each = func.jsonb_array_elements_text(found) if plain else func.jsonb_array_elements(found)
        kind: TypeEngine[Any] = Text() if plain else JSONB()
        rows = each.table_valued(column("value", kind), with_ordinality="place").render_derived()
        return Items(rows, rows.c.value, rows.c.place)

    def contains(self, text: Words, part: str) -> ColumnElement[bool]:
        """See Dialect."""
        return func.strpos(text, part) > 0

    def starts(self, text: Words, part: str) -> ColumnElement[bool]:
        """See Dialect."""
        return func.starts_with(text, part) == True  # noqa: E712  # an SQL expression

    def ends(self, text: Words, part: str) -> ColumnElement[bool]:
        """See Dialect."""
        return func.right(text, len(part), type_=Text()) == part

    def ordered(self, text: Words) -> Words:
        """A database's own collation would order as its country does."""
        return text.collate("C")


def _json_path(keys: tuple[str, ...]) -> str:
    return "$" + "".join(f'."{key}"' for key in keys)


DIALECTS: Final[Mapping[str, Dialect]] = {"sqlite": Sqlite(), "postgresql": Postgresql()}
"""By the name SQLAlchemy gives them."""
