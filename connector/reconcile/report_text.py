"""A report as plain text, for a terminal or the text part of a mail. Pure; nothing in it can move a cursor."""

from collections.abc import Iterable

from connector.reconcile.report import MOST_SHOWN, Report, ReportLine, ReportSection
from connector.reconcile.wording import clean, moment

__all__ = ["MOST_SHOWN", "report_text", "section_text"]


def report_text(report: Report) -> str:
    """Lay a report out as text, lines ending in a newline."""
    run = report.run
    head = [
        report.subject,
        f"Run {clean(run.run_id)} as of {run.as_of}, {moment(run.at)}"
        + (f", by {clean(run.operator)}" if run.operator else "")
        + (f": {clean(run.result)}" if run.result else ""),
    ]
    body = [line for section in report.sections for line in section_text(section)]
    tail = [f"Audit head: {clean(run.audit_head)}"] if run.audit_head else []
    notes = ["", *report.notes] if report.notes else []
    return "\n".join([*head, *report.lead, *body, *notes, *_history(report), *([""] if tail else []), *tail]) + "\n"


def section_text(section: ReportSection) -> Iterable[str]:
    """Lay a section out as lines."""
    yield ""
    yield section.heading
    for line in section.shown:
        yield f"  {'! ' if line.warns else ''}{line.label} [{line.what}]"
        yield from (f"      {text}" for text in _texts(line))
    if section.folded:
        yield f"  {section.folded}"


def _texts(line: ReportLine) -> Iterable[str]:
    yield line.text
    if line.to_do:
        yield line.to_do
    for before, command in line.steps:
        yield from ([before] if before else [])
        yield f"$ {command}"


def _history(report: Report) -> list[str]:
    if not report.history:
        return []
    rows = [f"  {c.day}  {c.closed:>6,}  {c.open:>5,}  {c.held:>5,}  {c.ready:>6,}" for c in report.history[-10:]]
    return ["", "Last runs    closed   open   held   ready", *rows]
