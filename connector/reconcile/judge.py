"""From a snapshot to a guarded plan, in the order of the pipeline: correlate, decide, plan, guard. Pure.

What every front end asks is answered from one `Judgement`, so that status, plan and run can never disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from connector.errors import SourceError
from connector.model import LegKind
from connector.policy import Limits, PortalRules, Rules, Strategy
from connector.reconcile.baseline import Baseline, counts_of
from connector.reconcile.collector import collector_held
from connector.reconcile.correlate import correlate
from connector.reconcile.decide import Decisions, decide
from connector.reconcile.doors import Scene
from connector.reconcile.guard import Night, guard
from connector.reconcile.membership import Membership, additions, memberships
from connector.reconcile.memory import Memory
from connector.reconcile.plan import assemble, build_plan
from connector.reconcile.plan_values import Plan, PlannedLeg
from connector.reconcile.school import School
from connector.reconcile.snapshot import Snapshot
from connector.reconcile.text import fold

Address = tuple[str, LegKind, str, str]
"""Identity key, kind, target and subject: what one leg closes."""


@dataclass(frozen=True, slots=True)
class Past:
    """What went before: memory, the last accepted snapshot, the highest counts of 30 days, what is on its way already.

    `open_additions` are (portal, person_id).
    """

    memory: Memory = field(default_factory=Memory)
    baseline: Baseline | None = None
    highest_counts: Mapping[str, int] = field(default_factory=dict)
    open_legs: frozenset[Address] = frozenset()
    open_additions: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Judgement:
    """One snapshot decided, planned and guarded, with everything it rests on."""

    snapshot: Snapshot
    decisions: Decisions
    memberships: tuple[Membership, ...]
    plan: Plan
    night: Night

    @property
    def counts(self) -> dict[str, int]:
        """How many identities have each status, and how many rows are held, applied or added."""
        found: dict[str, int] = {}
        for row in self.decisions.rows:
            found[row.status] = found.get(row.status, 0) + 1
        held = sum(bool(r.holds) and not r.applies for r in self.plan.revocations)
        unmanaged = self.decisions.correlation.unmanaged
        return {**found, "held": held, "pending": self.plan.pending, "unmanaged": unmanaged}


@collector_held()
def judge(
    snapshot: Snapshot,
    rules: Rules,
    portals: Sequence[PortalRules],
    limits: Limits,
    past: Past,
    as_of: date,
    now: datetime,
) -> Judgement:
    """Decide, plan and guard one snapshot. Raises SourceError where a whole dimension a portal needs is missing."""
    refuse_missing_dimensions(snapshot, portals)
    memory = past.memory
    blocked = frozenset(memory.blocks) | memory.requested
    school = School(snapshot.people, rules, as_of, blocked)
    correlation = correlate(snapshot, school, portals, memory)
    unread_portals = snapshot.unread_names("portal")
    unread_directories = snapshot.unread_names("directory")
    scene = Scene(school, correlation.claims, tuple(portals), snapshot.store_keys, unread_portals, unread_directories)
    decisions = decide(correlation, scene, memory)
    rows = memberships(decisions, unread_portals)
    unread = tuple(f"{u.kind.replace('_', ' ')} {u.name}: {u.why}" for u in snapshot.unread)
    plan = build_plan(decisions, memory, additions(rows, school, portals), unread)
    plan = _with_warnings(_without_open(plan, past), snapshot, school, memory.alarms)
    night = Night(limits, now, memory, past.baseline, past.highest_counts, counts_of(snapshot))
    return Judgement(snapshot, decisions, rows, guard(plan, decisions, night), night)


def refuse_missing_dimensions(snapshot: Snapshot, portals: Sequence[PortalRules]) -> None:
    """Raise SourceError where the source carries none of what a portal's strategy decides by: unknown is not none."""
    needs = {
        Strategy.CONTACTS: ("relationships", "enrolments", "contact_types"),
        Strategy.SECURITY_ROLES: ("security_roles",),
    }
    for portal in portals:
        for dimension in needs.get(portal.strategy, ()):
            if dimension in snapshot.people.missing:
                raise SourceError(
                    f"{snapshot.people.provenance.source} carries no {dimension} at all, and the portal {portal.name} "
                    f"is decided by them. Unknown is not none: nothing was decided and nothing was written.",
                    f"Add {dimension} to the source.",
                )


def _without_open(plan: Plan, past: Past) -> Plan:
    """Leave out what is intended already: `resume` drives it, nothing is planned twice."""
    if not past.open_legs and not past.open_additions:
        return plan
    rows = []
    for row in plan.revocations:
        legs = tuple(leg for leg in row.legs if address(row.key, leg) not in past.open_legs)
        if legs:
            rows.append(replace(row, legs=legs))
    added = tuple(a for a in plan.additions if (a.portal, a.person_id) not in past.open_additions)
    return assemble(tuple(rows), added, plan.as_of, plan.unread, plan.warnings)


def address(key: str, leg: PlannedLeg) -> Address:
    """Give what a leg closes, as the journal knows it."""
    return key, leg.kind, leg.target, leg.subject


def _with_warnings(plan: Plan, snapshot: Snapshot, school: School, alarms: Sequence[str]) -> Plan:
    warnings = [*alarms, *plan.warnings]
    if "relationships.restricted" in snapshot.people.missing:
        warnings.append("The admin system has no restricted column: court orders cannot be seen here.")
    configured = {fold(reason) for reason in school.rules.grace_days}
    reasons = {e.exit_reason for e in snapshot.people.enrolments if e.exit_date}
    for reason in sorted(r for r in reasons if fold(r) not in configured):
        name = repr(reason) if reason else "a blank exit reason"
        warnings.append(f"No grace is configured for {name}: it gets the longest, {school.rules.longest_grace} days.")
    return replace(plan, warnings=tuple(warnings))
