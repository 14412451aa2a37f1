"""Holding back Python's cycle collector while a whole school is decided. It changes how long that takes, never what comes out.

Deciding makes some millions of values that all live until the end and never point at each other in a circle. The collector
walks through them again and again, finds nothing, and takes a third of the time. Nothing is freed later for it: values
without circles are freed by their reference counts.
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
