"""A portal's account export (CSV) -> members, by the same rules as every outside text.

An export is a picture of a moment: it is believed whole or not at all, and never longer than the school says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from connector.adapters.csv_file import CsvFile, csv_table
from connector.adapters.rows import parse_date, parse_flag, parse_flag_or_blank, parse_text, parse_word
from connector.adapters.table import Faults, did_you_mean, positions, shown
from connector.adapters.timestamps import moment
from connector.errors import ConfigError, SourceError
from connector.model import Member, MembershipType, MemberStatus

FIELDS = (
    "person_id",
    "username",
    "has_password",
    "status",
    "membership_type",
    "native_id",
    "code",
    "name",
    "added_on",
    "last_login",
    "strategy_match",
)

WhoseCode = Callable[[str], str]
"""Gives the person_id for a contact code. Raises ValueError where it is that of several people."""


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """Which column is what, and which word means what. `zone` is that of times that name none."""

    portal: str
    columns: Mapping[str, str]
    status_values: Mapping[str, str]
    membership_type_values: Mapping[str, str]
    zone: tzinfo

    def refuse_bad_columns(self) -> None:
        """Raise ConfigError where a column is mapped that nobody reads, or one is not that everybody needs."""
        for word in self.columns:
            if word not in FIELDS:
                raise ConfigError(
                    f"{self.portal} maps {word!r}, which no member has. {did_you_mean(word, FIELDS)}",
                    f"A member has {', '.join(FIELDS)}.",
                )
        if not self.columns.get("username"):
            raise ConfigError(
                f"{self.portal} does not say which column is username.", 'Add columns.username = "COLUMN".'
            )
        if not self.columns.get("person_id") and not self.columns.get("code"):
            raise ConfigError(
                f"{self.portal} does not say which column tells who a member is.",
                'Add columns.person_id = "COLUMN"; where the export has contact codes only, columns.code = "COLUMN".',
            )

    @property
    def by_code(self) -> bool:
        """Whether the export names its members by contact code alone."""
        return not self.columns.get("person_id")


def parse_members(file: CsvFile, form: ExportFormat, whose: WhoseCode = str.strip) -> tuple[Member, ...]:
    """Parse a whole export. Raises SourceError naming file, line and column, up to ten at once.

    `whose` gives the person for a code, where the export names members by code alone; there each stands on one line.
    """
    table = csv_table(file)
    faults = Faults(table)
    places = positions(table, form.columns)
    parsers = _parsers(form)
    named = _Named(form, whose)
    members = []
    for line, cells in table.rows:
        if len(cells) != len(table.header):
            faults.add(line, f"{len(cells)} fields where the header has {len(table.header)}")
            continue
        values = _values(faults, line, {field: cells[place] for field, place in places.items()}, form, parsers)
        if values is None:
            continue
        try:
            members.append(_member(form.portal, named.by_code(line, values)))
        except ValueError as error:
            faults.add(line, str(error), form.columns["code"])
    faults.refuse()
    if not members:
        raise SourceError(f"{file.name} has a header and no rows.", "Export the portal's accounts again.")
    return tuple(members)


@dataclass(frozen=True, slots=True)
class _Named:
    """Says who a row is about, where the export does not: by its contact code."""

    form: ExportFormat
    whose: WhoseCode
    lines: dict[tuple[str, str], int] = field(default_factory=dict)

    def by_code(self, line: int, values: dict[str, Any]) -> dict[str, Any]:
        """Give the values with their person. Raises ValueError for no code, and for one that is not unique."""
        if not self.form.by_code:
            return values
        code = values["code"].strip()
        if not code:
            raise ValueError("no contact code, and nothing else says who this is")
        person_id = self.whose(code)
        first = self.lines.setdefault((person_id, values.get("native_id", "")), line)
        if first != line:
            raise ValueError(f"{shown(code)} stands on line {first} already; map native_id, or export each member once")
        return values | {"person_id": person_id}


def refuse_old(file: CsvFile, max_age: timedelta, now: datetime) -> None:
    """Raise SourceError where an export is too old to be believed."""
    if now - file.written_at > max_age:
        hours = int((now - file.written_at) / timedelta(hours=1))
        raise SourceError(
            f"{file.name} was exported {hours} hours ago; max_age_hours is {int(max_age / timedelta(hours=1))}.",
            "Export the portal's accounts again.",
        )


def _parsers(form: ExportFormat) -> Mapping[str, Callable[[str], Any]]:
    return {
        "person_id": parse_word,
        "has_password": parse_flag,
        "status": _word_parser(form.status_values, MemberStatus),
        "membership_type": _word_parser(form.membership_type_values, MembershipType),
        "added_on": _day,
        "last_login": lambda cell: _moment(cell, form.zone),
        "strategy_match": parse_flag_or_blank,
    }


def _values(
    faults: Faults, line: int, cells: Mapping[str, str], form: ExportFormat, parsers: Mapping[str, Callable[[str], Any]]
) -> dict[str, Any] | None:
    values: dict[str, Any] = {}
    for word, cell in cells.items():
        try:
            values[word] = parsers.get(word, parse_text)(cell)
        except ValueError as error:
            faults.add(line, str(error), form.columns[word])
    return values if len(values) == len(cells) else None


def _member(portal: str, values: Mapping[str, Any]) -> Member:
    member = Member(portal=portal, **values)
    if "has_password" not in values:
        # Nobody says whether there is one, and a door that may be open counts as open.
        member = replace(member, has_password=bool(member.username))
    if "status" in values:
        return member
    # An export without a status: whoever has a credential gets in.
    return replace(member, status=MemberStatus.ENABLED if member.credential_lives else MemberStatus.DISABLED)


def _word_parser(words: Mapping[str, str], kind: Callable[[str], Any]) -> Callable[[str], Any]:
    ours = {theirs.strip().casefold(): word for word, theirs in words.items()}

    def parse(cell: str) -> Any:
        text = cell.strip()
        if text.casefold() not in ours:
            raise ValueError(f"{shown(text)} is none of {', '.join(words.values())}")
        return kind(ours[text.casefold()])

    return parse


def _day(cell: str) -> date | None:
    return parse_date(cell.strip()[:10])


def _moment(cell: str, zone: tzinfo) -> datetime | None:
    found = moment(cell, zone)
    if cell.strip() and found is None:
        raise ValueError(f"{shown(cell.strip())} is no moment; write YYYY-MM-DD HH:MM")
    return found


def by_key(members: Sequence[Member], key: Callable[[Member], tuple[str, str]]) -> dict[tuple[str, str], list[Member]]:
    """Group members by what an ask finds them by."""
    found: dict[tuple[str, str], list[Member]] = {}
    for member in members:
        found.setdefault(key(member), []).append(member)
    return found
