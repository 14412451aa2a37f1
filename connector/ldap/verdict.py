"""What to do about one account, given what was planned and what is there now. Pure; every directory adapter asks here.

Must never let a write through for an account that is protected, unmanaged, somebody else's by now, or changed since.
"""

from dataclasses import dataclass

from connector.ldap.dialect import Dialect, closed_state, is_state
from connector.model import Account, CloseAccount, LegState, OpenAccount, Outcome


@dataclass(frozen=True, slots=True)
class Write:
    """One conditional write: only where the state still is `before.state`, make it `new`."""

    before: Account
    new: str


def judge(item: CloseAccount | OpenAccount, found: Account | None, dialect: Dialect) -> Outcome | Write:
    """Give the write to try, or the outcome where there is nothing to write."""
    planned = item.before if isinstance(item, CloseAccount) else item.now
    if found is None:
        return Outcome(LegState.CALLED_OFF, f"{planned.dn} is gone from directory {planned.directory}.", before=planned)
    wanted = item.state if isinstance(item, OpenAccount) else ""
    if _stands(item, found):
        return Outcome(LegState.ALREADY_CLOSED, f"{found.dn} was so before we came.", before=found, after=found)
    if refusal := _refusal(found, wanted, item, dialect):
        return Outcome(LegState.REFUSED, refusal, before=found, after=found)
    if difference := _difference(planned, found):
        return Outcome(
            LegState.CONFLICT, f"{found.dn} is not as planned: {difference}. Nothing was written.", found, found
        )
    return Write(found, item.state if isinstance(item, OpenAccount) else closed_state(dialect, found.state))


def prove(item: CloseAccount | OpenAccount, write: Write, after: Account | None) -> Outcome:
    """Give the outcome of a write the server took, from what was read back."""
    if after is None:
        return Outcome(LegState.CALLED_OFF, f"{write.before.dn} is gone since we wrote.", before=write.before)
    if after.state == write.new or _stands(item, after):
        return Outcome(LegState.CLOSED, before=write.before, after=after)
    detail = f"{after.dn} was written as {write.new!r} and reads {after.state!r}: somebody changed it since."
    return Outcome(LegState.CONFLICT, detail, write.before, after)


def lost_race(item: CloseAccount | OpenAccount, write: Write, after: Account | None) -> Outcome:
    """Give the outcome where the server refused the write because the entry had changed."""
    if after is None:
        return Outcome(LegState.CALLED_OFF, f"{write.before.dn} went while we wrote.", before=write.before)
    if _stands(item, after):
        return Outcome(LegState.ALREADY_CLOSED, f"{after.dn} was changed so by somebody else.", write.before, after)
    return Outcome(
        LegState.CONFLICT, f"{after.dn} changed while it was being written; nothing was written.", write.before, after
    )


def _stands(item: CloseAccount | OpenAccount, found: Account) -> bool:
    return not found.enabled if isinstance(item, CloseAccount) else found.state == item.state


def _refusal(found: Account, wanted: str, item: CloseAccount | OpenAccount, dialect: Dialect) -> str:
    if not found.managed:
        return f"{found.dn} is outside the managed OUs; it is seen, never written."
    if found.protected:
        return f"{found.dn} is protected ({found.protected}); it is never written."
    if isinstance(item, OpenAccount) and not is_state(dialect, wanted):
        return f"{wanted[:20]!r} is no state an account of this directory can be given."
    return ""


def _difference(planned: Account, found: Account) -> str:
    if found.state != planned.state:
        return f"its state was {planned.state!r} and is {found.state!r}"
    # An account given to somebody else since must not be closed for the one before.
    if found.employee_id.strip().casefold() != planned.employee_id.strip().casefold():
        return f"its employee id was {planned.employee_id!r} and is {found.employee_id!r}"
    if found.username.casefold() != planned.username.casefold():
        return f"its username was {planned.username!r} and is {found.username!r}"
    return ""
