"""A throw-away Samba AD domain controller: a real Active Directory to test against, on a loopback address of its own.

The domain is provisioned once per session and cloned for each instance: cloning takes 30 ms, provisioning five seconds.
"""

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.servers import WORKER, _missing, is_free, require, stop, tail
from tests.servers.certificates import make_authority, make_leaf
from tests.servers.ldap_client import signed_in, until_it_answers

BASE = "DC=lab,DC=test"
ADMIN_DN = f"CN=Administrator,CN=Users,{BASE}"
ADMIN_PASSWORD = "Adm1n-Passw0rd!"
DOMAIN_ADMINS = f"CN=Domain Admins,CN=Users,{BASE}"
USER_PASSWORD = "Us3r-Passw0rd!"

_CONF = """[global]
netbios name = DC1
realm = LAB.TEST
workgroup = LAB
server role = active directory domain controller
interfaces = {address}/8
bind interfaces only = yes
server services = ldap
dcerpc endpoint servers = -winreg -srvsvc
private dir = {tree}/private
state directory = {tree}/state
cache directory = {tree}/cache
lock directory = {tree}/state
pid directory = {run}
ncalrpc dir = {run}/ncalrpc
ntp signd socket directory = {run}/ntp
winbindd socket directory = {run}/winbindd
tls enabled = yes
tls keyfile = {key}
tls certfile = {certificate}
tls cafile = {ca}
ldap server require strong auth = yes
disable netbios = yes
load printers = no
ldb:nosync = yes
old password allowed period = 0
"""


@dataclass(slots=True)
class SambaDc:
    """A running domain controller and what a test needs of it."""

    folder: Path
    ca_file: Path
    process: subprocess.Popen[bytes]
    host: str
    port: int = 636
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
        dn = f"OU={name or uuid.uuid4().hex},{parent}"
        self._add(dn, {"objectClass": "organizationalUnit"})
        return dn

    def add_user(
        self, username: str, password: str = USER_PASSWORD, employee_id: str = "", ou: str = f"CN=Users,{BASE}",
        mail: str = "", *, cn: str = "", **more: Any,
    ) -> str:  # fmt: skip
        """Add an enabled user with a password; give its DN. `cn` is escaped where it goes into the DN."""
        escaped = (cn or username).replace("\\", "\\\\").replace(",", "\\,").replace("+", "\\+")
        dn = f"CN={escaped},{ou}"
        attributes = {
            "objectClass": "user",
            "sAMAccountName": username,
            "userPrincipalName": f"{username}@lab.test",
            "unicodePwd": f'"{password}"'.encode("utf-16-le"),
            "userAccountControl": "512",
            "employeeID": employee_id,
            "mail": mail,
            **more,
        }
        self._add(dn, {name: value for name, value in attributes.items() if value != ""})
        return dn

    def add_group(self, name: str, parent: str = f"CN=Users,{BASE}") -> str:
        """Add a group; give its DN."""
        dn = f"CN={name},{parent}"
        self._add(dn, {"objectClass": "group", "sAMAccountName": name})
        return dn

    def add_to_group(self, member: str, group: str) -> None:
        """Make an entry a member of a group."""
        self.modify(group, {"member": [("MODIFY_ADD", [member])]})

    def modify(self, dn: str, changes: dict[str, Any]) -> None:
        """Change an entry as the administrator."""
        with self.admin() as connection:
            assert connection.modify(dn, changes), connection.result

    def move(self, dn: str, ou: str) -> None:
        """Move an entry to another OU."""
        with self.admin() as connection:
            assert connection.modify_dn(dn, dn.split(",OU=", maxsplit=1)[0], new_superior=ou), connection.result

    def delete(self, dn: str) -> None:
        """Delete an entry."""
        with self.admin() as connection:
            assert connection.delete(dn), connection.result

    def read(self, dn: str, *attributes: str) -> dict[str, list[bytes]]:
        """Give an entry's raw attributes."""
        with self.admin() as connection:
            connection.search(dn, "(objectClass=*)", "BASE", attributes=list(attributes) or ["*"])
            entries = [entry for entry in connection.response or () if entry["type"] == "searchResEntry"]
            return dict(entries[0]["raw_attributes"]) if entries else {}

    def bind_code(self, username: str, password: str = USER_PASSWORD) -> str:
        """Try to sign in as a user: empty where it works, else AD's data code (533: disabled, 52e: wrong password)."""
        try:
            with signed_in(self.host, self.port, self.ca_file, f"{username}@lab.test", password):
                return ""
        except PermissionError as error:
            return str(error).partition("data ")[2].partition(",")[0] or str(error)

    def delegate(self, ou: str, sddl: str) -> None:
        """Add access rights on an OU (SDDL)."""
        self._tool("dsacl", "set", f"--objectdn={ou}", "--action=allow", "--car=change-rid", f"--sddl={sddl}")

    def _tool(self, *arguments: str) -> None:
        database = self.folder / "t" / "private" / "sam.ldb"
        subprocess.run(
            ("samba-tool", *arguments, "-H", str(database), f"--configfile={self.folder / 'smb.conf'}"),
            check=True, capture_output=True,
        )  # fmt: skip

    def _add(self, dn: str, attributes: dict[str, Any]) -> None:
        with self.admin() as connection:
            assert connection.add(dn, attributes=attributes), connection.result


@contextmanager
def running_samba(template: Path, *, durable: bool = False) -> Iterator[SambaDc]:
    """Run a clone of a provisioned domain. A `durable` one answers a write when it is on disk, as it is installed."""
    # Its sockets are in its folder, and their paths have 107 characters at most (unix(7)): a test's folder has more.
    with TemporaryDirectory(prefix="samba-") as short, _running(template, Path(short), durable=durable) as server:
        yield server


@contextmanager
def _running(template: Path, folder: Path, *, durable: bool) -> Iterator[SambaDc]:
    address = _free_address()
    shutil.copytree(template / "t", folder / "t", symlinks=True)
    (folder / "run").mkdir()
    authority = make_authority(folder / "tls")
    leaf = make_leaf(authority, "dc1", address=address, dns="dc1.lab.test")
    conf = folder / "smb.conf"
    conf.write_text(
        (_CONF.replace("ldb:nosync = yes\n", "") if durable else _CONF)
        .format(address=address, tree=folder / "t", run=folder / "run", ca=authority.certificate,
                     certificate=leaf.certificate, key=leaf.key)
    )  # fmt: skip
    log = folder / "samba.log"
    command = (require("samba", "samba"), "-s", str(conf), "-i", "-M", "single", "--debug-stdout")
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    server = SambaDc(folder, authority.certificate, process, address)
    try:
        admin = (ADMIN_DN, ADMIN_PASSWORD)
        until_it_answers(
            address, server.port, server.ca_file, admin, process=process, log=lambda: tail(log), seconds=60
        )
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
        stop(process)


def provision(folder: Path) -> Path:
    """Provision a domain to clone from."""
    require("samba", "samba samba-ad-provision samba-dsdb-modules")
    if os.name != "posix" or os.geteuid() != 0:
        _missing("missing server: samba (an AD domain controller needs ports 389 and 636: run the tests as root)")
    (folder / "empty.conf").touch()
    subprocess.run(
        (require("samba-tool", "samba-common-bin"), "domain", "provision", f"--configfile={folder / 'empty.conf'}",
         f"--targetdir={folder / 't'}", "--realm=LAB.TEST", "--domain=LAB", "--host-name=dc1", "--host-ip=127.0.0.10",
         "--server-role=dc", "--dns-backend=NONE", f"--adminpass={ADMIN_PASSWORD}", "--backend-store=tdb",
         "--option=interfaces=127.0.0.10/8", "--option=bind interfaces only=yes", "--quiet"),
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def _free_address() -> str:
    """Give a loopback address whose LDAP ports nobody listens on: Samba's ports are fixed, its address is not."""
    start = os.getpid() % 200
    addresses = (f"127.0.{10 + WORKER}.{2 + (start + offset) % 200}" for offset in range(200))
    address = next((one for one in addresses if is_free(one, 389, 636, 3268, 3269)), None)
    if address is None:
        raise RuntimeError("no loopback address has its LDAP ports free")
    return address


@pytest.fixture(scope="session")
def samba_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A provisioned domain, never started itself."""
    return provision(tmp_path_factory.mktemp("samba-template"))


@pytest.fixture(scope="session")
def samba(samba_template: Path) -> Iterator[SambaDc]:
    """A domain controller for the whole session: tests keep to OUs of their own."""
    with running_samba(samba_template) as server:
        yield server
