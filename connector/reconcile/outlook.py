"""What would change the outcome: dates that are coming, people's words, what the admin system would have to say.

Pure. Each line is concrete enough to be acted on.
"""

from collections.abc import Iterable
from datetime import timedelta

from connector.model import Hold, Status
from connector.policy import PortalRules
from connector.reconcile.access_dates import access_from, access_until
from connector.reconcile.advice import closed_by_us, missing_parts, standing_holds
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decision, Decisions
from connector.reconcile.entitlement import may_be_entitled
from connector.reconcile.memory import Memory
from connector.reconcile.school import blocks_on
from connector.reconcile.standing_words import concerns, what_would_entitle
from connector.reconcile.wording import clean, counted, day, listed, who


def outlook(decision: Decision, decisions: Decisions, memory: Memory, discreet: bool = False) -> tuple[str, ...]:
    """Give what would change the outcome, nearest first: time, people's words, data."""
    identity = decision.identity
    found = [*_by_time(identity, decisions), *_by_word(decision, decisions, memory, discreet)]
    found += [*_by_provisioning(decision, decisions, memory), *_by_the_admin_system(identity, decisions, discreet)]
    return tuple(dict.fromkeys(found))


def _shown(identity: Identity, decisions: Decisions) -> list[PortalRules]:
    return [p for p in decisions.scene.portals if concerns(p, identity, decisions)]


def _by_time(identity: Identity, decisions: Decisions) -> Iterable[str]:
    school, person_id = decisions.school, identity.person_id or ""
    entitled = decisions.scene.claims.portals_of(identity.person_id)
    for portal in _shown(identity, decisions):
        if portal.name in entitled:
            if until := access_until(school, portal, person_id):
                yield f"{portal.name}: access ends after {day(until)}, unless the admin system says otherwise by then"
        elif may_be_entitled(school, person_id) and (begins := access_from(school, portal, person_id)):
            yield f"{portal.name}: entitled from {day(begins)}"


def _by_word(decision: Decision, decisions: Decisions, memory: Memory, discreet: bool) -> Iterable[str]:
    whom, rules = who(decision.identity), decisions.school.rules
    for hold in standing_holds(decision, memory):
        match hold:
            case Hold.PROTECTED:
                yield "the account leaves the protected group or OU: then its directory leg goes too"
            case Hold.NOTICE:
                since = memory.ready_since.get(decision.identity.key, decisions.school.as_of)
                yield f"the notice ends on {since + timedelta(days=rules.notice_days)}: then it closes"
            case Hold.UNCONFIRMED:
                runs = rules.confirm_runs - memory.ready_runs.get(decision.identity.key, 0)
                yield f"ready in {counted(runs, 'more run')} (this one included): then it closes"
            case Hold.ROLLOVER:
                yield "the rollover is declared complete: connector rollover complete"
            case _:
                yield f"released by name, it closes: connector release {whom.typed} --hold {hold}"
    blocks = blocks_on(decision.identity.person_id or "", decisions.school, memory)
    untils = [block.until for block in blocks if block.until]
    if untils and len(untils) == len(blocks) and not discreet:
        yield f"the block ends after {max(untils)}"


def _by_provisioning(decision: Decision, decisions: Decisions, memory: Memory) -> Iterable[str]:
    if decision.status is not Status.READY_TO_PROVISION:
        return
    if missing := missing_parts(decision.identity, decisions):
        yield f"can log in once there is {clean(listed(missing))}"
    if closed_by_us(decision.identity, memory):
        yield f"what we closed is opened again: connector restore {who(decision.identity).typed} --apply"


def _by_the_admin_system(identity: Identity, decisions: Decisions, discreet: bool) -> Iterable[str]:
    entitled = decisions.scene.claims.portals_of(identity.person_id)
    for portal in _shown(identity, decisions):
        if portal.name not in entitled:
            for way in what_would_entitle(decisions, identity, portal, discreet):
                yield f"{portal.name}: entitled when {way}"
