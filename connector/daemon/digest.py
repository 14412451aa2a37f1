"""The weekly digest: what a week closed and left open, who waits, and whether every night ran.

It reads the journal and decides nothing. What a quiet week leaves unsaid is exactly what it is there to say.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from connector.config import Config, Weekday
from connector.daemon.duties import AT_NIGHT, CAUGHT_UP
from connector.daemon.errand import Ran, Scene
from connector.daemon.letters import Notice, notice_letter
from connector.daemon.telling import audit_head, known, names_a, put_letter, remember, whose
from connector.errors import PlanError
from connector.model import Hold
from connector.reconcile.advice import BY_ITSELF
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import Direction, OpenLeg, PastRun, PeriodRecords
from connector.reconcile.plan_values import Objection, Plan
from connector.reconcile.report import ReportLine, ReportSection
from connector.reconcile.report_values import MOST_DONE
from connector.reconcile.wording import ACCESS_ENDED, Who, clean, counted, listed, moment, said

DIGEST = "digest"
"""Under this name stands the day of the last digest."""

_WEEK = timedelta(days=7)
_PATIENCE = timedelta(hours=3)
"""How long the digest waits for its day's night."""
_NIGHTS = ("run", "report")
_FAILED = ("", "interrupted", "stopped-early")
_LOOKED_AT = 700


@dataclass(frozen=True, slots=True)
class Week:
    """A week as the journal has it; `runs` are newest first, `plan` is that of the newest that made one."""

    days: tuple[date, ...]
    since: datetime
    until: datetime
    records: PeriodRecords
    runs: tuple[PastRun, ...]
    plan: Plan | None


class Digest:
    """Puts the digest after its day's night; where that does not come, some hours later all the same."""

    def after(self, scene: Scene, ran: Ran) -> None:
        """Put it, where this was its day's night."""
        if ran.cause in (AT_NIGHT, CAUGHT_UP) and ran.result is not None:
            self._see_to(scene, timedelta(0))

    def every_minute(self, scene: Scene) -> None:
        """Put it, where its day's night is long over."""
        self._see_to(scene, _PATIENCE)

    def _see_to(self, scene: Scene, patience: timedelta) -> None:
        config = scene.connector.config
        if config.reports.mail is None or not config.reports.digest:
            return
        day = _due_on(config, scene.now - patience)
        done = known(scene, DIGEST).get("day")
        if done is None:  # the first week is not over yet
            remember(scene, DIGEST, {"day": day.isoformat()})
        elif done < day.isoformat() or done > _today(scene).isoformat():  # the latter by a clock that was ahead
            put_letter(scene, notice_letter(names_a(config, "digest", day.isoformat()), _notice(scene, day)))
            remember(scene, DIGEST, {"day": day.isoformat()})


def _today(scene: Scene) -> date:
    return scene.now.astimezone(scene.connector.config.site.zone).date()


def _due_on(config: Config, now: datetime) -> date:
    """Give the newest day on which a digest was due by now."""
    local = now.astimezone(config.site.zone)
    newest = local.date() if local.time() >= config.nightly.at else local.date() - timedelta(days=1)
    wanted = list(Weekday).index(Weekday(config.reports.digest.value))
    return newest - timedelta(days=(newest.weekday() - wanted) % 7)


def _notice(scene: Scene, day: date) -> Notice:
    config, week = scene.connector.config, _week(scene, day)
    zone = config.site.zone
    closed = tuple(_of(week, Direction.CLOSE, zone))
    subject = f"The week to {day}: {len(closed):,} closed, {_still_open(week):,} open ({config.school.name})"
    whole = f"connector report audit --from {week.days[0]} --to {week.days[-1]}"
    sections = (
        ReportSection("nights", "Nights", tuple(_nights(scene, week))),
        ReportSection("closed", "Closed", closed, whole, MOST_DONE),
        ReportSection("opened", "Opened again", tuple(_of(week, Direction.OPEN, zone)), whole, MOST_DONE),
        ReportSection("ended", "Ended", tuple(_ended(scene, week)), whole),
        ReportSection("open", "Still open", tuple(_open(week, zone))),
        ReportSection("holds", "Holds", tuple(_holds(scene, week))),
        ReportSection("objections", "Objections", tuple(_objections(scene.connector.journal, week))),
        ReportSection("limits", "Limits", tuple(_limits(scene, week))),
    )
    return Notice(subject, (_came_back(scene, week), _accepted(scene)), sections, audit_head(scene))


def _week(scene: Scene, day: date) -> Week:
    journal = scene.connector.journal
    until = journal.now()
    days = tuple(day - timedelta(days=back) for back in range(6, -1, -1))
    runs = tuple(r for r in journal.runs(_LOOKED_AT, _NIGHTS) if days[0] <= r.as_of <= day)
    newest = next((r.plan_id for r in runs if r.plan_id), "")
    plan = journal.plan(newest).plan if newest else None
    return Week(days, until - _WEEK, until, journal.period(until - _WEEK, until), runs, plan)


# --- what was done ---------------------------------------------------------------------------------------------------


def _nights(scene: Scene, week: Week) -> Iterator[ReportLine]:
    """Say whether every night ran; before the first run of all there was none to miss."""
    ran = {r.as_of for r in week.runs if not _is_failed(r)}
    first = min((r.as_of for r in scene.connector.journal.runs(_LOOKED_AT, _NIGHTS)), default=None)
    missed = [str(day) for day in week.days if first is not None and day >= first and day not in ran]
    stopped = sum(r.result == "stopped" for r in week.runs)
    done = f"{counted(len(ran), 'day')} with a run that came to its end; an objection stopped {counted(stopped, 'run')}"
    if missed:
        text = f"{done}; none on {listed(missed)}"
        yield ReportLine("Every night", "missed", text, "See why:", ("connector history",), warns=True)
    else:
        yield ReportLine("Every night", "ran", done)


def _is_failed(run: PastRun) -> bool:
    return run.result in _FAILED or run.result.startswith("failed")


def _of(week: Week, direction: Direction, zone: tzinfo) -> Iterator[ReportLine]:
    """Give who was closed, or opened again, to the end, each once."""
    found = {}
    for revocation in week.records.revocations:
        at, row = revocation.done_at, revocation.row
        done = revocation.state == "done" and revocation.direction is direction
        if done and at is not None and week.since <= at < week.until:
            whom = Who(row.key, row.person_id, clean(row.code), clean(row.name), clean(row.username))
            what = "closed" if direction is Direction.CLOSE else "opened"
            found[row.key] = ReportLine(whom.label, what, moment(at.astimezone(zone)), at=at, key=row.key)
    return iter(sorted(found.values(), key=lambda line: (line.at or week.since, line.label)))


def _ended(scene: Scene, week: Week) -> Iterator[ReportLine]:
    """Give the keeps and blocks that ended: lifted by somebody, or by themselves."""
    first, last = week.days[0], week.days[-1]
    whom = whose(scene)
    for word in week.records.words:
        what = {"keep": "keep", "block": ACCESS_ENDED}.get(word.kind, "")
        lifted = word.lifted_at is not None and word.lifted_at >= week.since
        over = word.lifted_at is None and word.until is not None and first <= word.until < last
        if what and (lifted or over):
            how = f"lifted by {clean(word.lifted_by)}" if lifted else f"its last day was {word.until}"
            yield ReportLine(whom(word.key).label, what, f"{how}; given by {clean(word.owner)}", key=word.key)


# --- what is left ----------------------------------------------------------------------------------------------------


def _still_open(week: Week) -> int:
    return len({leg.key for leg in week.records.open_legs})


def _open(week: Week, zone: tzinfo) -> Iterator[ReportLine]:
    by_key: dict[str, list[OpenLeg]] = {}
    for leg in week.records.open_legs:
        by_key.setdefault(leg.key, []).append(leg)
    for key, legs in by_key.items():
        one, since = legs[0], min(leg.intended_at for leg in legs)
        label = Who(key, one.person_id, clean(one.code), clean(one.name), "").label
        where = listed([f"{clean(leg.planned.target)} ({leg.state})" for leg in legs])
        days = (week.until - since).days
        text = f"{where}; open since {moment(since.astimezone(zone))}, {counted(days, 'day')}"
        yield ReportLine(
            label, "open", text, commands=("connector resume --dry-run",), at=since, key=key, warns=days > 0
        )


def _holds(scene: Scene, week: Week) -> Iterator[ReportLine]:
    """Give the holds of the newest plan by kind, each with the one that has waited longest."""
    if week.plan is None:
        return
    since = scene.connector.journal.memory(week.days[-1]).ready_since
    held = [(hold, row) for row in week.plan.revocations for hold in row.holds]
    for hold, count in sorted(Counter(hold for hold, _ in held).items(), key=lambda item: list(Hold).index(item[0])):
        rows = [row for one, row in held if one is hold]
        oldest = min(rows, key=lambda row: since.get(row.key, week.days[-1]))
        whom = Who(oldest.key, oldest.person_id, clean(oldest.code), clean(oldest.name), clean(oldest.username))
        text = f"the oldest: {whom.label}, ready since {since.get(oldest.key, week.days[-1])}"
        waits = "" if hold in BY_ITSELF else "It waits for somebody." if count == 1 else "They wait for somebody."
        yield ReportLine(counted(count, "row"), hold.value, text, waits, ("connector status",))


def _objections(journal: Journal, week: Week) -> Iterator[ReportLine]:
    """Give the objections that stopped runs, each with how often and when last."""
    stood: dict[str, list[PastRun]] = {}
    texts: dict[str, str] = {}
    for run in (r for r in week.runs if r.plan_id and r.exit_code == 3):  # noqa: PLR2004 - PlanStopped's
        for objection in _plan(journal, run.plan_id):
            stood.setdefault(objection.label, []).append(run)
            texts.setdefault(objection.label, objection.text)
    for label, runs in stood.items():
        text = said(texts[label], discreet=True)
        what = clean(label) if text == clean(texts[label]) else ACCESS_ENDED
        often = f"in {counted(len(runs), 'run')}, last on {runs[0].as_of}"
        yield ReportLine("The plan", what, f"{text} ({often})", warns=runs[0] is week.runs[0])


def _plan(journal: Journal, plan_id: str) -> Sequence[Objection]:
    try:
        return journal.plan(plan_id).plan.objections
    except PlanError:  # too old to be kept
        return ()


def _limits(scene: Scene, week: Week) -> Iterator[ReportLine]:
    """Say how much of the limits was used: what counts is when the first door of somebody closed."""
    limits, since = scene.connector.config.limits, week.since
    closing = [r for r in week.records.revocations if r.direction is Direction.CLOSE]
    first = [(r.row.key, r.closed_at.date()) for r in closing if r.closed_at and since <= r.closed_at < week.until]
    days, closed = Counter(day for _, day in first), len({key for key, _ in first})
    yield _limit("max_revocations_7_days", closed, limits.max_revocations_7_days)
    yield _limit("max_revocations (busiest day)", max(days.values(), default=0), limits.max_revocations)


def _limit(name: str, used: int, most: int) -> ReportLine:
    share = f" ({used / most:.0%})" if most else ""
    return ReportLine(name, "used", f"{used:,} of {most:,}{share}", warns=used >= most)


def _came_back(scene: Scene, week: Week) -> str:
    """Say how many sessions had come back after they were ended."""
    records = scene.connector.journal.audit_records(week.since)
    back = sum(record.kind == "swept-again" for record in records)
    return (
        f"Sessions that had come back and were ended again: {counted(back, 'case')}."
        if back
        else "No session came back."
    )


def _accepted(scene: Scene) -> str:
    accepted = scene.connector.journal.last_accepted()
    if accepted is None or accepted.accepted_at is None:
        return "No run was accepted yet."
    at = accepted.accepted_at.astimezone(scene.connector.config.site.zone)
    return f"The last accepted run was run {accepted.run_id} as of {accepted.as_of}, {moment(at)}."
