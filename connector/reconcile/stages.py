"""How long each stage of a run takes, by what is said of its progress: a run that grows slow tells where.

It listens and counts, decides nothing, and a stage it does not know never stops a run.
"""

import re
import time
from collections.abc import Callable, Mapping

Tell = Callable[[str], None]

READ, RESUME, DECIDE, APPLY, SWEEP, ACCEPT, REPORT = "read", "resume", "decide", "apply", "sweep", "accept", "report"

STAGES = (READ, RESUME, DECIDE, APPLY, SWEEP, ACCEPT, REPORT)
"""Every stage, in the order of a night."""

_KEY = "{}_ms"
_SWEEPS = re.compile(r"sessions .*: \d+|settle [\d.e+]+ s")
_SENDS = re.compile(r".*: \d+")


class Stopwatch:
    """Passes on what is said of a run's progress, and counts the time of each stage."""

    def __init__(self, tell: Tell, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._now, self._acting, self._since = "", APPLY, clock()

    def __call__(self, what: str) -> None:
        """Hear what is going on."""
        self._enter(self._stage(what))
        self._tell(what)

    def enter(self, stage: str) -> None:
        """Begin a stage that nothing is said of. What is sent from now on, but to session stores, belongs to it."""
        self._acting = stage
        self._enter(stage)

    def counts(self) -> dict[str, int]:
        """Give the milliseconds of every stage there was, as a run's counts keep them."""
        self._enter(self._now)
        return {_KEY.format(stage): round(seconds * 1000) for stage, seconds in self._seconds.items() if stage}

    def _stage(self, what: str) -> str:
        if _SWEEPS.fullmatch(what):
            return SWEEP
        if _SENDS.fullmatch(what):
            return self._acting
        return DECIDE if what == "decide" else READ

    def _enter(self, stage: str) -> None:
        now = self._clock()
        self._seconds[self._now] = self._seconds.get(self._now, 0.0) + now - self._since
        self._now, self._since = stage, now


def seconds_of(counts: Mapping[str, int]) -> dict[str, float]:
    """Give the seconds of each stage that a run's counts keep."""
    return {stage: counts[_KEY.format(stage)] / 1000 for stage in STAGES if _KEY.format(stage) in counts}
