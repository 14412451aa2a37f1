"""Until when somebody may get in, and from when: the days on which today's data will change the answer. Pure.

These look ahead from `as_of` (`access_ended` back) with the rules and data of today. They decide nothing: whoever
decides asks entitlement.
"""

from collections.abc import Iterable
from datetime import date, timedelta

from connector.policy import PortalRules, Strategy
from connector.reconcile.entitlement import (
    Attendance,
    attendance,
    is_current,
    is_unknown,
    last_day_of_access,
    role_in_force,
)
from connector.reconcile.school import School
from connector.reconcile.text import fold

_DAY = timedelta(days=1)


def access_until(school: School, portal: PortalRules, person_id: str) -> date | None:
    """Give the last day of access of somebody entitled today; none where no end is known."""
    ends = sorted(d for d in _ends(school, portal, person_id) if school.as_of <= d < date.max)
    return next((d for d in ends if not _matches_on(school, portal, person_id, d + _DAY)), None)


def access_from(school: School, portal: PortalRules, person_id: str) -> date | None:
    """Give the first day to come on which somebody not entitled today will match; none where none is known."""
    begins = sorted(d for d in _begins(school, portal, person_id) if d > school.as_of)
    return next((d for d in begins if _matches_on(school, portal, person_id, d)), None)


def access_ended(school: School, portal: PortalRules, person_id: str) -> date | None:
    """Give the last day on which somebody matched who does not today; none where no date of today's data says one."""
    ends = sorted((d for d in _past_ends(school, portal, person_id) if d < school.as_of), reverse=True)
    return next((d for d in ends if _matches_on(school, portal, person_id, d)), None)


def student_until(school: School, student_id: str) -> date | None:
    """Give the last day a student who is at the school today counts as such, grace included; none: no end known."""
    rows = school.enrolments.get(student_id, [])
    ends = sorted(last_day_of_access(e, school.rules) for e in rows)
    ahead = (d for d in ends if school.as_of <= d < date.max)
    return next((d for d in ahead if not _at_school(school, student_id, d + _DAY)), None)


def in_grace(school: School, student_id: str) -> bool:
    """Say whether a student who counts as at the school has left already: grace, or a bridged gap."""
    today = school.as_of
    rows = [e for e in school.enrolments.get(student_id, ()) if not is_unknown(e)]
    present = any((e.entry_date or date.max) <= today <= (e.exit_date or date.max) for e in rows)
    left = any(e.exit_date and e.exit_date < today <= last_day_of_access(e, school.rules) for e in rows)
    return left and not present


def _at_school(school: School, student_id: str, on: date) -> bool:
    return attendance(school.enrolments.get(student_id, []), school.rules, on) is Attendance.YES


def _ends(school: School, portal: PortalRules, person_id: str) -> Iterable[date]:
    if portal.strategy is Strategy.SECURITY_ROLES:
        yield from (g.ends_on for g in school.grants.get(person_id, ()) if g.ends_on)
    elif portal.strategy is Strategy.CONTACTS:
        for relationship in school.relationships.get(person_id, ()):
            if relationship.ended_on and relationship.ended_on > school.as_of:
                yield relationship.ended_on - _DAY
            yield from (last_day_of_access(e, school.rules) for e in school.enrolments.get(relationship.student_id, ()))


def _past_ends(school: School, portal: PortalRules, person_id: str) -> Iterable[date]:
    yield from _ends(school, portal, person_id)
    if portal.strategy is Strategy.CONTACTS:
        yield from (r.ended_on - _DAY for r in school.relationships.get(person_id, ()) if r.ended_on)


def _begins(school: School, portal: PortalRules, person_id: str) -> Iterable[date]:
    if portal.strategy is Strategy.SECURITY_ROLES:
        yield from (g.begins_on for g in school.grants.get(person_id, ()) if g.begins_on)
    elif portal.strategy is Strategy.CONTACTS:
        early = timedelta(days=school.rules.early_access_days)
        for relationship in school.relationships.get(person_id, ()):
            for enrolment in school.enrolments.get(relationship.student_id, ()):
                if enrolment.entry_date and enrolment.entry_date > school.as_of:
                    yield enrolment.entry_date - early


def _matches_on(school: School, portal: PortalRules, person_id: str, on: date) -> bool:
    match portal.strategy:
        case Strategy.CONTACTS:
            return _counts_on(school, person_id, on)
        case Strategy.SECURITY_ROLES:
            wanted = {fold(role) for role in portal.roles}
            return any(fold(g.role) in wanted and role_in_force(g, on) for g in school.grants.get(person_id, ()))
        case _:
            return True


def _counts_on(school: School, person_id: str, on: date) -> bool:
    barred = school.barred.get(person_id, frozenset())
    return any(
        is_current(r, on)
        and not r.restricted
        and r.student_id not in barred
        and school.flagged(r)
        and _at_school(school, r.student_id, on)
        for r in school.relationships.get(person_id, ())
    )
