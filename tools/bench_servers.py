"""Throw-away servers with people in them for `make bench-batches`: two equal halves of a directory, members, sessions.

One half is changed by a bare loop of a library, the other by the connector. Nothing here is measured.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from connector.ldap.connection import LdapSettings
from connector.ldap.dialect import Dialect
from tests.servers import slapd as openldap
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisDatabase
from tests.servers.samba import SambaDc, provision, running_samba
from tests.servers.slapd import Slapd, running_slapd

OTHERS_SESSIONS = 1_000
"""Sessions of people who stay: a sweep meets them too."""

_FILL = """
import sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB

conf, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
lp = LoadParm()
lp.load(conf)
db = SamDB(url=url, session_info=system_session(), lp=lp)
base = str(db.domain_dn())
for half in ("bare", "joint"):
    db.add({"dn": f"OU={half},{base}", "objectClass": "organizationalUnit"})
    for start in range(0, count, 100):  # one transaction of thousands takes quadratic time
        db.transaction_start()
        for number in range(start, min(start + 100, count)):
            name = f"{half}{number}"
            db.add({"dn": f"CN={name},OU={half},{base}", "objectClass": "user", "sAMAccountName": name,
                    "userAccountControl": "544", "employeeID": f"C{number}"})
        db.transaction_commit()
"""


@dataclass(frozen=True, slots=True)
class Change:
    """The one attribute that disables an account: what it must be, and what it becomes."""

    attribute: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Place:
    """A directory with `count` people in each half, and how to reach it."""

    server: Slapd | SambaDc
    dialect: Dialect
    count: int
    change: Change
    rdn: str

    def dns(self, half: str) -> list[str]:
        """Give the names of one half."""
        return [f"{self.rdn}={half}{number},ou={half},{self.server.base}" for number in range(self.count)]

    @property
    def settings(self) -> dict[str, object]:
        """What `[directories.main]` says, but for the password."""
        joint = f"ou=joint,{self.server.base}"
        return {
            "host": self.server.host, "port": self.server.port, "ca_file": str(self.server.ca_file),
            "bind_dn": self.server.admin_dn, "dialect": self.dialect, "base": joint, "managed": (joint,),
        }  # fmt: skip

    def of(self, password: object) -> LdapSettings:
        """Give the settings with the named password."""
        return LdapSettings(**self.settings, bind_password=password)  # type: ignore[arg-type] # as a config gives them


@contextmanager
def slapd_with(folder: Path, count: int, *, durable: bool = True) -> Iterator[Place]:
    """Run a slapd with both halves; one that is not `durable` answers before a write is on its disk."""
    folder.mkdir()
    with running_slapd(folder, _ldif(count), durable=durable) as server:
        yield Place(server, Dialect.OPENLDAP, count, Change("pwdAccountLockedTime", "", openldap.LOCKED), "uid")


@contextmanager
def samba_with(folder: Path, count: int, *, durable: bool = True) -> Iterator[Place]:
    """Run a Samba domain controller with both halves, filled by Samba's own Python before it starts."""
    (folder / "template").mkdir(parents=True)
    template = provision(folder / "template")
    conf, database = template / "t" / "etc" / "smb.conf", template / "t" / "private" / "sam.ldb"
    command = ["/usr/bin/python3", "-c", _FILL, str(conf), str(database), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - Samba's own interpreter
    if done.returncode:
        sys.exit(f"Samba could not be filled: {done.stderr.strip()}")
    with running_samba(template, durable=durable) as server:
        yield Place(server, Dialect.AD, count, Change("userAccountControl", "544", "546"), "CN")


def _ldif(count: int) -> str:
    entries = []
    for half in ("bare", "joint"):
        entries.append(f"dn: ou={half},{openldap.BASE}\nobjectClass: organizationalUnit\n")
        entries += [
            f"dn: uid={half}{number},ou={half},{openldap.BASE}\nobjectClass: inetOrgPerson\nuid: {half}{number}\n"
            f"cn: Parent {number}\nsn: Parent\nmail: p{number}@mail.example\nemployeeNumber: C{number}\n"
            for number in range(count)
        ]
    return "\n" + "\n".join(entries)


def fill_portal(server: PostgresServer, count: int) -> str:
    """Make a portal's table with a member for each of the joint half; give its database's URL."""
    url = server.create_database()
    with server.connect(url.rpartition("/")[2]) as connection:
        connection.execute(
            "CREATE TABLE members (id serial PRIMARY KEY, person_id text NOT NULL, username text, password_hash text, "
            "status text NOT NULL)"
        )
        connection.execute(
            "INSERT INTO members (person_id, username, password_hash, status) "
            "SELECT 'p' || n, 'joint' || n, '$argon2id$somebodys-hash', 'enabled' FROM generate_series(0, %s) AS n",
            (count - 1,),
        )
        connection.execute("ANALYZE members")
    return url.replace("+psycopg", "")


def fill_sessions(database: RedisDatabase, count: int) -> None:
    """Sign each of the joint half in once, and others besides."""
    users = [f"joint{n}" for n in range(count)] + [f"stays{n}" for n in range(OTHERS_SESSIONS)]
    with database.server.client(database.number) as client:
        client.flushdb()
        pipeline = client.pipeline(transaction=False)
        for user in users:
            value = {"user": user, "portal": "engage", "at": "2026-11-20T21:14:05+00:00"}
            pipeline.set(f"sess:{user}", json.dumps(value))
        pipeline.execute()
