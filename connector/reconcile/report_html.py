"""A report as one HTML file: readable in a mail client, in print, light and dark. Pure.

No scripts, no outside resources, and a Content-Security-Policy that says so: names in it come from outside. Every text
is escaped in one place.
"""

import base64
import hashlib
from collections.abc import Iterable
from html import escape

from connector.reconcile.report import Report, ReportLine, ReportSection
from connector.reconcile.report_chart import CHART_DARK, CHART_HEIGHT, CHART_STYLE, CHART_WIDTH, chart, described
from connector.reconcile.wording import clean, moment

_STYLE = f"""
body{{margin:1.5rem auto;max-width:60rem;padding:0 1rem;font:15px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif;
color:#1f2937;background:#fff}}
h1{{font-size:1.35rem;margin:0 0 .25rem}}h2{{font-size:1.05rem;margin:1.75rem 0 .4rem}}
p{{margin:.25rem 0}}.quiet{{color:#6b7280}}
table{{border-collapse:collapse;width:100%}}
th,td{{text-align:left;vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid #e5e7eb;overflow-wrap:anywhere}}
th{{font-weight:600;white-space:nowrap}}.who{{width:24%;font-weight:500;white-space:normal}}td.what{{width:20%}}
td.number,th.number{{text-align:right;width:auto}}
tr.warns .who{{border-left:4px solid #b91c1c;padding-left:.5rem}}
code{{font:13px/1.5 ui-monospace,Consolas,monospace}}
p.type{{background:#f3f4f6;padding:.1rem .4rem}}
svg,img{{max-width:100%;height:auto}}table.counts{{width:auto}}
@media (max-width:36rem){{
table.rows,table.rows tbody,table.rows tr,table.rows td,table.rows th{{display:block;width:auto}}
table.rows thead{{display:none}}table.rows td,table.rows th{{border:0;padding:.1rem .6rem}}
table.rows tr{{border-bottom:1px solid #9ca3af;padding:.5rem 0}}
table.rows .who{{font-weight:600}}tr.warns .who{{margin-bottom:.1rem}}}}
{CHART_STYLE}
@media (prefers-color-scheme:dark){{body{{color:#e5e7eb;background:#111827}}.quiet{{color:#9ca3af}}
th,td{{border-color:#374151}}p.type{{background:#1f2937}}tr.warns .who{{border-left-color:#ff8080}}{CHART_DARK}}}
@media print{{body{{max-width:none;margin:0;color:#000;background:#fff}}tr,svg{{break-inside:avoid}}
h2{{break-after:avoid}}p.type{{background:none;border:1px solid #9ca3af}}}}
"""


# Word lays mails out in Outlook, and some clients throw style sheets away: these attributes are what remains then.
_TABLE = 'width="100%" cellpadding="6" cellspacing="0"'
_CELL = 'align="left" valign="top"'


def report_html(report: Report, picture: str = "") -> str:
    """Lay a report out as one self-contained HTML page.

    In a mail, `picture` is the cid: address of the picture that comes with it: mail clients show no SVG.
    """
    sections = (line for section in report.sections for line in section_html(section))
    body = (*_top(report), *sections, *_notes(report), *_history(report, picture), *foot(report.run.audit_head))
    return page(report.subject, body, pictures="cid:" if picture else "")


def page(title: str, body: Iterable[str], pictures: str = "") -> str:
    """Put lines of HTML into a self-contained page in the look of our reports. The title is text, the lines HTML.

    `pictures` is where pictures may come from (none: there are none).
    """
    head = _head(title, pictures)
    return "\n".join(["<!DOCTYPE html>", '<html lang="en">', *head, "<body>", *body, "</body>", "</html>", ""])


def _head(title: str, pictures: str) -> Iterable[str]:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    # CSP 3, 6.1 and 2.3.1: nothing is fetched, and only this very style is applied.
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    policy += f"; img-src {pictures}" if pictures else ""
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield '<meta name="referrer" content="no-referrer">'
    yield f"<title>{safe(title)}</title>"
    yield f"<style>{_STYLE}</style>"
    yield "</head>"


def safe(text: str) -> str:
    """Escape a text for element content and quoted attributes. The one place where that is done."""
    return escape(clean(text), quote=True)


def _top(report: Report) -> Iterable[str]:
    run = report.run
    yield f"<h1>{safe(report.subject)}</h1>"
    by = f", by {run.operator}" if run.operator else ""
    result = f": {run.result}" if run.result else ""
    plan = f", plan {run.plan_id}" if run.plan_id else ""
    text = f"Run {run.run_id} as of {run.as_of}, {moment(run.at)}{by}{plan}{result}"
    yield f'<p class="quiet">{safe(text)}</p>'
    yield from (f"<p>{safe(sentence)}</p>" for sentence in report.lead)


def section_html(section: ReportSection) -> Iterable[str]:
    """Lay a section out as a table."""
    yield f"<h2>{safe(section.heading)}</h2>"
    yield f'<table class="rows" {_TABLE}>'
    heads = "".join(f'<th scope="col" align="left">{title}</th>' for title in ("Who", "What", "Details"))
    yield f"<thead><tr>{heads}</tr></thead>"
    yield "<tbody>"
    yield from (_row(line) for line in section.shown)
    yield "</tbody></table>"
    if section.folded:
        yield f"<p>{safe(section.folded)}</p>"


def _row(line: ReportLine) -> str:
    """Lay a line out as a row that its first cell names; what needs somebody is marked without colour too."""
    details = [safe(line.text)]
    if line.to_do:
        details.append(f"<p>{safe(line.to_do)}</p>")
    for before, command in line.steps:
        details += [f"<p>{safe(before)}</p>"] if before else []
        details.append(f'<p class="type"><code>{safe(command)}</code></p>')
    row, mark = (' class="warns"', "! ") if line.warns else ("", "")
    who = f'<th scope="row" class="who" {_CELL}>{mark}<bdi>{safe(line.label)}</bdi></th>'
    return f'<tr{row}>{who}<td class="what" {_CELL}>{safe(line.what)}</td><td {_CELL}>{"".join(details)}</td></tr>'


def _notes(report: Report) -> Iterable[str]:
    if not report.sections:
        yield "<p>Nothing was to be done.</p>"
    if report.notes:
        yield "<h2>Notes</h2>"
        yield from (f"<p>{safe(note)}</p>" for note in report.notes)


def _history(report: Report, picture: str) -> Iterable[str]:
    """The picture, and the same counts as a table: not everybody sees pictures."""
    if not report.history:
        return
    yield "<h2>The last runs</h2>"
    yield _image(picture, described(report.history)) if picture else chart(report.history)
    heads = "".join(f'<th scope="col" class="number">{title}</th>' for title in ("Closed", "Open", "Held", "Ready"))
    yield f'<table class="counts"><thead><tr><th scope="col">Run</th>{heads}</tr></thead><tbody>'
    for counts in reversed(report.history[-10:]):
        numbers = (counts.closed, counts.open, counts.held, counts.ready)
        cells = "".join(f'<td class="number">{n:,}</td>' for n in numbers)
        yield f"<tr><td>{counts.day}</td>{cells}</tr>"
    yield "</tbody></table>"


def _image(address: str, words: str) -> str:
    """Show the picture of a mail; clients that know no style sheets are told its size."""
    return f'<img src="{safe(address)}" alt="{safe(words)}" width="{CHART_WIDTH}" height="{CHART_HEIGHT}">'


def foot(audit_head: str) -> Iterable[str]:
    """Give the audit head, which leaves the machine with everything we send."""
    if audit_head:
        yield f'<p class="quiet">Audit head: {safe(audit_head)}</p>'
