"""Lists: everybody, whom a filter finds, or a page of them; by type or over all types at once.

A list is never longer than its page, and never counts what the tables count themselves. A filter that is not understood
is refused: an ignored one would answer with everybody.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, func, null, or_, select

from connector.reconcile.journal_store import Store
from connector.scim.attributes import resolve
from connector.scim.errors import bad_request, invalid_value
from connector.scim.filter import parse
from connector.scim.filter_sql import compile_filter, ordering, sort_key
from connector.scim.lookup import Lookup, Stored
from connector.scim.paging import Cursors, Place, Query, invalid_cursor
from connector.scim.room import KINDS, TABLES, USERS
from connector.scim.view import View, wanted_of

_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:ListResponse"

# What an identity provider asks before every write: one User by name. Anything with a backslash is left to the parser.
_BY_NAME = re.compile(r'\s*userName\s+eq\s+"([^"\\\x00-\x1f\ud800-\udfff]*)"\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Page:
    """What was found: how many there are in all, the resources of this page, and the cursors to its neighbours."""

    total: int
    found: Sequence[tuple[str, Stored]] = ()
    next: str = ""
    previous: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """Finds resources for one application."""

    store: Store
    lookup: Lookup
    cursors: Cursors

    def answer(self, endpoints: Sequence[str], query: Query, view: View) -> str:
        """Give a list as JSON text (RFC 7644 3.4.2). Several endpoints are searched as one list, in their order."""
        page = self._page(endpoints, query)
        wanted = {endpoint: wanted_of(endpoint, query.attributes, query.excluded) for endpoint in endpoints}
        resources = ",".join(view.one(endpoint, stored, wanted[endpoint]) for endpoint, stored in page.found)
        head = f'{{"schemas":["{_SCHEMA}"],"totalResults":{page.total},"itemsPerPage":{len(page.found)}'
        if query.cursor is None:
            head += f',"startIndex":{query.start + 1}'
        if page.next:
            head += f',"nextCursor":{json.dumps(page.next)}'
        if page.previous:
            head += f',"previousCursor":{json.dumps(page.previous)}'
        return f'{head},"Resources":[{resources}]}}'

    def _page(self, endpoints: Sequence[str], query: Query) -> Page:
        if query.cursor is None and not query.sort_by and len(endpoints) == 1:
            if not query.filter:
                table = TABLES[endpoints[0]]
                amount, found = self.lookup.page(table, query.start, query.count)
                return Page(amount, [(endpoints[0], stored) for stored in found])
            if endpoints[0] == USERS and query.start == 0 and (named := _BY_NAME.fullmatch(query.filter)):
                return self._named(named[1], query)
        return self._searched(endpoints, query)

    def _named(self, name: str, query: Query) -> Page:
        found = self.lookup.named(name)
        if found is None:
            return Page(0)
        return Page(1, [(USERS, found)] if query.count else ())

    def _searched(self, endpoints: Sequence[str], query: Query) -> Page:
        if query.sort_by and len(endpoints) > 1:
            raise invalid_value("Only a list of one resource type is sorted: ask for /Users or /Groups.")
        asked = [self._asked(endpoint, endpoints, query) for endpoint in endpoints]
        with self.store.reading() as conn:
            totals = [one.total(conn, self.lookup) for one in asked]
            if query.cursor is None:
                return self._by_index(conn, asked, totals, query)
            return self._by_cursor(conn, asked, sum(totals), query)

    def _asked(self, endpoint: str, endpoints: Sequence[str], query: Query) -> "_Asked":
        table, dialect, kind = TABLES[endpoint], self.store.engine.dialect.name, KINDS[endpoint]
        among = tuple(KINDS[one] for one in endpoints) if len(endpoints) > 1 else ()
        condition = compile_filter(parse(query.filter, kind, among), table, dialect) if query.filter else None
        if not query.sort_by:
            return _Asked(endpoint, table, condition, null(), None, descending=False)
        path = resolve(kind, query.sort_by)
        order = ordering(path, table, dialect, descending=query.descending)
        return _Asked(endpoint, table, condition, sort_key(path, table, dialect), order, query.descending)

    @staticmethod
    def _by_index(conn: Connection, asked: Sequence["_Asked"], totals: Sequence[int], query: Query) -> Page:
        found: list[tuple[str, Stored]] = []
        start = query.start
        for one, total in zip(asked, totals, strict=True):
            if start < total and len(found) < query.count:
                rows = conn.execute(one.page().limit(query.count - len(found)).offset(start))
                found += [(one.endpoint, Stored(*row[:3])) for row in rows]
            start = max(0, start - total)
        return Page(sum(totals), found)

    def _by_cursor(self, conn: Connection, asked: Sequence["_Asked"], total: int, query: Query) -> Page:
        now = self.store.clock(conn)
        place = self.cursors.read(query, now)
        if place is not None and not _fits(place, asked):
            raise invalid_cursor()
        if place is not None and place.back:
            return self._page_before(conn, asked, total, query, place)
        if place is not None and not place.is_told:
            place = next(one for one in asked if one.table.name == place.table).told(conn, place)
        rows: list[tuple[str, Any]] = []
        begun = place is None
        for one in asked:
            here = place if place is not None and place.table == one.table.name else None
            begun = begun or here is not None
            if begun and len(rows) <= query.count:
                page = one.page() if here is None else one.page().where(one.after(here))
                rows += [(one.endpoint, row) for row in conn.execute(page.limit(query.count + 1 - len(rows)))]
        more, shown = len(rows) > query.count, rows[: query.count]
        following = self.cursors.make(query, _place(shown[-1]), now) if more and shown else ""
        going_back = place is not None and shown and not query.sort_by and len(asked) == 1
        before = self.cursors.make(query, replace(_place(shown[0]), back=True), now) if going_back else ""
        return Page(total, [(endpoint, Stored(*row[:3])) for endpoint, row in shown], following, before)

    def _page_before(self, conn: Connection, asked: Sequence["_Asked"], total: int, query: Query, place: Place) -> Page:
        """Give the page that ends before a place; only lists of one type in their own order go back."""
        one, now = asked[0], self.store.clock(conn)
        position = one.table.c.position
        page = one.rows().where(position < place.position).order_by(position.desc()).limit(query.count + 1)
        rows = [(one.endpoint, row) for row in conn.execute(page)]
        more, shown = len(rows) > query.count, rows[: query.count][::-1]
        following = self.cursors.make(query, _place(shown[-1]), now) if shown else ""
        before = self.cursors.make(query, replace(_place(shown[0]), back=True), now) if more and shown else ""
        return Page(total, [(endpoint, Stored(*row[:3])) for endpoint, row in shown], following, before)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One table's part of a list: whom it is about, and in what order."""

    endpoint: str
    table: Table
    condition: ColumnElement[bool] | None
    key: ColumnElement[Any]
    order: ColumnElement[Any] | None
    descending: bool

    def rows(self) -> Select[Any]:
        """Select them in no order."""
        columns = self.table.c
        found = select(columns.id, columns.version, columns.document, columns.position, self.key.label("sorted_by"))
        return found if self.condition is None else found.where(self.condition)

    def page(self) -> Select[Any]:
        """Select them in order; those that are equal as they came."""
        terms = (self.table.c.position,) if self.order is None else (self.order, self.table.c.position)
        return self.rows().order_by(*terms)

    def total(self, conn: Connection, lookup: Lookup) -> int:
        """Say how many there are."""
        if self.condition is None:
            return lookup.amount(self.table)
        return int(conn.scalar(select(func.count()).select_from(self.table).where(self.condition)) or 0)

    def told(self, conn: Connection, place: Place) -> Place:
        """Give a place with what its row is sorted by. Raises ScimError where the row is gone."""
        row = conn.execute(select(self.key).where(self.table.c.position == place.position)).first()
        if row is None:
            raise bad_request("expiredCursor", "The resource this cursor stood at is gone. Begin again without one.")
        return replace(place, key=row[0], is_told=True)

    def after(self, place: Place) -> ColumnElement[bool]:
        """Say what comes after a place, in this order: rows without a value last, and first when descending."""
        later = self.table.c.position > place.position
        if self.order is None:
            return later
        missing = self.key.is_(None)
        if place.key is None:
            tied = and_(missing, later)
            return or_(tied, self.key.is_not(None)) if self.descending else tied
        tied = and_(self.key == place.key, later)
        if self.descending:
            return or_(self.key < place.key, tied)
        return or_(self.key > place.key, tied, missing)


def _fits(place: Place, asked: Sequence[_Asked]) -> bool:
    """Say whether a place is one of this list: a cursor of Users leads nowhere among Groups."""
    return place.table in {one.table.name for one in asked} and not (place.back and len(asked) > 1)


def _place(shown: tuple[str, Any]) -> Place:
    endpoint, row = shown
    return Place(TABLES[endpoint].name, row.position, row.sorted_by)
