"""A report, or any table, as CSV that no spreadsheet runs. Pure.

RFC 4180 with CRLF. A cell that begins like a formula gets an apostrophe in front: names come from outside, and a name
may be `=HYPERLINK(...)`.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC
from itertools import chain

from connector.reconcile.report import Report
from connector.reconcile.wording import moment

_FORMULA = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What spreadsheets take for the beginning of a formula, full-width forms too (OWASP, CSV Injection)."""

REPORT_HEADER = ("section", "who", "what", "text", "to_do", "commands", "at", "key", "warns")


def safe_cell(value: object) -> str:
    """Give a cell that is text and nothing else; numbers we made ourselves stay numbers."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    text = value.replace("\0", "")
    begins = text.lstrip(" ")[:1]
    return f"'{text}" if begins in _FORMULA and begins else text


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table as CSV."""
    return "".join(csv_lines(header, rows))


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Write a table as CSV, a row at a time: a long one never stands in memory as a whole."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\r\n")  # RFC 4180 2.1
    for row in chain((header,), rows):
        writer.writerow([safe_cell(value) for value in row])
        yield target.getvalue()
        target.seek(0)
        target.truncate()


def report_csv(report: Report) -> str:
    """Write every line of a report, with the section it stands in."""
    return csv_text(
        REPORT_HEADER,
        (
            (
                section.name,
                line.label,
                line.what,
                line.text,
                line.to_do,
                "; ".join(line.commands),
                moment(line.at.astimezone(UTC)) if line.at else "",
                line.key,
                "yes" if line.warns else "no",
            )
            for section in report.sections
            for line in section.lines
        ),
    )
