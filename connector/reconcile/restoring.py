"""Open again what a revocation closed, from its before-values. Pure: it makes the rows, `apply` drives them.

A restore refuses where the world has moved on, and says how. A cleared password cannot return: who needs a welcome
e-mail is named. What was never proven closed by us is not ours to open.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connector.model import Account, LegKind, LegState, Member, Reason
from connector.policy import PortalRules, SignIn
from connector.reconcile.decide import Decisions
from connector.reconcile.journal_values import Direction, StoredLeg, StoredRevocation
from connector.reconcile.plan_values import Evidence, PlannedLeg, Revocation
from connector.reconcile.snapshot import Snapshot
from connector.reconcile.wording import clean, label_of, listed

_OPENED = (LegState.CLOSED, LegState.ALREADY_CLOSED)

SHOWS_WITHIN = timedelta(hours=1)
"""How long a portal may take to show a changed membership to somebody who is signed in; signing in anew shows it."""


def tell_the_person(shown_by: datetime | None = None) -> str:
    """Say what a restored person does next; `shown_by` is in the school's zone (none: nothing was restored yet)."""
    by = f"by {shown_by:%H:%M}" if shown_by else "within the hour"
    return f"Tell them: log out and in; else it shows {by}."


@dataclass(frozen=True, slots=True)
class Restore:
    """What a restore would do. `refused` says why a person or leg stays closed; `welcome` names who needs an e-mail."""

    rows: tuple[Revocation, ...]
    refused: tuple[tuple[str, str], ...] = ()
    welcome: tuple[str, ...] = ()

    @property
    def members(self) -> bool:
        """Whether a membership is given back: that is what somebody who is signed in may not see at once."""
        return any(leg.kind is LegKind.CREDENTIAL for row in self.rows for leg in row.legs)

    @property
    def welcomed(self) -> tuple[str, ...]:
        """Who needs a welcome e-mail, by name and code."""
        names = {row.code: row.name for row in self.rows}
        return tuple(clean(f"{names[code]} ({code})" if names.get(code) else code) for code in self.welcome)


def plan_restore(
    closed: Sequence[StoredRevocation],
    decisions: Decisions,
    snapshot: Snapshot,
    portals: Sequence[PortalRules],
    *,
    seconded: bool,
    terminated: Collection[str] = (),
) -> Restore:
    """Plan to open what these revocations closed. Blocked people stay closed.

    Restricted people, and those of the keys in `terminated` (closed by an urgent termination), need a second.
    """
    now = _now(decisions, snapshot)
    by_password = {p.name for p in portals if p.sign_in is SignIn.PASSWORD}
    rows: list[Revocation] = []
    refused: list[tuple[str, str]] = []
    welcome: list[str] = []
    for revocation in _newest_of_each(closed):
        alone = revocation.row.key in terminated and not seconded
        why = _not_now(revocation, decisions, seconded=seconded) or (_TERMINATED if alone else "")
        if why:
            refused.append((revocation.row.code or revocation.row.key, why))
            continue
        legs, moved_on = _legs(revocation, now)
        refused += [(revocation.row.code or revocation.row.key, why) for why in moved_on]
        if legs:
            rows.append(replace(revocation.row, legs=legs, holds=(), evidence=(_why(revocation),)))
            welcome += [revocation.row.code for leg in legs if _password_was_cleared(leg, by_password)]
    return Restore(tuple(rows), tuple(refused), tuple(dict.fromkeys(welcome)))


def _newest_of_each(closed: Iterable[StoredRevocation]) -> Iterable[StoredRevocation]:
    """Give each identity's newest closing; they come newest first, restores among them.

    What was closed in several revocations, one begun before the other was over, is one closing: a target that was down,
    a second order. Where the newest closed no door, only sessions, the one before it counts.
    """
    of_each: dict[str, list[StoredRevocation]] = {}
    for revocation in closed:
        of_each.setdefault(revocation.row.key, []).append(revocation)
    return [_as_one(parts) for mine in of_each.values() if (parts := _parts_of_newest(mine))]


def _parts_of_newest(newest_first: Sequence[StoredRevocation]) -> list[StoredRevocation]:
    """Give the revocations that are the newest closing, up to the last restore that opened anything."""
    parts: list[StoredRevocation] = []
    for revocation in newest_first:
        if revocation.direction is Direction.OPEN:
            if any(leg.state in _OPENED for leg in revocation.legs):
                break
        elif not any(map(_is_closed_door, (leg for part in parts for leg in part.legs))) or _overlap(
            revocation, parts[-1]
        ):
            parts.append(revocation)
        else:
            break
    return parts


def _overlap(older: StoredRevocation, newer: StoredRevocation) -> bool:
    return older.done_at is None or older.done_at >= newer.intended_at


def _is_closed_door(leg: StoredLeg) -> bool:
    return leg.state is LegState.CLOSED and leg.planned.kind is not LegKind.SESSIONS


def _as_one(parts: Sequence[StoredRevocation]) -> StoredRevocation:
    """Give one closing made of its revocations, of each door as it was closed last."""
    doors: dict[tuple[str, ...], StoredLeg] = {}
    for leg in (leg for part in parts for leg in part.legs if _is_closed_door(leg)):
        native_id = leg.before.native_id if isinstance(leg.before, Member) else ""
        doors.setdefault((leg.planned.kind, leg.planned.target, leg.planned.subject, native_id), leg)
    newest = next((part for part in parts if any(map(_is_closed_door, part.legs))), parts[0])
    reasons = tuple(dict.fromkeys(reason for part in parts for reason in part.row.reasons))
    return replace(newest, row=replace(newest.row, reasons=reasons), legs=tuple(doors.values()))


_TERMINATED = "was closed by an urgent termination: reopening takes a second operator (--second NAME)"


def _not_now(revocation: StoredRevocation, decisions: Decisions, *, seconded: bool) -> str:
    key = revocation.row.person_id or ""
    if key in decisions.school.blocked:
        others = [record for record in decisions.school.blocked_as(key) if record != key]
        named = f" as {listed([label_of(decisions, record) for record in others])}, the same person" if others else ""
        return f"is blocked{named}; first: connector unblock {revocation.row.code or key} --second NAME"
    # Also where the admin system no longer says so: a column that is gone must not let anybody in.
    restricted = key in decisions.school.barred or Reason.RESTRICTED in revocation.row.reasons
    if restricted and not seconded:
        return "is restricted by a court order: reopening takes a second operator (--second NAME)"
    return ""


def _why(revocation: StoredRevocation) -> Evidence:
    return Evidence("restore", f"closed by {revocation.operator} on {revocation.intended_at:%Y-%m-%d %H:%M} UTC")


@dataclass(frozen=True, slots=True)
class _Now:
    """What is there today, as read, and the keys of the identities that accounts are matched to.

    An account that was matched by a username we cleared is matched to nobody any more: it is still the one we closed.
    """

    accounts: Mapping[tuple[str, str], Account]
    members: Mapping[tuple[str, str, str], Member]
    owners: Mapping[tuple[str, str], str]
    unread: frozenset[str]

    def why_not(self, revocation: StoredRevocation, leg: StoredLeg) -> str:
        """Say how the world has moved on since a leg was closed; empty where it has not."""
        planned, key = leg.planned, revocation.row.key
        if planned.target in self.unread:
            return f"{_where(leg)}: cannot be read now"
        if isinstance(leg.before, Member):
            return _moved(leg, self.members.get((planned.target, planned.subject, leg.before.native_id)))
        owner = self.owners.get((planned.target, planned.subject), key)
        if owner != key:
            return f"{_where(leg)}: is matched to {owner} now"
        return _moved(leg, self.accounts.get((planned.target, planned.subject)))


def _now(decisions: Decisions, snapshot: Snapshot) -> _Now:
    people = (i for i in decisions.correlation.identities if i.person_id)  # an orphaned account is nobody else's
    linked = ((i.key, a.account) for i in people for a in i.accounts)
    return _Now(
        {(a.directory, a.guid): a for reading in snapshot.directories for a in reading.accounts},
        {(m.portal, m.person_id, m.native_id): m for reading in snapshot.portals for m in reading.members},
        {(a.directory, a.guid): key for key, a in linked},
        frozenset((*snapshot.unread_names("directory"), *snapshot.unread_names("portal"))),
    )


def _legs(revocation: StoredRevocation, now: _Now) -> tuple[tuple[PlannedLeg, ...], list[str]]:
    """Give the legs to open, and how the world has moved on where it has."""
    legs: list[PlannedLeg] = []
    moved_on: list[str] = []
    for leg in revocation.legs:
        if leg.before is None:
            continue
        if why := now.why_not(revocation, leg):
            moved_on.append(why)
        else:
            legs.append(PlannedLeg(leg.planned.kind, leg.planned.target, leg.planned.subject, before=leg.before))
    return tuple(legs), moved_on


def _where(leg: StoredLeg) -> str:
    return f"{leg.planned.kind} in {leg.planned.target}"


def _moved(leg: StoredLeg, now: Account | Member | None) -> str:
    """Say how the target differs from what we left; empty where it is as we left it."""
    where = _where(leg)
    if now is None:
        return f"{where}: the entry is gone"
    if isinstance(now, Account) and isinstance(leg.after, Account):
        if now.enabled:
            return f"{where}: is enabled already"
        if now.protected or not now.managed:
            return f"{where}: is never written ({now.protected or 'it is outside the managed OUs'})"
        return "" if now.state == leg.after.state else f"{where}: was changed since ({leg.after.state} → {now.state})"
    if isinstance(now, Member) and isinstance(leg.after, Member):
        changed = (now.username, now.status) != (leg.after.username, leg.after.status)
        return f"{where}: was changed since (now {now.status}, username {now.username or 'none'})" if changed else ""
    return ""


def _password_was_cleared(leg: PlannedLeg, by_password: set[str]) -> bool:
    return isinstance(leg.before, Member) and leg.before.has_password and leg.target in by_password
