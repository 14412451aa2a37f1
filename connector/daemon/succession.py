"""One daemon at a time, on any machine: it holds a claim on itself, and gives a sign of life while it works.

Whoever takes over ends the claims and the run of the one before. One that lost its claim does nothing more under its
old name: it stands by under a new one.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import structlog

from connector.daemon.complaints import Complaints
from connector.daemon.notifying import WATCHDOG, Notify, silent
from connector.daemon.sight import KEY, WORKER
from connector.errors import ConnectorError, RunInProgress
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import Claim

STUCK_SECONDS = 30 * 60.0
"""How long the main thread may come no further before nobody speaks for it any more: then another one takes over."""

_log = structlog.stdlib.get_logger("connector.daemon")


@dataclass(slots=True)
class Succession:
    """The claim of one daemon, and under which name it is held. `seconds` is how long it lives without a sign.

    `worker` is written down for those who ask who works.
    """

    journal: Journal
    seconds: float
    owner: str = field(default_factory=lambda: uuid4().hex)
    claim: Claim | None = None
    worker: str = ""
    _kept_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Say whether the daemon is this one; extend the claim, or take it where nobody holds it."""
        if self.claim is not None:
            try:
                self.keep(now)
            except RunInProgress as error:
                _log.warning("daemon-was-succeeded", problem=error.message)
                self.lose()
        if self.claim is None:
            self._take(now)
        return self.claim is not None

    def keep(self, now: datetime) -> None:
        """Extend the claim where a third of its life is over. Raises RunInProgress where it was lost."""
        if self.claim is None:
            raise RunInProgress("This daemon holds no claim on the school any more.", "Another one has taken over.")
        if self._kept_at is None or not self._kept_at <= now < self._kept_at + timedelta(seconds=self.seconds / 3):
            self.claim = self.journal.extend(self.claim, self.seconds)
            self._kept_at = now

    def doubt(self) -> None:
        """Ask the database with the next look whether the claim is still ours."""
        self._kept_at = None

    def sign_of_life(self) -> None:
        """Extend the claim from another thread, whatever the time. Raises RunInProgress where it was lost."""
        if (claim := self.claim) is not None:
            self.journal.extend(claim, self.seconds)

    def lose(self) -> None:
        """Stand by, under a new name: nothing that is still on its way under the old one is ever ours again."""
        self.claim, self._kept_at, self.owner = None, None, uuid4().hex

    def release(self) -> None:
        """Give the claim back, so that another one takes over at once."""
        claim, self.claim = self.claim, None
        if claim is not None:
            with contextlib.suppress(ConnectorError):  # it ends by itself
                self.journal.release_claims([claim])

    def _take(self, now: datetime) -> None:
        try:
            self.claim, self._kept_at = self.journal.succeed(KEY, self.owner, self.seconds), now
        except RunInProgress:
            return
        _log.info("daemon-works", owner=self.owner[:8])
        if self.worker:
            self.journal.duties.done(self.claim, WORKER, self.worker)


@dataclass(slots=True)
class Heart:
    """Gives signs of life from a thread while the main thread works, as long as that one comes further."""

    succession: Succession
    notify: Notify = silent
    stuck_seconds: float = STUCK_SECONDS
    _marked: float = field(default_factory=time.monotonic)
    _over: threading.Event = field(default_factory=threading.Event)
    _complaints: Complaints = field(default_factory=Complaints)

    def mark(self) -> None:
        """Note that the main thread came further."""
        self._marked = time.monotonic()

    @property
    def still_seconds(self) -> float:
        """For how long the main thread came no further."""
        return time.monotonic() - self._marked

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Beat until the end of the `with`."""
        thread = threading.Thread(target=self._beat, name="heart", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(self.succession.seconds)

    def _beat(self) -> None:
        while not self._over.wait(self.succession.seconds / 3):
            if self.still_seconds > self.stuck_seconds:
                _log.error("daemon-is-stuck", seconds=self.stuck_seconds)
                continue
            try:
                self.succession.sign_of_life()
            except RunInProgress:
                self.succession.doubt()
            except ConnectorError as error:
                self._complaints.say("daemon-heart", str(error), datetime.now(UTC))
            except Exception:  # noqa: BLE001 - a fault of ours: said, and the next beat is tried all the same
                _log.exception("daemon-heart")
            self.notify(WATCHDOG)
