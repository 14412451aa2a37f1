"""Where a run may be ended early: before the next send, never during one, and while sessions settle.

Whoever asks for it raises from `check`. Nothing is half sent then, and every leg that was intended stands open in the
journal; the next run drives it first. A batch that goes out by several requests ends between two of them too, as where
the lease is lost (`connector.permission`): what went out of it is counted, not recorded, and read back by the next run.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from connector.reconcile.boundaries import Boundary, Reached

Check = Callable[[], None]
"""Is asked at every quiet place, and between two requests of a batch. It may raise StoppedEarly: the run ends there."""

QUIET = frozenset(
    {
        Boundary.PLAN_KEPT,
        Boundary.BEFORE_CALL_OFF,
        Boundary.BEFORE_INTENT,
        Boundary.BEFORE_DIRECTORY,
        Boundary.BEFORE_CREDENTIAL,
        Boundary.BEFORE_SWEEP,
        Boundary.BETWEEN_SWEEPS,
        Boundary.BEFORE_ADDITION_INTENT,
        Boundary.BEFORE_ADDITION,
        Boundary.BEFORE_RESWEEP,
    }
)
"""The boundaries at which no try is counted that was not sent, and nothing was sent that is not recorded."""


def unasked() -> None:
    """Go on: nobody asks a run to end early."""


@dataclass(frozen=True, slots=True)
class Attendance:
    """How a run is attended: whose it is, for whoever may succeed them; what may end it early; how it waits."""

    owner: str = ""
    check: Check = unasked
    sleep: Callable[[float], None] = time.sleep


UNATTENDED = Attendance()


def at_quiet_places(check: Check, reached: Reached) -> Reached:
    """Give a hook that asks `check` at every quiet boundary, after `reached` was told of it."""
    if check is unasked:
        return reached

    def told(boundary: Boundary) -> None:
        reached(boundary)
        if boundary in QUIET:
            check()

    return told


def asking(check: Check, sleep: Callable[[float], None]) -> Callable[[float], None]:
    """Give a way to wait that asks `check` before and after: who waits holds no claim and has sent nothing."""
    if check is unasked:
        return sleep

    def waited(seconds: float) -> None:
        check()
        sleep(seconds)
        check()

    return waited
