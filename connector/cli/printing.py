"""How values become text, CSV and JSON. Names are hostile: nothing printed is markup, an escape sequence or a formula.

It knows no verb and decides nothing.
"""

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

from connector.reconcile import report_csv
from connector.reconcile.report_json import plain
from connector.reconcile.wording import clean

WIDTH = 120
"""How wide text is at least where it goes into a file or a pipe."""

_CODE_WIDTH = 40
_LINES = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""A line under the head and nothing else, in ASCII: no terminal and no editor shows it wrongly."""


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
        file=stream,
        markup=False,
        highlight=False,
        emoji=False,
        safe_box=True,
        width=width,
        no_color=None if terminal else True,
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
    return json.dumps(plain(document), ensure_ascii=True, indent=2)


def csv_text(rows: Rows) -> str:
    """Give rows as CSV that no spreadsheet takes for formulas."""
    return report_csv.csv_text(rows.columns, ([_csv_cell(value) for value in row] for row in rows.rows))


def _csv_cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime() | date():
            return value.isoformat()
        case list() | tuple():
            return "; ".join(report_csv.safe_cell(_csv_cell(v)) for v in value)
        case _:
            return clean(str(value))
