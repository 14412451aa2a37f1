"""The limits on a plan. Pure: every limit is checked before the first write, and every objection is reported.

An objection says what happened, to whom, the factor they share, and leads to the mend before the override. It never
changes a row: it stops the plan (urgent rows go on, unless the urgent rows alone break the limit).
"""

import shlex
from collections.abc import Iterable
from dataclasses import replace

from connector.policy import Limits
from connector.reconcile.baseline import Baseline
from connector.reconcile.decide import Decisions
from connector.reconcile.limits import MEND, NOTHING_CLOSED, URGENT_ONLY, limit_objections, people
from connector.reconcile.night import Night, is_over
from connector.reconcile.plan_values import HeldBy, Objection, Plan, Revocation
from connector.reconcile.rule_changes import (
    held_by_changed_types,
    joined_objections,
    restriction_objections,
    rule_objections,
)
from connector.reconcile.sources import source_objections


def guard(plan: Plan, decisions: Decisions, night: Night) -> Plan:
    """Give the plan with every objection it meets."""
    objections = tuple(_objections(plan, decisions, night))
    urgent = any(r.applies and not any(o.stops(r) for o in objections) for r in plan.revocations)
    completed = tuple(_completed(o, plan, urgent_goes=urgent) for o in objections)
    causes = _causes(plan, decisions, night)
    new = (cause.sentence for cause in causes if cause.sentence not in plan.warnings)
    return replace(plan, objections=completed, warnings=(*plan.warnings, *new), causes=causes)


def _causes(plan: Plan, decisions: Decisions, night: Night) -> tuple[HeldBy, ...]:
    if night.baseline is None:
        return ()
    return tuple(held_by_changed_types(plan, decisions.school, night.baseline, night.since))


def _completed(objection: Objection, plan: Plan, *, urgent_goes: bool) -> Objection:
    """Put the override behind the mend, and say so where urgent rows go all the same."""
    text = objection.text.replace(NOTHING_CLOSED, URGENT_ONLY) if urgent_goes else objection.text
    approve = f"connector approve {plan.plan_id} --waive {shlex.quote(objection.label)}"
    return replace(objection, text=text, commands=(*objection.commands, approve))


def standing_objections(plan: Plan, waived: Iterable[str]) -> tuple[Objection, ...]:
    """Give the objections nobody has waived by name."""
    names = set(waived)
    return tuple(o for o in plan.objections if o.label not in names)


def _objections(plan: Plan, decisions: Decisions, night: Night) -> Iterable[Objection]:
    yield from source_objections(decisions.school.reading, night)
    if night.baseline is None:
        yield from _first_run(plan)
    else:
        yield from rule_objections(plan, decisions, night.baseline, night.since)
        yield from restriction_objections(decisions.school, night.baseline, night.since)
        yield from joined_objections(plan, decisions.school, night.baseline, night.since)
        yield from _portals_closed(plan, decisions, night, night.baseline)
    yield from limit_objections(plan, decisions, night)
    yield from addition_objections(len(plan.additions), night.limits)


def _first_run(plan: Plan) -> Iterable[Objection]:
    if not plan.pending:
        return
    closed = people(sum(r.applies for r in plan.revocations))
    yield Objection(
        "first-run",
        f"There is no accepted run to compare with, and this plan would close {closed} and add "
        f"{len(plan.additions):,}. {NOTHING_CLOSED} Read the plan; a first mass can be cut with: connector backlog.",
        "Check the contact types, the portals' strategies and a few people you know: connector explain CODE.",
        stops_urgent=True,
    )


def addition_objections(count: int, limits: Limits) -> tuple[Objection, ...]:
    """Object where more members would be added at once than the limit allows."""
    if count <= limits.max_additions:
        return ()
    text = f"This would add {count:,} members; [limits] max_additions is {limits.max_additions:,}. Nothing was added."
    return (Objection("max-additions", text, "If wrong: correct the security roles in the admin system."),)


def enable_objections(count: int, limits: Limits) -> tuple[Objection, ...]:
    """Object where more members or accounts would be enabled at once than the limit allows."""
    if count <= limits.max_enables:
        return ()
    text = f"This would enable {count:,} at once; [limits] max_enables is {limits.max_enables:,}. Nothing was enabled."
    return (Objection("max-enables", text, "Enable fewer at once, or raise the limit knowingly."),)


def _portals_closed(plan: Plan, decisions: Decisions, night: Night, baseline: Baseline) -> Iterable[Objection]:
    """Object where over a share of a portal's enabled members is newly disabled, by us or by somebody else."""
    read = {p.name for p in decisions.scene.portals} - set(decisions.scene.unread_portals)
    enabled: dict[str, set[str]] = {portal: set() for portal in baseline.enabled}
    for member in (m for i in decisions.correlation.identities for m in i.members if m.portal in enabled):
        if member.enabled:
            enabled[member.portal].add(member.person_id)
    for portal, members in baseline.enabled.items():
        before = frozenset(members)
        planned = _disabled_by(plan.revocations, portal) & before
        closed_by_us = {p for name, p in night.memory.closed_members if name == portal}
        gone = before - enabled[portal] - closed_by_us
        count, share = len(gone | planned), night.limits.max_portal_closed
        if portal in read and is_over(count, share, len(before)):
            urgent = _disabled_by((r for r in plan.revocations if r.urgent), portal) & before
            text = (
                f"{count:,} of the {len(before):,} members of {portal} that were enabled on {night.since} are newly "
                f"disabled, or would be ({count / len(before) * 100:.1f} %; [limits] max_portal_closed is "
                f"{share * 100:g} %): {len(planned):,} by this plan, {len(gone - planned):,} by somebody else. "
                f"{NOTHING_CLOSED}"
            )
            alone = is_over(len(urgent), share, len(before))
            yield Objection(f"portal-closed:{portal}", text, MEND, stops_urgent=alone)


def _disabled_by(rows: Iterable[Revocation], portal: str) -> frozenset[str]:
    """Give whose members of a portal these rows would disable now."""
    legs = (leg for row in rows if row.applies for leg in row.legs)
    return frozenset(leg.subject for leg in legs if leg.disable_member and leg.target == portal)


__all__ = ["Night", "addition_objections", "enable_objections", "guard", "standing_objections"]
