"""The journal of a config, opened with its audit key. The key is made once, with the journal, and never again.

A journal whose key is gone is not given a new one: what it says could no longer be believed. A key whose journal is
gone is not given a new one either, but by a named person: every block and keep would be forgotten without a word.
"""

import os
import secrets
import time
from pathlib import Path

from connector.config import Config
from connector.errors import ConfigError, JournalError, NoJournal, NotAllowed
from connector.interfaces import Secret
from connector.reconcile.journal import Journal
from connector.reconcile.journal_place import Place
from connector.reconcile.journal_retention import Retention
from connector.reconcile.pruning import Pruning
from connector.reconcile.sealing import Sealing

START_ANEW = "connector db start-anew --reason TEXT"
"""What a named person types where a journal is lost for good."""

_MOMENT_SECONDS = 5.0
"""How long the journal is waited for where its key was made just now: somebody else is setting both up."""


def open_journal(config: Config, *, migrate: bool = False, make: bool = True) -> Journal:
    """Open the journal; where there is no key either, both are made. `migrate` brings an older one forward.

    Whoever only looks at what somebody else opened says `make=False`: then nothing is laid where something is gone.

    Raises JournalError; NoJournal where there is a key and no journal.
    """
    key, site = config.journal.audit_key, config.site
    made = make and bool(key.file) and _make_key(site.path(key.file), config.journal_url)
    try:
        return _open(config, create=made, migrate=migrate)
    except NoJournal as error:
        if key.file and _is_new(site.path(key.file)) and (journal := _waited_for(config)):
            return journal
        raise _gone(config) from error
    except JournalError:
        # A journal in PostgreSQL is only seen now: had it a key, the new one must not stand where that one is put back.
        if made and not (_is_file(config.journal_url) and _stands(config.journal_url)):
            site.path(key.file).unlink(missing_ok=True)
        raise


def start_anew(config: Config, operator: str, reason: str) -> Journal:
    """Begin a journal where there is a key and none any more; that is its first audit record.

    Raises NotAllowed without a reason, or where there is a journal.
    """
    if not reason.strip():
        raise NotAllowed("A journal is not begun anew without a reason.", "Say why: --reason TEXT")
    try:
        _open(config, create=False).disconnect()
    except NoJournal:
        journal = _open(config, create=True)
        journal.begun_anew(operator, reason)
        return journal
    raise NotAllowed("There is a journal: nothing was begun anew.", "See what it holds: connector history")


def journal_place(config: Config, *, create: bool = False) -> Place:
    """Go to where the config says that the journal is, without opening it for work. No key is ever made here.

    Raises ConfigError without the audit key, JournalError, NoJournal where there is no file and none is made.
    """
    return another_place(config, config.journal_url, config.journal.password, create=create)


def another_place(config: Config, url: str, password: Secret | None, *, create: bool = False) -> Place:
    """Go to another place for the journal of this config, with the key it has."""
    site = config.site
    return Place.open(
        url,
        audit_key=audit_key(config),
        password=password.reveal(site) if password else "",
        silence_seconds=config.journal.receive_timeout,
        create=create,
    )


def audit_key(config: Config) -> bytes:
    """Give the audit key, which must be there. Raises ConfigError."""
    try:
        return config.journal.audit_key.reveal(config.site).encode()
    except ConfigError as error:
        raise ConfigError(
            f"The audit key cannot be read: {error.message} Without it there is no journal, or none that is believed, "
            "and no backup can be put back.",
            f"{error.remedy} A new school: connector check makes key and journal.",
        ) from error


def pruning_of(config: Config, journal: Journal, operator: str) -> Pruning:
    """Give what forgets with time, as long as this config says."""
    kept, site = config.journal, config.site
    folder = site.path(kept.sealed_folder)
    sealing = Sealing(journal, folder, site.zone, operator, kept.audit_days, kept.sealed_years)
    return Pruning(journal, Retention(journal.store, kept.retention_days, kept.runs_days), sealing, operator)


def _open(config: Config, *, create: bool, migrate: bool = False) -> Journal:
    key, site = config.journal.audit_key, config.site
    password = config.journal.password.reveal(site) if config.journal.password else ""
    return Journal.open(
        config.journal_url,
        audit_key=key.reveal(site).encode(),
        password=password,
        create=create,
        migrate=migrate,
        silence_seconds=config.journal.receive_timeout,
    )


def _is_new(key: Path) -> bool:
    try:
        return time.time() - key.stat().st_mtime < 2 * _MOMENT_SECONDS
    except OSError:
        return False


def _waited_for(config: Config) -> Journal | None:
    deadline = time.monotonic() + _MOMENT_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.2)
        try:
            return _open(config, create=False)
        except NoJournal:
            continue
    return None


def _gone(config: Config) -> NoJournal:
    where = config.journal_url.removeprefix("sqlite:///")
    return NoJournal(
        f"The audit key is there, and the journal {where} is missing or empty: whom somebody blocked, kept or closed "
        "is known nowhere else. Nothing was done.",
        "Put it back from its backup: connector db restore FILE. If there never was one, or it is lost for good: "
        f"{START_ANEW}",
    )


def _is_file(url: str) -> bool:
    return url.startswith("sqlite:///")


def _stands(url: str) -> bool:
    return Path(url.removeprefix("sqlite:///")).exists()


def _make_key(path: Path, url: str) -> bool:
    """Make the audit key where neither key nor journal exist yet: a journal without its key is never trusted anew."""
    if path.exists() or (_is_file(url) and _stands(url)):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
    try:
        # Put in place whole: who opens the journal at the same moment never reads half a key.
        os.link(whole, path)
    except FileExistsError:  # somebody was quicker, or laid a link there: what is there is read, never written
        return False
    finally:
        whole.unlink()
    return True
