"""Why a row waits for a person. Pure. A hold never decides who is closed, only that somebody looks first.

`restricted`, `blocked` and `requested` rows are held only by `protected` and `disputed`, and then only their directory
leg.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from connector.errors import NotAllowed
from connector.model import URGENT, Account, Hold, Reason, Status
from connector.policy import Policy, Rules
from connector.reconcile.claims import Claims
from connector.reconcile.correlate import Identity, MatchLevel
from connector.reconcile.doors import Scene
from connector.reconcile.entitlement import Attendance
from connector.reconcile.memory import Memory
from connector.reconcile.plan_values import Evidence
from connector.reconcile.reasons import Closing, successors
from connector.reconcile.school import School
from connector.reconcile.text import digits, fold

_ANSWERED = frozenset(
    {Reason.SUPERSEDED, Reason.RESTRICTED, Reason.CONTACT_INACTIVE, Reason.CONTACT_MISSING, Reason.DENIED}
)
"""Beside these, still-has-children and possible-successor do not apply: the question they ask is answered."""

Found = tuple[Hold, str]


@dataclass(frozen=True, slots=True)
class Case:
    """One row to judge: the identity, what is being closed, and why."""

    identity: Identity
    closing: Closing
    accounts: tuple[Account, ...]
    reasons: tuple[Reason, ...]

    @property
    def urgent(self) -> bool:
        """Whether one of the reasons is urgent."""
        return not URGENT.isdisjoint(self.reasons)


def revocation_holds(
    case: Case, scene: Scene, memory: Memory, statuses: Mapping[str, Status]
) -> tuple[tuple[Hold, ...], tuple[Evidence, ...]]:
    """Give every hold on a row that is ready to revoke, in the order of `Hold`, with its evidence."""
    found = dict(_account_holds(case))
    if not case.urgent:
        found |= dict(_evidence_holds(case, scene, statuses))
        found |= dict(_time_holds(case, scene, memory))
        found |= dict(_policy_hold(case, scene, statuses))
    return _ordered(found)


def _ordered(found: Mapping[Hold, str]) -> tuple[tuple[Hold, ...], tuple[Evidence, ...]]:
    holds = tuple(h for h in Hold if h in found)
    return holds, tuple(Evidence(h, found[h]) for h in holds)


def _account_holds(case: Case) -> Iterator[Found]:
    if guarded := [f"{a.username}: {a.protected}" for a in case.accounts if a.protected]:
        yield Hold.PROTECTED, "; ".join(guarded)
    if case.identity.disputed:
        yield Hold.DISPUTED, case.identity.disputed
    weak = [a.account for a in case.identity.accounts if a.by is MatchLevel.EMAIL and a.account in case.accounts]
    if weak and not case.urgent:
        yield Hold.WEAK_MATCH, f"{weak[0].username} was matched by its e-mail {weak[0].email} alone"


def _evidence_holds(case: Case, scene: Scene, statuses: Mapping[str, Status]) -> Iterator[Found]:
    person_id = case.identity.person_id or ""
    if text := _unclear(person_id, case, scene.school):
        yield Hold.UNCLEAR_DATA, text
    if not _ANSWERED.isdisjoint(case.reasons):
        return
    if text := _still_has_children(person_id, case, scene.school, statuses):
        yield Hold.STILL_HAS_CHILDREN, text
    if text := _possible_successor(person_id, case, scene):
        yield Hold.POSSIBLE_SUCCESSOR, text


def _unclear(person_id: str, case: Case, school: School) -> str:
    """The decision rests on an unknown enrolment: were that student at the school, the person would be entitled."""
    if Reason.NO_STUDENT_AT_SCHOOL not in case.reasons and Reason.PORTAL_FLAG_OFF not in case.reasons:
        return ""
    students = {
        s.relationship.student_id
        for s in school.standings(person_id)
        if s.attendance is Attendance.UNKNOWN and s.current and s.flagged and not s.restricted
    }
    return f"an enrolment of student {min(students)} cannot be read" if students else ""


def _still_has_children(person_id: str, case: Case, school: School, statuses: Mapping[str, Status]) -> str:
    standing_for = (Status.ACTIVE, Status.READY_TO_PROVISION)
    if any(statuses.get(other) in standing_for for other in school.same_human(person_id)):
        return ""
    if school.counting(person_id):
        return ""  # only a staff portal closes: this very account still stands for the children
    here = [s.relationship for s in school.standings(person_id) if s.attendance is Attendance.YES]
    if Reason.PORTAL_FLAG_OFF in case.reasons and here:
        return f"student {min(r.student_id for r in here)} is at the school; check family and contact type first"
    since = school.as_of - timedelta(days=school.rules.ended_link_days)
    ended = sorted((r.student_id, r.ended_on) for r in here if r.ended_on and since <= r.ended_on <= school.as_of)
    return f"the relationship to student {ended[0][0]} ended on {ended[0][1]}, the student stays" if ended else ""


def _possible_successor(person_id: str, case: Case, scene: Scene) -> str:
    """An entitled record shares e-mail, mobile, or a student plus given name, and is not proven the same human."""
    person = scene.school.people.get(person_id)
    if person is None:
        return ""
    names = {p.name for p in case.closing.considered(scene)}
    proven = {person_id, *scene.school.same_human(person_id)}
    found = []
    for shared, others in _alike(person_id, scene):
        # The first that fits, not all of them: thousands may share a placeholder.
        heirs = (o for o in others if o not in proven and not scene.claims.portals_of(o).isdisjoint(names))
        if heir := next(heirs, ""):
            found.append(f"{scene.school.people[heir].code} is entitled and shares {shared}")
    return min(found, default="")


def _alike(person_id: str, scene: Scene) -> Iterator[tuple[str, Sequence[str]]]:
    """Give what a person may share with an entitled record, and those that do, by their codes."""
    school = scene.school
    person = school.people[person_id]
    if person.email:
        yield "the e-mail", scene.entitled_by_email.get(fold(person.email), ())
    if mobile := digits(person.mobile):
        yield "the mobile", scene.entitled_by_mobile.get(mobile, ())
    given = fold(person.given_name)
    for mine in school.relationships.get(person_id, ()) if given else ():
        for theirs in school.contacts_of.get(mine.student_id, ()):
            other = school.people.get(theirs.contact_id)
            if other and fold(other.given_name) == given:
                yield f"student {mine.student_id} and the given name", (other.person_id,)


def _time_holds(case: Case, scene: Scene, memory: Memory) -> Iterator[Found]:
    key, rules, as_of = case.identity.key, scene.school.rules, scene.school.as_of
    keep = memory.keeps.get(key)
    if keep and (keep.until is None or keep.until >= as_of):
        yield Hold.KEEP, f"kept by {keep.owner}: {keep.reason}" + (f" (until {keep.until})" if keep.until else "")
    if memory.flips.get(key, 0) >= _FLIPS:
        yield Hold.OSCILLATING, f"revoked and entitled again {memory.flips[key]} times; rule: {', '.join(case.reasons)}"
    since = memory.ready_since.get(key, as_of)
    if rules.notice_days and as_of < since + timedelta(days=rules.notice_days):
        yield Hold.NOTICE, f"ready since {since}, notice until {since + timedelta(days=rules.notice_days)}"
    if memory.ready_runs.get(key, 0) + 1 < rules.confirm_runs:
        yield Hold.UNCONFIRMED, f"closes after it was ready in {rules.confirm_runs} runs"
    if in_rollover(scene.school, memory):
        yield Hold.ROLLOVER, f"the rollover that began on {rules.rollover_from} is not declared complete"


_FLIPS = 2


def in_rollover(school: School, memory: Memory) -> bool:
    """Say whether a rollover window has begun and nobody has declared it complete."""
    begins = school.rules.rollover_from
    return begins is not None and school.as_of >= begins and not memory.rollover_complete


def refuse_before_rollover(rules: Rules, day: date) -> None:
    """Raise NotAllowed where a rollover is declared complete without or before its window: it would count for none."""
    if rules.rollover_from is None:
        raise NotAllowed(
            "No rollover window is configured: nothing waits for it.",
            "Write [rules] rollover_from and rollover_until first.",
        )
    if day < rules.rollover_from:
        raise NotAllowed(
            f"The rollover window begins on {rules.rollover_from}; on {day} nothing waits for it yet.",
            "Declare it complete when the admin system is rolled over: connector rollover complete",
        )


def policy_of(case: Case, scene: Scene) -> Policy:
    """Give what the school's policies say of a row: the most cautious of its reasons; urgent rows apply.

    `no-relationship` beside `superseded` follows `superseded`. A row no rule explains is held.
    """
    if case.urgent:
        return Policy.APPLY
    asked = [r for r in case.reasons if not (r is Reason.NO_RELATIONSHIP and Reason.SUPERSEDED in case.reasons)]
    policies = {scene.school.rules.policies.get(r, Policy.HOLD) for r in asked}
    if not [r for r in asked if r is not Reason.HALF_REVOKED] or Policy.HOLD in policies:
        return Policy.HOLD
    return Policy.REPORT if Policy.REPORT in policies else Policy.APPLY


def _policy_hold(case: Case, scene: Scene, statuses: Mapping[str, Status]) -> Iterator[Found]:
    if not [r for r in case.reasons if r is not Reason.HALF_REVOKED]:
        yield Hold.POLICY, "no rule explains this mismatch (never had a strategy role, or the portal's own word): look"
    elif policy_of(case, scene) is Policy.HOLD:
        held = [r for r in case.reasons if scene.school.rules.policies.get(r, Policy.HOLD) is Policy.HOLD]
        yield Hold.POLICY, f"the school's policy holds {', '.join(held)}"
    elif Reason.SUPERSEDED in case.reasons and scene.school.rules.superseded_needs_active_successor:
        names = tuple(p.name for p in case.closing.considered(scene))
        heirs = successors(case.identity, names, scene)
        if not any(statuses.get(heir) is Status.ACTIVE for heir in heirs):
            codes = ", ".join(sorted(scene.school.people[heir].code for heir in heirs))
            yield Hold.POLICY, f"the successor {codes} cannot sign in yet"


def provision_holds(
    identity: Identity, claims: Claims, scene: Scene, memory: Memory
) -> tuple[tuple[Hold, ...], tuple[Evidence, ...]]:
    """Give the holds on a row that is ready to provision: disputed, or disabled by somebody else."""
    found: dict[Hold, str] = {}
    if identity.disputed:
        found[Hold.DISPUTED] = identity.disputed
    entitled = claims.portals_of(identity.person_id)
    wanted = [p for p in scene.governed if p.name in entitled]
    if any(p.needs_directory_account for p in wanted) and not any(a.account.enabled for a in identity.accounts):
        for account in (a.account for a in identity.accounts):
            if (account.directory, account.guid) not in memory.closed_accounts:
                found[Hold.DISABLED_ELSEWHERE] = f"the account {account.username} was disabled by somebody else"
    names = {p.name for p in wanted}
    for m in identity.members:
        if m.portal in names and not m.enabled and (m.portal, m.person_id) not in memory.closed_members:
            found.setdefault(Hold.DISABLED_ELSEWHERE, f"the {m.portal} member was disabled by somebody else")
    return _ordered(found)
