"""Rows of revocations, legs and changes turned into values; and how they are asked for.

What cannot be read back is an error that names the row, never a guess.
"""

from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Row, RowMapping, select

from connector.errors import JournalError
from connector.model import Account, LegState, Member
from connector.provisioning import ChangeAccount, GroupMembership, NewAccount
from connector.reconcile import journal_tables as tables
from connector.reconcile.codec import CodecError, from_json
from connector.reconcile.journal_values import (
    AccountChange,
    Change,
    ChangeKind,
    Direction,
    MembershipChange,
    OpenChange,
    OpenLeg,
    StoredLeg,
    StoredRevocation,
)
from connector.reconcile.plan_values import PlannedLeg, Revocation

T = TypeVar("T")

LEG_JOIN = select(
    tables.legs,
    tables.revocations.c.key,
    tables.revocations.c.person_id,
    tables.revocations.c.direction,
    tables.revocations.c.operator,
    tables.revocations.c.content,
).join(tables.revocations, tables.legs.c.revocation_id == tables.revocations.c.id)
"""Legs, each with what is needed of its revocation."""


def open_leg(row: Row[Any]) -> OpenLeg:
    """Make an open leg of a row of `LEG_JOIN`."""
    revocation = _revocation(row.content)
    return OpenLeg(
        leg_id=row.id,
        revocation_id=row.revocation_id,
        key=row.key,
        person_id=row.person_id,
        code=revocation.code,
        name=revocation.name,
        factors=revocation.factors,
        reasons=revocation.reasons,
        direction=Direction(row.direction),
        operator=row.operator,
        planned=decoded(PlannedLeg, row.planned, f"leg {row.id}"),
        state=LegState(row.state),
        detail=row.detail,
        attempts=row.attempts,
        intended_at=row.intended_at,
        last_tried=row.last_tried,
        effective_by=row.effective_by,
    )


def stored_leg(row: Row[Any]) -> StoredLeg:
    """Make a stored leg of a row of `legs`."""
    return StoredLeg(
        leg_id=row.id,
        planned=decoded(PlannedLeg, row.planned, f"leg {row.id}"),
        state=LegState(row.state),
        detail=row.detail,
        before=_read(row.before, f"leg {row.id}"),
        after=_read(row.after, f"leg {row.id}"),
        ended=row.ended,
        effective_by=row.effective_by,
        attempts=row.attempts,
        intended_at=row.intended_at,
        last_tried=row.last_tried,
        finished_at=row.finished_at,
    )


def stored_revocation(row: RowMapping, legs: tuple[StoredLeg, ...]) -> StoredRevocation:
    """Make a stored revocation of a row of `revocations` and its legs."""
    return StoredRevocation(
        revocation_id=row["id"],
        direction=Direction(row["direction"]),
        row=_revocation(row["content"]),
        state=row["state"],
        reason=row["reason"],
        run_id=row["run_id"],
        plan_id=row["plan_id"],
        operator=row["operator"],
        intended_at=row["intended_at"],
        closed_at=row["closed_at"],
        done_at=row["done_at"],
        legs=legs,
    )


def open_change(row: Row[Any]) -> OpenChange:
    """Make an open change of a row of `changes`."""
    return OpenChange(
        row.id,
        _change(row, ChangeKind(row.kind)),
        LegState(row.state),
        row.detail,
        row.attempts,
        row.operator,
        row.intended_at,
        row.last_tried,
    )


_WANTED = {
    ChangeKind.CREATE_ACCOUNT: NewAccount,
    ChangeKind.UPDATE_ACCOUNT: ChangeAccount,
    ChangeKind.JOIN_GROUP: GroupMembership,
    ChangeKind.LEAVE_GROUP: GroupMembership,
}


def _change(row: Row[Any], kind: ChangeKind) -> Change:
    where = f"change {row.id}"
    if kind in _WANTED:
        return AccountChange(row.person_id, decoded(_WANTED[kind], row.after, where))
    return MembershipChange(kind, row.portal, row.person_id, _member(row.before, where), _member(row.after, where))


# Legs of one revocation come one after the other: its text is read once for all of them.
@lru_cache(maxsize=64)
def _revocation(text: str) -> Revocation:
    made: Revocation = decoded(Revocation, text, "a revocation")
    return made


def _read(text: str | None, where: str) -> Account | Member | None:
    value: Account | Member | None = None if text is None else decoded(Account | Member, text, where)
    return value


def _member(text: str | None, where: str) -> Member | None:
    return None if text is None else decoded(Member, text, where)


def decoded(kind: Any, text: str, where: str) -> Any:
    """Read a value back, or raise JournalError naming where it stands."""
    try:
        return from_json(kind, text)
    except CodecError as error:
        raise JournalError(
            f"What the journal holds of {where} cannot be read: {error}.",
            "Restore the journal from a backup, and look at: connector audit verify",
        ) from error
