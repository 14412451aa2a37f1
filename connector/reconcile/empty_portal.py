"""The commonest complaint: a parent logs in and sees no timetable, no reports, no child. Pure.

Mostly an old account still lives while a new one exists; then the data, then the rule, then a case with the portal's
makers. Nothing here decides who is closed.
"""

from dataclasses import dataclass
from enum import StrEnum

from connector.model import Hold, Reason, Status
from connector.reconcile.access_dates import in_grace, student_until
from connector.reconcile.advice import Advice, hold_advice, missing_parts, next_step
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decision, Decisions
from connector.reconcile.doors import claimed_usernames
from connector.reconcile.memory import Memory
from connector.reconcile.sign_in_now import doors_now
from connector.reconcile.wording import ACCESS_ENDED, RESTRICTED_CHILD, day, label_of, listed, spoken_all, who


class Verdict(StrEnum):
    """Why a parent who can log in sees nothing."""

    OLD_ACCOUNT = "old-account"
    WRONG_RECORD = "wrong-record"
    POSSIBLE_SUCCESSOR = "possible-successor"
    RECORD_CLOSED = "record-closed"
    ACCESS_ENDED = "access-ended"
    RESTRICTED = "restricted"
    NOT_FLAGGED = "not-flagged"
    NO_STUDENT = "no-student-at-school"
    CANNOT_LOG_IN = "cannot-log-in"
    IN_GRACE = "in-grace"
    IN_ORDER = "in-order"


@dataclass(frozen=True, slots=True)
class Symptom:
    """The verdict on the symptom, in words, and the next step."""

    verdict: Verdict
    text: str
    advice: Advice


def empty_portal(decision: Decision, decisions: Decisions, memory: Memory, discreet: bool = False) -> Symptom:
    """Say why this person sees no student information after logging in, and what to do next."""
    identity = decision.identity
    if old := _old_record(decision, decisions):
        return _old_account(old, decisions, memory)
    if not any(d.opens is not False for d in doors_now(identity, decisions)):
        text = "nobody can log in here at all, so this is another fault: see the first lines."
        return Symptom(Verdict.CANNOT_LOG_IN, text, next_step(decision, decisions, memory, discreet))
    if decisions.scene.claims.portals_of(identity.person_id):
        return _of_entitled(decision, decisions, discreet)
    return _of_unentitled(decision, decisions, memory, discreet)


def _old_record(decision: Decision, decisions: Decisions) -> tuple[Decision, Decision] | None:
    """Give an old record that still lives and the record that replaced it, whichever of the two was asked about."""
    person_id = decision.identity.person_id or ""
    decided = decisions.by_key()
    humans = [decided[p] for p in (person_id, *decisions.school.same_human(person_id)) if p in decided]
    old = next((d for d in humans if Reason.SUPERSEDED in d.reasons), None)
    entitled = (d for d in humans if decisions.scene.claims.portals_of(d.identity.person_id))
    new = next(iter(sorted(entitled, key=lambda d: d.status is not Status.ACTIVE)), None)
    return (old, new) if old and new else None


def _old_account(pair: tuple[Decision, Decision], decisions: Decisions, memory: Memory) -> Symptom:
    old, new = pair
    before, now = who(old.identity), who(new.identity)
    text = f"the old account {before.username or before.code} of {before.label} still lives, while {now.label} is "
    close = next_step(old, decisions, memory).commands
    if new.status is Status.ACTIVE:
        welcome = "" if _ever_logged_in(new.identity) else " Send the welcome e-mail: it has never logged in."
        advice = f"Close the old account; the new one is {now.username}.{welcome}"
        return Symptom(Verdict.OLD_ACCOUNT, f"{text}active.", Advice(advice, close))
    missing = listed(missing_parts(new.identity, decisions))
    advice = f"Provision {now.label} first ({missing}), send the welcome e-mail, then close the old account."
    return Symptom(Verdict.OLD_ACCOUNT, f"{text}{new.status.replace('_', ' ')}.", Advice(advice, close))


def _ever_logged_in(identity: Identity) -> bool:
    return any(m.last_login for m in identity.members)


def _of_entitled(decision: Decision, decisions: Decisions, discreet: bool) -> Symptom:
    if notes := [e for e in decision.evidence if e.about == RESTRICTED_CHILD]:
        text = spoken_all(notes, discreet)[0].text
        verdict = Verdict.ACCESS_ENDED if discreet else Verdict.RESTRICTED
        return Symptom(verdict, f"{text}. That the portal hides it is right.", Advice("Ask the authority role."))
    if grace := _all_in_grace(decision, decisions):
        return grace
    types = listed(sorted({r.contact_type for r in decisions.school.relationships.get(decision.identity.key, ())}))
    whom = who(decision.identity)
    text = "record, portal and directory agree, and the children listed below should be seen."
    say = f"Raise a case with the portal's support: contact type {types or 'none'}, contact code {whom.code}."
    return Symptom(Verdict.IN_ORDER, text, Advice(say, (f"connector family {whom.typed}",)))


def _all_in_grace(decision: Decision, decisions: Decisions) -> Symptom | None:
    """Say so where every child that still counts has left: the portal shows nothing of one who is gone."""
    school, whom = decisions.school, who(decision.identity)
    counting = [s.relationship.student_id for s in school.standings(decision.identity.key) if s.counts]
    if not counting or not all(in_grace(school, student) for student in counting):
        return None
    left = dict.fromkeys(counting)
    told = [f"{label_of(decisions, s)} has left, and access ends on {day(student_until(school, s))}" for s in left]
    say = "Nothing to mend: the days of grace are for what is still to be read. If the child is back, correct the exit."
    return Symptom(Verdict.IN_GRACE, f"{listed(told)}.", Advice(say, (f"connector family {whom.typed}",)))


def _of_unentitled(decision: Decision, decisions: Decisions, memory: Memory, discreet: bool) -> Symptom:
    reasons = frozenset(decision.reasons)
    advice = next_step(decision, decisions, memory, discreet)
    if claimed := claimed_usernames(decision.identity, decisions.scene):
        name, people = next(iter(claimed.items()))
        owner = listed(sorted(label_of(decisions, p) for p in people))
        text = f"the username {name} stands on the wrong record; it is {owner}'s."
        mend = f"Enter it on {owner}'s record in the portal; here it goes with the next run."
        return Symptom(Verdict.WRONG_RECORD, text, Advice(mend, advice.commands))
    if not reasons.isdisjoint({Reason.RESTRICTED, Reason.BLOCKED}):
        verdict = Verdict.ACCESS_ENDED if discreet else Verdict.RESTRICTED
        return Symptom(verdict, f"{ACCESS_ENDED if discreet else 'restricted or blocked'}.", advice)
    return _by_reason(decision, reasons, advice)


def _by_reason(decision: Decision, reasons: frozenset[Reason], advice: Advice) -> Symptom:
    texts = [e.text for e in spoken_all([e for e in decision.evidence if e.about in reasons], discreet=True)]
    why = texts[-1] if texts else "nothing of it is entitled"
    if Hold.POSSIBLE_SUCCESSOR in decision.holds:
        held = next(e.text for e in decision.evidence if e.about == Hold.POSSIBLE_SUCCESSOR)
        text = f"probably the old record of a person who has a new one: {held}."
        return Symptom(Verdict.POSSIBLE_SUCCESSOR, text, hold_advice(Hold.POSSIBLE_SUCCESSOR, who(decision.identity)))
    for reason, verdict in _VERDICTS:
        if reason in reasons:
            return Symptom(verdict, f"{why}.", advice)
    return Symptom(Verdict.NO_STUDENT, f"{why}.", advice)


_VERDICTS = (
    (Reason.CONTACT_MISSING, Verdict.RECORD_CLOSED),
    (Reason.CONTACT_INACTIVE, Verdict.RECORD_CLOSED),
    (Reason.DENIED, Verdict.RECORD_CLOSED),
    (Reason.NO_RELATIONSHIP, Verdict.WRONG_RECORD),
    (Reason.PORTAL_FLAG_OFF, Verdict.NOT_FLAGGED),
    (Reason.NO_STUDENT_AT_SCHOOL, Verdict.NO_STUDENT),
)
