"""The journal's tables, in one place, so that a migration can be held against them.

Nothing here reads or writes. Whoever changes a table writes a migration in the same commit and moves `HEAD`; a test
proves that the migrated database and these tables are equal. Ids are given out under the single-writer lock (see
`journal_store`), so both databases number alike.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)

HEAD = "0005"
"""The newest migration this version knows."""

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


def _number() -> "Column[Any]":
    return Column("id", Integer, primary_key=True, autoincrement=False)


def _text(name: str, *, nullable: bool = False, index: bool = False) -> "Column[Any]":
    return Column(name, Text, nullable=nullable, index=index)


def _at(name: str, *, nullable: bool = False, index: bool = False) -> "Column[Any]":
    return Column(name, UtcDateTime, nullable=nullable, index=index)


def _run(*, nullable: bool = True) -> "Column[Any]":
    return Column("run_id", Integer, ForeignKey("runs.id"), nullable=nullable, index=True)


def _until_lifted() -> "tuple[Column[Any], ...]":
    return (
        _number(),
        _text("person_id", index=True),
        _text("owner"),
        _text("reason"),
        Column("until", Date, nullable=True),
        _at("made_at"),
        _at("lifted_at", nullable=True),
        _text("lifted_by", nullable=True),
        _text("seconded_by", nullable=True),
    )


# The one row of `audit_head` is also the lock that makes writers queue on PostgreSQL, as they do on SQLite.
audit_head = Table(
    "audit_head",
    metadata,
    _number(),
    Column("records", Integer, nullable=False),
    _text("mac"),
    _text("key_check"),
    _at("proved_at", nullable=True),
)

# No foreign keys: an audit record outlives everything it speaks of.
audit = Table(
    "audit",
    metadata,
    _number(),
    _at("at"),
    _text("kind"),
    _text("subject", index=True),
    _text("person_id", nullable=True, index=True),
    _text("operator"),
    Column("run_id", Integer, nullable=True),
    _text("text"),
    _text("detail"),
    _text("mac"),
)

# What was sealed and taken out of `audit`: the chain goes on from the newest of these.
checkpoints = Table(
    "checkpoints",
    metadata,
    _number(),
    Column("first_record", Integer, nullable=False),
    Column("last_record", Integer, nullable=False),
    _text("previous"),
    _text("mac"),
    _at("sealed_at"),
    _text("operator"),
    _text("signature"),
)

# One row: what stands by people's words as of audit record `upto`, signed. See `journal_standing`.
standing = Table(
    "standing",
    metadata,
    _number(),
    Column("upto", Integer, nullable=False),
    _text("mac"),
    _text("content"),
    _text("signature"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    _text("owner"),
    Column("epoch", Integer, nullable=False),
    _text("operator"),
    _text("host"),
    _run(),
    _at("taken_at"),
    _at("expires_at"),
)

claims = Table(
    "claims",
    metadata,
    Column("key", Text, primary_key=True),
    _text("owner"),
    Column("epoch", Integer, nullable=False),
    _at("expires_at"),
)

runs = Table(
    "runs",
    metadata,
    _number(),
    _text("kind"),
    _text("operator"),
    _text("host"),
    Column("as_of", Date, nullable=False),
    _text("fingerprints"),
    _at("started_at"),
    _at("ended_at", nullable=True),
    _text("result"),
    Column("exit_code", Integer, nullable=True),
    _text("counts"),
    _text("plan_id"),
)

# `content` goes with the retention; the counts stay, since limits look back at them.
snapshots = Table(
    "snapshots",
    metadata,
    _number(),
    _run(nullable=False),
    Column("as_of", Date, nullable=False),
    _at("taken_at"),
    _at("accepted_at", nullable=True, index=True),
    _text("fingerprints"),
    _text("counts"),
    Column("content", LargeBinary, nullable=True),
    _text("content_mac"),
)

plans = Table(
    "plans",
    metadata,
    Column("digest", Text, primary_key=True),
    _text("plan_id", index=True),
    _run(),
    Column("snapshot_id", Integer, ForeignKey("snapshots.id"), nullable=True),
    Column("as_of", Date, nullable=False),
    _at("created_at"),
    _text("state"),
    _text("content"),
    _text("content_mac"),
)

approvals = Table(
    "approvals",
    metadata,
    _number(),
    Column("digest", Text, ForeignKey("plans.digest"), nullable=False, index=True),
    _text("plan_id"),
    _text("waivers"),
    _text("operator"),
    _text("reason"),
    _at("approved_at"),
    _text("mac"),
)

blocks = Table("blocks", metadata, *_until_lifted())
keeps = Table("keeps", metadata, *_until_lifted())

requests = Table(
    "requests",
    metadata,
    _number(),
    _text("person_id", index=True),
    _text("operator"),
    _text("reason"),
    _at("made_at"),
    _at("lifted_at", nullable=True),
)

releases = Table(
    "releases",
    metadata,
    Column("key", Text, primary_key=True),
    Column("hold", Text, primary_key=True),
    _text("evidence_digest"),
    _text("owner"),
    _text("reason"),
    _at("released_at"),
)

links = Table(
    "links",
    metadata,
    Column("directory", Text, primary_key=True),
    Column("guid", Text, primary_key=True),
    _text("person_id", index=True),
    _text("how"),
    _text("operator"),
    _at("linked_at"),
)

users = Table(
    "users",
    metadata,
    Column("portal", Text, primary_key=True),
    Column("username", Text, primary_key=True),
    _text("person_id"),
    _at("seen_at"),
)

operators = Table(
    "operators",
    metadata,
    Column("name", Text, primary_key=True),
    _text("role"),
    _text("secret_hash"),
    _text("totp_secret"),
    _text("added_by"),
    _at("added_at"),
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    _text("value"),
    _text("operator"),
    _at("set_at"),
)

revocations = Table(
    "revocations",
    metadata,
    _number(),
    _text("key", index=True),
    _text("person_id", nullable=True, index=True),
    _text("direction"),
    _text("content"),
    _text("state", index=True),
    _text("reason"),
    _run(),
    _text("plan_id"),
    _text("operator"),
    _at("intended_at"),
    _at("closed_at", nullable=True, index=True),
    _at("done_at", nullable=True),
)

legs = Table(
    "legs",
    metadata,
    _number(),
    Column("revocation_id", Integer, ForeignKey("revocations.id"), nullable=False, index=True),
    _text("kind"),
    _text("target"),
    _text("subject", index=True),
    Column("withheld", Boolean, nullable=False),
    _text("planned"),
    _text("state", index=True),
    _text("detail"),
    _text("before", nullable=True),
    _text("after", nullable=True),
    Column("ended", Integer, nullable=False),
    _at("effective_by", nullable=True),
    Column("attempts", Integer, nullable=False),
    _at("intended_at"),
    _at("last_tried", nullable=True),
    _at("finished_at", nullable=True),
)

changes = Table(
    "changes",
    metadata,
    _number(),
    _text("kind"),
    _text("portal"),
    _text("person_id", index=True),
    _text("before", nullable=True),
    _text("after", nullable=True),
    _text("read_back", nullable=True),
    _text("state", index=True),
    _text("detail"),
    Column("attempts", Integer, nullable=False),
    _run(),
    _text("operator"),
    _at("intended_at"),
    _at("last_tried", nullable=True),
    _at("finished_at", nullable=True),
)

observations = Table(
    "observations",
    metadata,
    _number(),
    Column("run_id", Integer, ForeignKey("runs.id"), nullable=False, unique=True),
    Column("as_of", Date, nullable=False),
    _at("observed_at"),
)

# One row per key that was ever ready. `flips` are the ids of the observations in which it was entitled again.
sightings = Table(
    "sightings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("ready", Boolean, nullable=False),
    _text("evidence_digest"),
    Column("ready_runs", Integer, nullable=False),
    Column("ready_since", Date, nullable=True),
    _text("flips"),
)
