"""How values become text, CSV and JSON. Names are hostile: nothing printed is markup, an escape sequence or a formula.

It knows no verb and decides nothing.
"""

import json
import os
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import IO, Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from connector.reconcile import report_csv
from connector.reconcile.report_json import plain
from connector.reconcile.wording import clean

WIDTH = 120
"""How wide text is at least where it goes into a file or a pipe."""

_CODE_WIDTH = 40
_GAP = 2
_WORD, _PART = re.compile(r"\s+"), re.compile(r"\s+|(?<=-)")
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


@dataclass(frozen=True, slots=True)
class Listing:
    """A table that fits its window: it breaks lines between words, then behind hyphens, and last of all in words."""

    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    whole: frozenset[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay it out for the width there is."""
        room = options.max_width - _GAP * (len(self.columns) - 1)
        widths = _fitted(_fitted(self._longest(), self._shortest(_WORD), room), self._shortest(_PART), room)
        made = Table(box=_LINES, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
        for column, width in zip(self.columns, widths, strict=True):
            made.add_column(_wrapped(column, width), overflow="fold", width=width)
        for row in self.cells:
            made.add_row(*map(_wrapped, row, widths))
        yield made

    def _longest(self) -> list[int]:
        return [max(map(cell_len, texts)) for texts in self._by_column()]

    def _shortest(self, words: re.Pattern[str]) -> list[int]:
        """Give how narrow each column may become: its longest word, or all of it where it is never broken."""
        return [
            min(max(map(cell_len, texts)), _CODE_WIDTH)
            if column in self.whole
            else min(max(cell_len(word) for text in texts for word in words.split(text)), _CODE_WIDTH)
            for column, texts in zip(self.columns, self._by_column(), strict=True)
        ]

    def _by_column(self) -> Iterator[tuple[str, ...]]:
        return zip(self.columns, *self.cells, strict=True)


def _fitted(longest: Sequence[int], shortest: Sequence[int], room: int) -> list[int]:
    """Take what is too much from the widest column that can still give, one character at a time."""
    widths = list(longest)
    while sum(widths) > room:
        free = [n for n, width in enumerate(widths) if width > shortest[n]]
        if not free:
            break
        widths[max(free, key=lambda n: widths[n])] -= 1
    return widths


def _wrapped(text: str, width: int) -> Text:
    if cell_len(text) <= width:
        return line(text)
    behind_hyphens = any(cell_len(word) > width for word in text.split())
    return line("\n".join(textwrap.wrap(text, width, break_on_hyphens=behind_hyphens)))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, whole: Sequence[str] = ("code",)) -> Listing:
    """Give a table. The columns in `whole` are never cut, however narrow the window is."""
    cells = tuple(tuple(clean(cell_text(value)) for value in row) for row in rows)
    return Listing(tuple(columns), cells, frozenset(whole))


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
