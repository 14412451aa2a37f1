"""A throw-away OpenLDAP: LDAPS and StartTLS on loopback, ppolicy with lockout, memberof, clear-text binds refused."""

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers import find, free_port, require, stop, tail
from tests.servers.certificates import make_authority, make_leaf
from tests.servers.ldap_client import signed_in, until_it_answers

BASE = "dc=harbour,dc=example"
ADMIN_DN = f"cn=admin,{BASE}"
ADMIN_PASSWORD = "sl4pd-Throw-away"
USER_PASSWORD = "Us3r-Passw0rd!"
LOCKED = "000001010000Z"

_CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
moduleload memberof
pidfile {folder}/slapd.pid
TLSCACertificateFile {ca}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
security simple_bind=128
sizelimit unlimited
database mdb
maxsize 1073741824
suffix "{base}"
rootdn "{admin}"
rootpw {password}
directory {folder}/db
dbnosync
index objectClass,uid,entryUUID eq
access to * by dn.exact="uid=reader,{base}" read by users read by anonymous auth
overlay memberof
overlay ppolicy
ppolicy_default "cn=policy,{base}"
ppolicy_use_lockout
"""

_SEED = f"""dn: {BASE}
objectClass: domain
dc: harbour

dn: cn=policy,{BASE}
objectClass: organizationalRole
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdLockout: TRUE

"""


@dataclass(slots=True)
class Slapd:
    """A running slapd and what a test needs of it."""

    folder: Path
    ca_file: Path
    process: subprocess.Popen[bytes]
    port: int
    starttls_port: int
    host: str = "127.0.0.1"
    base: str = BASE
    admin_dn: str = ADMIN_DN
    admin_password: str = ADMIN_PASSWORD

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ldaps://{self.host}:{self.port}"

    @contextmanager
    def admin(self) -> Iterator[Any]:
        """Give an administrator's connection."""
        with signed_in(self.host, self.port, self.ca_file, self.admin_dn, self.admin_password) as connection:
            yield connection

    def add_ou(self, name: str = "", parent: str = BASE) -> str:
        """Add an OU; give its DN."""
        dn = f"ou={name or uuid.uuid4().hex},{parent}"
        self._add(dn, {"objectClass": "organizationalUnit"})
        return dn

    def add_user(
        self, username: str, password: str = USER_PASSWORD, employee_id: str = "", ou: str = BASE, *, rdn: str = "",
        **more: Any,
    ) -> str:  # fmt: skip
        """Add a person; give its DN. `rdn` is a cn to name it by instead of the uid; it is escaped here."""
        escaped = rdn.replace("\\", "\\\\").replace(",", "\\,").replace("+", "\\+")
        dn = f"cn={escaped},{ou}" if rdn else f"uid={username},{ou}"
        attributes = {"objectClass": "inetOrgPerson", "cn": rdn or username, "sn": username, "uid": username,
                      "userPassword": password, **more}  # fmt: skip
        self._add(dn, attributes | ({"employeeNumber": employee_id} if employee_id else {}))
        return dn

    def add_group(self, name: str, members: Sequence[str], parent: str = BASE) -> str:
        """Add a group; give its DN."""
        dn = f"cn={name},{parent}"
        self._add(dn, {"objectClass": "groupOfNames", "member": list(members)})
        return dn

    def modify(self, dn: str, changes: dict[str, Any]) -> None:
        """Change an entry as the administrator."""
        with self.admin() as connection:
            assert connection.modify(dn, changes), connection.result

    def delete(self, dn: str) -> None:
        """Delete an entry."""
        with self.admin() as connection:
            assert connection.delete(dn), connection.result

    def read(self, dn: str, *attributes: str) -> dict[str, list[bytes]]:
        """Give an entry's raw attributes."""
        with self.admin() as connection:
            connection.search(dn, "(objectClass=*)", "BASE", attributes=list(attributes) or ["*", "+"])
            return dict(connection.response[0]["raw_attributes"]) if connection.response else {}

    def bind_works(self, dn: str, password: str) -> bool:
        """Try to sign in."""
        try:
            with signed_in(self.host, self.port, self.ca_file, dn, password):
                return True
        except PermissionError:
            return False

    def freeze(self) -> None:
        """Stop it from answering, sockets open."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.process.kill()
        self.process.wait()

    def _add(self, dn: str, attributes: dict[str, Any]) -> None:
        with self.admin() as connection:
            assert connection.add(dn, attributes=attributes), connection.result


@contextmanager
def running_slapd(folder: Path, ldif: str = "", *, durable: bool = False) -> Iterator[Slapd]:
    """Run a slapd with this content besides its suffix and policy (slapadd -q: any size is quick).

    A `durable` one answers a write when it is on disk, as one that is installed does.
    """
    binary = require("slapd", "slapd")
    authority = make_authority(folder / "tls")
    leaf = make_leaf(authority, "slapd")
    (folder / "db").mkdir()
    conf = folder / "slapd.conf"
    conf.write_text(
        (_CONF.replace("dbnosync\n", "") if durable else _CONF)
        .format(folder=folder, ca=authority.certificate, certificate=leaf.certificate, key=leaf.key, base=BASE,
                     admin=ADMIN_DN, password=ADMIN_PASSWORD)
    )  # fmt: skip
    (folder / "seed.ldif").write_text(_SEED + ldif)
    slapadd = find("slapadd") or binary
    subprocess.run((slapadd, "-q", "-f", str(conf), "-l", str(folder / "seed.ldif")), check=True, capture_output=True)
    with _started(binary, conf, folder, authority.certificate) as server:
        yield server


@contextmanager
def _started(binary: str, conf: Path, folder: Path, ca_file: Path) -> Iterator[Slapd]:
    port, starttls_port = free_port(), free_port()
    log = folder / "slapd.log"
    with log.open("wb") as output:
        urls = f"ldaps://127.0.0.1:{port}/ ldap://127.0.0.1:{starttls_port}/"
        process = subprocess.Popen((binary, "-f", str(conf), "-h", urls, "-d", "0"), stdout=output, stderr=output)
    server = Slapd(folder, ca_file, process, port, starttls_port)
    try:
        until_it_answers(server.host, port, ca_file, (ADMIN_DN, ADMIN_PASSWORD), process=process, log=lambda: tail(log))
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
        stop(process)


@pytest.fixture(scope="session")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A slapd for the whole session: tests keep to OUs of their own."""
    with running_slapd(tmp_path_factory.mktemp("slapd")) as server:
        yield server


@pytest.fixture
def own_slapd(tmp_path: Path) -> Iterator[Slapd]:
    """A slapd of this test alone, to be frozen or killed."""
    (tmp_path / "slapd").mkdir()
    with running_slapd(tmp_path / "slapd") as server:
        yield server
