"""The journal's committed rows, read over a connection of its own: what is not on disk does not count here."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connector.reconcile.journal_values import FINAL

_LEGS = """
    SELECT l.id, r.direction, l.state, l.attempts, l.last_tried, r.person_id, r.key, l.planned, l.intended_at,
           l.finished_at, l.kind, l.target, l.subject, l.before, r.id AS revocation
    FROM legs l JOIN revocations r ON r.id = l.revocation_id
"""
ENDED = frozenset(state.value for state in FINAL)
_ENDED = ", ".join(f"'{state}'" for state in sorted(ENDED))


class Records:
    """Reads what is durable. It asks nothing of the code under test."""

    def __init__(self, journal: Path) -> None:
        self._db = sqlite3.connect(journal, isolation_level=None, timeout=30, check_same_thread=False)
        self._db.row_factory = sqlite3.Row

    def close(self) -> None:
        self._db.close()

    def one(self, query: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(query, values).fetchone()
        return row

    def all(self, query: str, *values: Any) -> list[sqlite3.Row]:
        return self._db.execute(query, values).fetchall()

    def legs(self, where: str, *values: Any) -> list[sqlite3.Row]:
        """Give legs with what their revocation says of them, newest first."""
        return self.all(f"{_LEGS} WHERE {where} ORDER BY l.id DESC", *values)

    def open_legs(self) -> list[sqlite3.Row]:
        return self.legs(f"l.state NOT IN ({_ENDED})")

    def changes(self, where: str, *values: Any) -> list[sqlite3.Row]:
        return self.all(f"SELECT *, 'change' AS direction FROM changes WHERE {where}", *values)  # noqa: S608 - ours

    def open_changes(self) -> list[sqlite3.Row]:
        return self.changes(f"state NOT IN ({_ENDED})")

    def blocked(self, person: str, begin: datetime | None, end: datetime) -> bool:
        """Say whether a block stood at any moment between two times."""
        query = "SELECT 1 FROM blocks WHERE person_id = ? AND made_at <= ? AND (lifted_at IS NULL OR lifted_at > ?)"
        return self.one(query, person, text_of(end), text_of(begin or end)) is not None

    def kept(self, person: str, since: datetime) -> bool:
        """Say whether a keep has stood since before a moment."""
        query = "SELECT 1 FROM keeps WHERE person_id = ? AND made_at < ? AND lifted_at IS NULL"
        return self.one(query, person, text_of(since)) is not None


def text_of(moment: datetime) -> str:
    """Write a moment as the journal's SQLite does, so that texts compare as times do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def time_of(text: str) -> datetime:
    """Read a moment as the journal's SQLite keeps it."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
