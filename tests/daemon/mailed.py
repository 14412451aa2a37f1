"""A school whose daemon tells: the errands of reports over fake systems, a real journal and a clock of its own."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from connector.config import Config
from connector.config_daemon import Reports as ReportSettings
from connector.daemon.digest import Digest
from connector.daemon.errand import Errand, Scene
from connector.daemon.letters import letter_of
from connector.daemon.loop import Daemon
from connector.daemon.reminding import Reminders
from connector.daemon.reporting import Reports
from connector.daemon.sending import Sending
from connector.daemon.untouched import Untouched
from connector.post import Letter, Mail
from tests.daemon.world import Harbour
from tests.reconcile.build import ASSOCIATION, school

MAIL = Mail("mail.school.example", "connector@school.example", ("directory@school.example",))


class Mailed(Harbour):
    """A school with readers. `reports` are its settings; without `sends` everything stays in the outbox."""

    def __init__(self, folder: Path, *, families: int = 4, sends: bool = False, **settings: Any) -> None:
        super().__init__(folder, school().families(families).portal(ASSOCIATION), **settings)
        self.reports = ReportSettings(mail=MAIL)
        self.name, self.sends = "Harbour", sends

    def config(self, settle_seconds: int = 0) -> Config:
        config = super().config(settle_seconds)
        return replace(config, reports=self.reports, school=replace(config.school, name=self.name))

    def reported(self, **settings: Any) -> "Mailed":
        """Change what is told, and to whom."""
        self.reports = replace(self.reports, **settings)
        return self

    def daemon(self, **other: Any) -> Daemon:
        made: Sequence[Errand] = [Reports(), Untouched(), Digest(), Reminders(), *([Sending()] if self.sends else [])]
        return super().daemon(**{"errands": lambda _: made, **other})

    def nights_pass(self, count: int = 1, between: Callable[[], object] = lambda: None) -> "Mailed":
        """Let nights go by, each by a daemon that was started anew."""
        for _ in range(count):
            daemon = self.daemon()
            self.goes_on(daemon, days=1)
            daemon.close()
            between()
        return self

    def minutes_pass(self, count: int) -> "Mailed":
        """Let minutes go by one by one, by a daemon that was started anew."""
        daemon = self.daemon()
        for _ in range(count):
            daemon.step()
            self.clock.on(minutes=1)
        daemon.close()
        return self

    def leave(self, *people: str) -> "Mailed":
        for person in people:
            self.nights.school.leave(person, date(2026, 11, 17))
        return self

    @property
    def scene(self) -> Scene:
        """What an errand is given now."""
        connector = self.connector()
        return Scene(connector, connector.journal.succeed("daemon", "a test", 60), self.clock.now)

    # --- what was told ----------------------------------------------------------------------------------------------

    def letters(self, what: str = "") -> list[Letter]:
        """Give the letters that wait in the outbox, oldest first."""
        waiting = [m for m in self.journal.duties.unsent() if m.channel == "mail" and m.name.startswith(what)]
        return [letter_of(m.name, m.content) for m in waiting]

    def subjects(self, what: str = "") -> list[str]:
        return [letter.subject for letter in self.letters(what)]

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(m.content) for m in self.journal.duties.unsent() if m.channel == "webhook"]

    def pings(self) -> int:
        return sum(m.channel == "ping" for m in self.journal.duties.unsent())


def told(folder: Path, **settings: Any) -> Mailed:
    """Give a school whose first night was accepted before there was a daemon."""
    one = Mailed(folder, **settings)
    one.settled()
    return one
