"""Revocations and their legs: intended together before the first effect, recorded as they end.

One transaction holds all legs of a batch. A final state is never overwritten. A revocation is done in the transaction
in which its last leg becomes final. What a leg called off or replaced keeps is its history.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from sqlalchemy import ColumnElement, Connection, Exists, and_, bindparam, exists, func, or_, select, update

from connector.errors import UnknownPerson
from connector.model import Account, LegKind, LegState, Member, Outcome
from connector.reconcile import journal_tables as tables
from connector.reconcile.codec import to_json
from connector.reconcile.journal_bulk import among, execute_many
from connector.reconcile.journal_claims import blocked_among, fence, require_unclaimed
from connector.reconcile.journal_leg_notes import Order, named, note_intent, note_outcome
from connector.reconcile.journal_people import write_block
from connector.reconcile.journal_register import remember_users
from connector.reconcile.journal_rows import LEG_JOIN, open_leg
from connector.reconcile.journal_store import Store, Writing, insert_rows
from connector.reconcile.journal_values import FINAL, Claim, Direction, OpenLeg, Run
from connector.reconcile.memory import Block
from connector.reconcile.plan_values import PlannedLeg, Revocation

_FINAL = tuple(state.value for state in FINAL)
_PROVEN = (LegState.CLOSED.value, LegState.ALREADY_CLOSED.value)

# Asked for with every batch: made once, they cost a third of what they do when made each time.
_THESE = among(tables.legs.c.id, "a_legs")
_STATES = select(tables.legs.c.id, tables.legs.c.state).where(_THESE)
_TRIED = (
    update(tables.legs)
    .where(tables.legs.c.state.not_in(_FINAL), _THESE)
    .values(attempts=tables.legs.c.attempts + 1, last_tried=bindparam("a_now"))
)
_OUTCOME = (
    update(tables.legs)
    .where(tables.legs.c.id == bindparam("a_leg"))
    .values(
        {name: bindparam(f"a_{name}") for name in ("state", "detail", "after", "effective_by", "finished_at")}
        # The first thing read before an effect is what restore gives back; a later try reads our own effect.
        | {"before": func.coalesce(tables.legs.c.before, bindparam("a_before", type_=tables.legs.c.before.type))}
        | {"ended": tables.legs.c.ended + bindparam("a_ended")}
    )
)
_OPEN_OF_KEYS = LEG_JOIN.where(among(tables.revocations.c.key, "a_keys"), tables.legs.c.state.not_in(_FINAL))
_THESE_REVOCATIONS = among(tables.revocations.c.id, "a_revocations")
_FIRST_CLOSED = (
    update(tables.revocations)
    .where(_THESE_REVOCATIONS, tables.revocations.c.closed_at.is_(None))
    .values(closed_at=bindparam("a_now"))
)


_WHY = (
    update(tables.revocations)
    .where(_THESE_REVOCATIONS, tables.revocations.c.state == LegState.CALLED_OFF.value)
    .values(reason=bindparam("a_reason"))
)


def _has_leg(*conditions: ColumnElement[bool]) -> Exists:
    return exists().where(tables.legs.c.revocation_id == tables.revocations.c.id, *conditions)


# Done where one leg is proven, else called off: in this order.
_ENDED = [
    update(tables.revocations)
    .where(_THESE_REVOCATIONS, tables.revocations.c.state == "open", ~_has_leg(tables.legs.c.state.not_in(_FINAL)), *so)
    .values(state=state, done_at=bindparam("a_now"))
    for state, so in (("done", [_has_leg(tables.legs.c.state.in_(_PROVEN))]), (LegState.CALLED_OFF.value, []))
]


class Legs:
    """Intend, attempt, record and abandon; list what is open."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def intend(
        self,
        run: Run | None,
        plan_id: str,
        rows: Sequence[Revocation],
        operator: str,
        *,
        direction: Direction = Direction.CLOSE,
        blocks: Sequence[Block] = (),
        claims: Sequence[Claim] = (),
    ) -> tuple[OpenLeg, ...]:
        """Write revocations with all their legs, and blocks, in one transaction; give the legs to drive.

        They are durable when this returns. A withheld leg is recorded as called off. A leg still open from earlier on
        the same target and subject of the same identity is called off: this one drives it now. Raises RunInProgress
        where the run or a claim was lost, or somebody else holds one of the identities.
        """
        order = Order(direction, operator, run.run_id if run else None, plan_id)
        with self._store.writing() as writing:
            fence(writing, run, claims, [row.key for row in rows])
            return _write_intent(writing, rows, order, blocks)

    def attempt(
        self, legs: Sequence[OpenLeg], run: Run | None = None, claims: Sequence[Claim] = ()
    ) -> tuple[OpenLeg, ...]:
        """Count a try of these legs, just before they are sent; give those that may be sent.

        Left out is what ended meanwhile, and (called off) what would open a door to somebody blocked since. Raises
        RunInProgress where the legs are no longer ours.
        """
        with self._store.writing() as writing:
            fence(writing, run, claims, {leg.key for leg in legs})
            _call_off_blocked(writing, legs, run)
            states = _states(writing.conn, [leg.leg_id for leg in legs])
            writing.conn.execute(_TRIED, {"a_legs": [leg.leg_id for leg in legs], "a_now": writing.now})
        return tuple(leg for leg in legs if states.get(leg.leg_id) not in _FINAL)

    def still_open(self, legs: Sequence[OpenLeg]) -> tuple[OpenLeg, ...]:
        """Give those of these legs that are not final by now."""
        with self._store.reading() as conn:
            states = _states(conn, [leg.leg_id for leg in legs])
        return tuple(leg for leg in legs if states.get(leg.leg_id) not in _FINAL)

    def record(
        self, outcomes: Sequence[tuple[OpenLeg, Outcome]], run: Run | None = None, claims: Sequence[Claim] = ()
    ) -> tuple[OpenLeg, ...]:
        """Record what came of legs, with one audit record each, and end the revocations whose legs are all final.

        Gives the legs that were final already and were left as they are. Raises RunInProgress as `intend` does.
        """
        with self._store.writing() as writing:
            fence(writing, run, claims, {leg.key for leg, _ in outcomes})
            states = _states(writing.conn, [leg.leg_id for leg, _ in outcomes])
            fresh = [(leg, outcome) for leg, outcome in outcomes if states.get(leg.leg_id) not in _FINAL]
            execute_many(writing.conn, _OUTCOME, [_outcome_row(writing, leg, outcome) for leg, outcome in fresh])
            for leg, outcome in fresh:
                note_outcome(writing, leg, outcome, run)
            _mark_closed(writing, fresh)
            settle(writing, {leg.revocation_id for leg, _ in fresh})
        return tuple(leg for leg, _ in outcomes if states.get(leg.leg_id) in _FINAL)

    def open(
        self,
        target: str | None = None,
        key: str | None = None,
        kind: LegKind | None = None,
        before: int | None = None,
    ) -> tuple[OpenLeg, ...]:
        """List the legs that are not final, oldest first; see `OpenLeg.resumable` for those resume drives.

        `before` leaves out that leg and those intended after it.
        """
        query = LEG_JOIN.where(tables.legs.c.state.not_in(_FINAL)).order_by(tables.legs.c.id)
        if target is not None:
            query = query.where(tables.legs.c.target == target)
        if key is not None:
            query = query.where(tables.revocations.c.key == key)
        if kind is not None:
            query = query.where(tables.legs.c.kind == kind.value)
        if before is not None:
            query = query.where(tables.legs.c.id < before)
        with self._store.reading() as conn:
            return tuple(open_leg(row) for row in conn.execute(query))

    def abandon(
        self,
        which: int | str,
        operator: str,
        reason: str,
        *,
        claims: Sequence[Claim] = (),
        but: Collection[int] = (),
    ) -> int:
        """Call off the open legs of a revocation (by number) or an identity (by key or person); give how many.

        `but` are legs that stay open, by number. Raises UnknownPerson where nothing is open, RunInProgress where
        somebody else is driving it just now.
        """
        with self._store.writing() as writing:
            found = [open_leg(row) for row in writing.conn.execute(LEG_JOIN.where(_open_of(which)))]
            if not found:
                raise UnknownPerson(f"Nothing is open for {which}.", "See what is: connector resume --dry-run")
            if claims:
                fence(writing, None, claims, {leg.key for leg in found})
            else:
                require_unclaimed(writing, {leg.key for leg in found})
            found = [leg for leg in found if leg.leg_id not in but]
            call_off(writing, found, operator, f"abandoned by {operator}: {reason}")
        return len(found)


def write_urgent_intent(
    writing: Writing, rows: Sequence[Revocation], operator: str, blocks: Sequence[Block], claims: Sequence[Claim]
) -> tuple[OpenLeg, ...]:
    """Write an intent on claims alone inside the transaction of its order. Raises RunInProgress as `intend` does."""
    fence(writing, None, claims, [row.key for row in rows])
    return _write_intent(writing, rows, Order(Direction.CLOSE, operator, None, ""), blocks)


def _write_intent(
    writing: Writing, rows: Sequence[Revocation], order: Order, blocks: Sequence[Block]
) -> tuple[OpenLeg, ...]:
    _replace_open(writing, rows, order.operator)
    made = _insert(writing, rows, order)
    for block in blocks:
        write_block(writing, block)
    remember_users(writing, _users(rows))
    return made


def _open_of(which: int | str) -> Any:
    table = tables.revocations
    named = table.c.id == which if isinstance(which, int) else or_(table.c.key == which, table.c.person_id == which)
    return and_(named, tables.legs.c.state.not_in(_FINAL))


def _insert(writing: Writing, rows: Sequence[Revocation], order: Order) -> tuple[OpenLeg, ...]:
    numbers, leg_numbers = count(writing.next_id(tables.revocations)), count(writing.next_id(tables.legs))
    made_rows, made_legs, opened, undriven = [], [], [], set()
    for row, number in zip(rows, numbers, strict=False):
        made_rows.append(_revocation_row(writing, number, row, order))
        for planned, leg_number in zip(row.legs, leg_numbers, strict=False):
            made_legs.append(_leg_row(writing, leg_number, number, planned))
            if not planned.withheld:
                opened.append(_opened(made_legs[-1], row, planned, order))
        if all(leg.withheld for leg in row.legs):
            undriven.add(number)
        note_intent(writing, number, row, order)
    insert_rows(writing.conn, tables.revocations, made_rows)
    insert_rows(writing.conn, tables.legs, made_legs)
    settle(writing, undriven)
    return tuple(opened)


def _revocation_row(writing: Writing, number: int, row: Revocation, order: Order) -> dict[str, Any]:
    return {
        "id": number,
        "key": row.key,
        "person_id": row.person_id,
        "direction": order.direction.value,
        # The legs have rows of their own; twice would be two truths.
        "content": to_json(replace(row, legs=())),
        "state": "open",
        "reason": "",
        "run_id": order.run_id,
        "plan_id": order.plan_id,
        "operator": order.operator,
        "intended_at": writing.now,
    }


def _leg_row(writing: Writing, number: int, revocation_id: int, planned: PlannedLeg) -> dict[str, Any]:
    withheld = bool(planned.withheld)
    return {
        "id": number,
        "revocation_id": revocation_id,
        "kind": planned.kind.value,
        "target": planned.target,
        "subject": planned.subject,
        "withheld": withheld,
        "planned": to_json(planned),
        "state": (LegState.CALLED_OFF if withheld else LegState.INTENDED).value,
        "detail": planned.withheld,
        "ended": 0,
        "attempts": 0,
        "intended_at": writing.now,
        "finished_at": writing.now if withheld else None,
    }


def _opened(made: Mapping[str, Any], row: Revocation, planned: PlannedLeg, order: Order) -> OpenLeg:
    return OpenLeg(
        leg_id=made["id"],
        revocation_id=made["revocation_id"],
        key=row.key,
        person_id=row.person_id,
        code=row.code,
        name=row.name,
        factors=row.factors,
        reasons=row.reasons,
        direction=order.direction,
        operator=order.operator,
        planned=planned,
        state=LegState.INTENDED,
        detail="",
        attempts=0,
        intended_at=made["intended_at"],
    )


def _users(rows: Iterable[Revocation]) -> dict[tuple[str, str], str]:
    """Collect the usernames that are about to be cleared: sessions are told apart by them afterwards."""
    befores = (leg.before for row in rows for leg in row.legs if leg.kind is LegKind.CREDENTIAL)
    return {
        (member.portal, member.username): member.person_id
        for member in befores
        if isinstance(member, Member) and member.username
    }


def _replace_open(writing: Writing, rows: Sequence[Revocation], operator: str) -> None:
    driven = {(row.key, leg.kind, leg.target, leg.subject) for row in rows for leg in row.legs if not leg.withheld}
    found = (open_leg(row) for row in writing.conn.execute(_OPEN_OF_KEYS, {"a_keys": [row.key for row in rows]}))
    replaced = [leg for leg in found if _address(leg) in driven]
    call_off(writing, replaced, operator, "replaced by a newer revocation or restore of the same target")


def _address(leg: OpenLeg) -> tuple[str, LegKind, str, str]:
    return leg.key, leg.planned.kind, leg.planned.target, leg.planned.subject


def call_off(writing: Writing, legs: Sequence[OpenLeg], operator: str, reason: str) -> None:
    """Call legs off inside a transaction that says why."""
    table = tables.legs
    if not legs:
        return
    values = {"state": LegState.CALLED_OFF.value, "detail": reason, "finished_at": writing.now}
    statement = update(table).where(table.c.id == bindparam("a_leg")).values(**values)
    writing.conn.execute(statement, [{"a_leg": leg.leg_id} for leg in legs])
    for leg in legs:
        sentence = f"{named(leg)} called off: {reason}."
        writing.note("called-off", leg.key, operator, sentence, person_id=leg.person_id, detail={"leg": leg.leg_id})
    revocations = {leg.revocation_id for leg in legs}
    settle(writing, revocations)
    writing.conn.execute(_WHY, {"a_revocations": sorted(revocations), "a_reason": reason})


def settle(writing: Writing, revocation_ids: Iterable[int]) -> None:
    """End the revocations among these whose legs are all final: done where one is proven, else called off."""
    these = {"a_revocations": sorted(revocation_ids), "a_now": writing.now}
    for ended in _ENDED if these["a_revocations"] else ():
        writing.conn.execute(ended, these)


def _call_off_blocked(writing: Writing, legs: Sequence[OpenLeg], run: Run | None) -> None:
    """A restore is not finished against a block that came after it was asked for."""
    opening = [leg for leg in legs if leg.direction is Direction.OPEN and leg.person_id]
    if opening:
        as_of = run.as_of if run else writing.now.date()
        blocked = blocked_among(writing, [leg.person_id or "" for leg in opening], as_of)
        refused = [leg for leg in opening if leg.person_id in blocked]
        call_off(writing, refused, run.operator if run else legs[0].operator, "blocked since it was asked for")


def _states(conn: Connection, leg_ids: Sequence[int]) -> dict[int, str]:
    rows = conn.execute(_STATES, {"a_legs": list(leg_ids)}) if leg_ids else ()
    return {number: state for number, state in rows}  # noqa: C416 - rows are no pairs to a type checker


def _outcome_row(writing: Writing, leg: OpenLeg, outcome: Outcome) -> dict[str, Any]:
    return {
        "a_leg": leg.leg_id,
        "a_state": outcome.state.value,
        "a_detail": outcome.detail,
        "a_before": _read(outcome.before),
        "a_after": _read(outcome.after),
        "a_ended": outcome.ended,
        "a_effective_by": outcome.effective_by,
        "a_finished_at": writing.now if outcome.state in FINAL else None,
    }


def _read(value: Account | Member | None) -> str | None:
    return None if value is None else to_json(value, Account | Member)


def _mark_closed(writing: Writing, outcomes: Sequence[tuple[OpenLeg, Outcome]]) -> None:
    """Mark the first effect of a revocation: limits of the last days count what was really taken away."""
    closed = sorted({leg.revocation_id for leg, outcome in outcomes if outcome.state is LegState.CLOSED})
    if closed:
        writing.conn.execute(_FIRST_CLOSED, {"a_revocations": closed, "a_now": writing.now})
