"""Which part of a list is asked for: by index (RFC 7644 3.4.2.4), or by a cursor (RFC 9865).

A cursor is signed, ends by itself, and fits only the question it was given for. It remembers where the page ended, not
how many rows went before, so that what comes or goes in between neither repeats nor hides anybody. Pure but for `now`.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from werkzeug.datastructures import MultiDict

from connector.reconcile.journal_audit import keyed
from connector.scim.errors import bad_request, invalid_syntax, invalid_value

DEFAULT_PAGE = 100
"""How many resources a page has where the client does not say."""

_SIGNATURE = 64
_LONGEST_CURSOR = 4096
_LONGEST_KEY = 2000
_ONLY_FILTER = {"filter"}
_LISTS = frozenset({"attributes", "excludedattributes"})
_KNOWN = frozenset({"filter", "sortby", "sortorder", "startindex", "count", "cursor"})
_LARGEST = 2**31 - 1
_SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"

_UNTOLD: list[object] = []

Key = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Query:
    """What a list is asked for. `start` counts from 0; `cursor` is None where paging goes by index."""

    filter: str = ""
    sort_by: str = ""
    descending: bool = False
    start: int = 0
    count: int = DEFAULT_PAGE
    cursor: str | None = None
    attributes: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @property
    def question(self) -> str:
        """What a cursor is good for: the same resources in the same order."""
        return json.dumps([self.filter, self.sort_by, self.descending])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended (or, going back, began): a row's position in its table, and what it is sorted by.

    `is_told` is false where that was too long for an address: the row itself still says it.
    """

    table: str
    position: int
    key: Key = None
    back: bool = False
    is_told: bool = True


def from_parameters(sent: Mapping[str, str], most: int) -> Query:
    """Read the parameters of a GET. Raises ScimError."""
    named = _named(sent)
    if named.keys() == _ONLY_FILTER:  # around the clock: nothing else is read then
        return Query(named["filter"], count=min(DEFAULT_PAGE, most))
    cursor = named.get("cursor")
    return Query(
        filter=named.get("filter", ""),
        sort_by=named.get("sortby", ""),
        descending=_descending(named.get("sortorder", "")),
        start=max(1, _number(named.get("startindex"), "startIndex", 1)) - 1,
        count=_count(named.get("count"), cursor, most),
        cursor=cursor,
        attributes=_names(named.get("attributes", "")),
        excluded=_names(named.get("excludedattributes", "")),
    )


def _named(sent: Mapping[str, str]) -> dict[str, str]:
    """The parameters by their names in lower case. Lists of attributes add up; nothing else is passed over."""
    named: dict[str, str] = {}
    for name, value in sent.items(multi=True) if isinstance(sent, MultiDict) else sent.items():
        lowered = name.lower()
        if lowered in _LISTS and lowered in named:
            named[lowered] += f",{value}"
        elif lowered in _KNOWN and named.get(lowered, value) != value:
            raise invalid_value(f"{name} is there twice. Send it once.")
        else:
            named[lowered] = value
    return named


def from_body(sent: object, most: int) -> Query:
    """Read a SearchRequest (RFC 7644 3.4.3). Raises ScimError."""
    if not isinstance(sent, dict):
        raise invalid_syntax("A search is a JSON object.")
    named: dict[str, Any] = {str(name).lower(): value for name, value in sent.items()}
    schemas = named.get("schemas") or [_SEARCH]
    if not isinstance(schemas, list) or _SEARCH not in schemas:
        raise invalid_syntax(f"A search has the schema {_SEARCH}.")
    cursor = _text(named, "cursor", None)
    return Query(
        filter=_text(named, "filter") or "",
        sort_by=_text(named, "sortBy") or "",
        descending=_descending(_text(named, "sortOrder") or ""),
        start=max(1, _number(named.get("startindex"), "startIndex", 1)) - 1,
        count=_count(named.get("count"), cursor, most),
        cursor=cursor,
        attributes=_listed(named, "attributes"),
        excluded=_listed(named, "excludedAttributes"),
    )


@dataclass(frozen=True, slots=True)
class Cursors:
    """Makes and reads cursors with one key."""

    key: bytes
    minutes: int

    def make(self, query: Query, place: Place, now: datetime) -> str:
        """Give the cursor of the page that begins after a place (or ends before it)."""
        ends = int((now + timedelta(minutes=self.minutes)).timestamp())
        key: object = place.key if len(json.dumps(place.key)) <= _LONGEST_KEY else _UNTOLD
        content = json.dumps([place.table, place.position, key, place.back, ends]).encode()
        return urlsafe_b64encode(content).decode().rstrip("=") + "." + self._signed(query, content)

    def read(self, query: Query, now: datetime) -> Place | None:
        """Give where the page begins; None for the first one. Raises ScimError invalidCursor, expiredCursor."""
        if not query.cursor:
            return None
        body, _, signature = query.cursor[:_LONGEST_CURSOR].rpartition(".")
        try:
            content = urlsafe_b64decode(body + "=" * (-len(body) % 4))
            signed = signature.encode("ascii")
        except ValueError:
            raise invalid_cursor() from None
        if len(signed) != _SIGNATURE or not hmac.compare_digest(signed, self._signed(query, content).encode()):
            raise invalid_cursor()
        table, position, key, back, ends = json.loads(content)
        if now.timestamp() > ends:
            raise bad_request("expiredCursor", "The cursor has ended. Begin again with an empty cursor.")
        return Place(table, position, None if key == _UNTOLD else key, back, is_told=key != _UNTOLD)

    def _signed(self, query: Query, content: bytes) -> str:
        return keyed(self.key, "scim-cursor", query.question.encode() + b"\0" + content)


def invalid_cursor() -> Exception:
    """Give what a cursor is refused with that was not made for this question (RFC 9865 2.1)."""
    return bad_request("invalidCursor", "The cursor is none of ours, or belongs to another list, filter or order.")


def _count(value: object, cursor: str | None, most: int) -> int:
    """Negative is none (RFC 7644 3.4.2.4); more than the most is the most."""
    if value in (None, ""):
        return min(DEFAULT_PAGE, most)
    try:
        return min(max(0, _number(value, "count", 0)), most)
    except Exception:
        if cursor is None:
            raise
        raise bad_request("invalidCount", "count must be a number.") from None  # RFC 9865 2.1


def _number(value: object, name: str, default: int) -> int:
    if value in (None, ""):
        return default
    text = str(value).strip()
    if isinstance(value, bool) or not text.lstrip("+-").isascii() or not text.lstrip("+-").isdigit():
        raise invalid_value(f"{name} must be a number.")
    digits = text.lstrip("+-").lstrip("0") or "0"
    number = _LARGEST if len(digits) > len(str(_LARGEST)) else min(int(digits), _LARGEST)
    return -number if text.startswith("-") else number


def _descending(order: str) -> bool:
    if order.lower() not in ("", "ascending", "descending"):
        raise invalid_value("sortOrder is ascending or descending.")
    return order.lower() == "descending"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _text(named: Mapping[str, Any], name: str, default: str | None = "") -> str | None:
    value = named.get(name.lower(), default)
    if value is not None and not isinstance(value, str):
        raise invalid_value(f"{name} must be text.")
    return value


def _listed(named: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = named.get(name.lower()) or ()
    if isinstance(value, str):
        return _names(value)
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise invalid_value(f"{name} must be a list of names.")
    return tuple(value)
