"""Active Directory and OpenLDAP as a Directory: read everything, read some again, disable, give back, examine.

Must never write outside the managed OUs, write what is protected, or pass a reading that broke off for a whole one.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from datetime import UTC, datetime

from connector.errors import SourceError
from connector.interfaces import Site
from connector.ldap.connection import DirectoryConnection, LdapSettings, words
from connector.ldap.examine import examine
from connector.ldap.provision import Provisioning
from connector.ldap.reader import ConnectionLost, SearchRefused
from connector.ldap.view import AccountView, Found
from connector.ldap.writer import Writer
from connector.model import Account, AccountsReading, CloseAccount, Finding, OpenAccount, Outcome, Provenance
from connector.provisioning import AccountAttributes, ChangeAccount, GroupMembership, NewAccount


class LdapDirectory:
    """One directory server, or several that hold the same."""

    Settings = LdapSettings

    def __init__(self, name: str, settings: LdapSettings, site: Site) -> None:
        self._name = name
        self._settings = settings
        self._connection = DirectoryConnection(name, settings, site)
        self._view = AccountView(name, settings, self._connection)
        self._writer = Writer(settings.vocabulary, self._view, self._connection)
        self._provisioning = Provisioning(name, settings, self._view, self._connection)

    def read_all(self) -> AccountsReading:
        """Read every person's account below the base.

        Raises TargetUnreachable where no host answers, ConfigError or SourceError where one does and cannot be used,
        and SourceError where the reading breaks off.
        """
        self._connection.drop()  # one left over from last night may be dead without our knowing
        started = datetime.now(UTC)
        accounts = {account.guid: account for account in self._counted(self._view.everyone())}
        ordered = tuple(accounts[guid] for guid in sorted(accounts))
        return AccountsReading(self._name, Provenance(self._source, fingerprint(ordered), started, started), ordered)

    def read_some(self, guids: Sequence[str]) -> tuple[Account, ...]:
        """Read these accounts again. Those that are gone are left out; those that moved show where they are."""
        try:
            found = self._view.find(guids)
        except (ConnectionLost, SearchRefused):  # a server closes idle connections: once more, on a new one
            self._connection.drop()
            found = self._find_again(guids)
        return tuple(found[guid].account for guid in dict.fromkeys(guids) if guid in found)

    def close(self, batch: Sequence[CloseAccount]) -> tuple[Outcome, ...]:
        """Disable accounts, each only if it still is as planned, each read back."""
        return self._writer.change(batch)

    def open(self, batch: Sequence[OpenAccount]) -> tuple[Outcome, ...]:
        """Give accounts back the state they had, each only if it still is as `now` says, each read back."""
        return self._writer.change(batch)

    def create(self, batch: Sequence[NewAccount]) -> tuple[Outcome, ...]:
        """Make accounts in the managed OUs, each only where nobody else has its name, each read back."""
        return self._provisioning.create(batch)

    def update(self, batch: Sequence[ChangeAccount]) -> tuple[Outcome, ...]:
        """Give accounts other values, each only if it still is as planned, each read back."""
        return self._provisioning.update(batch)

    def group(self, batch: Sequence[GroupMembership]) -> tuple[Outcome, ...]:
        """Let accounts join groups or leave them, each read back."""
        return self._provisioning.group(batch)

    def attributes(self, guids: Sequence[str], names: Sequence[str]) -> tuple[AccountAttributes, ...]:
        """Read these attributes of these accounts; one that is gone is left out. Raises as `read_some` does."""
        try:
            return self._provisioning.attributes(guids, names)
        except (ConnectionLost, SearchRefused):
            self._connection.drop()
        try:
            return self._provisioning.attributes(guids, names)
        except ConnectionLost as error:
            raise self._broken_off(0, error) from error
        except SearchRefused as error:
            raise self._refused(error) from error

    def check(self) -> tuple[Finding, ...]:
        """Examine hosts, base, managed OUs, protection and rights without writing anything."""
        return examine(self._name, self._settings, self._connection, self._view)

    def disconnect(self) -> None:
        """Let go of the connection."""
        self._connection.drop()

    def _find_again(self, guids: Sequence[str]) -> dict[str, Found]:
        try:
            return self._view.find(guids)
        except ConnectionLost as error:
            raise self._broken_off(0, error) from error
        except SearchRefused as error:
            raise self._refused(error) from error

    @property
    def _source(self) -> str:
        return (
            f"{self._settings.tls}://{self._settings.all_hosts[0]}:{self._settings.actual_port}/{self._settings.base}"
        )

    def _counted(self, accounts: Iterator[Account]) -> Iterator[Account]:
        """Pass accounts on; say how many there were where the reading breaks off."""
        count = 0
        try:
            for account in accounts:
                count += 1
                yield account
        except ConnectionLost as error:
            raise self._broken_off(count, error) from error
        except SearchRefused as error:
            raise self._refused(error) from error

    def _refused(self, error: SearchRefused) -> SourceError:
        said = f"{error.description} ({error.result}) {words(error.message)}".strip()
        return SourceError(
            f"Directory {self._name} refused to be read below {self._settings.base}: {said}. Nothing was written.",
            "Check base and the rights of bind_dn: connector check.",
        )

    def _broken_off(self, count: int, error: ConnectionLost) -> SourceError:
        return SourceError(
            f"Directory {self._name} stopped answering after {count:,} entries ({words(error)}); "
            "a reading cut off is not a reading, nothing was written.",
            "See whether the server is up and quick enough for receive_timeout, then run again.",
        )


def fingerprint(accounts: Iterable[Account]) -> str:
    """Give the digest of accounts in this order."""
    digest = hashlib.sha256()
    for account in accounts:
        digest.update(repr(astuple(account)).encode())
    return digest.hexdigest()
