"""Give raw TOML its declared shape, strictly, and say every problem in a plain sentence.

A misspelt key or a quoted number must never fall back silently to a default, and no sentence made here may ever repeat
a value from the file: it could be the password somebody typed in the wrong place.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from connector.errors import ConfigError, ConnectorError
from connector.interfaces import Secret

T = TypeVar("T")
Where = tuple[str | int, ...]
"""A place in the file: table names, then a key, then perhaps the number of a list item."""

_SENTENCES = {
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number, without quotes",
    "bool_type": "must be true or false, without quotes",
    "string_type": "must be text, in quotes",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be a table",
    "dataclass_type": "must be a table",
    "date_type": "must be a date (2026-11-21)",
    "date_parsing": "must be a date (2026-11-21)",
    "date_from_datetime_parsing": "must be a date (2026-11-21)",
    "time_type": 'must be a time of day ("02:30")',
    "time_parsing": 'must be a time of day ("02:30")',
}

_SOURCES = ("env", "file", "credential", "keyring")
"""The ways in which a secret is named."""

# RFC 3986 3.2.1: "user:password" before the @, read as generously as database drivers read it.
_PASSWORD_BEFORE_HOST = re.compile(r"^\s*[A-Za-z][\w+.\-]*://[^/?#@\s]*:[^@\s]+@")
_PASSWORD_PARAMETER = re.compile(r"(?:^|[?&;]|%3B)\s*(?:\w*password|passwd|pwd)\s*(?:=|%3D)\s*[^\s&;]", re.IGNORECASE)


class Problems:
    """What is wrong with one file: at most one sentence per place, in the order found."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[Where, str] = {}
        self._meant: set[Where] = set()

    def __len__(self) -> int:
        return len(self._found)

    def add(self, where: Where, sentence: str) -> None:
        """Note what is wrong with the value at `where`; what was noted first for a place stays."""
        self._found.setdefault(where, f"{label(where)} {sentence}")

    def add_table(self, where: Where, sentence: str) -> None:
        """Note what is wrong with a whole table."""
        self._found.setdefault(where, f"{table_label(where)} {sentence}")

    def add_all(self, found: Iterable[tuple[Where, str]]) -> None:
        """Note many."""
        for where, sentence in found:
            self.add(where, sentence)

    def add_unknown(self, where: Where, known: Iterable[str]) -> None:
        """Note a key that nobody reads, and the one that may be meant."""
        close = closest(str(where[-1]), known)
        self._meant.update((*where[:-1], name) for name in close)
        sentence = f"{table_label(where[:-1])} has no {_noun(where)} {where[-1]!r}.{_did_you_mean(close)}"
        self._found.setdefault(where, sentence)

    def add_missing(self, where: Where, spare: Iterable[str]) -> None:
        """Note a key that must be there, unless a misspelt one is already noted in its place."""
        misspelt = closest(str(where[-1]), spare)
        if misspelt:
            self.add_unknown((*where[:-1], misspelt[0]), (str(where[-1]),))
        elif where not in self._meant:
            self._found.setdefault(where, f"{table_label(where[:-1])} needs the {_noun(where)} {where[-1]!r}.")

    def refuse_any(self) -> None:
        """Raise ConfigError with all problems at once, if there are any."""
        if self._found:
            lines = "\n".join(f"  {sentence}" for sentence in self._found.values())
            raise ConfigError(
                f"{self._path} cannot be used:\n{lines}\n", "Correct the file, then run `connector check`."
            )


def label(where: Where) -> str:
    """Name a key the way it is written: `[rules.grace_days] left`, `[portals.staff] roles, item 2`."""
    if not where:
        return "The file"
    if len(where) == 1:
        return f"[{where[0]}]"
    key = next((index for index, part in enumerate(where) if isinstance(part, int)), len(where)) - 1
    items = (f", item {part + 1}" if isinstance(part, int) else f", {part}" for part in where[key + 1 :])
    return f"[{'.'.join(map(str, where[:key]))}] {where[key]}{''.join(items)}"


def table_label(where: Where) -> str:
    """Name a table: `[journal.audit_key]`, or as an item where it is one of a list."""
    return (
        label(where) if not where or any(isinstance(part, int) for part in where) else f"[{'.'.join(map(str, where))}]"
    )


def closest(key: str, known: Iterable[str]) -> tuple[str, ...]:
    """Give the known name that looks most like `key`, if any does."""
    return tuple(get_close_matches(key, list(known), n=1))


def _noun(where: Where) -> str:
    return "key" if len(where) > 1 else "section"


def _did_you_mean(close: tuple[str, ...]) -> str:
    return f" Did you mean {close[0]!r}?" if close else ""


def keys_of(kind: Any) -> tuple[str, ...]:
    """Give the keys that a settings dataclass reads."""
    return tuple(each.name for each in fields(kind))


def shape(
    kind: type[T],
    raw: Any,
    where: Where,
    problems: Problems,
    *,
    neighbours: Iterable[str] = (),
    spare: Iterable[str] = (),
) -> T | None:
    """Give `raw` the shape `kind` (a dataclass or a dict type), or note every problem and give None.

    `neighbours` are keys of the same table that somebody else reads, `spare` keys of it that are not in `raw`. Neither
    is read here: a misspelt key is explained by them.
    """
    before = len(problems)
    for place, known in _unknown_keys(kind, raw, where):
        problems.add_unknown(place, (*known, *neighbours) if place[:-1] == where else known)
    problems.add_all(_bad_secrets(kind, raw, where))
    value = _validated(kind, raw, where, problems, tuple(spare))
    return value if len(problems) == before else None


def _validated(kind: type[T], raw: Any, where: Where, problems: Problems, spare: tuple[str, ...]) -> T | None:
    # Through JSON, because strict JSON takes lists for tuples and text for enums and dates, and still no "5" for 5.
    text = json.dumps(raw, default=lambda moment: moment.isoformat())
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _note(detail, raw, where, problems, spare)
    except ConnectorError as error:
        problems.add_table(where, f"is not usable: {error}")
    return None


def _note(detail: ErrorDetails, raw: Any, where: Where, problems: Problems, spare: tuple[str, ...]) -> None:
    place = where + _place_in(raw, detail["loc"])
    if detail["type"] == "missing":
        problems.add_missing((*place, detail["loc"][-1]), spare if place == where else ())
    elif detail["type"] == "value_error":  # what a settings class says about itself
        problems.add_table(place, f"is not usable: {detail['ctx']['error']}.")
    else:
        problems.add(place, _sentence(detail))


def _place_in(raw: Any, loc: Where) -> Where:
    """Cut a pydantic location where it leaves the file: it also names union branches and `[key]`."""
    for depth, part in enumerate(loc):
        inside = (isinstance(raw, Mapping) and part in raw) or (isinstance(raw, list) and isinstance(part, int))
        if not inside:
            return loc[:depth]
        raw = raw[part]
    return loc


def _sentence(detail: ErrorDetails) -> str:
    if detail["type"] in ("enum", "literal_error"):
        expected = detail["ctx"]["expected"]
        close = closest(str(detail["input"]), re.findall(r"'([^']+)'", expected))
        return f"must be {expected}.{_did_you_mean(close)}"
    # Never the input: a sentence of the library says what it wanted, which is all we may repeat.
    return _SENTENCES.get(detail["type"], f"is not usable: {detail['msg'][:1].lower()}{detail['msg'][1:]}") + "."


def _options(kind: Any) -> Iterator[Any]:
    """Give the plain types behind unions and annotations."""
    if get_origin(kind) is Annotated:
        yield from _options(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for each in get_args(kind):
            yield from _options(each)
    else:
        yield kind


def _parts(kind: Any, raw: Any, where: Where) -> Iterator[tuple[Any, Any, Where]]:
    """Give the (type, raw value, place) of everything directly inside `raw`."""
    if isinstance(raw, Mapping) and is_dataclass(kind):
        hints = get_type_hints(kind)
        yield from ((hints[key], raw[key], (*where, key)) for key in keys_of(kind) if key in raw)
    elif isinstance(raw, Mapping) and len(get_args(kind)) == 2:  # noqa: PLR2004 - a mapping's key and value
        yield from ((get_args(kind)[1], value, (*where, key)) for key, value in raw.items())
    elif isinstance(raw, list) and get_args(kind):
        yield from ((get_args(kind)[0], item, (*where, index)) for index, item in enumerate(raw))


def _unknown_keys(kind: Any, raw: Any, where: Where) -> Iterator[tuple[Where, tuple[str, ...]]]:
    """Give the place of every key nobody reads, at every depth, with the keys that are read there."""
    for option in _options(kind):
        known = _known_keys(option)
        if known and isinstance(raw, Mapping):
            yield from (((*where, key), known) for key in raw if key not in known)
        for inner, value, place in _parts(option, raw, where):
            yield from _unknown_keys(inner, value, place)


def _known_keys(kind: Any) -> tuple[str, ...]:
    if is_dataclass(kind):
        return keys_of(kind)
    key = next(iter(get_args(kind)), None)
    return tuple(each.value for each in key) if isinstance(key, type) and issubclass(key, Enum) else ()


def _bad_secrets(kind: Any, raw: Any, where: Where) -> Iterator[tuple[Where, str]]:
    """Give the place of every secret that is written out, or not named in exactly one way."""
    for option in _options(kind):
        if option is Secret and not isinstance(raw, Mapping):
            yield where, f"is a {literal_password(str(where[-1]))}"
        elif option is Secret and (sentence := _badly_named(raw)):
            yield where, sentence
        for inner, value, place in _parts(option, raw, where):
            yield from _bad_secrets(inner, value, place)


def _badly_named(raw: Mapping[str, Any]) -> str | None:
    """Say what is wrong with how a secret is named. The names themselves are not repeated: one may be the secret."""
    if sum(bool(raw.get(key)) for key in _SOURCES) != 1:
        return (
            'needs exactly one of { env = "..." }, { file = "..." }, { credential = "..." } and '
            '{ keyring = "...", user = "..." }.'
        )
    if bool(raw.get("keyring")) != bool(raw.get("user")):
        return 'needs keyring and user together: { keyring = "SERVICE", user = "NAME" }.'
    if re.search(r"[/\\]|^\.+$", str(raw.get("credential", ""))):
        return "must give the name of a credential, not a path."
    return None


def literal_password(key: str) -> str:
    """Say what to write instead of a secret. The secret itself is never repeated."""
    return f'literal password in the config; write {key} = {{ env = "..." }} or {{ file = "..." }}.'


def passwords_in_urls(raw: Any, where: Where = ()) -> Iterator[tuple[Where, str]]:
    """Give the place of every text, at any depth, that carries a password the way URLs do."""
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            yield from passwords_in_urls(value, (*where, key))
    elif isinstance(raw, list):
        for index, item in enumerate(raw):
            yield from passwords_in_urls(item, (*where, index))
    elif isinstance(raw, str) and (_PASSWORD_BEFORE_HOST.search(raw) or _PASSWORD_PARAMETER.search(raw)):
        yield where, f"holds a {literal_password('password')}"
