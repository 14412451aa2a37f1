"""Remembers how long it took to tell of a run: from its end until its report, mails and webhooks were put.

It stands last among the errands that tell of runs, and tells nobody itself.
"""

from connector.daemon.errand import Ran, Scene

TOLD = "told"
"""The duty under which it is remembered: the run's number and the milliseconds."""


class Timing:
    """The errand that looks at the clock when all others have heard of a run."""

    def after(self, scene: Scene, ran: Ran) -> None:
        """Remember how long telling of this run took."""
        if ran.result is None:
            return
        took = scene.connector.clock() - ran.ended_at
        value = f"{ran.result.run_id} {round(took.total_seconds() * 1000)}"
        scene.connector.journal.duties.done(scene.claim, TOLD, value)

    def every_minute(self, scene: Scene) -> None:
        """See to nothing."""


def told_seconds(value: str, run_id: int) -> float:
    """Give how long it took to tell of this run; 0 where that is not known, or known of another one."""
    number, _, milliseconds = value.partition(" ")
    return int(milliseconds) / 1000 if number == str(run_id) and milliseconds.isdecimal() else 0.0
