"""Tells an administrator whom an identity provider was not allowed to take away: too many at once may be its mistake.

It reads the audit trail and decides nothing. What it says stays said for some days, so that a weekend does not hide it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo

from connector.model import Finding, Level
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import AuditRecord
from connector.reconcile.report import ReportLine
from connector.reconcile.wording import clean, moment

TOO_MANY = "scim-too-many"
"""What the trail calls a deactivation beyond a client's hourly limit."""

SAID_FOR = timedelta(days=3)
"""For how long it is said: from a Friday evening to a Monday morning."""


@dataclass(frozen=True, slots=True)
class Refused:
    """How many deactivations of one client were refused, and since when."""

    client: str
    count: int
    since: datetime

    @property
    def text(self) -> str:
        """What happened."""
        many = f"{self.count:,} deactivation{'' if self.count == 1 else 's'}"
        return (
            f"{clean(self.client)} was refused {many} since {moment(self.since)}: more within an hour than it may ask "
            "for. These people still have their access."
        )

    @property
    def command(self) -> str:
        """What lets them through, where it was meant."""
        return f"connector token limit {clean(self.client)} --per-hour NUMBER"


def lately(journal: Journal, zone: tzinfo = UTC) -> tuple[Refused, ...]:
    """Give what was refused in the last days, at the times of a zone."""
    with journal.store.reading() as conn:
        now = journal.store.clock(conn)
    found = refused(journal.audit_records(now - SAID_FOR))
    return tuple(replace(one, since=one.since.astimezone(zone)) for one in found)


def refused(records: Iterable[AuditRecord]) -> tuple[Refused, ...]:
    """Give what was refused, client by client."""
    found: dict[str, list[datetime]] = defaultdict(list)
    for record in records:
        if record.kind == TOO_MANY:
            found[record.operator.removeprefix("scim:")].append(record.at)
    return tuple(Refused(client, len(times), min(times)) for client, times in sorted(found.items()))


def findings(journal: Journal, zone: tzinfo = UTC) -> Iterator[Finding]:
    """Say it for `check`."""
    for one in lately(journal, zone):
        yield Finding(Level.WARNING, "scim", one.text, f"If it was meant: {one.command}, and send it again.")


def lines(journal: Journal, zone: tzinfo = UTC) -> tuple[ReportLine, ...]:
    """Say it for the report."""
    return tuple(
        ReportLine(clean(one.client), "too-many", one.text, "Where it was meant:", (one.command,), warns=True)
        for one in lately(journal, zone)
    )
