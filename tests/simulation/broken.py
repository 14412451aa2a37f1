"""Connectors that break one promise each, on purpose: the simulation must catch every one of them.

A check that never fails proves nothing. Each breaks exactly one thing, where a hurried hand might break it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from connector.model import LegKind, LegState, OpenAccount, Outcome
from connector.reconcile import apply, journal_claims, judge, resume, running
from connector.reconcile.apply import Applier
from connector.reconcile.journal_legs import Legs
from connector.reconcile.journal_sweeps import Sweeps
from connector.reconcile.journal_values import OpenLeg
from connector.reconcile.sweeping import Sweeping

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

    def headlong(legs: Sequence[OpenLeg], _decisions: object, **_: object) -> resume.Resumption:
        return resume.Resumption(tuple(leg for leg in legs if leg.resumable and not leg.planned.unread), ())

    return running, "decide_again", headlong


def _sweep_once() -> Patch:
    """End sessions once, and believe that they stay dead."""
    sweep = Sweeping.sweep

    def once(self: Sweeping, legs: Any, doors: Any, older: Any, _seconds: float, _most: int) -> list[OpenLeg]:
        with patch.object(Sweeping, "_settle", lambda *_: None):
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
}
"""What is broken, by name."""


@contextmanager
def breaking(name: str) -> Iterator[None]:
    """Break the connector in one way until the block ends; no name breaks nothing."""
    if not name:
        yield
        return
    where, what, instead = BROKEN[name]()
    with patch.object(where, what, instead):
        yield
