"""What Alembic runs around each migration. It uses the connection it is handed and commits nothing itself.

The caller owns the transaction, so a migration that fails leaves the journal as it was, also on SQLite.
"""

from alembic import context

from connector.reconcile.journal_columns import metadata

# Alembic loads this file to run it: the work at import time is its way.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter most things in place
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
