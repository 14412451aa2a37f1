"""Concurrent writes of one worker share one transaction, and so one wait for the disk.

Whoever comes while another commits is taken along by the next commit. Each act stands alone: one that fails is undone
alone, and nobody is told "done" before the commit returned. It starts no thread and holds no connection while idle.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Generic, TypeVar

from sqlalchemy import Table, bindparam, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from connector.errors import JournalError
from connector.reconcile.journal_at_once import given, given_rows
from connector.reconcile.journal_scim_tables import scim_counts, scim_emails, scim_groups, scim_users
from connector.reconcile.journal_store import Store, Writing
from connector.scim.prepared import Prepared

T = TypeVar("T")

MOST = 64
"""How many acts one transaction takes: the first of them must not wait for a crowd."""

_GATHER_SECONDS = 0.002
"""How long a commit waits at most for those whom the last one answered."""

_LAST = {table.name: select(func.max(table.c.position)) for table in (scim_users, scim_groups)}
_MAILS = given_rows(scim_emails)
_MAIL = Prepared(
    insert(scim_emails), Prepared(insert(scim_emails).from_select(["user_id", "value_key"], select(_MAILS)))
)


def _amount(on_one_dialect: Any) -> Prepared:
    """Count on, or begin to."""
    first = on_one_dialect(scim_counts)
    more = {"amount": scim_counts.c.amount + first.excluded.amount}
    return Prepared(first.on_conflict_do_update(index_elements=["name"], set_=more))


_AMOUNT = {"sqlite": _amount(sqlite.insert), "postgresql": _amount(postgresql.insert)}
_UNMAILED = given({"of": scim_emails.c.user_id.type})
_UNMAIL = Prepared(
    delete(scim_emails).where(scim_emails.c.user_id == bindparam("of")),
    Prepared(delete(scim_emails).where(scim_emails.c.user_id.in_(select(_UNMAILED.c.of)))),
)


def gone_of(table: Table) -> str:
    """Give the name under which is counted how many rows of a table were ever deleted."""
    return f"{table.name} gone"


@dataclass(slots=True)
class Turn:
    """One write transaction and what its acts have in common: it is written once for all of them.

    `grown` is how many rows a table has more; `mails` the new e-mail addresses of Users, and whether a User is new.
    Acts that run `together` may leave rows for the end: where two of them collide there, each is done again alone.
    """

    unflushed: Writing
    together: bool = False
    grown: dict[str, int] = field(default_factory=dict)
    mails: dict[str, tuple[Collection[str], bool]] = field(default_factory=dict)
    _positions: dict[str, int] = field(default_factory=dict)
    _later: dict[Prepared, dict[str, Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def writing(self) -> Writing:
        """The transaction, with everything in it that was left for later: what is read there is the truth.

        `unflushed` is the same without: for who reads nothing, or nothing that an index would not refuse in the end.
        """
        self.flush()
        return self.unflushed

    def later(self, statement: Prepared, key: str, values: Mapping[str, Any]) -> None:
        """Leave a row for the end. Whoever looks for `key` meanwhile asks `is_left` first."""
        self._later.setdefault(statement, {})[key] = values

    def is_left(self, key: str) -> bool:
        """Say whether a row of this key is still to be written."""
        return any(key in rows for rows in self._later.values())

    def flush(self) -> None:
        """Write what was left for later, each statement once for all its rows."""
        while self._later:
            statement, rows = self._later.popitem()
            statement.write_many(self.unflushed.conn, list(rows.values()))

    def position(self, table: Table) -> int:
        """Give the next row's place in its list. Safe because there is one writer at a time."""
        last = self._positions.get(table.name)
        if last is None:
            last = int(self.unflushed.conn.scalar(_LAST[table.name]) or 0)  # what is left for later asked first
        self._positions[table.name] = last + 1
        return last + 1

    def grow(self, table: Table, by: int) -> None:
        """Remember that a table has so many rows more (or fewer), and that so many are gone."""
        self.grown[table.name] = self.grown.get(table.name, 0) + by
        if by < 0:
            self.grown[gone_of(table)] = self.grown.get(gone_of(table), 0) - by

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Undo what is done inside when it fails, and only that."""
        writing, together = self.writing, self.together
        notes, grown, mails = len(writing.notes), dict(self.grown), dict(self.mails)
        self.together = False
        try:
            with writing.conn.begin_nested():
                yield
        except BaseException:
            del writing.notes[notes:]
            self.grown, self.mails = grown, mails
            raise
        finally:
            self.together = together

    def settle(self) -> None:
        """Write the counts and addresses, once for all acts."""
        conn = self.writing.conn
        _UNMAIL.write_many(conn, [{"of": one} for one, (_, is_new) in self.mails.items() if not is_new])
        mails = [(one, key) for one, (keys, _) in self.mails.items() for key in sorted(keys)]
        _MAIL.write_many(conn, [{"user_id": one, "value_key": key} for one, key in mails])
        for name, more in self.grown.items():
            if more:
                _AMOUNT[conn.dialect.name].write(conn, name=name, amount=more)


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


@dataclass(frozen=True, slots=True)
class Foreseeing(Generic[T]):
    """An act on one User that says what it will ask for, so that one question does for a whole batch of such acts.

    `foresee` is given the wishes of all acts that share it, and says whether they may leave rows for the end.
    """

    act: Act[T]
    foresee: Callable[[Turn, Sequence[Any]], bool]
    wish: Any

    def __call__(self, turn: Turn) -> T:
        """Do the act."""
        return self.act(turn)


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
        self._expected = 0
        self._gathers = False
        self._all_here = Lock()
        self._all_here.acquire()

    def run(self, act: Act[T]) -> T:
        """Do the act, and return what it gave once it is durable.

        Raises what the act raised; JournalError where nothing could be stored.
        """
        mine = _Asked(act)
        mine.woken.acquire()
        with self._guard:
            self._waiting.append(mine)
            leads, self._led = not self._led, True
            if self._gathers and len(self._waiting) >= self._expected:
                self._gathers = False
                self._all_here.release()
        if not leads:
            mine.woken.acquire()
        if not mine.done:
            self._lead()
        if mine.error is not None:
            raise mine.error
        return mine.result  # type: ignore[return-value] # without an error it is what the act gave

    def _lead(self) -> None:
        """Commit for everybody who waits, then hand over to whoever came meanwhile."""
        self._gather()
        with self._guard:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            self._commit(batch)
        finally:
            with self._guard:
                self._led = bool(self._waiting)
                heir = self._waiting[:1]
                self._expected = len(batch) + len(self._waiting)
            for asked in batch:
                asked.done = True
            for asked in (*heir, *batch):
                asked.woken.release()

    def _gather(self) -> None:
        """Wait a moment for those whom the last commit answered: most come again, and a commit has its price."""
        with self._guard:
            if len(self._waiting) >= self._expected:
                return
            self._gathers = True
        if self._all_here.acquire(timeout=_GATHER_SECONDS):
            return
        with self._guard:
            late, self._gathers = not self._gathers, False
        if late:  # the last one came between the end of the wait and this look
            self._all_here.acquire()

    def _commit(self, batch: Sequence[_Asked[Any]]) -> None:
        """Do a batch as one; where an act fails, undo all and do them again, each on its own."""
        try:
            try:
                self._do(batch, alone=False)
            except _ActFailed:
                self._do(batch, alone=True)
            except JournalError as error:
                if len(batch) == 1 or not _refused(error):
                    raise
                self._do(batch, alone=True)
        except BaseException as error:
            for asked in batch:
                # Its own refusal is its answer; for the others nothing was stored.
                asked.error = asked.error or error
            if not isinstance(error, Exception):
                raise

    def _do(self, batch: Sequence[_Asked[Any]], *, alone: bool) -> None:
        with turn(self._store) as shared:
            if len(batch) == 1 and not alone:
                batch[0].result = batch[0].act(shared)
            elif alone:
                for asked in batch:
                    self._do_alone(asked, shared)
            else:
                _do_together(batch, shared)

    def _do_alone(self, asked: _Asked[Any], shared: Turn) -> None:
        try:
            with self._store.translated("written"), shared.alone():
                asked.result = asked.act(shared)
        except Exception as error:  # noqa: BLE001 - it is raised again in the thread whose act this is
            asked.error = error


def _foresee(acts: Sequence[Act[Any]], shared: Turn) -> bool:
    """Let acts foresee together, where each of them is one that can: any other could change what was seen."""
    seeing = [act for act in acts if isinstance(act, Foreseeing)]
    return len(seeing) == len(acts) and seeing[0].foresee(shared, [act.wish for act in seeing])


class _ActFailed(Exception):  # noqa: N818 - named after what happened, as our errors are
    """An act failed among others."""


def _do_together(batch: Sequence[_Asked[Any]], shared: Turn) -> None:
    try:
        shared.together = _foresee([asked.act for asked in batch], shared)
        for asked in batch:
            asked.result = asked.act(shared)
        if shared.together:
            shared.unflushed.to_the_end()
        shared.flush()
    except Exception as error:
        raise _ActFailed from error


def _refused(error: JournalError) -> bool:
    """Say whether a transaction is undone because of a row: it does not go with another, or cannot be stored at all."""
    cause = error.__cause__
    if isinstance(cause, IntegrityError | DataError | UnicodeError):
        return True
    # SQLSTATE 54, a limit of the program: for the driver that is trouble of the server's, as a lost connection is.
    return isinstance(cause, DBAPIError) and str(getattr(cause.orig, "sqlstate", "")).startswith("54")
