"""Claims on identities, and the fence every write passes.

A claim is a row with owner, epoch and an end by database time. Whoever takes it over counts the epoch up by one, so a
holder that slept through its end can never write again. Claims let an urgent revocation go ahead of a running batch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, func, or_, select, update

from connector.errors import RunInProgress
from connector.reconcile import journal_tables as tables
from connector.reconcile.journal_bulk import among
from connector.reconcile.journal_store import Store, Writing, insert_rows
from connector.reconcile.journal_values import Claim, Run

RUN_LEASE = "run"

# Asked for with every step of a run: made once, they cost a third of what they do when made each time.
_LEASE = select(tables.leases).where(tables.leases.c.name == RUN_LEASE)
_EXTEND = (
    update(tables.leases)
    .where(
        tables.leases.c.name == RUN_LEASE,
        tables.leases.c.owner == bindparam("an_owner"),
        tables.leases.c.epoch == bindparam("an_epoch"),
        tables.leases.c.expires_at > bindparam("a_now"),
    )
    .values(expires_at=bindparam("a_end"))
)
_THESE = among(tables.claims.c.key, "a_keys")
_HELD = select(
    tables.claims.c.key,
    tables.claims.c.owner,
    tables.claims.c.epoch,
    and_(tables.claims.c.expires_at > bindparam("a_now"), tables.claims.c.expires_at <= bindparam("a_far")).label(
        "lives"
    ),
).where(_THESE)
_END = update(tables.claims).where(_THESE).values(expires_at=bindparam("a_end"))
_TAKE_OVER = (
    update(tables.claims)
    .where(_THESE)
    .values(owner=bindparam("an_owner"), epoch=tables.claims.c.epoch + 1, expires_at=bindparam("a_end"))
)
# What of one owner and epoch is still held. A batch is seldom more than one or two of them.
_OURS = and_(
    _THESE,
    tables.claims.c.owner == bindparam("an_owner"),
    tables.claims.c.epoch == bindparam("an_epoch"),
    tables.claims.c.expires_at > bindparam("a_now"),
)
_COUNT_OURS = select(func.count()).select_from(tables.claims).where(_OURS)
_END_OURS = update(tables.claims).where(_OURS).values(expires_at=bindparam("a_end"))

_END_ALL_OF = (
    update(tables.claims)
    .where(tables.claims.c.owner == bindparam("an_owner"), tables.claims.c.expires_at > bindparam("a_now"))
    .values(expires_at=bindparam("a_now"))
)
_END_RUN_OF = (
    update(tables.leases)
    .where(
        tables.leases.c.name == RUN_LEASE,
        tables.leases.c.owner == bindparam("an_owner"),
        tables.leases.c.expires_at > bindparam("a_now"),
    )
    .values(expires_at=bindparam("a_now"))
)

OVER = datetime(1970, 1, 1, tzinfo=UTC)
"""When ends what was given back: before any time, also where the clock was ahead then and has been set right since."""

AHEAD = timedelta(hours=1)
"""How much later than a new one a claim may end. One that ends later was taken before the clock was set back."""

_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)

URGENT = "urgent:"
"""How the key of a mark begins: somebody waits for this identity, and goes ahead of every run."""


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
            return _take(writing, keys, owner, writing.now + timedelta(seconds=ttl_seconds))

    def take_for(self, run: Run, keys: Sequence[str], ttl_seconds: float) -> tuple[Run, tuple[Claim, ...]]:
        """Extend a run's lease and claim a batch of identities for it, all until the same moment.

        Those somebody else holds are left out. Raises RunInProgress where the run lost its lease.
        """
        with self._store.writing() as writing:
            end = writing.now + timedelta(seconds=ttl_seconds)
            extend_run(writing, run, end)
            marks = _rows(writing, [URGENT + key for key in keys], end + AHEAD)
            wanted = {key.removeprefix(URGENT) for key, mark in marks.items() if mark.lives}
            free = [key for key in keys if key not in wanted]
            # A claim that outlived its run would keep the next run from an identity for nothing.
            return replace(run, expires_at=end), _take(writing, free, run.owner, end)

    def take_urgently(self, keys: Sequence[str], owner: str, ttl_seconds: float) -> tuple[Claim, ...]:
        """Claim all of these identities; or none, and mark them so that no run claims them again after its batch.

        All or none: two who each wait with half of the same people would wait for ever.
        """
        marks = [URGENT + key for key in keys]
        with self._store.writing() as writing:
            end = writing.now + timedelta(seconds=ttl_seconds)
            held = _rows(writing, keys, end + AHEAD)
            if not all(_free(held.get(key), owner) for key in keys):
                _take(writing, marks, owner, end)
                return ()
            _write_end(
                writing, [key for key, mark in _rows(writing, marks).items() if mark.owner == owner], writing.now
            )
            return _take(writing, keys, owner, end)

    def succeed(self, key: str, owner: str, ttl_seconds: float) -> Claim:
        """Claim one key, and end every claim and the run of whoever held it before: they are gone, their work is ours.

        Raises RunInProgress where that holder's claim is still alive.
        """
        with self._store.writing() as writing:
            held = _rows(writing, [key]).get(key)
            taken = _take(writing, [key], owner, writing.now + timedelta(seconds=ttl_seconds))
            if not taken:
                raise _busy(key)
            if held is not None and held.owner != owner:
                theirs = {"an_owner": held.owner, "a_now": writing.now}
                for end in (_END_ALL_OF, _END_RUN_OF):
                    writing.conn.execute(end, theirs)
            return taken[0]

    def extend(self, claim: Claim, ttl_seconds: float) -> Claim:
        """Extend one claim. Raises RunInProgress where it has ended or been taken over."""
        extended = self.extend_many((claim,), ttl_seconds)
        if not extended:
            raise _lost(claim.key)
        return extended[0]

    def extend_many(self, claims: Sequence[Claim], ttl_seconds: float) -> tuple[Claim, ...]:
        """Extend claims. Those that have ended or been taken over are left out: their identities are not ours."""
        with self._store.writing() as writing:
            end = writing.now + timedelta(seconds=ttl_seconds)
            kept = claims
            if _end_ours(writing, claims, end) < len(claims):
                held = _rows(writing, [claim.key for claim in claims])
                kept = [claim for claim in claims if _current(held.get(claim.key), claim)]
        return tuple(replace(claim, expires_at=end) for claim in kept)

    def release(self, claims: Sequence[Claim]) -> None:
        """Give claims back. The rows stay with their epochs; one that was taken over meanwhile is left alone."""
        if not claims:
            return
        with self._store.writing() as writing:
            _end_ours(writing, claims, OVER)

    def require(self, run: Run | None, claims: Sequence[Claim]) -> None:
        """Raise RunInProgress unless run and claims are still ours, by database time. Asked just before a send."""
        with self._store.reading() as conn:
            fence(Writing(conn, self._store.clock(conn)), run, claims, [claim.key for claim in claims])

    def blocked(self, person_ids: Iterable[str], as_of: date) -> frozenset[str]:
        """Give who of these is blocked on a day, as the journal stands at this moment."""
        with self._store.reading() as conn:
            return blocked_among(Writing(conn, self._store.clock(conn)), person_ids, as_of)

    def now(self) -> datetime:
        """Give the database's time: the only clock that claims and leases are measured by."""
        with self._store.reading() as conn:
            return self._store.clock(conn)


def fence(writing: Writing, run: Run | None, claims: Sequence[Claim], keys: Iterable[str]) -> None:
    """Let a write pass only if its run and claims are still current and nobody else holds any of its keys.

    Raises RunInProgress, and so undoes the transaction. An effect needs a run or claims to stand on.
    """
    if run is None and not claims:
        raise ValueError("A write that belongs to effects needs a run or claims.")
    if run is not None:
        require_run(writing, run)
    wanted = sorted(set(keys))
    ours = {claim.key: claim for claim in claims}
    if _all_ours(writing, [ours[key] for key in wanted if key in ours], len(wanted)):
        return
    held = _rows(writing, wanted)
    for key in wanted:
        _require_key(held.get(key), ours.get(key), key, claimed_only=run is None)


def require_unclaimed(writing: Writing, keys: Iterable[str]) -> None:
    """Raise RunInProgress where somebody holds a live claim on one of these identities."""
    for key, held in _rows(writing, sorted(set(keys))).items():
        if held.lives:
            raise _busy(key)


def require_run(writing: Writing, run: Run) -> None:
    """Raise RunInProgress where the run no longer holds the run lease, by database time."""
    lease = writing.conn.execute(_LEASE).one_or_none()
    if lease is not None and (lease.owner, lease.epoch) != (run.owner, run.epoch):
        raise RunInProgress(
            f"Run {run.run_id} was taken over by run {lease.run_id} of {lease.operator} on {lease.host}. "
            "Nothing more is written for it.",
            "Let that run end; it drives what is open. Then start again if changes are left.",
        )
    if lease is None or lease.expires_at <= writing.now:
        raise RunInProgress(
            f"Run {run.run_id} lost its lease: it was not renewed in time. Nothing more is written for it.",
            "Start again; what is open is driven first: connector resume --apply",
        )


def extend_run(writing: Writing, run: Run, end: datetime) -> None:
    """Extend the run lease. Raises RunInProgress where it was lost."""
    ours = {"an_owner": run.owner, "an_epoch": run.epoch, "a_now": writing.now, "a_end": end}
    if not writing.conn.execute(_EXTEND, ours).rowcount:
        require_run(writing, run)


def blocked_among(writing: Writing, person_ids: Iterable[str], as_of: date) -> frozenset[str]:
    """Give who of these is blocked on a day: what was intended before the block must not let them in after it."""
    table = tables.blocks
    standing = and_(table.c.lifted_at.is_(None), or_(table.c.until.is_(None), table.c.until >= as_of))
    asked = select(table.c.person_id).where(standing, among(table.c.person_id, "a_people"))
    people = sorted(set(person_ids))
    return frozenset(writing.conn.scalars(asked, {"a_people": people}) if people else ())


class _Held(NamedTuple):
    """A claim as the database has it now. A batch has hundreds: only what is compared is read."""

    owner: str
    epoch: int
    lives: bool


def _take(writing: Writing, keys: Sequence[str], owner: str, end: datetime) -> tuple[Claim, ...]:
    held = _rows(writing, keys, end + AHEAD)
    free = [key for key in sorted(set(keys)) if _free(held.get(key), owner)]
    again = [key for key in free if key in held and held[key].lives]
    over = [key for key in free if key in held and not held[key].lives]
    _write_end(writing, again, end)
    if over:
        writing.conn.execute(_TAKE_OVER, {"a_keys": over, "an_owner": owner, "a_end": end})
    new = [{"key": key, "owner": owner, "epoch": 1, "expires_at": end} for key in free if key not in held]
    insert_rows(writing.conn, tables.claims, new)
    return tuple(Claim(key, owner, _next_epoch(held.get(key)), end) for key in free)


def _write_end(writing: Writing, keys: Sequence[str], end: datetime) -> None:
    if keys:
        writing.conn.execute(_END, {"a_keys": keys, "a_end": end})


def _end_ours(writing: Writing, claims: Iterable[Claim], end: datetime) -> int:
    """Move the end of those of these claims that are still held as given; give how many that were."""
    return sum(writing.conn.execute(_END_OURS, {**held, "a_end": end}).rowcount for held in _held_as(writing, claims))


def _all_ours(writing: Writing, claims: Sequence[Claim], wanted: int) -> bool:
    counts = (writing.conn.scalar(_COUNT_OURS, held) or 0 for held in _held_as(writing, claims))
    return len(claims) == wanted and sum(counts) == wanted


def _held_as(writing: Writing, claims: Iterable[Claim]) -> Iterable[dict[str, Any]]:
    """Give claims as parameters, those of one owner and epoch together."""
    groups: dict[tuple[str, int], list[str]] = {}
    for claim in claims:
        groups.setdefault((claim.owner, claim.epoch), []).append(claim.key)
    for (owner, epoch), keys in groups.items():
        yield {"a_keys": keys, "an_owner": owner, "an_epoch": epoch, "a_now": writing.now}


def _require_key(held: _Held | None, ours: Claim | None, key: str, *, claimed_only: bool) -> None:
    if ours is not None and not _current(held, ours):
        raise _lost(key)
    if ours is None and claimed_only:
        raise ValueError(f"{key} is written without a run and without a claim.")
    if ours is None and held is not None and held.lives:
        raise _busy(key)


def _rows(writing: Writing, keys: Sequence[str], far: datetime = _FOREVER) -> dict[str, _Held]:
    """Give claims as they stand. Whoever takes one says from what end on (`far`) none can be alive."""
    if not keys:
        return {}
    rows = writing.conn.execute(_HELD, {"a_now": writing.now, "a_keys": keys, "a_far": far})
    return {key: _Held(owner, epoch, lives) for key, owner, epoch, lives in rows}


def _free(held: _Held | None, owner: str) -> bool:
    return held is None or not held.lives or held.owner == owner


def _next_epoch(held: _Held | None) -> int:
    if held is None:
        return 1
    return held.epoch if held.lives else held.epoch + 1


def _current(held: _Held | None, claim: Claim) -> bool:
    return held is not None and held.lives and (held.owner, held.epoch) == (claim.owner, claim.epoch)


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
