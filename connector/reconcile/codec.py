"""Frozen dataclasses to JSON and back, so that the journal can keep what was decided and read it unchanged years later.

Pure: no files, no clock. It is driven by the declared types, never by what the text claims to be: unknown keys, wrong
types, naive datetimes and doubled keys are refused. A key may be missing only where its field has a default, so that
what an older version wrote can still be read. A value that carries a secret is never encoded.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from json.encoder import encode_basestring_ascii
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
Turn = Callable[[Any], Any]
Write = Callable[[Any], str]
TAG = "type"
_WORDS = {None: "null", False: "false", True: "true"}
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


class CodecError(ValueError):
    """A text is not what it should be. `where` is the path to the wrong value, outermost first."""

    def __init__(self, message: str, where: tuple[str, ...] = ()) -> None:
        super().__init__(message, where)
        self.message = message
        self.where = where

    def __str__(self) -> str:
        return f"{'.'.join(self.where)}: {self.message}" if self.where else self.message

    def inside(self, name: str) -> "CodecError":
        """Give the same complaint seen from one level further out."""
        return CodecError(self.message, (name, *self.where))


def to_json(value: object, kind: Any = None) -> str:
    """Encode a value of `kind` (its own class unless told) as canonical JSON: sorted keys, no spaces."""
    return _of(kind or type(value))[0](value)


def from_json(kind: type[T], text: str) -> T:
    """Decode what `to_json` made of a value of `kind`. Raises CodecError with the path to what is wrong."""
    try:
        raw = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise CodecError(f"not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise CodecError("nested too deeply") from error
    return cast("T", _of(kind)[1](raw))


def _of(kind: Any) -> tuple[Write, Turn]:
    return _turns(kind)


def canonical(raw: object) -> str:
    """Write plain JSON values in the one form that digests are taken of."""
    return _CANONICAL.encode(raw)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):  # RFC 8259 4 leaves doubled keys open; two readers would see two plans
        raise CodecError("a key stands twice in one object")
    return made


def _no_constant(name: str) -> None:
    raise CodecError(f"{name} is not JSON")  # RFC 8259 6


def text_of(value: object) -> str:
    """Write one plain value in canonical form, a text several times quicker than `canonical`."""
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if value is None or type(value) is bool:
        return _WORDS[value]
    return str(value) if type(value) is int else canonical(value)


# Texts are put together here, by the declared types: a thousand small objects through the encoder of `json`, its keys
# sorted each time, take most of the time of a journal's transaction.
@cache
def _turns(kind: Any) -> tuple[Write, Turn]:
    """Give what writes and what decodes one declared type, made once."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _union(kind)
    if origin is tuple and get_args(kind)[-1] is not Ellipsis:
        return _fixed(get_args(kind))
    if origin in (tuple, frozenset):
        return _many(origin, get_args(kind)[0])
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(*get_args(kind))
    if is_dataclass(kind):
        return _dataclass(cast("type", kind))
    return _leaf(kind)


def _leaf(kind: Any) -> tuple[Write, Turn]:
    if kind is str:
        return encode_basestring_ascii, _exactly(str)
    if kind in (int, bool, NoneType):
        return text_of, _exactly(kind)
    if kind is float:
        return lambda value: canonical(float(value)), _float
    if kind is datetime:
        return _zoned, _datetime
    if kind is date:
        return _plain_date, _date
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        texts = {one: text_of(one.value) for one in kind}
        return (lambda value: texts.get(value) or text_of(kind(value).value)), _enum(kind)
    raise TypeError(f"{kind!r} has no place in the journal")


def _exactly(kind: type) -> Turn:
    def decode(raw: Any) -> Any:
        # `type is`, not isinstance: True is an int to Python and must not be one here.
        if type(raw) is not kind:
            raise CodecError(f"expected {kind.__name__}, found {type(raw).__name__}")
        return raw

    return decode


def _float(raw: Any) -> float:
    return float(raw) if type(raw) is int else float(_exactly(float)(raw))


def _zoned(value: datetime) -> str:
    if value.tzinfo is None:
        raise CodecError("a datetime without a zone")
    return f'"{value.isoformat()}"'


def _datetime(raw: Any) -> datetime:
    made = _parsed(datetime.fromisoformat, raw, "a datetime")
    if made.tzinfo is None:
        raise CodecError(f"{raw!r} has no zone")
    return made


def _plain_date(value: date) -> str:
    if isinstance(value, datetime):
        raise CodecError("a datetime where a date belongs")
    return f'"{value.isoformat()}"'


def _date(raw: Any) -> date:
    return _parsed(date.fromisoformat, raw, "a date")


def _enum(kind: type[StrEnum]) -> Turn:
    return lambda raw: _parsed(kind, raw, f"a {kind.__name__}")


def _parsed(parse: Callable[[str], T], raw: Any, what: str) -> T:
    try:
        return parse(_exactly(str)(raw))
    except CodecError:
        raise
    except ValueError as error:
        raise CodecError(f"{raw!r} is not {what}") from error


def _many(origin: Any, inner: Any) -> tuple[Write, Turn]:
    write_one, decode_one = _turns(inner)

    def write(values: Any) -> str:
        made = [write_one(value) for value in values]
        return f"[{','.join(sorted(made, key=json.loads) if origin is frozenset else made)}]"

    def decode(raw: Any) -> Any:
        items = _exactly(list)(raw)
        return origin(_at(str(place), decode_one, item) for place, item in enumerate(items))

    return write, decode


def _fixed(inner: tuple[Any, ...]) -> tuple[Write, Turn]:
    turns = tuple(_turns(one) for one in inner)

    def write(values: Any) -> str:
        return f"[{','.join(write_one(value) for (write_one, _), value in zip(turns, values, strict=True))}]"

    def decode(raw: Any) -> Any:
        items = _exactly(list)(raw)
        if len(items) != len(turns):
            raise CodecError(f"expected {len(turns)} values, found {len(items)}")
        return tuple(_at(str(place), turns[place][1], item) for place, item in enumerate(items))

    return write, decode


def _mapping(key: Any, inner: Any) -> tuple[Write, Turn]:
    if key is not str and not (isinstance(key, type) and issubclass(key, StrEnum)):
        raise TypeError("only mappings by text have a place in the journal")
    write_one, decode_one = _turns(inner)
    write_key, decode_key = _turns(key)

    def write(values: Any) -> str:
        ordered = sorted(values.items(), key=lambda item: str(item[0]))
        return f"{{{','.join(f'{write_key(name)}:{write_one(one)}' for name, one in ordered)}}}"

    def decode(raw: Any) -> dict[Any, Any]:
        items = _exactly(dict)(raw).items()
        return {_at(name, decode_key, name): _at(name, decode_one, value) for name, value in items}

    return write, decode


def _union(kind: Any) -> tuple[Write, Turn]:
    inner = tuple(one for one in get_args(kind) if one is not NoneType)
    write_some, decode_some = _turns(inner[0]) if len(inner) == 1 else _tagged(inner)
    if len(inner) == len(get_args(kind)):
        return write_some, decode_some
    return (
        lambda value: "null" if value is None else write_some(value),
        lambda raw: None if raw is None else decode_some(raw),
    )


def _tagged(kinds: tuple[Any, ...]) -> tuple[Write, Turn]:
    """Tell several dataclasses apart by name: guessing from their keys would go wrong the day one gains a field."""
    turns = {kind.__name__: _dataclass(kind, kind.__name__) for kind in kinds}

    def write(value: Any) -> str:
        return turns[type(value).__name__][0](value)

    def decode(raw: Any) -> Any:
        rest = dict(_exactly(dict)(raw))
        name = rest.pop(TAG, None)
        if not isinstance(name, str) or name not in turns:
            raise CodecError(f"expected one of {', '.join(turns)}, found {name!r}")
        return turns[name][1](rest)

    return write, decode


def _dataclass(kind: type, tag: str = "") -> tuple[Write, Turn]:
    hints, parts = get_type_hints(kind), fields(kind)
    if not all(part.repr for part in parts):
        raise TypeError(f"{kind.__name__} carries a secret and is never encoded")
    turns = {part.name: _turns(hints[part.name]) for part in parts}
    decoders = {name: decode for name, (_, decode) in turns.items()}
    needed = frozenset(part.name for part in parts if not _has_default(part))

    def decode(raw: Any) -> Any:
        given = _exactly(dict)(raw)
        _refuse_wrong_keys(given.keys(), decoders.keys(), needed)
        return kind(**{name: _at(name, decoders[name], value) for name, value in given.items()})

    return _object_writer({name: write for name, (write, _) in turns.items()}, tag), decode


def _object_writer(writers: Mapping[str, Write], tag: str) -> Write:
    """Give what writes an object of these fields, keys sorted once and for all; with `tag`, its type among them."""
    ordered = sorted(writers)
    names = sorted([*ordered, TAG]) if tag else ordered
    form = ",".join(f"{text_of(name)}:{text_of(tag) if tag and name == TAG else '%s'}" for name in names)
    whole, steps = f"{{{form}}}", tuple(writers[name] for name in ordered)
    if len(steps) == 1:
        (name,), (write,) = ordered, steps
        return lambda value: whole % write(getattr(value, name))
    get = attrgetter(*ordered)
    return lambda value: whole % tuple([write(one) for write, one in zip(steps, get(value), strict=True)])


def _has_default(part: "Field[Any]") -> bool:
    return part.default is not MISSING or part.default_factory is not MISSING


def _refuse_wrong_keys(given: Any, known: Any, needed: frozenset[str]) -> None:
    if unknown := given - known:
        raise CodecError(f"unknown key {', '.join(sorted(unknown))}")
    if absent := needed - given:
        raise CodecError(f"missing key {', '.join(sorted(absent))}")


def _at(name: str, decode: Turn, raw: Any) -> Any:
    try:
        return decode(raw)
    except CodecError as error:
        raise error.inside(name) from error
