"""The one process that reads the school and acts for the endpoint: mirrors, closes, opens, tells. It serves nobody.

It finds its work in the database and leaves there what came of it, so that it may be killed at any moment: whoever is
next goes on. What takes long (settling sessions, a target that is down) runs in lanes of its own, so that one person's
closing never waits for another's.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
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
from connector.reconcile.journal_values import Claim
from connector.scim import user_store
from connector.scim.closings import Closings, Seen, open_closings
from connector.scim.gate import OPEN, UPDATE
from connector.scim.mirror import Mirror
from connector.scim.mirrored import left_out, sourced_statuses
from connector.scim.openings import Openings
from connector.scim.telling import Telling

LANES = 8
"""How many batches are on their way at once: each waits for its own sessions to settle."""

STEP_SECONDS = 0.1
TELL_SECONDS = 1.0
LEASE = "scim-driver"
LEASE_SECONDS = 20.0
"""How long after the last sign of life of a driver another one takes its place."""
STAND_BY_SECONDS = 2.0
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

_CLOSING, _OPENING = "close ", "open "
_MOST_SHOWN, _LONGEST_SHOWN = 10, 100

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
    """One school's driver. `stop` ends it between two steps, and so does the end of the process that started it.

    `mirrored` is set once the school has been read and written whole: Users, Groups and who is in which.
    """

    path: Path
    stop: Event = field(default_factory=Event)
    mirrored: Event = field(default_factory=Event)
    clock: Callable[[], float] = time.monotonic
    parent: int = field(default_factory=os.getppid)
    _connector: Connector = field(init=False)
    _telling: Telling = field(init=False)
    _owner: str = field(default_factory=lambda: uuid4().hex)
    _seen: Seen | None = None
    _read_next: float = float("-inf")
    _read_after: int | None = None
    _tried: dict[str, float] = field(default_factory=dict)
    _busy: dict[str, str] = field(default_factory=dict)
    _told_at: float = float("-inf")
    _news: News | None = None
    _underway: list[Future[None]] = field(default_factory=list)
    _reading: Future[None] | None = None
    _lease: Claim | None = None
    _lease_checked: float = float("-inf")
    _lock: Lock = field(default_factory=Lock)

    def run(self) -> None:
        """Work until `stop`. What is on its way is let finish its step; what is left is found again at the start."""
        self._connector = Connector.open(self.path)
        config = self._connector.config
        self._telling = Telling(self._connector.journal, config.site.zone)
        pool = ThreadPoolExecutor(LANES + 1, thread_name_prefix="lane")  # one more, for reading the school
        try:
            while not self.stop.is_set() and os.getppid() == self.parent:
                if self._is_ours():
                    self._step(pool)
                self.stop.wait(STEP_SECONDS if self._lease else STAND_BY_SECONDS)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            if self._lease is not None:
                with contextlib.suppress(ConnectorError):  # it ends by itself
                    self._connector.journal.release_claims([self._lease])
            self._connector.close()

    def _is_ours(self) -> bool:
        """Say whether this driver is the one that works: of several, on any machine, one holds the lease.

        Whoever takes it over ends the claims of the one before: what that one left is gone on with at once.
        """
        journal, now = self._connector.journal, self.clock()
        if self._lease is not None and now < self._lease_checked + LEASE_SECONDS / 4:
            return True
        try:
            self._lease = (
                journal.extend(self._lease, LEASE_SECONDS)
                if self._lease
                else journal.succeed(LEASE, self._owner, LEASE_SECONDS)
            )
        except ConnectorError as error:
            if self._lease is not None:
                _log.warning("scim-driver-stands-by", problem=str(error))
            self._lease, self._owner = None, uuid4().hex
            return False
        self._lease_checked = now
        return True

    # --- one step ---------------------------------------------------------------------------------------------------

    def _step(self, pool: ThreadPoolExecutor) -> None:
        """Look what there is to do, and begin it. An error is said and tried again: nobody else does this work."""
        steps: tuple[Callable[[], None], ...] = (partial(self._read, pool), partial(self._begin, pool), self._tell)
        for what in steps:
            try:
                what()
            except ConnectorError as error:
                _log.warning("scim-driver", problem=str(error))
                self.stop.wait(TELL_SECONDS)
            except Exception:  # noqa: BLE001 - a fault of ours: said, and everything else goes on
                _log.exception("scim-driver")
                self.stop.wait(TELL_SECONDS)

    def _read(self, pool: ThreadPoolExecutor) -> None:
        """Read the school where the newest reading is too old, or a run has been accepted since.

        A large school takes minutes to read: it is read beside everything else.
        """
        accepted, now = self._accepted(), self.clock()
        if self._reading is not None and not self._reading.done():
            return
        if now < self._read_next and accepted == self._read_after:
            return
        self._read_next, self._read_after = now + REREAD_SECONDS, accepted  # where it fails it is tried again then
        self._reading = pool.submit(self._read_school)

    def _read_school(self) -> None:
        try:
            with self._lane() as connector:
                judgement = connector.look()
                self._seen = Seen(judgement)
                self._telling.statuses = sourced_statuses(judgement)
                portals = [portal.name for portal in connector.config.portal_rules]
                changed = Mirror(connector.journal.store, portals).write(judgement)
        except ConnectorError as error:
            _log.warning("scim-reading", problem=str(error))
        except Exception:  # noqa: BLE001 - as above
            _log.exception("scim-reading")
        else:
            self._read_next = self.clock() + 60.0 * self._settings.refresh_minutes
            self.mirrored.set()
            _log.info("scim-mirrored", users=changed)
            if partly := left_out(judgement):
                shown = [person_id[:_LONGEST_SHOWN] for person_id in partly[:_MOST_SHOWN]]
                _log.warning("scim-value-left-out", people=len(partly), person_ids=shown)

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        if self._seen is None:
            return
        self._underway = [future for future in self._underway if not future.done()]
        if len(self._underway) >= LANES:
            return
        busy = self._underway_with(_CLOSING)
        waiting = [row for row in open_closings(self._connector) if row.person_id not in busy]
        closings = [row for row in waiting if self._is_due(_closing(row))]
        if closings:
            whats, opening = {_closing(row): row.person_id for row in closings}, self._underway_with(_OPENING)
            self._start(pool, whats, lambda c, s: self._close(c, s, closings, opening))
        if self._connector.live.was_put_back:
            return  # what was wanted before the backup lets nobody in until somebody has looked
        with self._connector.journal.store.reading() as conn:
            pending = conn.execute(_PENDING).all()
        # Nobody is opened while they are being closed: what is asked for last is done last.
        closing = self._underway_with(_CLOSING)
        pending = [row for row in pending if self._is_due(_opening(row)) and row.person_id not in closing]
        if pending:
            whats = {_opening(row): row.person_id for row in pending}
            self._start(pool, whats, lambda c, s: self._open(c, s, pending))

    def _underway_with(self, kind: str) -> frozenset[str]:
        """Give the people who are being closed, or opened, right now."""
        with self._lock:
            return frozenset(person_id for what, person_id in self._busy.items() if what.startswith(kind))

    def _is_due(self, what: str) -> bool:
        since = self.clock() - self._tried.get(what, float("-inf"))
        return what not in self._busy and since >= self._settings.retry_seconds

    def _start(
        self, pool: ThreadPoolExecutor, whats: Mapping[str, str], work: Callable[[Connector, Seen], None]
    ) -> None:
        seen = self._seen
        if seen is None:
            return
        with self._lock:
            self._busy.update(whats)

        def lane() -> None:
            try:
                with self._lane() as connector:
                    work(connector, seen)
            except RunInProgress:
                pass  # a run is going: it does the same work, and we look again
            except ConnectorError as error:
                _log.warning("scim-lane", problem=str(error))
            except Exception:  # noqa: BLE001 - a fault of ours: said, and tried again like everything else
                _log.exception("scim-lane")
            finally:
                self._leave(whats)

        self._underway.append(pool.submit(lane))

    def _leave(self, whats: Collection[str]) -> None:
        ended, retry = self.clock(), self._settings.retry_seconds
        with self._lock:
            self._tried = {what: at for what, at in self._tried.items() if ended - at < retry}
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

    def _close(self, connector: Connector, seen: Seen, rows: Sequence[Row[Any]], opening: Collection[str] = ()) -> None:
        """Close a batch. Of whoever is just being opened nothing is called done: they are closed once more after it."""
        sourced = connector.journal.sourced(self._settings.roles)
        done = Closings(connector, self._owner, unsure=opening).close(rows, seen, sourced)
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
    return f"{_CLOSING}{row.id}"


def _opening(row: Row[Any]) -> str:
    """What is asked for anew is tried at once, whenever the last try was."""
    return f"{_OPENING}{row.id} {row.pending} {row.pending_since}"


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
