"""Ends a process of the endpoint when the one that started it is gone: it would serve on, by an old config, for ever.

A worker whose listener was killed shares its port with the workers that were started since. Loads nothing.
"""

import os
import signal
import threading
import time
from collections.abc import Callable

_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 10.0
"""How long a process has for what it is answering."""


def end_with_parent(leave: Callable[[int], object] = os._exit) -> None:
    """Watch for the parent from now on. On Windows a parent cannot be seen to end: nothing is done there."""
    threading.Thread(target=_watch, args=(os.getppid(), leave), name="parent", daemon=True).start()


def _watch(parent: int, leave: Callable[[int], object]) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE_SECONDS)
    leave(1)
