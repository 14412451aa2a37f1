"""Changes of memberships and accounts, made outside a revocation. Intended before they are tried, as legs are.

One open change per membership, account or group: a newer one replaces it. A final state is never overwritten. An
account that was made is linked to its person in the transaction that records it.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, select, update

from connector.model import Account, LegState, Member, Outcome
from connector.reconcile import journal_tables as tables
from connector.reconcile.codec import to_json
from connector.reconcile.journal_claims import blocked_among, fence
from connector.reconcile.journal_register import link_inside
from connector.reconcile.journal_rows import open_change
from connector.reconcile.journal_store import Detail, Store, Writing, insert_rows, parts
from connector.reconcile.journal_values import (
    FINAL,
    INVITING,
    AccountChange,
    Change,
    ChangeKind,
    Claim,
    OpenChange,
    Run,
)

_FINAL = tuple(state.value for state in FINAL)
_TABLE = tables.changes


class Changes:
    """Intend, record and list changes of memberships and accounts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def intend(
        self, run: Run, changes: Sequence[Change], operator: str, claims: Sequence[Claim] = ()
    ) -> tuple[OpenChange, ...]:
        """Write changes durably before the first is tried.

        Raises RunInProgress where the run or a claim was lost, or somebody else holds one of the people.
        """
        with self._store.writing() as writing:
            fence(writing, run, claims, {change.person_id for change in changes})
            _replace_open(writing, changes, operator)
            numbers = count(writing.next_id(_TABLE))
            made = tuple(
                OpenChange(number, change, LegState.INTENDED, "", 0, operator, writing.now)
                for change, number in zip(changes, numbers, strict=False)
            )
            insert_rows(writing.conn, _TABLE, [_row(one, run) for one in made])
            for one in made:
                _note(writing, one, operator, run.run_id, "intended")
        return made

    def attempt(self, changes: Sequence[OpenChange], run: Run, claims: Sequence[Claim] = ()) -> tuple[OpenChange, ...]:
        """Count a try of these changes, just before they are sent; give those that may be sent.

        Left out is what ended meanwhile, and (called off) what would let somebody in who was blocked since. Raises
        RunInProgress as `intend` does.
        """
        tried = update(_TABLE).where(_TABLE.c.state.not_in(_FINAL))
        with self._store.writing() as writing:
            fence(writing, run, claims, {one.change.person_id for one in changes})
            _call_off_blocked(writing, changes, run)
            final = _final(writing, [one.change_id for one in changes])
            values = {"attempts": _TABLE.c.attempts + 1, "last_tried": writing.now}
            for part in parts([one.change_id for one in changes]):
                writing.conn.execute(tried.where(_TABLE.c.id.in_(part)).values(**values))
        return tuple(one for one in changes if one.change_id not in final)

    def record(
        self, outcomes: Sequence[tuple[OpenChange, Outcome]], run: Run, claims: Sequence[Claim] = ()
    ) -> tuple[OpenChange, ...]:
        """Record what came of changes. Gives those that were final already and were left as they are."""
        with self._store.writing() as writing:
            fence(writing, run, claims, {one.change.person_id for one, _ in outcomes})
            final = _final(writing, [one.change_id for one, _ in outcomes])
            fresh = [(one, outcome) for one, outcome in outcomes if one.change_id not in final]
            fresh = [(one, _linked(writing, one, outcome, run.operator)) for one, outcome in fresh]
            _update(writing, fresh)
            for one, outcome in fresh:
                detail = f" ({outcome.detail})" if outcome.detail else ""
                _note(writing, one, run.operator, run.run_id, f"{outcome.state}{detail}")
        return tuple(one for one, _ in outcomes if one.change_id in final)

    def open(self) -> tuple[OpenChange, ...]:
        """List the changes that are not final, oldest first."""
        query = select(_TABLE).where(_TABLE.c.state.not_in(_FINAL)).order_by(_TABLE.c.id)
        with self._store.reading() as conn:
            return tuple(open_change(row) for row in conn.execute(query))


def _row(one: OpenChange, run: Run) -> dict[str, Any]:
    change = one.change
    return {
        "id": one.change_id,
        "kind": change.kind.value,
        "portal": change.target,
        "person_id": change.person_id,
        "before": None if isinstance(change, AccountChange) else _member(change.before),
        "after": to_json(change.wanted) if isinstance(change, AccountChange) else _member(change.after),
        "state": one.state.value,
        "detail": "",
        "attempts": 0,
        "run_id": run.run_id,
        "operator": one.operator,
        "intended_at": one.intended_at,
    }


def _member(value: Member | None) -> str | None:
    return None if value is None else to_json(value, Member)


def _linked(writing: Writing, one: OpenChange, outcome: Outcome, operator: str) -> Outcome:
    """Link an account that was made, or found to be this person's; one that is linked to another is a conflict."""
    made = one.change.kind is ChangeKind.CREATE_ACCOUNT and outcome.state in (LegState.CLOSED, LegState.ALREADY_CLOSED)
    if not made or not isinstance(outcome.after, Account):
        return outcome
    account, person_id = outcome.after, one.change.person_id
    other = link_inside(writing, account.directory, account.guid, person_id, operator, "provisioned")
    if not other:
        return outcome
    return replace(outcome, state=LegState.CONFLICT, detail=f"{account.dn} is linked to {other}: connector unlink")


def _replace_open(writing: Writing, changes: Sequence[Change], operator: str) -> None:
    wanted = {change.address for change in changes}
    found: list[OpenChange] = []
    for part in parts([change.person_id for change in changes]):
        query = select(_TABLE).where(_TABLE.c.person_id.in_(part), _TABLE.c.state.not_in(_FINAL))
        found += [open_change(row) for row in writing.conn.execute(query)]
    replaced = [one for one in found if one.change.address in wanted]
    _call_off(writing, replaced, operator, "replaced by a newer change of the same")


def _call_off_blocked(writing: Writing, changes: Sequence[OpenChange], run: Run) -> None:
    """An add is not finished against a block that came after it was intended."""
    inviting = [one for one in changes if one.change.kind in INVITING]
    blocked = blocked_among(writing, [one.change.person_id for one in inviting], run.as_of)
    refused = [one for one in inviting if one.change.person_id in blocked]
    _call_off(writing, refused, run.operator, "blocked since it was intended")


def _call_off(writing: Writing, changes: Sequence[OpenChange], operator: str, reason: str) -> None:
    if not changes:
        return
    values = {"state": LegState.CALLED_OFF.value, "detail": reason, "finished_at": writing.now}
    statement = update(_TABLE).where(_TABLE.c.id == bindparam("a_change")).values(**values)
    writing.conn.execute(statement, [{"a_change": one.change_id} for one in changes])
    for one in changes:
        _note(writing, one, operator, None, f"called off: {reason}")


def _final(writing: Writing, change_ids: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for part in parts(change_ids):
        query = select(_TABLE.c.id).where(_TABLE.c.id.in_(part), _TABLE.c.state.in_(_FINAL))
        found.update(writing.conn.scalars(query))
    return found


def _update(writing: Writing, outcomes: Sequence[tuple[OpenChange, Outcome]]) -> None:
    if not outcomes:
        return
    values: dict[str, ColumnElement[Any]] = {
        name: bindparam(f"a_{name}") for name in ("state", "detail", "finished_at")
    }
    read = func.coalesce(bindparam("a_read", type_=_TABLE.c.read_back.type), _TABLE.c.read_back)
    statement = update(_TABLE).where(_TABLE.c.id == bindparam("a_change")).values(**values, read_back=read)
    rows = [
        {
            "a_change": one.change_id,
            "a_state": outcome.state.value,
            "a_detail": outcome.detail,
            "a_finished_at": writing.now if outcome.state in FINAL else None,
            "a_read": to_json(outcome.after) if outcome.after is not None else None,
        }
        for one, outcome in outcomes
    ]
    writing.conn.execute(statement, rows)


def _note(writing: Writing, one: OpenChange, operator: str, run_id: int | None, what: str) -> None:
    change = one.change
    person_id, target, kind = change.person_id, change.target, change.kind.value
    is_account = isinstance(change, AccountChange)
    sentence = f"{kind.replace('-', ' ').capitalize()} {person_id} in {target}: {what}."
    detail: Detail = {"change": one.change_id, "directory" if is_account else "portal": target, "kind": kind}
    name = "account" if is_account else "membership"
    writing.note(name, person_id, operator, sentence, person_id=person_id, run_id=run_id, detail=detail)
