"""The journal's tables, in one place, so that a migration can be held against them.

Nothing here reads or writes. Whoever changes a table writes a migration in the same commit and moves `HEAD`; a test
proves that the migrated database and these tables are equal. Ids are given out under the single-writer lock (see
`journal_store`), so both databases number alike.
"""

from typing import Any

from sqlalchemy import Boolean, Column, Date, ForeignKey, Integer, LargeBinary, Table, Text

from connector.reconcile.journal_columns import metadata, moment, number, text

HEAD = "0007"
"""The newest migration this version knows."""


def _run(*, nullable: bool = True) -> "Column[Any]":
    return Column("run_id", Integer, ForeignKey("runs.id"), nullable=nullable, index=True)


def _until_lifted() -> "tuple[Column[Any], ...]":
    return (
        number(),
        text("person_id", index=True),
        text("owner"),
        text("reason"),
        Column("until", Date, nullable=True),
        moment("made_at"),
        moment("lifted_at", nullable=True),
        text("lifted_by", nullable=True),
        text("seconded_by", nullable=True),
    )


# The one row of `audit_head` is also the lock that makes writers queue on PostgreSQL, as they do on SQLite.
audit_head = Table(
    "audit_head",
    metadata,
    number(),
    Column("records", Integer, nullable=False),
    text("mac"),
    text("key_check"),
    moment("proved_at", nullable=True),
)

# No foreign keys: an audit record outlives everything it speaks of.
audit = Table(
    "audit",
    metadata,
    number(),
    moment("at"),
    text("kind"),
    text("subject", index=True),
    text("person_id", nullable=True, index=True),
    text("operator"),
    Column("run_id", Integer, nullable=True),
    text("text"),
    text("detail"),
    text("mac"),
)

# What was sealed and taken out of `audit`: the chain goes on from the newest of these.
checkpoints = Table(
    "checkpoints",
    metadata,
    number(),
    Column("first_record", Integer, nullable=False),
    Column("last_record", Integer, nullable=False),
    text("previous"),
    text("mac"),
    moment("sealed_at"),
    text("operator"),
    text("signature"),
)

# One row: what stands by people's words as of audit record `upto`, signed. See `journal_standing`.
standing = Table(
    "standing",
    metadata,
    number(),
    Column("upto", Integer, nullable=False),
    text("mac"),
    text("content"),
    text("signature"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    text("owner"),
    Column("epoch", Integer, nullable=False),
    text("operator"),
    text("host"),
    _run(),
    moment("taken_at"),
    moment("expires_at"),
)

claims = Table(
    "claims",
    metadata,
    Column("key", Text, primary_key=True),
    text("owner"),
    Column("epoch", Integer, nullable=False),
    moment("expires_at"),
)

runs = Table(
    "runs",
    metadata,
    number(),
    text("kind"),
    text("operator"),
    text("host"),
    Column("as_of", Date, nullable=False),
    text("fingerprints"),
    moment("started_at"),
    moment("ended_at", nullable=True),
    text("result"),
    Column("exit_code", Integer, nullable=True),
    text("counts"),
    text("plan_id"),
)

# `content` goes with the retention; the counts stay, since limits look back at them.
snapshots = Table(
    "snapshots",
    metadata,
    number(),
    _run(nullable=False),
    Column("as_of", Date, nullable=False),
    moment("taken_at"),
    moment("accepted_at", nullable=True, index=True),
    text("fingerprints"),
    text("counts"),
    Column("content", LargeBinary, nullable=True),
    text("content_mac"),
)

plans = Table(
    "plans",
    metadata,
    Column("digest", Text, primary_key=True),
    text("plan_id", index=True),
    _run(),
    Column("snapshot_id", Integer, ForeignKey("snapshots.id"), nullable=True),
    Column("as_of", Date, nullable=False),
    moment("created_at"),
    text("state"),
    text("content"),
    text("content_mac"),
)

approvals = Table(
    "approvals",
    metadata,
    number(),
    Column("digest", Text, ForeignKey("plans.digest"), nullable=False, index=True),
    text("plan_id"),
    text("waivers"),
    text("operator"),
    text("reason"),
    moment("approved_at"),
    text("mac"),
)

blocks = Table("blocks", metadata, *_until_lifted())
keeps = Table("keeps", metadata, *_until_lifted())

requests = Table(
    "requests",
    metadata,
    number(),
    text("person_id", index=True),
    text("operator"),
    text("reason"),
    moment("made_at"),
    moment("lifted_at", nullable=True),
)

releases = Table(
    "releases",
    metadata,
    Column("key", Text, primary_key=True),
    Column("hold", Text, primary_key=True),
    text("evidence_digest"),
    text("owner"),
    text("reason"),
    moment("released_at"),
)

links = Table(
    "links",
    metadata,
    Column("directory", Text, primary_key=True),
    Column("guid", Text, primary_key=True),
    text("person_id", index=True),
    text("how"),
    text("operator"),
    moment("linked_at"),
)

users = Table(
    "users",
    metadata,
    Column("portal", Text, primary_key=True),
    Column("username", Text, primary_key=True),
    text("person_id"),
    moment("seen_at"),
)

operators = Table(
    "operators",
    metadata,
    Column("name", Text, primary_key=True),
    text("role"),
    text("secret_hash"),
    text("totp_secret"),
    text("added_by"),
    moment("added_at"),
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    text("value"),
    text("operator"),
    moment("set_at"),
)

revocations = Table(
    "revocations",
    metadata,
    number(),
    text("key", index=True),
    text("person_id", nullable=True, index=True),
    text("direction"),
    text("content"),
    text("state", index=True),
    text("reason"),
    _run(),
    text("plan_id"),
    text("operator"),
    moment("intended_at"),
    moment("closed_at", nullable=True, index=True),
    moment("done_at", nullable=True),
)

legs = Table(
    "legs",
    metadata,
    number(),
    Column("revocation_id", Integer, ForeignKey("revocations.id"), nullable=False, index=True),
    text("kind"),
    text("target"),
    text("subject", index=True),
    Column("withheld", Boolean, nullable=False),
    text("planned"),
    text("state", index=True),
    text("detail"),
    text("before", nullable=True),
    text("after", nullable=True),
    Column("ended", Integer, nullable=False),
    moment("effective_by", nullable=True),
    Column("attempts", Integer, nullable=False),
    moment("intended_at"),
    moment("last_tried", nullable=True),
    moment("finished_at", nullable=True),
)

changes = Table(
    "changes",
    metadata,
    number(),
    text("kind"),
    text("portal"),
    text("person_id", index=True),
    text("before", nullable=True),
    text("after", nullable=True),
    text("read_back", nullable=True),
    text("state", index=True),
    text("detail"),
    Column("attempts", Integer, nullable=False),
    _run(),
    text("operator"),
    moment("intended_at"),
    moment("last_tried", nullable=True),
    moment("finished_at", nullable=True),
)

observations = Table(
    "observations",
    metadata,
    number(),
    Column("run_id", Integer, ForeignKey("runs.id"), nullable=False, unique=True),
    Column("as_of", Date, nullable=False),
    moment("observed_at"),
)

# One row per key that was ever ready. `flips` are the ids of the observations in which it was entitled again.
sightings = Table(
    "sightings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("ready", Boolean, nullable=False),
    text("evidence_digest"),
    Column("ready_runs", Integer, nullable=False),
    Column("ready_since", Date, nullable=True),
    text("flips"),
)
