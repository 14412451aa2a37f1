"""One verified, bound connection to a directory, and what goes wrong with it in words an administrator can act on.

Must never send a password before TLS has verified the server, follow a referral, wait without end, or re-send a write
by itself. There is no option for any of these.
"""

import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ldap3 import (
    AUTO_BIND_NO_TLS,
    AUTO_BIND_TLS_BEFORE_BIND,
    BASE,
    NONE,
    SIMPLE,
    SUBTREE,
    SYNC,
    Connection,
    Server,
    Tls,
)
from ldap3.core.exceptions import LDAPBindError, LDAPException

from connector.errors import ConfigError, ConnectorError, SourceError, TargetUnreachable
from connector.interfaces import Secret, Site
from connector.ldap.modify import Change, Result, send_modifies
from connector.ldap.reader import ConnectionLost, RawEntry, SearchRefused, read_pages
from connector.ldap.scope import ScopeSettings
from connector.ldap.write import AddEntry, ModifyEntry, send

NO_SUCH_OBJECT = 32

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9.])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9]+)?")
"""A name or an address. Never a URL: its scheme would decide about TLS."""

_BIND_CODES = {
    "525": "there is no such user",
    "52e": "user name or password is wrong",
    "530": "it may not sign in at this time",
    "531": "it may not sign in from this computer",
    "532": "its password has expired",
    "533": "it is disabled",
    "701": "it has expired",
    "773": "its password must be changed first",
    "775": "it is locked out",
}


class Transport(StrEnum):
    """How the connection is protected. Clear text is not a choice."""

    LDAPS = "ldaps"
    STARTTLS = "starttls"


@dataclass(frozen=True, slots=True, kw_only=True)
class LdapSettings(ScopeSettings):
    """Where a directory is and who we are there. Hosts are tried one after another; times are whole seconds.

    Port 0 is the usual one. Without `ca_file` the machine's own certificate authorities are trusted.
    """

    hosts: tuple[str, ...] = ()
    host: str = ""
    port: int = 0
    tls: Transport = Transport.LDAPS
    ca_file: str = ""
    bind_dn: str
    bind_password: Secret | None = None
    page_size: int = 1000
    connect_timeout: int = 5
    receive_timeout: int = 30

    def __post_init__(self) -> None:
        ScopeSettings.__post_init__(self)  # a slotted dataclass has no zero-argument super()
        if not self.all_hosts:
            raise ConfigError("A directory needs `host` or `hosts`.", "Name one or more servers.")
        if not all(_HOST.fullmatch(host) for host in self.all_hosts):
            # ldap3 reads "ldap://dc1" as an order to go without TLS. The text is not repeated: it may hold a password.
            raise ConfigError(
                "`host` and `hosts` hold names or addresses only: no ldap://, no port, no user.",
                'Write host = "dc1.school.example"; the port has its own key, and `tls` says how it is protected.',
            )
        if not self.bind_dn or self.bind_password is None:
            raise ConfigError(
                "A directory needs `bind_dn` and `bind_password`: reading it anonymously shows an unknown part of it.",
                'Write bind_password = { env = "NAME" } or { file = "PATH" }.',
            )
        if min(self.page_size, self.connect_timeout, self.receive_timeout) < 1:
            raise ConfigError(
                "page_size, connect_timeout and receive_timeout are at least 1.", "There is no endless wait."
            )

    @property
    def all_hosts(self) -> tuple[str, ...]:
        """Every host to try, in order."""
        return ((self.host,) if self.host else ()) + self.hosts

    @property
    def actual_port(self) -> int:
        """The port to connect to."""
        return self.port or (636 if self.tls is Transport.LDAPS else 389)


class VerifiedTls(Tls):  # type: ignore[misc] # ldap3 has no types
    """TLS that checks chain and name with OpenSSL itself, IP addresses and SNI included, on every Python."""

    def __init__(self, ca_file: str | None) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_file)

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:  # noqa: ARG002 - ldap3's signature
        """Wrap the socket, the handshake done and the server verified before anything is sent."""
        connection.socket = self._context.wrap_socket(connection.socket, server_hostname=connection.server.host)


class _Connection(Connection):  # type: ignore[misc] # ldap3 has no types
    """ldap3's connection, closed whenever it cannot be opened and bound: nothing half-open is left to use."""

    def _do_auto_bind(self) -> None:
        try:
            super()._do_auto_bind()
        except BaseException:
            self.strategy._close_socket()  # noqa: SLF001 - the public close() skips a socket that never got through
            raise


class DirectoryConnection:
    """A connection that opens itself when it is needed and is dropped after any trouble."""

    def __init__(self, name: str, settings: LdapSettings, site: Site) -> None:
        self._name = name
        self._settings = settings
        self._site = site
        self._open: Any = None

    def drop(self) -> None:
        """Close, whatever state it is in."""
        connection, self._open = self._open, None
        if connection is not None:
            _close(connection)

    def entries(self, base: str, query: str | bytes, attributes: Sequence[str]) -> Iterator[RawEntry]:
        """Yield all entries below `base`. Raises ConnectionLost (the connection is dropped then) or SearchRefused."""
        complete = False
        try:
            yield from read_pages(
                self._connection(), base, query, attributes, scope=SUBTREE, page_size=self._settings.page_size
            )
            complete = True
        finally:
            if not complete:  # what is still under way would be taken for the answer to the next question
                self.drop()

    def one(self, dn: str, attributes: Sequence[str]) -> RawEntry | None:
        """Read one entry by name; none where it does not exist."""
        try:
            pages = read_pages(self._connection(), dn, "(objectClass=*)", attributes, scope=BASE, page_size=0)
            return next(iter(list(pages)), None)
        except SearchRefused as error:
            if error.result == NO_SUCH_OBJECT:
                return None
            raise
        except ConnectionLost:
            self.drop()
            raise

    def root(self) -> dict[str, list[str]]:
        """Read the root DSE (RFC 4512 5.1)."""
        wanted = (
            "namingContexts",
            "defaultNamingContext",
            "supportedControl",
            "supportedCapabilities",
            "objectClass",
            "subschemaSubentry",
        )
        entry = self.one("", wanted)
        raw = entry[1] if entry else {}
        return {name.lower(): [v.decode("utf-8", "replace") for v in raw.get(name.lower(), ())] for name in wanted}

    def modify(self, changes: Sequence[Change]) -> list[Result]:
        """Send a few modifies together. Raises ConnectionLost where an answer is missing; it is dropped then."""
        return self._asked(lambda connection: send_modifies(connection, changes))

    def write(self, request: AddEntry | ModifyEntry) -> Result:
        """Send one write. Raises ConnectionLost where no answer came; the connection is dropped then."""
        return self._asked(lambda connection: [send(connection, request)])[0]

    def _asked(self, ask: Callable[[Any], list[Result]]) -> list[Result]:
        connection = self._connection()
        try:
            results = ask(connection)
        except ConnectionLost:
            self.drop()
            raise
        return [replace(result, message=words(result.message)) if result.message else result for result in results]

    def _connection(self) -> Any:
        if self._open is None:
            self._open = self._connect_any()
        return self._open

    def _connect_any(self) -> Any:
        troubles: list[ConnectorError] = []
        for host in self._settings.all_hosts:
            try:
                return self.connect(host)
            except (TargetUnreachable, ConfigError) as error:
                troubles.append(error)
        # A server that answers and is not trusted is for a person to mend; one that is silent may be back tonight.
        raise next((error for error in troubles if isinstance(error, ConfigError)), troubles[0])

    def connect(self, host: str) -> Any:
        """Connect to one host, verify it, and bind. Raises TargetUnreachable, ConfigError or SourceError."""
        settings = self._settings
        ldaps = settings.tls is Transport.LDAPS
        password = self._password()
        server = Server(
            host,
            port=settings.actual_port,
            use_ssl=ldaps,
            tls=self._tls(),
            get_info=NONE,
            connect_timeout=settings.connect_timeout,
        )
        try:
            return _Connection(
                server,
                user=settings.bind_dn,
                password=password,
                authentication=SIMPLE,
                auto_bind=AUTO_BIND_NO_TLS if ldaps else AUTO_BIND_TLS_BEFORE_BIND,
                client_strategy=SYNC,
                receive_timeout=settings.receive_timeout,
                auto_referrals=False,
                check_names=False,
                auto_range=False,
                return_empty_attributes=False,
            )
        except (LDAPException, OSError) as error:
            raise self._trouble(host, error) from error

    def _password(self) -> str:
        secret = self._settings.bind_password
        password = secret.reveal(self._site) if secret else ""
        if not password:
            # RFC 4513 5.1.2: a bind with an empty password succeeds as nobody.
            raise ConfigError(
                f"Directory {self._name}: the bind password is empty.", "Put the password where bind_password says."
            )
        return password

    def _tls(self) -> VerifiedTls:
        ca_file = self._settings.ca_file
        try:
            return VerifiedTls(str(self._site.path(ca_file)) if ca_file else None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"Directory {self._name}: ca_file {ca_file} cannot be used: {error}.",
                "Name a PEM file with the certificate of the authority that signed the server's.",
            ) from error

    def _trouble(self, host: str, error: Exception) -> ConnectorError:
        where = f"Directory {self._name}: {host}:{self._settings.actual_port}"
        if isinstance(error, LDAPBindError):
            return self._bind_trouble(where, error)
        if untrusted := _find(error, ssl.SSLCertVerificationError):
            return ConfigError(
                f"{where} showed a certificate that is not trusted: {words(str(untrusted))}. No password was sent.",
                "Set ca_file to the authority that signed it, and host to a name the certificate bears.",
            )
        if not _find(error, TimeoutError) and (
            _find(error, ssl.SSLError) or type(error).__name__ == "LDAPStartTLSError"
        ):
            return ConfigError(
                f"{where} did not start TLS: {words(str(error))}. No password was sent.",
                "Check port and `tls` (ldaps is usually 636, starttls 389) and that the server has a certificate.",
            )
        return TargetUnreachable(
            f"{where} did not answer: {words(str(error))}.",
            "Check that the server runs and a firewall lets us through.",
        )

    def _bind_trouble(self, where: str, error: LDAPBindError) -> ConnectorError:
        said = words(str(error))
        data = said.partition("data ")[2].partition(",")[0]
        why = _BIND_CODES.get(data, "") or ("user name or password is wrong" if "invalidCredentials" in said else said)
        return SourceError(
            f"{where} refused the sign-in of {self._settings.bind_dn}: {why}.", "Correct bind_dn or bind_password."
        )


def words(text: object) -> str:
    """Give a server's words fit for a terminal and a log: printable, one line, not endless."""
    return "".join(c if c.isprintable() else " " for c in str(text)).strip()[:300]


def _close(connection: Any) -> None:
    try:
        connection.unbind()
    except (LDAPException, OSError):
        connection.strategy.close()


def _find(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Find what lies behind an ldap3 error: it mixes classes, and hides several in its arguments."""
    if isinstance(error, kind):
        return error
    hidden = [item for arg in error.args if isinstance(arg, list) for item in arg]
    errors = [part for item in hidden if isinstance(item, tuple) for part in item if isinstance(part, BaseException)]
    return next((found for part in errors if (found := _find(part, kind))), None)
