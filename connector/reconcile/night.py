"""What a plan is judged against, as one value. It never decides; `guard` does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from connector.policy import Limits
from connector.reconcile.baseline import Baseline
from connector.reconcile.memory import Memory


@dataclass(frozen=True, slots=True)
class Night:
    """Limits, the last accepted snapshot, memory, and the time (zoned)."""

    limits: Limits
    now: datetime
    memory: Memory = field(default_factory=Memory)
    baseline: Baseline | None = None
    highest_counts: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def since(self) -> str:
        """The day of the last accepted snapshot, as a person says it; empty where there is none."""
        return "" if self.baseline is None else f"{self.baseline.as_of.day} {self.baseline.as_of:%b}"


def is_over(count: float, share: float, of: int) -> bool:
    """Say whether a count is over a share of a whole; exactly at it is not over."""
    return count - share * of > _ROUNDING


_ROUNDING = 1e-9
"""Shares are binary fractions: 0.29 of 100 is a little less than 29."""


__all__ = ["Night", "is_over"]
