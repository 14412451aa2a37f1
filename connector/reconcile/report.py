"""The report of a run: what needs a person first, what is open, what was closed. Values and plain sentences; pure.

The order is fixed: urgent, open, objections and why rows are held, new holds, closed, additions; old holds are a count,
because a list that is the same every morning is not read. Of a source that cannot be believed nothing is told but that.
Renderers only lay out what stands here.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from connector.model import LegState, Status
from connector.reconcile.advice import BY_ITSELF, Advice, hold_advice, urgent_advice, withheld_advice
from connector.reconcile.decide import Decisions
from connector.reconcile.leg_words import CLOSED, NEEDS_SOMEBODY, LegLine, is_open, leg_advice, leg_words
from connector.reconcile.plan_values import Objection, Plan, Revocation
from connector.reconcile.report_values import (
    MOST_DONE,
    MOST_EXPLAINED,
    MOST_SHOWN,
    OPEN,
    HeldKeys,
    Outcomes,
    Report,
    ReportLine,
    ReportSection,
    RunCounts,
    RunFacts,
    holds_of,
)
from connector.reconcile.wording import (
    ACCESS_ENDED,
    RESTRICTED_CHILD,
    Who,
    clean,
    counted,
    listed,
    moment,
    reason_words,
    said,
    spoken_all,
    who,
    zone_name,
)

__all__ = [
    "MOST_SHOWN",
    "HeldKeys",
    "Outcomes",
    "Report",
    "ReportLine",
    "ReportSection",
    "RunCounts",
    "RunFacts",
    "holds_of",
    "report",
]

OVERDUE = timedelta(hours=24)
_NOT_DRIVEN = "still open, nothing was driven in this run"


def report(
    run: RunFacts,
    plan: Plan,
    outcomes: Outcomes,
    decisions: Decisions,
    history: Sequence[RunCounts] = (),
    *,
    known_holds: HeldKeys = frozenset(),
    discreet: bool = False,
    authority: Sequence[ReportLine] = (),
    refused: Sequence[ReportLine] = (),
) -> Report:
    """Make the report. `known_holds` are those of the report before (`holds_of` its plan).

    `authority` is what an authority role has to say a word on; it comes first. `refused` is what identity providers
    were not allowed.
    """
    view = _View(run, plan, outcomes, known_holds, discreet, _by_key(outcomes.legs))
    sections = (*_asked_first(authority, refused, discreet), *_sections(view, decisions))
    open_people = _people(leg for leg in outcomes.legs if is_open(leg))
    closed_people = _people(leg for leg in outcomes.legs if leg.state in CLOSED) - open_people - _closed_before(view)
    asked = _need_you(view)
    asked += Counter({"For the authority": len(authority), "Identity providers": len(refused)})
    need = asked.total()
    old, waiting = _old_and_waiting(view)
    return Report(
        run,
        _subject(need, len(closed_people), len(open_people), run.school),
        need,
        len(closed_people),
        len(open_people),
        old,
        waiting,
        tuple(s for s in sections if s.lines),
        tuple(_notes(view, decisions, old, waiting)),
        tuple(sorted(history, key=lambda c: c.at)),
        tuple(_lead(view, asked, closed_people)),
    )


def _asked_first(
    authority: Sequence[ReportLine], refused: Sequence[ReportLine], discreet: bool
) -> tuple[ReportSection, ReportSection]:
    return (
        ReportSection("authority", "For the authority", tuple(_told(line, discreet) for line in authority)),
        ReportSection("providers", "Identity providers", tuple(refused)),
    )


def _told(line: ReportLine, discreet: bool) -> ReportLine:
    # "unblock" in a command tells as much as a sentence does.
    commands = tuple(command for command in line.commands if said(command, discreet) == clean(command))
    return replace(line, text=said(line.text, discreet), to_do=said(line.to_do, discreet), commands=commands)


def _subject(need: int, closed: int, still_open: int, school: str) -> str:
    needs = "needs" if need == 1 else "need"
    return f"{need:,} {needs} you, {closed:,} closed, {still_open:,} open ({clean(school)})"


@dataclass(frozen=True, slots=True)
class _View:
    """What every section looks at."""

    run: RunFacts
    plan: Plan
    outcomes: Outcomes
    known_holds: HeldKeys
    discreet: bool
    by_key: Mapping[str, tuple[LegLine, ...]]

    def legs_of(self, key: str) -> tuple[LegLine, ...]:
        return self.by_key.get(key, ())

    def is_overdue(self, leg: LegLine) -> bool:
        return is_open(leg) and self.run.at - leg.intended_at > OVERDUE

    @property
    def is_unbelieved(self) -> bool:
        """Whether a source cannot be believed: then nobody is asked about what was read from it."""
        return any(objection.is_of_source for objection in self.outcomes.stopped)

    @property
    def stopped(self) -> tuple[Objection, ...]:
        """The objections to look at: what a source that is not believed brings along goes with it."""
        return tuple(o for o in self.outcomes.stopped if o.is_of_source or not self.is_unbelieved)

    def is_new_hold(self, row: Revocation) -> bool:
        """Whether a person has to look, and was not asked before."""
        return not self.is_unbelieved and any(
            h not in BY_ITSELF and (row.key, h) not in self.known_holds for h in row.holds
        )


def _sections(view: _View, decisions: Decisions) -> tuple[ReportSection, ...]:
    explained = MOST_EXPLAINED if view.plan.causes else MOST_SHOWN
    return (
        ReportSection("urgent", "Urgent", tuple(_urgent(view))),
        ReportSection(OPEN, "Open", tuple(_open(view))),
        ReportSection("objections", "Objections", tuple(_objections(view))),
        ReportSection("causes", "Why rows are held", tuple(_causes(view))),
        ReportSection("new-holds", "New holds", tuple(_new_holds(view)), most=explained),
        ReportSection("closed", "Closed", tuple(_ended(view, closed=True)), most=MOST_DONE),
        ReportSection("called-off", "Called off", tuple(_ended(view, closed=False)), most=MOST_DONE),
        ReportSection("would-close", "Would be closed", tuple(_would_close(view)), most=MOST_DONE),
        ReportSection("additions", "Added to portals", tuple(_additions(view)), most=MOST_DONE),
        ReportSection("skipped", "Skipped", tuple(_skipped(view))),
        ReportSection("look", "Please check", tuple(_look(decisions, view.discreet))),
    )


def _by_key(legs: Iterable[LegLine]) -> Mapping[str, tuple[LegLine, ...]]:
    found: dict[str, list[LegLine]] = {}
    for leg in legs:
        found.setdefault(leg.key, []).append(leg)
    return {key: tuple(mine) for key, mine in found.items()}


def _people(legs: Iterable[LegLine]) -> frozenset[str]:
    return frozenset(leg.key for leg in legs)


def _needs_somebody(view: _View, leg: LegLine) -> bool:
    return is_open(leg) and (leg.state in NEEDS_SOMEBODY or view.is_overdue(leg))


def _need_you(view: _View) -> Counter[str]:
    """Count people once each, and objections, by where they stand first; not what waits for time or a run."""
    rows = view.plan.revocations
    urgent = {r.key for r in rows if r.urgent and (r.holds or not view.legs_of(r.key))}
    still_open = {leg.key for leg in view.outcomes.legs if _needs_somebody(view, leg)} - urgent
    held = {r.key for r in rows if not r.urgent and view.is_new_hold(r)} - still_open
    counts = {"Urgent": urgent, "Open": still_open, "Objections": view.stopped, "New holds": held}
    return Counter({title: len(some) for title, some in counts.items()})


def _lead(view: _View, asked: Mapping[str, int], closed: frozenset[str] | set[str]) -> Iterable[str]:
    """Say what is told, why it is no more, and how the numbers of the subject come about."""
    run = view.run
    since = f"What came to an end since {moment(run.since)} is told. " if run.since else ""
    yield f"{since}All times: {zone_name(run.at)}."
    if run.mode:
        yield clean(run.mode)
    if run.result == "urgent-only":
        yield "Today only what is urgent is closed ([nightly] apply_days); the rest follows on the next of them."
    if view.is_unbelieved:
        yield "A source cannot be believed: nothing is asked or announced on its word; the next run tells what waits."
    urgent = len(closed & {row.key for row in view.plan.revocations if row.urgent})
    yield from _sum("needs you" if sum(asked.values()) == 1 else "need you", asked)
    yield from _sum("closed", {"Urgent": urgent, "Closed": len(closed) - urgent})


def _sum(what: str, parts: Mapping[str, int]) -> Iterable[str]:
    """Say where a number of the subject is to be found, where it is not the number of one section."""
    found = [f"{count:,} under {title}" for title, count in parts.items() if count]
    if len(found) > 1 or (what == "closed" and parts["Urgent"]):
        yield f"{sum(parts.values()):,} {what}: {listed(found)}."


def _whom(row: Revocation) -> Who:
    return Who(row.key, row.person_id, clean(row.code), clean(row.name), clean(row.username))


def _reasons(row: Revocation, discreet: bool) -> str:
    return ", ".join(reason_words(row.reasons, discreet))


def _evidence(row: Revocation, discreet: bool, about: Iterable[str] = ()) -> str:
    wanted = set(about) or set(row.reasons)
    return "; ".join(
        dict.fromkeys(e.text for e in spoken_all([e for e in row.evidence if e.about in wanted], discreet))
    )


def _urgent(view: _View) -> Iterable[ReportLine]:
    for row in view.plan.revocations:
        if row.urgent:
            whom, legs = _whom(row), view.legs_of(row.key)
            done = "; ".join(leg_words(leg, view.discreet) for leg in legs) or _NOT_DRIVEN
            held = [hold_advice(h, whom) for h in row.holds] or ([] if legs else [_undriven(view, row)])
            to_do = " ".join(a.text for a in held)
            commands = tuple(dict.fromkeys(c for a in held for c in a.commands))
            text = f"{_evidence(row, view.discreet)}: {done}"
            at = max((leg.at for leg in legs), default=None)
            waits = bool(row.holds) or any(is_open(leg) for leg in legs) or not legs
            yield ReportLine(whom.label, _reasons(row, view.discreet), text, to_do, commands, at, row.key, waits)


def _undriven(view: _View, row: Revocation) -> Advice:
    """Say what to do about an urgent row that no run has driven."""
    label = next((o.label for o in view.outcomes.stopped if row.key in o.withholds), "")
    return withheld_advice(label, _whom(row)) if label else urgent_advice(_whom(row))


def _open(view: _View) -> list[ReportLine]:
    legs = [leg for leg in view.outcomes.legs if is_open(leg)]
    legs.sort(key=lambda leg: (not view.is_overdue(leg), leg.intended_at, leg.key))
    return [_open_line(view, leg) for leg in legs]


def _open_line(view: _View, leg: LegLine) -> ReportLine:
    age = view.run.at - leg.intended_at
    overdue = view.is_overdue(leg)
    since = f"open since {moment(leg.intended_at)}" + (f", {_age(age)}" if overdue else "")
    text = f"{leg_words(leg, view.discreet)}; {since}; tried {counted(leg.attempts, 'time')}"
    advice = leg_advice(leg)
    warns = overdue or leg.state is LegState.CONFLICT
    return ReportLine(leg.label, leg.state, text, advice.text, advice.commands, leg.at, leg.key, warns)


def _age(age: timedelta) -> str:
    hours = int(age.total_seconds() // 3600)
    return counted(hours, "hour") if hours < 48 else counted(hours // 24, "day")  # noqa: PLR2004 - two days


def _objections(view: _View) -> Iterable[ReportLine]:
    others = [o.label for o in view.outcomes.stopped if o not in view.stopped]
    more = f" Because of it, limits are broken too: {listed(others)}." if others else ""
    for objection in view.stopped:
        text = said(objection.text + more, view.discreet)
        if text != clean(objection.text + more):
            yield ReportLine("The plan", ACCESS_ENDED, text, "Ask the authority role.", warns=True)
        else:
            commands = tuple(clean(c) for c in objection.commands)
            to_do = clean(objection.fix)
            yield ReportLine("The plan", clean(objection.label), text, to_do, commands, warns=True)


def _causes(view: _View) -> Iterable[ReportLine]:
    """Name the change that rows are held for: it stops nothing, and explains all of them."""
    for cause in () if view.is_unbelieved else view.plan.causes:
        name = said(cause.name[:1].upper() + cause.name[1:], view.discreet)
        yield ReportLine(name, "common-cause", said(cause.text, view.discreet), clean(cause.fix), warns=True)


def _closed_before(view: _View) -> set[str]:
    """Give urgent people whose protected account keeps their row in every plan: closed once, not again each night."""
    held = {row.key for row in view.plan.revocations if row.urgent and row.holds}
    return held - _people(leg for leg in view.outcomes.legs if leg.state is LegState.CLOSED)


def _new_holds(view: _View) -> Iterable[ReportLine]:
    for row in view.plan.revocations:
        if row.urgent or not view.is_new_hold(row):
            continue
        whom = _whom(row)
        asked = [h for h in row.holds if h not in BY_ITSELF]
        advice = [hold_advice(h, whom) for h in asked]
        text = f"{_evidence(row, view.discreet)} (held: {_evidence(row, view.discreet, asked)})"
        to_do = " ".join(dict.fromkeys(a.text for a in advice))
        commands = tuple(dict.fromkeys(c for a in advice for c in a.commands))
        yield ReportLine(whom.label, ", ".join(row.holds), text, to_do, commands, key=row.key)


def _ended(view: _View, *, closed: bool) -> Iterable[ReportLine]:
    """One line for each person with every leg at its end, by whether one was closed; urgent people stand above."""
    above = {r.key for r in view.plan.revocations if r.urgent}
    open_people = _people(leg for leg in view.outcomes.legs if is_open(leg))
    rows = {r.key: r for r in view.plan.revocations}
    for key in dict.fromkeys(leg.key for leg in view.outcomes.legs):
        if key in above or key in open_people:
            continue
        legs = view.legs_of(key)
        if any(leg.state in CLOSED for leg in legs) is not closed:
            continue
        row = rows.get(key)
        what = _reasons(row, view.discreet) if row else "from an earlier run"
        text = "; ".join(leg_words(leg, view.discreet) for leg in legs)
        yield ReportLine(legs[0].label, what, text, at=max(leg.at for leg in legs), key=key)


def _would_close(view: _View) -> Iterable[ReportLine]:
    driven = _people(view.outcomes.legs) | {row.key for row, _ in view.outcomes.skipped}
    for row in () if view.is_unbelieved else view.plan.revocations:
        if row.applies and not row.urgent and row.key not in driven:
            text = _evidence(row, view.discreet)
            yield ReportLine(_whom(row).label, _reasons(row, view.discreet), text, key=row.key)


def _additions(view: _View) -> Iterable[ReportLine]:
    for added in view.outcomes.added:
        label = Who(added.person_id, added.person_id, clean(added.code), clean(added.name), "").label
        yield ReportLine(label, clean(added.portal), f"added, {added.status}", key=added.person_id)


def _skipped(view: _View) -> Iterable[ReportLine]:
    for row, why in view.outcomes.skipped:
        what = _reasons(row, view.discreet)
        yield ReportLine(_whom(row).label, what, said(why, view.discreet), key=row.key)


def _look(decisions: Decisions, discreet: bool) -> Iterable[ReportLine]:
    """What nobody can close from here: a child to be hidden, an account outside the managed OUs."""
    for decision in decisions.rows:
        if not decision.evidence and not decision.open_outside_scope:
            continue
        label, key = who(decision.identity).label, decision.identity.key
        notes = [e for e in decision.evidence if e.about == RESTRICTED_CHILD]
        if notes and discreet:  # this person is in, and rightly: only what is to be checked is not told
            yield ReportLine(label, "to-check", "the authority role knows what", "Ask the authority role.", key=key)
        for note in () if discreet else spoken_all(notes, discreet):
            yield ReportLine(label, note.about, note.text, key=key)
        for dn in decision.open_outside_scope:
            text = f"open outside the managed OUs: {clean(dn)}"
            yield ReportLine(label, "open-outside-scope", text, "Disable it by hand.", key=key)


def _old_and_waiting(view: _View) -> tuple[int, int]:
    """Count the rows that wait for a person who was told before, and those that wait for time."""
    if view.is_unbelieved:
        return 0, 0
    held = [r for r in view.plan.revocations if r.holds and not r.urgent and not view.is_new_hold(r)]
    waiting = sum(BY_ITSELF.issuperset(r.holds) for r in held)
    return len(held) - waiting, waiting


def _notes(view: _View, decisions: Decisions, old: int, waiting: int) -> Iterable[str]:
    if view.run.plan_id and view.outcomes.stopped and not view.is_unbelieved:
        yield f"To apply the plan at once, when it is approved: connector run --plan {view.run.plan_id} --apply"
    if old:
        waits = "waits" if old == 1 else "wait"
        yield f"{counted(old, 'row')} held as before {waits} for somebody: connector status shows them."
    if waiting:
        yield f"{counted(waiting, 'row')} waiting for time or a run, not for you."
    stuck = sum(d.status is Status.READY_TO_PROVISION and bool(d.holds) for d in decisions.rows)
    if stuck:
        yield f"{counted(stuck, 'person', 'people')} ready to provision but held: connector status shows them."
    yield from (f"Could not be read: {clean(name)}." for name in view.plan.unread)
    above = {cause.sentence for cause in view.plan.causes}
    yield from (said(text, view.discreet) for text in view.plan.warnings if text not in above)
