"""What an instance is asked to do in a history: each act as the front ends do it, made of the same parts."""

from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

from connector.config import Authority
from connector.model import Hold, MemberStatus
from connector.reconcile import abandoning
from connector.reconcile.accepting import fingerprints_of
from connector.reconcile.journal_values import ChangeKind, Direction, MembershipChange, StoredRevocation
from connector.reconcile.judge import Judgement
from connector.reconcile.membership import Action, action_plan
from connector.reconcile.membership_changes import change_of_one, changes_of_action
from connector.reconcile.memory import Block, Release
from connector.reconcile.plan import hold_digest
from connector.reconcile.plan_values import Revocation
from connector.reconcile.restoring import plan_restore
from connector.urgent import Urgent
from tests.simulation.instance import PACE, Instance

Act = Callable[[Instance], str]
"""Does it, and says what came of it."""


def night(who: Instance) -> str:
    """Run once, as the nightly daemon does."""
    result = who.running.run(who.world.as_of)
    who.promises.after_run(who, result.exit_code)
    who.promises.words.after_plan(who, result)
    return f"{result.result}, exit {result.exit_code}"


def resume(who: Instance) -> str:
    """Drive what is open."""
    result = who.running.resume(who.world.as_of)
    who.promises.after_run(who, result.exit_code)
    return f"{result.result}, exit {result.exit_code}"


def revoke(person: str) -> Act:
    """Close one person by name, within a run of its own: the block goes with the intent."""

    def act(who: Instance) -> str:
        row = _asked_for(who, person)
        if row is None:
            return "nothing to close"
        running, as_of = who.running, who.world.as_of
        with running.acting("revoke", as_of, {}) as applier:
            block = Block(person, running.operator, "asked for")
            legs = who.journal.intend(applier.run, "", (row,), running.operator, blocks=(block,))
            left = applier.drive(legs)
            who.journal.end_run(applier.run, "revoked", 4 if left else 0)
        return f"revoked, {len(left)} legs open"

    return _named(act, f"revoke {person}")


def terminate(person: str) -> Act:
    """Close one human by name at once, on claims alone, ahead of whatever run is going: the block goes with it."""

    def act(who: Instance) -> str:
        urgent = Urgent(who.running, Authority(("deputy",)), "School", ZoneInfo("UTC"))
        order = urgent.order(who.world.as_of, f"C{person}", "asked for")
        stored, done = urgent.terminate(order)
        return f"terminated by order {stored.number}, {len(done.open)} legs open"

    return _named(act, f"terminate {person}")


def countersign(who: Instance) -> str:
    """Let the deputy sign what waits for it, and hand that in."""
    urgent = Urgent(who.running, Authority(("deputy",)), "School", ZoneInfo("UTC"))
    unsigned = [one.number for one in urgent.due().unsigned]
    for number in unsigned:
        who.promises.words.signed.add(number)
        who.journal.countersign(number, "bob", "deputy", "by password and one-time code", who.name)
        urgent.hand_in(number, who.world.as_of)
    return f"signed {unsigned}"


def restore(person: str) -> Act:
    """Open again what was closed of one person."""

    def act(who: Instance) -> str:
        judgement = who.running.look(who.world.as_of)
        return _restore(who, judgement, who.journal.revocations(person, None))

    return _named(act, f"restore {person}")


def restore_run(run_id: int) -> Act:
    """Open again what one run closed."""

    def act(who: Instance) -> str:
        judgement = who.running.look(who.world.as_of)
        return _restore(who, judgement, who.journal.revocations(None, run_id))

    return _named(act, f"restore-run {run_id}")


def _restore(who: Instance, judgement: Judgement, stored: Sequence[StoredRevocation]) -> str:
    running, as_of = who.running, who.world.as_of
    closed = [r for r in stored if r.direction is Direction.CLOSE]
    terminated = who.journal.terminated(r.row.key for r in closed)
    given = (judgement.decisions, judgement.snapshot, running.setup.portals)
    plan = plan_restore(closed, *given, seconded=False, terminated=terminated)
    if not plan.rows:
        return f"nothing to restore: {'; '.join(why for _, why in plan.refused)}"
    with running.acting("restore", as_of, {}) as applier:
        legs = who.journal.intend(applier.run, "", plan.rows, running.operator, direction=Direction.OPEN)
        left = applier.drive(legs)
        who.journal.end_run(applier.run, "restored", 4 if left else 0)
    return f"restored, {len(left)} legs open"


def block(person: str) -> Act:
    """Keep one person out from the next decision on."""

    def act(who: Instance) -> str:
        who.journal.block(person, who.name, "asked for")
        return "blocked"

    return _named(act, f"block {person}")


def unblock(person: str) -> Act:
    """Lift every block on one person, by two people."""

    def act(who: Instance) -> str:
        who.promises.unblocked.add(person)
        who.journal.unblock(person, who.name, "bob")
        return "unblocked"

    return _named(act, f"unblock {person}")


def abandon(person: str) -> Act:
    """Call off what is open for one person, and take back what was asked for by hand."""

    def act(who: Instance) -> str:
        done = abandoning.abandon(who.journal, who.targets, person, who.name, "asked for", PACE.lease_seconds)
        return f"{done.called_off} legs called off, {len(done.left)} stay open"

    return _named(act, f"abandon {person}")


# --- what people decide about others ----------------------------------------------------------------------------------


def keep(person: str) -> Act:
    """Keep one person in: their row is held."""

    def act(who: Instance) -> str:
        who.journal.keep(person, who.name, "asked for")
        return "kept"

    return _named(act, f"keep {person}")


def unkeep(person: str) -> Act:
    """Take the keeps on one person back."""

    def act(who: Instance) -> str:
        who.promises.words.unkept.add(person)
        who.journal.unkeep(person, who.name)
        return "not kept any more"

    return _named(act, f"unkeep {person}")


def release(who: Instance) -> str:
    """Release every hold that a person may release, as it stands now."""
    decisions = who.running.look(who.world.as_of).decisions
    released = [
        Release(d.identity.key, hold, hold_digest(hold, d.reasons, d.evidence), who.name, "looked at")
        for d in decisions.rows
        for hold in d.holds
        if hold not in (Hold.PROTECTED, Hold.DISPUTED, Hold.KEEP)
    ]
    for one in released:
        who.journal.release(one)
    return f"released {[f'{one.key} {one.hold}' for one in released]}"


# --- plans ------------------------------------------------------------------------------------------------------------


def make_plan(who: Instance) -> str:
    """Make a plan and keep it."""
    judgement = who.running.look(who.world.as_of)
    plan = judgement.plan
    who.promises.words.plan_made(plan.plan_id, who.read_at or who.world.now)
    with who.running.acting("plan", who.world.as_of, fingerprints_of(judgement.snapshot)) as applier:
        who.journal.keep_plan(plan, applier.run)
        who.journal.end_run(applier.run, "planned", 0, judgement.counts, plan.plan_id)
    return f"plan {plan.plan_id}, objections {[o.label for o in plan.objections]}"


def approve(*, wholly: bool) -> Act:
    """Approve the newest plan, waiving all of its objections or all but one."""

    def act(who: Instance) -> str:
        newest = who.journal.plans(1)
        if not newest:
            return "no plan to approve"
        stored = who.journal.plan(newest[0].plan_id)
        labels = [o.label for o in stored.plan.objections]
        waived = tuple(labels if wholly else labels[1:])
        who.journal.approve(stored.plan.digest, stored.plan.plan_id, waived, who.name, "looked at")
        return f"approved {stored.plan.plan_id}, waiving {waived}"

    return _named(act, "approve")


def run_plan(who: Instance) -> str:
    """Apply the newest plan as it was kept."""
    newest = who.journal.plans(1)
    if not newest:
        return "no plan to apply"
    plan_id = newest[0].plan_id
    kept = who.promises.words.stored(plan_id)
    result = who.running.run(who.world.as_of, plan_id=plan_id)
    who.promises.after_run(who, result.exit_code)
    who.promises.words.after_plan(who, result, plan_id, kept)
    return f"plan {plan_id} {result.result}, exit {result.exit_code}, skipped {[r.key for r, _ in result.skipped]}"


# --- memberships ------------------------------------------------------------------------------------------------------


def member_action(action: Action, portal: str) -> Act:
    """Carry one of the three explicit actions out."""

    def act(who: Instance) -> str:
        rules = next((p for p in who.running.setup.portals if p.name == portal), None)
        if rules is None:
            return "no such portal"
        judgement = who.running.look(who.world.as_of)
        plan = action_plan(action, rules, judgement.memberships)
        left = _change(who, changes_of_action(plan))
        return f"changed {[m.person_id for m in plan.members]}, {left} open"

    return _named(act, f"{action} {portal}")


def one_member(kind: ChangeKind, portal: str, person: str) -> Act:
    """Change one member, or add one, because somebody asks for it by name."""

    def act(who: Instance) -> str:
        judgement = who.running.look(who.world.as_of)
        identity = judgement.decisions.correlation.by_key().get(person)
        rules = next((p for p in who.running.setup.portals if p.name == portal), None)
        if identity is None or rules is None:
            return "no such member"
        asked = change_of_one(kind, rules, identity, judgement.decisions, MemberStatus.ENABLED)
        who.promises.words.by_name.add((person, portal))
        return f"{len(asked.changes)} changes, {_change(who, asked.changes)} open"

    return _named(act, f"{kind}-member {portal} {person}")


def _change(who: Instance, changes: Sequence[MembershipChange]) -> int:
    with who.running.acting("membership", who.world.as_of, {}) as applier:
        left = applier.change(changes)
        who.journal.end_run(applier.run, "changed", 4 if left else 0)
    return len(left)


def _asked_for(who: Instance, person: str) -> Revocation | None:
    judgement: Judgement = who.running.look(who.world.as_of)
    identity = judgement.decisions.correlation.by_key().get(person)
    return None if identity is None else who.running.asked_for(judgement, identity, "asked for")


def _named(act: Act, name: str) -> Act:
    act.__name__ = name
    return act
