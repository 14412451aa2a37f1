"""Where the fault of a household sits: fix the data, fix the rule, raise a case, or nothing to mend. Pure.

The data comes first: when the admin system is wrong, everything after it is. The rule comes second, the portal last.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from connector.model import Hold, Reason, Status
from connector.policy import Strategy
from connector.reconcile.advice import missing_parts
from connector.reconcile.decide import Decision, Decisions
from connector.reconcile.doors import claimed_usernames
from connector.reconcile.entitlement import Attendance, Standing
from connector.reconcile.text import fold
from connector.reconcile.wording import clean, counted, label_of, listed, who


class Verdict(StrEnum):
    """What is to be mended, in the order it is looked at."""

    FIX_THE_DATA = "fix the data"
    FIX_THE_RULE = "fix the rule"
    RAISE_A_CASE = "raise a case"
    NOTHING_TO_MEND = "nothing to mend"


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is found, whose it is, and what to do about it."""

    verdict: Verdict
    about: str
    text: str
    steps: tuple[str, ...] = ()


_FIRST = "Check the family in the admin system first: does it show as split or blended?"
_ORDER = {verdict: place for place, verdict in enumerate(Verdict)}


def causes_of(records: Sequence[Decision], decisions: Decisions, discreet: bool) -> tuple[Cause, ...]:
    """Give everything that is found about the records of one human, what to mend first first; never nothing."""
    found = [c for d in records for look in _LOOKS for c in look(d, decisions)]
    found += _two_entitled(records, decisions)
    if not any(c.verdict is not Verdict.NOTHING_TO_MEND for c in found):
        found += [_in_order(records, decisions, discreet)]
    return tuple(sorted(dict.fromkeys(found), key=lambda c: _ORDER[c.verdict]))


Look = Callable[[Decision, Decisions], Iterable[Cause]]


def _wrong_record(decision: Decision, decisions: Decisions) -> Iterable[Cause]:
    called = who(decision.identity)
    for name, people in claimed_usernames(decision.identity, decisions.scene).items():
        owner = listed(sorted(label_of(decisions, p) for p in people))
        text = f"The username {clean(name)} stands on {called.label}'s record; it is {owner}'s."
        step = f"Enter the username on {owner}'s record in the portal."
        yield Cause(Verdict.FIX_THE_DATA, called.key, text, (step,))
        return
    if Reason.NO_RELATIONSHIP in decision.reasons and Reason.SUPERSEDED not in decision.reasons:
        text = f"{called.label} has a username and no relationship to any student: usually typed on the wrong record."
        step = "Relate the contact to its student, or let the row close."
        yield Cause(Verdict.FIX_THE_DATA, called.key, text, (step,))


def _disputed(decision: Decision, _decisions: Decisions) -> Iterable[Cause]:
    called = who(decision.identity)
    if decision.identity.disputed:
        step = f"Correct the employee ids in the directory, or: connector link USERNAME {called.typed}"
        yield Cause(Verdict.FIX_THE_DATA, called.key, f"Disputed: {clean(decision.identity.disputed)}.", (step,))


def _dates(decision: Decision, decisions: Decisions) -> Iterable[Cause]:
    """An enrolment that cannot be read, or a relationship that ended while the child stays."""
    called = who(decision.identity)
    for standing in _standings(decision, decisions):
        child = label_of(decisions, standing.relationship.student_id)
        if standing.attendance is Attendance.UNKNOWN and standing.current:
            text = f"An enrolment of {child} cannot be read: it exits before it enters, or has no entry date."
            yield Cause(Verdict.FIX_THE_DATA, called.key, text, (f"Correct the enrolment of {child}.",))
        ended = not standing.current and standing.attendance is Attendance.YES
        if ended and _stands_alone(decision, decisions) and Hold.STILL_HAS_CHILDREN in decision.holds:
            text = f"The relationship to {child} ended on {standing.relationship.ended_on}, and the child stays."
            release = f"If it is right: connector release {called.typed} --hold {Hold.STILL_HAS_CHILDREN}"
            yield Cause(Verdict.FIX_THE_DATA, called.key, text, (_FIRST, release))


def _successor(decision: Decision, _decisions: Decisions) -> Iterable[Cause]:
    called = who(decision.identity)
    if Hold.POSSIBLE_SUCCESSOR in decision.holds:
        why = next(e.text for e in decision.evidence if e.about == Hold.POSSIBLE_SUCCESSOR)
        text = f"Perhaps two records of one person, not proven: {clean(why)}."
        step = f"If it is one person: enter {called.code} as a previous code of the new record."
        release = f"If not: connector release {called.typed} --hold {Hold.POSSIBLE_SUCCESSOR}"
        yield Cause(Verdict.FIX_THE_DATA, called.key, text, (step, release))


def _flags(decision: Decision, decisions: Decisions) -> Iterable[Cause]:
    """A contact type nobody lists is data, an own override is data, a type that is not flagged is the rule."""
    if Reason.PORTAL_FLAG_OFF not in decision.reasons or not _stands_alone(decision, decisions):
        return
    called, school = who(decision.identity), decisions.school
    for standing in _standings(decision, decisions):
        at_school = standing.current and standing.attendance is Attendance.YES
        if not at_school or standing.flagged or standing.restricted:
            continue
        relationship = standing.relationship
        name, child = clean(relationship.contact_type) or "(blank)", label_of(decisions, relationship.student_id)
        if relationship.portal_access is not None:
            text = f"The relationship to {child} has its own portal access no."
            yield Cause(Verdict.FIX_THE_DATA, called.key, text, (_FIRST, "If it is wrong, set it to yes or blank."))
        elif fold(relationship.contact_type) not in school.flags:
            text = f"The contact type {name} of the relationship to {child} is not in the school's list."
            yield Cause(Verdict.FIX_THE_DATA, called.key, text, ("Use a contact type of the list.",))
        else:
            yield _unflagged_type(called.key, name, child, decisions)


def _unflagged_type(key: str, name: str, child: str, decisions: Decisions) -> Cause:
    school = decisions.school
    same = {r.contact_id for r in school.reading.relationships if fold(r.contact_type) == fold(name)}
    many = counted(len(same), "contact")
    text = f"The contact type {name} has no portal flag ({many} of that type), and {child} stays."
    override = "Is this the right contact type? Or give this one relationship its own portal access."
    rule = f"If every {name} should see the portal: flag the contact type; the sync rules follow it."
    return Cause(Verdict.FIX_THE_RULE, key, text, (_FIRST, override, rule))


def _portal_differs(decision: Decision, decisions: Decisions) -> Iterable[Cause]:
    """The portal says something else than the admin system, which is right: its sync has to be looked at."""
    identity = decision.identity
    called = who(identity)
    for member in identity.members:
        rules = next((p for p in decisions.scene.portals if p.name == member.portal), None)
        if member.code and identity.person and fold(member.code) != fold(identity.person.code):
            text = f"{member.portal} has the code {clean(member.code)} where the admin system says {called.code}."
            yield Cause(Verdict.RAISE_A_CASE, called.key, text, (_case(decision, decisions),))
        own_word = rules is not None and rules.strategy is Strategy.CUSTOM and member.strategy_match is False
        if own_word and decisions.school.counting(identity.key):
            text = f"{member.portal} says this person does not match, and the admin system says they should."
            yield Cause(Verdict.RAISE_A_CASE, called.key, text, (_case(decision, decisions),))


def _case(decision: Decision, decisions: Decisions) -> str:
    links = decisions.school.relationships.get(decision.identity.key, ())
    types = listed(sorted({clean(r.contact_type) for r in links if r.contact_type})) or "none"
    return f"Raise a case with the portal's support: contact type {types}, contact code {who(decision.identity).code}."


_LOOKS: tuple[Look, ...] = (_wrong_record, _disputed, _dates, _successor, _flags, _portal_differs)


def _standings(decision: Decision, decisions: Decisions) -> Sequence[Standing]:
    return decisions.school.standings(decision.identity.person_id or "")


def _stands_alone(decision: Decision, decisions: Decisions) -> bool:
    """Say whether no other account of the same human is active or ready to provision."""
    statuses = {d.identity.key: d.status for d in decisions.rows}
    standing = (Status.ACTIVE, Status.READY_TO_PROVISION)
    same = decisions.school.same_human(decision.identity.person_id or "")
    return not any(statuses.get(other) in standing for other in same)


def _two_entitled(records: Sequence[Decision], decisions: Decisions) -> Iterable[Cause]:
    """Two records of one human, both entitled: doubled in the admin system."""
    entitled = [d for d in records if decisions.scene.claims.portals_of(d.identity.person_id)]
    if len(entitled) > 1:
        labels = listed([who(d.identity).label for d in entitled])
        step = "Merge them, or end the relationships of the one that is not used."
        yield Cause(Verdict.FIX_THE_DATA, records[0].identity.key, f"{labels} are one person, doubled.", (step,))


def _in_order(records: Sequence[Decision], decisions: Decisions, discreet: bool) -> Cause:
    """Nothing contradicts the admin system: say what will happen by itself, or what to provision."""
    key = records[0].identity.key
    waiting = [d for d in records if d.status is Status.READY_TO_PROVISION]
    for row in waiting:
        missing = listed(missing_parts(row.identity, decisions))
        called = who(row.identity)
        text = f"{called.label} is ready to provision; missing: {missing}."
        later = f"If it does not come with the next sync: {_case(row, decisions)}"
        return Cause(Verdict.NOTHING_TO_MEND, key, text, ("Provision it and send the welcome e-mail.", later))
    revoking = [who(d.identity).label for d in records if d.status is Status.READY_TO_REVOKE]
    if revoking:
        confidential = any(not {Reason.RESTRICTED, Reason.BLOCKED}.isdisjoint(d.reasons) for d in records)
        why = "the authority role knows why" if discreet and confidential else "the admin system is followed"
        return Cause(Verdict.NOTHING_TO_MEND, key, f"{listed(revoking)}: ready to revoke, and {why}.")
    return Cause(Verdict.NOTHING_TO_MEND, key, "Admin system, portal and directory agree.")
