"""A backup of the journal: every row of every table as one state, in one file that both databases can be made of again.

Gzip of JSON lines: a header, each table with its rows, and at the end the counts and a signature over everything, keyed
from the audit key. The key itself is never in it. Writers go on while it is taken; a file that is there is replaced by
a whole backup or not at all.
"""

import base64
import gzip
import hashlib
import hmac
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Date,
    DateTime,
    LargeBinary,
    MetaData,
    Table,
    Text,
    collate,
    event,
    select,
    text,
)

from connector.errors import ConfigError
from connector.on_disk import sync_folder
from connector.reconcile.audit_files import unwritable
from connector.reconcile.codec import canonical
from connector.reconcile.journal_audit import key_check, keyed
from connector.reconcile.journal_columns import UtcDateTime
from connector.reconcile.journal_migrate import MOVED
from connector.reconcile.journal_store import Detail, Store
from connector.reconcile.journal_tables import audit_head

FORMAT = "connector-journal-backup"
VERSION = 1
BACKED_UP = "backed-up"
"""The kind of the audit record that a backup leaves."""

_NOT_OURS = ("alembic_version", MOVED)
_ROWS = 20
"""How many rows are in memory at a time: a snapshot or a plan may be megabytes."""

_GZIP = b"\x1f\x8b"  # RFC 1952 2.3.1


@dataclass(frozen=True, slots=True)
class Header:
    """What a backup says of itself. `head` is the audit trail's, as of which the journal was read."""

    revision: str
    school: str
    made_at: datetime
    head: str


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup as it lies on the disk: its header, how many rows of each table, and the SHA-256 of the file."""

    header: Header
    rows: Mapping[str, int]
    digest: str


@dataclass(slots=True)
class Seal:
    """Signs the lines of a backup, or proves them, as they go by."""

    audit_key: bytes
    _mac: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Derive a key that is good for backups and nothing else."""
        key = bytes.fromhex(keyed(self.audit_key, "backup-key", b""))
        self._mac = hmac.new(key, digestmod="sha256")  # RFC 2104

    def take(self, line: bytes) -> None:
        """Take the next line."""
        self._mac.update(line)

    def over(self, counts: Mapping[str, int]) -> str:
        """Give the signature over all lines and the counts."""
        whole = self._mac.copy()
        whole.update(canonical(dict(counts)).encode())
        return str(whole.hexdigest())


def take_backup(store: Store, school: str, path: Path, operator: str) -> Backup:
    """Write a backup and record that it was taken. Raises JournalError, or ConfigError where the file cannot be."""
    made = lay_backup(store, school, path)
    with store.writing() as writing:
        records = made.header.head.partition(":")[0]
        sentence = f"Backed up by {operator}: everything up to audit record {records}, SHA-256 {made.digest}."
        detail: Detail = {"digest": made.digest, "head": made.header.head, "rows": sum(made.rows.values())}
        writing.note(BACKED_UP, "journal", operator, sentence, detail=detail)
    return made


def _refuse_other_file(path: Path) -> None:
    """Replace an older backup, but nothing else that somebody named by mistake."""
    try:
        with path.open("rb") as file:
            if file.read(len(_GZIP)) == _GZIP:
                return
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(path, error) from error
    raise ConfigError(f"{path} is there already and is no backup: it was left as it is.", "Name another file.")


def lay_backup(store: Store, school: str, path: Path) -> Backup:
    """Write a backup into a file, and say so nowhere. Raises JournalError, ConfigError."""
    _refuse_other_file(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    except OSError as error:
        raise unwritable(path, error) from error
    whole = Path(name)
    try:
        with os.fdopen(handle, "w+b") as file:
            header, rows = write_backup(store, school, file)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        whole.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        whole.unlink(missing_ok=True)
        raise unwritable(path, error) from error
    except BaseException:
        whole.unlink(missing_ok=True)
        raise
    return Backup(header, rows, digest)


def write_backup(store: Store, school: str, file: BinaryIO) -> tuple[Header, dict[str, int]]:
    """Write the whole journal as it is at this moment, whatever its revision; give header and counts."""
    # No name and no time in the gzip header: the same rows are the same file, but for `made_at`.
    with store.reading() as conn, gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed:
        header, seal, counts = _header(conn, school, store), Seal(store.audit_key), {}
        packed.write(_signed(seal, _document(header, store.audit_key)))
        for table in tables_of(conn):
            packed.write(_signed(seal, {"columns": [column.name for column in table.columns], "table": table.name}))
            counts[table.name] = 0
            for row in rows_of(conn, table):
                packed.write(_signed(seal, row))
                counts[table.name] += 1
        packed.write(_line({"counts": counts, "mac": seal.over(counts)}))
    return header, counts


def _header(conn: Connection, school: str, store: Store) -> Header:
    revision = str(conn.scalar(text("SELECT version_num FROM alembic_version")))
    head = conn.execute(select(audit_head.c.records, audit_head.c.mac)).one()
    return Header(revision, school, store.clock(conn), f"{head.records}:{head.mac}")


def _document(header: Header, audit_key: bytes) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "revision": header.revision,
        "school": header.school,
        "made_at": header.made_at.isoformat(timespec="microseconds"),
        "head": header.head,
        "key": key_check(audit_key),
    }


def _signed(seal: Seal, value: Any) -> bytes:
    line = _line(value)
    seal.take(line)
    return line


def _line(value: Any) -> bytes:
    return canonical(value).encode() + b"\n"


# --- tables as they are, whatever their revision --------------------------------------------------------------------


def tables_of(conn: Connection) -> Sequence[Table]:
    """Give the journal's tables as the database has them, each after those it refers to."""
    found = MetaData()
    event.listen(found, "column_reflect", _with_zone)
    found.reflect(conn, only=lambda name, _: name not in _NOT_OURS)
    return found.sorted_tables


def _with_zone(_inspector: Any, _table: Any, column: dict[str, Any]) -> None:
    if isinstance(column["type"], DateTime):
        column["type"] = UtcDateTime()


def rows_of(conn: Connection, table: Table) -> Iterator[list[Any]]:
    """Give the rows of a table as what JSON can hold, in an order that does not depend on the database."""
    order = [_ordered(conn, column) for column in table.primary_key]
    turns = [_turn(column) for column in table.columns]
    rows = conn.execute(select(table).order_by(*order).execution_options(yield_per=_ROWS))
    for row in rows:
        yield [value if value is None or turn is None else turn(value) for value, turn in zip(row, turns, strict=True)]


def _ordered(conn: Connection, column: Column[Any]) -> Any:
    """Order texts by their bytes: a collation of the database's would order them its own way."""
    return collate(column, "C") if conn.dialect.name == "postgresql" and isinstance(column.type, Text) else column


def _turn(column: Column[Any]) -> Any:
    """Give what makes text of a column's values; none where JSON holds them as they are."""
    if isinstance(column.type, UtcDateTime):
        return lambda value: value.isoformat(timespec="microseconds")
    if isinstance(column.type, Date):
        return lambda value: value.isoformat()
    if isinstance(column.type, LargeBinary):
        return lambda value: base64.b64encode(value).decode("ascii")
    return None


def value_of(column: Column[Any], value: Any) -> Any:
    """Make a column's value again of what stands in a backup."""
    if value is None or isinstance(column.type, JSON):
        return value
    if isinstance(column.type, UtcDateTime):
        return datetime.fromisoformat(value).astimezone(UTC)
    if isinstance(column.type, Date):
        return date.fromisoformat(value)
    if isinstance(column.type, LargeBinary):
        return base64.b64decode(value, validate=True)
    return value
