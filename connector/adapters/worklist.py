"""A hosted portal without a write interface: what we would do is written down for a person to do, click by click.

Nothing is ever said to be closed before a later export shows it. Asking is not doing: a row stays on the list, and its
leg open, until the portal's own export is newer than the ask and the username is gone.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from connector.adapters.csv_file import CsvFile, read_csv_file
from connector.adapters.member_export import ExportFormat, WhoseCode, by_key, parse_members, refuse_old
from connector.adapters.member_outcomes import is_closed
from connector.adapters.worklist_file import Ask, read_asks, write_asks
from connector.errors import ConnectorError, SourceError
from connector.interfaces import Site
from connector.model import (
    CloseMember,
    Finding,
    LegState,
    Level,
    Member,
    MembershipType,
    MembersReading,
    MemberStatus,
    OpenMember,
    Outcome,
    Provenance,
)

DEFAULT_CLICKS = (
    "In the administration area, open user management and there the account manager.",
    "Show contacts only, with the status that is ready for revoking, and search for the portal code of this row.",
    "Select this contact and nobody else.",
    "Choose the action that revokes access, and confirm: username and password go at once, without a sync.",
    "Export the accounts again, so that the connector can see that it is done.",
)
_SECOND = timedelta(seconds=1)
_LEAVE_OPEN, _LEAVE_CLOSED, _LEAVE_OUT = "leave open", "leave closed", "leave out"
_CALLED_OFF = {"close": _LEAVE_OPEN, "open": _LEAVE_CLOSED, "add": _LEAVE_OUT}

Item = TypeVar("Item", bound=CloseMember | OpenMember | Member)


@dataclass(frozen=True, slots=True)
class WorklistSettings:
    """Where the portal's export lies, and where the list goes.

    `columns` maps our fields to the export's columns; `username` must be mapped, and `person_id`, or `code` where the
    export has contact codes only. `clicks` are the
    steps that close one member. An export older than `max_age_hours` is not believed.
    """

    export: str
    worklist: str
    columns: Mapping[str, str]
    clicks: tuple[str, ...] = DEFAULT_CLICKS
    max_age_hours: int = 168
    status_values: Mapping[str, str] = field(default_factory=lambda: {each.value: each.value for each in MemberStatus})
    membership_type_values: Mapping[str, str] = field(
        default_factory=lambda: {each.value: each.value for each in MembershipType}
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """The newest export: members by key, when it was made; or why it cannot be believed."""

    members: Mapping[tuple[str, str], Sequence[Member]]
    made_at: datetime
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class _Request(Generic[Item]):
    """One kind of ask. `verdict` says what an export makes of it; none means it is still to be done."""

    action: str
    member: Callable[[Item], Member]
    what_to_do: Callable[[Item], str]
    verdict: Callable[[Item, Sequence[Member]], LegState | None]


class WorklistPortal:
    """A portal that people close by hand, from a list, until its export proves it."""

    Settings = WorklistSettings

    def __init__(self, name: str, settings: WorklistSettings, site: Site) -> None:
        self.name = name
        self._export = site.path(settings.export)
        self._worklist = site.path(settings.worklist)
        self._max_age = timedelta(hours=settings.max_age_hours)
        self._clicks = " ".join(f"{number}. {click}" for number, click in enumerate(settings.clicks, 1))
        self._zone = site.zone
        self._form = ExportFormat(
            name, settings.columns, settings.status_values, settings.membership_type_values, site.zone
        )
        self._form.refuse_bad_columns()
        self._whose: WhoseCode | None = None

    def learn(self, whose: WhoseCode) -> None:
        """Be told whose each contact code is, for an export that has nothing else."""
        self._whose = whose

    def read_all(self) -> MembersReading:
        """Read the newest export. Raises SourceError naming file, line and column, or that it is too old."""
        file = self._fresh_file()
        fingerprint = hashlib.sha256(file.content).hexdigest()
        provenance = Provenance(str(self._export), fingerprint, datetime.now(UTC), file.written_at)
        return MembersReading(self.name, provenance, self._members(file))

    def read_some(self, person_ids: Sequence[str]) -> tuple[Member, ...]:
        """Read the newest export again, and give the members of these people."""
        wanted = frozenset(person_ids)
        return tuple(member for member in self.read_all().members if member.person_id in wanted)

    def close(self, batch: Sequence[CloseMember]) -> tuple[Outcome, ...]:
        """Ask for closing. Closed only when an export newer than the ask shows it."""
        request: _Request[CloseMember] = _Request("close", lambda item: item.before, self._how_to_close, _close_verdict)
        return self._drive(request, batch)

    def open(self, batch: Sequence[OpenMember]) -> tuple[Outcome, ...]:
        """Ask for opening again. Takes a waiting ask to close the same member off the list."""
        return self._drive(_OPEN, batch)

    def withdraw(self, batch: Sequence[CloseMember | OpenMember | Member]) -> None:
        """Ask nobody any more to close, open or add these members. Raises SourceError where the list cannot change."""
        now = datetime.now(UTC).replace(microsecond=0) + _SECOND
        asks = read_asks(self._worklist, self._zone, now)
        before = dict(asks)
        for item in batch:
            action, member, instead = _called_off(item)
            key = (self.name, *self._key(member))
            if key in asks and asks[key].action == action:
                # Not just off the list: somebody may have done it since the last export.
                asks[key] = replace(asks[key], action=_CALLED_OFF[action], asked_on=now, what_to_do=instead)
        self._take_off_what_is_so(asks, self._seen())
        if asks != before:
            write_asks(self._worklist, asks.values(), self._zone)

    def add(self, batch: Sequence[Member]) -> tuple[Outcome, ...]:
        """Ask for adding members."""
        return self._drive(_ADD, batch)

    def remove(self, batch: Sequence[Member]) -> tuple[Outcome, ...]:
        """Ask for removing members."""
        return self._drive(_REMOVE, batch)

    def check(self) -> tuple[Finding, ...]:
        """Read the export and the list, and say what was found, or what is wrong."""
        return (self._export_finding(), self._worklist_finding())

    def disconnect(self) -> None:
        """Nothing is held open."""

    # --- asking --------------------------------------------------------------------------------------------------

    def _drive(self, request: _Request[Item], batch: Sequence[Item]) -> tuple[Outcome, ...]:
        # Rounded up to the second the list shows: an export of that very second may be older than the ask.
        now = datetime.now(UTC).replace(microsecond=0) + _SECOND
        seen = self._seen()
        try:
            asks = read_asks(self._worklist, self._zone, now)
            before = dict(asks)
            outcomes = tuple(self._settled(request, item, asks, seen, now) for item in batch)
            self._take_off_what_is_so(asks, seen)
            if asks != before:
                write_asks(self._worklist, asks.values(), self._zone)
        except ConnectorError as error:
            return tuple(Outcome(LegState.REFUSED, str(error), before=request.member(item)) for item in batch)
        return outcomes

    def _take_off_what_is_so(self, asks: dict[tuple[str, str, str], Ask], seen: _Seen) -> None:
        """Take off what was called off, once a later export shows that nobody had done it: no leg waits for it."""
        for key, ask in tuple(asks.items()):
            is_left = _IS_LEFT.get(ask.action)
            newer = not seen.trouble and seen.made_at > ask.asked_on
            if ask.portal == self.name and is_left and newer and is_left(seen.members.get(key[1:], ())):
                del asks[key]

    def _settled(
        self, request: _Request[Item], item: Item, asks: dict[tuple[str, str, str], Ask], seen: _Seen, now: datetime
    ) -> Outcome:
        """Say what the export makes of one item, and keep, add or take off its row."""
        member = request.member(item)
        key = (self.name, *self._key(member))
        waiting = asks.get(key)
        if not seen.trouble and (waiting is None or seen.made_at > waiting.asked_on):
            rows = seen.members.get(self._key(member), ())
            verdict = request.verdict(item, rows)
            if verdict is not None:
                asks.pop(key, None)
                ours = waiting is not None and waiting.action == request.action
                state = LegState.CLOSED if ours and verdict is LegState.ALREADY_CLOSED else verdict
                return Outcome(state, _PROOF[state], before=member, after=rows[0] if rows else None)
        if waiting is None or waiting.action != request.action:
            waiting = asks[key] = self._ask(request, item, now)
        return Outcome(LegState.INTENDED, self._waits(waiting, seen), before=member)

    def _ask(self, request: _Request[Item], item: Item, now: datetime) -> Ask:
        member = request.member(item)
        close = item if isinstance(item, CloseMember) else None
        return Ask(
            contact_code=(close.contact_code if close else "") or member.code,
            portal_code=member.code,
            contact_type=close.contact_type if close else "",
            name=member.name,
            what_to_do=request.what_to_do(item),
            asked_on=now,
            portal=self.name,
            action=request.action,
            person_id=member.person_id,
            row_id=self._key(member)[1],
        )

    def _waits(self, ask: Ask, seen: _Seen) -> str:
        since = ask.asked_on.astimezone(self._zone).isoformat(sep=" ", timespec="minutes")
        detail = f"on the worklist {self._worklist.name} since {since}, until a later export shows it done"
        return f"{detail} (no export can be believed now: {seen.trouble})" if seen.trouble else detail

    def _how_to_close(self, item: CloseMember) -> str:
        return self._clicks if item.clear_credential else "Disable this member; leave the username as it is."

    # --- the export ----------------------------------------------------------------------------------------------

    def _fresh_file(self) -> CsvFile:
        file = read_csv_file(self._export)
        refuse_old(file, self._max_age, datetime.now(UTC))
        return file

    def _members(self, file: CsvFile) -> tuple[Member, ...]:
        if self._form.by_code and self._whose is None:
            raise SourceError(
                f"{self.name} names its members by contact code, and the admin system has not been read.",
                "Run it again: a run reads the admin system first.",
            )
        return parse_members(file, self._form, self._whose or str.strip)

    def _seen(self) -> _Seen:
        try:
            file = self._fresh_file()
            return _Seen(by_key(self._members(file), self._key), file.written_at)
        except ConnectorError as error:
            return _Seen({}, datetime.now(UTC), trouble=str(error))

    def _key(self, member: Member) -> tuple[str, str]:
        return (member.person_id, member.native_id if "native_id" in self._form.columns else "")

    # --- check ---------------------------------------------------------------------------------------------------

    def _export_finding(self) -> Finding:
        try:
            file = self._fresh_file()
            # Whose the codes are does not matter here: a check asks no other system.
            members = parse_members(file, self._form, self._whose or str.strip)
        except ConnectorError as error:
            return Finding(Level.ERROR, self.name, error.message, error.remedy)
        when = file.written_at.astimezone(self._zone).isoformat(sep=" ", timespec="minutes")
        return Finding(Level.OK, self.name, f"{len(members):,} members, exported {when}.")

    def _worklist_finding(self) -> Finding:
        try:
            asks = read_asks(self._worklist, self._zone, datetime.now(UTC))
        except ConnectorError as error:
            return Finding(Level.ERROR, self.name, error.message, "Move the file away; what is open is asked again.")
        if not os.access(self._worklist.parent, os.W_OK):
            folder = self._worklist.parent
            return Finding(Level.ERROR, self.name, f"The folder {folder} cannot be written.", "Make it, or grant it.")
        waiting = sum(ask.portal == self.name for ask in asks.values())
        level = Level.WARNING if waiting else Level.OK
        remedy = f"Do what {self._worklist} says, then export the accounts again." if waiting else ""
        return Finding(level, self.name, f"Waiting on the worklist: {waiting:,}.", remedy)


_PROOF = {
    LegState.CLOSED: "seen in the portal's export",
    LegState.ALREADY_CLOSED: "so in the portal's export already",
    LegState.CALLED_OFF: "no longer in the portal's export",
    LegState.CONFLICT: "the export shows another username than was planned",
}


def _close_verdict(item: CloseMember, rows: Sequence[Member]) -> LegState | None:
    if all(is_closed(row, item) for row in rows):
        return LegState.ALREADY_CLOSED
    if any(row.username not in ("", item.before.username) for row in rows):
        return LegState.CONFLICT
    return None


def _open_verdict(item: OpenMember, rows: Sequence[Member]) -> LegState | None:
    if not rows:
        return LegState.CALLED_OFF
    done = any((row.username, row.status) == (item.username, item.status) for row in rows)
    return LegState.ALREADY_CLOSED if done else None


_IS_LEFT: Mapping[str, Callable[[Sequence[Member]], bool]] = {
    _LEAVE_OPEN: lambda rows: all(row.username and row.status is MemberStatus.ENABLED for row in rows),
    _LEAVE_CLOSED: lambda rows: not any(row.username and row.status is MemberStatus.ENABLED for row in rows),
    _LEAVE_OUT: lambda rows: not rows,
}
"""Whether an export shows that what was called off had not been done."""


def _called_off(item: CloseMember | OpenMember | Member) -> tuple[str, Member, str]:
    """Give what was asked, of whom, and what is to be done instead."""
    match item:
        case CloseMember():
            return "close", item.before, _how_to_leave_open(item)
        case OpenMember():
            return "open", item.now, _how_to_leave_closed(item)
        case Member():
            return "add", item, _LEAVE_OUT_CLICKS


_LEAVE_OUT_CLICKS = (
    "Called off: do not add this person. If it is done already, remove the member again. Then delete this row."
)


def _how_to_leave_closed(item: OpenMember) -> str:
    username = f"the username {item.now.username}" if item.now.username else "no username"
    return (
        "Called off: do not let this member in. If it is done already, make sure that this member has "
        f"{username} and is {item.now.status.value} again. Then delete this row."
    )


def _how_to_leave_open(item: CloseMember) -> str:
    username, status = item.before.username, item.before.status.value
    return (
        "Called off: do not close this member. If it is done already, make sure that this member has the username "
        f"{username} and is {status} again. Then delete this row."
    )


_OPEN: _Request[OpenMember] = _Request(
    "open",
    lambda item: item.now,
    lambda item: f"Make sure that this member has the username {item.username} and is {item.status.value}.",
    _open_verdict,
)
_ADD: _Request[Member] = _Request(
    "add",
    lambda item: item,
    lambda item: f"Add this person to the portal as a member, {item.status.value}. Set no password.",
    lambda _, rows: LegState.ALREADY_CLOSED if rows else None,
)
_REMOVE: _Request[Member] = _Request(
    "remove",
    lambda item: item,
    lambda _: "Remove this member from the portal.",
    lambda _, rows: None if rows else LegState.ALREADY_CLOSED,
)
