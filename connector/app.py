"""The Connector: opens adapters and journal, and offers the verbs every front end uses, and nothing else.

A verb decides nothing itself: it reads, asks the pure core, and lets `running` and `apply` act through the journal.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Self

from connector import operators, outgoing
from connector.config import Config, NightlyMode, Weekday, load
from connector.errors import NotAllowed, PlanError, PlanStopped, UnknownPerson
from connector.journal_key import open_journal
from connector.members import Members
from connector.model import Finding, Hold, Level
from connector.opening import refuse_outrun
from connector.operators import who_acts
from connector.reconcile import refusals
from connector.reconcile.abandoning import Abandoned, abandon
from connector.reconcile.accepting import fingerprints_of
from connector.reconcile.apply import Pace
from connector.reconcile.awaiting import awaiting
from connector.reconcile.backlog import backlog
from connector.reconcile.boundaries import Reached, from_environment, unwatched
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decision
from connector.reconcile.diagnose import PastEvent
from connector.reconcile.find_others import find_account, find_open
from connector.reconcile.find_person import find, find_one
from connector.reconcile.guard import enable_objections, guard
from connector.reconcile.holds import refuse_before_rollover
from connector.reconcile.interrupting import Attendance
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import (
    Direction,
    OpenLeg,
    StoredPlan,
    StoredRevocation,
)
from connector.reconcile.judge import Judgement
from connector.reconcile.live import Live
from connector.reconcile.memory import Block, Release
from connector.reconcile.night_report import Reporting
from connector.reconcile.past_events import past_events
from connector.reconcile.plan import except_for, hold_digest, without
from connector.reconcile.plan_values import Plan, Revocation
from connector.reconcile.reading import Progress, Targets, silent, utc_now
from connector.reconcile.report import Report
from connector.reconcile.restoring import Restore, plan_restore
from connector.reconcile.running import Running, RunResult, Setup
from connector.reconcile.sourced import WithSourced
from connector.reconcile.trial import trial
from connector.reconcile.wording import who
from connector.registry import open_admin_system, open_directories, open_portals, open_session_stores, validate
from connector.summons import Summons
from connector.urgent import Urgent

ROLLOVER_COMPLETE = "rollover_complete"


@dataclass(slots=True)
class Connector:
    """One school's connector, ready to act as `operator`. `clock` says what day it is."""

    config: Config
    journal: Journal
    targets: Targets
    operator: str
    progress: Progress = silent
    reached: Reached = unwatched
    clock: Callable[[], datetime] = utc_now

    @classmethod
    def open(cls, path: Path, progress: Progress = silent) -> Self:
        """Load the config, check every section, open the journal; adapters open at their first call."""
        config = load(path)
        validate(config)
        with contextlib.suppress(OSError):  # who needs the folder says by name that it cannot be written
            config.site.state_folder.mkdir(mode=0o750, exist_ok=True)
        portals, directories, stores = open_portals(config), open_directories(config), open_session_stores(config)
        journal, roles = open_journal(config), config.scim.roles if config.scim else {}
        admin_system = WithSourced(open_admin_system(config), lambda: journal.sourced(roles))
        targets = Targets(admin_system, portals, directories, awaiting(stores, journal.signatures))
        return cls(config, journal, targets, who_acts(), progress, from_environment())

    def close(self) -> None:
        """Let go of every connection."""
        self.targets.disconnect()
        self.journal.disconnect()

    # --- looking ----------------------------------------------------------------------------------------------------

    def today(self) -> date:
        """Give today in the school's time zone."""
        return self.clock().astimezone(self.config.site.zone).date()

    def look(self, as_of: date | None = None) -> Judgement:
        """Read everything and decide; write nothing."""
        return self.running().look(as_of or self.today())

    def running(self, *, reports_only: bool = False) -> Running:
        """Give what runs: the pipeline over this school's journal and targets."""
        running = Running(self.journal, self.targets, self.setup, self.operator, self.progress, reports_only)
        running.reached, running.clock = self.reached, self.clock
        return running

    @property
    def urgent(self) -> Urgent:
        """What is done at once, and what an authority signs for."""
        return Urgent(self.running(), self.config.authority, self.config.school.name, self.config.site.zone)

    @property
    def summons(self) -> Summons:
        """What tells the authority by e-mail."""
        config = self.config
        return Summons(config.authority, config.school.name, config.site, self.journal, self.operator)

    @property
    def members(self) -> Members:
        """What is asked and changed about the members of portals."""
        return Members(self.running(), self.config.portal_rules, self.config.limits, self.today)

    @property
    def setup(self) -> Setup:
        """What this school decides and applies by."""
        config = self.config
        pace, days = Pace(**asdict(config.apply)), config.journal.retention_days
        return Setup(config.rules, config.portal_rules, config.limits, pace, config.site.zone, days)

    @property
    def is_live(self) -> bool:
        """Whether unattended runs apply: the config says so, or somebody has run go-live."""
        return self.live.stands

    @property
    def live(self) -> Live:
        """What says whether unattended runs apply, and what is asked before they do."""
        nightly, now = self.config.nightly, self.clock().astimezone(self.config.site.zone)
        return Live(self.journal, self.operator, nightly.mode is NightlyMode.APPLY, now, nightly.at)

    def check(self, as_of: date | None = None) -> tuple[Finding, ...]:
        """Open every adapter read-only, decide once on trial, and say what is wrong and how to mend it."""
        found = [Finding(Level.WARNING, "config", text) for text in self.config.warnings]
        found.append(Finding(Level.OK, "config", f"{self.config.path} is understood."))
        self.journal.ready()
        found.append(Finding(Level.OK, "journal", "The journal takes a durable write."))
        audit = self.journal.verify_audit()
        found.append(Finding(Level.OK if audit.ok else Level.ERROR, "audit", audit.sentence))
        for system in self.targets.all():
            found.extend(system.check())
        found.extend(
            (
                *self.urgent.findings(),
                *refusals.findings(self.journal, self.config.site.zone),
                *outgoing.findings(self.config, self.journal),
            )
        )
        if not any(f.level is Level.ERROR for f in found):
            running = self.running()
            found.append(trial(lambda: running.look(as_of or self.today()).plan, running.standing))
        if not self.is_live:
            what = "Report mode: runs decide and report, they apply nothing."
            found.append(Finding(Level.WARNING, "nightly", what, "connector go-live"))
        return tuple(found)

    # --- planning and running ---------------------------------------------------------------------------------------

    def plan(
        self,
        as_of: date | None = None,
        factors: Sequence[tuple[str, str]] = (),
        excepted: Sequence[str] = (),
        reason: str = "",
    ) -> Judgement:
        """Make the plan, cut as asked, guarded again after the cut. Nothing is kept or written."""
        judgement = self.look(as_of)
        plan = judgement.plan
        if factors:
            plan = without(plan, factors)
        if excepted:
            keys = [self.one(judgement, text).identity.key for text in excepted]
            plan = except_for(plan, keys, reason or "no reason given")
        if plan is not judgement.plan:
            judgement = replace(judgement, plan=guard(plan, judgement.decisions, judgement.night))
        return judgement

    def keep_plan(self, judgement: Judgement, plans: Sequence[Plan] = ()) -> None:
        """Keep a plan (or the plans it was cut into) so that it can be shown, approved and applied."""
        as_of = judgement.decisions.school.as_of
        with self.running().acting("plan", as_of, fingerprints_of(judgement.snapshot)) as applier:
            for plan in plans or (judgement.plan,):
                self.journal.keep_plan(plan, applier.run)
            self.journal.end_run(applier.run, "planned", 0, judgement.counts, judgement.plan.plan_id)

    def run(self, as_of: date | None = None, plan_id: str = "", *, dry: bool = False) -> RunResult:
        """Run once. In report mode only an approved plan named by its id is applied."""
        when = as_of or self.today()
        if plan_id and not self.is_live and not self.journal.standing_approvals(self.journal.plan(plan_id).plan.digest):
            raise NotAllowed(
                f"The connector is in report mode and plan {plan_id} is not approved.", f"connector approve {plan_id}"
            )
        if dry:
            return self.running().preview(when, plan_id)
        reports_only = not (self.is_live or plan_id)
        return self.running(reports_only=reports_only).run(when, "report" if reports_only else "run", plan_id)

    def may_apply(self, day: date) -> bool:
        """Say whether nights apply on this day of the week; on every other one they close what is urgent only."""
        return tuple(Weekday)[day.weekday()] in self.config.nightly.apply_days

    def nightly(self, as_of: date, attendance: Attendance, *, counts: bool = True) -> RunResult:
        """Run as a daemon does: report, close what is urgent only, or apply, by mode and day of the week.

        A run that does not count confirms nobody's readiness. Raises StoppedEarly where it was asked to end.
        """
        running = self.running(reports_only=not self.is_live).attended(attendance)
        running.urgent_only, running.counts = not self.may_apply(as_of), counts
        return running.run(as_of, "report" if running.reports_only else "run")

    def retry(self, as_of: date, attendance: Attendance) -> RunResult:
        """Drive what is open as a daemon does, in report mode too: somebody asked for it by name."""
        return self.running().attended(attendance).resume(as_of, "retry")

    def stored_plan(self, plan_id: str) -> StoredPlan:
        """Give a kept plan."""
        return self.journal.plan(plan_id)

    def approve(self, plan_id: str, waivers: Sequence[str], reason: str) -> StoredPlan:
        """Approve a kept plan, waiving objections by name. Raises PlanError for an objection it does not have."""
        stored = self.journal.plan(plan_id)
        labels = [o.label for o in stored.plan.objections]
        for waiver in waivers:
            if waiver not in labels:
                raise PlanError(
                    f"Plan {stored.plan.plan_id} has no objection {waiver!r}.",
                    f"It has: {', '.join(labels) or 'none'}.",
                )
        self.journal.approve(stored.plan.digest, stored.plan.plan_id, tuple(waivers), self.operator, reason)
        return stored

    def rollover_complete(self, as_of: date | None = None) -> None:
        """Declare the rollover complete: rows held by it are free from now on. Raises NotAllowed before it began."""
        day = as_of or self.today()
        refuse_before_rollover(self.config.rules, day)
        self.journal.set_setting(ROLLOVER_COMPLETE, day.isoformat(), self.operator)

    def backlog(self, as_of: date | None, size: int = 0) -> tuple[Judgement, tuple[Plan, ...]]:
        """Cut the plan into parts by reason, each guarded; as many rows in one as a limit lets through unless told."""
        judgement = self.look(as_of)
        parts = backlog(judgement.plan, size or self.config.limits.max_revocations)
        return judgement, tuple(guard(part, judgement.decisions, judgement.night) for part in parts)

    @property
    def reporting(self) -> Reporting:
        """What puts reports together."""
        mode = "" if self.is_live else "Report mode: nothing is applied until somebody runs: connector go-live"
        return Reporting(self.journal, self.config.school.name, mode, self.config.site.zone)

    def report(self, as_of: date | None = None, run_id: int | None = None) -> Report:
        """Report on a run: the newest with the night before it, or the one that is named, alone."""
        run = self.reporting.run(run_id)
        decisions = self.look(as_of or run.as_of).decisions
        authority = self.urgent.report_lines()
        return self.reporting.report(run, decisions, whole_night=run_id is None, authority=authority)

    # --- people -----------------------------------------------------------------------------------------------------

    def one(self, judgement: Judgement, text: str) -> Decision:
        """Find exactly one decided identity, by whatever it answers to. Raises UnknownPerson."""
        return find_one(judgement.decisions, text)

    def release(self, decision: Decision, hold: Hold, reason: str) -> None:
        """Lift one hold of one person, until its evidence changes. Raises NotAllowed where there is no such hold."""
        if hold not in decision.holds:
            held = ", ".join(decision.holds) or "none"
            raise NotAllowed(f"{who(decision.identity).label} has no hold {hold}.", f"Its holds: {held}.")
        digest = hold_digest(hold, decision.reasons, decision.evidence)
        self.journal.release(Release(decision.identity.key, hold, digest, self.operator, reason))

    def person(self, judgement: Judgement, text: str) -> Identity:
        """Find exactly one person, also one about whom nothing is decided. Raises UnknownPerson."""
        found = find(judgement.decisions, text)
        identity = found[0].identity if len(found) == 1 else self.one(judgement, text).identity
        if identity.person_id is None:
            raise UnknownPerson(f"{identity.key} is an account without a person.", "connector link ACCOUNT PERSON")
        return identity

    def told(self, key: str) -> tuple[PastEvent, ...]:
        """Give what the journal remembers of an identity, as `explain` tells it."""
        return past_events(self.journal, key, self.config.site.zone)

    def keep(self, person_id: str, reason: str, until: date | None) -> None:
        """Keep someone in: their row is held."""
        self.journal.keep(person_id, self.operator, reason, until)

    def unkeep(self, person_id: str) -> None:
        """Take a keep back. Raises UnknownPerson where there is none."""
        self.journal.unkeep(person_id, self.operator)

    def block(self, person_id: str, reason: str, until: date | None) -> None:
        """Keep someone out, from the next decision on."""
        self.journal.block(person_id, self.operator, reason, until)

    def unblock(
        self, person_id: str, second: str, password: str, code: str, also: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Lift every block on one human, with a second operator who proves themselves; give the records unblocked.

        `also` are the other records of the same human.
        """
        self.second(second, password, code, f"unblock {person_id}")
        return self.journal.unblock(person_id, self.operator, second, also)

    def second(self, name: str, password: str, code: str, what: str) -> None:
        """Prove the second operator, once for `what`. Raises NotAllowed."""
        operators.second(self.journal, self.operator, operators.Proof(name, password, code), what)

    def takes_two_to_enrol(self, leaving: str = "") -> bool:
        """Say whether enrolling an operator (or removing `leaving`) needs a second."""
        return operators.takes_two(self.journal, self.operator, leaving)

    def add_operator(self, name: str, role: str, password: str) -> str:
        """Enrol an operator; give the TOTP seed, which is never shown again."""
        return operators.enrol(self.journal, self.operator, name, role, password)

    def link(self, judgement: Judgement, account: str, person: str) -> tuple[str, str, str]:
        """Link an account (GUID or username) to a person by hand; give directory, GUID and person_id."""
        found = find_account(judgement, account)
        person_id = self.person(judgement, person).key
        linked = judgement.night.memory.links.get((found[0], found[1]))
        write = self.journal.move_link if linked else self.journal.link
        write(found[0], found[1], person_id, self.operator, "by hand")
        return found[0], found[1], person_id

    def unlink(self, judgement: Judgement, account: str) -> tuple[str, str]:
        """Take a stored link back."""
        directory, guid = find_account(judgement, account)
        self.journal.unlink(directory, guid, self.operator)
        return directory, guid

    def abandon(self, which: str, reason: str) -> Abandoned:
        """Call off what is open for a person or a revocation number (12 or #12), as far as nobody is asked for it."""
        journal, seconds = self.journal, self.setup.pace.lease_seconds
        return abandon(journal, self.targets, find_open(journal.open_legs(), which), self.operator, reason, seconds)

    # --- closing and opening by name ----------------------------------------------------------------------------------

    def revocation_of(self, judgement: Judgement, decision: Decision, reason: str) -> Revocation | None:
        """Give the row that closes one person although nothing else asks for it, as if blocked already."""
        return self.running().asked_for(judgement, decision.identity, reason)

    def revoke(self, row: Revocation, reason: str, as_of: date) -> tuple[OpenLeg, ...]:
        """Close one person now. The block is written in the same transaction as the intent."""
        blocks = (Block(row.person_id, self.operator, reason),) if row.person_id else ()
        with self.running().acting("revoke", as_of, {}) as applier:
            legs = self.journal.intend(applier.run, "", (row,), self.operator, blocks=blocks)
            left = applier.drive(legs)
            self.journal.end_run(applier.run, "revoked", 4 if left else 0)
        return left

    def closed(self, judgement: Judgement, person: str = "", run_id: int | None = None) -> tuple[StoredRevocation, ...]:
        """Give what was closed (and opened again) of one person, or by one run, newest first.

        Raises UnknownPerson where nothing was closed.
        """
        key = self.one(judgement, person).identity.key if person else None
        found = self.journal.revocations(key, run_id)
        if not any(r.direction is Direction.CLOSE for r in found):
            what = f"of {person}" if person else f"in run {run_id}"
            raise UnknownPerson(f"We closed nothing {what}.", "See what was done: connector history")
        return found

    def restore_of(
        self, judgement: Judgement, closed: Sequence[StoredRevocation], *, seconded: bool = False
    ) -> Restore:
        """Plan to open again what these revocations closed."""
        terminated = self.journal.terminated(r.row.key for r in closed)
        decisions, snapshot, portals = judgement.decisions, judgement.snapshot, self.config.portal_rules
        return plan_restore(closed, decisions, snapshot, portals, seconded=seconded, terminated=terminated)

    def restore(self, restore: Restore, as_of: date) -> tuple[OpenLeg, ...]:
        """Open again, through the journal. Raises PlanStopped over max_enables."""
        if objections := enable_objections(len(restore.rows), self.config.limits):
            raise PlanStopped(objections[0].text, objections[0].fix)
        refuse_outrun(self.look, self.today(), as_of, (row.person_id for row in restore.rows))
        with self.running().acting("restore", as_of, {}) as applier:
            legs = self.journal.intend(applier.run, "", restore.rows, self.operator, direction=Direction.OPEN)
            left = applier.drive(legs)
            self.journal.end_run(applier.run, "restored", 4 if left else 0)
        return left

    def resume(self, as_of: date | None = None) -> RunResult:
        """Drive what is open to an end, and nothing new."""
        return self.running().resume(as_of or self.today())
