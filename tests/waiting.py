"""Waiting for what a thread, a process or a server does: for the thing itself, never for a time."""

import time
from collections.abc import Callable

SECONDS = 60.0
"""An end for what never comes to be, not a promise: a busy machine may take its time."""

_EVERY = 0.05


def wait_for(condition: Callable[[], object], seconds: float = SECONDS, what: str = "") -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come to that{': ' if what else ''}{what}"
        time.sleep(_EVERY)
