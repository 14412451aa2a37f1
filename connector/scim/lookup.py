"""The reads that identity providers send around the clock: one resource by id, one User by name, the first page.

A stored document is answered as it stands; nothing here builds a model or parses one.
"""

from dataclasses import dataclass

from sqlalchemy import BindParameter, Table, bindparam, select

from connector.reconcile.journal_scim_tables import scim_counts, scim_groups, scim_members, scim_users
from connector.scim.committing import gone_of
from connector.scim.prepared import Prepared
from connector.scim.reading import Reader
from connector.scim.search_document import index_key, same_name

_ID: BindParameter[str] = bindparam("id")
_KEY: BindParameter[str] = bindparam("key")
_START: BindParameter[int] = bindparam("start")

STEP = 200
"""Of every so many rows of a list the place is remembered: a page deep inside is not counted up to."""


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
    return Prepared(page.where(table.c.position >= bindparam("since")).limit(bindparam("count")).offset(_START))


def _step(table: Table) -> Prepared:
    return Prepared(select(table.c.position).order_by(table.c.position).limit(1).offset(_START))


_ONE = {table.name: _one(table) for table in (scim_users, scim_groups)}
_PAGE = {table.name: _page(table) for table in (scim_users, scim_groups)}
_STEPS = {table.name: _step(table) for table in (scim_users, scim_groups)}
_NAMED = Prepared(
    select(scim_users.c.user_name, scim_users.c.id, scim_users.c.version, scim_users.c.document).where(
        scim_users.c.user_name_key == _KEY
    )
)
_PENDING = Prepared(select(scim_users.c.pending).where(scim_users.c.id == _ID))
_AMOUNTS = Prepared(
    select(scim_counts.c.name, scim_counts.c.amount).where(scim_counts.c.name.in_((_KEY, bindparam("gone"))))
)
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
        self._steps: dict[str, tuple[int, dict[int, int]]] = {}

    def one(self, table: Table, resource_id: str) -> Stored | None:
        """Give one resource by its id: one indexed row."""
        row = self._reader.row(_ONE[table.name], id=resource_id)
        return Stored(*row) if row else None

    def named(self, user_name: str) -> Stored | None:
        """Give the User whose name is the same but for case: whom the filter `userName eq` selects."""
        row = self._reader.row(_NAMED, key=index_key(user_name))
        return Stored(*row[1:]) if row and same_name(row[0], user_name) else None

    def page(self, table: Table, start: int, count: int) -> tuple[int, list[Stored]]:
        """Give how many resources there are, and some in the order they came, from the `start`th on, counted from 0."""
        amount, gone = self._amounts(table)
        if not count or start >= amount:
            return amount, []
        since, skipped = self._step(table, gone, start)
        found = self._reader.rows(_PAGE[table.name], since=since, start=start - skipped, count=count)
        return amount, [Stored(*row) for row in found]

    def amount(self, table: Table) -> int:
        """Say how many there are, without counting them."""
        return self._amounts(table)[0]

    def _amounts(self, table: Table) -> tuple[int, int]:
        """Give how many there are, and how many were ever deleted."""
        found: dict[str, int] = dict(self._reader.rows(_AMOUNTS, key=table.name, gone=gone_of(table)))
        return int(found.get(table.name, 0)), int(found.get(gone_of(table), 0))

    def _step(self, table: Table, gone: int, start: int) -> tuple[int, int]:
        """Give the place of a row shortly before the `start`th, and which it is. Right until something is deleted."""
        step = start // STEP
        if not step:
            return 0, 0
        known = self._steps.get(table.name)
        if known is None or known[0] != gone:
            known = self._steps[table.name] = gone, {}
        if step not in known[1]:
            row = self._reader.row(_STEPS[table.name], start=step * STEP)
            if row is None:
                return 0, 0
            known[1][step] = int(row[0])
        return known[1][step], step * STEP

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
