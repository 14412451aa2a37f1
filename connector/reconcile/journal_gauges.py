"""How the journal stands, in numbers: what a scrape reads every few seconds, in one short read transaction.

It names no person, takes no lock that a writer waits for, and reads only what an index or the end of a table gives.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, select, text

from connector.model import LegState
from connector.reconcile import journal_tables as tables
from connector.reconcile.journal_claims import RUN_LEASE
from connector.reconcile.journal_daemon_tables import duties, outbox
from connector.reconcile.journal_scim_tables import scim_clients, scim_users
from connector.reconcile.journal_store import Store
from connector.reconcile.journal_values import FINAL, Direction
from connector.reconcile.refusals import TOO_MANY

LATELY = timedelta(hours=24)
"""How far back the events are counted."""

WHOLE_RUNS = ("run", "report")
"""The kinds of runs that decide about everybody."""

SWEPT_AGAIN = "swept-again"

_OPEN = [state.value for state in LegState if state not in FINAL]
_STRIDE = 1024


@dataclass(frozen=True, slots=True)
class LastRun:
    """A whole run that has ended. One that was interrupted has no exit code."""

    run_id: int
    started_at: datetime
    ended_at: datetime
    result: str
    exit_code: int | None
    counts: Mapping[str, int]
    plan_id: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many wait, and since when the oldest of them does."""

    count: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Gauges:
    """One state of the journal. Keys are words of the connector and names of the config, never of a person.

    `last` is the whole run that ended last, `planned` the newest that came as far as a plan; `revocations` are the open
    ones by direction, `legs` by kind, target, direction and state, `changes` by kind and target; `unsent` and `sent` go
    by channel; `came_back` (by session store) and `refused` (by SCIM client) are of the last 24 hours.
    """

    now: datetime
    runs: Mapping[tuple[str, str], int]
    last: LastRun | None
    planned: LastRun | None
    going: bool
    accepted_at: datetime | None
    closed: int
    revocations: Mapping[str, int]
    legs: Mapping[tuple[str, str, str, str], Waiting]
    changes: Mapping[tuple[str, str], Waiting]
    unsent: Mapping[str, Waiting]
    sent: Mapping[str, datetime]
    duties: Mapping[str, tuple[datetime, str]]
    claimed: bool
    settings: Mapping[str, str]
    audit_records: int
    came_back: Mapping[str, int]
    refused: Mapping[str, int]
    scim_pending: Waiting
    scim_clients: tuple[str, ...]
    size_bytes: int


def read(store: Store) -> Gauges:
    """Read how the journal stands. Raises JournalError."""
    with store.reading() as conn:
        now, records = store.clock(conn), conn.scalar(select(tables.audit_head.c.records)) or 0
        lately = _Lately.read(conn, records, now - LATELY)
        last, planned = _last(conn)
        return Gauges(
            now=now,
            runs=_runs(conn),
            last=last,
            planned=planned,
            going=_going(conn, now),
            accepted_at=conn.scalar(select(func.max(tables.snapshots.c.accepted_at))),
            closed=_closed(conn),
            revocations=_open_revocations(conn),
            legs=_legs(conn),
            changes=_changes(conn),
            unsent=_unsent(conn),
            sent={row[0]: row[1] for row in conn.execute(_SENT)},
            duties=_duties(conn),
            claimed=any(until > now for until in conn.scalars(_DAEMON)),
            settings={row.name: row.value for row in conn.execute(select(tables.settings))},
            audit_records=records,
            came_back=lately.came_back,
            refused=lately.refused,
            scim_pending=_scim_pending(conn),
            scim_clients=tuple(conn.scalars(select(scim_clients.c.name).order_by(scim_clients.c.name))),
            size_bytes=_size(conn),
        )


_SENT = select(outbox.c.channel, func.max(outbox.c.sent_at)).where(outbox.c.sent_at.is_not(None))
_SENT = _SENT.group_by(outbox.c.channel)
_DAEMON = select(tables.claims.c.expires_at).where(tables.claims.c.key == "daemon")


def _runs(conn: Connection) -> dict[tuple[str, str], int]:
    table, found = tables.runs, Counter[tuple[str, str]]()
    for kind, result, count in conn.execute(
        select(table.c.kind, table.c.result, func.count()).group_by(table.c.kind, table.c.result)
    ):
        found[kind, (result or "going").partition(":")[0]] += count
    return dict(found)


def _last(conn: Connection) -> tuple[LastRun | None, LastRun | None]:
    """Give the newest whole run that ended, and the newest that came as far as a plan."""
    table = tables.runs
    ended = select(table).where(table.c.kind.in_(WHOLE_RUNS), table.c.ended_at.is_not(None)).order_by(table.c.id.desc())
    row, planned = (
        conn.execute(ended.limit(1)).first(),
        conn.execute(ended.where(table.c.plan_id != "").limit(1)).first(),
    )
    return (_ended(row) if row else None), (_ended(planned) if planned else None)


def _ended(row: Row[Any]) -> LastRun:
    counts = json.loads(row.counts)
    return LastRun(row.id, row.started_at, row.ended_at, row.result, row.exit_code, counts, row.plan_id)


def _going(conn: Connection, now: datetime) -> bool:
    leases = tables.leases
    return bool(conn.scalar(select(leases.c.expires_at > now).where(leases.c.name == RUN_LEASE)))


def _closed(conn: Connection) -> int:
    table = tables.revocations
    closed = select(func.count()).where(table.c.closed_at.is_not(None), table.c.direction == Direction.CLOSE.value)
    return conn.scalar(closed) or 0


def _open_revocations(conn: Connection) -> dict[str, int]:
    table = tables.revocations
    query = select(table.c.direction, func.count()).where(table.c.state == "open").group_by(table.c.direction)
    return {row[0]: row[1] for row in conn.execute(query)}


def _legs(conn: Connection) -> dict[tuple[str, str, str, str], Waiting]:
    legs, revocations = tables.legs, tables.revocations
    by = (legs.c.kind, legs.c.target, revocations.c.direction, legs.c.state)
    query = select(*by, func.count(), func.min(legs.c.intended_at)).join(
        revocations, revocations.c.id == legs.c.revocation_id
    )
    rows = conn.execute(query.where(legs.c.state.in_(_OPEN)).group_by(*by))
    return {(row[0], row[1], row[2], row[3]): Waiting(row[4], row[5]) for row in rows}


def _changes(conn: Connection) -> dict[tuple[str, str], Waiting]:
    table = tables.changes
    by = (table.c.kind, table.c.portal)
    query = select(*by, func.count(), func.min(table.c.intended_at)).where(table.c.state.in_(_OPEN)).group_by(*by)
    return {(row[0], row[1]): Waiting(row[2], row[3]) for row in conn.execute(query)}


def _unsent(conn: Connection) -> dict[str, Waiting]:
    query = select(outbox.c.channel, func.count(), func.min(outbox.c.put_at)).where(outbox.c.sent_at.is_(None))
    return {row[0]: Waiting(row[1], row[2]) for row in conn.execute(query.group_by(outbox.c.channel))}


def _scim_pending(conn: Connection) -> Waiting:
    # Asked by the column that has an index: of a hundred thousand Users hardly any is pending.
    since = scim_users.c.pending_since
    count, oldest = conn.execute(select(func.count(), func.min(since)).where(since.is_not(None))).one()
    return Waiting(count, oldest)


def _size(conn: Connection) -> int:
    path = _file(conn)
    if path is None:
        return int(conn.scalar(text("SELECT pg_database_size(current_database())")) or 0)
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.is_file())


def _file(conn: Connection) -> Path | None:
    return Path(str(conn.engine.url.database)) if conn.dialect.name == "sqlite" else None


@dataclass(frozen=True, slots=True)
class _Lately:
    """What the end of the audit trail says of the last hours."""

    came_back: Mapping[str, int]
    refused: Mapping[str, int]

    @classmethod
    def read(cls, conn: Connection, records: int, since: datetime) -> "_Lately":
        audit = tables.audit
        kinds = audit.c.kind.in_((SWEPT_AGAIN, TOO_MANY))
        query = select(audit.c.kind, audit.c.operator, audit.c.detail).where(audit.c.id > _before(conn, records, since))
        came_back, refused = Counter[int](), Counter[str]()
        for kind, operator, detail in conn.execute(query.where(audit.c.at >= since, kinds)):
            if kind == TOO_MANY:
                refused[operator.removeprefix("scim:")] += 1
            else:
                said: dict[str, Any] = json.loads(detail)
                came_back[int(said["leg"])] += int(said["ended"])
        return cls(_by_store(conn, came_back), dict(refused))


def _before(conn: Connection, records: int, since: datetime) -> int:
    """Give a record before that time. Only the end of the trail is asked for, which may be years long."""
    audit, stride = tables.audit, _STRIDE
    while stride < records:
        at = conn.scalar(select(audit.c.at).where(audit.c.id == records - stride))
        if at is None or at < since:  # sealed, or old enough
            return records - stride
        stride *= 2
    return 0


def _by_store(conn: Connection, came_back: Mapping[int, int]) -> dict[str, int]:
    found = Counter[str]()
    for leg, count in came_back.items():
        store = conn.scalar(select(tables.legs.c.target).where(tables.legs.c.id == leg))
        if store is not None:
            found[store] += count
    return dict(found)


# --- what a probe asks ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """Where its file is (none on PostgreSQL), whether it takes no writes, whether a claim is held, what was seen to."""

    file: Path | None
    read_only: bool
    claimed: bool
    duties: Mapping[str, tuple[datetime, str]]


def standing(store: Store, claim: str) -> Standing:
    """Read as little as a probe needs. Raises JournalError."""
    with store.reading() as conn:
        now = store.clock(conn)
        until = conn.scalar(select(tables.claims.c.expires_at).where(tables.claims.c.key == claim))
        return Standing(_file(conn), _read_only(conn), until is not None and until > now, _duties(conn))


def _read_only(conn: Connection) -> bool:
    if conn.dialect.name == "sqlite":
        return bool(conn.scalar(text("PRAGMA query_only")))
    # A standby, and a database that an administrator (or a full disk's guard) has set to reading only.
    return bool(
        conn.scalar(text("SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool"))
    )


def _duties(conn: Connection) -> dict[str, tuple[datetime, str]]:
    return {row.name: (row.done_at, row.value) for row in conn.execute(select(duties))}
