"""Brings a journal's tables to the form this version knows, or refuses.

A database that a newer version migrated, or that is not a journal at all, is left alone. Alembic is loaded only where
there is something to migrate: every command opens the journal, few migrate it.
"""

import hmac
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, inspect, select, text

from connector.errors import JournalError, NoJournal
from connector.reconcile import journal_tables as tables
from connector.reconcile.journal_audit import START, key_check
from connector.reconcile.journal_engine import database_name
from connector.reconcile.journal_standing import begin_register

COMMAND = "connector db migrate"
"""What an administrator types to bring an older journal forward."""

MOVED = "moved_to"
"""The table that marks a journal which goes on elsewhere: one row, saying where. No migration makes it."""

FOLDER = Path(__file__).parent / "migrations"


def bring_forward(engine: Engine, audit_key: bytes, *, create: bool, migrate: bool) -> None:
    """Make the tables where there are none, migrate them where allowed, and refuse an unknown or foreign database."""
    with engine.connect() as conn:
        known = version_of(conn)
        if known == tables.HEAD:
            # Reads only: to open a journal nobody waits for a writer.
            _check_key(conn, audit_key)
            return
    _refuse_unless_allowed(engine, known, create=create, migrate=migrate)
    with engine.execution_options(journal_writes=True).begin() as conn:
        upgrade(conn)
        begin(conn, audit_key)
        _check_key(conn, audit_key)


def begin(conn: Connection, audit_key: bytes) -> None:
    """Give new tables the beginning of the chain, and the register of standing words, where they have none."""
    _begin_chain(conn, audit_key)
    begin_register(conn, audit_key)


def version_of(conn: Connection, *, moved: bool = False) -> str | None:
    """Give the revision of a journal's tables, none where there are no tables.

    Raises JournalError: the tables are no journal's, or (unless `moved` ones are meant too) it goes on elsewhere.
    """
    names = set(inspect(conn).get_table_names())
    if MOVED in names and not moved:
        where = conn.scalar(text(f"SELECT url FROM {MOVED}"))  # noqa: S608 - our own name
        raise JournalError(
            f"The journal {database_name(conn.engine)} has moved: it goes on in {where}. Nothing was done here.",
            "Set [journal] url to that place.",
        )
    if "alembic_version" in names:
        return str(conn.scalar(text("SELECT version_num FROM alembic_version")))
    if names:
        raise JournalError(
            f"The database {database_name(conn.engine)} holds other tables ({', '.join(sorted(names)[:3])} …).",
            "Give the journal a database of its own.",
        )
    return None


def _refuse_unless_allowed(engine: Engine, known: str | None, *, create: bool, migrate: bool) -> None:
    name = database_name(engine)
    if known is None and not create:
        raise NoJournal(f"There is no journal in {name}.", "Check [journal] url, or make one with: connector init")
    if known is None:
        return
    if known not in revisions():
        raise JournalError(
            f"The journal {name} was written by a newer version (its tables are at {known}, this version knows "
            f"{tables.HEAD}). Nothing was changed.",
            "Use the newer version; going back would lose what it wrote.",
        )
    if not migrate:
        raise JournalError(
            f"The journal {name} is of an older version (its tables are at {known}, this version needs "
            f"{tables.HEAD}). Nothing was changed.",
            f"Back it up (connector db backup FILE), then: {COMMAND}",
        )


def revisions() -> frozenset[str]:
    """Give every revision this version knows."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - loaded only where there is something to migrate

    return frozenset(script.revision for script in ScriptDirectory(str(FOLDER)).walk_revisions())


def upgrade(conn: Connection, revision: str = tables.HEAD) -> None:
    """Bring the tables to a revision, inside the caller's transaction."""
    from alembic import command  # noqa: PLC0415 - loaded only where there is something to migrate
    from alembic.config import Config  # noqa: PLC0415 - as above

    if conn.dialect.name == "postgresql":
        # Two that open a new journal at once: the second waits, and then finds nothing left to do.
        conn.execute(text("SELECT pg_advisory_xact_lock(7043)"))
    config = Config(attributes={"connection": conn})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    command.upgrade(config, revision)


def _begin_chain(conn: Connection, audit_key: bytes) -> None:
    if conn.scalar(select(tables.audit_head.c.id)) is None:
        conn.execute(insert(tables.audit_head).values(id=1, records=0, mac=START, key_check=key_check(audit_key)))


def _check_key(conn: Connection, audit_key: bytes) -> None:
    if not hmac.compare_digest(conn.scalar(select(tables.audit_head.c.key_check)) or "", key_check(audit_key)):
        raise JournalError(
            f"The audit key is not the one the journal {database_name(conn.engine)} was begun with.",
            "Give the key it was begun with: its audit trail could not be continued with another.",
        )
