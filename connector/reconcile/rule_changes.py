"""Rules that changed, and restrictions that were lifted or reach another record, since the last accepted run. Pure.

However few people they touch, these are looked at by a person: a rule is changed seldom and by hand, a restriction
that disappears lets somebody in whom a court keeps out, and one that wanders may keep out somebody else.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, replace

from connector.model import URGENT, LegKind, Reason
from connector.policy import PortalRules, Rules
from connector.reconcile.advice import BY_ITSELF
from connector.reconcile.baseline import Baseline
from connector.reconcile.cause import flag_text
from connector.reconcile.decide import Decisions
from connector.reconcile.entitlement import is_current
from connector.reconcile.limits import MEND, NOTHING_CLOSED, with_cut
from connector.reconcile.plan_values import HeldBy, Objection, Plan, Revocation
from connector.reconcile.reasons import restrictions
from connector.reconcile.school import NOBODY, School
from connector.reconcile.text import fold, fold_id

RESTRICTION_LIFTED, RECORDS_JOINED = "restriction-lifted", "records-joined"
_ORDER = Reason.RESTRICTED
_RESTRICTED = "relationships.restricted"
_NAMED = 10
"""How many people one line names."""


def rule_objections(plan: Plan, decisions: Decisions, baseline: Baseline, since: str) -> Iterable[Objection]:
    """Object to every contact type, portal or rule that changed and touches somebody in the plan."""
    waiting = _let_in_by_old_rules(plan, decisions.school, baseline.school)
    yield from _type_objections(plan, decisions.school, baseline, since, waiting)
    # Which of the children lets somebody in is no portal's rule: an order never waits for one that changed.
    yield from _portal_objections(plan, decisions.scene.portals, baseline, since)
    for objection in _config_objections(plan, decisions.school.rules, baseline, since):
        yield _withholding(objection, waiting)


def _type_objections(
    plan: Plan, now: School, baseline: Baseline, since: str, waiting: Collection[str]
) -> Iterable[Objection]:
    names = {fold(t.name): t.name for t in (*baseline.people.contact_types, *now.reading.contact_types)}
    applied = [r for r in plan.revocations if _goes_by_itself(r)]
    for folded, name in sorted(names.items()):
        text = flag_text(name, baseline.school, now)
        touched = [r for r in applied if _rests_on_type(r, folded, now)] if text else []
        if touched:
            said = f"{len(touched):,} of {len(applied):,} share contact type {name}, {text} since {since}."
            objection = Objection(f"rule-changed:{name}", f"{said} {NOTHING_CLOSED}", MEND)
            here = waiting and [r.key for r in touched if r.key in waiting]
            yield _withholding(with_cut(objection, plan, "contact_type", name), here)


def _withholding(objection: Objection, waiting: Collection[str]) -> Objection:
    """Let urgent rows wait too that no new order closes but the changed rule: it may be as wrong for them."""
    if not waiting:
        return objection
    rows_wait = "1 urgent row waits" if len(waiting) == 1 else f"{len(waiting):,} urgent rows wait"
    it = "it" if len(waiting) == 1 else "them"
    text = f"{objection.text} {rows_wait} too: under the rules as they were nothing would close {it}."
    return replace(objection, text=text, withholds=tuple(sorted(waiting)))


def _let_in_by_old_rules(plan: Plan, now: School, before: School) -> frozenset[str]:
    """Give the urgent rows of people restricted for some children whom, by the old rules, the others let in today.

    Whoever would be closed by those too, because the other child has left, waits for no rule.
    """
    known = [r.key for r in plan.revocations if r.urgent and r.applies and _has_no_new_order(r, now, before)]
    if not known or (before.rules == now.rules and before.flags == now.flags):
        return NOBODY
    reading = replace(now.reading, contact_types=before.reading.contact_types)
    undone = School(reading, before.rules, now.as_of, now.named)
    return frozenset(key for key in known if not restrictions(undone.standings(key)))


def _has_no_new_order(row: Revocation, now: School, before: School) -> bool:
    if URGENT.intersection(row.reasons) != {Reason.RESTRICTED} or row.key not in before.people:
        return False
    return now.barred.get(row.key, NOBODY) <= before.barred.get(row.key, NOBODY)


def _goes_by_itself(row: Revocation) -> bool:
    """Say whether a row is applied now or when time has passed: then the run that is compared with has moved on.

    A row that waits for a person is released by name, by somebody who has looked.
    """
    waits = bool(row.holds) and BY_ITSELF.issuperset(row.holds) and not row.reported_only
    return row.applies or waits


def held_by_changed_types(plan: Plan, now: School, baseline: Baseline, since: str) -> Iterable[HeldBy]:
    """Say which contact type's new flag is why rows wait for a person: a cause is named although nothing is stopped."""
    names = {fold(t.name): t.name for t in (*baseline.people.contact_types, *now.reading.contact_types)}
    held = [r for r in plan.revocations if r.holds and not _goes_by_itself(r)]
    for folded, name in sorted(names.items()):
        text = flag_text(name, baseline.school, now)
        count = sum(_rests_on_type(r, folded, now) for r in held) if text else 0
        if count:
            rows = "1 row that waits" if count == 1 else f"{count:,} rows that wait"
            text = f"{rows} for a person: contact type {name}, {text} since {since}."
            yield HeldBy(f"contact type {name}", text, MEND)


def _rests_on_type(row: Revocation, folded: str, now: School) -> bool:
    """Say whether a relationship of this row has no word of its own and asks its contact type."""
    mine = now.relationships.get(row.key, ())
    return any(fold(r.contact_type) == folded and r.portal_access is None and is_current(r, now.as_of) for r in mine)


def _portal_objections(
    plan: Plan, portals: Iterable[PortalRules], baseline: Baseline, since: str
) -> Iterable[Objection]:
    before, after = {p.name: p for p in baseline.portals}, {p.name: p for p in portals}
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        touched = _touched_by_portal(plan, name, old, new) if old != new else 0
        if touched:
            rows = "1 row" if touched == 1 else f"{touched:,} rows"
            objection = Objection(
                f"rule-changed:{name}",
                f"The rules of the portal {name} changed since {since} ({_portal_text(old, new)}) and touch {rows} of "
                f"this plan. {NOTHING_CLOSED}",
                f"If wrong: correct [portals.{name}] in the config.",
            )
            yield with_cut(objection, plan, "portal", name)


def _touched_by_portal(plan: Plan, name: str, old: PortalRules | None, new: PortalRules | None) -> int:
    """Count the rows a changed portal may be the cause of: closed in it, added to it, or an account it needs."""
    accounts = any(p is not None and p.needs_directory_account for p in (old, new))
    rows = [r for r in plan.revocations if _goes_by_itself(r)]
    closed = sum(
        name in r.values("portal") or (accounts and any(leg.kind is LegKind.DIRECTORY for leg in r.legs)) for r in rows
    )
    return closed + sum(a.portal == name for a in plan.additions)


def _portal_text(old: PortalRules | None, new: PortalRules | None) -> str:
    if old is None or new is None:
        return "it is new" if old is None else "it is gone from the config"
    return ", ".join(f"{name} {was}→{now}" for name, was, now in _difference(old, new))


def _config_objections(plan: Plan, rules: Rules, baseline: Baseline, since: str) -> Iterable[Objection]:
    touched = sum(map(_goes_by_itself, plan.revocations))
    if not touched:
        return
    for name, was, now in _difference(baseline.rules, rules):
        if not name.startswith("rollover_"):  # a window is announced by moving it, and has limits of its own
            yield Objection(
                f"rule-changed:{name}",
                f"The rule {name} changed {was}→{now} since {since}; {touched:,} would be closed under it. "
                f"{NOTHING_CLOSED}",
                "If wrong: correct [rules] or [policies] in the config.",
            )


def _difference(old: PortalRules | Rules, new: PortalRules | Rules) -> Iterable[tuple[str, str, str]]:
    """Give every field that changed, and of a table every key, with what was and what is."""
    for f in fields(old):
        was, now = getattr(old, f.name), getattr(new, f.name)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            for key in sorted({*was, *now}):
                if was.get(key) != now.get(key):
                    yield f"{f.name}.{key}", _words(was.get(key)), _words(now.get(key))
        elif was != now:
            yield f.name, _words(was), _words(now)


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def joined_objections(plan: Plan, now: School, baseline: Baseline, since: str) -> Iterable[Objection]:
    """Object at one person whom an order of before bars only because two records came to be one human since.

    Beside a namesake, one wrong e-mail does that: who is closed by it may be somebody else.
    """
    rows = [r for r in plan.revocations if r.urgent and r.applies and URGENT.intersection(r.reasons) == {_ORDER}]
    joined = [r for r in rows if _is_barred_by_joining(r.key, now, baseline.school)]
    if joined:
        named = ", ".join(r.code or r.key for r in joined[:_NAMED])
        more = f" and {len(joined) - _NAMED} more" if len(joined) > _NAMED else ""
        yield Objection(
            RECORDS_JOINED,
            f"A court order on another record reaches {named}{more}: since {since} the e-mail and the name, or a code "
            f"one of them had before, say that both are one human. {NOTHING_CLOSED}",
            "If they are two people: correct the e-mail or the name in the admin system.",
            withholds=tuple(sorted(r.key for r in joined)),
        )


def _is_barred_by_joining(key: str, now: School, before: School) -> bool:
    """Say whether all that newly bars a known record are orders that stood on other known records already."""
    bars = now.barred.get(key, NOBODY) - before.barred.get(key, NOBODY)
    if not bars or key not in before.people:
        return False
    records = now.humans.get(key, (key,))
    carriers = [(record, student) for record in records for student in bars & _ordered(record, now)]
    return all(student in before.barred.get(record, NOBODY) for record, student in carriers)


def _ordered(record: str, now: School) -> frozenset[str]:
    """Give the students an order on this very record bars from."""
    mine = now.relationships.get(record, ())
    return frozenset(r.student_id for r in mine if r.restricted and is_current(r, now.as_of))


def restriction_objections(now: School, baseline: Baseline, since: str) -> Iterable[Objection]:
    """Object at one person whose restriction was cleared while the relationship goes on, or a column that is gone."""
    before = baseline.school
    if _RESTRICTED in now.reading.missing:
        if _RESTRICTED not in before.reading.missing:
            yield _column_gone(len(before.barred))
        return
    lifted = sorted(set(_lifted(before, now)))
    if lifted:
        more = f" and {len(lifted) - _NAMED} more" if len(lifted) > _NAMED else ""
        yield Objection(
            RESTRICTION_LIFTED,
            f"A court order was cleared since {since} for {', '.join(lifted[:_NAMED])}{more}. Nobody is let in before "
            f"a person has looked. {NOTHING_CLOSED}",
            "If wrong: set restricted again in the admin system.",
        )


def _column_gone(barred: int) -> Objection:
    return Objection(
        RESTRICTION_LIFTED,
        f"The admin system no longer says who is restricted (the column is gone); {barred:,} people were. Nothing was "
        "closed or opened.",
        "Put the restricted column back into the export.",
        stops_urgent=True,
    )


def _lifted(before: School, now: School) -> Iterable[str]:
    for person_id, students in before.barred.items():
        for record in _records_now(person_id, before, now):
            still = now.barred.get(record, frozenset())
            for relationship in now.relationships.get(record, ()):
                cleared = relationship.student_id in students and relationship.student_id not in still
                if cleared and is_current(relationship, now.as_of):
                    person = now.people.get(record)
                    yield person.code if person else record


def _records_now(person_id: str, before: School, now: School) -> Iterable[str]:
    """Give the records under which somebody stands today: an order is lifted too by entering the human anew."""
    if person_id in now.people:
        return now.humans.get(person_id, (person_id,))
    was = before.people.get(person_id)
    if was is None:
        return ()
    mails = now.by_email.get(fold(was.email), ()) if was.email and fold(was.name) else ()
    alike = (record for record in mails if fold(now.people[record].name) == fold(was.name))
    return dict.fromkeys((*alike, *now.by_previous_code.get(fold_id(was.code), ())))
