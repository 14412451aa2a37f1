"""Where a Redis is, and what it says when it refuses. Never a password in an address, never an unverified connection.

The library's own URL reader is not used: `?ssl_cert_reqs=none` in a URL would switch verification off.
"""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from connector.errors import ConfigError, SourceError, TargetUnreachable

_PORT = 6379
_SECONDS = 10
_FORMS = 'Write "rediss://HOST[:PORT][/DB]", or "redis://127.0.0.1" or "unix:///PATH" for a Redis on this machine.'


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis: TLS to a host, clear text to loopback, or a unix socket."""

    host: str = ""
    port: int = _PORT
    path: str = ""
    db: int = 0
    username: str = ""
    tls: bool = False

    @classmethod
    def parse(cls, section: str, url: str) -> "RedisAddress":
        """Read a configured URL. Raises ConfigError naming the section, and never quotes a password."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORT
        except ValueError:
            raise ConfigError(f"{section} url is not an address.", _FORMS) from None  # the cause would quote the URL
        _refuse_password(section, parts)
        username = unquote(parts.username or "")
        if parts.scheme == "unix":
            return cls(path=unquote(parts.path), db=_number(section, _only_db(section, parts.query)), username=username)
        _refuse_unsafe(section, parts)
        return cls(
            parts.hostname or "", port, "", _number(section, parts.path.strip("/")), username, parts.scheme == "rediss"
        )

    def __str__(self) -> str:
        """Give the address as a person reads it: without user name."""
        if self.path:
            return f"unix://{self.path}?db={self.db}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.db}"

    def arguments(self, ca_file: str | None) -> dict[str, Any]:
        """Give what the client library is opened with; TLS is always verified, chain and host name."""
        arguments: dict[str, Any] = {"db": self.db, "username": self.username or None}
        if self.path:
            return {**arguments, "unix_socket_path": self.path}
        arguments |= {"host": self.host, "port": self.port}
        if self.tls:
            arguments |= {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": ca_file}
        return arguments


def _refuse_password(section: str, parts: SplitResult) -> None:
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.password is not None or "password" in query:
        raise ConfigError(
            f"{section} url holds a password.",
            'Take it out of the url and name it: password = { env = "NAME" } or { file = "PATH" }.',
        )


def _refuse_unsafe(section: str, parts: SplitResult) -> None:
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise ConfigError(f"{section} url is not an address of a Redis.", _FORMS)
    if parts.query or parts.fragment:
        raise ConfigError(f"{section} url has parameters, and none is known.", _FORMS)
    if parts.scheme == "redis" and not _is_loopback(parts.hostname):
        raise ConfigError(
            f"{section} url would send sessions and password in clear text to {parts.hostname}.",
            "Use rediss:// (TLS, verified; ca_file names your own authority).",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _only_db(section: str, query: str) -> str:
    found = dict(parse_qsl(query, keep_blank_values=True))
    if set(found) - {"db"}:
        raise ConfigError(f"{section} url has parameters other than db.", _FORMS)
    return found.get("db", "")


def _number(section: str, text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{section} url names database {text!r}, which is not a number.", _FORMS)
    return int(text or 0)


def open_client(address: RedisAddress, password: str | None, ca_file: str | None) -> redis.Redis:
    """Give a client; it connects at its first command, and no write is ever sent again blindly."""
    return redis.Redis(
        **address.arguments(ca_file),
        password=password,
        protocol=2,
        socket_timeout=_SECONDS,
        socket_connect_timeout=_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


@contextmanager
def translated(name: str, address: RedisAddress, commands: str = "SCAN, MGET, GET, UNLINK and EVAL") -> Iterator[None]:
    """Turn the library's errors into ours, here and nowhere else; `commands` are what the user must be allowed.

    `from None`, and no text of the server: both can quote a command with its key, and a key is a session id.
    """
    try:
        yield
    except (redis.AuthenticationError, redis.exceptions.AuthorizationError):
        raise TargetUnreachable(
            f"Session store {name}: {address} refused the login.", "Check the password and the user name in the url."
        ) from None
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise TargetUnreachable(
            f"Session store {name}: {address} does not answer ({_cause(error)}).",
            "Check that it runs, that this machine may reach it, and ca_file where it has a certificate of its own.",
        ) from None
    except redis.RedisError as error:
        raise SourceError(
            f"Session store {name}: {address} refused a command ({type(error).__name__}).", _remedy(error, commands)
        ) from None


def _cause(error: Exception) -> str:
    """Give the kind of failure: the operating system's or the TLS library's word where there is one."""
    inner = error.__cause__ or error.__context__
    return (
        getattr(inner, "strerror", "") or getattr(inner, "verify_message", "") or type(inner or error).__name__
    ).strip()


def _remedy(error: redis.RedisError, commands: str) -> str:
    match error:
        case redis.exceptions.NoPermissionError():
            return f"Allow the Redis user {commands} on these keys."
        case redis.ReadOnlyError():
            return "This is a replica: name the primary in url."
        case redis.exceptions.MovedError() | redis.exceptions.ClusterError():
            return (
                "This is a Redis Cluster: sessions in a cluster are not supported; name a proxy or a single node store."
            )
        case _:
            return f"Look at the Redis server's log; {commands} must not be renamed."
