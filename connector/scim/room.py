"""What every verb of the endpoint works with, and what each of them gives back. Nothing is global.

A verb is made ready outside of any transaction and done inside one: what it gives is answered after the commit, and
after the targets followed or the time for them was up.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from sqlalchemy import Table

from connector.reconcile.journal_scim_tables import scim_groups, scim_users
from connector.scim.clients import Client
from connector.scim.committing import Act, Committer
from connector.scim.errors import ScimError, not_found
from connector.scim.lookup import Lookup
from connector.scim.seam import Rules

USERS, GROUPS = "Users", "Groups"

TABLES: dict[str, Table] = {USERS: scim_users, GROUPS: scim_groups}
"""Where the resources of an address are."""

KINDS = {USERS: "User", GROUPS: "Group"}
"""What the resources of an address are."""

_POLL_SECONDS = 0.05
_FORBIDDEN = 403


class Settings(Protocol):
    """What the configuration says of the endpoint."""

    @property
    def base_url(self) -> str:
        """Where it is reached from outside; empty: wherever a request says it is."""
        ...

    @property
    def answer_seconds(self) -> float:
        """How long an answer waits for the targets."""
        ...

    @property
    def max_body_bytes(self) -> int:
        """The largest body that is read."""
        ...

    @property
    def max_results(self) -> int:
        """The longest page."""
        ...

    @property
    def bulk_max_operations(self) -> int:
        """The most operations in one Bulk request."""
        ...

    @property
    def cursor_minutes(self) -> int:
        """How long a cursor is good for."""
        ...


@dataclass(frozen=True, slots=True)
class Saved:
    """What a write left: the resource as stored now; an empty document where it is gone or is not answered.

    `waits` are the Users on whose behalf something is still to be done on the targets.
    """

    endpoint: str
    id: str
    version: int
    document: str
    status: int = 200
    waits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """One application's shared things. `acts` is whether anything outside follows what is written here."""

    committer: Committer
    lookup: Lookup
    rules: Rules
    settings: Settings
    acts: bool = False

    def write(self, client: Client, what: str, act: Act[Saved]) -> Saved:
        """Do one write, durably, and wait for its targets. What was refused for somebody's access is audited."""
        try:
            saved = self.committer.run(act)
        except ScimError as refusal:
            if refusal.status == _FORBIDDEN:
                self.note_refusal(client, what, refusal)
            raise
        return self.settled(saved)

    def note_refusal(self, client: Client, what: str, refusal: ScimError) -> None:
        """Leave one audit record of a refusal, in a transaction of its own: the refused one is undone."""
        text = f"Refused: {what}. {refusal.detail}"
        self.committer.run(lambda turn: turn.writing.note(refusal.audited_as, what, client.operator, text))

    def settled(self, saved: Saved, clock: Callable[[], float] = time.monotonic) -> Saved:
        """Wait until nothing is pending any more or the time is up, and give the resource as it is then."""
        if not (saved.waits and self.acts):
            return saved
        until, waits = clock() + self.settings.answer_seconds, list(saved.waits)
        while waits and clock() < until:
            if self.lookup.pending(waits[-1]):
                time.sleep(_POLL_SECONDS)
            else:
                waits.pop()
        if not saved.document:
            return saved
        now = self.lookup.one(TABLES[saved.endpoint], saved.id)
        if now is None:
            raise not_found(f"The {KINDS[saved.endpoint]} {saved.id} is gone by now.")
        return replace(saved, version=now.version, document=now.document)
