"""Database URLs as administrators write them: checked and completed, without ever holding a password.

A connection that leaves the machine verifies whom it talks to, or it is refused. Nothing here connects.
"""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from connector.errors import ConfigError
from connector.interfaces import Site

_PASSWORD_KEY = re.compile(r"passw|pwd|odbc_connect|passfile|service", re.IGNORECASE)
_WORDS = "Databases are sqlite (sqlite:///portal.sqlite) and PostgreSQL (postgresql://reader@db.school.example/portal)."


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is. `file` is set for SQLite only."""

    url: URL
    file: Path | None = None

    @property
    def place(self) -> str:
        """Name the database for people."""
        if self.file is not None:
            return str(self.file)
        return f"{self.url.database or self.url.username} on {self.url.host or 'this machine'}"


def parse_address(name: str, text: str, site: Site) -> Address:
    """Check a URL and complete it. Raises ConfigError, which never repeats the URL: a password may stand in it."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(f"The url of {name} is not a database URL.", _WORDS) from error
    _refuse_password(name, url)
    match url.get_backend_name():
        case "sqlite":
            return _sqlite(name, url, site)
        case "postgresql":
            return _postgresql(name, url, site)
        case other:
            raise ConfigError(f"The url of {name} is for {other}, which nobody has tried here.", _WORDS)


def _refuse_password(name: str, url: URL) -> None:
    if url.password is None and not any(_PASSWORD_KEY.search(key) for key in url.query):
        return
    raise ConfigError(
        f"The url of {name} holds a password, or points at a file that may.",
        'Take it out, change it, and name the new one: password = { env = "NAME" } or password = { file = "PATH" }.',
    )


def _sqlite(name: str, url: URL, site: Site) -> Address:
    database = url.database or ""
    if not database or database == ":memory:" or database.startswith("file:") or url.query:
        raise ConfigError(f"The url of {name} names no file.", "Write sqlite:///portal.sqlite, relative to the config.")
    file = site.path(database)
    return Address(URL.create("sqlite+pysqlite", database=str(file)), file)


def _postgresql(name: str, url: URL, site: Site) -> Address:
    # The same driver with every SQLAlchemy 2: 2.0 would look for psycopg2.
    return Address(_verified(name, url.set(drivername="postgresql+psycopg"), site))


def _verified(name: str, url: URL, site: Site) -> URL:
    """Ask for full verification of every server that is not this machine."""
    hosts = _hosts(url)
    if not hosts:
        # libpq would look for one in its environment: only hosts named in the configuration are spoken to.
        raise ConfigError(f"The url of {name} names no host.", "For a socket write postgresql://USER@/DB?host=/FOLDER.")
    if all(_is_here(host) for host in hosts):
        return url
    mode = url.query.get("sslmode", "verify-full")
    if mode != "verify-full":
        raise ConfigError(
            f"The url of {name} has sslmode={mode} for {', '.join(hosts)}: anybody between could read along.",
            "Take sslmode out (verify-full is the default); an authority of your own is named with sslrootcert=PATH.",
        )
    authority = str(url.query.get("sslrootcert", "system"))
    return url.update_query_dict(
        {"sslmode": "verify-full", "sslrootcert": authority if authority == "system" else str(site.path(authority))}
    )


def _hosts(url: URL) -> tuple[str, ...]:
    asked = [url.host or "", *(text for key in ("host", "hostaddr") for text in _texts(url.query.get(key, ())))]
    return tuple(host for text in asked for host in text.split(",") if host)


def _texts(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _is_here(host: str) -> bool:
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.rpartition(":")[0] if host.count(":") == 1 else host).is_loopback
    except ValueError:
        return False
