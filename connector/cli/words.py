"""How plans, legs and outcomes are said to a person at a terminal. Sentences only: nothing is decided here."""

from collections.abc import Iterable, Sequence

from rich.console import RenderableType

from connector.cli.printing import heading, line, warning
from connector.model import Account, LegKind, LegState, Member, MemberStatus
from connector.reconcile.journal_values import AccountChange, Change, ChangeKind, Direction, OpenChange, OpenLeg
from connector.reconcile.plan_values import Addition, Objection, Plan, PlannedLeg, Revocation
from connector.reconcile.wording import counted, listed

Parts = list[RenderableType]


def closing_words(leg: PlannedLeg) -> str:
    """Say what one leg of a revocation does."""
    said = f"{_CLOSING[leg.kind](leg)}"
    if leg.unread:
        said += " (could not be read; driven when it is back)"
    return f"{said} (NOT from here: {leg.withheld})" if leg.withheld else said


def _account(leg: PlannedLeg) -> str:
    name = leg.before.username if isinstance(leg.before, Account) else "of this person"
    return f"disable the account {name} in {leg.target}"


def _member(leg: PlannedLeg) -> str:
    doing = ["clear username and password"] if leg.clear_credential else []
    doing += ["disable the member"] if leg.disable_member else []
    return f"{listed(doing) or 'close the member'} in {leg.target}"


def _sessions(leg: PlannedLeg) -> str:
    where = f" of {listed(leg.portals)}" if leg.portals else ""
    return f"end the sessions{where} of {leg.subject} in {leg.target}"


_CLOSING = {LegKind.DIRECTORY: _account, LegKind.CREDENTIAL: _member, LegKind.SESSIONS: _sessions}


def opening_words(leg: PlannedLeg) -> str:
    """Say what one leg of a restore does."""
    match leg.before:
        case Account():
            return f"enable the account {leg.before.username} in {leg.target}"
        case Member():
            status = "enable the member" if leg.before.status is MemberStatus.ENABLED else "leave the member disabled"
            username = f" with the username {leg.before.username}" if leg.before.username else ""
            return f"{status}{username} in {leg.target}"
        case _:
            return f"open {leg.subject} in {leg.target}"


def row_parts(row: Revocation) -> Parts:
    """Say one row of a plan: who, why, what is closed, on what evidence, and what it waits for."""
    mark = "  URGENT" if row.urgent else ""
    login = f"  last login {row.last_login:%Y-%m-%d}" if row.last_login else ""
    username = f"  {row.username}" if row.username else ""
    title = f"{row.code or row.key}  {row.name}{username}{login}{mark}"
    parts: Parts = ["", warning(title) if row.urgent else heading(title)]
    parts.append(f"  why      {listed([r.value for r in row.reasons]) or 'no rule explains it'}")
    parts += _labelled("closes", [closing_words(leg) for leg in row.legs])
    parts += _labelled("because", [f"{e.about}: {e.text}" for e in row.evidence])
    if row.holds:
        says = "directory leg waits" if row.urgent else "waits"
        parts.append(f"  {says}{' ' * max(1, 9 - len(says))}{listed([h.value for h in row.holds])}")
    if row.reported_only:
        parts.append("  waits    the school's policy only reports it")
    return parts


def _labelled(label: str, texts: Sequence[str]) -> list[str]:
    first, *rest = texts or [""]
    return [f"  {label:<9}{first}", *(f"  {'':<9}{text}" for text in rest)]


def addition_line(addition: Addition) -> str:
    """Say one addition."""
    return f"  {addition.code}  {addition.name}: add to {addition.portal} ({addition.status})"


def plan_parts(plan: Plan, waived: Iterable[str]) -> Parts:
    """Say a whole plan, what goes now first; objections come last, where they are seen."""
    now = [r for r in plan.revocations if r.applies]
    waiting = [r for r in plan.revocations if not r.applies]
    parts: Parts = [heading(f"Plan {plan.plan_id} as of {plan.as_of}: {plan_counts(plan)}")]
    parts += [part for row in now for part in row_parts(row)]
    if plan.additions:
        parts += ["", heading(f"Added: {counted(len(plan.additions), 'member')}")]
        parts += [addition_line(a) for a in plan.additions]
    if waiting:
        parts += ["", heading(f"Waiting for a person, not applied: {len(waiting):,}")]
        parts += [part for row in waiting for part in row_parts(row)]
    parts += notes("Could not be read", plan.unread)
    parts += notes("Look", plan.warnings)
    return parts + objection_parts(plan.objections, waived)


def plan_counts(plan: Plan) -> str:
    """Say how much a plan does."""
    applied = sum(r.applies for r in plan.revocations)
    held = len(plan.revocations) - applied
    return f"{applied:,} to revoke, {len(plan.additions):,} to add, {held:,} waiting for a person"


def notes(title: str, texts: Iterable[str]) -> Parts:
    found = [f"  {text}" for text in texts]
    return ["", heading(title), *found] if found else []


NOT_KEPT = "This plan was not kept. Keep it first, so that it can be approved: connector plan"

_APPROVE, _INTENDED = "connector approve ", "If intended: "


def objection_parts(objections: Iterable[Objection], waived: Iterable[str]) -> Parts:
    """Say what stops a plan: what happened, the mend in the source, then what to type."""
    names = frozenset(waived)
    parts: Parts = []
    for objection in objections:
        state = "waived" if objection.label in names else "stops the plan"
        parts += ["", warning(f"Objection {objection.label} ({state})"), f"  {objection.text}"]
        if objection.fix and objection.label not in names:
            parts.append(f"  {objection.fix}")
        if objection.label not in names:
            parts += [f"  {_INTENDED if c.startswith(_APPROVE) else ''}{c}" for c in objection.commands]
    return parts


_OPEN_STATES = {
    LegState.INTENDED: "somebody else has to act, or it was not tried yet",
    LegState.REFUSED: "the target refused; it is tried again",
    LegState.UNREACHABLE: "the target did not answer; it is tried again",
    LegState.CONFLICT: "the target is neither as planned nor closed: look at it",
    LegState.EFFECTIVE_BY: "cannot be seen from here; it ends by itself",
}


def open_leg_words(leg: OpenLeg) -> str:
    """Say one leg that is not at its end."""
    said = closing_words(leg.planned) if leg.direction is Direction.CLOSE else opening_words(leg.planned)
    return f"  {leg.code or leg.key}  {leg.name}: {said}: {_state_words(leg.state, leg.detail)}"


def open_change_words(change: OpenChange) -> str:
    """Say one change of a membership or an account that is not at its end."""
    return f"  {change_words(change.change)}: {_state_words(change.state, change.detail)}"


def _state_words(state: LegState, detail: str) -> str:
    return f"{state} ({detail or _OPEN_STATES.get(state, '')})"


def open_parts(legs: Sequence[OpenLeg], changes: Sequence[OpenChange] = ()) -> Parts:
    """Say what is still open, and how it comes to an end."""
    if not (legs or changes):
        return []
    people = len({leg.revocation_id for leg in legs})
    parts: Parts = ["", warning(f"Open: {counted(people, 'revocation')}, {counted(len(changes), 'membership change')}")]
    parts += [open_leg_words(leg) for leg in legs]
    parts += [open_change_words(change) for change in changes]
    parts.append("Every run tries again first. To try now: connector resume --apply")
    parts.append("To give one up: connector abandon PERSON --reason TEXT")
    return parts


_CHANGING = {
    ChangeKind.ADD: "add to",
    ChangeKind.ENABLE: "enable in",
    ChangeKind.DISABLE: "disable in",
    ChangeKind.REMOVE: "remove from",
    ChangeKind.CREATE_ACCOUNT: "make the account in",
    ChangeKind.UPDATE_ACCOUNT: "change the account in",
    ChangeKind.JOIN_GROUP: "add to a group in",
    ChangeKind.LEAVE_GROUP: "take out of a group in",
}


def change_words(change: Change, label: str = "") -> str:
    """Say one change of a membership or an account; `label` names the person better than a portal does."""
    member = None if isinstance(change, AccountChange) else change.after or change.before
    code = member.code if member and member.code else change.person_id
    name = f" {member.name}" if member and member.name else ""
    status = f" ({member.status})" if change.kind is ChangeKind.ADD and member else ""
    return f"{label or code + name}: {_CHANGING[change.kind]} {change.target}{status}"


def sentence_parts(title: str, sentences: Iterable[str]) -> Parts:
    """Say several sentences under a title; nothing where there are none."""
    return notes(title, sentences)


__all__ = ["Parts", "line", "plan_parts", "row_parts"]
