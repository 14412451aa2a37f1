"""One nightly run, top to bottom: snapshot, resume, decide, plan, guard, apply, accept. It reads as the story it is.

What is open from earlier is driven to an end before anything new. A run that is stopped writes nothing but urgent rows
and what was open already.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from typing import Self
from zoneinfo import ZoneInfo

from connector.errors import PlanError, StoppedEarly
from connector.log import during_run
from connector.policy import Limits, PortalRules, Rules
from connector.reconcile.accepting import Accepting, fingerprints_of
from connector.reconcile.apply import Applier, Pace
from connector.reconcile.boundaries import Boundary, Reached, unwatched
from connector.reconcile.correlate import Identity
from connector.reconcile.finalising import finalise
from connector.reconcile.guard import guard, standing_objections
from connector.reconcile.interrupting import UNATTENDED, Attendance, asking, at_quiet_places
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import ChangeKind, OpenChange, OpenLeg, StoredPlan
from connector.reconcile.judge import Judgement, Past, judge
from connector.reconcile.memory import Block
from connector.reconcile.plan_values import Addition, Objection, Plan, Revocation
from connector.reconcile.reading import Progress, Targets, silent, take_snapshot, utc_now
from connector.reconcile.resume import addresses, changes_again, decide_again, read_again, reopened
from connector.reconcile.rule_changes import RECORDS_JOINED, RESTRICTION_LIFTED
from connector.reconcile.snapshot import Snapshot
from connector.reconcile.stages import ACCEPT, APPLY, RESUME, Stopwatch
from connector.reconcile.stored_plans import cut, refuse_old

APPLIED, REPORTED, URGENT_ONLY, STOPPED_EARLY = "applied", "reported", "urgent-only", "stopped-early"

UNBELIEVED = "source-"
"""How the labels of objections begin that say a source cannot be believed."""

_CHANGED = ("rule-changed:", RESTRICTION_LIFTED, RECORDS_JOINED, "portal-closed:")
"""How the labels of objections begin that compare with the last accepted run."""


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
    """What a run did.

    `stopped` are the objections nobody waived; `skipped` are rows whose person changed meanwhile; `busy` are the keys
    of identities somebody else was changing: left for the next run. `reswept` counts sessions that had come back in the
    days after their person was closed, and were ended again.
    """

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
    busy: tuple[str, ...] = ()
    reswept: int = 0


@dataclass(slots=True)
class Running:
    """Everything one run needs. `reports_only` keeps it from applying, `urgent_only` from all but urgent rows.

    A run that does not count confirms nobody's readiness.
    """

    journal: Journal
    targets: Targets
    setup: Setup
    operator: str
    progress: Progress = silent
    reports_only: bool = False
    sleep: Callable[[float], None] = time.sleep
    reached: Reached = unwatched
    urgent_only: bool = False
    counts: bool = True
    attendance: Attendance = UNATTENDED
    clock: Callable[[], datetime] = utc_now
    stages: Stopwatch = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.progress = self.stages = Stopwatch(self.progress)

    # --- deciding ---------------------------------------------------------------------------------------------------

    def look(self, as_of: date, snapshot: Snapshot | None = None) -> Judgement:
        """Read everything and decide; nothing is written anywhere."""
        taken = snapshot or take_snapshot(self.targets, self._stage)
        self._stage("decide")
        setup, past = self.setup, self.past(as_of, taken)
        return judge(taken, setup.rules, setup.portals, setup.limits, past, as_of, self.clock())

    def attended(self, attendance: Attendance) -> Self:
        """Let somebody attend what runs from here; give this."""
        self.attendance, self.sleep = attendance, attendance.sleep
        return self

    def _stage(self, what: str) -> None:
        self.attendance.check()
        self.progress(what)

    def past(self, as_of: date, snapshot: Snapshot) -> Past:
        """Assemble what went before from the journal, as far as it bears on this snapshot."""
        rules = self.setup.rules
        memory = self.journal.memory(as_of, flip_runs=rules.oscillation_runs, rollover_from=rules.rollover_from)
        open_legs = addresses(self.journal.open_legs(), snapshot)
        changes = (c.change for c in self.journal.open_changes())
        additions = frozenset((c.target, c.person_id) for c in changes if c.kind is ChangeKind.ADD)
        return Past(memory, self.accepting.baseline(), self.accepting.highest_counts(as_of), open_legs, additions)

    @property
    def accepting(self) -> Accepting:
        """What keeps and compares the snapshots of this school."""
        return Accepting(self.journal, self.setup.rules, self.setup.portals, self.operator, self.reached)

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
        return frozenset(
            label for approval in self.journal.standing_approvals(plan.digest) for label in approval.waivers
        )

    def standing(self, plan: Plan) -> tuple[Objection, ...]:
        """Give the objections that stop this plan."""
        return standing_objections(plan, self.waived(plan))

    # --- running ----------------------------------------------------------------------------------------------------

    def run(self, as_of: date, kind: str = "run", plan_id: str = "") -> RunResult:
        """Run once; with `plan_id` apply that stored plan, as far as its people have not changed."""
        self.journal.ready()
        stored = self.journal.plan(plan_id) if plan_id else None
        if stored is not None:
            refuse_old(stored, self.setup.limits, self.clock())
        snapshot = take_snapshot(self.targets, self._stage)
        with self.acting(kind, as_of, fingerprints_of(snapshot)) as applier:
            return self._run(applier, as_of, snapshot, stored)

    @contextlib.contextmanager
    def acting(self, kind: str, as_of: date, fingerprints: Mapping[str, str]) -> Iterator[Applier]:
        """Begin a run and give what acts in it. Whoever asks ends the run; an error ends it too, its legs stay open."""
        seconds, check = self.setup.pace.lease_seconds, self.attendance.check
        run = self.journal.begin_run(kind, self.operator, as_of, fingerprints, seconds, self.attendance.owner)
        self.reached(Boundary.RUN_BEGUN)
        reached, sleep = at_quiet_places(check, self.reached), asking(check, self.sleep)
        applier = Applier(self.journal, self.targets, run, self.setup.pace, self.progress, sleep, reached)
        applier.holding.asked = check
        try:
            with during_run(str(run.run_id)):
                yield applier
        except BaseException as error:
            early = isinstance(error, StoppedEarly)
            result = STOPPED_EARLY if early else f"failed: {type(error).__name__}"
            # Where that fails too, the lease ends by itself: the first error is the one to show.
            with contextlib.suppress(Exception):
                self.journal.end_run(applier.run, result, StoppedEarly.exit_code if early else 1)
            raise

    def preview(self, as_of: date, plan_id: str = "") -> RunResult:
        """Say what a run would do. Nothing is resumed, kept or written, not even in the journal."""
        judgement, stored = self.look(as_of), self.journal.plan(plan_id) if plan_id else None
        skipped: tuple[tuple[Revocation, str], ...] = ()
        if stored is not None:
            judgement, skipped = self._as_stored(judgement, stored)
        stopped = standing_objections(judgement.plan, self._waivers(judgement.plan, stored))
        legs, changes = self.journal.open_legs(), self.journal.open_changes()
        exit_code = _exit_code(stopped, judgement.plan.pending + len(legs) + len(changes))
        return RunResult(
            judgement, 0, "previewed", exit_code, stopped=stopped, skipped=skipped, open_legs=legs, open_changes=changes
        )

    def resume(self, as_of: date, kind: str = "resume") -> RunResult:
        """Drive what is open to an end, each person decided again, and nothing new."""
        self.journal.ready()
        judgement = self.look(as_of)
        with self.acting(kind, as_of, fingerprints_of(judgement.snapshot)) as applier:
            resumed, called_off = self._resume(applier, judgement)
            self._finalise(applier, judgement)
            over = applier.call_off(self._over(judgement, ()))
            legs, changes = self.journal.open_legs(), self.journal.open_changes()
            exit_code = 4 if legs or changes else 0
            self._end(applier, "resumed", exit_code)
        return RunResult(
            judgement, applier.run.run_id, "resumed", exit_code, resumed=resumed, called_off=called_off + over,
            open_legs=legs, open_changes=changes, busy=applier.busy,
        )  # fmt: skip

    def _run(self, applier: Applier, as_of: date, snapshot: Snapshot, stored: StoredPlan | None) -> RunResult:
        judgement = self.look(as_of, snapshot)
        applier.keep_lease()
        if stored is not None:
            self._as_stored(judgement, stored)  # refused, if it is, before anything is driven
        resumed, reswept = 0, 0
        called_off: tuple[tuple[OpenLeg, str], ...] = ()
        if not self.reports_only:
            resumed, called_off = self._resume(applier, judgement)
            self._finalise(applier, judgement)
            reswept = self._resweep(applier, judgement)
        if resumed or called_off or reswept:
            judgement = self._look_again(applier, as_of)
        whole = judgement.plan
        skipped: tuple[tuple[Revocation, str], ...] = ()
        if stored is not None:
            judgement, skipped = self._as_stored(judgement, stored)
        self.journal.keep_plan(judgement.plan, applier.run)
        self.reached(Boundary.PLAN_KEPT)
        result = self._apply(applier, judgement, stored)
        called_off += result.called_off
        result = replace(result, skipped=skipped, resumed=resumed, called_off=called_off, reswept=reswept)
        return self._finish(applier, result, stored, accepted=not result.stopped and not self._left_out(whole, stored))

    def _left_out(self, whole: Plan, stored: StoredPlan | None) -> bool:
        """Say whether a stored plan left out what somebody must look at: accepted, it would be news no longer."""
        standing = standing_objections(whole, self._waivers(whole, stored)) if stored else ()
        return any(o.label.startswith(_CHANGED) for o in standing)

    def _look_again(self, applier: Applier, as_of: date) -> Judgement:
        """Read and decide anew, keeping the lease at every step: a school may take minutes to read."""

        def keeping(what: str) -> None:
            applier.keep_lease()
            self._stage(what)

        judgement = self.look(as_of, take_snapshot(self.targets, keeping))
        applier.keep_lease()
        return judgement

    def _resume(self, applier: Applier, judgement: Judgement) -> tuple[int, tuple[tuple[OpenLeg, str], ...]]:
        """Drive what is open from earlier, each person decided again first."""
        self.stages.enter(RESUME)
        believed = self._believed(judgement)
        resumption = decide_again(self.journal.open_legs(), judgement.decisions, believed=believed)
        applier.known_blocks = frozenset(judgement.decisions.school.blocked)
        called_off = applier.call_off(resumption.call_off)
        applier.drive(resumption.drive, resumption.older_only)
        changes = self._resume_changes(applier, judgement) if believed else 0
        return len(resumption.drive) + changes, called_off

    def _finalise(self, applier: Applier, judgement: Judgement) -> None:
        """Make final what ended by itself since: `effective-by` a time that has passed."""
        finalise(applier, judgement.decisions, judgement.snapshot, believed=self._believed(judgement))

    def _resweep(self, applier: Applier, judgement: Judgement) -> int:
        """Sweep again for people closed some days ago, each decided again first; give how many sessions had come back.

        Stores whose applications save at request end may bring a session back long after it was proven ended.
        """
        days = self.setup.pace.resweep_days
        lately = self.journal.lately_ended(days) if days else ()
        if not lately:
            return 0
        once_more = decide_again(reopened(lately), judgement.decisions, believed=self._believed(judgement))
        return applier.sweeping().again(once_more.drive, once_more.older_only)

    def _believed(self, judgement: Judgement) -> bool:
        return not any(o.label.startswith(UNBELIEVED) for o in self.standing(judgement.plan))

    def _resume_changes(self, applier: Applier, judgement: Judgement) -> int:
        """Drive open membership changes; what would let somebody in who is not to be is called off. Gives how many."""
        drive, off = changes_again(self.journal.open_changes(), judgement.decisions)
        applier.call_off_changes(off)
        applier.drive_changes(drive)
        return len(drive) + len(off)

    def _over(self, judgement: Judgement, rows: Sequence[Revocation]) -> tuple[tuple[OpenLeg, str], ...]:
        """Give the unread legs whose target can be read by now: one of these rows replaces them, or nothing is left."""
        if not self._believed(judgement):
            return ()
        return read_again(self.journal.open_legs(), judgement.decisions, {r.key for r in rows})

    def _apply(self, applier: Applier, judgement: Judgement, stored: StoredPlan | None) -> RunResult:
        """Apply the plan, or of a stopped one only what goes all the same; in report mode nothing."""
        self.stages.enter(APPLY)
        plan, number = judgement.plan, applier.run.run_id
        stopped = standing_objections(plan, self._waivers(plan, stored))
        if self.reports_only:
            return RunResult(judgement, number, REPORTED, _exit_code(stopped, plan.pending), stopped=stopped)
        rows = tuple(r for r in self._going(plan, stopped) if r.applies)
        additions = () if stopped or self.urgent_only else plan.additions
        applier.known_blocks = frozenset(judgement.decisions.school.blocked)
        over = self._over(judgement, rows)
        again = partial(decide_again, decisions=judgement.decisions, believed=self._believed(judgement))
        applier.revoke(rows, plan.plan_id, over, again)
        applier.add(additions)
        rows = tuple(r for r in rows if r.key not in applier.not_intended)
        additions = tuple(a for a in additions if a.person_id not in applier.not_intended)
        result = "stopped" if stopped else URGENT_ONLY if self.urgent_only else APPLIED
        code = _exit_code(stopped, plan.pending - len(rows) if self.urgent_only else 0)
        return RunResult(judgement, number, result, code, rows, additions, stopped, called_off=over)

    def _going(self, plan: Plan, stopped: tuple[Objection, ...]) -> tuple[Revocation, ...]:
        """Give the rows that go: all, or of a stopped plan the urgent ones, and those that are half closed already."""
        if not stopped and not self.urgent_only:
            return plan.revocations
        if any(o.stops_urgent for o in stopped):
            return ()
        begun = {leg.key for leg in self.journal.open_legs() if leg.planned.unread}
        urgent = {r.key for r in plan.revocations if r.urgent and not any(o.stops(r) for o in stopped)}
        return tuple(r for r in plan.revocations if r.key in urgent | begun)

    def _waivers(self, plan: Plan, stored: StoredPlan | None) -> frozenset[str]:
        return self.waived(plan) | (self.waived(stored.plan) if stored else frozenset())

    def _finish(self, applier: Applier, result: RunResult, stored: StoredPlan | None, *, accepted: bool) -> RunResult:
        """Keep and perhaps accept the snapshot, learn links, observe, end the run."""
        self.stages.enter(ACCEPT)
        judgement = result.judgement
        legs, changes = self.journal.open_legs(), self.journal.open_changes()
        exit_code = result.exit_code
        if (legs or changes or applier.busy) and result.result != REPORTED:
            exit_code = 4
        applier.keep_lease()
        self.reached(Boundary.BEFORE_SNAPSHOT)
        if not any(o.label.startswith(UNBELIEVED) for o in result.stopped):
            # What cannot be believed is neither remembered nor counted.
            days = self.setup.retention_days
            self.accepting.keep(applier.run, judgement, accepted=accepted, retention_days=days, counts=self.counts)
        if result.result == APPLIED:
            for plan_id in {judgement.plan.plan_id, stored.plan.plan_id if stored else judgement.plan.plan_id}:
                self.journal.mark_plan(plan_id, APPLIED, self.operator)
            self.reached(Boundary.PLAN_MARKED)
        applier.keep_lease()
        self._end(applier, result.result, exit_code, judgement.counts, judgement.plan.plan_id)
        return replace(result, exit_code=exit_code, open_legs=legs, open_changes=changes, busy=applier.busy)

    def _end(
        self, applier: Applier, result: str, exit_code: int, counts: Mapping[str, int] | None = None, plan_id: str = ""
    ) -> None:
        self.reached(Boundary.BEFORE_RUN_ENDED)
        counts = {**(counts or {}), **self.stages.counts()}
        self.journal.end_run(applier.run, result, exit_code, counts, plan_id)
        self.reached(Boundary.RUN_ENDED)

    # --- a stored plan ----------------------------------------------------------------------------------------------

    def _as_stored(
        self, judgement: Judgement, stored: StoredPlan
    ) -> tuple[Judgement, tuple[tuple[Revocation, str], ...]]:
        """Give today's judgement cut to the stored plan's rows that are still the same; say what is not."""
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
        part = cut(judgement.plan, same, added)
        return replace(judgement, plan=guard(part, judgement.decisions, judgement.night)), tuple(skipped)


def _exit_code(stopped: tuple[Objection, ...], pending: int) -> int:
    if stopped:
        return 3
    return 2 if pending else 0
