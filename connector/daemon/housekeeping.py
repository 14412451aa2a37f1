"""After the night, what is older than the config keeps it is forgotten, and old audit records are sealed. Once a day.

A daemon that never comes to its night does it all the same. Must never be done by a daemon that was overtaken.
"""

from datetime import date, timedelta

import structlog

from connector.daemon.errand import Ran, Scene
from connector.journal_key import pruning_of

DUTY = "housekeeping"
_NIGHTS = ("night", "caught-up")
_DAY = timedelta(days=1)

_log = structlog.stdlib.get_logger("connector.daemon")


class Housekeeping:
    """Sees to it that the journal does not grow for ever."""

    def after(self, scene: Scene, ran: Ran) -> None:
        """Forget after a night, once on each local day."""
        if ran.cause in _NIGHTS and _last(scene) != _today(scene):
            _keep_house(scene)

    def every_minute(self, scene: Scene) -> None:
        """Forget where no night came to it for a whole day."""
        last = _last(scene)
        if last is None:
            # A new journal has nothing to forget yet: its first night will do.
            _mark(scene, _today(scene) - _DAY)
        elif _today(scene) - last > _DAY:
            _keep_house(scene)


def _last(scene: Scene) -> date | None:
    duty = scene.connector.journal.duties.find(DUTY).get(DUTY)
    return date.fromisoformat(duty.value) if duty and duty.value else None


def _today(scene: Scene) -> date:
    return scene.now.astimezone(scene.connector.config.site.zone).date()


def _mark(scene: Scene, day: date) -> None:
    scene.connector.journal.duties.done(scene.claim, DUTY, day.isoformat())


def _keep_house(scene: Scene) -> None:
    connector = scene.connector
    # First, and on the claim: whoever was overtaken does nothing more, and what fails waits for the next night.
    _mark(scene, _today(scene))
    pruned = pruning_of(connector.config, connector.journal, connector.operator).prune()
    sealed = str(pruned.sealed or "")
    _log.info("housekeeping", forgotten=pruned.gone.total, sealed=sealed, deleted=len(pruned.deleted))
