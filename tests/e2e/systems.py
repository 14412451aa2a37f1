"""Fills real systems with a school: CSV files or PostgreSQL for its people, a portal's table, sessions, accounts.

Reads them back beside the connector, with drivers of its own: nothing is believed because the connector says so.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import redis
from psycopg import sql

from tests.e2e.families import HEADERS, Account, Member, School, Session
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisDatabase
from tests.servers.samba import DOMAIN_ADMINS, SambaDc
from tests.servers.slapd import LOCKED, USER_PASSWORD, Slapd

_HASH = "$argon2id$v=19$m=65536$somebodys-hash"
_CREATED = "2026-11-20T21:14:05+00:00"
_DATES = frozenset({"ended_on", "entry_date", "exit_date", "begins_on", "ends_on"})
_FLAGS = frozenset({"portal_access", "restricted"})


# --- the admin system --------------------------------------------------------------------------------------------


def write_csv(school: School, folder: Path) -> None:
    """Write the admin system's export."""
    folder.mkdir(exist_ok=True)
    for name, header in HEADERS.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, header)
            writer.writeheader()
            writer.writerows(school.tables[name])


# --- a database --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Database:
    """A PostgreSQL database with the portals' members, and perhaps the admin system and the sessions."""

    server: PostgresServer
    name: str

    @classmethod
    def made_by(cls, server: PostgresServer) -> "Database":
        """Make an empty one."""
        return cls(server, server.create_database().rpartition("/")[2])

    @property
    def url(self) -> str:
        """What the config calls it."""
        return self.url_at(0)

    def url_at(self, port: int) -> str:
        """What the config calls it at the end of a line (0: none)."""
        return f"postgresql://postgres@127.0.0.1:{port or self.server.port}/{self.name}"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep everybody else's hands off the members, as a long transaction of the portal would."""
        with psycopg.connect(self.server.url(self.name).replace("+psycopg", "")) as connection:
            connection.execute("SELECT * FROM members FOR UPDATE")
            yield
            connection.rollback()

    def write_people(self, school: School) -> None:
        """Make the admin system's tables, with dates and flags of their own types."""
        with self.server.connect(self.name) as connection:
            for table, header in HEADERS.items():
                columns = [sql.SQL("{} {}").format(sql.Identifier(c), sql.SQL(_type(c))) for c in header]
                connection.execute(
                    sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(table), sql.SQL(", ").join(columns))
                )
                for row in school.tables[table]:
                    self._insert(table, [row[c] or None for c in header])

    def write_members(self, members: Sequence[Member]) -> None:
        """Make the portals' table of members."""
        with self.server.connect(self.name) as connection:
            connection.execute(
                "CREATE TABLE members (id serial PRIMARY KEY, portal text NOT NULL, person_id text NOT NULL, "
                "username text, password_hash text, status text NOT NULL, membership_type text NOT NULL)"
            )
            with connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO members (portal, person_id, username, password_hash, status, membership_type) "
                    "VALUES (%s, %s, %s, %s, 'enabled', 'system_generated')",
                    [(m.portal, m.person_id, m.username, _HASH) for m in members],
                )

    def write_sessions(self, sessions: Sequence[Session]) -> None:
        """Make the table of sessions."""
        with self.server.connect(self.name) as connection, connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE sessions (session_id text PRIMARY KEY, portal text, username text, "
                "created_at timestamptz)"
            )
            cursor.executemany(
                "INSERT INTO sessions VALUES (%s, %s, %s, %s)",
                [(s.session_id, s.portal, s.username, _CREATED) for s in sessions],
            )

    def members(self) -> dict[tuple[str, str], tuple[object, ...]]:
        """Give username, password and status of every member, by portal and person."""
        query = "SELECT portal, person_id, username, password_hash, status FROM members"
        with self.server.connect(self.name) as connection:
            rows = connection.execute(query).fetchall()
        return {(str(row[0]), str(row[1])): row[2:] for row in rows}

    def session_ids(self) -> set[str]:
        """Give the ids of the sessions that are left."""
        with self.server.connect(self.name) as connection:
            return {str(row[0]) for row in connection.execute("SELECT session_id FROM sessions")}

    def _insert(self, table: str, cells: Sequence[str | None]) -> None:
        marks = sql.SQL(", ").join([sql.Placeholder()] * len(cells))
        with self.server.connect(self.name) as connection:
            connection.execute(sql.SQL("INSERT INTO {} VALUES ({})").format(sql.Identifier(table), marks), cells)


def _type(column: str) -> str:
    return "date" if column in _DATES else "boolean" if column in _FLAGS else "text"


# --- sessions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cache:
    """A Redis database with sessions as JSON, and with keys that are none."""

    database: RedisDatabase

    def write_sessions(self, sessions: Sequence[Session]) -> None:
        """Sign people in."""
        with self._client() as client:
            for session in sessions:
                value = {"user": {"name": session.username}, "portal": session.portal, "at": _CREATED}
                client.set(f"sess:{session.session_id}", json.dumps(value))
            client.set("cache:timetable", "not a session")

    def session_ids(self) -> set[str]:
        """Give the ids of the sessions that are left."""
        with self._client() as client:
            return {key.decode().removeprefix("sess:") for key in client.scan_iter("sess:*")}

    def keys(self) -> int:
        """Count all keys."""
        with self._client() as client:
            return int(client.dbsize())

    def _client(self) -> redis.Redis:
        return self.database.server.client(self.database.number)


# --- directories -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ActiveDirectory:
    """A managed OU of our own in the domain, accounts with passwords, and one account beside it."""

    server: SambaDc
    base: str
    managed: str

    @classmethod
    def made_by(cls, server: SambaDc, accounts: Sequence[Account]) -> "ActiveDirectory":
        """Make the OU and its accounts."""
        base = server.add_ou()
        directory = cls(server, base, server.add_ou("Parents", base))
        for account in accounts:
            directory._add(account)
        return directory

    def signs_in(self, username: str) -> str:
        """Try a password: empty where it works, else the data code."""
        return self.server.bind_code(username)

    def open_usernames(self, usernames: Sequence[str]) -> set[str]:
        """Give those whose password still works."""
        return {name for name in usernames if self.signs_in(name) == ""}

    def dn(self, account: Account) -> str:
        """Say where an account is."""
        return f"CN={account.username},{self.managed if account.managed else self.base}"

    def change(self, account: Account, attribute: str, value: str) -> None:
        """Change an account beside the connector."""
        self.server.modify(self.dn(account), {attribute: [("MODIFY_REPLACE", [value])]})

    def _add(self, account: Account) -> None:
        ou = self.managed if account.managed else self.base
        dn = self.server.add_user(account.username, employee_id=account.employee_id, ou=ou)
        if not account.enabled:
            self.change(account, "userAccountControl", "514")
        if account.protected:
            inner = self.server.add_group(f"deputies.{account.username}", self.base)
            self.server.add_to_group(dn, inner)
            self.server.add_to_group(inner, DOMAIN_ADMINS)


@dataclass(slots=True)
class OpenLdap:
    """The same on an OpenLDAP; whoever is protected is in a group inside `keepers`."""

    server: Slapd
    base: str
    managed: str
    keepers: str = ""
    dns: dict[str, str] = field(default_factory=dict)

    @classmethod
    def made_by(cls, server: Slapd, accounts: Sequence[Account]) -> "OpenLdap":
        """Make the OU and its accounts."""
        base = server.add_ou()
        directory = cls(server, base, server.add_ou("parents", base))
        with server.admin() as connection:
            for account in accounts:
                directory._add(account, connection)
        kept = [directory.dn(a) for a in accounts if a.protected]
        inner = server.add_group("deputies", kept or [server.admin_dn], base)
        directory.keepers = server.add_group("keepers", [inner], base)
        return directory

    def open_usernames(self, usernames: Sequence[str]) -> set[str]:
        """Give those whose password still works."""
        return {name for name in usernames if self.server.bind_works(self.dns[name], USER_PASSWORD)}

    def locked(self) -> int:
        """Count the accounts in the managed OU that are closed."""
        with self.server.admin() as connection:
            connection.search(self.managed, f"(pwdAccountLockedTime={LOCKED})", attributes=["1.1"])
            return len(connection.response)

    def dn(self, account: Account) -> str:
        """Say where an account is."""
        return f"uid={account.username},{self.managed if account.managed else self.base}"

    def change(self, account: Account, attribute: str, value: str) -> None:
        """Change an account beside the connector."""
        self.server.modify(self.dn(account), {attribute: [("MODIFY_REPLACE", [value])]})

    def _add(self, account: Account, connection: object) -> None:
        self.dns[account.username] = self.dn(account)
        attributes = {
            "objectClass": "inetOrgPerson", "cn": account.username, "sn": account.username, "uid": account.username,
            "userPassword": USER_PASSWORD, "employeeNumber": account.employee_id,
        }  # fmt: skip
        if not account.enabled:
            attributes["pwdAccountLockedTime"] = LOCKED
        assert connection.add(self.dn(account), attributes=attributes), connection.result  # type: ignore[attr-defined] # ldap3 has no types
