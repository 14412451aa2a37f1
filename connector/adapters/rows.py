"""Rows of text -> people, relationships, enrolments, roles: one set of rules for files and for queries.

A reading is complete or it is an error: nothing is skipped, nothing is guessed, and a blank is only what the format
says a blank is. What a source does not carry at all is named as missing, which is unknown and never *none*.

Speed comes from looking cells up instead of calling functions: a source repeats its dates, flags and ids, so each
distinct text is parsed once and shared.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from connector.adapters.table import Faults, Table, did_you_mean, positions, shown
from connector.errors import SourceError
from connector.model import ContactType, Enrolment, Person, PersonStatus, Relationship, RoleGrant

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_ACCOUNT_KEY = "account:"
_FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}

# --- one cell ----------------------------------------------------------------------------------------------------


def parse_text(cell: str) -> str:
    """Trim a text. Raises ValueError where it holds a line break or another control character."""
    text = cell.strip()
    if _CONTROL.search(text):
        raise ValueError(f"{shown(text)} holds a line break or control character; a quote is probably not closed")
    return text


def parse_word(cell: str) -> str:
    """Trim a text that must not be blank."""
    text = parse_text(cell)
    if not text:
        raise ValueError("blank; a value is needed here")
    return text


def parse_id(cell: str) -> str:
    """Trim a person's id. Raises ValueError where it reads like the key of an account without a person."""
    text = parse_word(cell)
    if text.startswith(_ACCOUNT_KEY):
        raise ValueError(f"{shown(text)} begins like an account's key; no person's id does")
    return text


def parse_date(cell: str) -> date | None:
    """Parse YYYY-MM-DD; blank is no date."""
    text = cell.strip()
    if not text:
        return None
    try:
        # date.fromisoformat alone also takes 20261121 and 2026-W47-6.
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"{shown(text)} is no date; write YYYY-MM-DD")


def parse_flag(cell: str) -> bool:
    """Parse yes or no (true, false, 1, 0)."""
    flag = parse_flag_or_blank(cell)
    if flag is None:
        raise ValueError("blank; write yes or no")
    return flag


def parse_flag_or_blank(cell: str) -> bool | None:
    """Parse yes or no; blank is neither."""
    text = cell.strip()
    if not text:
        return None
    if text.casefold() not in _FLAGS:
        raise ValueError(f"{shown(text)} is neither yes nor no")
    return _FLAGS[text.casefold()]


def parse_status(cell: str) -> PersonStatus:
    """Parse a person's status."""
    text = cell.strip().casefold()
    try:
        return PersonStatus(text)
    except ValueError:
        known = [status.value for status in PersonStatus]
        raise ValueError(f"{shown(cell.strip())} is none of {', '.join(known)}. {did_you_mean(text, known)}") from None


def parse_codes(cell: str) -> tuple[str, ...]:
    """Parse codes separated by semicolons."""
    return tuple(code for part in parse_text(cell).split(";") if (code := part.strip()))


# --- one dimension -----------------------------------------------------------------------------------------------


class Lookup(Protocol):
    """What turns a cell into a value."""

    def __getitem__(self, cell: str, /) -> Any:
        """Give the value, or raise ValueError with the sentence."""
        ...


class Cells(dict[str, Any]):
    """Each distinct cell parsed once. `known` are values that need no parsing."""

    def __init__(self, parse: Callable[[str], object], known: Mapping[str, object] | None = None) -> None:
        super().__init__(known or {})
        self._parse = parse

    def __missing__(self, cell: str) -> object:
        value = self[cell] = self._parse(cell)
        return value


class _Always:
    """What an absent column says in every row."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __getitem__(self, cell: str, /) -> object:
        return self._value


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name and its rule, in the order the dimension's class takes them.

    `of_person` asks for a known person. `absent` makes the column optional and is what it then says in every row.
    """

    name: str
    parse: Callable[[str], object] = parse_text
    of_person: bool = False
    absent: object | None = None


@dataclass(frozen=True, slots=True)
class Dimension:
    """One table of the admin system: what its rows become, and which value may occur only once.

    Rows whose unique values only read alike are one and the same for deciding: they must agree in `agreeing`.
    """

    name: str
    make: Callable[..., Any]
    columns: tuple[Column, ...]
    unique: str = ""
    agreeing: str = ""


PEOPLE = Dimension(
    "people",
    Person,
    (
        Column("person_id", parse_id),
        Column("code", parse_word),
        Column("given_name"),
        Column("family_name"),
        Column("email"),
        Column("mobile"),
        Column("status", parse_status),
        Column("previous_codes", parse_codes),
    ),
    unique="person_id",
)
OTHER_DIMENSIONS = (
    Dimension(
        "relationships",
        Relationship,
        (
            Column("contact_id", of_person=True),
            Column("student_id", of_person=True),
            Column("contact_type"),
            Column("portal_access", parse_flag_or_blank),
            # A blank restriction is not "no": a court order must be denied in words.
            Column("restricted", parse_flag, absent=False),
            Column("ended_on", parse_date),
        ),
    ),
    Dimension(
        "enrolments",
        Enrolment,
        (
            Column("person_id", of_person=True),
            Column("entry_date", parse_date),
            Column("exit_date", parse_date),
            Column("exit_reason"),
        ),
    ),
    Dimension(
        "security_roles",
        RoleGrant,
        (
            Column("person_id", of_person=True),
            Column("role", parse_word),
            Column("begins_on", parse_date),
            Column("ends_on", parse_date),
        ),
    ),
    Dimension(
        "contact_types",
        ContactType,
        (Column("contact_type", parse_word), Column("portal_access", parse_flag)),
        unique="name",
        agreeing="portal_access",
    ),
)
DIMENSIONS = (PEOPLE, *OTHER_DIMENSIONS)
DIMENSION_NAMES = tuple(dimension.name for dimension in DIMENSIONS)


@dataclass(frozen=True, slots=True)
class Contents:
    """All dimensions of one reading, and what the source does not carry."""

    people: tuple[Person, ...]
    relationships: tuple[Relationship, ...]
    enrolments: tuple[Enrolment, ...]
    security_roles: tuple[RoleGrant, ...]
    contact_types: tuple[ContactType, ...]
    missing: frozenset[str]


def parse_dimensions(
    open_table: Callable[[str], Table | None],
    columns: Mapping[str, Mapping[str, str]] | None = None,
    may_be_empty: Collection[str] = (),
) -> Contents:
    """Parse every dimension `open_table` gives. `columns` maps, per dimension, our column names to theirs.

    Raises SourceError with up to ten errors of the first table that has any.
    """
    people_table = open_table(PEOPLE.name)
    if people_table is None:
        raise SourceError("The admin system gives no people at all.", "Check that people are exported.")
    named = columns or {}
    people, missing = _parse(PEOPLE, people_table, named.get(PEOPLE.name, {}), {}, ())
    ids = {person.person_id: person.person_id for person in people}
    parsed: dict[str, tuple[Any, ...]] = {}
    for dimension in OTHER_DIMENSIONS:
        table = open_table(dimension.name)
        if table is None:
            parsed[dimension.name] = ()
            missing |= {dimension.name}
            continue
        parsed[dimension.name], lacks = _parse(dimension, table, named.get(dimension.name, {}), ids, may_be_empty)
        missing |= lacks
    return Contents(people=people, missing=missing, **parsed)


def _parse(
    dimension: Dimension, table: Table, named: Mapping[str, str], ids: Mapping[str, str], may_be_empty: Collection[str]
) -> tuple[tuple[Any, ...], frozenset[str]]:
    """Parse one table, and say what it lacks."""
    names = {column.name: named.get(column.name, column.name) for column in dimension.columns}
    optional = [column.name for column in dimension.columns if column.absent is not None]
    places = positions(table, names, optional)
    values = _values(dimension, table, places, ids)
    missing = {f"{dimension.name}.{name}" for name in optional if name not in places}
    if not values:
        missing.add(_empty(dimension, table, may_be_empty))
    return values, frozenset(missing)


def _empty(dimension: Dimension, table: Table, may_be_empty: Collection[str]) -> str:
    """The one place that judges a table with a header and no rows: refused unless the school says it may be."""
    if dimension is PEOPLE or dimension.name not in may_be_empty:
        remedy = f'If the school really has none, say so: may_be_empty = ["{dimension.name}"].'
        raise SourceError(
            f"{table.name} has a header and no rows. That is more often a failed export than a school without any.",
            "Export it again." if dimension is PEOPLE else f"Export it again. {remedy}",
        )
    return f"{dimension.name}:empty"


def _values(dimension: Dimension, table: Table, places: Mapping[str, int], ids: Mapping[str, str]) -> tuple[Any, ...]:
    cells_of = [(column.name, _lookup(column, places, ids), places.get(column.name, 0)) for column in dimension.columns]
    pairs = [(lookup, index) for _, lookup, index in cells_of]
    make, width, faults = dimension.make, len(table.header), Faults(table)
    values, lines = [], []
    for line, cells in table.rows:
        if len(cells) != width:
            faults.add(line, f"{len(cells)} fields where the header has {width}")
            continue
        try:
            values.append(make(*[lookup[cells[index]] for lookup, index in pairs]))
        except ValueError:
            _explain(faults, line, cells, cells_of)
        else:
            lines.append(line)
    if dimension.unique:
        _refuse_twins(faults, dimension.unique, values, lines)
    if dimension.agreeing:
        _refuse_contradictions(faults, dimension, values, lines)
    faults.refuse()
    return tuple(values)


def _lookup(column: Column, places: Mapping[str, int], ids: Mapping[str, str]) -> Lookup:
    if column.name not in places:
        return _Always(column.absent)
    if column.of_person:
        return Cells(_known_person(ids), ids)
    return Cells(column.parse)


def _known_person(ids: Mapping[str, str]) -> Callable[[str], str]:
    def parse(cell: str) -> str:
        person_id = parse_word(cell)
        if person_id not in ids:
            raise ValueError(f"no person has the id {shown(person_id)}")
        return ids[person_id]

    return parse


def _explain(faults: Faults, line: int, cells: Any, cells_of: list[tuple[str, Lookup, int]]) -> None:
    for name, lookup, index in cells_of:
        try:
            lookup[cells[index]]
        except ValueError as error:
            faults.add(line, str(error), name)


def _refuse_twins(faults: Faults, attribute: str, values: list[Any], lines: list[int]) -> None:
    first: dict[Hashable, int] = {}
    for value, line in zip(values, lines, strict=True):
        key = getattr(value, attribute)
        if key in first:
            faults.add(line, f"{shown(key)} is already on {faults.table.unit} {first[key]}", attribute)
        first.setdefault(key, line)


def _refuse_contradictions(faults: Faults, dimension: Dimension, values: list[Any], lines: list[int]) -> None:
    first: dict[str, tuple[Any, int]] = {}
    for value, line in zip(values, lines, strict=True):
        name = getattr(value, dimension.unique)
        before, place = first.setdefault(_as_read(name), (value, line))
        if getattr(before, dimension.unique) != name and (
            getattr(before, dimension.agreeing) != getattr(value, dimension.agreeing)
        ):
            says = f"{shown(name)} counts as {shown(getattr(before, dimension.unique))} on {faults.table.unit} {place}"
            faults.add(line, f"{says}, and says otherwise: keep one of them", dimension.agreeing)


def _as_read(text: str) -> str:
    """Give a text as people read it, which is how deciding compares it: no case, no hidden marks, single blanks."""
    plain = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", " ".join(plain.split())).casefold()
