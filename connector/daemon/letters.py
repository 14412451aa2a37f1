"""What the mails of the daemon say, as text and as HTML. Pure: who is told, and when, is decided elsewhere.

Many read them: every text in them is said discreetly already. Nothing in them is fetched from anywhere, and no name
can be more than a name.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from connector.post import PICTURE, Letter
from connector.reconcile.report import Report, ReportSection
from connector.reconcile.report_html import foot, page, report_html, safe, section_html
from connector.reconcile.report_text import report_text, section_text
from connector.reconcile.wording import clean

_BODY = "<body>\n"


@dataclass(frozen=True, slots=True)
class Notice:
    """A short letter: some sentences, and perhaps sections as a report has them."""

    subject: str
    lead: tuple[str, ...]
    sections: tuple[ReportSection, ...] = ()
    audit_head: str = ""


def report_letter(name: str, report: Report, picture: bytes) -> Letter:
    """Write a report, with its picture where there is one."""
    html = report_html(report, f"cid:{PICTURE}" if picture else "")
    return Letter(name, _on_one_line(report.subject), report_text(report), html, picture)


def notice_letter(name: str, notice: Notice, to: Sequence[str] = (), answers: str = "") -> Letter:
    """Write a notice. `answers` is the name of the letter it goes on with."""
    subject, lead = _on_one_line(notice.subject), [clean(sentence) for sentence in notice.lead]
    sections = [section for section in notice.sections if section.lines]
    head = ["", f"Audit head: {clean(notice.audit_head)}"] if notice.audit_head else []
    text = [subject, "", *lead, *(line for section in sections for line in section_text(section)), *head]
    html = [f"<h1>{safe(subject)}</h1>", *(f"<p>{safe(sentence)}</p>" for sentence in lead)]
    html += [line for section in sections for line in section_html(section)]
    html += foot(notice.audit_head)
    return Letter(name, subject, "\n".join(text) + "\n", page(subject, html), to=tuple(to), answers=answers)


def _on_one_line(subject: str) -> str:
    return " ".join(clean(subject).split())


def with_note(letter: Letter, sentences: Sequence[str]) -> Letter:
    """Give the letter with sentences that have to be read first."""
    if not sentences:
        return letter
    said = [clean(sentence) for sentence in sentences]
    html = "".join(f"<p><strong>{safe(sentence)}</strong></p>\n" for sentence in said)
    text = "\n".join((*said, "", letter.text))
    return replace(letter, text=text, html=letter.html.replace(_BODY, _BODY + html, 1))


def name_of(what: str, school: str, *parts: str) -> str:
    """Make a name that is the same whenever the same is told, and no other school's: it becomes the Message-ID."""
    mine = hashlib.sha256(school.encode()).hexdigest()[:8]
    return "-".join((what, mine, *parts))


# --- as the outbox keeps it ------------------------------------------------------------------------------------------


def content_of(letter: Letter) -> str:
    """Write a letter down as JSON, without its name, which the outbox has."""
    picture = base64.b64encode(letter.picture).decode("ascii")
    fields = {"subject": letter.subject, "text": letter.text, "html": letter.html, "picture": picture}
    return json.dumps({**fields, "to": list(letter.to), "answers": letter.answers}, ensure_ascii=False)


def letter_of(name: str, content: str) -> Letter:
    """Read a letter that was written down."""
    fields = json.loads(content)
    picture = base64.b64decode(fields["picture"])
    to, answers = tuple(fields["to"]), fields.get("answers", "")  # an earlier build wrote none
    return Letter(name, fields["subject"], fields["text"], fields["html"], picture, to, answers=answers)
