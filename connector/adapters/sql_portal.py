"""A portal whose members are rows of a database. One instance is one portal.

A batch is closed in one conditional statement: a row that somebody else changed since it was planned is not hit. What
came of it is read back in a transaction of its own. Nothing is sent twice: after a lost answer we read, and say.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Select, func, select

from connector.adapters.database import Database, StatementError
from connector.adapters.member_outcomes import (
    Attempt,
    add_outcome,
    close_outcome,
    is_closed,
    open_outcome,
    remove_outcome,
)
from connector.adapters.member_table import MemberTable, inspected
from connector.adapters.row_digest import RowDigest
from connector.adapters.sql_portal_settings import SqlPortalSettings, refuse_bad_settings
from connector.errors import ConnectorError, TargetUnreachable
from connector.interfaces import Site
from connector.model import (
    CloseMember,
    Finding,
    LegState,
    Level,
    Member,
    MembersReading,
    OpenMember,
    Outcome,
    Provenance,
)
from connector.permission import before_send

_ROWS_PER_ROUND = 5_000
# SQLite takes 32,766 parameters in one statement, PostgreSQL 65,535; an item needs four, and a few are shared.
_ITEMS_PER_STATEMENT = 5_000

Item = TypeVar("Item", CloseMember, OpenMember, Member)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Change(Generic[Item]):
    """One kind of change: whom an item is about, what is sent for many in one transaction, how the end is judged.

    `send` gives the keys of the rows it hit. A key is that of `MemberTable.key`, or the person where `by_person`.
    """

    member: Callable[[Item], Member]
    send: Callable[[Connection, MemberTable, Sequence[Item]], set[str]]
    judge: Callable[[Item, Sequence[Member], Attempt], Outcome]
    by_person: bool = False

    def key(self, table: MemberTable, item: Item) -> str:
        member = self.member(item)
        return member.person_id if self.by_person else table.key(member)


class SqlPortal:
    """A portal's members in one table, closed by conditional statements."""

    Settings = SqlPortalSettings

    def __init__(self, name: str, settings: SqlPortalSettings, site: Site) -> None:
        refuse_bad_settings(name, settings)
        self.name = name
        self._settings = settings
        self._zone = site.zone
        words, seconds = f"Portal {name}", settings.receive_timeout
        self._database = Database(words, settings.url, settings.password, site, seconds)
        self._table: MemberTable | None = None

    def read_all(self) -> MembersReading:
        """Read every member in one transaction. Raises SourceError naming table, column and person."""
        digest = RowDigest()
        with self._database.reading() as connection:
            read_at = datetime.now(UTC)
            table = self._inspected(connection)
            members = tuple(_walk(connection, table, table.select(), digest))
        provenance = Provenance(f"{table.name} in {self._database.address.place}", digest.hexadecimal(), read_at)
        return MembersReading(self.name, provenance, members)

    def read_some(self, person_ids: Sequence[str]) -> tuple[Member, ...]:
        """Read the members of these people, several thousand with one statement."""
        found: list[Member] = []
        with self._database.reading() as connection:
            table = self._inspected(connection)
            for ids in _chunks(dict.fromkeys(person_ids)):
                found.extend(_walk(connection, table, table.select_people(ids)))
        return tuple(found)

    def close(self, batch: Sequence[CloseMember]) -> tuple[Outcome, ...]:
        """Clear credentials and disable members: one statement for up to 5,000 of one kind, each read back."""
        return self._drive(_CLOSE, batch)

    def open(self, batch: Sequence[OpenMember]) -> tuple[Outcome, ...]:
        """Give members back username and status. A password cannot return."""
        return self._drive(_OPEN, batch)

    def add(self, batch: Sequence[Member]) -> tuple[Outcome, ...]:
        """Add members, without a password. Whoever is one already is left as they are."""
        return self._drive(_ADD, batch)

    def remove(self, batch: Sequence[Member]) -> tuple[Outcome, ...]:
        """Remove members that still are as given."""
        return self._drive(_REMOVE, batch)

    def check(self) -> tuple[Finding, ...]:
        """Read everything and say what was found, or what is wrong."""
        try:
            reading = self.read_all()
            unwritable = self._unwritable()
        except ConnectorError as error:
            return (Finding(Level.ERROR, self.name, error.message, error.remedy),)
        return (_counted(self.name, reading.members), *self._warnings(reading.members, unwritable))

    def disconnect(self) -> None:
        """Let go of connections. What was found out about the table is forgotten with them."""
        self._database.disconnect()
        self._table = None

    def _inspected(self, connection: Connection) -> MemberTable:
        self._table = self._table or inspected(connection, self.name, self._settings, self._zone)
        return self._table

    # --- changing ------------------------------------------------------------------------------------------------

    def _drive(self, change: _Change[Item], batch: Sequence[Item]) -> tuple[Outcome, ...]:
        outcomes: list[Outcome] = []
        for items in _chunks(batch):
            outcomes.extend(self._drive_chunk(change, items))
            if outcomes[-1].state is LegState.UNREACHABLE:
                # The next chunk would only wait for the same dead server.
                outcomes.extend(replace(outcomes[-1], before=change.member(item)) for item in batch[len(outcomes) :])
                break
        return tuple(outcomes)

    def _drive_chunk(self, change: _Change[Item], items: Sequence[Item]) -> list[Outcome]:
        try:
            with self._database.reading() as connection:
                table = self._inspected(connection)
        except TargetUnreachable as error:
            return [_of(change, item, LegState.UNREACHABLE, error) for item in items]
        except ConnectorError as error:
            return [_of(change, item, LegState.REFUSED, error) for item in items]
        attempts = self._attempt(change, table, items)
        try:
            now = self._read_back(change, table, items)
        except ConnectorError as error:
            # What was sent may have taken effect: it is unproven, not refused.
            return [_of(change, item, LegState.UNREACHABLE, error) for item in items]
        return [
            change.judge(item, now.get(change.key(table, item), ()), attempt)
            for item, attempt in zip(items, attempts, strict=True)
        ]

    def _attempt(self, change: _Change[Item], table: MemberTable, items: Sequence[Item]) -> list[Attempt]:
        """Send items in one transaction. Where a row is refused, the halves are sent alone until it is found."""
        before_send()
        try:
            with self._database.writing() as connection:
                hit = change.send(connection, table, items)
        except StatementError as error:
            if error.over_a_row and len(items) > 1:
                middle = len(items) // 2
                return [
                    attempt
                    for half in (items[:middle], items[middle:])
                    for attempt in self._attempt(change, table, half)
                ]
            return [Attempt(refused=str(error))] * len(items)
        except TargetUnreachable as error:
            return [Attempt(lost=str(error))] * len(items)
        except ConnectorError as error:
            return [Attempt(refused=str(error))] * len(items)
        return [Attempt(ours=change.key(table, item) in hit) for item in items]

    def _read_back(self, change: _Change[Item], table: MemberTable, items: Sequence[Item]) -> dict[str, list[Member]]:
        """Read the rows of these items again, in a new transaction, by the key they are found by."""
        keys = list({change.key(table, item) for item in items})
        rows: dict[str, list[Member]] = {}
        with self._database.reading() as connection:
            statement = table.select_people(keys) if change.by_person else table.select_keys(keys)
            for member in _walk(connection, table, statement):
                rows.setdefault(member.person_id if change.by_person else table.key(member), []).append(member)
        return rows

    # --- check ---------------------------------------------------------------------------------------------------

    def _unwritable(self) -> tuple[str, ...]:
        """Name the columns a closing writes and this database user may not."""
        with self._database.reading() as connection:
            table = self._inspected(connection)
            file = self._database.address.file
            if file is not None:
                return () if os.access(file, os.W_OK) else table.written
            place = f'"{table.source.schema}".' if table.source.schema else ""
            may = func.has_column_privilege
            allowed = [may(f'{place}"{table.source.name}"', name, "UPDATE") for name in table.written]
            return tuple(
                name
                for name, yes in zip(table.written, connection.execute(select(*allowed)).one(), strict=True)
                if not yes
            )

    def _warnings(self, members: Sequence[Member], unwritable: Sequence[str]) -> Iterator[Finding]:
        columns = self._settings.columns
        if unwritable:
            yield Finding(
                Level.ERROR,
                self.name,
                f"This database user may not write {', '.join(unwritable)} of {self._settings.table}.",
                "Grant it UPDATE on these columns, or closing will be refused.",
            )
        if "status" not in columns:
            yield Finding(
                Level.WARNING,
                self.name,
                "No status column is mapped: a member is disabled by clearing the credential, in no other way.",
                "Map columns.status if the portal has one.",
            )
        if "native_id" not in columns and len({member.person_id for member in members}) < len(members):
            yield Finding(
                Level.WARNING,
                self.name,
                "Some people have several rows, and no native_id is mapped to tell them apart.",
                "Map columns.native_id to the portal's own row id.",
            )
        if "native_id" in columns and (unclear := _without_own_id(members)):
            yield Finding(
                Level.WARNING,
                self.name,
                f"native_id is blank, or the same, in {unclear:,} rows: it is no row id, and rows go by person too.",
                "Map columns.native_id to the column that is different in every row.",
            )


def _of(change: _Change[Item], item: Item, state: LegState, error: ConnectorError) -> Outcome:
    return Outcome(state, str(error), before=change.member(item))


def _walk(
    connection: Connection, table: MemberTable, statement: Select[*tuple[Any, ...]], digest: RowDigest | None = None
) -> Iterator[Member]:
    for rows in connection.execute(statement).partitions(_ROWS_PER_ROUND):
        for row in rows:
            if digest is not None:
                digest.add(map(str, row))
            yield table.member(row)


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, _ITEMS_PER_STATEMENT)):
        yield chunk


def _send_close(connection: Connection, table: MemberTable, items: Sequence[CloseMember]) -> set[str]:
    groups: dict[tuple[bool, bool], list[CloseMember]] = {}
    for item in items:
        if not is_closed(item.before, item) and (item.clear_credential or table.keeps_status):
            groups.setdefault((item.clear_credential, item.disable), []).append(item)
    return {
        key
        for (clear, disable), group in groups.items()
        for key in connection.scalars(table.close(group, clear=clear, disable=disable))
    }


def _send_open(connection: Connection, table: MemberTable, items: Sequence[OpenMember]) -> set[str]:
    return {key for item in items for key in connection.scalars(table.open(item))}


def _send_add(connection: Connection, table: MemberTable, items: Sequence[Member]) -> set[str]:
    return {person_id for item in items for person_id in connection.scalars(table.add(item))}


def _send_remove(connection: Connection, table: MemberTable, items: Sequence[Member]) -> set[str]:
    return set(connection.scalars(table.remove(items)))


def _without_own_id(members: Sequence[Member]) -> int:
    counts = Counter(member.native_id for member in members)
    return sum(count for native_id, count in counts.items() if count > 1 or not native_id)


def _counted(name: str, members: Sequence[Member]) -> Finding:
    enabled = sum(member.enabled for member in members)
    living = sum(member.credential_lives for member in members)
    return Finding(
        Level.OK, name, f"{len(members):,} members, {enabled:,} enabled, {living:,} with a username or password."
    )


_CLOSE: _Change[CloseMember] = _Change(lambda item: item.before, _send_close, close_outcome)
_OPEN: _Change[OpenMember] = _Change(lambda item: item.now, _send_open, open_outcome)
_ADD: _Change[Member] = _Change(lambda item: item, _send_add, add_outcome, by_person=True)
_REMOVE: _Change[Member] = _Change(lambda item: item, _send_remove, remove_outcome)
