"""Holding back Python's cycle collector while a whole school is decided: how long that takes, never what comes out.

Deciding makes millions of values that all live until the end and never point at each other in a circle. The collector
walks through them again and again, finds nothing, and takes a fifth of the time. What is let go meanwhile is freed by
its reference count, as always.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_held() -> Iterator[None]:
    """Hold the collector back until the block ends; leave it as it was found."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
