"""The journal of a config, opened with its audit key. The key is made once, with the journal, and never again.

A journal whose key is gone is not given a new one: what it says could no longer be believed.
"""

import os
import secrets
from pathlib import Path

from connector.config import Config
from connector.errors import JournalError
from connector.reconcile.journal import Journal


def open_journal(config: Config, *, migrate: bool = False) -> Journal:
    """Open the journal; a new one is made with a new audit key beside it. `migrate` brings an older one forward."""
    key, site = config.journal.audit_key, config.site
    made = bool(key.file) and _make_key(site.path(key.file), config.journal_url)
    password = config.journal.password.reveal(site) if config.journal.password else ""
    try:
        revealed = key.reveal(site).encode()
        return Journal.open(config.journal_url, audit_key=revealed, password=password, migrate=migrate)
    except JournalError:
        # A journal in PostgreSQL is only seen now: had it a key, the new one must not stand where that one is put back.
        if made and not _is_file(config.journal_url):
            site.path(key.file).unlink(missing_ok=True)
        raise


def _is_file(url: str) -> bool:
    return url.startswith("sqlite:///")


def _make_key(path: Path, url: str) -> bool:
    """Make the audit key where neither key nor journal exist yet: a journal without its key is never trusted anew."""
    journal = Path(url.removeprefix("sqlite:///")) if _is_file(url) else None
    if path.exists() or (journal is not None and journal.exists()):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # somebody was quicker, or laid a link there: what is there is read, never written
        return False
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
    return True
