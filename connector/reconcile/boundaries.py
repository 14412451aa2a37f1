"""The names of every boundary between a journal write and an effect, so that a test can stop the process at each.

A hook is told when a boundary is passed. Without one nothing happens; what runs never depends on it. It decides nothing
and is never given anything but the name.
"""

import os
import signal
from collections.abc import Callable, Mapping
from enum import StrEnum

from connector.errors import ConfigError

CRASH_AT = "CONNECTOR_CRASH_AT"
"""The environment variable that names the boundary at which the process kills itself: `NAME` or `NAME:N`."""


class Boundary(StrEnum):
    """A moment at which a crash leaves journal and targets in a state of its own. In the order a run passes them.

    `…-counted`: the try is durable, nothing is sent. `…-sent` and `swept`: the effect is there, the journal does not
    know. `…-recorded`: the journal knows.
    """

    RUN_BEGUN = "run-begun"
    BEFORE_CALL_OFF = "before-call-off"
    CALLED_OFF = "called-off"
    PLAN_KEPT = "plan-kept"

    CLAIMED = "claimed"
    BEFORE_INTENT = "before-intent"
    INTENT_DURABLE = "intent-durable"
    RELEASED = "released"

    BEFORE_DIRECTORY = "before-directory"
    DIRECTORY_COUNTED = "directory-counted"
    DIRECTORY_SENT = "directory-sent"
    DIRECTORY_RECORDED = "directory-recorded"

    BEFORE_CREDENTIAL = "before-credential"
    CREDENTIAL_COUNTED = "credential-counted"
    CREDENTIAL_SENT = "credential-sent"
    CREDENTIAL_RECORDED = "credential-recorded"

    BEFORE_SWEEP = "before-sweep"
    SWEEP_COUNTED = "sweep-counted"
    SWEPT = "swept"
    BETWEEN_SWEEPS = "between-sweeps"
    SWEEPS_CLEAN = "sweeps-clean"
    SWEEP_RECORDED = "sweep-recorded"

    BEFORE_ADDITION_INTENT = "before-addition-intent"
    ADDITION_INTENDED = "addition-intended"
    BEFORE_ADDITION = "before-addition"
    ADDITION_COUNTED = "addition-counted"
    ADDITION_SENT = "addition-sent"
    ADDITION_RECORDED = "addition-recorded"

    BEFORE_RESWEEP = "before-resweep"
    RESWEPT = "reswept"
    RESWEEP_RECORDED = "resweep-recorded"

    BEFORE_SNAPSHOT = "before-snapshot"
    SNAPSHOT_KEPT = "snapshot-kept"
    SNAPSHOT_ACCEPTED = "snapshot-accepted"
    PLAN_MARKED = "plan-marked"
    BEFORE_RUN_ENDED = "before-run-ended"
    RUN_ENDED = "run-ended"


Reached = Callable[[Boundary], None]
"""What is told that a boundary is passed. It may raise, or not return."""


def unwatched(_: Boundary) -> None:
    """Tell nobody."""


def from_environment(environment: Mapping[str, str] = os.environ) -> Reached:
    """Give the hook that `CONNECTOR_CRASH_AT` asks for: kill this process at the Nth passage of a boundary.

    Raises ConfigError for a name that is none: a crash test that never crashes proves nothing.
    """
    wanted = environment.get(CRASH_AT, "")
    if not wanted:
        return unwatched
    name, _, count = wanted.partition(":")
    if name not in set(Boundary) or not (count or "1").isdecimal() or int(count or "1") < 1:
        raise ConfigError(f"{CRASH_AT} names no boundary: {wanted!r}.", f"Use NAME or NAME:N of: {', '.join(Boundary)}")
    return _Killer(Boundary(name), int(count or "1"))


class _Killer:
    """Counts the passages of one boundary down, and kills the process at the last: nothing is flushed or tidied."""

    def __init__(self, at: Boundary, passages: int) -> None:
        self._at, self._left = at, passages

    def __call__(self, boundary: Boundary) -> None:
        if boundary is self._at:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
