"""What an instance is asked to do in a history: each act as the front ends do it, made of the same parts."""

from collections.abc import Callable

from connector.reconcile.apply import Applier
from connector.reconcile.journal_values import Direction
from connector.reconcile.judge import Judgement
from connector.reconcile.memory import Block
from connector.reconcile.plan_values import Revocation
from connector.reconcile.restoring import plan_restore
from tests.simulation.instance import PACE, Instance

Act = Callable[[Instance], str]
"""Does it, and says what came of it."""


def night(who: Instance) -> str:
    """Run once, as the nightly daemon does."""
    result = who.running.run(who.world.as_of)
    who.promises.after_run(who, result.exit_code)
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
    """Close one person by name on a claim alone, ahead of whatever run is going."""

    def act(who: Instance) -> str:
        row = _asked_for(who, person)
        if row is None:
            return "nothing to close"
        claims = who.journal.claim_many([row.key], who.name, PACE.lease_seconds)
        if not claims:
            return "somebody else holds the claim"
        block = Block(person, who.name, "asked for")
        legs = who.journal.intend(None, "", (row,), who.name, blocks=(block,), claims=claims)
        applier = Applier(who.journal, who.targets, None, PACE, sleep=who.sleep, reached=who.reached, claims=claims)
        left = applier.drive(legs)
        who.journal.release_claims(applier.holding.claims)
        return f"terminated, {len(left)} legs open"

    return _named(act, f"terminate {person}")


def restore(person: str) -> Act:
    """Open again what was closed of one person."""

    def act(who: Instance) -> str:
        running, as_of = who.running, who.world.as_of
        judgement = running.look(as_of)
        closed = [r for r in who.journal.revocations(person, None) if r.direction is Direction.CLOSE]
        portals = running.setup.portals
        plan = plan_restore(closed, judgement.decisions, judgement.snapshot, portals, seconded=False)
        if not plan.rows:
            return f"nothing to restore: {'; '.join(why for _, why in plan.refused)}"
        with running.acting("restore", as_of, {}) as applier:
            legs = who.journal.intend(applier.run, "", plan.rows, running.operator, direction=Direction.OPEN)
            left = applier.drive(legs)
            who.journal.end_run(applier.run, "restored", 4 if left else 0)
        return f"restored, {len(left)} legs open"

    return _named(act, f"restore {person}")


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
    """Call off what is open for one person."""

    def act(who: Instance) -> str:
        return f"{who.journal.abandon(person, who.name, 'asked for')} legs called off"

    return _named(act, f"abandon {person}")


def _asked_for(who: Instance, person: str) -> Revocation | None:
    judgement: Judgement = who.running.look(who.world.as_of)
    identity = judgement.decisions.correlation.by_key().get(person)
    return None if identity is None else who.running.asked_for(judgement, identity, "asked for")


def _named(act: Act, name: str) -> Act:
    act.__name__ = name
    return act
