"""The report of one run, put together from the journal and today's decisions. Reads only; it decides nothing.

Without a run named it is the report of the last night: what the newest run left, and what came to an end since the
night of the day before. Must never tell of one closing on two days. Times are in the school's zone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo

from connector.errors import ConnectorError
from connector.reconcile import refusals
from connector.reconcile.decide import Decisions
from connector.reconcile.guard import standing_objections
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import AuditState, Direction, PastRun, StoredRevocation
from connector.reconcile.leg_words import leg_lines
from connector.reconcile.plan import assemble
from connector.reconcile.plan_values import Addition, Objection, Plan
from connector.reconcile.report import HeldKeys, Outcomes, Report, ReportLine, RunCounts, RunFacts, holds_of, report

_NIGHTS = ("run", "report")
_RUNS = (*_NIGHTS, "resume", "retry")
"""The kinds of run that somebody wants a report of; making a plan is none."""

_LOOKED_AT = 200
_SHOWN = 30
_NIGHT = timedelta(hours=24)
_APPLIED = "applied"
_TOLD = ("applied", "reported", "stopped", "urgent-only")
"""How a run ends that a report was made of."""


@dataclass(frozen=True, slots=True)
class Reporting:
    """Puts reports together. `mode` says why nothing is applied (empty where it is); people read times of `zone`."""

    journal: Journal
    school: str
    mode: str = ""
    zone: tzinfo = UTC

    def run(self, run_id: int | None = None) -> PastRun:
        """Give the run to report on: the named one, else the newest. Raises ConnectorError where there is none."""
        for run in self._runs():
            if run_id in (None, run.run_id):
                return run
        if run_id:
            raise ConnectorError(f"There is no run {run_id} to report on.", "See what was done: connector history")
        what = "Nothing was run yet, so there is no report. At a terminal a run only tries, without --apply."
        raise ConnectorError(what, "Run once; a new installation applies nothing before go-live: connector run --apply")

    def report(
        self,
        run: PastRun,
        decisions: Decisions,
        *,
        whole_night: bool,
        authority: Sequence[ReportLine] = (),
        discreet: bool = False,
    ) -> Report:
        """Make the report of one run. `authority` is what an authority role has to say a word on."""
        planned = self._planned(run) if whole_night else run
        since = self._begin(planned) if whole_night else None
        closed = self._closed(run, since)
        made = self._plan(planned, decisions)
        plan = _with_rows(made, closed)
        added = self._added(run, since)
        legs = tuple(leg for revocation in closed for leg in leg_lines(revocation, self.zone))
        outcomes = Outcomes(legs, added, self._stopped(planned, made))
        audit, known = self.journal.verify_audit(), self._known(planned)
        refused = refusals.lines(self.journal, self.zone) if whole_night else ()
        return report(
            self._facts(run, audit.head, since), plan, outcomes, decisions, self._history(),
            known_holds=known, authority=(*_broken(audit), *authority), refused=refused, discreet=discreet,
        )  # fmt: skip

    def _runs(self) -> tuple[PastRun, ...]:
        return self.journal.runs(_LOOKED_AT, _RUNS)

    def _nights(self) -> tuple[PastRun, ...]:
        """Give the runs that decide: one that only drives what is open has no plan and would fill the picture."""
        return self.journal.runs(_LOOKED_AT, _NIGHTS)

    def _planned(self, run: PastRun) -> PastRun:
        """Give the run whose plan stands at the end of a night: after it, what is open may be driven once more."""
        if run.kind in _NIGHTS:
            return run
        return next((r for r in self._nights() if r.run_id < run.run_id and r.plan_id), run)

    def _facts(self, run: PastRun, head: str, since: datetime | None) -> RunFacts:
        return RunFacts(
            str(run.run_id),
            self.school,
            run.as_of,
            run.started_at.astimezone(self.zone),
            run.ended_at.astimezone(self.zone) if run.ended_at else None,
            run.operator,
            run.result,
            self.mode,
            run.plan_id,
            head,
            since.astimezone(self.zone) if since else None,
        )

    def _plan(self, run: PastRun, decisions: Decisions) -> Plan:
        if run.plan_id:
            return self.journal.plan(run.plan_id).plan
        return assemble((), (), decisions.school.as_of)

    def _begin(self, planned: PastRun) -> datetime:
        """Give when a night begins: after the last run of a day before it that came to its end, a day ago at most."""
        earliest = planned.started_at - _NIGHT
        before = (r for r in self._nights() if r.run_id < planned.run_id and r.as_of < planned.as_of)
        told = next((r.ended_at for r in before if r.ended_at and r.result in _TOLD), earliest)
        return max(earliest, told + timedelta(microseconds=1))  # what ended with that run was told of it

    def _added(self, run: PastRun, since: datetime | None) -> tuple[Addition, ...]:
        """Give who was added: by this run, or by any run since."""
        runs = [r for r in self._nights() if since and r.run_id <= run.run_id and r.started_at >= since]
        applied = [r for r in (runs if since else [run]) if r.result == _APPLIED and r.plan_id]
        plans = (self.journal.plan(r.plan_id).plan for r in reversed(applied))
        return tuple(dict.fromkeys(addition for plan in plans for addition in plan.additions))

    def _stopped(self, run: PastRun, plan: Plan) -> tuple[Objection, ...]:
        if run.result == _APPLIED:
            return ()
        waived = (label for approval in self.journal.standing_approvals(plan.digest) for label in approval.waivers)
        return standing_objections(plan, waived)

    def _closed(self, run: PastRun, since: datetime | None) -> list[StoredRevocation]:
        """Give what was driven: in this run, or since then; and whatever is open since earlier."""
        found = self.journal.revocations(run_id=run.run_id) if since is None else self._since(since)
        return [r for r in found if r.direction is Direction.CLOSE]

    def _since(self, since: datetime) -> tuple[StoredRevocation, ...]:
        """Give what came to an end since then, however long ago it was begun, and whatever is open."""
        return self.journal.period(since, self.journal.now() + timedelta(seconds=1)).revocations

    def _history(self) -> tuple[RunCounts, ...]:
        """Give the counts of the last days, oldest first: of several runs on one day what they closed together."""
        days: dict[date, list[PastRun]] = {}
        for run in (r for r in self._nights() if r.plan_id):
            days.setdefault(run.as_of, []).append(run)
        shown = list(days.values())[:_SHOWN]
        if not shown:
            return ()
        driven = self._since(min(r.started_at for runs in shown for r in runs))
        closing = [r for r in driven if r.direction is Direction.CLOSE]
        return tuple(_counts(runs, closing) for runs in reversed(shown))

    def _known(self, run: PastRun) -> HeldKeys:
        """Give the holds somebody was told of by the run before."""
        mine = self.journal.plan(run.plan_id).held_before if run.plan_id else None
        if mine is not None:
            return frozenset(mine)
        # A plan that an earlier build kept does not say it.
        runs = (r for r in self._nights() if r.run_id < run.run_id and r.plan_id)
        plans = (self.journal.plan(r.plan_id).plan for r in runs)
        # Of a source that could not be believed nobody was told a hold.
        return holds_of(next((p for p in plans if not any(o.is_of_source for o in p.objections)), None))


def _broken(audit: AuditState) -> tuple[ReportLine, ...]:
    """Say before everything else that the trail itself cannot be believed, where it cannot."""
    if audit.ok:
        return ()
    to_do = "Somebody wrote into the journal by another way: compare it with a backup before you believe this report."
    return (ReportLine("The audit trail", "broken", audit.sentence, to_do, ("connector audit verify",), warns=True),)


def _with_rows(plan: Plan, closed: Sequence[StoredRevocation]) -> Plan:
    """Give the plan with the rows of what was closed under another plan, so that their reasons are told too."""
    known = {row.key for row in plan.revocations}
    others = {r.row.key: r.row for r in closed if r.row.key not in known}
    return replace(plan, revocations=(*plan.revocations, *others.values()))


def _counts(runs: Sequence[PastRun], closing: Sequence[StoredRevocation]) -> RunCounts:
    """Count one day: what its runs closed and left open, and what the newest of them found."""
    numbers, newest = {run.run_id for run in runs}, runs[0]
    driven = [r for r in closing if r.run_id in numbers]
    # Also what an earlier run began: a door that stands open for a week is open in each of its nights.
    still_open = sum(_was_open(r, newest.ended_at or newest.started_at) for r in closing)
    closed = sum(r.state == "done" for r in driven)
    held, ready = newest.counts.get("held", 0), newest.counts.get("ready_to_revoke", 0)
    return RunCounts(newest.started_at, closed, still_open, held, ready, newest.as_of)


def _was_open(revocation: StoredRevocation, at: datetime) -> bool:
    return revocation.intended_at <= at and (revocation.done_at is None or revocation.done_at > at)
