"""The list of what a portal's administrator is asked to do, as a CSV file people open in a spreadsheet.

It is written whole or not at all, rows of other portals stay as they are, and no cell of it is ever a formula: names
and codes come from outside.
"""

import csv
import io
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from datetime import datetime, tzinfo
from pathlib import Path

from connector.adapters.csv_file import csv_table, read_csv_file
from connector.adapters.table import Faults, positions
from connector.adapters.timestamps import moment
from connector.errors import SourceError
from connector.on_disk import sync_folder

# What a spreadsheet takes for the beginning of a formula, after marks of ours; wide forms too (OWASP, CSV Injection).
_FORMULA = re.compile("[ ']*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NEW_FILE_MODE = 0o640


@dataclass(frozen=True, slots=True)
class Ask:
    """One row: whom it is about, what to do, since when. One person has one ask per portal row: the newest."""

    contact_code: str
    portal_code: str
    contact_type: str
    name: str
    what_to_do: str
    asked_on: datetime
    portal: str
    action: str
    person_id: str
    row_id: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells one ask from another."""
        return (self.portal, self.person_id, self.row_id)


Asks = Mapping[tuple[str, str, str], Ask]
_HEADINGS = {each.name: each.name.replace("_", " ") for each in fields(Ask)}


def read_asks(path: Path, zone: tzinfo, now: datetime) -> dict[tuple[str, str, str], Ask]:
    """Read what waits; no file is nothing. A time that a spreadsheet has mangled counts as now, the careful side."""
    if not path.exists():
        return {}
    table = csv_table(read_csv_file(path))
    places = positions(table, _HEADINGS)
    faults = Faults(table)
    asks = {}
    for line, cells in table.rows:
        if len(cells) != len(table.header):
            faults.add(line, f"{len(cells)} fields where the header has {len(table.header)}")
            continue
        texts = {field: _plain(cells[place]) for field, place in places.items()}
        asked_on = moment(texts.pop("asked_on"), zone) or now
        ask = Ask(asked_on=asked_on, **texts)
        asks[ask.key] = ask
    faults.refuse()
    return asks


def write_asks(path: Path, asks: Iterable[Ask], zone: tzinfo) -> None:
    """Replace the list in one step, durably. Raises SourceError where it cannot be written."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_HEADINGS.values())
    for ask in asks:
        writer.writerow([_guarded(_cell(value, zone)) for value in astuple(ask)])
    try:
        # With a byte order mark, or Excel reads it in the code page of the day.
        replace_durably(path, text.getvalue().encode("utf-8-sig"))
    except OSError as error:
        raise SourceError(
            f"The worklist {path} cannot be written: {error.strerror}.",
            "Close it in the spreadsheet, and check the folder's permissions.",
        ) from error


def _cell(value: object, zone: tzinfo) -> str:
    return value.astimezone(zone).isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)


def _guarded(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _plain(cell: str) -> str:
    """Take our mark off again."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def replace_durably(path: Path, content: bytes) -> None:
    """Put this content under this name, whole or not at all, and on the disk when it returns."""
    mode = path.stat().st_mode & 0o777 if path.exists() else _NEW_FILE_MODE
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)  # noqa: PTH101 - a name just made by mkstemp, as a name
        os.replace(name, path)  # noqa: PTH105 - as above
    except BaseException:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - as above
        raise
    sync_folder(path.parent)
