"""Rules that changed and restrictions that were lifted since the last accepted run. Pure.

However few people they touch, these are looked at by a person: a rule is changed seldom and by hand, and a restriction that
disappears lets somebody in whom a court keeps out.
"""

from collections.abc import Iterable
from dataclasses import fields

from connector.policy import PortalRules, Rules
from connector.reconcile.baseline import Baseline
from connector.reconcile.cause import flag_text
from connector.reconcile.decide import Decisions
from connector.reconcile.entitlement import is_current
from connector.reconcile.plan_values import Objection, Plan
from connector.reconcile.school import School
from connector.reconcile.text import fold

_RESTRICTED = "relationships.restricted"


def rule_objections(plan: Plan, decisions: Decisions, baseline: Baseline) -> Iterable[Objection]:
    """Object to every contact type, portal or rule that changed and touches somebody in the plan."""
    yield from _type_objections(plan, decisions.school, baseline)
    yield from _portal_objections(plan, decisions.scene.portals, baseline)
    yield from _config_objections(plan, decisions.school.rules, baseline)


def _type_objections(plan: Plan, now: School, baseline: Baseline) -> Iterable[Objection]:
    before = School(baseline.people, baseline.rules, baseline.as_of)
    names = {fold(t.name): t.name for t in (*baseline.people.contact_types, *now.reading.contact_types)}
    for folded, name in names.items():
        if not (text := flag_text(name, before, now)):
            continue
        touched = [r for r in plan.revocations if r.applies and folded in map(fold, r.values("contact_type"))]
        if touched:
            total = sum(r.applies for r in plan.revocations)
            since = f"{baseline.as_of.day} {baseline.as_of:%b}"
            yield Objection(
                f"rule-changed:{name}",
                f"{len(touched):,} of {total:,} share contact type {name}, {text} since {since}. Nothing was closed.",
                "If wrong: correct it in the admin system.",
                (f"connector plan --without contact_type={name}",) if len(touched) < total else (),
            )


def _portal_objections(plan: Plan, portals: Iterable[PortalRules], baseline: Baseline) -> Iterable[Objection]:
    before = {p.name: p for p in baseline.portals}
    for portal in portals:
        old = before.get(portal.name)
        if old is None or old == portal:
            continue
        touched = sum(r.applies and portal.name in r.values("portal") for r in plan.revocations)
        touched += sum(a.portal == portal.name for a in plan.additions)
        if touched:
            changed = ", ".join(_difference(old, portal))
            yield Objection(
                f"rule-changed:{portal.name}",
                f"The rules of portal {portal.name} changed since {baseline.as_of} ({changed}) and touch {touched:,} rows. Nothing was closed.",
                f"If wrong: correct [portals.{portal.name}] in the config.",
                (f"connector plan --without portal={portal.name}",),
            )


def _config_objections(plan: Plan, rules: Rules, baseline: Baseline) -> Iterable[Objection]:
    touched = sum(r.applies for r in plan.revocations)
    if not touched or rules == baseline.rules:
        return
    for change in _difference(baseline.rules, rules):
        name = change.split(" ", 1)[0]
        if not name.startswith("rollover_"):  # a window is announced by moving it, and has limits of its own
            yield Objection(
                f"rule-changed:{name}",
                f"The rule {change} since {baseline.as_of}; {touched:,} would be closed under it. Nothing was closed.",
                "If wrong: correct [rules] or [policies] in the config.",
            )


def _difference(old: PortalRules | Rules, new: PortalRules | Rules) -> Iterable[str]:
    """Name every field that changed, as `name old→new`."""
    for f in fields(old):
        was, now = getattr(old, f.name), getattr(new, f.name)
        if was != now:
            yield f"{f.name} {_words(was)}→{_words(now)}"


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k}={v}" for k, v in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def restriction_objections(now: School, baseline: Baseline) -> Iterable[Objection]:
    """Object at one person whose restriction was cleared while the relationship goes on, or where the column is gone."""
    before = School(baseline.people, baseline.rules, baseline.as_of)
    if _RESTRICTED in now.reading.missing and _RESTRICTED not in before.reading.missing:
        yield Objection(
            "restriction-lifted",
            f"The admin system no longer says who is restricted (the column is gone); {len(before.barred):,} people were. "
            "Nothing was closed or opened.",
            "Put the restricted column back into the export.",
            stops_urgent=True,
        )
        return
    lifted = sorted(_lifted(before, now))
    if lifted:
        names = ", ".join(lifted[:10]) + (f" and {len(lifted) - 10} more" if len(lifted) > 10 else "")  # noqa: PLR2004 - a line a person can read
        yield Objection(
            "restriction-lifted",
            f"A court order was cleared since {baseline.as_of} for {names}. Nobody is let in before a person has looked.",
            "If wrong: set restricted again in the admin system.",
        )


def _lifted(before: School, now: School) -> Iterable[str]:
    for person_id, students in before.barred.items():
        still = now.barred.get(person_id, frozenset())
        for relationship in now.relationships.get(person_id, ()):
            cleared = relationship.student_id in students and relationship.student_id not in still
            if cleared and is_current(relationship, now.as_of):
                person = now.people.get(person_id)
                yield person.code if person else person_id
