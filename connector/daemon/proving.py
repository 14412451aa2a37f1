"""Proves the audit trail after each night, and remembers what came of it: a scrape could not wait for a long trail.

It mends nothing: whoever reads that the trail does not hold compares the journal with a backup.
"""

from datetime import timedelta

import structlog

from connector.daemon.duties import AT_NIGHT, CAUGHT_UP
from connector.daemon.errand import Ran, Scene

PROVEN = "audit-proven"
"""The duty under which it is remembered when the trail was proven, and what came of it."""

EVERY = timedelta(hours=26)
"""After so long it is proven again, also where no night came."""

_SOUND = "sound"
_log = structlog.stdlib.get_logger("connector.daemon")


def is_sound(said: str) -> bool:
    """Say whether the trail held, by what the duty remembers."""
    return said == _SOUND


class Proving:
    """The errand that proves the trail."""

    def after(self, scene: Scene, ran: Ran) -> None:
        """Prove it after a night."""
        if ran.cause in (AT_NIGHT, CAUGHT_UP):
            self._prove(scene)

    def every_minute(self, scene: Scene) -> None:
        """Prove it where that was never done, or long ago."""
        known = scene.connector.journal.duties.find(PROVEN).get(PROVEN)
        if known is None or scene.now - known.done_at > EVERY:
            self._prove(scene)

    def _prove(self, scene: Scene) -> None:
        journal = scene.connector.journal
        state = journal.verify_audit()
        if not state.ok:
            _log.error("audit-does-not-hold", problem=state.sentence, next="connector audit verify")
        journal.duties.done(scene.claim, PROVEN, _SOUND if state.ok else state.sentence)
