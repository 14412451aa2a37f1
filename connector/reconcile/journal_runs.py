"""Runs and the run lease: one run at a time.

A run that stops renewing is over when its lease ends by database time; the next one marks it interrupted. Whoever was
overtaken can write nothing more.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, insert, select, update

from connector.errors import RunInProgress
from connector.reconcile import journal_tables as tables
from connector.reconcile.codec import canonical
from connector.reconcile.journal_claims import AHEAD, OVER, RUN_LEASE, extend_run, require_run
from connector.reconcile.journal_standing import advance
from connector.reconcile.journal_store import Store, Writing, upsert
from connector.reconcile.journal_values import PastRun, Run

LEASE_SECONDS = 120.0


class Runs:
    """Begin, renew, end and list runs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(
        self,
        kind: str,
        operator: str,
        as_of: date,
        fingerprints: Mapping[str, str],
        ttl_seconds: float = LEASE_SECONDS,
        owner: str = "",
    ) -> Run:
        """Begin a run and take the run lease. Raises RunInProgress naming who holds it, where, and until when.

        `owner` is whose it is where somebody may succeed them (`Claims.succeed` ends it then); else it is its own.
        """
        with self._store.writing() as writing:
            epoch = _next_epoch(writing, writing.now + timedelta(seconds=ttl_seconds) + AHEAD)
            advance(writing, self._store.audit_key)
            _mark_interrupted(writing, operator)
            run = Run(
                writing.next_id(tables.runs),
                kind,
                operator,
                platform.node(),
                as_of,
                writing.now,
                owner or uuid4().hex,
                epoch,
                writing.now + timedelta(seconds=ttl_seconds),
            )
            _write_begun(writing, run, fingerprints)
        return run

    def renew(self, run: Run, ttl_seconds: float = LEASE_SECONDS) -> Run:
        """Extend the lease, giving the run with its new end. Raises RunInProgress where it was lost."""
        with self._store.writing() as writing:
            end = writing.now + timedelta(seconds=ttl_seconds)
            extend_run(writing, run, end)
        return replace(run, expires_at=end)

    def end(
        self, run: Run, result: str, exit_code: int, counts: Mapping[str, int] | None = None, plan_id: str = ""
    ) -> None:
        """End a run with its result and give the lease back. Raises RunInProgress where the lease was lost."""
        with self._store.writing() as writing:
            require_run(writing, run)
            table = tables.runs
            writing.conn.execute(
                update(table)
                .where(table.c.id == run.run_id)
                .values(
                    ended_at=writing.now,
                    result=result,
                    exit_code=exit_code,
                    counts=canonical(dict(counts or {})),
                    plan_id=plan_id,
                )
            )
            leases = tables.leases
            writing.conn.execute(update(leases).where(leases.c.name == RUN_LEASE).values(expires_at=OVER))
            _note(writing, run, "run-ended", f"Run {run.run_id} ended: {result}.", {"exit_code": exit_code})

    def recent(self, limit: int = 20, kinds: Sequence[str] = ()) -> tuple[PastRun, ...]:
        """List the newest runs, newest first: of all kinds, or of these."""
        query = select(tables.runs).order_by(tables.runs.c.id.desc()).limit(limit)
        if kinds:
            query = query.where(tables.runs.c.kind.in_(kinds))
        with self._store.reading() as conn:
            rows = conn.execute(query).all()
        return tuple(_past(row) for row in rows)


def _next_epoch(writing: Writing, far: datetime) -> int:
    """Give the next epoch of the lease. Raises RunInProgress where it is held; nobody alive holds it beyond `far`."""
    lease = writing.conn.execute(select(tables.leases).where(tables.leases.c.name == RUN_LEASE)).one_or_none()
    if lease is None:
        return 1
    if writing.now < lease.expires_at <= far:
        raise RunInProgress(
            f"Run {lease.run_id} of {lease.operator} on {lease.host} is going since {lease.taken_at:%H:%M:%S} UTC and "
            f"holds its lease until {lease.expires_at:%H:%M:%S} UTC at least. Nothing was done.",
            "Wait for it to end. If its process is gone, its lease ends by itself at that time.",
        )
    return int(lease.epoch) + 1


def _mark_interrupted(writing: Writing, operator: str) -> None:
    table = tables.runs
    for row in writing.conn.execute(select(table).where(table.c.ended_at.is_(None))).all():
        ended = update(table).where(table.c.id == row.id)
        writing.conn.execute(ended.values(ended_at=writing.now, result="interrupted"))
        sentence = f"Run {row.id} of {row.operator} on {row.host} was interrupted: its lease ended unrenewed."
        writing.note("run-interrupted", f"run:{row.id}", operator, sentence, run_id=row.id)


def _write_begun(writing: Writing, run: Run, fingerprints: Mapping[str, str]) -> None:
    writing.conn.execute(
        insert(tables.runs).values(
            id=run.run_id,
            kind=run.kind,
            operator=run.operator,
            host=run.host,
            as_of=run.as_of,
            fingerprints=canonical(dict(fingerprints)),
            started_at=run.started_at,
            result="",
            counts="{}",
            plan_id="",
        )
    )
    lease = {
        "name": RUN_LEASE,
        "owner": run.owner,
        "epoch": run.epoch,
        "operator": run.operator,
        "host": run.host,
        "run_id": run.run_id,
        "taken_at": run.started_at,
        "expires_at": run.expires_at,
    }
    upsert(writing.conn, tables.leases, [lease])
    _note(writing, run, "run-begun", f"Run {run.run_id} ({run.kind}) begun as of {run.as_of}.", {"host": run.host})


def _note(writing: Writing, run: Run, kind: str, text: str, detail: Mapping[str, str | int]) -> None:
    writing.note(kind, f"run:{run.run_id}", run.operator, text, run_id=run.run_id, detail=detail)


def _past(row: Row[Any]) -> PastRun:
    return PastRun(
        run_id=row.id,
        kind=row.kind,
        operator=row.operator,
        host=row.host,
        as_of=row.as_of,
        fingerprints=json.loads(row.fingerprints),
        started_at=row.started_at,
        ended_at=row.ended_at,
        result=row.result,
        exit_code=row.exit_code,
        counts=json.loads(row.counts),
        plan_id=row.plan_id,
    )
