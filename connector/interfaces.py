"""What an adapter must be. Four small Protocols, a `Site` to stand on, and the `Secret` its settings may hold.

An adapter is a class with a `Settings` dataclass and `__init__(name, settings, site)`; it opens nothing before its
first call. It raises `TargetUnreachable` where its system does not answer at all, `SourceError` where what it read
cannot be believed (a reading is complete or it is an error), and gives one `Outcome` per item, in the order of the
batch, where it was asked to change things. It never decides. No write is ever re-sent blindly: after a communication
error it reconnects, re-reads, then says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from connector.model import (
    Account,
    AccountsReading,
    CloseAccount,
    CloseMember,
    EndSessions,
    Finding,
    Member,
    MembersReading,
    OpenAccount,
    OpenMember,
    Outcome,
    PeopleReading,
    SessionKey,
    SessionsReading,
)
from connector.provisioning import AccountAttributes, ChangeAccount, GroupMembership, NewAccount
from connector.revealing import from_credential, from_environment, from_file, from_keyring


@dataclass(frozen=True, slots=True)
class Site:
    """Where an adapter stands: the config's folder (relative paths start there), a folder it may write, the zone."""

    folder: Path
    state_folder: Path
    zone: ZoneInfo

    def path(self, text: str) -> Path:
        """Give a configured path as an absolute one."""
        return (self.folder / text).absolute()


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret named, never written, in one of four ways in the config.

    `{ env = "NAME" }`, `{ file = "PATH" }`, `{ credential = "NAME" }` (systemd's) or `{ keyring = "SERVICE",
    user = "NAME" }`.
    """

    env: str = ""
    file: str = ""
    credential: str = ""
    keyring: str = ""
    user: str = ""

    def reveal(self, site: Site) -> str:
        """Read the secret now. Raises ConfigError where it is not there or open to others; never logs it."""
        if self.env:
            return from_environment(self.env)
        if self.credential:
            return from_credential(self.credential)
        if self.keyring:
            return from_keyring(self.keyring, self.user)
        return from_file(site.path(self.file))


@runtime_checkable
class AdminSystem(Protocol):
    """The system of record for people."""

    def read_all(self) -> PeopleReading:
        """Read everything, or raise SourceError naming file, line and what is wrong."""
        ...

    def check(self) -> tuple[Finding, ...]:
        """Open read-only and say what is wrong and how to mend it."""
        ...

    def disconnect(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class Portal(Protocol):
    """One portal's members."""

    def read_all(self) -> MembersReading:
        """Read every member."""
        ...

    def read_some(self, person_ids: Sequence[str]) -> tuple[Member, ...]:
        """Read the members of these people again, in as few statements as the store allows; who is none is left out."""
        ...

    def close(self, batch: Sequence[CloseMember]) -> tuple[Outcome, ...]:
        """Clear credentials and disable members, each conditional on its `before`, each read back."""
        ...

    def open(self, batch: Sequence[OpenMember]) -> tuple[Outcome, ...]:
        """Give members back username and status, for restore and `membership enable`."""
        ...

    def add(self, batch: Sequence[Member]) -> tuple[Outcome, ...]:
        """Add these members as they are given. One that already is a member is `already-closed`, unchanged."""
        ...

    def remove(self, batch: Sequence[Member]) -> tuple[Outcome, ...]:
        """Remove these members, each only if it still is as given."""
        ...

    def check(self) -> tuple[Finding, ...]:
        """Open read-only and say what is wrong and how to mend it."""
        ...

    def disconnect(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class Directory(Protocol):
    """One directory's accounts."""

    def read_all(self) -> AccountsReading:
        """Read every account below the base. Raises SourceError where the reading breaks off."""
        ...

    def read_some(self, guids: Sequence[str]) -> tuple[Account, ...]:
        """Read these accounts again; one that is gone is left out."""
        ...

    def close(self, batch: Sequence[CloseAccount]) -> tuple[Outcome, ...]:
        """Disable accounts, each conditional on its `before`, each read back; never outside the managed OUs."""
        ...

    def open(self, batch: Sequence[OpenAccount]) -> tuple[Outcome, ...]:
        """Give accounts back the state they had, for restore."""
        ...

    def check(self) -> tuple[Finding, ...]:
        """Open read-only and say what is wrong and how to mend it."""
        ...

    def disconnect(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class SessionStore(Protocol):
    """One store of live sign-ins."""

    @property
    def user_key(self) -> SessionKey:
        """What the user value of this store's sessions is."""
        ...

    def read_all(self) -> SessionsReading:
        """Read every live session."""
        ...

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        """Sweep the store once for the whole batch and end what it names, by compare-and-delete.

        `closed` with `ended` > 0, or `already-closed` where nothing of that user was found.
        """
        ...

    def check(self) -> tuple[Finding, ...]:
        """Open read-only and say what is wrong and how to mend it."""
        ...

    def disconnect(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class Coded(Protocol):
    """What a Portal also is where it may know its members by their contact code alone."""

    def learn(self, whose: Callable[[str], str]) -> None:
        """Be told, before each reading, whose each code is; it raises ValueError where a code is that of several."""
        ...


@runtime_checkable
class Withdrawing(Protocol):
    """What a Portal also is where people are asked to act, and may have to be told not to."""

    def withdraw(self, batch: Sequence[CloseMember | OpenMember | Member]) -> None:
        """Ask nobody any more to close, open or (a Member) add these; where it may be done, ask for it as before.

        Raises SourceError where what is asked could not be changed.
        """
        ...


@runtime_checkable
class Returning(Protocol):
    """What a SessionStore also is where applications write ended sessions back, and it can look at those quickly."""

    def end_again(self, batch: Sequence[EndSessions]) -> frozenset[EndSessions]:
        """End again, by compare-and-delete, what the latest `close` ended for these items and what has come back since.

        Gives the items for which something came back. A few reads of known sessions, never a scan. A further `close`
        forgets what was ended for items it does not name. Raises TargetUnreachable or SourceError.
        """
        ...


@runtime_checkable
class Provisioner(Protocol):
    """What a Directory also is where accounts can be made and kept in it. Never outside the managed OUs.

    A protected account or group is never written, nor an attribute that lets somebody in. What is as wanted already is
    `already-closed`, what is another's is `conflict` and is never overwritten.
    """

    def create(self, batch: Sequence[NewAccount]) -> tuple[Outcome, ...]:
        """Make accounts, each with a password that nobody knows; `after` is the account as read back, with its GUID.

        An account with the same employee id is the same person's: `already-closed`, unchanged.
        """
        ...

    def update(self, batch: Sequence[ChangeAccount]) -> tuple[Outcome, ...]:
        """Give accounts other values, each only if it still is as planned, each read back."""
        ...

    def group(self, batch: Sequence[GroupMembership]) -> tuple[Outcome, ...]:
        """Let accounts join groups or leave them, each read back; a group's other members are never read or written."""
        ...

    def attributes(self, guids: Sequence[str], names: Sequence[str]) -> tuple[AccountAttributes, ...]:
        """Read these attributes of these accounts; one that is gone is left out."""
        ...


__all__ = [
    "AdminSystem",
    "Coded",
    "Directory",
    "Portal",
    "Provisioner",
    "Returning",
    "Secret",
    "SessionStore",
    "Site",
    "Withdrawing",
]
