"""The auditor's report on a period: what was closed and how soon, who still gets in and why, who said what. Pure.

Sections in a fixed order, one kind of line in all of them; renderers only lay out what stands here. It names court
orders and blocks: whoever makes it hands it to nobody outside the authority role but the auditor.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from statistics import median

from connector.model import LegKind, LegState
from connector.reconcile.audit_still_in import still_in
from connector.reconcile.audit_values import AuditFacts, AuditLine, AuditReport, AuditSection
from connector.reconcile.decide import Decision, Decisions
from connector.reconcile.exit_day import exit_day
from connector.reconcile.journal_values import (
    Approval,
    Direction,
    OpenChange,
    OpenLeg,
    PeriodRecords,
    StoredRevocation,
    Word,
)
from connector.reconcile.leg_words import CLOSED, leg_lines, leg_words
from connector.reconcile.plan_values import Plan, Revocation
from connector.reconcile.wording import Who, clean, counted, label_of, who

_OVERDUE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class _View:
    """What every section looks at. Times are told in the school's zone; the period is `since` to before `until`."""

    facts: AuditFacts
    records: PeriodRecords
    decisions: Decisions
    since: datetime
    until: datetime
    zone: tzinfo
    decided: Mapping[str, Decision]

    def in_period(self, when: datetime | None) -> bool:
        return when is not None and self.since <= when < self.until

    def told(self, when: datetime | None) -> datetime | None:
        return when.astimezone(self.zone) if when else None

    def label(self, key: str) -> str:
        """Name an identity by its key, also one that nothing is decided about any more."""
        found = self.decided.get(key)
        return who(found.identity).label if found else label_of(self.decisions, key)


def audit_report(
    facts: AuditFacts, records: PeriodRecords, decisions: Decisions, plan: Plan, zone: tzinfo
) -> AuditReport:
    """Make the report: the journal's records of the period, and today's decisions on who still gets in."""
    since, until = bounds(facts.first, facts.last, zone)
    view = _View(facts, records, decisions, since, until, zone, decisions.by_key())
    closures = tuple(_closure(view, r) for r in records.revocations if _is_closure(view, r))
    urgent = (r for r in _asked(view, Direction.CLOSE) if r.row.urgent)
    sections = (
        AuditSection("closed", "Closed", closures),
        AuditSection("still-in", "Still has access", tuple(still_in(decisions, plan, records.open_legs))),
        AuditSection("approvals", "Approvals", tuple(_approval(view, a) for a in records.approvals)),
        AuditSection("releases", "Releases of holds", tuple(_words(view, "release"))),
        AuditSection("keeps", "Keeps", tuple(_words(view, "keep"))),
        AuditSection("blocks", "Blocks", tuple(_words(view, "block"))),
        AuditSection("urgent", "Urgent cases", tuple(_urgent(view, r) for r in urgent)),
        AuditSection("opened", "Opened again", tuple(_opened(view, r) for r in _asked(view, Direction.OPEN))),
        AuditSection("open", "Open", tuple(_open(view))),
    )
    return AuditReport(facts, _subject(facts, sections), sections, tuple(_notes(view, closures)))


def bounds(first: date, last: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """Give when the first of these days begins and when the last one is over, in the school's zone."""
    return midnight(first, zone), midnight(last + timedelta(days=1), zone)


def midnight(day: date, zone: tzinfo) -> datetime:
    """Give when a day begins in the school's zone."""
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _subject(facts: AuditFacts, sections: Sequence[AuditSection]) -> str:
    counts = {s.name: len({line.key for line in s.lines}) for s in sections}
    return (
        f"{counts['closed']:,} closed, {counts['still-in']:,} still in, {counts['urgent']:,} urgent, "
        f"{counts['open']:,} open ({clean(facts.school)}, {facts.first} to {facts.last})"
    )


# --- what was closed, and what was opened ---------------------------------------------------------------------------


def _is_closure(view: _View, revocation: StoredRevocation) -> bool:
    """Say whether a revocation took something away and came to its proven end in the period."""
    ended = revocation.direction is Direction.CLOSE and revocation.state == "done"
    return ended and revocation.closed_at is not None and view.in_period(revocation.done_at)


def _asked(view: _View, direction: Direction) -> Iterable[StoredRevocation]:
    """Give the revocations or restores that were intended in the period, whatever came of them."""
    found = view.records.revocations
    return (r for r in found if r.direction is direction and view.in_period(r.intended_at))


def _closure(view: _View, revocation: StoredRevocation) -> AuditLine:
    row, done = revocation.row, view.told(revocation.done_at)
    closed_on = done.date() if done else view.facts.last
    left = exit_day(row.person_id, row.reasons, row.evidence, row.values("portal"), view.decisions, closed_on)
    return AuditLine(
        "closed",
        row.key,
        _label(row),
        ", ".join(row.reasons),
        _legs(revocation),
        revocation.operator,
        view.told(revocation.intended_at),
        done,
        exit_day=left,
        days=(closed_on - left).days if left else None,
        warns=any(leg.state not in CLOSED for leg in revocation.legs),
    )


def _urgent(view: _View, revocation: StoredRevocation) -> AuditLine:
    """Say how long it took from the intent to the last dead session, as far as every session was proven dead."""
    legs = [leg for leg in revocation.legs if leg.planned.kind is LegKind.SESSIONS and not leg.planned.withheld]
    ends = [leg.effective_by or leg.finished_at for leg in legs if leg.finished_at and leg.state in CLOSED]
    last = max(ends) if ends and len(ends) == len(legs) else None
    return AuditLine(
        "urgent",
        revocation.row.key,
        _label(revocation.row),
        ", ".join(revocation.row.reasons),
        _legs(revocation) if legs else f"no session was to be ended; {_legs(revocation)}",
        revocation.operator,
        view.told(revocation.intended_at),
        view.told(last),
        minutes=round((last - revocation.intended_at).total_seconds() / 60, 2) if last else None,
        warns=any(leg.state not in CLOSED for leg in revocation.legs),
    )


def _opened(view: _View, revocation: StoredRevocation) -> AuditLine:
    row = revocation.row
    begun, ended = view.told(revocation.intended_at), view.told(revocation.done_at)
    what = ", ".join(row.reasons) or "asked for"
    return AuditLine("opened", row.key, _label(row), what, _legs(revocation), revocation.operator, begun, ended)


def _label(row: Revocation) -> str:
    return Who(row.key, row.person_id, clean(row.code), clean(row.name), clean(row.username)).label


def _legs(revocation: StoredRevocation) -> str:
    return "; ".join(leg_words(leg, discreet=False) for leg in leg_lines(revocation))


# --- what people said -----------------------------------------------------------------------------------------------


def _approval(view: _View, approval: Approval) -> AuditLine:
    waived = f"waives {', '.join(approval.waivers)}" if approval.waivers else "waives nothing"
    label, reason, at = f"Plan {approval.plan_id}", clean(approval.reason), view.told(approval.approved_at)
    return AuditLine("approvals", approval.plan_id, label, clean(waived), reason, approval.operator, at)


def _words(view: _View, kind: str) -> Iterable[AuditLine]:
    for word in view.records.words:
        if word.kind == kind:
            yield AuditLine(
                f"{kind}s",
                word.key,
                view.label(word.key),
                word.hold or _standing(view, word),
                clean(word.reason) + _lifted(word),
                word.owner,
                view.told(word.made_at),
                view.told(word.lifted_at),
                until=word.until,
            )


def _standing(view: _View, word: Word) -> str:
    if word.lifted_at:
        return "lifted"
    return "expired" if word.until and word.until < view.decisions.school.as_of else "standing"


def _lifted(word: Word) -> str:
    if not word.lifted_at:
        return ""
    seconded = f", seconded by {clean(word.seconded_by)}" if word.seconded_by else ""
    return f" (lifted by {clean(word.lifted_by)}{seconded})"


# --- what is open ---------------------------------------------------------------------------------------------------


def _open(view: _View) -> Iterable[AuditLine]:
    for leg in view.records.open_legs:
        what = leg_words_of(leg)
        label = clean(Who(leg.key, leg.person_id, leg.code, leg.name, "").label)
        yield _waiting(view, leg, leg.key, label, f"revocation {leg.revocation_id}: {what}")
    for change in view.records.open_changes:
        made = change.change
        text = f"{made.kind} in {clean(made.target)}: {clean(change.detail) or 'not done yet'}"
        yield _waiting(view, change, made.person_id, view.label(made.person_id), text)


def leg_words_of(leg: OpenLeg) -> str:
    """Say what an open leg is about, and what the target said last."""
    verb = "open" if leg.direction is Direction.OPEN else "close"
    detail = f" ({clean(leg.detail)})" if leg.detail else ""
    by = f" by {leg.effective_by:%Y-%m-%d %H:%M}" if leg.effective_by else ""
    return f"{verb} {leg.planned.kind} in {clean(leg.planned.target)}{by}{detail}"


def _waiting(view: _View, item: OpenLeg | OpenChange, key: str, label: str, text: str) -> AuditLine:
    age = view.facts.made_at - item.intended_at
    return AuditLine(
        "open",
        key,
        label,
        item.state,
        f"{text}; tried {counted(item.attempts, 'time')}",
        item.operator,
        view.told(item.intended_at),
        days=age.days,
        warns=age > _OVERDUE or item.state is LegState.CONFLICT,
    )


def _notes(view: _View, closures: Sequence[AuditLine]) -> Iterable[str]:
    days = [line.days for line in closures if line.days is not None]
    if days:
        known = "" if len(days) == len(closures) else f" ({len(days)} of {len(closures)} with a known last day)"
        yield f"From the last counting day to proven closed: median {median(days):g} days, longest {max(days)}{known}."
    partly = sum(line.warns for line in closures)
    if partly:
        yield f"{counted(partly, 'closure')} left a door that is not closed from here: see the details."
    if view.records.sealed:
        yield f"Audit records 1 to {view.records.sealed} are sealed, in files of their own."
