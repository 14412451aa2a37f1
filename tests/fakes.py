"""Adapters in memory that keep the promises of `connector.interfaces`, with faults on demand.

They are truthful: every write is conditional on what was planned, and what is said of it was read back. A fault is set
on `trouble` by the test that wants it. They never decide anything.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from connector.adapters.member_outcomes import (
    Attempt,
    add_outcome,
    as_planned,
    close_outcome,
    open_outcome,
    remove_outcome,
)
from connector.errors import SourceError, TargetUnreachable
from connector.ldap.names import dn_key, is_below, own_name
from connector.model import (
    Account,
    AccountsReading,
    CloseAccount,
    CloseMember,
    EndSessions,
    Finding,
    LegState,
    Level,
    Member,
    MembersReading,
    MemberStatus,
    OpenAccount,
    OpenMember,
    Outcome,
    PeopleReading,
    Provenance,
    Session,
    SessionKey,
    SessionsReading,
)
from connector.provisioning import (
    AccountAttributes,
    ChangeAccount,
    GroupMembership,
    NewAccount,
    Values,
    unusable,
    unwritable,
)

_READ_AT = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
_DISABLED = 2
"""ACCOUNTDISABLE in userAccountControl (MS-ADTS 2.2.16)."""


@dataclass
class Trouble:
    """What goes wrong at one target, and what was asked of it.

    `down`: it does not answer at all. `lost_before` and `lost_after` are subjects whose answer is lost, without or with
    the effect, and which cannot be read back. `ends_after` items of writing it goes down. `breaks_off`: a reading ends
    in the middle. `raises` is thrown by the next write, `meanwhile` happens just before it: somebody else's change.
    """

    down: bool = False
    breaks_off: bool = False
    lost_before: set[str] = field(default_factory=set)
    lost_after: set[str] = field(default_factory=set)
    ends_after: int | None = None
    raises: BaseException | None = None
    meanwhile: Callable[[], None] | None = None
    asked: list[str] = field(default_factory=list)

    def reading(self, name: str) -> None:
        """Note a reading; fail it where it is to fail."""
        self.asked.append(f"read {name}")
        if self.down:
            raise TargetUnreachable(f"{name} does not answer.")
        if self.breaks_off:
            raise SourceError(f"The reading of {name} broke off in the middle.")

    def writing(self, name: str, verb: str, subjects: Iterable[str]) -> None:
        """Note a write; throw what is to be thrown; let happen what is to happen meanwhile."""
        self.asked.append(f"{verb} {name}: {' '.join(subjects)}")
        if self.raises is not None:
            error, self.raises = self.raises, None
            raise error
        if self.meanwhile is not None:
            happening, self.meanwhile = self.meanwhile, None
            happening()

    def answers(self) -> bool:
        """Say whether it answers for one more item."""
        if self.ends_after is not None:
            self.down = self.down or self.ends_after == 0
            self.ends_after -= 1
        return not self.down

    @property
    def writes(self) -> list[str]:
        """What was asked of it, without the readings."""
        return [one for one in self.asked if not one.startswith("read ")]


class _Fake:
    def __init__(self, name: str, trouble: Trouble | None = None) -> None:
        self.name, self.trouble = name, trouble or Trouble()
        self.connected = True

    def check(self) -> tuple[Finding, ...]:
        """Say whether it answers."""
        if self.trouble.down:
            return (Finding(Level.ERROR, self.name, "It does not answer.", "Start it."),)
        return (Finding(Level.OK, self.name, "It answers."),)

    def disconnect(self) -> None:
        """Note that connections were let go."""
        self.connected = False

    def _provenance(self, content: object) -> Provenance:
        return Provenance(self.name, f"{hash(repr(content)):x}", _READ_AT)

    def _unread(self, before: Account | Member | None) -> Outcome:
        return Outcome(LegState.UNREACHABLE, f"{self.name} does not answer", before=before)


class FakeAdminSystem(_Fake):
    """People as a function gives them, each time anew."""

    def __init__(self, people: Callable[[], PeopleReading]) -> None:
        super().__init__("admin system")
        self._people = people

    def read_all(self) -> PeopleReading:
        """Give everything."""
        self.trouble.reading(self.name)
        return self._people()


class FakeDirectory(_Fake):
    """Accounts in a list that the test shares: what it changes there, somebody else changed in the directory.

    `values` holds provisioned attributes by GUID (names in lower case), `groups` the GUIDs in each group.
    """

    def __init__(self, name: str, accounts: list[Account]) -> None:
        super().__init__(name)
        self.accounts = accounts
        self.values: dict[str, dict[str, tuple[str, ...]]] = {}
        self.groups: dict[str, set[str]] = {}
        self.managed, self.mark = "", ""
        self.protected_groups: set[str] = set()

    def read_all(self) -> AccountsReading:
        """Give every account."""
        self.trouble.reading(self.name)
        mine = tuple(a for a in self.accounts if a.directory == self.name)
        return AccountsReading(self.name, self._provenance(mine), mine)

    def read_some(self, guids: Sequence[str]) -> tuple[Account, ...]:
        """Give these accounts as they are now."""
        self.trouble.reading(self.name)
        return tuple(a for a in self.accounts if a.directory == self.name and a.guid in guids)

    def close(self, batch: Sequence[CloseAccount]) -> tuple[Outcome, ...]:
        """Disable accounts that are as planned."""
        self.trouble.writing(self.name, "close", (i.before.username for i in batch))
        return tuple(self._write(i.before, lambda state: str(int(state) | _DISABLED)) for i in batch)

    def open(self, batch: Sequence[OpenAccount]) -> tuple[Outcome, ...]:
        """Give accounts their state back."""
        self.trouble.writing(self.name, "open", (i.now.username for i in batch))
        return tuple(self._write(i.now, lambda _, wanted=i.state: wanted) for i in batch)  # type: ignore[misc] # mypy cannot type a lambda's defaults

    def _write(self, planned: Account, change: Callable[[str], str]) -> Outcome:
        lost = planned.guid in self.trouble.lost_before or planned.guid in self.trouble.lost_after
        if not self.trouble.answers() or planned.guid in self.trouble.lost_before:
            return self._unread(planned)
        found = next((a for a in self.accounts if (a.directory, a.guid) == (self.name, planned.guid)), None)
        if found is None:
            return Outcome(LegState.CALLED_OFF, "the entry is gone", before=planned)
        wanted = change(planned.state)
        if found.enabled == _enabled(wanted):
            return Outcome(LegState.ALREADY_CLOSED, before=found, after=found)
        if not found.managed or found.protected:
            return Outcome(LegState.REFUSED, "it is never written", before=found, after=found)
        if (found.state, found.employee_id, found.username) != (planned.state, planned.employee_id, planned.username):
            return Outcome(LegState.CONFLICT, f"its state is {found.state} now", before=found, after=found)
        after = replace(found, state=wanted, enabled=_enabled(wanted))
        self.accounts[self.accounts.index(found)] = after
        return self._unread(planned) if lost else Outcome(LegState.CLOSED, before=found, after=after)

    # --- provisioning -----------------------------------------------------------------------------------------------

    def create(self, batch: Sequence[NewAccount]) -> tuple[Outcome, ...]:
        """Make accounts that nobody is in the way of."""
        self.trouble.writing(self.name, "create", (i.username for i in batch))
        return tuple(self._create(i) for i in batch)

    def _create(self, item: NewAccount) -> Outcome:
        if not self.trouble.answers() or item.person_id in self.trouble.lost_before:
            return self._unread(None)
        if not item.employee_id.strip() or not self._writable(item.dn) or self._never(item.attributes):
            return Outcome(LegState.REFUSED, "it is never written")
        mine = [a for a in self.accounts if a.directory == self.name]
        if "OU=Nowhere" in item.dn:
            return Outcome(LegState.REFUSED, "its OU is not there")
        if same := [a for a in mine if a.employee_id.casefold() == item.employee_id.strip().casefold()]:
            return Outcome(LegState.ALREADY_CLOSED, before=same[0], after=same[0])
        if taken := [a for a in mine if a.dn == item.dn or a.username.casefold() == item.username.casefold()]:
            return Outcome(LegState.CONFLICT, f"it is {taken[0].employee_id}'s", taken[0], taken[0])
        guid, state = str(uuid.uuid5(uuid.NAMESPACE_DNS, item.dn)), "512" if item.enabled else "514"
        values = {name.lower(): found for name, found in item.attributes} | {"cn": (own_name(item.dn)[1],)}
        self.values[guid] = values
        made = Account(self.name, guid, item.dn, item.username, item.enabled, item.employee_id, state=state)
        self.accounts.append(replace(made, email=next(iter(values.get("mail", ())), "")))
        lost = item.person_id in self.trouble.lost_after
        return self._unread(None) if lost else Outcome(LegState.CLOSED, after=self.accounts[-1])

    def update(self, batch: Sequence[ChangeAccount]) -> tuple[Outcome, ...]:
        """Give accounts other values."""
        self.trouble.writing(self.name, "update", (i.before.username for i in batch))
        return tuple(self._update(i) for i in batch)

    def _update(self, item: ChangeAccount) -> Outcome:
        found = self._usable(item.before.guid, item.before)
        if isinstance(found, Outcome):
            return found
        if self._never(item.attributes):
            return Outcome(LegState.REFUSED, "it is never written", found, found)
        values = self.values.setdefault(found.guid, {})
        wanted = {name.lower(): given for name, given in item.attributes}
        if all(values.get(name, ()) == given for name, given in wanted.items()):
            return Outcome(LegState.ALREADY_CLOSED, before=found, after=found)
        if found.employee_id != item.before.employee_id:
            return Outcome(LegState.CONFLICT, f"its employee id is {found.employee_id}", found, found)
        values.update(wanted)
        after = replace(found, email=next(iter(values.get("mail", ())), ""))
        self.accounts[self.accounts.index(found)] = after
        lost = found.guid in self.trouble.lost_after
        return self._unread(found) if lost else Outcome(LegState.CLOSED, before=found, after=after)

    def group(self, batch: Sequence[GroupMembership]) -> tuple[Outcome, ...]:
        """Let accounts join groups or leave them."""
        self.trouble.writing(self.name, "group", (i.guid for i in batch))
        return tuple(self._group(i) for i in batch)

    def _group(self, item: GroupMembership) -> Outcome:
        found = self._usable(item.guid, None)
        if isinstance(found, Outcome):
            return found
        members = self.groups.get(item.group)
        other = item.employee_id and item.employee_id != found.employee_id
        if members is None or other or item.group in self.protected_groups or not self._writable(item.group):
            return Outcome(LegState.REFUSED, "it is never written", found, found)
        if (found.guid in members) is item.join:
            return Outcome(LegState.ALREADY_CLOSED, before=found, after=found)
        (members.add if item.join else members.remove)(found.guid)
        lost = found.guid in self.trouble.lost_after
        return self._unread(found) if lost else Outcome(LegState.CLOSED, before=found, after=found)

    def attributes(self, guids: Sequence[str], names: Sequence[str]) -> tuple[AccountAttributes, ...]:
        """Give these attributes."""
        self.trouble.reading(self.name)
        there = [a.guid for a in self.accounts if a.directory == self.name and a.guid in guids]
        return tuple(
            AccountAttributes(g, tuple((n, self.values.get(g, {}).get(n.lower(), ())) for n in names)) for g in there
        )

    def _usable(self, guid: str, planned: Account | None) -> Account | Outcome:
        if not self.trouble.answers() or guid in self.trouble.lost_before:
            return self._unread(planned)
        found = next((a for a in self.accounts if (a.directory, a.guid) == (self.name, guid)), None)
        if found is None:
            return Outcome(LegState.CALLED_OFF, "the entry is gone", before=planned)
        if not found.managed or found.protected:
            return Outcome(LegState.REFUSED, "it is never written", found, found)
        return found

    def _writable(self, dn: str) -> bool:
        try:
            return is_below(dn_key(dn), dn_key(self.managed))
        except ValueError:
            return False

    def _never(self, attributes: Values) -> bool:
        names = [name.lower() for name, _ in attributes]
        bad = any(unwritable(name, mark=self.mark) for name in names) or len(set(names)) < len(names)
        return bad or bool(unusable(value for _, values in attributes for value in values))


def _enabled(state: str) -> bool:
    return not int(state) & _DISABLED


class FakePortal(_Fake):
    """Members in a list that the test shares. What came of a change is judged as the SQL portal judges it."""

    def __init__(self, name: str, members: list[Member]) -> None:
        super().__init__(name)
        self.members = members

    def read_all(self) -> MembersReading:
        """Give every member."""
        self.trouble.reading(self.name)
        mine = tuple(m for m in self.members if m.portal == self.name)
        return MembersReading(self.name, self._provenance(mine), mine)

    def read_some(self, person_ids: Sequence[str]) -> tuple[Member, ...]:
        """Give the members of these people as they are now."""
        self.trouble.reading(self.name)
        return tuple(m for m in self.members if m.portal == self.name and m.person_id in person_ids)

    def close(self, batch: Sequence[CloseMember]) -> tuple[Outcome, ...]:
        """Clear and disable members that are as planned."""
        self.trouble.writing(self.name, "close", (i.before.person_id for i in batch))
        return tuple(self._close(i) for i in batch)

    def _close(self, item: CloseMember) -> Outcome:
        def closed(now: Member) -> Member:
            cleared = replace(now, username="", has_password=False) if item.clear_credential else now
            return replace(cleared, status=MemberStatus.DISABLED) if item.disable else cleared

        return self._write(item.before, closed, lambda now, attempt: close_outcome(item, now, attempt))

    def open(self, batch: Sequence[OpenMember]) -> tuple[Outcome, ...]:
        """Give members their username and status back."""
        self.trouble.writing(self.name, "open", (i.now.person_id for i in batch))
        return tuple(self._open(i) for i in batch)

    def _open(self, item: OpenMember) -> Outcome:
        return self._write(
            item.now,
            lambda now: replace(now, username=item.username, status=item.status),
            lambda now, attempt: open_outcome(item, now, attempt),
        )

    def add(self, batch: Sequence[Member]) -> tuple[Outcome, ...]:
        """Add who is not a member yet."""
        self.trouble.writing(self.name, "add", (m.person_id for m in batch))
        return tuple(self._add(m) for m in batch)

    def _add(self, wanted: Member) -> Outcome:
        if not self.trouble.answers() or wanted.person_id in self.trouble.lost_before:
            return self._unread(None)
        there = self._rows(wanted)
        if not there:
            self.members.append(replace(wanted, has_password=False))
        if wanted.person_id in self.trouble.lost_after:
            return self._unread(None)
        return add_outcome(wanted, self._rows(wanted), Attempt(ours=not there))

    def remove(self, batch: Sequence[Member]) -> tuple[Outcome, ...]:
        """Remove members that are as given."""
        self.trouble.writing(self.name, "remove", (m.person_id for m in batch))
        return tuple(self._remove(m) for m in batch)

    def _remove(self, before: Member) -> Outcome:
        if not self.trouble.answers():
            return self._unread(before)
        going = [m for m in self._rows(before) if as_planned(m, before)]
        for member in going:
            self.members.remove(member)
        return remove_outcome(before, self._rows(before), Attempt(ours=bool(going)))

    def _rows(self, member: Member) -> list[Member]:
        key = (self.name, member.person_id, member.native_id)
        return [m for m in self.members if (m.portal, m.person_id, m.native_id) == key]

    def _write(
        self,
        before: Member,
        change: Callable[[Member], Member],
        judge: Callable[[Sequence[Member], Attempt], Outcome],
    ) -> Outcome:
        if not self.trouble.answers() or before.person_id in self.trouble.lost_before:
            return self._unread(before)
        hit = next((m for m in self._rows(before) if as_planned(m, before) and change(m) != m), None)
        if hit is not None:
            self.members[self.members.index(hit)] = change(hit)
        if before.person_id in self.trouble.lost_after:
            return self._unread(before)
        return judge(self._rows(before), Attempt(ours=hit is not None))


class WorklistPortal(FakePortal):
    """A portal that people close by hand: asking is not doing, the leg stays open until the portal itself shows it."""

    def _close(self, item: CloseMember) -> Outcome:
        outcome = close_outcome(item, self._rows(item.before), Attempt())
        if outcome.state in (LegState.ALREADY_CLOSED, LegState.CALLED_OFF, LegState.CONFLICT):
            return outcome
        return Outcome(LegState.INTENDED, "on the worklist", before=item.before)

    def _add(self, wanted: Member) -> Outcome:
        if there := self._rows(wanted):
            return Outcome(LegState.ALREADY_CLOSED, before=there[0], after=there[0])
        return Outcome(LegState.INTENDED, "on the worklist")


class FakeSessionStore(_Fake):
    """Sessions in a list that the test shares.

    `comes_back` is how many more times a session that was ended is written back by its application. `after_sweep`
    happens after every sweep: somebody signs in again.
    """

    def __init__(self, name: str, key: SessionKey, sessions: list[Session]) -> None:
        super().__init__(name)
        self.key, self.sessions = key, sessions
        self.comes_back = 0
        self.after_sweep: Callable[[], None] | None = None

    @property
    def user_key(self) -> SessionKey:
        """What the user value is."""
        return self.key

    def read_all(self) -> SessionsReading:
        """Give every session."""
        self.trouble.reading(self.name)
        mine = tuple(s for s in self.sessions if s.store == self.name)
        return SessionsReading(self.name, self._provenance(mine), self.key, mine)

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        """Sweep once for the whole batch."""
        self.trouble.writing(self.name, "sweep", (i.user for i in batch))
        if self.trouble.down:
            raise TargetUnreachable(f"{self.name} does not answer.")
        ended = [[s for s in self.sessions if s.store == self.name and _means(item, s)] for item in batch]
        gone = [s for found in ended for s in found]
        self.sessions[:] = [s for s in self.sessions if s not in gone]
        if self.comes_back and gone:
            self.comes_back -= 1
            self.sessions.extend(gone)
        if self.after_sweep is not None:
            self.after_sweep()
        return tuple(
            Outcome(LegState.CLOSED if found else LegState.ALREADY_CLOSED, ended=len(found)) for found in ended
        )


def _means(item: EndSessions, session: Session) -> bool:
    if session.user.casefold() != item.user.casefold() or (item.portals and session.portal not in item.portals):
        return False
    return item.older_than is None or session.created_at is None or session.created_at < item.older_than
