"""Tells the authority, after every run, what an authority has to know: as `connector run` does from a scheduler."""

import structlog

from connector.daemon.errand import Ran, Scene

_log = structlog.stdlib.get_logger("connector.daemon")


class Summoning:
    """Asks `Summons` once per run. What is told is remembered there: nothing is told twice."""

    def after(self, scene: Scene, ran: Ran) -> None:
        """Tell what is overdue, and which urgent account stays open because it is protected."""
        if ran.result is not None:
            for unsent in scene.connector.summons.of_run(ran.result):
                _log.warning("authority-not-told", problem=unsent)

    def every_minute(self, scene: Scene) -> None:
        """Nothing: what is overdue is told by the next run."""
