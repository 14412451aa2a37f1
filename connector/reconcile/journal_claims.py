"""Claims on identities, and the fence every write passes.

A claim is a row with owner, epoch and an end by database time. Whoever takes it over counts the epoch up by one, so a
holder that slept through its end can never write again. Claims let an urgent revocation go ahead of a running batch.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update

from connector.errors import RunInProgress
from connector.reconcile import journal_tables as tables
from connector.reconcile.journal_store import Store, Writing, parts, upsert
from connector.reconcile.journal_values import Claim, Run

RUN_LEASE = "run"


class Claims:
    """Take, extend and give back claims."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def take(self, key: str, owner: str, ttl_seconds: float) -> Claim:
        """Claim one identity. Raises RunInProgress where another owner's claim is still alive."""
        taken = self.take_many((key,), owner, ttl_seconds)
        if not taken:
            raise _busy(key)
        return taken[0]

    def take_many(self, keys: Sequence[str], owner: str, ttl_seconds: float) -> tuple[Claim, ...]:
        """Claim many identities at once. Those another owner holds are left out of the answer."""
        with self._store.writing() as writing:
            held = _rows(writing, keys)
            end = writing.now + timedelta(seconds=ttl_seconds)
            made = tuple(
                Claim(key, owner, _next_epoch(held.get(key), owner, writing.now), end)
                for key in sorted(set(keys))
                if _free(held.get(key), owner, writing.now)
            )
            upsert(writing.conn, tables.claims, [_row(claim) for claim in made])
        return made

    def extend(self, claim: Claim, ttl_seconds: float) -> Claim:
        """Extend one claim. Raises RunInProgress where it has ended or been taken over."""
        extended = self.extend_many((claim,), ttl_seconds)
        if not extended:
            raise _lost(claim.key)
        return extended[0]

    def extend_many(self, claims: Sequence[Claim], ttl_seconds: float) -> tuple[Claim, ...]:
        """Extend claims. Those that have ended or been taken over are left out: their identities are not ours."""
        with self._store.writing() as writing:
            held = _rows(writing, [claim.key for claim in claims])
            end = writing.now + timedelta(seconds=ttl_seconds)
            kept = tuple(
                Claim(claim.key, claim.owner, claim.epoch, end)
                for claim in claims
                if _current(held.get(claim.key), claim, writing.now)
            )
            upsert(writing.conn, tables.claims, [_row(claim) for claim in kept])
        return kept

    def release(self, claims: Sequence[Claim]) -> None:
        """Give claims back. The rows stay with their epochs; one that was taken over meanwhile is left alone."""
        if not claims:
            return
        with self._store.writing() as writing:
            table = tables.claims
            ours = (table.c.key == bindparam("a_key")) & (table.c.owner == bindparam("an_owner"))
            statement = update(table).where(ours, table.c.epoch == bindparam("an_epoch"))
            writing.conn.execute(
                statement.values(expires_at=writing.now),
                [{"a_key": claim.key, "an_owner": claim.owner, "an_epoch": claim.epoch} for claim in claims],
            )


def fence(writing: Writing, run: Run | None, claims: Sequence[Claim], keys: Iterable[str]) -> None:
    """Let a write pass only if its run and claims are still current and nobody else holds any of its keys.

    Raises RunInProgress, and so undoes the transaction. An effect needs a run or claims to stand on.
    """
    if run is None and not claims:
        raise ValueError("A write that belongs to effects needs a run or claims.")
    if run is not None:
        require_run(writing, run)
    wanted = sorted(set(keys))
    held = _rows(writing, wanted)
    ours = {claim.key: claim for claim in claims}
    for key in wanted:
        _require_key(held.get(key), ours.get(key), key, writing.now, claimed_only=run is None)


def require_unclaimed(writing: Writing, keys: Iterable[str]) -> None:
    """Raise RunInProgress where somebody holds a live claim on one of these identities."""
    for held in _rows(writing, sorted(set(keys))).values():
        if held.expires_at > writing.now:
            raise _busy(held.key)


def require_run(writing: Writing, run: Run) -> None:
    """Raise RunInProgress where the run no longer holds the run lease, by database time."""
    lease = writing.conn.execute(select(tables.leases).where(tables.leases.c.name == RUN_LEASE)).one_or_none()
    if lease is not None and (lease.owner, lease.epoch) != (run.owner, run.epoch):
        raise RunInProgress(
            f"Run {run.run_id} was taken over by run {lease.run_id} of {lease.operator} on {lease.host}. "
            "Nothing more is written for it.",
            "Let that run end; it drives what is open. Then start again if changes are left.",
        )
    if lease is None or lease.expires_at <= writing.now:
        raise RunInProgress(
            f"Run {run.run_id} lost its lease: it was not renewed in time. Nothing more is written for it.",
            "Start again; what is open is driven first: connector resume",
        )


def _require_key(held: Claim | None, ours: Claim | None, key: str, now: datetime, *, claimed_only: bool) -> None:
    if ours is not None and not _current(held, ours, now):
        raise _lost(key)
    if ours is None and claimed_only:
        raise ValueError(f"{key} is written without a run and without a claim.")
    if ours is None and held is not None and held.expires_at > now:
        raise _busy(key)


def _rows(writing: Writing, keys: Sequence[str]) -> dict[str, Claim]:
    table = tables.claims
    found: dict[str, Claim] = {}
    for part in parts(keys):
        for row in writing.conn.execute(select(table).where(table.c.key.in_(part))):
            found[row.key] = Claim(row.key, row.owner, row.epoch, row.expires_at)
    return found


def _free(held: Claim | None, owner: str, now: datetime) -> bool:
    return held is None or held.expires_at <= now or held.owner == owner


def _next_epoch(held: Claim | None, owner: str, now: datetime) -> int:
    if held is None:
        return 1
    return held.epoch if held.owner == owner and held.expires_at > now else held.epoch + 1


def _current(held: Claim | None, claim: Claim, now: datetime) -> bool:
    return held is not None and (held.owner, held.epoch) == (claim.owner, claim.epoch) and held.expires_at > now


def _row(claim: Claim) -> dict[str, object]:
    return {"key": claim.key, "owner": claim.owner, "epoch": claim.epoch, "expires_at": claim.expires_at}


def _busy(key: str) -> RunInProgress:
    return RunInProgress(
        f"{key} is being changed by somebody else just now. Nothing was written.",
        "Try again; a claim whose holder is gone ends by itself.",
    )


def _lost(key: str) -> RunInProgress:
    return RunInProgress(
        f"The claim on {key} has ended or was taken over. Nothing more is written for it here.",
        "Whoever holds it now reads the target again and decides; see: connector history",
    )
