"""The auditor's report as text, CSV and one HTML file. Pure. It only lays out; every line is shown, however many."""

from collections.abc import Iterable
from dataclasses import fields

from connector.reconcile.audit_values import AuditLine, AuditReport, AuditSection
from connector.reconcile.report_csv import csv_text
from connector.reconcile.report_html import page, safe
from connector.reconcile.wording import clean, counted, moment

HEADER = tuple(f.name for f in fields(AuditLine))
"""The columns of the CSV: the names that the JSON has too."""

_NONE = "None."


def audit_rows(report: AuditReport) -> Iterable[tuple[object, ...]]:
    """Give every line of every section as a row under `HEADER`."""
    for section in report.sections:
        for line in section.lines:
            yield tuple(getattr(line, name) for name in HEADER)


def audit_csv(report: AuditReport) -> str:
    """Write every line as CSV that no spreadsheet takes for formulas."""
    return csv_text(HEADER, ([_cell(value) for value in row] for row in audit_rows(report)))


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return clean(value) if isinstance(value, str) else value


def audit_text(report: AuditReport) -> str:
    """Lay the report out as text, lines ending in a newline."""
    body = [line for section in report.sections for line in _text_section(section)]
    notes = ["", *report.notes] if report.notes else []
    return "\n".join([report.subject, _made(report), *body, *notes, *_head(report)]) + "\n"


def _made(report: AuditReport) -> str:
    by = f" by {clean(report.facts.operator)}" if report.facts.operator else ""
    return f"Made {moment(report.facts.made_at)}{by}"


def _head(report: AuditReport) -> list[str]:
    return ["", f"Audit head: {clean(report.facts.audit_head)}"] if report.facts.audit_head else []


def _text_section(section: AuditSection) -> Iterable[str]:
    yield ""
    yield f"{section.title} ({len(section.lines):,})"
    for line in section.lines:
        yield f"  {'! ' if line.warns else ''}{line.label} [{line.what}]"
        yield from (f"      {clean(text)}" for text in (", ".join(_measures(line)), line.text) if text)


def _measures(line: AuditLine) -> Iterable[str]:
    """Say a line's times, days and names in words."""
    if line.begun:
        yield moment(line.begun) + (f" to {moment(line.ended)}" if line.ended else "")
    if line.until:
        yield f"until {line.until}"
    if line.exit_day:
        yield f"last counting day {line.exit_day}"
    if line.days is not None:
        yield counted(line.days, "day")
    if line.minutes is not None:
        yield f"{line.minutes:g} minutes to the last dead session"
    if line.by:
        yield f"by {line.by}"


def audit_html(report: AuditReport) -> str:
    """Lay the report out as one self-contained HTML page."""
    return page(report.subject, _body(report))


def _body(report: AuditReport) -> Iterable[str]:
    yield f"<h1>{safe(report.subject)}</h1>"
    yield f'<p class="quiet">{safe(_made(report))}</p>'
    yield from (f"<p>{safe(note)}</p>" for note in report.notes)
    for section in report.sections:
        yield from _html_section(section)
    yield from (f'<p class="quiet">{safe(text)}</p>' for text in _head(report) if text)


def _html_section(section: AuditSection) -> Iterable[str]:
    yield f"<h2>{safe(section.title)} ({len(section.lines):,})</h2>"
    if not section.lines:
        yield f"<p>{_NONE}</p>"
        return
    heads = "".join(f'<th scope="col">{title}</th>' for title in ("Who", "What", "When and by whom", "Details"))
    yield f"<table><thead><tr>{heads}</tr></thead><tbody>"
    yield from (_html_row(line) for line in section.lines)
    yield "</tbody></table>"


def _html_row(line: AuditLine) -> str:
    warns = ' class="warns"' if line.warns else ""
    who = f'<td class="who"><bdi>{safe(line.label)}</bdi></td>'
    cells = "".join(f"<td>{safe(text)}</td>" for text in (", ".join(_measures(line)), line.text))
    return f'<tr{warns}>{who}<td class="what">{safe(line.what)}</td>{cells}</tr>'
