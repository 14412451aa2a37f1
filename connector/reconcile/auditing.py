"""What an auditor asks of the journal: the trail as lines, its beginning sealed, a sealed file proven, a report.

Days are the school's. It decides nothing; sealing is the only thing it changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path

from connector.reconcile.audit_files import read_lines, write_once
from connector.reconcile.audit_lines import detail_of, record_line
from connector.reconcile.audit_report import audit_report, bounds, midnight
from connector.reconcile.audit_values import AuditFacts, AuditReport
from connector.reconcile.codec import canonical
from connector.reconcile.guard import standing_objections
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import AuditRecord, AuditState, Checkpoint
from connector.reconcile.judge import Judgement
from connector.reconcile.report_csv import csv_lines
from connector.reconcile.wording import clean

EXPORT_HEADER = ("number", "at", "kind", "subject", "person_id", "operator", "run_id", "text", "detail", "mac")
"""The columns of the CSV export: the names that the JSON Lines have too."""


@dataclass(frozen=True, slots=True)
class Auditing:
    """Answers the auditor, for one school, to the operator who asks."""

    journal: Journal
    school: str
    zone: tzinfo
    operator: str

    def json_lines(self, first: date | None = None, last: date | None = None) -> Iterator[str]:
        """Give the audit records of these days (both included) as JSON Lines, each as it was signed."""
        return (record_line(record) + "\n" for record in self._records(first, last))

    def csv(self, first: date | None = None, last: date | None = None) -> Iterator[str]:
        """Give the same as CSV for a spreadsheet: no formula, no control character. Only the JSON Lines are exact."""
        return csv_lines(EXPORT_HEADER, (_row(record) for record in self._records(first, last)))

    def seal(self, before: date, out: Path) -> Checkpoint:
        """Write the audit records from before a day into a new file, sealed, and take them out of the journal."""

        def write(lines: Iterator[str]) -> None:
            write_once(out, (line + "\n" for line in lines))

        return self.journal.seal_audit(midnight(before, self.zone), self.operator, write)

    def verify_sealed(self, file: Path, head: str | None = None) -> AuditState:
        """Prove a sealed file with the journal's key."""
        return self.journal.verify_sealed(read_lines(file), head)

    def report(self, first: date, last: date, judgement: Judgement) -> AuditReport:
        """Report on the days from `first` to `last`; who still gets in is what the judgement says."""
        made_at = datetime.now(self.zone)
        head = self.journal.verify_audit().head
        facts = AuditFacts(self.school, first, last, made_at, self.operator, head)
        records = self.journal.period(*bounds(first, last, self.zone))
        plan = judgement.plan
        waived = (label for approval in self.journal.standing_approvals(plan.digest) for label in approval.waivers)
        plan = replace(plan, objections=standing_objections(plan, waived))
        return audit_report(facts, records, judgement.decisions, plan, self.zone)

    def _records(self, first: date | None, last: date | None) -> Iterator[AuditRecord]:
        since = midnight(first, self.zone) if first else None
        until = midnight(last + timedelta(days=1), self.zone) if last else None
        return self.journal.audit_records(since, until)


def _row(record: AuditRecord) -> tuple[object, ...]:
    return (
        record.number,
        record.at.isoformat(),
        clean(record.kind),
        clean(record.subject),
        clean(record.person_id or ""),
        clean(record.operator),
        record.run_id,
        clean(record.text),
        clean(canonical(detail_of(record))),
        record.mac,
    )
