"""How values become text, CSV and JSON. Names are hostile: nothing printed is markup, an escape sequence or a formula.

It knows no verb and decides nothing.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import IO, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connector.reconcile.wording import clean

WIDTH = 120
"""How wide text is at least where it goes into a file or a pipe."""

_CODE_WIDTH = 40
_LINES = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""A line under the head and nothing else, in ASCII: no terminal and no editor shows it wrongly."""

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula; the last four are their full-width forms."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows under column names. A list in a cell is joined."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...] = ()


def console_of(stream: IO[str]) -> Console:
    """Give a console on a stream: no markup, no emoji, no colour and no box drawing where it is no terminal."""
    terminal = stream.isatty()
    width = None if terminal else max(WIDTH, _columns())
    return Console(
        file=stream, markup=False, highlight=False, emoji=False, safe_box=True, width=width, no_color=None if terminal else True
    )


def _columns() -> int:
    text = os.environ.get("COLUMNS", "")
    return int(text) if text.isdecimal() else 0


def line(text: str, style: str = "") -> Text:
    """Give one line of text: control characters are gone, brackets are only brackets."""
    return Text("\n".join(clean(part) for part in text.split("\n")), style=style)


def heading(text: str) -> Text:
    """Give a line that stands above others."""
    return line(text, "bold")


def warning(text: str) -> Text:
    """Give a line that somebody should not overlook."""
    return line(text, "bold red")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, whole: Sequence[str] = ("code",)) -> Table:
    """Give a table. The columns in `whole` are never cut, however narrow the window is."""
    made = Table(box=_LINES, pad_edge=False, show_edge=False, header_style="bold")
    cells = [[line(cell_text(value)) for value in row] for row in rows]
    for number, column in enumerate(columns):
        longest = max((row[number].cell_len for row in cells), default=0)
        width = min(max(longest, len(column)), _CODE_WIDTH) if column in whole else None
        made.add_column(line(column), overflow="fold", min_width=width)
    for row in cells:
        made.add_row(*row)
    return made


def cell_text(value: Any) -> str:
    """Give one value as people read it."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case list() | tuple():
            return ", ".join(cell_text(v) for v in value)
        case _:
            return str(value)


def json_text(document: Any) -> str:
    """Give a document as JSON in ASCII: every system reads it, whatever encoding it expects."""
    return json.dumps(document, ensure_ascii=True, indent=2, default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def csv_text(rows: Rows) -> str:
    """Give rows as CSV (RFC 4180) that no spreadsheet takes for formulas."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows.columns)
    writer.writerows([_csv_cell(value) for value in row] for row in rows.rows)
    return out.getvalue()


def _csv_cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime() | date():
            return value.isoformat()
        case int() | float():
            return str(value)
        case list() | tuple():
            return unformula("; ".join(_csv_cell(v) for v in value))
        case _:
            return unformula(clean(str(value)))


def unformula(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would calculate."""
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
