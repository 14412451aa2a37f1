"""One nightly run, top to bottom: snapshot, resume, decide, plan, guard, apply, accept. It reads as the story it is.

What is open from earlier is driven to an end before anything new. A run that is stopped writes nothing but urgent rows
and what was open already.
"""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from connector.errors import PlanError
from connector.model import LegState, Outcome, Status
from connector.policy import Limits, PortalRules, Rules
from connector.reconcile.apply import Applier, Pace
from connector.reconcile.baseline import Baseline, baseline_of, counts_of
from connector.reconcile.codec import CodecError, from_json, to_json
from connector.reconcile.correlate import Identity
from connector.reconcile.guard import guard, standing_objections
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import OpenChange, OpenLeg, Run, StoredPlan
from connector.reconcile.judge import Judgement, Past, judge
from connector.reconcile.memory import Block
from connector.reconcile.plan import assemble, digest_of, only, urgent_only
from connector.reconcile.plan_values import Addition, Objection, Plan, Revocation
from connector.reconcile.reading import Progress, Targets, silent, take_snapshot
from connector.reconcile.resume import addresses, decide_again
from connector.reconcile.snapshot import Snapshot

APPLIED = "applied"

UNBELIEVED = "source-"
"""How the labels of objections begin that say a source cannot be believed."""

_SHRUNK = "source-shrank:"
_HIGHEST_DAYS = 30


@dataclass(frozen=True, slots=True)
class Setup:
    """What a school decides and applies by."""

    rules: Rules
    portals: tuple[PortalRules, ...]
    limits: Limits
    pace: Pace
    zone: ZoneInfo
    retention_days: int = 90


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run did. `stopped` are the objections nobody waived; `skipped` are rows whose person changed meanwhile."""

    judgement: Judgement
    run_id: int
    result: str
    exit_code: int
    applied: tuple[Revocation, ...] = ()
    added: tuple[Addition, ...] = ()
    stopped: tuple[Objection, ...] = ()
    skipped: tuple[tuple[Revocation, str], ...] = ()
    resumed: int = 0
    called_off: tuple[tuple[OpenLeg, str], ...] = ()
    open_legs: tuple[OpenLeg, ...] = ()
    open_changes: tuple[OpenChange, ...] = ()


@dataclass(slots=True)
class Running:
    """Everything one run needs. `reports_only` keeps it from applying: report mode, or a day without applying."""

    journal: Journal
    targets: Targets
    setup: Setup
    operator: str
    progress: Progress = silent
    reports_only: bool = False

    # --- deciding ---------------------------------------------------------------------------------------------------

    def look(self, as_of: date, snapshot: Snapshot | None = None) -> Judgement:
        """Read everything and decide; nothing is written anywhere."""
        taken = snapshot or take_snapshot(self.targets, self.progress)
        self.progress("decide")
        setup = self.setup
        return judge(taken, setup.rules, setup.portals, setup.limits, self.past(as_of), as_of, datetime.now(UTC))

    def past(self, as_of: date) -> Past:
        """Assemble what went before from the journal."""
        rules = self.setup.rules
        memory = self.journal.memory(as_of, flip_runs=rules.oscillation_runs, rollover_from=rules.rollover_from)
        open_legs = addresses(self.journal.open_legs())
        return Past(memory, self.baseline(), self._highest_counts(as_of), open_legs)

    def baseline(self) -> Baseline | None:
        """Give the last accepted snapshot, decoded. One that another version wrote cannot be compared with."""
        stored = self.journal.last_accepted()
        if stored is None:
            return None
        try:
            return from_json(Baseline, stored.content.decode())
        except CodecError:
            return None

    def asked_for(self, judgement: Judgement, identity: Identity, reason: str) -> Revocation | None:
        """Give the row that closes one person although nothing else asks for it, as if blocked already."""
        as_of, memory = judgement.decisions.school.as_of, judgement.night.memory
        if person_id := identity.person_id:
            blocks = {**memory.blocks, person_id: Block(person_id, self.operator, reason)}
            memory = replace(memory, blocks=blocks, requested=memory.requested | {person_id})
        setup, past = self.setup, Past(memory)
        again = judge(judgement.snapshot, setup.rules, setup.portals, setup.limits, past, as_of, judgement.night.now)
        return next((r for r in again.plan.revocations if r.key == identity.key), None)

    def waived(self, plan: Plan) -> frozenset[str]:
        """Give the labels of objections that somebody has waived for exactly this plan."""
        return frozenset(label for approval in self.journal.approvals(plan.digest) for label in approval.waivers)

    def standing(self, plan: Plan) -> tuple[Objection, ...]:
        """Give the objections that stop this plan."""
        return standing_objections(plan, self.waived(plan))

    # --- running ----------------------------------------------------------------------------------------------------

    def run(self, as_of: date, kind: str = "run", plan_id: str = "") -> RunResult:
        """Run once; with `plan_id` apply that stored plan, as far as its people have not changed."""
        self.journal.ready()
        stored = self.journal.plan(plan_id) if plan_id else None
        snapshot = take_snapshot(self.targets, self.progress)
        run = self.journal.begin_run(
            kind, self.operator, as_of, fingerprints_of(snapshot), self.setup.pace.lease_seconds
        )
        try:
            return self._run(run, as_of, snapshot, stored)
        except BaseException as error:
            self._end_badly(run, error)
            raise

    def resume(self, as_of: date) -> RunResult:
        """Drive what is open to an end, each person decided again, and nothing new."""
        self.journal.ready()
        judgement = self.look(as_of)
        prints = fingerprints_of(judgement.snapshot)
        run = self.journal.begin_run("resume", self.operator, as_of, prints, self.setup.pace.lease_seconds)
        applier = Applier(self.journal, self.targets, run, self.setup.pace, self.progress)
        try:
            resumed, called_off = self._resume(applier, judgement)
            legs, changes = self.journal.open_legs(), self.journal.open_changes()
            exit_code = 4 if legs or changes else 0
            self.journal.end_run(applier.run, "resumed", exit_code)
        except BaseException as error:
            self._end_badly(applier.run, error)
            raise
        return RunResult(
            judgement, run.run_id, "resumed", exit_code,
            resumed=resumed, called_off=called_off, open_legs=legs, open_changes=changes,
        )  # fmt: skip

    def _run(self, run: Run, as_of: date, snapshot: Snapshot, stored: StoredPlan | None) -> RunResult:
        applier = Applier(self.journal, self.targets, run, self.setup.pace, self.progress)
        judgement = self.look(as_of, snapshot)
        resumed, called_off = self._resume(applier, judgement)
        if resumed or called_off:
            judgement = self.look(as_of)
        skipped: tuple[tuple[Revocation, str], ...] = ()
        if stored is not None:
            judgement, skipped = self._as_stored(judgement, stored)
        self.journal.keep_plan(judgement.plan, applier.run)
        result = self._apply(applier, judgement, stored)
        result = replace(result, skipped=skipped, resumed=resumed, called_off=called_off)
        return self._finish(applier, result)

    def _resume(self, applier: Applier, judgement: Judgement) -> tuple[int, tuple[tuple[OpenLeg, str], ...]]:
        """Drive what is open from earlier, each person decided again first."""
        believed = not any(o.label.startswith(UNBELIEVED) for o in self.standing(judgement.plan))
        resumption = decide_again(self.journal.open_legs(), judgement.decisions, believed=believed)
        if resumption.call_off:
            outcomes = [(leg, Outcome(LegState.CALLED_OFF, why)) for leg, why in resumption.call_off]
            self.journal.record(outcomes, applier.run)
        applier.drive(resumption.drive)
        changes = self.journal.open_changes() if believed else ()
        applier.drive_changes(changes)
        return len(resumption.drive) + len(changes), resumption.call_off

    def _apply(self, applier: Applier, judgement: Judgement, stored: StoredPlan | None) -> RunResult:
        """Apply the plan, or of a stopped one only the urgent rows; in report mode nothing."""
        plan = judgement.plan
        stopped = standing_objections(plan, self._waivers(plan, stored))
        if self.reports_only:
            return RunResult(
                judgement, applier.run.run_id, "reported", _exit_code(stopped, plan.pending), stopped=stopped
            )
        going = plan if not stopped else urgent_only(plan)
        if any(o.stops_urgent for o in stopped):
            going = only(plan, ())
        rows = tuple(r for r in going.revocations if r.applies)
        applier.revoke(rows, plan.plan_id)
        applier.add(going.additions)
        result = "stopped" if stopped else APPLIED
        return RunResult(judgement, applier.run.run_id, result, _exit_code(stopped, 0), rows, going.additions, stopped)

    def _waivers(self, plan: Plan, stored: StoredPlan | None) -> frozenset[str]:
        return self.waived(plan) | (self.waived(stored.plan) if stored else frozenset())

    def _finish(self, applier: Applier, result: RunResult) -> RunResult:
        """Keep and perhaps accept the snapshot, learn links, observe, end the run."""
        judgement, run = result.judgement, applier.run
        legs, changes = self.journal.open_legs(), self.journal.open_changes()
        exit_code = result.exit_code
        if (legs or changes) and result.result != "reported":
            exit_code = 4
        accepted = not result.stopped
        if not any(o.label.startswith(UNBELIEVED) for o in result.stopped):
            # What cannot be believed is neither remembered nor counted.
            self._keep_snapshot(run, judgement, accepted=accepted)
        if result.result == APPLIED:
            self.journal.mark_plan(judgement.plan.plan_id, APPLIED, self.operator)
        applier.keep_lease()
        self.journal.end_run(applier.run, result.result, exit_code, judgement.counts, judgement.plan.plan_id)
        return replace(result, exit_code=exit_code, open_legs=legs, open_changes=changes)

    def _keep_snapshot(self, run: Run, judgement: Judgement, *, accepted: bool) -> None:
        snapshot, decisions = judgement.snapshot, judgement.decisions
        kept = baseline_of(snapshot, self.setup.rules, self.setup.portals, decisions.school.as_of)
        number = self.journal.keep_snapshot(
            run,
            decisions.school.as_of,
            to_json(kept, Baseline).encode(),
            counts_of(snapshot),
            fingerprints_of(snapshot),
        )
        ready = {
            d.identity.key: digest_of([list(d.reasons)]) for d in decisions.rows if d.status is Status.READY_TO_REVOKE
        }
        self.journal.observe(run, decisions.school.as_of, ready, decisions.correlation.claims.entitled.keys())
        if accepted:
            self.journal.accept_snapshot(number, run)
            self._learn_links(judgement)
            self._remember_shrinking(judgement)
        self.journal.prune(self.setup.retention_days, 10)

    def _remember_shrinking(self, judgement: Judgement) -> None:
        """A shrinking that somebody waived is the new size: it is not objected to again for thirty days."""
        for objection in judgement.plan.objections:
            if objection.label.startswith(_SHRUNK):
                name = objection.label.removeprefix(_SHRUNK)
                count = {n.replace(" ", "-"): c for n, c in judgement.night.counts.items()}[name]
                value = f"{count}@{judgement.decisions.school.as_of.isoformat()}"
                self.journal.set_setting(f"shrunk {name}", value, self.operator)

    def _highest_counts(self, as_of: date) -> dict[str, int]:
        """Give the highest counts of 30 days, but not from before a shrinking that somebody waived."""
        highest = self.journal.accepted_counts(_HIGHEST_DAYS)
        for name in highest:
            count, _, day = self.journal.setting(f"shrunk {name.replace(' ', '-')}").partition("@")
            if day and (as_of - date.fromisoformat(day)).days <= _HIGHEST_DAYS:
                highest[name] = min(highest[name], int(count))
        return highest

    def _learn_links(self, judgement: Judgement) -> None:
        for link in judgement.decisions.correlation.links:
            how = "moved within the same human" if link.moved_from else "employee id"
            change = self.journal.move_link if link.moved_from else self.journal.link
            change(link.directory, link.guid, link.person_id, self.operator, how)

    def _end_badly(self, run: Run, error: BaseException) -> None:
        """End the run's record; where that fails too, its lease ends by itself: the first error is the one to show."""
        with contextlib.suppress(Exception):
            self.journal.end_run(run, f"failed: {type(error).__name__}", 1)

    # --- a stored plan ----------------------------------------------------------------------------------------------

    def _as_stored(
        self, judgement: Judgement, stored: StoredPlan
    ) -> tuple[Judgement, tuple[tuple[Revocation, str], ...]]:
        """Give today's judgement cut to the stored plan's rows that are still the same; say what is not."""
        self._refuse_old(stored)
        fresh = {r.key: r for r in judgement.plan.revocations}
        same, skipped = [], []
        for row in (r for r in stored.plan.revocations if r.applies):
            now = fresh.get(row.key)
            if now is not None and now.basis == row.basis and now.applies:
                same.append(row.key)
            else:
                skipped.append((row, "has changed since the plan was made" if now else "is no longer ready to revoke"))
        wanted = {(a.portal, a.person_id) for a in stored.plan.additions}
        added = tuple(a for a in judgement.plan.additions if (a.portal, a.person_id) in wanted)
        if not same and not added:
            raise PlanError(
                f"Plan {stored.plan.plan_id} has gone stale: none of its rows is as it was. Nothing was written.",
                "Make a new one: connector plan",
            )
        cut = _cut(judgement.plan, same, added)
        return replace(judgement, plan=guard(cut, judgement.decisions, judgement.night)), tuple(skipped)

    def _refuse_old(self, stored: StoredPlan) -> None:
        if stored.state == APPLIED:
            raise PlanError(f"Plan {stored.plan.plan_id} was applied already.", "Make a new one: connector plan")
        hours = (datetime.now(UTC) - stored.created_at).total_seconds() / 3600
        if hours > self.setup.limits.plan_max_age_hours:
            raise PlanError(
                f"Plan {stored.plan.plan_id} is {hours:.0f} hours old; [limits] plan_max_age_hours is "
                f"{self.setup.limits.plan_max_age_hours}. Nothing was written.",
                "Make a new one: connector plan. The same facts give the same plan, and its approval still fits.",
            )


def _cut(plan: Plan, keys: Iterable[str], added: tuple[Addition, ...]) -> Plan:
    wanted = set(keys)
    rows = tuple(r for r in plan.revocations if r.key in wanted)
    return assemble(rows, added, plan.as_of, plan.unread, plan.warnings)


def _exit_code(stopped: tuple[Objection, ...], pending: int) -> int:
    if stopped:
        return 3
    return 2 if pending else 0


def fingerprints_of(snapshot: Snapshot) -> Mapping[str, str]:
    """Give each source's digest of what was read."""
    found = {"admin_system": snapshot.people.provenance.fingerprint}
    found |= {f"portal {r.portal}": r.provenance.fingerprint for r in snapshot.portals}
    found |= {f"directory {r.directory}": r.provenance.fingerprint for r in snapshot.directories}
    found |= {f"session store {r.store}": r.provenance.fingerprint for r in snapshot.session_stores}
    return found
