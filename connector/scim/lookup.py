"""The reads that identity providers send around the clock: one resource by id, one User by name, the first page.

A stored document is answered as it stands; nothing here builds a model or parses one.
"""

from dataclasses import dataclass

from sqlalchemy import BindParameter, Table, bindparam, select

from connector.reconcile.journal_scim_tables import scim_counts, scim_groups, scim_members, scim_users
from connector.scim.prepared import Prepared, Reader
from connector.scim.search_document import index_key, same_name

_ID: BindParameter[str] = bindparam("id")
_KEY: BindParameter[str] = bindparam("key")


@dataclass(frozen=True, slots=True)
class Stored:
    """A resource as it is stored: its version and its document with markers in it."""

    id: str
    version: int
    document: str


def _one(table: Table) -> Prepared:
    return Prepared(select(table.c.id, table.c.version, table.c.document).where(table.c.id == _ID))


def _page(table: Table) -> Prepared:
    page = select(table.c.id, table.c.version, table.c.document).order_by(table.c.position)
    return Prepared(page.limit(bindparam("count")).offset(bindparam("start")))


_ONE = {table.name: _one(table) for table in (scim_users, scim_groups)}
_PAGE = {table.name: _page(table) for table in (scim_users, scim_groups)}
_NAMED = Prepared(
    select(scim_users.c.user_name, scim_users.c.id, scim_users.c.version, scim_users.c.document).where(
        scim_users.c.user_name_key == _KEY
    )
)
_PENDING = Prepared(select(scim_users.c.pending).where(scim_users.c.id == _ID))
_AMOUNT = Prepared(select(scim_counts.c.amount).where(scim_counts.c.name == _KEY))
_MEMBERS = Prepared(
    select(scim_users.c.id, scim_users.c.user_name)
    .join(scim_members, scim_members.c.user_id == scim_users.c.id)
    .where(scim_members.c.group_id == _ID)
    .order_by(scim_users.c.position)
)


class Lookup:
    """Reads on behalf of one application."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def one(self, table: Table, resource_id: str) -> Stored | None:
        """Give one resource by its id: one indexed row."""
        row = self._reader.row(_ONE[table.name], id=resource_id)
        return Stored(*row) if row else None

    def named(self, user_name: str) -> Stored | None:
        """Give the User whose name is the same but for case: whom the filter `userName eq` selects."""
        row = self._reader.row(_NAMED, key=index_key(user_name))
        return Stored(*row[1:]) if row and same_name(row[0], user_name) else None

    def page(self, table: Table, start: int, count: int) -> list[Stored]:
        """Give so many resources in the order they came, from the `start`th on, counted from 0."""
        return [Stored(*row) for row in self._reader.rows(_PAGE[table.name], start=start, count=count)]

    def amount(self, table: Table) -> int:
        """Say how many there are, without counting them."""
        row = self._reader.row(_AMOUNT, key=table.name)
        return int(row[0]) if row else 0

    def members(self, group_id: str) -> list[tuple[str, str]]:
        """Give id and user name of every member."""
        return [(row[0], row[1]) for row in self._reader.rows(_MEMBERS, id=group_id)]

    def pending(self, user_id: str) -> str:
        """Say what is still to be done on the targets; nothing where the User is gone."""
        row = self._reader.row(_PENDING, id=user_id)
        return str(row[0]) if row else ""

    def close(self) -> None:
        """Let go of the connections it reads on."""
        self._reader.close()
