"""What `connector check` says about a directory: whether it can be reached, read, and written where it must be.

Reads only. Must never raise for ordinary trouble: trouble is what it is asked to show.
"""

from collections.abc import Callable, Iterator

from connector.errors import ConnectorError
from connector.ldap.connection import DirectoryConnection, LdapSettings, Transport, words
from connector.ldap.dialect import Dialect
from connector.ldap.modify import ASSERTION
from connector.ldap.names import dn_key, is_below
from connector.ldap.reader import ConnectionLost, SearchRefused
from connector.ldap.view import AccountView
from connector.model import Account, Finding, Level

_ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"  # MS-ADTS 3.1.1.3.4.3.1
_OK, _WARNING, _ERROR = Level.OK, Level.WARNING, Level.ERROR


def examine(
    name: str, settings: LdapSettings, connection: DirectoryConnection, view: AccountView
) -> tuple[Finding, ...]:
    """Give all findings, the hosts first; where none can be used, only those."""
    hosts = _hosts(settings, connection)
    if all(finding.level is not _OK for finding in hosts):
        return tuple(hosts)
    examiner = _Examiner(name, settings, connection, view)
    return (*hosts, *examiner.findings())


def _hosts(settings: LdapSettings, connection: DirectoryConnection) -> list[Finding]:
    findings = [_host(host, settings, connection) for host in settings.all_hosts]
    if any(finding.level is _OK for finding in findings):  # the others are spares: worth knowing, no reason to stop
        return [f if f.level is _OK else Finding(_WARNING, f.subject, f.message, f.remedy) for f in findings]
    return findings


def _host(host: str, settings: LdapSettings, connection: DirectoryConnection) -> Finding:
    try:
        connection.connect(host).unbind()
    except ConnectorError as error:
        return Finding(_ERROR, host, error.message, error.remedy)
    secured = "LDAPS" if settings.tls is Transport.LDAPS else "StartTLS"
    return Finding(_OK, host, f"{secured} verified, signed in as {settings.bind_dn}.")


class _Examiner:
    """Asks one question after another; a question that fails is a finding of its own."""

    def __init__(self, name: str, settings: LdapSettings, connection: DirectoryConnection, view: AccountView) -> None:
        self._name = name
        self._settings = settings
        self._connection = connection
        self._view = view
        self._accounts: tuple[Account, ...] = ()

    def findings(self) -> Iterator[Finding]:
        questions: tuple[Callable[[], Iterator[Finding]], ...] = (
            self._dialect,
            self._names,
            self._protection,
            self._people,
            self._rights,
        )
        for question in questions:
            try:
                yield from question()
            except ConnectorError as error:
                yield Finding(_ERROR, self._name, error.message, error.remedy)
            except (ConnectionLost, SearchRefused) as error:
                yield Finding(_ERROR, self._name, f"The server would not say: {words(error)}.", "See the server's log.")

    def _dialect(self) -> Iterator[Finding]:
        root = self._connection.root()
        is_ad = _ACTIVE_DIRECTORY in root["supportedcapabilities"]
        seen = Dialect.AD if is_ad else Dialect.OPENLDAP
        wanted = self._settings.dialect
        if seen is not wanted and (is_ad or "OpenLDAProotDSE" in root["objectclass"]):
            yield Finding(_ERROR, "dialect", f"The server is not {wanted} but {seen}.", f'Write dialect = "{seen}".')
        else:
            yield Finding(_OK, "dialect", f"The server speaks {wanted}.")

    def _names(self) -> Iterator[Finding]:
        settings = self._settings
        for setting, names in (("base", (settings.base,)), ("managed", settings.managed)):
            for dn in names:
                if self._connection.one(dn, ("objectClass",)) is None:
                    yield Finding(_ERROR, setting, f"{dn} is not there.", "Correct the name, or let us read it.")
                else:
                    yield Finding(_OK, setting, f"{dn} is there.")
        if not settings.managed:
            yield Finding(
                _WARNING, "managed", "No OU is managed: nothing may be written.", "Name the OU of the accounts."
            )

    def _protection(self) -> Iterator[Finding]:
        protection = self._view.lens().protection
        groups = sorted(protection.groups.values())
        if groups:
            yield Finding(_OK, "protected", f"{len(groups)} groups are protected: {'; '.join(groups)[:300]}.")
        elif self._settings.dialect is Dialect.AD:
            remedy = "Name the groups of administrators in protected_groups."
            yield Finding(_WARNING, "protected", "Domain Admins cannot be found; only adminCount protects.", remedy)
        for ou in self._settings.protected_ous:
            if self._connection.one(ou, ("objectClass",)) is None:
                yield Finding(_ERROR, "protected", f"The protected OU {ou} is not there.", "Correct protected_ous.")

    def _people(self) -> Iterator[Finding]:
        self._accounts = tuple(self._view.everyone())
        managed = [account for account in self._accounts if account.managed]
        enabled = sum(account.enabled for account in managed)
        protected = sum(bool(account.protected) for account in managed)
        scope = f"{len(self._accounts):,} accounts, {len(managed):,} in managed OUs"
        yield Finding(_OK, "accounts", f"{scope}: {enabled:,} enabled, {protected:,} protected.")
        for ou in self._settings.managed:
            if not any(is_below(dn_key(account.dn), dn_key(ou)) for account in managed):
                yield Finding(
                    _WARNING, "accounts", f"There is no account below {ou}.", "See whether we may read there."
                )
        attribute = self._settings.vocabulary.employee_id
        if managed and not any(account.employee_id for account in managed):
            message = f"No managed account has {attribute}."
            yield Finding(_WARNING, "accounts", message, "Set employee_id_attribute, or let us read it.")

    def _rights(self) -> Iterator[Finding]:
        if self._settings.dialect is Dialect.AD:
            yield from self._rights_on_ad()
        else:
            yield from self._rights_on_openldap()

    def _rights_on_ad(self) -> Iterator[Finding]:
        """Ask what we may write (MS-ADTS 3.1.1.4.5.19) on one account of each managed OU."""
        for ou in self._settings.managed:
            below = (a for a in self._accounts if is_below(dn_key(a.dn), dn_key(ou)) and not a.protected)
            account = next(below, None)
            if account is None:
                continue
            entry = self._connection.one(account.dn, ("allowedAttributesEffective",))
            allowed = {value.lower() for value in entry[1].get("allowedattributeseffective", ())} if entry else set()
            if b"useraccountcontrol" in allowed:
                yield Finding(_OK, "rights", f"We may disable accounts below {ou}.")
            else:
                remedy = "Delegate writing userAccountControl of user objects on this OU to bind_dn."
                yield Finding(_ERROR, "rights", f"We may not write userAccountControl below {ou}.", remedy)

    def _rights_on_openldap(self) -> Iterator[Finding]:
        if ASSERTION not in self._connection.root()["supportedcontrol"]:
            message = (
                "The server lacks the assertion control (RFC 4528), so no write could be conditional; none is done."
            )
            yield Finding(_ERROR, "rights", message, "Use OpenLDAP 2.4 or newer.")
        query = "(&(objectClass=pwdPolicy)(pwdLockout=TRUE))"
        if list(self._connection.entries(self._view.context(), query, ("1.1",))):
            yield Finding(
                _OK, "rights", "A password policy with pwdLockout is in force; a disabled account is refused."
            )
        else:
            message = (
                "No password policy with pwdLockout TRUE can be seen: without one a locked account still signs in."
            )
            yield Finding(
                _WARNING, "rights", message, "Load overlay ppolicy with a default policy that has pwdLockout TRUE."
            )
