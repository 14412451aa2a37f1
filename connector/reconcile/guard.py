"""The limits on a plan. Pure: every limit is checked before the first write, and every objection is reported.

An objection says what happened, to whom, the factor they share, and leads to the mend before the override. It never
changes a row: it stops the plan (urgent rows go on, unless the urgent rows alone break the limit).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from connector.model import Reason, Status
from connector.policy import Limits
from connector.reconcile.baseline import Baseline
from connector.reconcile.cause import common_cause
from connector.reconcile.decide import Decisions
from connector.reconcile.memory import Memory
from connector.reconcile.plan_values import Objection, Plan, Revocation
from connector.reconcile.rule_changes import restriction_objections, rule_objections
from connector.reconcile.sources import source_objections

_DAY = timedelta(hours=24)
_WEEK = timedelta(days=7)
_NOTHING_CLOSED = "Nothing was closed."


@dataclass(frozen=True, slots=True)
class Night:
    """What a plan is judged against: limits, the last accepted snapshot, memory, and the time (zoned)."""

    limits: Limits
    now: datetime
    memory: Memory = field(default_factory=Memory)
    baseline: Baseline | None = None
    highest_counts: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


def guard(plan: Plan, decisions: Decisions, night: Night) -> Plan:
    """Give the plan with every objection it meets."""
    objections = tuple(_objections(plan, decisions, night))
    return replace(plan, objections=tuple(replace(o, commands=_commands(o, plan)) for o in objections))


def _commands(objection: Objection, plan: Plan) -> tuple[str, ...]:
    """Put the mend before the override: what to type for the other rows, then what to type if it is intended."""
    return (*objection.commands, f"connector approve {plan.plan_id} --waive {objection.label}")


def standing_objections(plan: Plan, waived: Iterable[str]) -> tuple[Objection, ...]:
    """Give the objections nobody has waived by name."""
    names = set(waived)
    return tuple(o for o in plan.objections if o.label not in names)


def _objections(plan: Plan, decisions: Decisions, night: Night) -> Iterable[Objection]:
    yield from source_objections(decisions.school.reading, night.now, night.limits, night.baseline, night.counts, night.highest_counts)
    if night.baseline is None and plan.pending:
        yield _first_run(plan)
    if night.baseline is not None:
        yield from rule_objections(plan, decisions, night.baseline)
        yield from restriction_objections(decisions.school, night.baseline)
        yield from _portal_closed(plan, decisions, night, night.baseline)
    for rows, limits in _by_limits(plan, decisions, night):
        yield from _revocation_limits(rows, decisions, night, limits)
    yield from _addition_limit(plan, night.limits)


def _first_run(plan: Plan) -> Objection:
    return Objection(
        "first-run",
        f"There is no accepted run to compare with, and this plan would close {_people(_applied(plan))} and add "
        f"{len(plan.additions)}. {_NOTHING_CLOSED} Read the plan; a first mass can be cut with: connector backlog.",
        "Check the contact types, the portals' strategies and a few people you know: connector explain CODE.",
        stops_urgent=True,
    )


def _applied(plan: Plan) -> tuple[Revocation, ...]:
    return tuple(r for r in plan.revocations if r.applies)


def _people(rows: Sequence[Revocation]) -> str:
    return "1 person" if len(rows) == 1 else f"{len(rows):,} people"


def _by_limits(
    plan: Plan, decisions: Decisions, night: Night
) -> Iterable[tuple[tuple[Revocation, ...], Limits]]:
    """Give the rows with the limits that count for them: wider ones after a rollover for no-student-at-school only."""
    rows, limits, rules = _applied(plan), night.limits, decisions.school.rules
    begins, ends, as_of = rules.rollover_from, rules.rollover_until, decisions.school.as_of
    inside = begins is not None and begins <= as_of and (ends is None or as_of <= ends)
    if not (inside and night.memory.rollover_complete):
        return ((rows, limits),)
    wide = replace(
        limits,
        max_revocations=limits.rollover_max_revocations,
        max_revocations_7_days=limits.rollover_max_revocations,
        max_share=limits.rollover_max_share,
        max_share_7_days=limits.rollover_max_share,
        max_share_per_contact_type=limits.rollover_max_share,
        max_share_per_portal=limits.rollover_max_share,
    )
    rolled = tuple(r for r in rows if r.reasons == (Reason.NO_STUDENT_AT_SCHOOL,))
    return ((rolled, wide), (tuple(r for r in rows if r not in rolled), limits))


@dataclass(frozen=True, slots=True)
class _Limit:
    """One limit: its label, what it is called in the config, how many it allows, and of how many."""

    label: str
    key: str
    allowed: float
    window: timedelta
    of: int = 0
    counts: Callable[[Mapping[str, Sequence[str]]], bool] = lambda _: True
    per: str = ""


def _revocation_limits(
    rows: Sequence[Revocation], decisions: Decisions, night: Night, limits: Limits
) -> Iterable[Objection]:
    for limit in _limits(rows, decisions, limits):
        mine = [r for r in rows if limit.counts(_counted_under(r))]
        earlier = _earlier(rows, night, limit)
        if len(mine) + earlier > limit.allowed and mine:
            alone = sum(r.urgent for r in mine) > limit.allowed
            yield _too_many(limit, mine, earlier, decisions, night, stops_urgent=alone)


def _counted_under(row: Revocation) -> Mapping[str, Sequence[str]]:
    return {"contact_type": row.values("contact_type"), "portal": row.values("portal")}


def _earlier(rows: Sequence[Revocation], night: Night, limit: _Limit) -> int:
    """Count the people closed within the limit's window who are not in this plan again."""
    planned = {r.key for r in rows}
    since = night.now - limit.window
    return len(
        {
            c.key
            for c in night.memory.recent
            if since < c.at and c.key not in planned and limit.counts({"contact_type": c.contact_types, "portal": c.portals})
        }
    )


def _limits(rows: Sequence[Revocation], decisions: Decisions, limits: Limits) -> Iterable[_Limit]:
    active = [d for d in decisions.rows if d.status is Status.ACTIVE]
    share = max(limits.share_floor, limits.max_share * len(active))
    week = max(limits.share_floor, limits.max_share_7_days * len(active))
    yield _Limit("max-revocations", "max_revocations", limits.max_revocations, _DAY)
    yield _Limit("max-revocations-7-days", "max_revocations_7_days", limits.max_revocations_7_days, _WEEK)
    yield _Limit("max-share", "max_share", share, _DAY, len(active))
    yield _Limit("max-share-7-days", "max_share_7_days", week, _WEEK, len(active))
    yield from _group_limits("contact_type", rows, _active_types(decisions), limits.max_share_per_contact_type, limits)
    portals = _active_portals(decisions)
    yield from _group_limits("portal", rows, portals, limits.max_share_per_portal, limits)


def _group_limits(
    kind: str, rows: Sequence[Revocation], active: Mapping[str, int], share: float, limits: Limits
) -> Iterable[_Limit]:
    for value in sorted({v for r in rows for v in r.values(kind)}):
        of = active.get(value, 0)
        allowed = max(limits.share_floor, share * of)
        key = f"max_share_per_{kind}"
        label = f"max-share:{kind}={value}"
        yield _Limit(label, key, allowed, _DAY, of, lambda c, v=value, k=kind: v in c[k], per=f"{kind.replace('_', ' ')} {value}")  # type: ignore[misc] # mypy cannot type a lambda's defaults


def _active_types(decisions: Decisions) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for decision in decisions.rows:
        if decision.status is Status.ACTIVE:
            rows = decisions.school.relationships.get(decision.identity.key, ())
            for name in {r.contact_type for r in rows}:
                counts[name] = counts.get(name, 0) + 1
    return counts


def _active_portals(decisions: Decisions) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for decision in decisions.rows:
        if decision.status is Status.ACTIVE:
            for name in decisions.scene.claims.portals_of(decision.identity.person_id):
                counts[name] = counts.get(name, 0) + 1
    return counts


def _too_many(
    limit: _Limit, rows: Sequence[Revocation], earlier: int, decisions: Decisions, night: Night, *, stops_urgent: bool
) -> Objection:
    cause = common_cause(rows, decisions.school, night.baseline)
    since = night.baseline.as_of if night.baseline else None
    named = f" {cause.sentence(since)}" if cause else " They share no single cause."
    commands: tuple[str, ...] = ()
    if cause and len(cause.rows) < cause.of:
        commands = (f"connector plan --without {_quoted(cause.change.key, cause.change.value)}",)
    what = f"{named} {_NOTHING_CLOSED}"
    text = f"The plan would revoke {_people(rows)}{_of(limit)}{_and_earlier(earlier, limit)}; [limits] {limit.key} allows {_allowed(limit)}.{what}"
    return Objection(limit.label, text, "If this is wrong: correct it in the admin system.", commands, stops_urgent=stops_urgent)


def _of(limit: _Limit) -> str:
    if not limit.of:
        return f" of {limit.per}" if limit.per else ""
    return f" of {limit.of:,} active" + (f" with {limit.per}" if limit.per else "")


def _and_earlier(earlier: int, limit: _Limit) -> str:
    span = "24 hours" if limit.window == _DAY else "7 days"
    return f", after {earlier:,} in the last {span}" if earlier else ""


def _allowed(limit: _Limit) -> str:
    return f"{int(limit.allowed):,}"


def _quoted(key: str, value: str) -> str:
    return f"'{key}={value}'" if not value.replace("-", "").isalnum() else f"{key}={value}"


def _addition_limit(plan: Plan, limits: Limits) -> Iterable[Objection]:
    if len(plan.additions) > limits.max_additions:
        text = f"The plan would add {len(plan.additions):,} members; [limits] max_additions is {limits.max_additions:,}. Nothing was added."
        yield Objection("max-additions", text, "If this is wrong: look at the security roles in the admin system.")


def enable_objections(count: int, limits: Limits) -> tuple[Objection, ...]:
    """Object where more members or accounts would be enabled at once than the limit allows."""
    if count <= limits.max_enables:
        return ()
    text = f"This would enable {count:,} at once; [limits] max_enables is {limits.max_enables:,}. Nothing was enabled."
    return (Objection("max-enables", text, "Enable fewer at once, or raise the limit knowingly."),)


def _portal_closed(plan: Plan, decisions: Decisions, night: Night, baseline: Baseline) -> Iterable[Objection]:
    """Object where over a share of a portal's enabled members is newly disabled, by us or by somebody else."""
    enabled = {
        (m.portal, i.person_id or "") for i in decisions.correlation.identities for m in i.members if m.enabled
    }
    planned = {(leg.target, leg.subject) for r in _applied(plan) for leg in r.legs if leg.disable_member}
    for portal, people in baseline.enabled.items():
        if portal in decisions.scene.unread_portals or not people:
            continue
        gone = {
            p for p in people
            if (portal, p) in planned or ((portal, p) not in enabled and (portal, p) not in night.memory.closed_members)
        }
        if len(gone) > night.limits.max_portal_closed * len(people):
            text = (
                f"{len(gone):,} of the {len(people):,} members enabled in {portal} on {baseline.as_of} are newly disabled or would be "
                f"({len(gone) / len(people):.1%}; [limits] max_portal_closed is {night.limits.max_portal_closed:.0%}). {_NOTHING_CLOSED}"
            )
            yield Objection(f"portal-closed:{portal}", text, f"If this is wrong: look at the members of {portal} first.")
