"""What the auditor's report is made of: values only, so that every renderer and every program sees the same."""

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """What the report is about: the school, the days from `first` to `last`, and when and for whom it was made.

    `audit_head` is the newest link of the audit trail: kept elsewhere, it proves later that nothing was cut off.
    """

    school: str
    first: date
    last: date
    made_at: datetime
    operator: str = ""
    audit_head: str = ""


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line of any section.

    `by` is who did it or owns it. `begun` is the intent or the word, `ended` its proven end, `until` its last day.
    `exit_day` is the person's last counting day and `days` what passed from it (in *open*: how long it is open);
    `minutes` are from the intent to the last dead session. `warns` marks what somebody should look at.
    """

    section: str
    key: str
    label: str
    what: str
    text: str
    by: str = ""
    begun: datetime | None = None
    ended: datetime | None = None
    until: date | None = None
    exit_day: date | None = None
    days: int | None = None
    minutes: float | None = None
    warns: bool = False


@dataclass(frozen=True, slots=True)
class AuditSection:
    """Lines of one kind. `name` is for machines, `title` for people."""

    name: str
    title: str
    lines: tuple[AuditLine, ...]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The whole report, in its order; sections that are empty stand in it too: nothing is an answer."""

    facts: AuditFacts
    subject: str
    sections: tuple[AuditSection, ...]
    notes: tuple[str, ...]
