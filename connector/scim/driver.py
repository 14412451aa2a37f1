"""The one process that reads the school and acts for the endpoint: mirrors, closes, opens, tells. It serves nobody.

It finds its work in the database and leaves there what came of it, so that it may be killed at any moment: whoever is
next goes on. What takes long (settling sessions, a target that is down) runs in lanes of its own, so that one person's
closing never waits for another's.
"""

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Lock
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy import Connection, Row, func, select

from connector.app import Connector
from connector.config_scim import Scim
from connector.errors import ConnectorError, RunInProgress
from connector.log import configure
from connector.reconcile import journal_tables as tables
from connector.reconcile.journal_scim_tables import scim_users
from connector.scim import user_store
from connector.scim.closings import Closings, Seen, open_closings
from connector.scim.gate import OPEN, UPDATE
from connector.scim.mirror import Mirror
from connector.scim.mirrored import sourced_statuses
from connector.scim.openings import Openings
from connector.scim.telling import Telling

LANES = 8
"""How many batches are on their way at once: each waits for its own sessions to settle."""

STEP_SECONDS = 0.1
RETRY_SECONDS = 20.0
TELL_SECONDS = 1.0
REREAD_SECONDS = 30.0
"""How long after a reading that failed the school is read again."""

_PENDING = (
    select(*user_store.COLUMNS).where(scim_users.c.pending.in_((OPEN, UPDATE))).order_by(scim_users.c.pending_since)
)
_NEWS = select(
    select(func.max(tables.revocations.c.id)).scalar_subquery().label("revocations"),
    select(func.max(tables.blocks.c.id)).scalar_subquery().label("blocks"),
    select(func.count(tables.blocks.c.lifted_at)).scalar_subquery().label("lifted"),
    select(func.max(tables.snapshots.c.id))
    .where(tables.snapshots.c.accepted_at.is_not(None))
    .scalar_subquery()
    .label("accepted"),
)
_CLOSED_SINCE = select(tables.revocations.c.person_id).where(tables.revocations.c.person_id.is_not(None))

_log = structlog.stdlib.get_logger("connector.scim.driver")


@dataclass(frozen=True, slots=True)
class News:
    """What tells that somebody else has closed, blocked or let in people, or has run."""

    revocations: int | None
    blocks: int | None
    lifted: int
    accepted: int | None


@dataclass(slots=True)
class Driver:
    """One school's driver. `stop` ends it between two steps."""

    path: Path
    stop: Event = field(default_factory=Event)
    clock: Callable[[], float] = time.monotonic
    _connector: Connector = field(init=False)
    _telling: Telling = field(init=False)
    _owner: str = field(default_factory=lambda: uuid4().hex)
    _seen: Seen | None = None
    _read_next: float = float("-inf")
    _read_after: int | None = None
    _tried: dict[str, float] = field(default_factory=dict)
    _busy: dict[str, float] = field(default_factory=dict)
    _told_at: float = float("-inf")
    _news: News | None = None
    _underway: list[Future[None]] = field(default_factory=list)
    _closing: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def run(self) -> None:
        """Work until `stop`. What is on its way is let finish its step; what is left is found again at the start."""
        self._connector = Connector.open(self.path)
        config = self._connector.config
        self._telling = Telling(self._connector.journal, config.site.zone)
        pool = ThreadPoolExecutor(LANES, thread_name_prefix="lane")
        try:
            while not self.stop.is_set():
                self._step(pool)
                self.stop.wait(STEP_SECONDS)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            self._connector.close()

    # --- one step ---------------------------------------------------------------------------------------------------

    def _step(self, pool: ThreadPoolExecutor) -> None:
        """Look what there is to do, and begin it. An error is said and tried again: nobody else does this work."""
        for what in (self._read, lambda: self._begin(pool), self._tell):
            try:
                what()
            except ConnectorError as error:
                _log.warning("scim-driver", problem=str(error))
                self.stop.wait(TELL_SECONDS)

    def _read(self) -> None:
        """Read the school where the newest reading is too old, or a run has been accepted since."""
        accepted, now = self._accepted(), self.clock()
        if now < self._read_next and accepted == self._read_after:
            return
        self._read_next, self._read_after = now + REREAD_SECONDS, accepted  # where it fails it is tried again then
        judgement = self._connector.look()
        self._read_next = now + 60.0 * self._settings.refresh_minutes
        self._seen = Seen(judgement)
        self._telling.statuses = sourced_statuses(judgement)
        portals = [portal.name for portal in self._connector.config.portal_rules]
        changed = Mirror(self._connector.journal.store, portals).write(judgement)
        _log.info("scim-mirrored", users=changed)

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        if self._seen is None:
            return
        self._underway = [future for future in self._underway if not future.done()]
        if len(self._underway) >= LANES:
            return
        closings = [row for row in open_closings(self._connector) if self._is_due(_closing(row))]
        if closings:
            self._start(pool, [_closing(row) for row in closings], lambda c, s: self._close(c, s, closings))
        with self._connector.journal.store.reading() as conn:
            pending = conn.execute(_PENDING).all()
        with self._lock:
            closing = frozenset(self._closing)
        pending = [row for row in pending if self._is_due(_opening(row)) and row.person_id not in closing]
        if pending:
            self._start(pool, [_opening(row) for row in pending], lambda c, s: self._open(c, s, pending))

    def _is_due(self, what: str) -> bool:
        return what not in self._busy and self.clock() - self._tried.get(what, float("-inf")) >= RETRY_SECONDS

    def _start(self, pool: ThreadPoolExecutor, whats: Collection[str], work: Callable[[Connector, Seen], None]) -> None:
        seen = self._seen
        if seen is None:
            return
        now = self.clock()
        self._busy.update(dict.fromkeys(whats, now))

        def lane() -> None:
            try:
                with self._lane() as connector:
                    work(connector, seen)
            except RunInProgress:
                pass  # a run is going: it does the same work, and we look again
            except ConnectorError as error:
                _log.warning("scim-lane", problem=str(error))
            finally:
                self._leave(whats)

        self._underway.append(pool.submit(lane))

    def _leave(self, whats: Collection[str]) -> None:
        ended = self.clock()
        with self._lock:
            self._tried = {what: at for what, at in self._tried.items() if ended - at < RETRY_SECONDS}
            self._tried.update(dict.fromkeys(whats, ended))
            for what in whats:
                self._busy.pop(what, None)

    @contextlib.contextmanager
    def _lane(self) -> Iterator[Connector]:
        """Give a lane connections of its own: a directory's connection is one thread's."""
        connector = Connector.open(self.path)
        try:
            yield connector
        finally:
            connector.close()

    def _close(self, connector: Connector, seen: Seen, rows: Sequence[Row[Any]]) -> None:
        """Close a batch. Nobody in it is opened meanwhile: what is asked for last is done last."""
        people = {row.person_id for row in rows}
        with self._lock:
            self._closing |= people
        try:
            self._close_now(connector, seen, rows)
        finally:
            with self._lock:
                self._closing -= people

    def _close_now(self, connector: Connector, seen: Seen, rows: Sequence[Row[Any]]) -> None:
        sourced = connector.journal.sourced(self._settings.roles)
        done = Closings(connector, self._owner).close(rows, seen, sourced)
        telling = Telling(connector.journal, connector.config.site.zone, self._telling.statuses)
        users = [row.user_id for row in rows if row.user_id]
        telling.tell(users, {row.user_id: None for row in rows if row.person_id in done})
        self._telling.unfinished |= telling.unfinished

    def _open(self, connector: Connector, seen: Seen, rows: Sequence[Row[Any]]) -> None:
        sourced = connector.journal.sourced(self._settings.roles)
        done = Openings(connector).open(rows, seen, sourced)
        finished = {row.id: row.pending_since for row in rows if row.id in done}
        telling = Telling(connector.journal, connector.config.site.zone, self._telling.statuses)
        telling.tell([row.id for row in rows], finished)

    # --- telling ----------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Tell what became of whom is being closed, and of whom somebody else closed, blocked or let in again."""
        if self.clock() - self._told_at < TELL_SECONDS:
            return
        self._told_at = self.clock()
        with self._connector.journal.store.reading() as conn:
            news = News(*conn.execute(_NEWS).one())
            people = self._people_since(conn, news)
        self._news = news
        if people:
            self._telling.of_people(people)
        closing = [row.user_id for row in open_closings(self._connector) if row.user_id]
        if wanted := {*closing, *self._telling.unfinished}:
            self._telling.tell(sorted(wanted))

    def _people_since(self, conn: Connection, news: News) -> set[str]:
        before = self._news
        if before is None or replace(before, accepted=news.accepted) == news:
            return set()
        revocations, blocks = tables.revocations, tables.blocks
        found = conn.execute(_CLOSED_SINCE.where(revocations.c.id > (before.revocations or 0))).scalars().all()
        lifted = blocks.c.lifted_at.is_not(None) if before.lifted != news.lifted else blocks.c.id < 0
        blocked = (
            conn.execute(select(blocks.c.person_id).where((blocks.c.id > (before.blocks or 0)) | lifted))
            .scalars()
            .all()
        )
        return {*found, *blocked}

    def _accepted(self) -> int | None:
        with self._connector.journal.store.reading() as conn:
            return News(*conn.execute(_NEWS).one()).accepted

    @property
    def _settings(self) -> Scim:
        return self._connector.config.scim or Scim()


def _closing(row: Row[Any]) -> str:
    return f"close {row.id}"


def _opening(row: Row[Any]) -> str:
    """What is asked for anew is tried at once, whenever the last try was."""
    return f"open {row.id} {row.pending} {row.pending_since}"


def main(words: Sequence[str]) -> None:
    """Drive one school until told to stop: `python -m connector.scim.driver CONFIG`."""
    configure(sys.stderr, json=True)
    driver = Driver(Path(words[0]))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: driver.stop.set())
    try:
        driver.run()
    except ConnectorError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
