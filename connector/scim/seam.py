"""Where the endpoint asks what a request may mean: the words both sides share.

The endpoint stores and answers, and decides nothing about anybody's access; whatever rules is asked inside the write
transaction, so that a ruling and what is stored stand or fall together. Every method may raise ScimError: then nothing
is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Row

from connector.reconcile.journal_store import Writing
from connector.scim.clients import Client

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of a User: whose it is, what `active` says, and what is still to be done on the targets.

    `source` is "admin" or "scim". `wanted` is the provider's own word on `active`. `pending` is "", "close", "open" or
    "update".
    """

    person_id: str
    source: str
    active: bool
    wanted: bool
    pending: str = ""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A create that takes over a User the connector made itself: the same resource, from now on the client's."""

    user_id: str
    ruling: Ruling


class Rules(Protocol):
    """What rules. `row` is a row of `scim_users` (or `scim_groups`), documents are as stored."""

    def create(self, writing: Writing, client: Client, document: Document) -> Ruling | Adopted:
        """Rule on a new User."""
        ...

    def foresee(self, writing: Writing, new: Sequence[Document], changed: Sequence[Row[Any]]) -> bool:
        """Ask once what the rules will ask about these Users, of a batch of acts that concern one User each.

        Give whether the rules read no User but those: then rows may be written at the end of the batch.
        """
        ...

    def update(self, writing: Writing, client: Client, row: Row[Any], after: Document) -> Ruling:
        """Rule on a changed User; what stood before is in the row."""
        ...

    def delete(self, writing: Writing, client: Client, row: Row[Any]) -> None:
        """Rule on a User that goes: what is theirs is closed, although the User is gone."""
        ...

    def joined(self, writing: Writing, client: Client, group: Row[Any], users: Sequence[Row[Any]]) -> None:
        """Rule on Users that were put into a Group just now, in this transaction."""
        ...

    def left(self, writing: Writing, client: Client, group: Row[Any], users: Sequence[Row[Any]]) -> None:
        """Rule on Users that were taken out of a Group just now, in this transaction."""
        ...
