"""Connectors that break one promise each, on purpose: the simulation must catch every one of them.

A check that never fails proves nothing. Each breaks exactly one thing, where a hurried hand might break it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from sqlalchemy import update

from connector.model import LegKind, LegState, OpenAccount, Outcome
from connector.reconcile import (
    apply,
    correlate,
    holds,
    journal_claims,
    judge,
    membership,
    reading,
    restoring,
    resume,
    running,
)
from connector.reconcile.apply import Applier
from connector.reconcile.awaiting import AwaitingAuthority
from connector.reconcile.journal_legs import Legs
from connector.reconcile.journal_sweeps import Sweeps
from connector.reconcile.journal_tables import legs
from connector.reconcile.journal_values import OpenLeg
from connector.reconcile.running import Running
from connector.reconcile.sweeping import Sweeping
from tests.simulation import acts

Patch = tuple[Any, str, Any]


def _record_before_sending() -> Patch:
    """Say *closed* first, and send afterwards."""
    outcomes = Applier._outcomes

    def hurried(self: Applier, kind: Any, target: str, batch: Sequence[OpenLeg]) -> list[tuple[OpenLeg, Outcome]]:
        done = [(leg, Outcome(LegState.CLOSED, before=leg.planned.before)) for leg in batch]
        self.journal.record(done, self.holding.run, self.holding.claims)
        return outcomes(self, kind, target, batch)

    return Applier, "_outcomes", hurried


def _skip_the_journal() -> Patch:
    """Send without counting the try: nothing durable says that it was tried."""

    def uncounted(self: Legs, legs: Sequence[OpenLeg], *_: object) -> tuple[OpenLeg, ...]:
        return self.still_open(legs)

    return Legs, "attempt", uncounted


def _believe_a_lost_answer() -> Patch:
    """Take no answer for a yes."""
    asked = apply._asked

    def hopeful(ask: Callable[[], Sequence[Outcome]], count: int) -> Sequence[Outcome]:
        return [
            replace(one, state=LegState.CLOSED) if one.state is LegState.UNREACHABLE else one
            for one in asked(ask, count)
        ]

    return apply, "_asked", hopeful


def _go_on_without_the_lease() -> Patch:
    """Write and send on after somebody else has taken over."""
    return journal_claims, "require_run", lambda *_: None


def _resume_without_deciding() -> Patch:
    """Drive what is open, whoever has been entitled again meanwhile."""

    def headlong(legs: Sequence[OpenLeg], *_: object, **__: object) -> resume.Resumption:
        return resume.Resumption(tuple(leg for leg in legs if leg.resumable and not leg.planned.unread), ())

    return running, "decide_again", headlong


def _sweep_once() -> Patch:
    """End sessions once, and believe that they stay dead."""
    sweep = Sweeping.sweep

    def once(self: Sweeping, legs: Any, doors: Any, older: Any, _seconds: float, _most: int) -> list[OpenLeg]:
        with patch.object(Sweeping, "_settle", lambda *_: set()):
            return sweep(self, legs, doors, older, 0, 1)

    return Sweeping, "sweep", once


def _sweep_before_the_doors() -> Patch:
    """Call sessions ended while a door is open."""
    return Sweeps, "open_doors", lambda _: frozenset()


def _forget_blocks() -> Patch:
    """Decide as if nobody were blocked."""
    true: Any = judge.judge

    def forgetful(*given: Any) -> Any:
        past = given[4]
        memory = replace(past.memory, blocks={}, requested=frozenset())
        return true(*given[:4], replace(past, memory=memory), *given[5:])

    return running, "judge", forgetful


def _forget_keeps() -> Patch:
    """Decide as if nobody were kept."""
    true: Any = judge.judge

    def forgetful(*given: Any) -> Any:
        past = given[4]
        return true(*given[:4], replace(past, memory=replace(past.memory, keeps={})), *given[5:])

    return running, "judge", forgetful


def _see_no_protection() -> Patch:
    """Look at nothing that protects an account."""
    take = reading.take_snapshot

    def blind(*given: Any) -> Any:
        read = take(*given)
        directories = tuple(
            replace(one, accounts=tuple(replace(a, protected="") for a in one.accounts)) for one in read.directories
        )
        return replace(read, directories=directories)

    return running, "take_snapshot", blind


def _see_no_dispute() -> Patch:
    """Take the first candidate for the right one."""
    matching = correlate.correlate

    def sure(*given: Any) -> Any:
        found = matching(*given)
        return replace(found, identities=tuple(replace(one, disputed="") for one in found.identities))

    return judge, "correlate", sure


def _waive_everything() -> Patch:
    """Take any approval for one that waives every objection."""
    return Running, "waived", lambda _self, plan: frozenset(o.label for o in plan.objections)


def _apply_todays_plan() -> Patch:
    """Asked for a stored plan, apply what today's plan says."""
    return Running, "_as_stored", lambda _self, judgement, _stored: (judgement, ())


def _do_without_a_signature() -> Patch:
    """Ask the owner of a store before the authority has signed."""
    return AwaitingAuthority, "close", lambda self, batch: self._store.close(batch)


def _release_every_hold() -> Patch:
    """Take every hold of the school's policy for released."""
    return holds, "_policy_hold", lambda *_: iter(())


def _reopen_for_the_asking() -> Patch:
    """Restore whom only two people may let in again."""
    true: Any = restoring.plan_restore

    def eager(*given: Any, **_: Any) -> Any:
        with patch.object(restoring, "_not_now", lambda *_, **__: ""):
            return true(*given, seconded=True)

    return acts, "plan_restore", eager


def _believe_the_worklist() -> Patch:
    """Take what lies on a worklist for done."""
    asked = apply._asked

    def hopeful(ask: Callable[[], Sequence[Outcome]], count: int) -> Sequence[Outcome]:
        return [
            replace(one, state=LegState.CLOSED) if one.state is LegState.INTENDED else one for one in asked(ask, count)
        ]

    return apply, "_asked", hopeful


def _remove_who_still_matches() -> Patch:
    """Leave nobody out of an explicit action."""
    return membership, "_left_out", lambda *_, **__: ""


def _take_up_what_had_ended() -> Patch:
    """Call something open again that was called off."""
    record = Legs.record

    def again(self: Legs, *given: Any) -> None:
        record(self, *given)
        with self._store.writing() as writing:
            ended = legs.c.state == LegState.CALLED_OFF.value
            writing.conn.execute(update(legs).where(ended).values(state=LegState.INTENDED.value, finished_at=None))

    return Legs, "record", again


def _undo_a_failed_closing() -> Patch:
    """Open the account again where the credential could not be cleared."""
    doors = Applier._doors

    def undoing(self: Applier, kind: LegKind, target: str, batch: Sequence[OpenLeg]) -> list[OpenLeg]:
        left = doors(self, kind, target, batch)
        directory, codes = self.targets.directories["ad"], {leg.code for leg in left}
        if codes and kind is LegKind.CREDENTIAL:
            undone = [a for a in directory.read_all().accounts if a.employee_id in codes and not a.enabled]
            directory.open([OpenAccount(account, "512") for account in undone])
        return left

    return Applier, "_doors", undoing


BROKEN: dict[str, Callable[[], Patch]] = {
    "records-before-sending": _record_before_sending,
    "skips-the-journal": _skip_the_journal,
    "believes-a-lost-answer": _believe_a_lost_answer,
    "goes-on-without-its-lease": _go_on_without_the_lease,
    "resumes-without-deciding": _resume_without_deciding,
    "sweeps-once": _sweep_once,
    "sweeps-before-the-doors": _sweep_before_the_doors,
    "forgets-blocks": _forget_blocks,
    "undoes-a-failed-closing": _undo_a_failed_closing,
    "takes-up-what-had-ended": _take_up_what_had_ended,
    "forgets-keeps": _forget_keeps,
    "sees-no-protection": _see_no_protection,
    "sees-no-dispute": _see_no_dispute,
    "waives-everything": _waive_everything,
    "applies-todays-plan": _apply_todays_plan,
    "does-without-a-signature": _do_without_a_signature,
    "releases-every-hold": _release_every_hold,
    "reopens-for-the-asking": _reopen_for_the_asking,
    "believes-the-worklist": _believe_the_worklist,
    "removes-who-still-matches": _remove_who_still_matches,
}
"""What is broken, by name."""

TOPIC_OF = {
    "forgets-keeps": "keep",
    "sees-no-protection": "protected",
    "sees-no-dispute": "disputed",
    "waives-everything": "plans",
    "applies-todays-plan": "plans",
    "does-without-a-signature": "urgent",
    "releases-every-hold": "held",
    "reopens-for-the-asking": "urgent",
    "believes-the-worklist": "paper",
    "removes-who-still-matches": "members",
}
"""Where a break shows: in histories about this; any other shows in those about crashes and faults."""


@contextmanager
def breaking(name: str) -> Iterator[None]:
    """Break the connector in one way until the block ends; no name breaks nothing."""
    if not name:
        yield
        return
    where, what, instead = BROKEN[name]()
    with patch.object(where, what, instead):
        yield
