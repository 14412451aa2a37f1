"""Starts the daemon on this machine: signals, log, systemd, and the school's own connector. Nothing else knows them."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import structlog

from connector.app import Connector
from connector.daemon.listening import listening
from connector.daemon.loop import Daemon
from connector.daemon.notifying import to_systemd
from connector.daemon.stopping import Stopping
from connector.log import configure

_log = structlog.stdlib.get_logger("connector.daemon")


def start(config_path: Path, *, once: bool = False, lives: Callable[[], bool] | None = None) -> int:
    """Work until told to stop, or `once` through what is due; give the exit code.

    `lives` says whether whoever started this process is still there; without them it stops. Raises ConnectorError where
    the config or the journal cannot be used.
    """
    configure(sys.stderr, json=not sys.stderr.isatty())
    stopping = Stopping()
    daemon = Daemon(lambda: Connector.open(config_path, _stage), stopping=stopping, notify=to_systemd, lives=lives)
    stopping.on_signals(daemon.connector.config.daemon.stop_seconds)
    _log.info("daemon-starts", config=str(config_path), once=once)
    if once:
        code = daemon.once()
        _log.info("daemon-ends", exit_code=code, next_night=daemon.schedule.next_night(daemon.clock()).isoformat())
        return code
    with listening(daemon):
        daemon.run()
    _log.info("daemon-ends")
    return 0


def beside(parent: int) -> Callable[[], bool]:
    """Give what says whether the process that started this one is still its parent."""
    return lambda: os.getppid() == parent


def _stage(stage: str) -> None:
    _log.info("stage", stage=stage)
