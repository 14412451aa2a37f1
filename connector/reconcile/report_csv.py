"""A report, or any table, as CSV that no spreadsheet runs. Pure.

RFC 4180 with CRLF. A cell that begins like a formula gets an apostrophe in front: names come from outside, and a name
may be `=HYPERLINK(...)`.
"""

import csv
import io
from collections.abc import Iterable, Sequence

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
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\r\n")  # RFC 4180 2.1
    writer.writerow([safe_cell(title) for title in header])
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    return target.getvalue()


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
                moment(line.at),
                line.key,
                "yes" if line.warns else "no",
            )
            for section in report.sections
            for line in section.lines
        ),
    )
