"""What the daemon has seen to, and its messages: each is put durably, then sent, then marked; so none is lost.

Every write stands on the daemon's claim: one that was overtaken marks nothing any more, and puts no second message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update

from connector.reconcile.journal_claims import fence
from connector.reconcile.journal_daemon_tables import duties, outbox
from connector.reconcile.journal_store import Store, Writing, insert_rows, upsert
from connector.reconcile.journal_values import Claim

_FARTHEST = timedelta(hours=2)
"""No try is put off for so long: one that is due later was written by a clock that was ahead, and is due now."""


@dataclass(frozen=True, slots=True)
class Duty:
    """Something that was seen to: when last, and what the next time is told."""

    name: str
    done_at: datetime
    value: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message that waits: its name makes its Message-ID, `content` is JSON, `problem` why the last try failed."""

    number: int
    name: str
    channel: str
    content: str
    put_at: datetime
    tries: int
    problem: str


class Duties:
    """Remember what was seen to; put, list and mark messages. `claim` is the daemon's own, on itself."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, prefix: str = "") -> dict[str, Duty]:
        """Give what was seen to, by its name, of all names that begin so."""
        query = select(duties).where(duties.c.name.startswith(prefix, autoescape=True)).order_by(duties.c.name)
        with self._store.reading() as conn:
            return {row.name: Duty(row.name, row.done_at, row.value) for row in conn.execute(query)}

    def done(self, claim: Claim, name: str, value: str = "") -> None:
        """Mark something as seen to, now. Raises RunInProgress where the claim was lost."""
        self.all_done(claim, {name: value})

    def all_done(self, claim: Claim, values: Mapping[str, str]) -> None:
        """Mark several things as seen to, all of them or none. Raises RunInProgress where the claim was lost."""
        with self._store.writing() as writing:
            _stand_on(writing, claim)
            rows = [{"name": name, "done_at": writing.now, "value": value} for name, value in values.items()]
            upsert(writing.conn, duties, rows)

    def forget(self, claim: Claim, names: Sequence[str]) -> None:
        """Forget what need not be remembered any more."""
        with self._store.writing() as writing:
            _stand_on(writing, claim)
            writing.conn.execute(delete(duties).where(duties.c.name.in_(names)))

    # --- messages ---------------------------------------------------------------------------------------------------

    def put(self, claim: Claim, channel: str, contents: Sequence[tuple[str, str]]) -> None:
        """Put messages, each by its name and as JSON. One whose name is there already is left as it is."""
        with self._store.writing() as writing:
            _stand_on(writing, claim)
            names = [name for name, _ in contents]
            there = set(writing.conn.scalars(select(outbox.c.name).where(outbox.c.name.in_(names))))
            # Ids are never given twice, also where old messages were forgotten: the newest row is kept.
            first = writing.next_id(outbox)
            fresh = [(name, content) for name, content in dict(contents).items() if name not in there]
            rows = [
                _row(first + place, channel, name, content, writing.now) for place, (name, content) in enumerate(fresh)
            ]
            insert_rows(writing.conn, outbox, rows)

    def due(self, limit: int = 100) -> tuple[Message, ...]:
        """Give the messages to be sent now, the oldest first."""
        with self._store.reading() as conn:
            now = self._store.clock(conn)
            is_due = or_(outbox.c.next_at <= now, outbox.c.next_at > now + _FARTHEST)
            query = select(outbox).where(outbox.c.sent_at.is_(None), is_due)
            return tuple(_message(row) for row in conn.execute(query.order_by(outbox.c.id).limit(limit)))

    def unsent(self) -> tuple[Message, ...]:
        """Give every message that was not sent yet, the oldest first."""
        with self._store.reading() as conn:
            query = select(outbox).where(outbox.c.sent_at.is_(None)).order_by(outbox.c.id)
            return tuple(_message(row) for row in conn.execute(query))

    def sent(self, claim: Claim, message: Message) -> None:
        """Mark a message as sent, and let go of what it said."""
        with self._store.writing() as writing:
            _stand_on(writing, claim)
            values = {"sent_at": writing.now, "content": "", "problem": "", "tries": outbox.c.tries + 1}
            writing.conn.execute(update(outbox).where(outbox.c.id == message.number).values(values))

    def failed(self, claim: Claim, message: Message, problem: str, again_seconds: float) -> None:
        """Mark a try that failed, and when the next one is due."""
        with self._store.writing() as writing:
            _stand_on(writing, claim)
            again = writing.now + timedelta(seconds=again_seconds)
            values = {"next_at": again, "problem": problem, "tries": outbox.c.tries + 1}
            writing.conn.execute(update(outbox).where(outbox.c.id == message.number).values(values))

    def given_up(self, claim: Claim, message: Message, problem: str) -> None:
        """Mark a message as never to be sent, and why; let go of what it said."""
        with self._store.writing() as writing:
            _stand_on(writing, claim)
            values = {"sent_at": writing.now, "content": "", "problem": problem}
            writing.conn.execute(update(outbox).where(outbox.c.id == message.number).values(values))

    def forget_messages(self, claim: Claim, before: datetime) -> int:
        """Forget what was put before a time, sent or not, but for the newest row; give how many."""
        newest: ColumnElement[Any] = select(func.max(outbox.c.id)).scalar_subquery()
        with self._store.writing() as writing:
            _stand_on(writing, claim)
            gone = delete(outbox).where(outbox.c.put_at < before, outbox.c.id < newest)
            return writing.conn.execute(gone).rowcount


def _stand_on(writing: Writing, claim: Claim) -> None:
    fence(writing, None, (claim,), (claim.key,))


def _row(number: int, channel: str, name: str, content: str, now: datetime) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "channel": channel,
        "content": content,
        "put_at": now,
        "next_at": now,
        "tries": 0,
        "sent_at": None,
        "problem": "",
    }


def _message(row: Any) -> Message:
    return Message(row.id, row.name, row.channel, row.content, row.put_at, row.tries, row.problem)
