"""The daemon as `connector daemon` runs it, in a process of its own, on a clock that goes many times as fast.

Whoever kills it again and again would else wait for minutes between two runs. Everything but the clock, and how often
it looks around, is what runs at a school.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from connector.app import Connector
from connector.daemon.loop import Daemon
from connector.daemon.stopping import Stopping
from connector.log import configure


class Fast(Daemon):
    """Looks around ten times a second."""

    @property
    def _look_seconds(self) -> float:
        return 0.1


def fast_clock(since: datetime, times: float) -> Callable[[], datetime]:
    """Give a clock that has gone so many times as fast since a moment."""
    return lambda: since + (datetime.now(UTC) - since) * times


def main(config: Path, since: datetime, times: float) -> None:
    """Work until told to stop: `python -m tests.e2e.fast_daemon CONFIG SINCE TIMES`."""
    configure(sys.stderr, json=True)
    stopping = Stopping()
    daemon = Fast(lambda: Connector.open(config), clock=fast_clock(since, times), stopping=stopping)
    stopping.on_signals(5)
    daemon.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), float(sys.argv[3]))
