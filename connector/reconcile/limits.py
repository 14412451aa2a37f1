"""How many may be closed at once: per plan, over a day and a week, per contact type and portal. Pure.

An objection names the factor most rows share, and leads to the mend before the override. It never changes a row.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from connector.model import URGENT, Reason, Status
from connector.policy import Limits
from connector.reconcile.cause import common_cause
from connector.reconcile.decide import Decisions
from connector.reconcile.memory import Closed
from connector.reconcile.night import Night, is_over
from connector.reconcile.plan_values import Objection, Plan, Revocation
from connector.reconcile.school import School
from connector.reconcile.text import fold

NOTHING_CLOSED = "Nothing was closed."
URGENT_ONLY = "Only what is urgent is closed."
MEND = "If wrong: correct it in the admin system."
_DAY = timedelta(hours=24)
_WEEK = timedelta(days=7)

Factor = Literal["", "contact_type", "portal"]


@dataclass(frozen=True, slots=True)
class _Limit:
    """One limit: its label, its name in the config, over which time, and of whom it allows how many.

    `number` is a plain count; else `share` of the `of` active people, and never fewer than `floor`. `factor` and
    `value` narrow it to one contact type or portal.
    """

    label: str
    key: str
    window: timedelta
    number: int | None = None
    share: float = 0.0
    of: int = 0
    floor: int = 0
    factor: Factor = ""
    value: str = ""

    def is_broken(self, count: int) -> bool:
        """Say whether so many people are over the limit."""
        if self.number is not None:
            return count > self.number
        return count > self.floor and is_over(count, self.share, self.of)

    def concerns(self, contact_types: Sequence[str], portals: Sequence[str]) -> bool:
        """Say whether somebody with these contact types, closed in these portals, counts under it."""
        if not self.factor:
            return True
        return self.value in (contact_types if self.factor == "contact_type" else portals)


def limit_objections(plan: Plan, decisions: Decisions, night: Night) -> Iterable[Objection]:
    """Give every limit on numbers that the plan breaks."""
    applied = tuple(r for r in plan.revocations if r.applies)
    for rows, limits, recent in _by_limits(applied, decisions.school, night):
        for limit in _limits(rows, decisions, limits):
            mine = tuple(r for r in rows if limit.concerns(r.values("contact_type"), r.values("portal")))
            earlier = _earlier(applied, recent, night, limit)
            if mine and limit.is_broken(len(mine) + len(earlier)):
                # Urgent rows go on when others break a limit, and stop when they alone break it.
                urgent = sum(r.urgent for r in mine) + sum(map(_nobody_asked_for, earlier))
                objection = _too_many(limit, mine, len(earlier), plan, decisions, night)
                yield replace(objection, stops_urgent=limit.is_broken(urgent))


def _nobody_asked_for(closed: Closed) -> bool:
    """Say whether somebody was closed by a court order alone: of those a mass may be a column gone wrong."""
    return not closed.approved and URGENT.intersection(closed.reasons) == {Reason.RESTRICTED}


def _by_limits(
    applied: tuple[Revocation, ...], school: School, night: Night
) -> Iterable[tuple[tuple[Revocation, ...], Limits, tuple[Closed, ...]]]:
    """Give rows with the limits and the earlier closings that count for them.

    After a rollover was declared complete, wider limits apply to no-student-at-school only; what was closed under them
    does not count against the others.
    """
    rolled_before = tuple(c for c in night.memory.recent if _was_rolled(c, school))
    others_before = tuple(c for c in night.memory.recent if c not in rolled_before)
    if not _is_rolling(school, night):
        return ((applied, night.limits, others_before),)
    rolled = tuple(r for r in applied if r.reasons == (Reason.NO_STUDENT_AT_SCHOOL,))
    others = tuple(r for r in applied if r not in rolled)
    return (rolled, _wider(night.limits), rolled_before), (others, night.limits, others_before)


def _is_rolling(school: School, night: Night) -> bool:
    begins, ends = school.rules.rollover_from, school.rules.rollover_until
    inside = begins is not None and begins <= school.as_of and (ends is None or school.as_of <= ends)
    return inside and night.memory.rollover_complete


def _was_rolled(closed: Closed, school: School) -> bool:
    begins, ends = school.rules.rollover_from, school.rules.rollover_until
    day = closed.at.date()
    inside = begins is not None and begins <= day and (ends is None or day <= ends)
    return inside and closed.reasons == (Reason.NO_STUDENT_AT_SCHOOL,)


def _wider(limits: Limits) -> Limits:
    share = limits.rollover_max_share
    return replace(
        limits,
        max_revocations=limits.rollover_max_revocations,
        max_revocations_7_days=limits.rollover_max_revocations,
        max_share=share,
        max_share_7_days=share,
        max_share_per_contact_type=share,
        max_share_per_portal=share,
    )


def _earlier(
    planned: Iterable[Revocation], recent: Iterable[Closed], night: Night, limit: _Limit
) -> tuple[Closed, ...]:
    """Give the people closed within the limit's window who are not in this plan again, each once."""
    keys, since = {r.key for r in planned}, night.now - limit.window
    found = {
        c.key: c for c in recent if since < c.at and c.key not in keys and limit.concerns(c.contact_types, c.portals)
    }
    return tuple(found.values())


def _limits(rows: Sequence[Revocation], decisions: Decisions, limits: Limits) -> Iterable[_Limit]:
    active = sum(d.status is Status.ACTIVE for d in decisions.rows)
    share = _Limit("max-share", "max_share", _DAY, share=limits.max_share, of=active, floor=limits.share_floor)
    yield _Limit("max-revocations", "max_revocations", _DAY, limits.max_revocations)
    yield _Limit("max-revocations-7-days", "max_revocations_7_days", _WEEK, limits.max_revocations_7_days)
    yield share
    yield replace(share, label="max-share-7-days", key="max_share_7_days", window=_WEEK, share=limits.max_share_7_days)
    types, portals = limits.max_share_per_contact_type, limits.max_share_per_portal
    yield from _per_factor("contact_type", rows, _active_types(decisions), replace(share, share=types))
    yield from _per_factor("portal", rows, _active_portals(decisions), replace(share, share=portals))


def _per_factor(
    factor: Literal["contact_type", "portal"], rows: Sequence[Revocation], active: Mapping[str, int], share: _Limit
) -> Iterable[_Limit]:
    for value in sorted({v for r in rows for v in r.values(factor)}):
        label, key = f"max-share:{factor}={value}", f"max_share_per_{factor}"
        yield replace(share, label=label, key=key, of=active.get(value, 0), factor=factor, value=value)


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
    limit: _Limit, rows: Sequence[Revocation], earlier: int, plan: Plan, decisions: Decisions, night: Night
) -> Objection:
    cause = common_cause(rows, decisions.school, night.baseline)
    named = cause.sentence(night.since) if cause else "They share no single cause."
    text = f"The plan would revoke {_share_text(limit, len(rows), earlier)}. {named} {NOTHING_CLOSED}"
    objection = Objection(limit.label, text, MEND)
    if cause is None or any((cause.change.key, cause.change.value) not in r.factors for r in cause.rows):
        return objection  # the cause is no factor of the rows themselves: nothing can be cut out by it
    return with_cut(objection, plan, cause.change.key, cause.change.value)


def with_cut(objection: Objection, plan: Plan, key: str, value: str) -> Objection:
    """Say how to close only the rows that do not have a factor, and what to type; nothing where no row is left."""
    wanted = fold(value)
    others = sum(r.applies and wanted not in map(fold, r.values(key)) for r in plan.revocations)
    if not others:
        return objection
    command = f"connector plan --without {shlex.quote(f'{key}={value}')}"
    fix = f"{objection.fix} To close only the other {others:,}, leave these out:"
    return replace(objection, fix=fix, commands=(*objection.commands, command))


def _share_text(limit: _Limit, planned: int, earlier: int) -> str:
    """Say how many, of how many, and what the limit is: "131 people, 5.3 % of 2,479 active ([limits] ...)"."""
    said = people(planned)
    if earlier:
        said += f", after {earlier:,} in the last {'24 hours' if limit.window == _DAY else '7 days'}"
    if limit.number is not None:
        return f"{said} ([limits] {limit.key} is {limit.number:,})"
    if 0 < planned + earlier <= limit.of:
        said += f", {(planned + earlier) / limit.of * 100:.1f} % of"
        of = f" {limit.of:,} active"
    else:  # more than are left: a share of those would say nothing
        of = f", where {f'{limit.of:,}' if limit.of else 'nobody'} {'are' if limit.of > 1 else 'is'} active"
    per = f" with {limit.factor.replace('_', ' ')} {limit.value}" if limit.factor else ""
    return f"{said}{of}{per} ([limits] {limit.key} is {limit.share * 100:g} %, at least {limit.floor:,})"


def people(count: int) -> str:
    """Say a number of people."""
    return "1 person" if count == 1 else f"{count:,} people"
