"""The tables of what an identity provider sees and sets: Users, Groups, who calls, and the people they are about.

They stand in the journal's database, so that an intent, its block and the resource it came from are one transaction.
Nothing here reads or writes. A document is kept as it is answered, beside the columns it is searched by.
"""

from typing import Any

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from connector.reconcile.journal_tables import UtcDateTime, metadata

_SEARCHABLE = JSON().with_variant(JSONB(), "postgresql")


def _text(name: str, *, nullable: bool = False, index: bool = False, unique: bool = False) -> "Column[Any]":
    return Column(name, Text, nullable=nullable, index=index, unique=unique)


def _at(name: str, *, nullable: bool = False, index: bool = False) -> "Column[Any]":
    return Column(name, UtcDateTime, nullable=nullable, index=index)


# One row per User. `position` numbers them as they came and orders every list. `wanted` is the provider's own word on
# `active`. `pending` says what is still to be done on the targets ("", "close", "open", "update") and `pending_since`
# since when; whoever does it clears both. `source` is "admin" (a mirror of the admin system's person) or "scim".
scim_users = Table(
    "scim_users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("position", Integer, nullable=False, unique=True),
    _text("person_id", unique=True),
    _text("source"),
    _text("client"),
    _text("user_name"),
    _text("user_name_key", unique=True),
    _text("external_id", nullable=True, index=True),
    _text("code_key", index=True),
    Column("active", Boolean, nullable=False),
    Column("wanted", Boolean, nullable=False),
    _text("pending"),
    _at("pending_since", nullable=True, index=True),
    _text("document"),
    Column("search", _SEARCHABLE, nullable=False),
    _text("mirror_digest"),
    Column("version", Integer, nullable=False),
    _at("created_at"),
    _at("modified_at"),
)

scim_emails = Table(
    "scim_emails",
    metadata,
    Column("user_id", Text, ForeignKey("scim_users.id", ondelete="CASCADE"), primary_key=True),
    Column("value_key", Text, primary_key=True, index=True),
)

# `portal` names the portal a Group is; empty for a Group the provider pushed. The document holds no members.
scim_groups = Table(
    "scim_groups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("position", Integer, nullable=False, unique=True),
    _text("portal", index=True),
    _text("client"),
    _text("display_name"),
    _text("display_key", index=True),
    _text("external_id", nullable=True, index=True),
    _text("document"),
    Column("search", _SEARCHABLE, nullable=False),
    Column("version", Integer, nullable=False),
    _at("created_at"),
    _at("modified_at"),
)

scim_members = Table(
    "scim_members",
    metadata,
    Column("group_id", Text, ForeignKey("scim_groups.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Text, ForeignKey("scim_users.id", ondelete="CASCADE"), primary_key=True, index=True),
    _at("added_at"),
)

# How many there are, kept beside every insert and delete: a list never counts a hundred thousand rows.
scim_counts = Table(
    "scim_counts", metadata, Column("name", Text, primary_key=True), Column("amount", Integer, nullable=False)
)

# What the newest judgement says of each person, for whoever has no snapshot at hand. `entitled`, `usernames` and
# `humans` (the other records of the same human) are JSON lists; `why` is what may be told to a provider.
scim_people = Table(
    "scim_people",
    metadata,
    Column("person_id", Text, primary_key=True),
    _text("code_key", index=True),
    _text("email_key", index=True),
    _text("name"),
    _text("status"),
    _text("entitled"),
    _text("usernames"),
    _text("humans"),
    _text("why"),
    _text("digest"),
    _at("judged_at"),
)

# Who may call. Sets are JSON lists. `per_hour` limits deactivations, `per_minute` requests; 0 is without a limit.
scim_clients = Table(
    "scim_clients",
    metadata,
    Column("name", Text, primary_key=True),
    _text("scopes"),
    Column("strict", Boolean, nullable=False),
    Column("per_minute", Integer, nullable=False),
    Column("per_hour", Integer, nullable=False),
    _text("networks"),
    _text("made_by"),
    _at("made_at"),
)

scim_tokens = Table(
    "scim_tokens",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("client", Text, ForeignKey("scim_clients.name"), nullable=False, index=True),
    _text("token_hash", unique=True),
    _text("made_by"),
    _at("made_at"),
    _at("expires_at", nullable=True),
    _at("revoked_at", nullable=True),
    _text("revoked_by", nullable=True),
    _at("used_at", nullable=True),
)

# Whom a provider took away: what the hourly limit counts, and the driver's work until `done_at`. It outlives the User.
# `sourced` is whether the provider was this person's admin system; `portal` is empty where everything goes.
scim_closings = Table(
    "scim_closings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _text("client", index=True),
    _text("person_id", index=True),
    _text("user_id"),
    _text("code"),
    _text("name"),
    _text("portal"),
    Column("sourced", Boolean, nullable=False),
    _at("at", index=True),
    _at("done_at", nullable=True, index=True),
)
