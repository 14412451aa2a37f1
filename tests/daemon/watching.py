"""A school that is watched: its daemon, and what listens beside it, on a real port."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from connector.config import AdapterSection, Config, Kind
from connector.daemon.health import Reading
from connector.daemon.listening import Listening, Server
from connector.daemon.loop import Daemon
from connector.daemon.proving import Proving
from connector.daemon.timing import Timing
from connector.errors import JournalError
from connector.interfaces import Secret
from connector.reconcile.journal import Journal
from connector.scim import counting
from connector.scim.clients import Client, Clients
from tests.daemon.world import Harbour
from tests.reconcile.build import ASSOCIATION, school
from tests.servers import free_port

SECRET = "whsec_dGhyb3ctYXdheSBzZWNyZXQgb2YgYSB0ZXN0LCBsb25n"

Samples = dict[str, list[tuple[dict[str, str], float]]]


class Watched(Harbour):
    """A school with a daemon and its listener. `reads` is how scrapes and probes open the journal."""

    def __init__(self, folder: Path, families: int = 4, **settings: Any) -> None:
        super().__init__(folder, school().families(families).portal(ASSOCIATION), **settings)
        self.settled()
        self.reads = self.open_journal
        self.one = self._daemon()

    def _daemon(self) -> Daemon:
        return self.daemon(errands=lambda _: (self.hearing, Timing(), Proving()))

    def limited(self, **limits: Any) -> None:
        """Start the daemon anew with other limits."""
        self.one.close()
        self.nights.school.limits(**limits)
        self.one = self._daemon()

    def watched_config(self) -> Config:
        """Give the config with a section for every fake, so that what is at rest is shown too."""

        def sections(kind: Kind, names: Any) -> tuple[AdapterSection, ...]:
            return tuple(AdapterSection(kind, name, "sql", {}) for name in names)

        targets = self.targets
        return replace(
            self.config(),
            portals=sections(Kind.PORTAL, targets.portals),
            directories=sections(Kind.DIRECTORY, targets.directories),
            session_stores=sections(Kind.SESSION_STORE, targets.session_stores),
        )

    def secret(self, text: str = SECRET) -> Secret:
        """Lay a webhook's secret down, and name it."""
        (self.folder / "hook").write_text(text + "\n")
        (self.folder / "hook").chmod(0o600)
        return Secret(file="hook")

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Listen; give the address."""
        reading, one = Reading(self.reads), self.one
        app = Listening(
            self.watched_config(), lambda: one.state, lambda: one.heart.still_seconds, one.ask, reading, self.clock
        )
        port = free_port()
        try:
            with Server(app, f"127.0.0.1:{port}").served():
                yield f"http://127.0.0.1:{port}"
        finally:
            reading.close()

    def client(self, name: str = "entra") -> None:
        """Enrol a SCIM client."""
        Clients(self.journal.store).create(Client(name), 0, "alice")

    def answered(self, *many: counting.Answered, seconds: float = 0.02) -> None:
        """Count SCIM requests, as a worker of its own would."""
        folder = self.watched_config().site.state_folder / counting.FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        tally = counting.Tally(folder)
        for one in many:
            tally.add(one, seconds)
        tally.write()


def scraped(address: str) -> Samples:
    """Scrape as Prometheus does, and read what it says."""
    answer = requests.get(f"{address}/metrics", timeout=10)
    assert answer.status_code == 200, answer.text
    found: Samples = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    """Give the one sample with these labels."""
    (found,) = [number for have, number in samples[name] if labels.items() <= have.items()]
    return found


def busy(folder: Path) -> Watched:
    """Give a school with somebody who is closed, somebody whose sessions cannot be ended, and requests that came."""
    one = Watched(folder, retry_minutes=1_440)  # a day of retries shows nothing that one of them does not
    one.client()
    one.answered(("entra", "GET", "Users", 200), ("entra", "PATCH", "Users", 429), ("", "GET", "Users", 401))
    one.nights.school.leave("ok0", date(2026, 11, 17))
    one.goes_on(one.one, hours=14)
    one.nights.school.leave("ok1", date(2026, 11, 17))
    next(iter(one.targets.session_stores.values())).trouble.down = True  # type: ignore[attr-defined] # a fake's
    one.goes_on(one.one, days=1)
    return one


def journal_gone() -> Journal:
    """Refuse as a database that is away does."""
    raise JournalError("The journal could not be read: no answer.", "Look at it.")
