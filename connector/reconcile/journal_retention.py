"""What the journal forgets after so many days, and what it never does: whatever a decision, a restore or a limit needs.

Open legs, blocks, keeps, links, settings, standing approvals, urgent terminations, the last accepted snapshots and what
we closed last stay. It goes in small transactions, each with its audit record, so that a run is never kept waiting. The
newest row of a table stays, for no id is ever given twice.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)

from connector.model import LegKind, LegState
from connector.reconcile import journal_tables as tables
from connector.reconcile.forgetting import Effect, Forgotten, OldRevocation, forgotten
from connector.reconcile.journal_authority_tables import termination_records
from connector.reconcile.journal_daemon_tables import outbox
from connector.reconcile.journal_store import Detail, Store, Writing
from connector.reconcile.journal_values import FINAL, ChangeKind, Direction

FORGOTTEN = "forgotten"
"""The kind of the audit record that says what went."""

RUNS_KEPT = 200
"""So many of the newest runs stay with their plans whatever their age: reports look back at them."""

SNAPSHOTS_KEPT = 10
"""So many of the newest accepted snapshots stay."""

_LIMITS_LOOK_BACK = timedelta(days=31)
_MOST = 500
_PAUSE_SECONDS = 0.02
_FINAL = tuple(state.value for state in FINAL)
_PROVEN = (LegState.CLOSED.value, LegState.ALREADY_CLOSED.value)
_OF_MEMBERS = tuple(kind.value for kind in (ChangeKind.ADD, ChangeKind.ENABLE, ChangeKind.DISABLE, ChangeKind.REMOVE))
_OF_GROUPS = (ChangeKind.JOIN_GROUP.value, ChangeKind.LEAVE_GROUP.value)
"""The last of these tells which groups we put somebody into."""


@dataclass(frozen=True, slots=True)
class Gone:
    """How much went, or would go, by what it was."""

    counts: tuple[tuple[str, int], ...] = ()

    @property
    def total(self) -> int:
        """How many rows in all."""
        return sum(count for _, count in self.counts)

    def __add__(self, other: "Gone") -> "Gone":
        """Add two up."""
        names = dict.fromkeys(name for name, _ in (*self.counts, *other.counts))
        mine, theirs = dict(self.counts), dict(other.counts)
        return Gone(tuple((name, mine.get(name, 0) + theirs.get(name, 0)) for name in names))


class _Undone(Exception):  # noqa: N818 - no error: it ends a transaction that was only to be looked at
    """Takes back what a dry run did."""


class Retention:
    """Forgets what is old. `snapshot_days` is how long snapshots keep their content, `run_days` how long all else."""

    def __init__(
        self, store: Store, snapshot_days: int, run_days: int, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._store = store
        self._snapshot_days, self._run_days = timedelta(days=snapshot_days), timedelta(days=run_days)
        self._pause = pause

    def forget(self, operator: str) -> Gone:
        """Forget what nothing needs any more; give how much. A second time there is nothing left."""
        gone = Gone()
        for step in self._steps():
            while True:
                with self._store.writing() as writing:
                    found = step(writing)
                    self._note(writing, found, operator)
                gone += found
                if found.total < _MOST:
                    break
                self._pause(_PAUSE_SECONDS)  # whoever waits for the writer's turn has it now
        return Gone(tuple((name, count) for name, count in gone.counts if count))

    def would_go(self) -> Gone:
        """Say how much would go now, and leave everything as it is."""
        gone = Gone()
        try:
            with self._store.writing() as writing:
                for step in self._steps():
                    while (found := step(writing)).total:
                        gone += found
                raise _Undone  # noqa: TRY301 - the transaction ends by it
        except _Undone:
            return Gone(tuple((name, count) for name, count in gone.counts if count))

    def _steps(self) -> Iterator[Callable[[Writing], Gone]]:
        """Give what is done, in this order: what refers to something goes before it."""
        yield self._contents
        yield from self._of_people()
        yield lambda writing: _delete(writing, tables.observations, "observations", self._old_observations(writing))
        yield lambda writing: _delete(writing, tables.snapshots, "snapshots", self._old_snapshots(writing))
        yield lambda writing: _delete(writing, tables.approvals, "approvals", self._used_approvals(writing))
        yield lambda writing: _delete(writing, tables.plans, "plans", self._old_plans(writing))
        yield lambda writing: _delete(writing, tables.runs, "runs", self._old_runs(writing))
        yield lambda writing: _delete(writing, outbox, "messages", self._sent_messages(writing))

    def _note(self, writing: Writing, found: Gone, operator: str) -> None:
        if not found.total:
            return
        what = ", ".join(f"{count} {name}" for name, count in found.counts if count)
        sentence = f"Forgotten, being older than the config keeps it: {what}."
        detail: Detail = {name: count for name, count in found.counts if count}
        writing.note(FORGOTTEN, "journal", operator, sentence, detail=detail)

    def _before(self, writing: Writing) -> datetime:
        return writing.now - self._run_days

    # --- snapshots, runs, plans ---------------------------------------------------------------------------------------

    def _contents(self, writing: Writing) -> Gone:
        """Let the content of old snapshots go, as every run does; their counts stay."""
        table = tables.snapshots
        old = (table.c.taken_at < writing.now - self._snapshot_days) & table.c.content.is_not(None)
        these = select(table.c.id).where(old, table.c.id.not_in(_accepted_last())).limit(_MOST)
        dropped = writing.conn.execute(update(table).where(table.c.id.in_(these)).values(content=None))
        return Gone((("contents of snapshots", dropped.rowcount),))

    def _old_observations(self, writing: Writing) -> ColumnElement[bool]:
        return tables.observations.c.observed_at < self._before(writing)

    def _old_snapshots(self, writing: Writing) -> ColumnElement[bool]:
        table = tables.snapshots
        before = min(self._before(writing), writing.now - _LIMITS_LOOK_BACK)
        counted = table.c.accepted_at.is_not(None) & (table.c.accepted_at >= before)
        planned = exists().where(tables.plans.c.snapshot_id == table.c.id)
        return and_(table.c.taken_at < before, ~counted, ~planned, table.c.id.not_in(_accepted_last()))

    def _used_approvals(self, writing: Writing) -> ColumnElement[bool]:
        """Choose approvals that a run has used since; one that nobody used still stands."""
        table, runs = tables.approvals, tables.runs
        used = exists().where(
            runs.c.result == "applied", runs.c.plan_id == table.c.plan_id, runs.c.started_at >= table.c.approved_at
        )
        return and_(table.c.approved_at < self._before(writing), used)

    def _old_plans(self, writing: Writing) -> ColumnElement[bool]:
        table, runs = tables.plans, tables.runs
        approved = exists().where(tables.approvals.c.digest == table.c.digest)
        told_of = exists().where(runs.c.plan_id == table.c.plan_id, runs.c.plan_id != "", ~self._is_old_run(writing))
        return and_(table.c.created_at < self._before(writing), ~approved, ~told_of)

    def _is_old_run(self, writing: Writing) -> ColumnElement[bool]:
        runs = tables.runs
        newest = select(runs.c.id).order_by(runs.c.id.desc()).limit(RUNS_KEPT)
        old = and_(runs.c.ended_at.is_not(None), runs.c.ended_at < self._before(writing))
        return and_(old, runs.c.id.not_in(newest.scalar_subquery()))

    def _old_runs(self, writing: Writing) -> ColumnElement[bool]:
        """Choose runs that nothing refers to. One that used an approval stays as long as that: it would stand anew."""
        runs = tables.runs
        referring = (tables.leases, tables.snapshots, tables.plans, tables.revocations, tables.changes)
        needed = [exists().where(table.c.run_id == runs.c.id) for table in (*referring, tables.observations)]
        approved = exists().where(tables.approvals.c.plan_id == runs.c.plan_id)
        return and_(self._is_old_run(writing), ~or_(*needed, approved))

    def _sent_messages(self, writing: Writing) -> ColumnElement[bool]:
        return outbox.c.sent_at.is_not(None) & (outbox.c.sent_at < self._before(writing))

    # --- closings and changes of people -------------------------------------------------------------------------------

    def _of_people(self) -> Iterator[Callable[[Writing], Gone]]:
        """Give the steps that forget closings and changes, closings first."""
        with self._store.reading() as conn:
            before = self._store.clock(conn) - self._run_days
            found = _forgotten(conn, before)
        yield from _of_revocations(found.closing_revocations, before)
        yield from _of_changes(found.closing_changes)
        yield from _of_revocations(found.other_revocations, before)
        yield from _of_changes(found.other_changes)


Step = Callable[[Writing], Gone]


def _of_revocations(numbers: Sequence[int], before: datetime) -> Iterator[Step]:
    table = tables.revocations
    for part in _parts(numbers):
        yield partial(_delete_revocations, chosen=and_(table.c.id.in_(part), table.c.done_at < before))


def _of_changes(numbers: Sequence[int]) -> Iterator[Step]:
    table = tables.changes
    for part in _parts(numbers):
        yield partial(_delete, table=table, name="changes", chosen=table.c.id.in_(part))


def _parts(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), _MOST):
        yield numbers[start : start + _MOST]


def _accepted_last() -> Select[Any]:
    table = tables.snapshots
    accepted = select(table.c.id).where(table.c.accepted_at.is_not(None))
    last = accepted.order_by(table.c.id.desc()).limit(SNAPSHOTS_KEPT).subquery()
    return select(last.c.id)


def _delete(writing: Writing, table: Table, name: str, chosen: ColumnElement[bool]) -> Gone:
    """Delete some hundred of the chosen rows, never the newest of a table that numbers its rows."""
    key = table.primary_key.columns[0]
    # Ids are max + 1: were the newest row gone, its number would be given once more.
    newest = select(func.max(table.c.id)).scalar_subquery() if "id" in table.c else None
    older = chosen if newest is None else and_(chosen, table.c.id < newest)
    these = writing.conn.scalars(select(key).where(older).order_by(key).limit(_MOST)).all()
    if these:
        writing.conn.execute(delete(table).where(key.in_(these)))
    return Gone(((name, len(these)),))


def _delete_revocations(writing: Writing, chosen: ColumnElement[bool]) -> Gone:
    """Delete revocations with their legs; the one with the newest leg stays, and the newest of all."""
    table, legs = tables.revocations, tables.legs
    newest = select(func.max(table.c.id)).scalar_subquery()
    last_leg = select(legs.c.revocation_id).order_by(legs.c.id.desc()).limit(1).scalar_subquery()
    kept = and_(chosen, table.c.id < newest, table.c.id != func.coalesce(last_leg, literal(0)))
    these = writing.conn.scalars(select(table.c.id).where(kept)).all()
    gone = 0
    if these:
        gone = writing.conn.execute(delete(legs).where(legs.c.revocation_id.in_(these))).rowcount
        writing.conn.execute(delete(table).where(table.c.id.in_(these)))
    return Gone((("revocations", len(these)), ("legs", gone)))


def _forgotten(conn: Connection, before: datetime) -> Forgotten:
    changes = tables.changes
    old = and_(changes.c.state.in_(_FINAL), changes.c.finished_at < before, changes.c.kind.not_in(_OF_GROUPS))
    return forgotten(
        [_revocation(row, before) for row in conn.execute(_REVOCATIONS)],
        conn.scalars(select(changes.c.id).where(old)).all(),
        [*_leg_effects(conn), *_change_effects(conn)],
        frozenset(conn.scalars(select(termination_records.c.key))),
    )


_REVOCATIONS = select(
    tables.revocations.c.id,
    tables.revocations.c.key,
    tables.revocations.c.intended_at,
    tables.revocations.c.done_at,
    exists()
    .where(tables.legs.c.revocation_id == tables.revocations.c.id, tables.legs.c.state.not_in(_FINAL))
    .label("is_open"),
)


def _revocation(row: Any, before: datetime) -> OldRevocation:
    over = row.done_at is not None and row.done_at < before and not row.is_open
    return OldRevocation(row.id, row.key, over, row.intended_at, row.done_at)


def _leg_effects(conn: Connection) -> Iterator[Effect]:
    legs, revocations = tables.legs, tables.revocations
    query = (
        select(
            legs.c.kind, legs.c.target, legs.c.subject, legs.c.finished_at, revocations.c.direction, revocations.c.id
        )
        .join(revocations, legs.c.revocation_id == revocations.c.id)
        .where(legs.c.state.in_(_PROVEN), legs.c.kind != LegKind.SESSIONS.value)
    )
    for row in conn.execute(query):
        door = (row.kind, row.target, row.subject)
        yield Effect(door, row.finished_at, row.direction == Direction.CLOSE.value, row.id)


def _change_effects(conn: Connection) -> Iterator[Effect]:
    table = tables.changes
    query = select(table.c.id, table.c.portal, table.c.person_id, table.c.kind, table.c.finished_at)
    for row in conn.execute(query.where(table.c.state.in_(_PROVEN), table.c.kind.in_(_OF_MEMBERS))):
        door = (LegKind.CREDENTIAL.value, row.portal, row.person_id)
        yield Effect(door, row.finished_at, row.kind == ChangeKind.DISABLE.value, row.id, is_change=True)
