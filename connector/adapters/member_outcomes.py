"""What came of a change to a member, told from what was read back. Pure: every portal adapter says it alike.

Closed is said only of what is seen closed. A row that somebody else changed is a conflict, never overwritten.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from connector.model import CloseMember, LegState, Member, MemberStatus, OpenMember, Outcome


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one item's statement went: it hit its row, or it was refused, or its answer was lost, or it hit nothing."""

    ours: bool = False
    refused: str = ""
    lost: str = ""


def is_closed(member: Member, item: CloseMember) -> bool:
    """Whether nothing of what the item closes lives any more."""
    credential = not (item.clear_credential and member.credential_lives)
    return credential and not (item.disable and member.enabled)


def as_planned(member: Member, before: Member) -> bool:
    """Whether a member still is what a change was planned on."""
    return (member.username, member.has_password, member.status) == (
        before.username,
        before.has_password,
        before.status,
    )


def close_outcome(item: CloseMember, now: Sequence[Member], attempt: Attempt) -> Outcome:
    """Judge a closing by the rows that answer to the item's key now."""
    before = item.before
    if not now:
        return Outcome(LegState.CALLED_OFF, "no longer a member of the portal", before=before)
    still_open = [member for member in now if not is_closed(member, item)]
    if not still_open:
        return _done(before, now[0], attempt)
    return _not_done(before, still_open, attempt)


def open_outcome(item: OpenMember, now: Sequence[Member], attempt: Attempt) -> Outcome:
    """Judge an opening: the member has the username and the status that were asked for, or has not."""
    if not now:
        return Outcome(LegState.CALLED_OFF, "no longer a member of the portal", before=item.now)
    for member in now:
        if (member.username, member.status) == (item.username, item.status):
            return _done(item.now, member, attempt)
    return _not_done(item.now, now, attempt)


def add_outcome(wanted: Member, now: Sequence[Member], attempt: Attempt) -> Outcome:
    """Judge an addition: the person is a member, by us or already."""
    if not now:
        return _failed(attempt, wanted, None, "the portal took the member and does not have it")
    if attempt.ours or (attempt.lost and as_planned(now[0], wanted)):
        return Outcome(LegState.CLOSED, after=now[0])
    return Outcome(LegState.ALREADY_CLOSED, "already a member, left unchanged", before=now[0], after=now[0])


def remove_outcome(before: Member, now: Sequence[Member], attempt: Attempt) -> Outcome:
    """Judge a removal: no row answers to the key any more."""
    if not now:
        state = LegState.CLOSED if attempt.ours or attempt.lost else LegState.ALREADY_CLOSED
        return Outcome(state, before=before)
    return _not_done(before, now, attempt)


def _done(before: Member, after: Member, attempt: Attempt) -> Outcome:
    if attempt.lost:
        return Outcome(LegState.CLOSED, "the answer was lost; read back as planned", before=before, after=after)
    state = LegState.CLOSED if attempt.ours else LegState.ALREADY_CLOSED
    return Outcome(state, before=before, after=after)


def _not_done(before: Member, now: Sequence[Member], attempt: Attempt) -> Outcome:
    for member in now:
        if as_planned(member, before):
            return _failed(attempt, before, member, "the portal took the change and still has the member as before")
    detail = (
        "changed again right after us" if attempt.ours else f"changed since it was planned: {_change(before, now[0])}"
    )
    return Outcome(LegState.CONFLICT, detail, before=before, after=now[0])


def _failed(attempt: Attempt, before: Member, after: Member | None, otherwise: str) -> Outcome:
    state = LegState.UNREACHABLE if attempt.lost else LegState.REFUSED
    return Outcome(state, attempt.lost or attempt.refused or otherwise, before=before, after=after)


def _change(before: Member, now: Member) -> str:
    changes = [
        (before.username != now.username, f"the username is now {now.username!r}"),
        (before.has_password and not now.has_password, "the password is gone"),
        (now.has_password and not before.has_password, "it has a password now"),
        (before.status is not now.status, f"it is now {MemberStatus(now.status).value}"),
    ]
    return ", ".join(words for changed, words in changes if changed)
