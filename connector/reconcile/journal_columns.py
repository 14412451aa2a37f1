"""What the columns of every table of the journal are made of: texts, times with a zone, ids. No table is here."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, DateTime, Dialect, Integer, MetaData, Text, TypeDecorator

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A datetime kept in UTC and given back with its zone, also by SQLite, which knows none."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive datetime; hand SQLite UTC without the zone, which its text form cannot hold."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError("A datetime without a zone reached the journal.")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give every datetime its zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


metadata = MetaData(naming_convention=NAMES)


def number() -> "Column[Any]":
    """Give the id column of a table: ids are given out under the single-writer lock."""
    return Column("id", Integer, primary_key=True, autoincrement=False)


def text(name: str, *, nullable: bool = False, index: bool = False, unique: bool = False) -> "Column[Any]":
    """Give a column of text."""
    return Column(name, Text, nullable=nullable, index=index, unique=unique)


def moment(name: str, *, nullable: bool = False, index: bool = False) -> "Column[Any]":
    """Give a column of a time."""
    return Column(name, UtcDateTime, nullable=nullable, index=index)
