"""A directory in an LDIF export: read, decided about and "disabled" as a live one would be, for trying before trusting.

Writes the export back whole or not at all, and appends what it did to a file of change records that an administrator
can review and replay with ldapmodify or ldifde. Must never leave a change in the export that no change record tells.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from connector.errors import ConfigError, ConnectorError, SourceError, TargetUnreachable
from connector.interfaces import Site
from connector.ldap.change_records import append_records, change_record
from connector.ldap.dialect import Dialect, Vocabulary
from connector.ldap.durable import replace_file
from connector.ldap.entry import Lens, to_account
from connector.ldap.ldif_file import Edit, LdifEntry, LdifError, edit, edited, parse
from connector.ldap.names import DnKey, dn_key, is_below
from connector.ldap.protection import Group, Protection, member_keys, roots, to_group, with_nested
from connector.ldap.scope import ScopeSettings
from connector.ldap.verdict import Write, judge, prove
from connector.model import (
    Account,
    AccountsReading,
    CloseAccount,
    Finding,
    LegState,
    Level,
    OpenAccount,
    Outcome,
    Provenance,
)

_LOCK_SECONDS = 30
Item = CloseAccount | OpenAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class LdifSettings(ScopeSettings):
    """Where the export is, and where change records go (by default beside it)."""

    file: str
    changes_file: str = ""


@dataclass(frozen=True, slots=True)
class _Export:
    """The file as read once: its bytes, when it was made, its accounts by GUID with the entry each one is."""

    content: bytes
    made_at: datetime
    accounts: dict[str, tuple[Account, LdifEntry]]


class LdifDirectory:
    """A directory that is a file."""

    Settings = LdifSettings

    def __init__(self, name: str, settings: LdifSettings, site: Site) -> None:
        self._name = name
        self._settings = settings
        self._file = site.path(settings.file)
        self._changes = site.path(settings.changes_file or f"{settings.file}.changes.ldif")

    def read_all(self) -> AccountsReading:
        """Read every person's account below the base. Raises SourceError naming the line that cannot be believed."""
        export = self._read()
        digest = hashlib.sha256(export.content).hexdigest()
        provenance = Provenance(str(self._file), digest, datetime.now(UTC), export.made_at)
        return AccountsReading(
            self._name, provenance, tuple(export.accounts[guid][0] for guid in sorted(export.accounts))
        )

    def read_some(self, guids: Sequence[str]) -> tuple[Account, ...]:
        """Read these accounts again; one that is gone is left out."""
        accounts = self._read().accounts
        return tuple(accounts[guid][0] for guid in dict.fromkeys(guids) if guid in accounts)

    def close(self, batch: Sequence[CloseAccount]) -> tuple[Outcome, ...]:
        """Disable accounts in the file, each only if it still is as planned."""
        return self._change(batch)

    def open(self, batch: Sequence[OpenAccount]) -> tuple[Outcome, ...]:
        """Give accounts back the state they had, each only if it still is as `now` says."""
        return self._change(batch)

    def check(self) -> tuple[Finding, ...]:
        """Read the file and say what is in it, and whether it could be written back."""
        try:
            accounts = [account for account, _ in self._read().accounts.values()]
        except ConnectorError as error:
            return (Finding(Level.ERROR, self._settings.file, error.message, error.remedy),)
        return (self._counted(accounts), *self._writable(), *self._to_replay())

    def disconnect(self) -> None:
        """Nothing is held open between calls."""

    def _counted(self, accounts: Sequence[Account]) -> Finding:
        managed = [account for account in accounts if account.managed]
        enabled = sum(account.enabled for account in managed)
        message = f"{len(accounts):,} accounts, {len(managed):,} in managed OUs, {enabled:,} of those enabled."
        if managed:
            return Finding(Level.OK, self._settings.file, message)
        return Finding(Level.WARNING, self._settings.file, message, "Name the OU of the accounts in `managed`.")

    def _writable(self) -> tuple[Finding, ...]:
        folder = self._file.parent
        if os.access(folder, os.W_OK):
            return (Finding(Level.OK, self._settings.file, "The file can be written back."),)
        remedy = "Give the connector's user the right to write there."
        return (Finding(Level.ERROR, self._settings.file, f"Nothing can be written in {folder}.", remedy),)

    def _to_replay(self) -> tuple[Finding, ...]:
        """Say that the directory itself knows nothing yet of what was changed in its export."""
        if not self._changes.is_file() or not self._changes.stat().st_size:
            return ()
        message = f"What was changed in the export is not in the directory yet: {self._changes} has it."
        remedy = "Review it, replay it (ldifde -i -f FILE, ldapmodify -f FILE), move it away, and export again."
        return (Finding(Level.WARNING, self._settings.file, message, remedy),)

    def _change(self, batch: Sequence[Item]) -> tuple[Outcome, ...]:
        verdicts: list[Outcome | Write] = []
        try:
            # The lock is on a file of its own: the export itself is replaced.
            with FileLock(f"{self._file}.lock", timeout=_LOCK_SECONDS):
                verdicts = self._judge(batch, self._read())
                after = self._read()
        except (ConnectorError, OSError, Timeout) as error:
            trouble = f"The file {self._settings.file} could not be changed: {error}"
            return tuple(Outcome(LegState.UNREACHABLE, trouble, before=_planned(item)) for item in batch)
        return tuple(_outcome(item, verdict, after) for item, verdict in zip(batch, verdicts, strict=True))

    def _judge(self, batch: Sequence[Item], export: _Export) -> list[Outcome | Write]:
        """Judge every item against the file, and write what is to be written, all of it at once."""
        verdicts: list[Outcome | Write] = []
        words = self._settings.vocabulary
        edits: dict[str, Edit] = {}
        records: list[bytes] = []
        for item in batch:
            account, entry = export.accounts.get(_planned(item).guid, (None, None))
            verdict = judge(item, account, self._settings.dialect)
            if isinstance(verdict, Write) and entry and verdict.before.guid not in edits:
                edits[verdict.before.guid] = edit(export.content, entry, words.state, verdict.new)
                records.append(change_record(entry.dn, words.state, verdict.before.state, verdict.new))
            verdicts.append(verdict)
        if edits:
            # Records first: after a crash between the two, a record that changes nothing more is harmless (it is
            # conditional), a change without its record would be lost when the records are replayed.
            append_records(self._changes, records)
            replace_file(self._file, edited(export.content, edits.values()))
        return verdicts

    def _read(self) -> _Export:
        try:
            content = self._file.read_bytes()
            made_at = datetime.fromtimestamp(self._file.stat().st_mtime, UTC)
        except OSError as error:
            raise TargetUnreachable(
                f"Directory {self._name}: the file {self._settings.file} cannot be read: {error.strerror}.",
                "Check the path, and that the export was made.",
            ) from error
        try:
            return _Export(content, made_at, self._accounts(parse(content)))
        except LdifError as error:
            raise self._unbelievable(error.line, error.what, error.remedy) from error

    def _accounts(self, entries: Sequence[LdifEntry]) -> dict[str, tuple[Account, LdifEntry]]:
        words = self._settings.vocabulary
        lens = Lens(self._name, words, self._settings.managed_keys, self._protection(entries))
        base = self._settings.base_key
        accounts: dict[str, tuple[Account, LdifEntry]] = {}
        for entry in entries:
            if not _is_person(entry, words) or not self._is_below(entry, base):
                continue
            try:
                account = to_account(entry.dn, entry.raw, lens)
            except SourceError as error:
                raise self._unbelievable(entry.line, error.message, "Export whole entries again.") from error
            if account.guid in accounts:
                other = accounts[account.guid][1].line
                what = f"{entry.dn!r} has the {words.guid} of the entry in line {other}"
                raise self._unbelievable(entry.line, what, "Export the directory again.")
            accounts[account.guid] = (account, entry)
        return accounts

    def _protection(self, entries: Sequence[LdifEntry]) -> Protection:
        settings = self._settings
        wanted = settings.vocabulary.group_classes
        raws = {entry.dn: entry.raw for entry in entries if wanted & _classes(entry)}
        groups = [to_group(dn, raw) for dn, raw in raws.items()]
        start, missing = roots(groups, settings.protected_groups, dn_key(f"CN=Domain Admins,CN=Users,{settings.base}"))
        if missing:
            raise ConfigError(
                f"Directory {self._name}: the protected group {missing[0]} is not in {settings.file}, "
                "so nobody knows who is in it.",
                "Correct protected_groups, or export the groups too.",
            )

        def members_of(group: Group) -> frozenset[DnKey]:
            raw = raws[group.dn]
            return member_keys([*raw.get("member", ()), *raw.get("uniquemember", ())])

        found, members = with_nested(start, groups, members_of)
        return Protection(
            groups={key: group.dn for key, group in found.items()},
            members=members,
            rids={group.rid: group.dn for group in found.values() if group.rid is not None},
            ous=tuple((dn_key(ou), ou) for ou in settings.protected_ous),
            mark=settings.mark,
        )

    def _is_below(self, entry: LdifEntry, base: DnKey) -> bool:
        try:
            return is_below(dn_key(entry.dn), base)
        except ValueError as error:
            raise self._unbelievable(entry.line, f"{entry.dn!r} is no name: {error}", "Export again.") from error

    def _unbelievable(self, line: int, what: str, remedy: str) -> SourceError:
        return SourceError(
            f"Directory {self._name}, {self._settings.file}, line {line}: {what}. Nothing was written.", remedy
        )


def _planned(item: Item) -> Account:
    return item.before if isinstance(item, CloseAccount) else item.now


def _outcome(item: Item, verdict: Outcome | Write, after: _Export) -> Outcome:
    if isinstance(verdict, Outcome):
        return verdict
    account, _ = after.accounts.get(verdict.before.guid, (None, None))
    return prove(item, verdict, account)


def _classes(entry: LdifEntry) -> frozenset[str]:
    return frozenset(value.decode("ascii", "replace").lower() for value in entry.raw.get("objectclass", ()))


def _is_person(entry: LdifEntry, words: Vocabulary) -> bool:
    """Say whether a search for people would find the entry: its class may be below a person's and not name that."""
    classes = _classes(entry)
    if words.dialect is Dialect.OPENLDAP and {"cn", "sn"} <= entry.raw.keys():
        return True  # RFC 4519 3.12: what a person must have, whatever a school calls a class of its own
    return not words.person_classes.isdisjoint(classes) and "computer" not in classes
