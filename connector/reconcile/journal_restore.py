"""A journal made again of a backup: into a place where there is none, in one transaction, or not at all.

The backup is proven whole with the audit key before anything is written, and again while it is read in. What was done
after it was taken is not known: leases and claims of that time are ended, messages that waited are not sent a second
time, and runs only report until somebody has gone live anew.
"""

import gzip
import hashlib
import hmac
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from connector.errors import ConfigError, JournalError
from connector.reconcile import journal_tables as tables
from connector.reconcile.going_live import GO_LIVE, PUT_BACK
from connector.reconcile.journal_audit import append, key_check
from connector.reconcile.journal_backup import FORMAT, VERSION, Backup, Header, Seal, tables_of, value_of
from connector.reconcile.journal_daemon_tables import outbox
from connector.reconcile.journal_engine import database_name
from connector.reconcile.journal_migrate import begin, revisions, upgrade, version_of
from connector.reconcile.journal_standing import read_register, wrong_rows
from connector.reconcile.journal_store import Detail, Store, Writing, database_time, upsert
from connector.reconcile.journal_values import AuditState
from connector.reconcile.journal_verify import verify, with_rows

_LONGEST = 1 << 28
"""No line of a backup is longer, in bytes."""

_PIECE = 1 << 20
"""So many bytes are held at a time of what is not proven yet: it does not fill the memory, whatever it unpacks to."""

_MANY = 500


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of a restore: the backup, the state of the audit trail, how many messages are not sent any more."""

    backup: Backup
    state: AuditState
    unsent: int


# --- proving --------------------------------------------------------------------------------------------------------


def prove(path: Path, audit_key: bytes) -> Backup:
    """Read a whole backup and prove it. Raises JournalError: changed, cut off, or made with another key."""
    reader = _Reader(path, audit_key)
    reader.skim()
    assert reader.header is not None  # noqa: S101 - a backup without a header is refused above
    return Backup(reader.header, reader.counts, _digest(path))


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


@dataclass(slots=True)
class _Reader:
    """Walks along the lines of a backup. Only when the walk has ended without an error is anything of it proven."""

    path: Path
    audit_key: bytes
    header: Header | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def skim(self) -> None:
        """Prove all of it, looking into no row: nobody knows yet who wrote them, nor how long they are."""
        for _ in self._walk(self._pieces()):
            pass

    def rows(self) -> Iterator[tuple[str, list[str], list[Any]]]:
        """Give each row with its table and columns; at the end, prove everything that was given."""
        for table, columns, line in self._walk(self._lines()):
            row = self._value(line)
            if len(row) != len(columns):
                raise self._refused("it was changed")
            yield table, columns, row

    def _walk(self, pieces: Iterator[tuple[bool, bytes]]) -> Iterator[tuple[str, list[str], bytes]]:
        """Give each row as it is written, and prove all of them. A piece that begins no line goes on with a row."""
        seal, table, columns = Seal(self.audit_key), "", list[str]()
        for begins, piece in pieces:
            if self.header is None:
                self.header = self._begin(self._value(piece))
            elif table and (not begins or piece.startswith(b"[")):
                self.counts[table] += begins
                yield table, columns, piece
            else:
                value = self._value(piece)
                if isinstance(value, dict) and "mac" in value:
                    self._end(value, seal)
                    if next(pieces, None):  # to the end of the file: its checksum is looked at too
                        raise self._refused("it was changed")
                    return
                table, columns = self._table(value)
                self.counts[table] = 0
            seal.take(piece)
        raise self._refused("it was cut off")

    def _lines(self) -> Iterator[tuple[bool, bytes]]:
        """Give whole lines."""
        line = bytearray()
        for _, piece in self._pieces():
            line += piece
            if piece.endswith(b"\n"):
                yield True, bytes(line)
                line.clear()

    def _pieces(self) -> Iterator[tuple[bool, bytes]]:
        """Give the lines in pieces that are not long, each with whether it begins a line."""
        length = 0
        try:
            with gzip.open(self.path, "rb") as file:
                while piece := file.readline(_PIECE):
                    yield not length, piece
                    length = 0 if piece.endswith(b"\n") else length + len(piece)
                    if length > _LONGEST:
                        raise self._refused("one of its lines has no end")
        except EOFError as error:
            raise self._refused("it was cut off") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise self._refused("it is no backup, or it was changed") from error
        except OSError as error:
            raise _unreadable(self.path, error) from error
        if length:
            raise self._refused("it was cut off")

    def _table(self, value: Any) -> tuple[str, list[str]]:
        """Give a table's name and columns."""
        table, columns = (value.get("table"), value.get("columns")) if isinstance(value, dict) else (None, None)
        if not (isinstance(table, str) and isinstance(columns, list) and all(isinstance(c, str) for c in columns)):
            raise self._refused("it was changed")
        return table, columns

    def _value(self, line: bytes) -> Any:
        try:
            return json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._refused("it was changed") from error

    def _begin(self, value: Any) -> Header:
        if not isinstance(value, dict) or (value.get("format"), value.get("version")) != (FORMAT, VERSION):
            raise self._refused("it is no backup of a journal, or a newer version made it")
        if not hmac.compare_digest(_ascii(value.get("key")), _ascii(key_check(self.audit_key))):
            raise self._refused("it was made with another audit key")
        try:
            made_at = datetime.fromisoformat(str(value.get("made_at")))
        except ValueError as error:
            raise self._refused("it was changed") from error
        return Header(str(value.get("revision")), str(value.get("school")), made_at, str(value.get("head")))

    def _end(self, value: Mapping[str, Any], seal: Seal) -> None:
        if self.header is None or value.get("counts") != self.counts:
            raise self._refused("it was changed")
        if not hmac.compare_digest(_ascii(seal.over(self.counts)), _ascii(value["mac"])):
            raise self._refused("it was changed")

    def _refused(self, why: str) -> JournalError:
        return JournalError(
            f"The backup {self.path} cannot be believed: {why}. Nothing was written.",
            "Take another backup, and the audit key that the journal had: without that key none can be put back.",
        )


def _ascii(value: object) -> bytes:
    """Give what may be compared in a time that tells nothing, whatever was read."""
    return str(value).encode("ascii", "replace")


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path} cannot be read: {error.strerror}.", "Check path and owner.")


# --- writing --------------------------------------------------------------------------------------------------------


def put_back(
    store: Store, path: Path, backup: Backup, operator: str, *, migrate: bool = False, moved: bool = False
) -> Restored:
    """Make the journal of a backup that was proven, where there is none. `moved`: it goes on here, nothing is missing.

    Raises JournalError: there is a journal, the backup is of another revision, or its trail does not hold.
    """
    _refuse_revision(backup.header.revision, migrate=migrate)
    with store.translated("written"), store.engine.execution_options(journal_writes=True).begin() as conn:
        refuse_taken(conn)
        fill(conn, path, backup, store.audit_key)
        if backup.header.revision != tables.HEAD:
            upgrade(conn)
            begin(conn, store.audit_key)
        writing = Writing(conn, database_time(conn))
        _end_holders(writing)
        unsent = 0 if moved else _begin_in_report_mode(writing, operator)
        _note(writing, backup, operator, unsent, moved=moved)
        append(conn, store.audit_key, conn.execute(select(tables.audit_head)).one(), writing.now, writing.notes)
        return Restored(backup, _proven(conn, store.audit_key), unsent)


def _refuse_revision(revision: str, *, migrate: bool) -> None:
    if revision not in revisions():
        raise JournalError(
            f"A newer version made the backup (its tables are at {revision}, this version knows {tables.HEAD}). "
            "Nothing was written.",
            "Use the newer version.",
        )
    if revision != tables.HEAD and not migrate:
        raise JournalError(
            f"An older version made the backup (its tables are at {revision}, this version needs {tables.HEAD}). "
            "Nothing was written.",
            "To put it back and bring it forward: connector db restore FILE --migrate",
        )


def refuse_taken(conn: Connection) -> None:
    """Raise JournalError where there is a journal, or another's tables."""
    if version_of(conn) is not None:
        raise JournalError(
            f"There is a journal in {database_name(conn.engine)}, and none is ever put over another. Nothing was "
            "written.",
            "Name an empty place in [journal] url, or move the old one out of the way (keep it: it may know more).",
        )


def fill(conn: Connection, path: Path, backup: Backup, audit_key: bytes) -> None:
    """Make the tables at the backup's revision and write its rows, proving them once more on the way."""
    upgrade(conn, backup.header.revision)
    known = {table.name: table for table in tables_of(conn)}
    for table in reversed(tables_of(conn)):
        conn.execute(delete(table))  # what migrations put in
    reader = _Reader(path, audit_key)
    for table, rows in _together(reader.rows()):
        _write(conn, known, table, rows)
    if (reader.header, reader.counts) != (backup.header, dict(backup.rows)):
        raise JournalError(f"The backup {path} was replaced while it was read. Nothing was written.", "Try again.")


def _together(
    found: Iterator[tuple[str, list[str], list[Any]]],
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give the rows of one table some hundred at a time."""
    name, rows = "", list[dict[str, Any]]()
    for table, columns, row in found:
        if table != name or len(rows) == _MANY:
            if rows:
                yield name, rows
            name, rows = table, []
        rows.append(dict(zip(columns, row, strict=True)))
    if rows:
        yield name, rows


def _write(conn: Connection, known: Mapping[str, Table], name: str, rows: list[dict[str, Any]]) -> None:
    table = known.get(name)
    if table is None or set(rows[0]) != {column.name for column in table.columns}:
        raise JournalError(f"The backup holds a table {name} that its revision does not have. Nothing was written.", "")
    columns = {column.name: column for column in table.columns}
    conn.execute(insert(table), [{key: value_of(columns[key], value) for key, value in row.items()} for row in rows])


def _end_holders(writing: Writing) -> None:
    """Whoever held a run or a person when the backup was taken is gone, or works on another journal."""
    for table in (tables.leases, tables.claims):
        ended = update(table).where(table.c.expires_at > writing.now)
        writing.conn.execute(ended.values(expires_at=writing.now))


def _begin_in_report_mode(writing: Writing, operator: str) -> int:
    """Let runs only report until somebody has looked, and drop messages that were surely sent; give how many."""
    row = {"name": GO_LIVE, "value": PUT_BACK, "operator": operator, "set_at": writing.now}
    upsert(writing.conn, tables.settings, [row])
    sentence = f"{GO_LIVE} set to {PUT_BACK!r} by {operator}."
    writing.note("setting", f"setting:{GO_LIVE}", operator, sentence, detail={"value": PUT_BACK})
    waiting = update(outbox).where(outbox.c.sent_at.is_(None))
    problem = "not sent: the journal was put back from a backup"
    return writing.conn.execute(waiting.values(sent_at=writing.now, content="", problem=problem)).rowcount


def _note(writing: Writing, backup: Backup, operator: str, unsent: int, *, moved: bool) -> None:
    made = f"{backup.header.made_at:%Y-%m-%d %H:%M} UTC"
    what = "moved here" if moved else "put back"
    sentence = f"This journal was {what} by {operator} from a backup of {made}, SHA-256 {backup.digest}."
    detail: Detail = {"digest": backup.digest, "head": backup.header.head, "made_at": made, "unsent": unsent}
    writing.note("journal-moved-here" if moved else "journal-restored", "journal", operator, sentence, detail=detail)


def _proven(conn: Connection, audit_key: bytes) -> AuditState:
    """Hold the trail once more. Rows that differ from it are told: without them no block would be known at all."""
    state = verify(conn, audit_key, None)
    if not state.ok:
        raise JournalError(f"{state.sentence} Nothing was written.", "Take an older backup.")
    register = read_register(conn, audit_key)
    return with_rows(state, (*register.faults, *wrong_rows(conn, register)))
