"""A snapshot: everything that was read for one decision, and what could not be read.

The value only; who reads it is `connector.reconcile.reading`. A snapshot is never changed after it was taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.model import AccountsReading, MembersReading, PeopleReading, SessionKey, SessionsReading


@dataclass(frozen=True, slots=True)
class Unread:
    """A target that did not answer at all: its legs are planned as unread and driven when it is back."""

    kind: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading of every system that answered. `unread` names those that did not.

    `store_keys` says what the user value of each session store is, of those that did not answer too.
    """

    people: PeopleReading
    portals: tuple[MembersReading, ...] = ()
    directories: tuple[AccountsReading, ...] = ()
    session_stores: tuple[SessionsReading, ...] = ()
    unread: tuple[Unread, ...] = ()
    store_keys: Mapping[str, SessionKey] = field(default_factory=dict)

    def unread_names(self, kind: str) -> tuple[str, ...]:
        """Give the names of the targets of this kind (`portal`, `directory`, `session_store`) that did not answer."""
        return tuple(u.name for u in self.unread if u.kind == kind)
