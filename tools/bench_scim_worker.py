"""The endpoint for `make bench-scim`: what `connector serve` serves, by the same server, for a school without targets.

A config always names a portal. This one's is left alone: nothing outside follows what is written.
"""

import sys
from typing import Any

from connector.scim.listening import listen


def worker() -> Any:
    """Give a worker its application."""
    # The process that listens loads none of it, as when it is installed.
    from connector.scim import serving  # noqa: PLC0415 - what it imports is the worker's

    return serving.worker(acts=False)


if __name__ == "__main__":
    listen("127.0.0.1", int(sys.argv[1]), 1, factory="tools.bench_scim_worker:worker")
