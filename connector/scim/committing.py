"""Concurrent writes of one worker share one transaction, and so one wait for the disk.

Whoever comes while another commits is taken along by the next commit. Each act stands alone: one that fails is undone
alone, and nobody is told "done" before the commit returned. It starts no thread and holds no connection while idle.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Generic, TypeVar

from sqlalchemy import Table, bindparam, delete, func, insert, select

from connector.reconcile.journal_scim_tables import scim_counts, scim_emails, scim_groups, scim_users
from connector.reconcile.journal_store import Store, Writing
from connector.scim.prepared import Prepared

T = TypeVar("T")

MOST = 64
"""How many acts one transaction takes: the first of them must not wait for a crowd."""

_LAST = {table.name: select(func.max(table.c.position)) for table in (scim_users, scim_groups)}
_AMOUNT = (
    scim_counts.update()
    .where(scim_counts.c.name == bindparam("of"))
    .values(amount=scim_counts.c.amount + bindparam("more"))
)
_MAIL = Prepared(insert(scim_emails))
_UNMAIL = Prepared(delete(scim_emails).where(scim_emails.c.user_id == bindparam("of")))


@dataclass(slots=True)
class Turn:
    """One write transaction and what its acts have in common: it is written once for all of them.

    `grown` is how many rows a table has more; `mails` the new e-mail addresses of Users, and whether a User is new.
    """

    writing: Writing
    grown: dict[str, int] = field(default_factory=dict)
    mails: dict[str, tuple[Collection[str], bool]] = field(default_factory=dict)
    _positions: dict[str, int] = field(default_factory=dict)

    def position(self, table: Table) -> int:
        """Give the next row's place in its list. Safe because there is one writer at a time."""
        last = self._positions.get(table.name)
        if last is None:
            last = int(self.writing.conn.scalar(_LAST[table.name]) or 0)
        self._positions[table.name] = last + 1
        return last + 1

    def grow(self, table: Table, by: int) -> None:
        """Remember that a table has so many rows more (or fewer)."""
        self.grown[table.name] = self.grown.get(table.name, 0) + by

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Undo what is done inside when it fails, and only that."""
        notes, grown, mails = len(self.writing.notes), dict(self.grown), dict(self.mails)
        try:
            with self.writing.conn.begin_nested():
                yield
        except BaseException:
            del self.writing.notes[notes:]
            self.grown, self.mails = grown, mails
            raise

    def settle(self) -> None:
        """Write the counts and addresses, once for all acts."""
        conn = self.writing.conn
        _UNMAIL.write_many(conn, [{"of": one} for one, (_, is_new) in self.mails.items() if not is_new])
        mails = [(one, key) for one, (keys, _) in self.mails.items() for key in sorted(keys)]
        _MAIL.write_many(conn, [{"user_id": one, "value_key": key} for one, key in mails])
        for name, more in self.grown.items():
            if more and not conn.execute(_AMOUNT, {"of": name, "more": more}).rowcount:
                conn.execute(scim_counts.insert().values(name=name, amount=more))


@contextmanager
def turn(store: Store) -> Iterator[Turn]:
    """Open a write transaction of one's own."""
    with store.writing() as writing:
        mine = Turn(writing)
        yield mine
        mine.settle()


Act = Callable[[Turn], T]
"""What is done inside the transaction. It may raise ScimError: then nothing of it stands.

It may be done twice, where one that shared its first transaction failed: it keeps nothing from the first time.
"""


@dataclass(slots=True, eq=False)
class _Asked(Generic[T]):
    """One act that waits for its commit. `woken` is locked until it is answered, or has to lead the next commit."""

    act: Act[T]
    woken: Lock = field(default_factory=Lock)
    done: bool = False
    result: T | None = None
    error: BaseException | None = None


class Committer:
    """Takes acts from any thread; one of those threads commits for all that wait."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._guard = Lock()
        self._waiting: list[_Asked[Any]] = []
        self._led = False

    def run(self, act: Act[T]) -> T:
        """Do the act, and return what it gave once it is durable.

        Raises what the act raised; JournalError where nothing could be stored.
        """
        mine = _Asked(act)
        mine.woken.acquire()
        with self._guard:
            self._waiting.append(mine)
            leads, self._led = not self._led, True
        if not leads:
            mine.woken.acquire()
        if not mine.done:
            self._lead()
        if mine.error is not None:
            raise mine.error
        return mine.result  # type: ignore[return-value] # without an error it is what the act gave

    def _lead(self) -> None:
        """Commit for everybody who waits, then hand over to whoever came meanwhile."""
        with self._guard:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            self._commit(batch)
        finally:
            with self._guard:
                self._led = bool(self._waiting)
                heir = self._waiting[:1]
            for asked in batch:
                asked.done = True
            for asked in (*heir, *batch):
                asked.woken.release()

    def _commit(self, batch: Sequence[_Asked[Any]]) -> None:
        """Do a batch as one; where an act fails, undo all and do them again, each on its own."""
        try:
            try:
                self._do(batch, alone=False)
            except _ActFailed:
                self._do(batch, alone=True)
        except BaseException as error:
            for asked in batch:
                # Its own refusal is its answer; for the others nothing was stored.
                asked.error = asked.error or error
            if not isinstance(error, Exception):
                raise

    def _do(self, batch: Sequence[_Asked[Any]], *, alone: bool) -> None:
        with turn(self._store) as shared:
            for asked in batch:
                if alone:
                    self._do_alone(asked, shared)
                elif len(batch) == 1:
                    asked.result = asked.act(shared)
                else:
                    _do_together(asked, shared)

    def _do_alone(self, asked: _Asked[Any], shared: Turn) -> None:
        try:
            with self._store.translated("written"), shared.alone():
                asked.result = asked.act(shared)
        except Exception as error:  # noqa: BLE001 - it is raised again in the thread whose act this is
            asked.error = error


class _ActFailed(Exception):  # noqa: N818 - named after what happened, as our errors are
    """An act failed among others."""


def _do_together(asked: _Asked[Any], shared: Turn) -> None:
    try:
        asked.result = asked.act(shared)
    except Exception as error:
        raise _ActFailed from error
