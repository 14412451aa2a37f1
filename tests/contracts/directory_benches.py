"""The directories the specification is run against: a real OpenLDAP, a real Active Directory (Samba), LDIF files."""

import base64
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from connector.interfaces import Directory, Secret, Site
from connector.ldap.connection import LdapSettings
from connector.ldap.dialect import Dialect
from connector.ldap.directory import LdapDirectory
from connector.ldap.ldif import LdifDirectory, LdifSettings
from tests.servers.samba import USER_PASSWORD as SAMBA_USER_PASSWORD
from tests.servers.samba import SambaDc
from tests.servers.slapd import LOCKED, Slapd
from tests.servers.slapd import USER_PASSWORD as SLAPD_USER_PASSWORD

MANAGED = "Parents\\, old and new"


def site(folder: Path) -> Site:
    """Give a site in this folder."""
    return Site(folder, folder, ZoneInfo("Australia/Sydney"))


def password_file(folder: Path, password: str) -> Secret:
    """Put a password where a Secret finds it."""
    (folder / "password").write_text(f"{password}\n")
    (folder / "password").chmod(0o600)
    return Secret(file="password")


class OpenLdapBench:
    """An OU of its own on a real slapd."""

    def __init__(self, server: Slapd, folder: Path) -> None:
        self.name = "ldap"
        self.server = server
        self.folder = folder
        self.opened: list[Directory] = []
        self.base = server.add_ou()
        self.managed = server.add_ou(MANAGED, self.base)
        self.dns: dict[str, str] = {}

    def adapter(self, **settings: object) -> Directory:
        given: dict[str, object] = {
            "dialect": Dialect.OPENLDAP,
            "host": self.server.host,
            "port": self.server.port,
            "ca_file": str(self.server.ca_file),
            "bind_dn": self.server.admin_dn,
            "bind_password": password_file(self.folder, self.server.admin_password),
            "base": self.base,
            "managed": (self.managed,),
        }
        adapter = LdapDirectory(self.name, LdapSettings(**(given | settings)), site(self.folder))  # type: ignore[arg-type] # builder
        self.opened.append(adapter)
        return adapter

    def add_person(
        self, username: str, *, employee_id: str = "", email: str = "", managed: bool = True, dn_name: str = ""
    ) -> str:
        ou = self.managed if managed else self.base
        more = {"mail": email} if email else {}
        dn = self.server.add_user(username, employee_id=employee_id, ou=ou, rdn=dn_name, **more)
        guid = self.server.read(dn, "entryUUID")["entryUUID"][0].decode()
        self.dns[guid] = dn
        return guid

    def disable(self, guid: str) -> None:
        self.server.modify(self.dns[guid], {"pwdAccountLockedTime": [("MODIFY_REPLACE", [LOCKED])]})

    def alter_state(self, guid: str) -> None:
        self.server.modify(self.dns[guid], {"pwdAccountLockedTime": [("MODIFY_REPLACE", ["20260101120000Z"])]})

    def give_to(self, guid: str, employee_id: str) -> None:
        self.server.modify(self.dns[guid], {"employeeNumber": [("MODIFY_REPLACE", [employee_id])]})

    def delete(self, guid: str) -> None:
        self.server.delete(self.dns[guid])

    def add_protected_group(self, *members: str) -> str:
        return self.server.add_group(uuid.uuid4().hex, members, self.base)

    def signs_in(self, guid: str) -> bool:
        return self.server.bind_works(self.dns[guid], SLAPD_USER_PASSWORD)


class ActiveDirectoryBench:
    """An OU of its own on a real AD domain controller."""

    def __init__(self, server: SambaDc, folder: Path) -> None:
        self.name = "ad"
        self.server = server
        self.folder = folder
        self.opened: list[Directory] = []
        self.base = server.add_ou()
        self.managed = server.add_ou(MANAGED, self.base)
        self.mark = uuid.uuid4().hex[:8]
        self.entries: dict[str, tuple[str, str]] = {}

    def adapter(self, **settings: object) -> Directory:
        given: dict[str, object] = {
            "host": self.server.host,
            "ca_file": str(self.server.ca_file),
            "bind_dn": self.server.admin_dn,
            "bind_password": password_file(self.folder, self.server.admin_password),
            "base": self.base,
            "managed": (self.managed,),
            # A domain's account names are one space; the test's own names are kept in another attribute.
            "username_attribute": "description",
        }
        adapter = LdapDirectory(self.name, LdapSettings(**(given | settings)), site(self.folder))  # type: ignore[arg-type] # builder
        self.opened.append(adapter)
        return adapter

    def add_person(
        self, username: str, *, employee_id: str = "", email: str = "", managed: bool = True, dn_name: str = ""
    ) -> str:
        ou = self.managed if managed else self.base
        account = f"{username[:11]}{uuid.uuid4().hex[:8]}"
        dn = self.server.add_user(
            account, employee_id=employee_id, ou=ou, mail=email, cn=dn_name or username, description=username
        )
        guid = str(uuid.UUID(bytes_le=self.server.read(dn, "objectGUID")["objectGUID"][0]))
        self.entries[guid] = (dn, account)
        return guid

    def disable(self, guid: str) -> None:
        self._set_uac(guid, "514")

    def alter_state(self, guid: str) -> None:
        self._set_uac(guid, "66048")

    def give_to(self, guid: str, employee_id: str) -> None:
        self.server.modify(self.entries[guid][0], {"employeeID": [("MODIFY_REPLACE", [employee_id])]})

    def delete(self, guid: str) -> None:
        self.server.delete(self.entries[guid][0])

    def add_protected_group(self, *members: str) -> str:
        group = self.server.add_group(f"g{uuid.uuid4().hex[:12]}", self.base)
        for member in members:
            self.server.add_to_group(member, group)
        return group

    def signs_in(self, guid: str) -> bool:
        return self.server.bind_code(self.entries[guid][1], SAMBA_USER_PASSWORD) == ""

    def _set_uac(self, guid: str, value: str) -> None:
        self.server.modify(self.entries[guid][0], {"userAccountControl": [("MODIFY_REPLACE", [value])]})


@dataclass(slots=True)
class _Record:
    dn: str
    attributes: list[tuple[str, bytes]] = field(default_factory=list)

    def text(self) -> str:
        pairs = [("dn", self.dn.encode()), *self.attributes]
        return "".join(f"{name}:: {base64.b64encode(value).decode()}\n" for name, value in pairs) + "\n"


class LdifBench:
    """An export in a file; its administrator exports it anew after every change."""

    base = "DC=harbour,DC=example"

    def __init__(self, folder: Path, dialect: Dialect) -> None:
        self.name = "export"
        self.folder = folder
        self.opened: list[Directory] = []
        self.dialect = dialect
        self.file = folder / "directory.ldif"
        self.records: dict[str, _Record] = {"": _Record(self.base, [("objectClass", b"domain")])}
        self._write()

    def adapter(self, **settings: object) -> Directory:
        given: dict[str, object] = {
            "file": "directory.ldif",
            "dialect": self.dialect,
            "base": self.base,
            "managed": (f"ou={MANAGED}, dc=HARBOUR , dc=example",),
        }
        adapter = LdifDirectory(self.name, LdifSettings(**(given | settings)), site(self.folder))  # type: ignore[arg-type] # builder
        self.opened.append(adapter)
        return adapter

    def add_person(
        self, username: str, *, employee_id: str = "", email: str = "", managed: bool = True, dn_name: str = ""
    ) -> str:
        self._load()
        guid = uuid.uuid4()
        ou = f"OU={MANAGED},{self.base}" if managed else self.base
        name = (dn_name or username).replace(",", "\\,").replace("+", "\\+")
        ad = self.dialect is Dialect.AD
        attributes = [
            ("objectClass", b"user" if ad else b"person"),
            ("sAMAccountName" if ad else "uid", username.encode()),
            ("employeeID" if ad else "employeeNumber", employee_id.encode()),
            ("mail", email.encode()),
            ("objectGUID", guid.bytes_le) if ad else ("entryUUID", str(guid).encode()),
            ("userAccountControl", b"512" if ad else b""),
        ]
        self.records[str(guid)] = _Record(f"CN={name},{ou}", [pair for pair in attributes if pair[1]])
        self._write()
        return str(guid)

    def disable(self, guid: str) -> None:
        self._set_state(guid, b"514" if self.dialect is Dialect.AD else LOCKED.encode())

    def alter_state(self, guid: str) -> None:
        self._set_state(guid, b"66048" if self.dialect is Dialect.AD else b"20260101120000Z")

    def give_to(self, guid: str, employee_id: str) -> None:
        self._set(guid, "employeeID" if self.dialect is Dialect.AD else "employeeNumber", employee_id.encode())

    def delete(self, guid: str) -> None:
        self._load()
        del self.records[guid]
        self._write()

    def add_protected_group(self, *members: str) -> str:
        self._load()
        dn = f"CN={uuid.uuid4().hex},{self.base}"
        kind = b"group" if self.dialect is Dialect.AD else b"groupOfNames"
        listed = [("member", member.encode()) for member in members]
        self.records[dn] = _Record(dn, [("objectClass", kind), *listed])
        self._write()
        return dn

    def signs_in(self, guid: str) -> bool:
        self._load()
        state = dict(self.records[guid].attributes).get(self._state, b"")
        return not int(state) & 2 if self.dialect is Dialect.AD else state != LOCKED.encode()

    @property
    def _state(self) -> str:
        return "userAccountControl" if self.dialect is Dialect.AD else "pwdAccountLockedTime"

    def _set_state(self, guid: str, value: bytes) -> None:
        self._set(guid, self._state, value)

    def _set(self, guid: str, name: str, value: bytes) -> None:
        self._load()
        record = self.records[guid]
        record.attributes = [pair for pair in record.attributes if pair[0] != name] + [(name, value)]
        self._write()

    def _write(self) -> None:
        self.file.write_text("".join(record.text() for record in self.records.values()))

    def _load(self) -> None:
        """Take over what the adapter wrote: the keys stay, for it changes attributes only."""
        for key, text in zip(self.records, self.file.read_text().strip().split("\n\n"), strict=True):
            (_, dn), *attributes = [_pair(line) for line in text.splitlines()]
            self.records[key] = _Record(dn.decode(), attributes)


def _pair(line: str) -> tuple[str, bytes]:
    name, _, value = line.partition(":")
    return name, base64.b64decode(value[1:]) if value.startswith(":") else value.strip().encode()
