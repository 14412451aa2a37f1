"""The mail after every run, the same for machines, and the sign of life that somebody else waits for.

A run that came to no end is told as loudly as one that closed a hundred. Must never give the sign of life for a night
that nobody could be told of: silence is what it is there to break.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.daemon.duties import AT_NIGHT, CAUGHT_UP, RETRY
from connector.daemon.errand import Ran, Scene
from connector.daemon.letters import Notice, notice_letter, report_letter
from connector.daemon.picture import trend
from connector.daemon.telling import (
    audit_head,
    known,
    names_a,
    put_event,
    put_letter,
    put_ping,
    remember,
    stamp,
)
from connector.model import LegState
from connector.reconcile.journal_values import FINAL, PastRun
from connector.reconcile.plan import digest_of
from connector.reconcile.plan_values import Revocation
from connector.reconcile.report import Report, ReportLine, ReportSection
from connector.reconcile.running import RunResult
from connector.reconcile.wording import clean, moment, said

STATE, FAILURE = "told-state", "told-failure"
"""Under these names stands what the last night left, and which failure was told last."""

_KINDS = ("run", "report", "resume", "retry")
_NO_END = ("", "interrupted", "failed", "stopped-early")
_NIGHTS = (AT_NIGHT, CAUGHT_UP)
_AGAIN = timedelta(hours=12)
"""How long a failure that was told is not told again, while the same keeps happening."""

_STOPPED = 3


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that came to no end, for machines."""

    cause: str
    started_at: datetime
    message: str
    remedy: str


class Reports:
    """Puts the report of every run, or why there is none."""

    def after(self, scene: Scene, ran: Ran) -> None:
        """Put what is to be told of a run."""
        run = _ended(scene, ran)
        if run is None:
            if ran.cause != RETRY:
                _tell_failure(scene, ran)
            return
        if ran.cause != RETRY:
            scene.connector.journal.duties.forget(scene.claim, [FAILURE])
        elif not _drove(scene, run, ran.result):
            return
        put = _tell(scene, ran, run)
        if ran.cause in _NIGHTS and _is_sign_of_life(scene, run):
            put_ping(scene, _name(scene, run), put)

    def every_minute(self, scene: Scene) -> None:
        """Nothing: what is to be told comes of runs."""


def _ended(scene: Scene, ran: Ran) -> PastRun | None:
    """Give the run that came to its end, also one after which the daemon was cut short; none where it failed."""
    runs = scene.connector.journal.runs(50, _KINDS)
    if ran.result is not None:
        return next((r for r in runs if r.run_id == ran.result.run_id), None)
    ended = (r for r in runs if r.ended_at == ran.ended_at and not r.result.startswith(_NO_END[1:]))
    return next((r for r in ended if r.result not in _NO_END), None)


def _drove(scene: Scene, run: PastRun, result: RunResult | None) -> bool:
    """Say whether a run that only drives what is open brought anything to an end, or to somebody."""
    until = run.ended_at or scene.connector.journal.now()
    touched = scene.connector.journal.period(run.started_at, until + timedelta(seconds=1)).revocations
    news = (*FINAL, LegState.CONFLICT)
    return bool(result and result.called_off) or any(
        leg.state in news and (leg.finished_at or leg.last_tried or leg.intended_at) >= run.started_at
        for revocation in touched
        for leg in revocation.legs
    )


# --- what came of it -------------------------------------------------------------------------------------------------


def _tell(scene: Scene, ran: Ran, run: PastRun) -> tuple[str, ...]:
    """Put the report, for people unless the night is passed over, and for machines; give the names of both."""
    config = scene.connector.config
    if config.reports.mail is None and config.reports.webhook is None:
        return ()
    report, name = _report(scene, ran, run), _name(scene, run)
    mailed: tuple[str, ...] = ()
    if not _is_passed_over(scene, ran, report):
        mailed = put_letter(scene, report_letter(name, report, trend(report.history)))
    told = (*mailed, *put_event(scene, name, "report", report.run.at, report))
    if ran.cause != RETRY and ran.result is not None:
        remember(scene, STATE, {"state": _state(ran.result), "run": run.run_id, "letter": "".join(mailed)})
    return told


def _report(scene: Scene, ran: Ran, run: PastRun) -> Report:
    """Make the report as everybody may read it; a run nobody could tell of any more is decided anew for it."""
    connector = scene.connector
    judgement, authority = ran.result.judgement if ran.result else connector.look(run.as_of), connector.urgent
    return connector.reporting.report(
        run, judgement.decisions, whole_night=True, authority=authority.report_lines(), discreet=True
    )


def _name(scene: Scene, run: PastRun) -> str:
    # The number alone would come again in a journal that was begun anew.
    return names_a(scene.connector.config, "report", str(run.run_id), stamp(run.started_at))


def _is_passed_over(scene: Scene, ran: Ran, report: Report) -> bool:
    """Say whether nothing changed and nothing needs anybody, where the school wants no mail of that."""
    result = ran.result
    if not scene.connector.config.reports.only_when_changed or result is None or ran.cause == RETRY:
        return False
    alarmed = any(note.startswith("ALARM") for note in report.notes)
    if result.stopped or report.need_you or report.open or alarmed or _changed(result):
        return False
    before = known(scene, STATE)
    return before.get("state") == _state(result) and before.get("run") != result.run_id


def _changed(result: RunResult) -> bool:
    return any(
        (result.applied, result.added, result.called_off, result.skipped, result.resumed, result.reswept, result.busy)
    )


def _state(result: RunResult) -> str:
    """Digest what a run leaves: who waits and why, and what could not be read. Who was closed is no longer there."""
    plan, gone = result.judgement.plan, {row.key for row in result.applied}
    waiting = sorted(_row(row) for row in plan.revocations if row.key not in gone)
    added = {(a.portal, a.person_id) for a in result.added}
    missing = sorted([a.portal, a.person_id] for a in plan.additions if (a.portal, a.person_id) not in added)
    return digest_of([waiting, missing, sorted(plan.unread), sorted(plan.warnings)])


def _row(row: Revocation) -> list[object]:
    return [row.key, list(row.reasons), list(row.holds), row.urgent]


# --- what kept it from its end ---------------------------------------------------------------------------------------


def _tell_failure(scene: Scene, ran: Ran) -> None:
    """Put why a run came to no end; the same failure, tried again and again, is told twice a day."""
    failure = _failure(ran)
    is_night, what = ran.cause in _NIGHTS, digest_of([failure.message])
    before = known(scene, FAILURE)
    if before.get("what") == what and not _is_long_ago(before.get("at"), scene.now):
        return
    name = names_a(scene.connector.config, "failed", stamp(ran.started_at))
    put_letter(scene, notice_letter(name, _notice(scene, failure, is_night=is_night)))
    put_event(scene, name, "run-failed", ran.ended_at, failure)
    remember(scene, FAILURE, {"what": what, "at": scene.now.isoformat()})


def _failure(ran: Ran) -> Failure:
    error = ran.error
    message, remedy = (error.message, error.remedy) if error else ("It ended without a word.", "")
    return Failure(clean(ran.cause), ran.started_at, said(message, discreet=True), said(remedy, discreet=True))


def _notice(scene: Scene, failure: Failure, *, is_night: bool) -> Notice:
    config = scene.connector.config
    what = "the night did not run" if is_night else "a run came to no end"
    at = moment(failure.started_at.astimezone(config.site.zone))
    begun = "The night" if is_night else f"The run for {failure.cause}"
    again = f"It is tried again every {config.daemon.retry_minutes} minutes until the next one is due."
    lead = (
        f"{begun} that began at {at} did not come to its end.",
        "Whatever was closed until then stands in the journal; what is open stays open, and is driven again.",
        again if is_night else "The next night sees what it was begun for.",
    )
    to_do = failure.remedy or "Look what is wrong, and mend it."
    line = ReportLine("What happened", "failed", failure.message, to_do, ("connector check",), warns=True)
    sections = (ReportSection("failed", "Urgent", (line,)),)
    return Notice(f"1 needs you: {what} ({config.school.name})", lead, sections, audit_head(scene))


def _is_long_ago(text: object, now: datetime) -> bool:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return True
    return not timedelta(0) <= now - at < _AGAIN


# --- the sign of life ------------------------------------------------------------------------------------------------


def _is_sign_of_life(scene: Scene, run: PastRun) -> bool:
    """Say whether a night is one. A stopped one is where somebody is told of it; else only its silence tells."""
    config = scene.connector.config
    if config.daemon.ping_url is None:
        return False
    somebody_is_told = config.reports.mail is not None or config.reports.webhook is not None
    return run.exit_code != 1 and (run.exit_code != _STOPPED or somebody_is_told)
