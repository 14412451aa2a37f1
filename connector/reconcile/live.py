"""Going live and back, by a named person: the setting in the journal, and what is asked before it is set.

Must never say that runs apply where the journal was put back from a backup and nobody has gone live since.
"""

from dataclasses import dataclass
from datetime import datetime, time

from connector.reconcile.going_live import (
    GO_LIVE,
    NO,
    PUT_BACK,
    RUNS,
    YES,
    Holds,
    holds_to_read,
    is_live,
    refuse_too_soon,
    refuse_unread,
)
from connector.reconcile.journal import Journal
from connector.reconcile.judge import Judgement


@dataclass(frozen=True, slots=True)
class Live:
    """Says and sets it. `by_config`: the config says that runs apply; `now` and `night` are the school's local time."""

    journal: Journal
    operator: str
    by_config: bool
    now: datetime
    night: time

    @property
    def stands(self) -> bool:
        """Whether unattended runs apply."""
        return is_live(self.journal.setting(GO_LIVE), by_config=self.by_config)

    @property
    def was_put_back(self) -> bool:
        """Whether the journal was put back from a backup, and nobody has gone live since."""
        return self.journal.setting(GO_LIVE) == PUT_BACK

    def go(self, judgement: Judgement, read: str) -> Holds:
        """Go live. `read` is the digest of the list of holds that was read. Raises NotAllowed: too soon, or unread."""
        self.refuse_too_soon()
        holds = holds_to_read(judgement)
        refuse_unread(holds, read)
        self.journal.remark(
            "holds-read",
            "setting:go_live",
            self.operator,
            f"{self.operator} has read the list of holds {holds.digest} ({holds.people} people) before going live.",
        )
        self.journal.set_setting(GO_LIVE, YES, self.operator)
        return holds

    def refuse_too_soon(self) -> None:
        """Raise NotAllowed below five accepted runs."""
        refuse_too_soon(self.journal.accepted_runs(RUNS), self.now, self.night)

    def back(self) -> None:
        """Go back to report mode. A journal that was put back is in it, and stays there whatever the config says."""
        if not self.was_put_back:
            self.journal.set_setting(GO_LIVE, NO, self.operator)
