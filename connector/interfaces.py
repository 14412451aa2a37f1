"""What an adapter must be. Four small Protocols, a `Site` to stand on, and the `Secret` its settings may hold.

An adapter is a class with a `Settings` dataclass and `__init__(name, settings, site)`; it opens nothing before its
first call. It raises `TargetUnreachable` where its system does not answer at all, `SourceError` where what it read
cannot be believed (a reading is complete or it is an error), and gives one `Outcome` per item where it was asked to
change things. It never decides. No write is ever re-sent blindly: after a communication error it reconnects, re-reads,
then says.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from connector.errors import ConfigError
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
    """A secret named, never written: `{ env = "NAME" }` or `{ file = "PATH" }` in the config."""

    env: str = ""
    file: str = ""

    def reveal(self, site: Site) -> str:
        """Read the secret now. Raises ConfigError where it is not there; never logs it."""
        if self.env:
            value = os.environ.get(self.env)
            if value is None:
                raise ConfigError(
                    f"The environment variable {self.env} is not set.", "Set it where the connector starts."
                )
            return value
        try:
            return site.path(self.file).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise ConfigError(
                f"The secret file {self.file} cannot be read: {error.strerror}.", "Check path and owner."
            ) from error


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
        """Read the members of these people again, in as few statements as the store allows."""
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


__all__ = ["AdminSystem", "Directory", "Portal", "Secret", "SessionStore", "Site"]
