"""The daemon's tables: what it has seen to and when, and the messages that wait to be sent.

Nothing here reads or writes. They hold no decision and no intent: a lost row costs a second mail, never an access.
"""

from sqlalchemy import Column, Integer, Table, Text

from connector.reconcile.journal_columns import metadata, moment, number, text

# One row per thing that is seen to, by a name like "night" or "digest". `value` is what the next time is told.
duties = Table(
    "duties",
    metadata,
    Column("name", Text, primary_key=True),
    moment("done_at"),
    text("value"),
)

# One row per message. `name` makes its Message-ID: the same one is never put twice. `channel` is "mail", "webhook" or
# "ping"; `content` is JSON, and empty once nobody needs it any more.
outbox = Table(
    "outbox",
    metadata,
    number(),
    text("name", unique=True),
    text("channel"),
    text("content"),
    moment("put_at"),
    moment("next_at", index=True),
    Column("tries", Integer, nullable=False),
    moment("sent_at", nullable=True, index=True),
    text("problem"),
)
