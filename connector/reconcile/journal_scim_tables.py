"""The tables of what an identity provider sees and sets: Users, Groups, who calls, and the people they are about.

They stand in the journal's database, so that an intent, its block and the resource it came from are one transaction.
Nothing here reads or writes. A document is kept as it is answered, beside the columns it is searched by.
"""

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from connector.reconcile.journal_columns import metadata, moment, text

_SEARCHABLE = JSON().with_variant(JSONB(), "postgresql")


# One row per User. `position` numbers them as they came and orders every list. `wanted` is the provider's own word on
# `active`. `pending` says what is still to be done on the targets ("", "close", "open", "update") and `pending_since`
# since when; whoever does it clears both. `source` is "admin" (a mirror of the admin system's person) or "scim".
scim_users = Table(
    "scim_users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("position", Integer, nullable=False, unique=True),
    text("person_id", unique=True),
    text("source"),
    text("client"),
    text("user_name"),
    text("user_name_key", unique=True),
    text("external_id", nullable=True, index=True),
    text("code_key", index=True),
    Column("active", Boolean, nullable=False),
    Column("wanted", Boolean, nullable=False),
    text("pending"),
    moment("pending_since", nullable=True, index=True),
    text("document"),
    Column("search", _SEARCHABLE, nullable=False),
    text("mirror_digest"),
    Column("version", Integer, nullable=False),
    moment("created_at"),
    moment("modified_at"),
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
    text("portal", index=True),
    text("client"),
    text("display_name"),
    text("display_key", index=True),
    text("external_id", nullable=True, index=True),
    text("document"),
    Column("search", _SEARCHABLE, nullable=False),
    Column("version", Integer, nullable=False),
    moment("created_at"),
    moment("modified_at"),
)

scim_members = Table(
    "scim_members",
    metadata,
    Column("group_id", Text, ForeignKey("scim_groups.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Text, ForeignKey("scim_users.id", ondelete="CASCADE"), primary_key=True, index=True),
    moment("added_at"),
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
    text("code_key", index=True),
    text("email_key", index=True),
    text("name"),
    text("status"),
    text("entitled"),
    text("usernames"),
    text("humans"),
    text("why"),
    text("digest"),
    moment("judged_at"),
)

# Under which names they have accounts and are members: what a provider sends by such a name is nobody new.
scim_usernames = Table(
    "scim_usernames",
    metadata,
    Column("person_id", Text, primary_key=True),
    Column("name_key", Text, primary_key=True, index=True),
)

# Who may call. Sets are JSON lists. `per_hour` limits deactivations, `per_minute` requests; 0 is without a limit.
scim_clients = Table(
    "scim_clients",
    metadata,
    Column("name", Text, primary_key=True),
    text("scopes"),
    Column("strict", Boolean, nullable=False),
    Column("per_minute", Integer, nullable=False),
    Column("per_hour", Integer, nullable=False),
    text("networks"),
    text("made_by"),
    moment("made_at"),
)

scim_tokens = Table(
    "scim_tokens",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("client", Text, ForeignKey("scim_clients.name"), nullable=False, index=True),
    text("token_hash", unique=True),
    text("made_by"),
    moment("made_at"),
    moment("expires_at", nullable=True),
    moment("revoked_at", nullable=True),
    text("revoked_by", nullable=True),
    moment("used_at", nullable=True),
)

# Whom a provider took away: what the hourly limit counts, and the driver's work until `done_at`. It outlives the User.
# `sourced` is whether the provider was this person's admin system; `portal` is empty where everything goes.
scim_closings = Table(
    "scim_closings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    text("client", index=True),
    text("person_id", index=True),
    text("user_id"),
    text("code"),
    text("name"),
    text("portal"),
    Column("sourced", Boolean, nullable=False),
    moment("at", index=True),
    moment("done_at", nullable=True, index=True),
)
