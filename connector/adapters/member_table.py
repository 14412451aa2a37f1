"""One portal's member table as SQL: what is read of a row, what a change is conditional on, what is written.

Statements are built, never pasted together, and none of them reads or writes a password: its column is measured, and
emptied. Names are checked against the database before the first statement, so that a mistyped column is an error and
never a column that stays uncleared.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Connection,
    LargeBinary,
    Row,
    Select,
    String,
    TableClause,
    case,
    cast,
    column,
    delete,
    exists,
    func,
    insert,
    inspect,
    literal,
    null,
    select,
    table,
    true,
    type_coerce,
    update,
)
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert, ReturningUpdate
from sqlalchemy.types import NullType, TypeEngine

from connector.adapters.database import StatementError
from connector.adapters.rows import parse_date, parse_flag_or_blank
from connector.adapters.sql_portal_settings import SqlPortalSettings, Stored
from connector.adapters.table import did_you_mean, shown
from connector.adapters.timestamps import moment
from connector.errors import SourceError
from connector.model import CloseMember, Member, MembershipType, MemberStatus, OpenMember


@dataclass(frozen=True, slots=True)
class MemberTable:
    """The members of one portal in one table. `columns` holds the mapped ones, typed as the database has them."""

    portal: str
    name: str
    source: TableClause
    columns: Mapping[str, ColumnClause[Any]]
    nullable: frozenset[str]
    portal_column: ColumnClause[Any] | None
    settings: SqlPortalSettings
    zone: tzinfo

    # --- reading -------------------------------------------------------------------------------------------------

    def select(self) -> Select[*tuple[Any, ...]]:
        """Every row of this portal, in the order `member` takes them."""
        texts = ("person_id", "native_id", "username", "code", "name", "strategy_match")
        return (
            select(
                *(self._text(field).label(field) for field in texts),
                self._has_password().label("has_password"),
                self._status().label("status"),
                self._text("status").label("raw_status"),
                self._membership_type().label("membership_type"),
                self._text("membership_type").label("raw_membership_type"),
                # Untyped: what the driver gives is parsed here, where an error can name the row.
                *(self._untyped(field).label(field) for field in ("added_on", "last_login")),
            )
            .select_from(self.source)
            .where(self._scope())
        )

    def select_people(self, person_ids: Sequence[str]) -> Select[*tuple[Any, ...]]:
        """The rows of these people."""
        return self.select().where(self._text("person_id").in_(person_ids))

    def select_keys(self, keys: Sequence[str]) -> Select[*tuple[Any, ...]]:
        """The rows with these keys."""
        return self.select().where(self._key().in_(keys))

    def key(self, member: Member) -> str:
        """What a row is found by: the person, and the portal's own id where it has one.

        Never that id alone: where it is blank or no id, the next member's row would answer to it.
        """
        native_id = member.native_id
        return f"{len(native_id)}:{native_id}{member.person_id}" if "native_id" in self.columns else member.person_id

    def member(self, row: Row[Any]) -> Member:
        """Give a row as a member. Raises SourceError naming the row, the column and what is wrong."""
        if not row.person_id:
            raise SourceError(
                f"{self.name}: the row of username {shown(row.username)} (id {shown(row.native_id)}) has no person_id.",
                "Give it one in the portal, or delete the row: nobody can say whose credential it is.",
            )
        return Member(
            portal=self.portal,
            person_id=row.person_id,
            username=row.username,
            has_password=bool(row.has_password),
            status=MemberStatus(row.status or self._unknown(row, "status", row.raw_status)),
            membership_type=MembershipType(
                row.membership_type or self._unknown(row, "membership_type", row.raw_membership_type)
            ),
            native_id=row.native_id,
            code=row.code,
            name=row.name,
            added_on=self._parsed(row, "added_on", _day),
            last_login=self._parsed(row, "last_login", lambda value: _moment(value, self.zone)),
            strategy_match=self._parsed(row, "strategy_match", parse_flag_or_blank),
        )

    def _unknown(self, row: Row[Any], field: str, value: str) -> str:
        raise SourceError(
            f"{self.name}, column {self.columns[field].name}: {shown(value)} of person {row.person_id} is unknown.",
            f"Say in {field}_values which stored value means what, or correct the row.",
        )

    def _parsed(self, row: Row[Any], field: str, parse: Callable[[Any], Any]) -> Any:
        value = getattr(row, field)
        if value is None or value == "":
            return None
        try:
            return parse(value)
        except ValueError as error:
            where = f"{self.name}, column {self.columns[field].name}, person {row.person_id}"
            raise SourceError(f"{where}: {error}.", "Correct the row in the portal.") from error

    # --- changing ------------------------------------------------------------------------------------------------

    def close(self, items: Sequence[CloseMember], *, clear: bool, disable: bool) -> ReturningUpdate[str]:
        """Empty username and password and/or disable, for every item whose row still is as planned, at once."""
        values: dict[str, Any] = {}
        if clear:
            values |= {
                self.columns[field].name: self._emptied(field)
                for field in ("username", "password")
                if field in self.columns
            }
        if disable and "status" in self.columns:
            values[self.columns["status"].name] = self._stored_status(MemberStatus.DISABLED)
        return (
            update(self.source).where(self._still(item.before for item in items)).values(values).returning(self._key())
        )

    def open(self, item: OpenMember) -> ReturningUpdate[str]:
        """Give one member username and status, if the row still is as it was seen."""
        values: dict[str, Any] = {
            self.columns["username"].name: self._fitted("username", item.username)
            if item.username
            else self._emptied("username")
        }
        if "status" in self.columns:
            values[self.columns["status"].name] = self._stored_status(item.status)
        return update(self.source).where(self._still([item.now])).values(values).returning(self._key())

    def add(self, member: Member) -> ReturningInsert[str]:
        """Insert a member, unless the person is one already. Never writes a password."""
        values = self._given(member)
        there = exists(
            select(literal(1))
            .select_from(self.source)
            .where(self._scope(), self._text("person_id") == member.person_id)
        )
        new = insert(self.source).from_select(list(values), select(*values.values()).where(~there))
        return new.returning(self._text("person_id"))

    def remove(self, members: Sequence[Member]) -> ReturningDelete[str]:
        """Delete every row that still is as given, at once."""
        return delete(self.source).where(self._still(members)).returning(self._key())

    @property
    def keeps_status(self) -> bool:
        """Whether the portal has a status of its own to write."""
        return "status" in self.columns

    @property
    def written(self) -> tuple[str, ...]:
        """The columns a closing writes."""
        return tuple(self.columns[field].name for field in ("username", "password", "status") if field in self.columns)

    def _given(self, member: Member) -> dict[str, ColumnElement[Any]]:
        texts = {"person_id": member.person_id, "username": member.username, "code": member.code, "name": member.name}
        values: dict[str, ColumnElement[Any]] = {
            self.columns[field].name: self._fitted(field, text) if text else self._emptied(field)
            for field, text in texts.items()
            if field in self.columns
        }
        if "status" in self.columns:
            values[self.columns["status"].name] = self._stored_status(member.status)
        if "membership_type" in self.columns:
            stored = self.settings.membership_type_values[member.membership_type.value]
            values[self.columns["membership_type"].name] = self._fitted("membership_type", stored)
        if "added_on" in self.columns and member.added_on is not None:
            values[self.columns["added_on"].name] = self._fitted("added_on", member.added_on)
        if self.portal_column is not None:
            values[self.portal_column.name] = literal(
                _fit(self.settings.portal_value, self.portal_column), self.portal_column.type
            )
        return values

    # --- expressions ---------------------------------------------------------------------------------------------

    def _scope(self) -> ColumnElement[bool]:
        if self.portal_column is None:
            return true()
        return _trimmed(self.portal_column) == self.settings.portal_value

    def _still(self, members: Iterable[Member]) -> ColumnElement[bool]:
        """Whether a row is one of these, in everything a change rests on.

        Compared as one text: PostgreSQL hashes a list of texts, and walks a list of rows for every row of the table.
        The key's length keeps a key and a username from being cut apart elsewhere.
        """
        key = self._key()
        length = cast(func.length(key), String)
        held = cast(self._has_password(), String) + self._status() + ":" + length + ":" + key + self._text("username")
        return self._scope() & held.in_([self._held_text(member) for member in members])

    def _held_text(self, member: Member) -> str:
        key = self.key(member)
        return f"{int(member.has_password)}{member.status.value}:{len(key)}:{key}{member.username}"

    def _key(self) -> ColumnElement[str]:
        person_id, native_id = self._text("person_id"), self._text("native_id")
        if "native_id" not in self.columns:
            return person_id
        return cast(func.length(native_id), String) + ":" + native_id + person_id

    def _text(self, field: str) -> ColumnElement[str]:
        return _trimmed(self.columns[field]) if field in self.columns else literal("")

    def _untyped(self, field: str) -> ColumnElement[Any]:
        return type_coerce(self.columns[field], NullType()) if field in self.columns else null()

    def _has_password(self) -> ColumnElement[int]:
        if "password" not in self.columns:
            # Nobody says whether there is one, and a door that may be open counts as open.
            return case((self._text("username") != "", 1), else_=0)
        return case((func.coalesce(func.length(self.columns["password"]), 0) > 0, 1), else_=0)

    def _status(self) -> ColumnElement[str]:
        if "status" in self.columns:
            return self._word("status", self.settings.status_values)
        lives = (self._text("username") != "") | (self._has_password() == 1)
        return case((lives, MemberStatus.ENABLED.value), else_=MemberStatus.DISABLED.value)

    def _membership_type(self) -> ColumnElement[str]:
        if "membership_type" in self.columns:
            return self._word("membership_type", self.settings.membership_type_values)
        return literal(MembershipType.SYSTEM_GENERATED.value)

    def _word(self, field: str, values: Mapping[str, Stored]) -> ColumnElement[str]:
        """Our word for what a column holds; the empty text where it holds anything else."""
        held = self.columns[field]
        return case(*((held == self._fitted(field, stored), word) for word, stored in values.items()), else_="")

    def _stored_status(self, status: MemberStatus) -> ColumnElement[Any]:
        return self._fitted("status", self.settings.status_values[status.value])

    def _fitted(self, field: str, value: object) -> ColumnElement[Any]:
        return literal(_fit(value, self.columns[field]), self.columns[field].type)

    def _emptied(self, field: str) -> ColumnElement[Any]:
        held = self.columns[field]
        if held.name in self.nullable:
            return null()
        return literal(b"" if isinstance(held.type, LargeBinary) else "", held.type)


def inspected(connection: Connection, portal: str, settings: SqlPortalSettings, zone: tzinfo) -> MemberTable:
    """Look the table up in the database. Raises SourceError naming the table or column that is not there."""
    found = _columns_of(connection, settings)
    types: dict[str, TypeEngine[Any]] = {each["name"]: each["type"] for each in found}
    for name in (*settings.columns.values(), *filter(None, [settings.portal_column])):
        if name not in types:
            raise SourceError(
                f"The table {settings.table} has no column {name}. {did_you_mean(name, types)}",
                f"Correct the columns of {portal} in the configuration.",
            )
    held = (column(name, kind) for name, kind in types.items())
    source = table(settings.table, *held, schema=settings.schema or None)
    _refuse_misfits(source, settings)
    return MemberTable(
        portal=portal,
        name=f"The table {settings.table}",
        source=source,
        columns={field: source.c[name] for field, name in settings.columns.items()},
        nullable=frozenset(each["name"] for each in found if each["nullable"]),
        portal_column=source.c[settings.portal_column] if settings.portal_column else None,
        settings=settings,
        zone=zone,
    )


def _refuse_misfits(source: TableClause, settings: SqlPortalSettings) -> None:
    """Try every configured value on its column now: later is in the middle of a closing."""
    for field, values in (
        ("status", settings.status_values),
        ("membership_type", settings.membership_type_values),
    ):
        for stored in values.values() if field in settings.columns else ():
            _fit(stored, source.c[settings.columns[field]])


def _columns_of(connection: Connection, settings: SqlPortalSettings) -> Sequence[Any]:
    inspector, schema = inspect(connection), settings.schema or None
    names = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
    if settings.table not in names:
        raise SourceError(
            f"There is no table {settings.table}{f' in schema {schema}' if schema else ''}. "
            f"{did_you_mean(settings.table, names) or 'This user sees no table at all.'}",
            "Correct `table` or `schema` in the configuration, or let this database user see it.",
        )
    return inspector.get_columns(settings.table, schema)


def _trimmed(held: ColumnClause[Any]) -> ColumnElement[str]:
    return func.trim(func.coalesce(cast(held, String), literal("")))


def _fit(value: object, held: ColumnClause[Any]) -> object:
    """Give a value the type its column holds. Raises StatementError where the column cannot hold it."""
    try:
        kind = held.type.python_type
    except NotImplementedError:
        return value
    if kind is str:
        return value.isoformat() if isinstance(value, date) else str(value)
    try:
        fitted = kind(value) if kind in (int, UUID) else value
    except ValueError:
        fitted = None
    if kind is bool and value not in (True, False):
        fitted = None
    if fitted is None:
        raise StatementError(
            f"{shown(value)} does not fit the column {held.name} ({held.type}).",
            "Correct the values in the configuration, or the row.",
            over_a_row=True,
        )
    return fitted


def _day(value: object) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    return parse_date(str(value)[:10])


def _moment(value: object, zone: tzinfo) -> datetime:
    found = moment(value, zone)
    if found is None:
        raise ValueError(f"{shown(value)} is no moment")
    return found
