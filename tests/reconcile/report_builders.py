"""A report of Harbour College's run, built by naming only what matters to a test."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from connector.model import LegKind, LegState
from connector.reconcile.leg_words import LegLine
from connector.reconcile.memory import Memory
from connector.reconcile.plan import build_plan
from connector.reconcile.plan_values import Objection, Plan
from connector.reconcile.report import HeldKeys, Outcomes, Report, RunCounts, RunFacts, report
from tests.reconcile.harbour import AS_OF, NOW, Sample, harbour

OBJECTION = Objection(
    "max-revocations",
    "The plan would revoke 131 people. Nothing was closed.",
    "If wrong: correct it in the admin system.",
    ("connector approve 7f3a --waive max-revocations",),
)


def leg(key: str = "1059", state: LegState = LegState.CLOSED, **fields: object) -> LegLine:
    """One leg, driven now."""
    given: dict[str, object] = {
        "kind": LegKind.DIRECTORY,
        "target": "ad",
        "subject": "a-guid",
        "state": state,
        "detail": "",
        "at": NOW,
        "attempts": 1,
        "intended_at": NOW,
        "key": key,
        "code": f"C{key}",
        "name": "Ada Lovelace",
    }
    return LegLine(**(given | fields))  # type: ignore[arg-type] # a builder's fields are checked by the dataclass


def runs(count: int) -> tuple[RunCounts, ...]:
    """The counts of the last runs, newest last."""
    return tuple(RunCounts(NOW - timedelta(days=count - n), n * 7 % 13, n % 3, 5 + n % 4, 12) for n in range(count))


def plan_of(sample: Sample) -> Plan:
    return build_plan(sample.decided(), Memory())


def made(
    *legs: LegLine,
    sample: Sample | None = None,
    stopped: Iterable[Objection] = (),
    known: HeldKeys = frozenset(),
    history: tuple[RunCounts, ...] = (),
    discreet: bool = False,
    **facts: Any,
) -> Report:
    """The report of a run with these legs."""
    sample = sample or harbour()
    run = RunFacts("12", facts.pop("school", "Harbour"), AS_OF, NOW, NOW, **facts)
    outcomes = Outcomes(legs, stopped=tuple(stopped))
    given = (run, plan_of(sample), outcomes, sample.decided(), history)
    return report(*given, known_holds=known, discreet=discreet)
