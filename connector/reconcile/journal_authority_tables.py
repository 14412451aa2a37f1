"""The journal's tables about urgent terminations and the authority's codes; they belong to `journal_tables.metadata`.

Nothing here reads or writes. A code itself is never in the database, only what it is recognised by.
"""

from sqlalchemy import Column, ForeignKey, Integer, Table, Text

from connector.reconcile.journal_columns import UtcDateTime, metadata

# One row per urgent termination. `signature` is keyed over who countersigned what: a row written by hand signs nothing.
terminations = Table(
    "terminations",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("operator", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("contact_type", Text, nullable=False),
    Column("commanded_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("last_session_at", UtcDateTime),
    Column("signed_at", UtcDateTime),
    Column("signed_by", Text),
    Column("signed_role", Text),
    Column("signed_how", Text),
    Column("signature", Text),
)

termination_records = Table(
    "termination_records",
    metadata,
    Column("termination_id", Integer, ForeignKey("terminations.id"), primary_key=True),
    Column("key", Text, primary_key=True, index=True),
    Column("place", Integer, nullable=False),
    Column("person_id", Text),
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
)

# `code_hash` is keyed over the code and all it is bound to: a binding changed by hand makes the code worthless.
authority_codes = Table(
    "authority_codes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("code_hash", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("requester", Text, nullable=False),
    Column("person_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("used_at", UtcDateTime),
    Column("used_by", Text),
    Column("termination_id", Integer),
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_by", Text),
)

# An authority's refusal to countersign. `signature` is keyed like that of a countersignature.
termination_refusals = Table(
    "termination_refusals",
    metadata,
    Column("termination_id", Integer, ForeignKey("terminations.id"), primary_key=True, autoincrement=False),
    Column("refused_at", UtcDateTime, nullable=False),
    Column("refused_by", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("signature", Text, nullable=False),
)

authority_tries = Table(
    "authority_tries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("operator", Text, nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
)
