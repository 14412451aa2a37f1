"""Migrations of the journal, applied by `journal_migrate` without an alembic.ini. A released one never changes."""
