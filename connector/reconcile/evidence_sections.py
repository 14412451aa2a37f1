"""The whole evidence about one person, section by section. Pure.

Counts sessions, never shows one: a session id is a secret.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from connector.model import Account, Member
from connector.policy import PortalRules, Strategy
from connector.reconcile.advice import standing_holds
from connector.reconcile.correlate import Identity, Linked
from connector.reconcile.decide import Decision, Decisions
from connector.reconcile.doors import claimed_usernames
from connector.reconcile.memory import Memory
from connector.reconcile.school import School, blocks_on
from connector.reconcile.sign_in_now import is_expired
from connector.reconcile.standing_words import Part, concerns, entitled_because, person_parts, standing_parts
from connector.reconcile.wording import (
    ACCESS_ENDED,
    clean,
    counted,
    label_of,
    moment,
    reason_word,
    said,
    spoken_all,
)

_MARKS = {True: "+ ", False: "- ", None: ""}


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact. `good` says whether it speaks for access, against it, or neither (none)."""

    text: str
    good: bool | None = None

    @property
    def marked(self) -> str:
        """The fact with + or - in front, for plain text."""
        return f"{_MARKS[self.good]}{self.text}"


@dataclass(frozen=True, slots=True)
class Section:
    """Facts of one kind."""

    title: str
    facts: tuple[Fact, ...]


def sections(decision: Decision, decisions: Decisions, memory: Memory, discreet: bool) -> tuple[Section, ...]:
    """Give everything a decision rests on; sections with nothing in them are left out."""
    identity = decision.identity
    all_of_them = [
        Section("Decision", tuple(_decision_facts(decision, memory, discreet))),
        Section("Record", tuple(_record_facts(identity, decisions, discreet))),
        *(_entitlement(identity, portal, decisions, discreet) for portal in decisions.scene.portals),
        Section("Security roles", tuple(_role_facts(identity, decisions))),
        Section("Members", tuple(_member_fact(m, decisions) for m in identity.members)),
        Section("Accounts", tuple(_account_fact(a, decisions) for a in identity.accounts)),
        Section("Sessions", tuple(_session_facts(identity))),
        Section("Same person", tuple(_same_human(identity, decisions))),
        Section("Claimed by entitled people", tuple(_claims(identity, decisions))),
        Section("Said by people", tuple(_memory_facts(identity, decisions.school, memory, discreet))),
    ]
    return tuple(s for s in all_of_them if s.facts)


def _decision_facts(decision: Decision, memory: Memory, discreet: bool) -> Iterable[Fact]:
    yield Fact(f"status {decision.status}")
    reasons = {reason_word(r, discreet) for r in decision.reasons}
    holds = standing_holds(decision, memory)
    for piece in spoken_all(decision.evidence, discreet):
        released = piece.about in decision.holds and piece.about not in holds
        against = False if piece.about in reasons else None
        yield Fact(f"{piece.about}: {piece.text}{' (released)' if released else ''}", against)
    for dn in decision.open_outside_scope:
        yield Fact(f"open outside scope: {clean(dn)}", good=False)


def _record_facts(identity: Identity, decisions: Decisions, discreet: bool) -> Iterable[Fact]:
    person = identity.person
    if person:
        before = f", before {', '.join(person.previous_codes)}" if person.previous_codes else ""
        yield Fact(clean(f"{person.name}, contact code {person.code}{before}, id {person.person_id}"))
        reach = [text for text in (person.email, person.mobile) if text]
        yield Fact(clean(", ".join(reach)) or "no e-mail, no mobile")
    yield from map(_fact, person_parts(decisions, identity, discreet))
    if identity.disputed:
        yield Fact(f"disputed: {clean(identity.disputed)}", good=False)


def _fact(part: Part) -> Fact:
    return Fact(part.text, part.holds)


def _entitlement(identity: Identity, portal: PortalRules, decisions: Decisions, discreet: bool) -> Section:
    entitled = portal.name in decisions.scene.claims.portals_of(identity.person_id)
    title = f"Portal {portal.name} ({portal.strategy}{', governed' if portal.governed else ''})"
    if not concerns(portal, identity, decisions):
        return Section(title, ())
    why = f": {entitled_because(decisions, identity, portal)}" if entitled else ""
    verdict = Fact(f"{'entitled' if entitled else 'not entitled'}{why}", entitled)
    links = _relationship_facts(identity, decisions, discreet) if portal.strategy is Strategy.CONTACTS else ()
    return Section(title, (verdict, *links))


def _relationship_facts(identity: Identity, decisions: Decisions, discreet: bool) -> Iterable[Fact]:
    standings = decisions.school.standings(identity.person_id or "")
    if not standings:
        yield Fact("no relationship to any student", good=False)
    for standing in standings:
        relationship = standing.relationship
        parts = [p.text for p in standing_parts(decisions, standing, discreet)]
        child = label_of(decisions, relationship.student_id)
        kind = clean(relationship.contact_type) or "(no contact type)"
        yield Fact(f"{kind} of {child}: {', '.join(parts)}", standing.counts)


def _role_facts(identity: Identity, decisions: Decisions) -> Iterable[Fact]:
    for grant in decisions.school.grants.get(identity.person_id or "", ()):
        yield Fact(clean(f"{grant.role}, {grant.begins_on or 'ever'} to {grant.ends_on or 'open'}"))


def _member_fact(member: Member, decisions: Decisions) -> Fact:
    entitled = member.portal in decisions.scene.claims.portals_of(member.person_id)
    username = clean(member.username) or "no username"
    proof = "password" if member.has_password else "no password"
    if member.portal in decisions.scene.through_directory:
        proof = "signs in through the directory"
    login = f"last login {moment(member.last_login)}" if member.last_login else "never logged in"
    kind = member.membership_type.replace("_", " ")
    text = f"{member.portal}: {member.status}, {username}, {proof}, {kind}, {login}"
    return Fact(f"{text}{'' if entitled else ', not entitled'}", entitled)


def _account_fact(linked: Linked, decisions: Decisions) -> Fact:
    account = linked.account
    parts = [f"{account.directory}: {account.username}", "enabled" if account.enabled else "disabled"]
    parts.append(f"matched by {linked.by}")
    parts += [text for text in _account_notes(account, decisions) if text]
    return Fact(f"{clean(', '.join(parts))} ({clean(account.dn)}, GUID {account.guid})", account.enabled)


def _account_notes(account: Account, decisions: Decisions) -> Iterable[str]:
    yield f"employee id {account.employee_id}" if account.employee_id else "no employee id"
    yield "" if account.managed else "outside the managed OUs"
    yield f"protected ({account.protected})" if account.protected else ""
    yield f"ran out on {account.expires_at:%Y-%m-%d}" if account.expires_at and is_expired(account, decisions) else ""


def _session_facts(identity: Identity) -> Iterable[Fact]:
    for (store, portal), number in Counter((s.store, s.portal) for s in identity.sessions).items():
        yield Fact(f"{counted(number, 'live session')} in {portal} ({store})")


def _same_human(identity: Identity, decisions: Decisions) -> Iterable[Fact]:
    if not identity.person_id:
        return
    decided = decisions.by_key()
    for other in decisions.school.same_human(identity.person_id):
        status = decided[other].status if other in decided else "not decided"
        portals = sorted(decisions.scene.claims.portals_of(other))
        yield Fact(f"{label_of(decisions, other)}: {status}, entitled to {', '.join(portals) or 'nothing'}")


def _claims(identity: Identity, decisions: Decisions) -> Iterable[Fact]:
    for name, people in claimed_usernames(identity, decisions.scene).items():
        yield Fact(f"the username {clean(name)} is {_labels(people, decisions)}'s: it stays")
    for linked in identity.accounts:
        others = decisions.scene.claims.others_on_account(linked.account, identity.person_id)
        if others:
            yield Fact(f"the account {clean(linked.account.username)} is {_labels(others, decisions)}'s too: it stays")


def _labels(people: Iterable[str], decisions: Decisions) -> str:
    return ", ".join(sorted(label_of(decisions, p) for p in people))


def _memory_facts(identity: Identity, school: School, memory: Memory, discreet: bool) -> Iterable[Fact]:
    person_id = identity.person_id or ""
    for block in blocks_on(person_id, school, memory):
        until = f", until {block.until}" if block.until else ""
        other = "" if block.person_id == person_id else f" as {block.person_id}, the same person,"
        told = clean(f"blocked{other} by {block.owner}: {block.reason}{until}")
        yield Fact(ACCESS_ENDED if discreet else told, good=False)
    if keep := memory.keeps.get(person_id):
        yield Fact(said(f"kept by {keep.owner} until {keep.until or 'taken back'}: {keep.reason}", discreet), good=True)
    for release in memory.releases:
        if release.key == identity.key:
            yield Fact(said(f"{release.hold} released by {release.owner}: {release.reason}".rstrip(": "), discreet))
