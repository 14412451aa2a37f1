"""What the pure core is told of the past: observations written, and one `Memory` assembled.

The memory is read in one transaction, so that it is one state of the journal. It holds values only.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, exists, func, insert, literal, or_, select

from connector.errors import JournalError
from connector.model import Hold, LegKind, LegState
from connector.reconcile import journal_tables as tables
from connector.reconcile.codec import canonical
from connector.reconcile.journal_claims import require_run
from connector.reconcile.journal_rows import decoded
from connector.reconcile.journal_standing import Register, read_register, wrong_rows
from connector.reconcile.journal_store import Store, Writing, upsert
from connector.reconcile.journal_values import ChangeKind, Direction, Run
from connector.reconcile.memory import Block, Closed, Keep, Memory, Release
from connector.reconcile.plan_values import Revocation
from connector.reconcile.standing import SAID, standing_blocks

ROLLOVER_COMPLETE = "rollover_complete"
"""The setting that holds the day on which a named person declared the rollover complete."""

TAMPERED = (
    "ALARM: somebody wrote to the journal's database by another way; it is not as the audit trail tells it. Who is "
    "kept out by the trail is kept out all the same. See which rows, and compare with a backup: connector audit verify"
)
"""It stands in reports that many read: about whom it is, only `audit verify` tells."""

RECENT_DAYS = 7
FLIP_RUNS = 10
FLIPS_KEPT = 20

_OF_MEMBERS = tuple(kind.value for kind in (ChangeKind.ADD, ChangeKind.ENABLE, ChangeKind.DISABLE, ChangeKind.REMOVE))
_PROVEN = (LegState.CLOSED.value, LegState.ALREADY_CLOSED.value)


@dataclass(frozen=True, slots=True)
class _Sighting:
    """What is remembered of a key that was ready at least once."""

    ready: bool = False
    evidence_digest: str = ""
    ready_runs: int = 0
    ready_since: date | None = None
    flips: tuple[int, ...] = ()


class Recall:
    """Observe readiness run by run, and assemble the memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def observe(self, run: Run, as_of: date, ready: Mapping[str, str], entitled: Collection[str]) -> None:
        """Count this run's readiness: `ready` maps keys to the digest of their evidence. A second time is nothing.

        A key in neither is closed or gone: its count starts anew, and it flips when it is entitled again.
        """
        with self._store.writing() as writing:
            require_run(writing, run)
            table = tables.observations
            if writing.conn.scalar(select(table.c.id).where(table.c.run_id == run.run_id)) is not None:
                return
            number = writing.next_id(table)
            row = {"id": number, "run_id": run.run_id, "as_of": as_of, "observed_at": writing.now}
            writing.conn.execute(insert(table).values(**row))
            _observe(writing, number, as_of, ready, frozenset(entitled))

    def memory(
        self,
        as_of: date,
        now: datetime | None = None,
        *,
        flip_runs: int = FLIP_RUNS,
        rollover_from: date | None = None,
    ) -> Memory:
        """Assemble what decisions as of a day may rest on. `now` (the database's unless told) ends the recent closings.

        A rollover declared complete before `rollover_from` was an earlier year's.
        """
        with self._store.reading() as conn:
            sightings = _sightings(conn)
            newest = conn.scalar(select(func.coalesce(func.max(tables.observations.c.id), 0))) or 0
            accounts, members = _closed(conn)
            register = read_register(conn, self._store.audit_key)
            return Memory(
                links=_links(conn),
                blocks=_blocks(conn, register, as_of),
                keeps={row[0]: Keep(*row) for row in _in_force(conn, tables.keeps, as_of)},
                requested=_requested(conn),
                releases=_releases(conn),
                closed_accounts=accounts,
                closed_members=members,
                users=_users(conn),
                ready_runs={key: one.ready_runs for key, one in sightings.items() if one.ready_runs},
                ready_since={key: one.ready_since for key, one in sightings.items() if one.ready_since},
                flips=_flips(sightings, newest - flip_runs),
                recent=_recent(conn, now or self._store.clock(conn)),
                rollover_complete=_rollover_complete(conn, rollover_from),
                alarms=_alarms(conn, register),
            )


def _observe(writing: Writing, number: int, as_of: date, ready: Mapping[str, str], entitled: frozenset[str]) -> None:
    before = _sightings(writing.conn)
    after = {
        key: _next(before.get(key, _Sighting()), number, as_of, ready.get(key), entitled=key in entitled)
        for key in before.keys() | ready.keys()
    }
    upsert(
        writing.conn,
        tables.sightings,
        [
            {
                "key": key,
                "ready": one.ready,
                "evidence_digest": one.evidence_digest,
                "ready_runs": one.ready_runs,
                "ready_since": one.ready_since,
                "flips": canonical(list(one.flips)),
            }
            for key, one in after.items()
            if one != before.get(key)
        ],
    )


def _next(before: _Sighting, number: int, as_of: date, evidence: str | None, *, entitled: bool) -> _Sighting:
    if evidence is not None:
        since = before.ready_since if before.ready_runs else as_of
        return _Sighting(True, evidence, before.ready_runs + 1, since, before.flips)  # noqa: FBT003 - the field's order
    flips = (*before.flips, number)[-FLIPS_KEPT:] if entitled and before.ready else before.flips
    return _Sighting(before.ready and not entitled, "", 0, None, flips)


def _sightings(conn: Connection) -> dict[str, _Sighting]:
    return {
        row.key: _Sighting(
            row.ready, row.evidence_digest, row.ready_runs, row.ready_since, tuple(json.loads(row.flips))
        )
        for row in conn.execute(select(tables.sightings))
    }


def _flips(sightings: Mapping[str, _Sighting], after: int) -> dict[str, int]:
    counted = {key: sum(flip > after for flip in one.flips) for key, one in sightings.items()}
    return {key: flips for key, flips in counted.items() if flips}


def _links(conn: Connection) -> dict[tuple[str, str], str]:
    table = tables.links
    rows = conn.execute(select(table.c.directory, table.c.guid, table.c.person_id))
    return {(row.directory, row.guid): row.person_id for row in rows}


def _users(conn: Connection) -> dict[tuple[str, str], str]:
    table = tables.users
    rows = conn.execute(select(table.c.portal, table.c.username, table.c.person_id))
    return {(row.portal, row.username): row.person_id for row in rows}


def _in_force(conn: Connection, table: Table, as_of: date) -> list[tuple[str, str, str, date | None]]:
    """Give the standing rows of a day; of several on one person the one that holds longest comes last, and so wins."""
    standing = table.c.lifted_at.is_(None) & or_(table.c.until.is_(None), table.c.until >= as_of)
    columns = (table.c.person_id, table.c.owner, table.c.reason, table.c.until)
    query = select(*columns).where(standing).order_by(table.c.until.nulls_last(), table.c.id.desc())
    return [(row.person_id, row.owner, row.reason, row.until) for row in conn.execute(query)]


def _blocks(conn: Connection, register: Register, as_of: date) -> dict[str, Block]:
    """Give the blocks of a day by rows and by the audit trail: one whose row is gone still blocks."""
    by_rows = [Block(*row) for row in _in_force(conn, tables.blocks, as_of)]
    found = (*standing_blocks(register.words, as_of), *by_rows)
    return {block.person_id: block for block in sorted(found, key=lambda block: block.until or date.max)}


def _alarms(conn: Connection, register: Register) -> tuple[str, ...]:
    return (TAMPERED,) if register.faults or wrong_rows(conn, register, SAID) else ()


def _requested(conn: Connection) -> frozenset[str]:
    table = tables.requests
    return frozenset(conn.scalars(select(table.c.person_id).where(table.c.lifted_at.is_(None))))


def _releases(conn: Connection) -> tuple[Release, ...]:
    table = tables.releases
    rows = conn.execute(select(table).order_by(table.c.key, table.c.hold))
    return tuple(Release(row.key, Hold(row.hold), row.evidence_digest, row.owner, row.reason) for row in rows)


def _closed(conn: Connection) -> tuple[frozenset[tuple[str, str]], frozenset[tuple[str, str]]]:
    """Give the accounts and the members whose last change by us is a closing."""
    last: dict[tuple[str, str, str], tuple[datetime, bool]] = {}
    for row in (*conn.execute(_last_legs()), *conn.execute(_last_changes())):
        address = (row.kind, row.target, row.subject)
        if address not in last or last[address][0] <= row.finished_at:
            last[address] = (row.finished_at, row.verb in (Direction.CLOSE.value, ChangeKind.DISABLE.value))
    closed = [address for address, (_, closing) in last.items() if closing]
    accounts = frozenset((target, subject) for kind, target, subject in closed if kind == LegKind.DIRECTORY.value)
    members = frozenset((target, subject) for kind, target, subject in closed if kind == LegKind.CREDENTIAL.value)
    return accounts, members


@cache
def _last_legs() -> Any:
    legs, revocations = tables.legs, tables.revocations
    address = (legs.c.kind, legs.c.target, legs.c.subject)
    newest = func.row_number().over(partition_by=address, order_by=(legs.c.finished_at.desc(), legs.c.id.desc()))
    ranked = (
        select(*address, revocations.c.direction.label("verb"), legs.c.finished_at, newest.label("place"))
        .join(revocations, legs.c.revocation_id == revocations.c.id)
        .where(legs.c.state.in_(_PROVEN), legs.c.kind != LegKind.SESSIONS.value)
        .subquery()
    )
    return select(ranked).where(ranked.c.place == 1)


@cache
def _last_changes() -> Any:
    table = tables.changes
    address = (table.c.portal, table.c.person_id)
    newest = func.row_number().over(partition_by=address, order_by=(table.c.finished_at.desc(), table.c.id.desc()))
    ranked = (
        select(
            table.c.portal.label("target"),
            table.c.person_id.label("subject"),
            table.c.kind.label("verb"),
            table.c.finished_at,
            newest.label("place"),
        )
        .where(table.c.state.in_(_PROVEN), table.c.kind.in_(_OF_MEMBERS))
        .subquery()
    )
    return select(ranked, literal(LegKind.CREDENTIAL.value).label("kind")).where(ranked.c.place == 1)


def _recent(conn: Connection, now: datetime) -> tuple[Closed, ...]:
    table = tables.revocations
    closing = (table.c.direction == Direction.CLOSE.value) & (table.c.closed_at > now - timedelta(days=RECENT_DAYS))
    approval = tables.approvals.c
    approved = exists().where(approval.plan_id == table.c.plan_id, approval.approved_at <= table.c.intended_at)
    columns = (table.c.id, table.c.key, table.c.closed_at, table.c.content, approved.label("approved"))
    query = select(*columns).where(closing).order_by(table.c.id)
    return tuple(_recent_one(row) for row in conn.execute(query).mappings())


def _recent_one(row: RowMapping) -> Closed:
    revocation: Revocation = decoded(Revocation, row["content"], f"revocation {row['id']}")
    types, portals = revocation.values("contact_type"), revocation.values("portal")
    return Closed(row["key"], row["closed_at"], types, portals, revocation.reasons, bool(row["approved"]))


def _rollover_complete(conn: Connection, rollover_from: date | None) -> bool:
    value = conn.scalar(select(tables.settings.c.value).where(tables.settings.c.name == ROLLOVER_COMPLETE))
    if not value or rollover_from is None:
        return bool(value)
    try:
        return date.fromisoformat(value) >= rollover_from
    except ValueError as error:
        raise JournalError(
            f"The setting {ROLLOVER_COMPLETE} is {value!r}, not a date.", "Set it anew: connector rollover complete"
        ) from error
