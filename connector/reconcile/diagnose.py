"""Explain one person, for somebody who has a parent on the phone. Pure: values in, sentences out.

The first three lines answer: can this person log in now and why; who closed it and when; what to do, with the command.
Then the whole evidence, and what would change the outcome. Outside the authority role nothing tells a court order or a
block from any other end of access.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.errors import UnknownPerson
from connector.model import Status
from connector.reconcile.advice import Advice, next_step
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decision, Decisions
from connector.reconcile.empty_portal import Symptom, empty_portal
from connector.reconcile.evidence_sections import Section, sections
from connector.reconcile.memory import Memory
from connector.reconcile.outlook import outlook
from connector.reconcile.sign_in_now import Door, doors_now
from connector.reconcile.standing_words import entitled_because
from connector.reconcile.wording import (
    clean,
    counted,
    listed,
    moment,
    reason_words,
    said,
    spoken_all,
    who,
)

CLOSED = "closed"
RESTORED = "restored"
EMPTY_PORTAL = "empty-portal"


@dataclass(frozen=True, slots=True)
class PastEvent:
    """One thing the journal remembers. `what` is `closed` or `restored` where access really went or came back."""

    at: datetime
    what: str
    who: str
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """One person explained. `can_log_in` is none where it is not known."""

    key: str
    person_id: str | None
    code: str
    name: str
    status: str
    reasons: tuple[str, ...]
    can_log_in: bool | None
    log_in_line: str
    closed_line: str
    next_line: str
    commands: tuple[str, ...]
    doors: tuple[Door, ...]
    evidence: tuple[Section, ...]
    would_change: tuple[str, ...]
    history: tuple[PastEvent, ...] = ()
    symptom: Symptom | None = None

    @property
    def first_lines(self) -> tuple[str, str, str]:
        """The three lines that matter while somebody waits."""
        return self.log_in_line, self.closed_line, self.next_line

    @property
    def lines(self) -> tuple[str, ...]:
        """The whole explanation as plain text."""
        return (*self.first_lines, *_symptom_lines(self), *_section_lines(self), *_history_lines(self))


def explain(
    decisions: Decisions,
    key: str,
    memory: Memory,
    history: Sequence[PastEvent] = (),
    symptom: str = "",
    *,
    discreet: bool = False,
) -> Explanation:
    """Explain the person with this key (`find` gives it). Raises UnknownPerson for no such person, or symptom."""
    decision = decision_of(decisions, key)
    doors = doors_now(decision.identity, decisions)
    advice = next_step(decision, decisions, memory, discreet)
    whom = who(decision.identity)
    return Explanation(
        key,
        whom.person_id,
        whom.code,
        whom.name,
        decision.status.value,
        reason_words(decision.reasons, discreet),
        _opens(doors),
        _log_in_line(decision, doors, decisions, discreet),
        _closed_line(decision, memory, history, discreet),
        f"What to do: {advice.sentence}",
        advice.commands,
        doors,
        sections(decision, decisions, memory, discreet),
        outlook(decision, decisions, memory, discreet),
        tuple(PastEvent(e.at, e.what, e.who, said(e.text, discreet)) for e in history),
        _symptom(symptom, decision, decisions, memory, discreet),
    )


def decision_of(decisions: Decisions, key: str) -> Decision:
    """Give the decision about a key; for people nothing is decided about, one that says only what they are."""
    if decision := decisions.by_key().get(key):
        return decision
    identity = decisions.correlation.by_key().get(key)
    if identity is None:
        raise UnknownPerson(f"Nobody has the id {clean(key)!r}.", "Find the person first: connector explain NAME.")
    entitled = decisions.scene.claims.portals_of(identity.person_id)
    return Decision(identity, Status.ACTIVE if entitled else Status.NONE)


def _symptom(symptom: str, decision: Decision, decisions: Decisions, memory: Memory, discreet: bool) -> Symptom | None:
    if not symptom:
        return None
    if symptom != EMPTY_PORTAL:
        raise UnknownPerson(f"There is no symptom {clean(symptom)!r}.", f"The one that is known is {EMPTY_PORTAL}.")
    return empty_portal(decision, decisions, memory, discreet)


def _opens(doors: Sequence[Door]) -> bool | None:
    if any(d.opens for d in doors):
        return True
    return None if any(d.opens is None for d in doors) else False


def _log_in_line(decision: Decision, doors: Sequence[Door], decisions: Decisions, discreet: bool) -> str:
    label = who(decision.identity).label
    sessions = _sessions_words(decision.identity)
    if opening := [d for d in doors if d.opens]:
        where = listed([f"{d.portal} as {d.username} ({d.why})" for d in opening])
        return f"Yes: {label} can log in to {where}. {_why_open(decision, opening, decisions, discreet)}{sessions}"
    if unknown := [d for d in doors if d.opens is None]:
        return f"Not known: {label}: {listed([f'{d.portal}: {d.why}' for d in unknown])}.{sessions}"
    return f"No: {label} cannot log in to any portal. {_why_shut(decision, doors, decisions, discreet)}{sessions}"


def _sessions_words(identity: Identity) -> str:
    live = len(identity.sessions)
    return f" {counted(live, 'session is', 'sessions are')} live." if live else ""


def _why_open(decision: Decision, doors: Sequence[Door], decisions: Decisions, discreet: bool) -> str:
    """Say why each open door should be open, or that it should not."""
    rules = {p.name: p for p in decisions.scene.portals}
    texts = [
        f"Entitled to {d.portal}: {entitled_because(decisions, decision.identity, rules[d.portal])}."
        for d in doors
        if d.entitled
    ]
    if wrong := [d.portal for d in doors if not d.entitled]:
        why = _first_evidence(decision, discreet)
        texts.append(f"Not entitled to {listed(wrong)}{': ' + why if why else ''}.")
    return " ".join(dict.fromkeys(texts))


def _first_evidence(decision: Decision, discreet: bool) -> str:
    """Give the evidence of the first reason that says why, not only what is half done."""
    said_of = spoken_all([e for e in decision.evidence if e.about in decision.reasons], discreet)
    telling = [e.text for e in said_of if e.about != "half-revoked"] or [e.text for e in said_of]
    return telling[0] if telling else ""


def _why_shut(decision: Decision, doors: Sequence[Door], decisions: Decisions, discreet: bool) -> str:
    shut = [f"{d.portal}: {d.why}" for d in doors]
    text = f"{listed(shut)}." if shut else "No portal has this person as a member."
    if entitled := sorted(decisions.scene.claims.portals_of(decision.identity.person_id)):
        return f"Entitled to {listed(entitled)} all the same. {text}"
    open_accounts = [a.account.username for a in decision.identity.accounts if a.account.enabled]
    if open_accounts:
        text += f" The directory account {clean(listed(open_accounts))} is enabled."
    why = _first_evidence(decision, discreet)
    return f"{text} Not entitled: {why}." if why else text


def _closed_line(decision: Decision, memory: Memory, history: Sequence[PastEvent], discreet: bool) -> str:
    changes = [e for e in history if e.what in (CLOSED, RESTORED)]
    if changes:
        last = max(changes, key=lambda e: e.at)
        word = "Closed" if last.what == CLOSED else "Opened again"
        return f"{word} on {moment(last.at)} by {clean(last.who)}: {said(last.text, discreet)}".rstrip(": ")
    if shut := _shut_elsewhere(decision.identity, memory):
        return f"Closed by somebody else: {listed(shut)}; our journal knows nothing of it."
    return "Nobody closed it."


def _shut_elsewhere(identity: Identity, memory: Memory) -> list[str]:
    accounts = [a.account for a in identity.accounts if not a.account.enabled]
    members = [m for m in identity.members if not m.enabled]
    theirs = [a for a in accounts if (a.directory, a.guid) not in memory.closed_accounts]
    not_ours = [m for m in members if (m.portal, m.person_id) not in memory.closed_members]
    found = [f"the account {clean(a.username)} is disabled" for a in theirs]
    return [*found, *(f"the {m.portal} member is disabled" for m in not_ours)]


def _symptom_lines(explanation: Explanation) -> tuple[str, ...]:
    symptom = explanation.symptom
    return ("", f"Sees no student information: {symptom.text}", f"Next: {symptom.advice.sentence}") if symptom else ()


def _section_lines(explanation: Explanation) -> list[str]:
    lines: list[str] = []
    for section in explanation.evidence:
        lines += ["", section.title, *(f"  {fact.marked}" for fact in section.facts)]
    if explanation.would_change:
        lines += ["", "What would change the outcome", *(f"  {text}" for text in explanation.would_change)]
    return lines


def _history_lines(explanation: Explanation) -> list[str]:
    if not explanation.history:
        return []
    told = sorted(explanation.history, key=lambda e: e.at, reverse=True)
    return ["", "History", *(f"  {moment(e.at)}  {clean(e.what)}  {clean(e.who)}  {e.text}" for e in told)]


__all__ = ["Advice", "Explanation", "PastEvent", "decision_of", "explain"]
