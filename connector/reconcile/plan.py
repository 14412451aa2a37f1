"""From decisions to a plan: the ordered, digested list of actions. Pure.

The digest covers the actions and what they depend on, not run id or clock: the same facts give the same plan tomorrow,
and an approval still fits. A plan is cut (`without`, `except_for`) only into another plan with another digest.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime

from connector.errors import PlanError
from connector.model import Account, Hold, LegKind, Member, Reason, SessionKey
from connector.reconcile.decide import Decision, Decisions, ready_to_revoke
from connector.reconcile.doors import SessionUser, unread_lost
from connector.reconcile.memory import Memory, Release
from connector.reconcile.plan_values import Addition, Evidence, Plan, PlannedLeg, Revocation
from connector.reconcile.text import fold

_NEVER = datetime.min.replace(tzinfo=UTC)
_ID_LENGTH = 8


def digest_of(value: object) -> str:
    """Give the SHA-256 of a value's canonical JSON, as hex."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def hold_digest(hold: Hold, reasons: Sequence[Reason], evidence: Iterable[Evidence]) -> str:
    """Digest what a hold rests on: a release is valid while this stays the same."""
    return digest_of([hold, list(reasons), [e.text for e in evidence if e.about == hold]])


def build_plan(
    decisions: Decisions, memory: Memory, additions: Sequence[Addition] = (), unread: Sequence[str] = ()
) -> Plan:
    """Make the plan: half-revoked rows first, then urgent ones, then the rest by contact code."""
    releases = {(r.key, r.hold): r for r in memory.releases}
    rows = [_row(d, decisions, releases) for d in ready_to_revoke(decisions)]
    rows = [r for r in rows if r.legs]
    rows.sort(key=lambda r: (not r.urgent, Reason.HALF_REVOKED not in r.reasons, r.code, r.key))
    ordered = tuple(sorted(additions, key=lambda a: (a.portal, a.person_id)))
    return assemble(tuple(rows), ordered, decisions.school.as_of, unread)


def assemble(
    rows: tuple[Revocation, ...],
    additions: tuple[Addition, ...],
    as_of: date,
    unread: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Plan:
    """Digest rows and additions into a plan. Rows that would not be applied are shown but not part of the digest."""
    digest = digest_of(
        [
            [[r.key, r.basis, [_leg_facts(leg) for leg in r.legs]] for r in rows if r.applies],
            [[a.portal, a.person_id, a.status] for a in additions],
        ]
    )
    return Plan(digest[:_ID_LENGTH], digest, as_of, rows, additions, (), tuple(unread), tuple(warnings))


def _row(decision: Decision, decisions: Decisions, releases: Mapping[tuple[str, Hold], Release]) -> Revocation:
    identity, person = decision.identity, decision.identity.person
    released = _released(decision, releases)
    holds = tuple(h for h in decision.holds if h not in released)
    logins = [m.last_login for m in identity.members if m.last_login]
    return Revocation(
        key=identity.key,
        person_id=identity.person_id,
        code=code_of(decision),
        name=person.name if person else _name_of(decision),
        username=username_of(decision),
        reasons=decision.reasons,
        holds=holds,
        legs=tuple(_legs(decision, decisions)),
        evidence=decision.evidence,
        basis=_basis(decision),
        urgent=decision.urgent,
        reported_only=decision.reported_only,
        factors=tuple(_factors(decision, decisions)),
        last_login=max(logins, default=None),
    )


def _released(decision: Decision, releases: Mapping[tuple[str, Hold], Release]) -> frozenset[Hold]:
    found = set()
    for hold in decision.holds:
        release = releases.get((decision.identity.key, hold))
        if release and release.evidence_digest == hold_digest(hold, decision.reasons, decision.evidence):
            found.add(hold)
    return frozenset(found)


def code_of(decision: Decision) -> str:
    """Give the contact code: the record's, else what member or account still say."""
    if decision.identity.person:
        return decision.identity.person.code
    codes = [m.code for m in decision.identity.members] + [a.account.employee_id for a in decision.identity.accounts]
    return next((c.strip() for c in codes if c.strip()), "")


def username_of(decision: Decision) -> str:
    """Give the username people know: a closing portal's, else an account's (a member's own first), else a member's."""
    members, closing = decision.identity.members, decision.closing
    known = {m.username for m in members}
    accounts = sorted((a.account.username for a in decision.identity.accounts), key=lambda name: name not in known)
    names = [*(m.username for m in members if m.portal in closing), *accounts, *(m.username for m in members)]
    return next((n for n in names if n), "")


def _name_of(decision: Decision) -> str:
    names = [m.name for m in decision.identity.members] + [a.account.name for a in decision.identity.accounts]
    return next((n for n in names if n), "")


def _legs(decision: Decision, decisions: Decisions) -> Iterable[PlannedLeg]:
    """Give the legs in the order they are driven: directory, credential with membership, sessions."""
    legs, identity = decision.legs, decision.identity
    for account in legs.accounts:
        yield PlannedLeg(
            LegKind.DIRECTORY, account.directory, account.guid, before=account, withheld=_withheld(decision, account)
        )
    if legs.disable_directory:
        for name in decisions.scene.unread_directories:
            yield PlannedLeg(LegKind.DIRECTORY, name, f"person:{identity.key}", unread=True)
    for member in identity.members:
        clear, disable = member.credential_lives, member.enabled
        if member.portal in decision.closing and (clear or disable):
            yield PlannedLeg(LegKind.CREDENTIAL, member.portal, member.person_id, member, clear, disable_member=disable)
    for name in unread_lost(identity, decisions.scene):
        yield PlannedLeg(
            LegKind.CREDENTIAL, name, identity.key, clear_credential=True, disable_member=True, unread=True
        )
    for user in sorted(legs.session_users, key=lambda u: (u.store, u.user)):
        yield PlannedLeg(
            LegKind.SESSIONS,
            user.store,
            user.user,
            portals=tuple(sorted(user.portals)),
            unread=_may_be_anothers(user, decision, decisions),
        )


def _may_be_anothers(user: SessionUser, decision: Decision, decisions: Decisions) -> bool:
    """Say whether a username may be an entitled person's through an account that could not be read.

    Urgent rows go all the same: whoever it was signs in again.
    """
    scene = decisions.scene
    through = scene.claims.through_directory
    by_name = scene.store_keys.get(user.store) is SessionKey.USERNAME
    return bool(scene.unread_directories) and by_name and not decision.urgent and not through.isdisjoint(user.portals)


def _withheld(decision: Decision, account: Account) -> str:
    """Say why a directory leg is never driven from here, or not while the row is disputed."""
    if account.protected:
        return f"protected: {account.protected}"
    return f"disputed: {decision.identity.disputed}" if decision.urgent and decision.identity.disputed else ""


def _leg_facts(leg: PlannedLeg) -> list[object]:
    return [leg.kind, leg.target, leg.subject, _before_facts(leg.before), list(leg.portals), leg.unread, leg.withheld]


def _before_facts(before: Account | Member | None) -> list[object]:
    match before:
        case Account():
            return [before.guid, before.username, before.enabled, before.employee_id, before.managed, before.state]
        case Member():
            return [before.person_id, before.native_id, before.username, before.has_password, before.status]
        case _:
            return []


def _basis(decision: Decision) -> str:
    """Digest everything the row depends on: when one of these changes, it is another row.

    By what an account was matched is no part of it: a run that learns a link must not turn every plan stale. A match
    that is weaker than it was shows as a hold.
    """
    identity = decision.identity
    facts = [_before_facts(a.account) for a in identity.accounts]
    facts += [_before_facts(m) for m in identity.members]
    evidence = [[e.about, e.text] for e in decision.evidence]
    return digest_of([identity.key, list(decision.reasons), list(decision.holds), evidence, facts])


def _factors(decision: Decision, decisions: Decisions) -> Iterable[tuple[str, str]]:
    """Give the facts rows may share, each once."""
    school, person_id = decisions.school, decision.identity.person_id or ""
    found: dict[tuple[str, str], None] = {}
    for portal in decision.closing:
        found["portal", portal] = None
    for reason in decision.reasons:
        found["reason", reason] = None
    for relationship in school.relationships.get(person_id, ()):
        if relationship.contact_type:
            found["contact_type", relationship.contact_type] = None
        for enrolment in school.enrolments.get(relationship.student_id, ()):
            if enrolment.exit_date:
                found["exit_date", enrolment.exit_date.isoformat()] = None
                found["exit_reason", enrolment.exit_reason] = None
    for grant in school.grants.get(person_id, ()):
        found["role", grant.role] = None
    return sorted(found)


def without(plan: Plan, factors: Sequence[tuple[str, str]]) -> Plan:
    """Cut out the rows that have one of these factors, by `key=value`, compared as everywhere: without case or marks.

    Raises PlanError for a factor no row has: a cut that cuts nothing is a slip of the pen, and somebody would go.
    """
    _refuse_unknown(plan, factors)
    unwanted = {(fold(k), fold(v)) for k, v in factors}
    kept = tuple(r for r in plan.revocations if unwanted.isdisjoint((fold(k), fold(v)) for k, v in r.factors))
    additions = tuple(a for a in plan.additions if ("portal", fold(a.portal)) not in unwanted)
    return assemble(kept, additions, plan.as_of, plan.unread, plan.warnings)


def _refuse_unknown(plan: Plan, factors: Sequence[tuple[str, str]]) -> None:
    known = {f for row in plan.revocations for f in row.factors} | {("portal", a.portal) for a in plan.additions}
    folded = {(fold(k), fold(v)) for k, v in known}
    for key, value in factors:
        if (fold(key), fold(value)) not in folded:
            values = sorted(f"{k}={v}" for k, v in known if fold(k) == fold(key))
            keys = sorted({k for k, _ in known})
            there = f"There is: {', '.join(values)}." if values else f"KEY is one of {', '.join(keys) or 'nothing'}."
            raise PlanError(f"No row of this plan has {key}={value}: nothing would be left out.", there)


def except_for(plan: Plan, keys: Sequence[str], why: str) -> Plan:
    """Cut out these identities, with the reason as a warning that stays with the plan."""
    gone = set(keys)
    kept = tuple(r for r in plan.revocations if r.key not in gone)
    additions = tuple(a for a in plan.additions if a.person_id not in gone)
    named = ", ".join(r.code or r.key for r in plan.revocations if r.key in gone)
    warning = f"left out by hand: {named or 'nobody'} ({why})"
    return assemble(kept, additions, plan.as_of, plan.unread, (*plan.warnings, warning))


def only(plan: Plan, keys: Iterable[str]) -> Plan:
    """Keep only these identities' rows, and no additions: for `revoke` and `backlog`."""
    wanted = set(keys)
    return assemble(tuple(r for r in plan.revocations if r.key in wanted), (), plan.as_of, plan.unread, plan.warnings)


def oldest_login_first(rows: Iterable[Revocation]) -> list[Revocation]:
    """Order rows by last login, never first: the order in which a first mass is closed."""
    return sorted(rows, key=lambda r: (r.last_login or _NEVER, r.code))
