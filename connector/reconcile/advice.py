"""What to do next about a decision, in one sentence, with the command. Pure.

The mend in the source comes before the override. Advice never changes anything: every command named here asks again.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from connector.model import Hold, Reason, Status
from connector.policy import PortalRules, Strategy
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decision, Decisions
from connector.reconcile.doors import account_is_needed, credential_stands
from connector.reconcile.memory import Memory
from connector.reconcile.plan import hold_digest
from connector.reconcile.wording import RESTRICTED_CHILD, Who, counted, listed, spoken, who


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, and what to type (may be nothing)."""

    text: str
    commands: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The advice and its commands as one line."""
        return f"{self.text} {'; '.join(self.commands)}".strip()


BY_ITSELF = frozenset({Hold.KEEP, Hold.NOTICE, Hold.UNCONFIRMED, Hold.ROLLOVER})
"""Holds that are somebody's word or end with time: the row waits, and nobody has to look."""

_REVOKE = "connector revoke {who} --reason TEXT --apply"
_RUN = "connector run --apply"
_RELEASE = "connector release {who} --hold {hold}"

_ADVICE: Mapping[Hold, tuple[str, tuple[str, ...]]] = {
    Hold.PROTECTED: (
        "The account is protected and never disabled here: take it out of the protected group, or disable it by hand.",
        (),
    ),
    Hold.DISPUTED: (
        "Make it clear whose account it is: correct the employee id in the directory, or link the right one.",
        ("connector link USERNAME {who}",),
    ),
    Hold.WEAK_MATCH: (
        "Check that the account is this person's; if so, link it or release the row.",
        ("connector link {username} {who}", _RELEASE),
    ),
    Hold.UNCLEAR_DATA: ("Correct the enrolment in the admin system; the next run decides again.", ()),
    Hold.STILL_HAS_CHILDREN: (
        "Check the family in the admin system first (split or blended?); if it is right, release the row.",
        ("connector family {who}", _RELEASE),
    ),
    Hold.POSSIBLE_SUCCESSOR: (
        "Check whether both records are the same person; if so, enter the old contact code as a previous code.",
        ("connector family {who}", _RELEASE),
    ),
    Hold.DISABLED_ELSEWHERE: (
        "Ask who disabled it and why; if it should stand, enable it where it was disabled.",
        (_RELEASE,),
    ),
    Hold.KEEP: ("Somebody keeps this person in; nothing to do until that ends.", (_RELEASE,)),
    Hold.OSCILLATING: (
        "Mend the rule or the data that keeps changing its word; then release the row.",
        ("connector history {who}", _RELEASE),
    ),
    Hold.NOTICE: ("The notice runs; nothing to do.", ()),
    Hold.UNCONFIRMED: ("Wait for the next run: it closes what is still ready then.", ()),
    Hold.ROLLOVER: (
        "The rollover is under way: everything but urgent rows waits until it is declared complete.",
        ("connector rollover complete",),
    ),
    Hold.POLICY: ("The school's policy asks for a look; if it is right, release the row.", (_RELEASE,)),
}


def hold_advice(hold: Hold, whom: Who) -> Advice:
    """Say what to do about one hold."""
    text, commands = _ADVICE[hold]
    username = shlex.quote(whom.username)
    return Advice(text, tuple(c.format(who=whom.typed, hold=hold, username=username) for c in commands))


def urgent_advice(whom: Who) -> Advice:
    """Say what to do about an urgent row that nothing holds and nothing has driven yet."""
    # A first run is nobody's to outrun: there is nothing to hold its urgent rows against.
    text = "Urgent: the next run that applies closes it even where other rows are stopped, but never before a first"
    return Advice(f"{text} plan was approved; to close it now:", (_REVOKE.format(who=whom.typed),))


def withheld_advice(label: str, whom: Who) -> Advice:
    """Say what to do about an urgent row that waits because no new order closes it, but what the objection names."""
    text = (
        f"It waits with the objection {label}: had access until then. Mend or approve that; to close it all the same:"
    )
    return Advice(text, (_REVOKE.format(who=whom.typed),))


def standing_holds(decision: Decision, memory: Memory) -> tuple[Hold, ...]:
    """Give the holds nobody has released for the evidence of today."""
    key = decision.identity.key
    digests = {(r.hold, r.evidence_digest) for r in memory.releases if r.key == key}
    return tuple(h for h in decision.holds if (h, hold_digest(h, decision.reasons, decision.evidence)) not in digests)


def next_step(decision: Decision, decisions: Decisions, memory: Memory, discreet: bool = False) -> Advice:
    """Say what to do about a decision."""
    whom = who(decision.identity)
    match decision.status:
        case Status.READY_TO_REVOKE:
            return _about_revocation(decision, memory, whom)
        case Status.READY_TO_PROVISION:
            return _about_provisioning(decision, decisions, memory, whom)
        case Status.ACTIVE:
            notes = [spoken(e, discreet).text for e in decision.evidence if e.about == RESTRICTED_CHILD]
            return Advice(f"Look: {notes[0]}." if notes else "Nothing to do.")
        case _:
            outside = listed(decision.open_outside_scope)
            if outside:
                return Advice(f"An account outside the managed OUs still stands open; disable it by hand: {outside}.")
            return Advice("Nothing to do.")


def _about_revocation(decision: Decision, memory: Memory, whom: Who) -> Advice:
    holds, revoke = standing_holds(decision, memory), _REVOKE.format(who=whom.typed)
    if decision.urgent:
        kept = hold_advice(holds[0], whom) if holds else Advice("")
        if kept.text:
            text = f"Urgent: credential and sessions go with the next run. {kept.text}"
            return Advice(text, (revoke, *kept.commands))
        return urgent_advice(whom)
    if needing := [h for h in holds if h not in BY_ITSELF] or list(holds):
        advice = hold_advice(needing[0], whom)
        more = f" ({counted(len(holds) - 1, 'more hold')} below)" if len(holds) > 1 else ""
        return Advice(f"{advice.text}{more}", advice.commands)
    if decision.reported_only:
        return Advice("The policy only reports this; to close it and keep it closed:", (revoke,))
    if Reason.SUPERSEDED in decision.reasons:
        # A block is on the human, not on the record: revoking the old one would keep the new one out as well.
        return Advice("The next run closes it. Do not revoke it: a block would keep the newer record out too.", (_RUN,))
    return Advice("The next run closes it; to close it now, and keep it closed until unblock:", (revoke,))


def _about_provisioning(decision: Decision, decisions: Decisions, memory: Memory, whom: Who) -> Advice:
    if decision.holds:
        return hold_advice(decision.holds[0], whom)
    if closed_by_us(decision.identity, memory):
        return Advice("We closed it, and it is due again; to open it:", (f"connector restore {whom.typed} --apply",))
    missing = listed(missing_parts(decision.identity, decisions))
    return Advice(f"Missing: {missing}. Provision it in the portal's account manager, then send the welcome e-mail.")


def closed_by_us(identity: Identity, memory: Memory) -> bool:
    """Say whether the last change of what stands closed was ours."""
    accounts = any((a.account.directory, a.account.guid) in memory.closed_accounts for a in identity.accounts)
    return accounts or any((m.portal, m.person_id) in memory.closed_members for m in identity.members)


def missing_parts(identity: Identity, decisions: Decisions) -> tuple[str, ...]:
    """Give what an entitled person lacks to log in to each governed portal."""
    entitled = decisions.scene.claims.portals_of(identity.person_id)
    wanted = [p for p in decisions.scene.governed if p.name in entitled and p.strategy is not Strategy.MANUAL]
    found = [text for p in wanted if (text := _missing_member(identity, p, decisions))]
    needed = account_is_needed(identity, decisions.scene) and not decisions.scene.unread_directories
    if wanted and needed and not any(a.account.enabled for a in identity.accounts):
        found.append("a directory account" if not identity.accounts else "an enabled directory account")
    return tuple(found)


def _missing_member(identity: Identity, portal: PortalRules, decisions: Decisions) -> str:
    members = identity.members_of(portal.name)
    stands = any(m.enabled and credential_stands(m, portal) for m in members)
    if stands or portal.name in decisions.scene.unread_portals:
        return ""
    if not members:
        return f"membership of {portal.name}"
    if not any(m.enabled for m in members):
        return f"enabled membership of {portal.name}"
    return f"a {'password' if any(m.username for m in members) else 'username'} in {portal.name}"
