"""The directories the specification is run against: a real OpenLDAP, a real Active Directory (Samba), and our fake."""

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from connector.ldap.connection import LdapSettings
from connector.ldap.dialect import Dialect
from connector.ldap.directory import LdapDirectory
from connector.model import Account
from connector.provisioning import NewAccount, escaped
from tests.contracts.directory_benches import MANAGED, password_file, site
from tests.fakes import FakeDirectory
from tests.servers.samba import SambaDc
from tests.servers.slapd import Slapd

Server = TypeVar("Server", Slapd, SambaDc)


class _LdapBench(Generic[Server]):
    """What the two servers share."""

    directory: str
    server: Server
    folder: Path
    managed: str
    outside: str
    opened: list[LdapDirectory]
    common: dict[str, Any]

    def adapter(self, **settings: Any) -> LdapDirectory:
        given: dict[str, Any] = {
            "host": self.server.host,
            "ca_file": str(self.server.ca_file),
            "bind_dn": self.server.admin_dn,
            "bind_password": password_file(self.folder, self.server.admin_password),
            "base": self.outside,
            "managed": (self.managed,),
        }
        adapter = LdapDirectory(self.directory, LdapSettings(**(given | self.common | settings)), site(self.folder))
        self.opened.append(adapter)
        return adapter

    def values(self, account: Account, attribute: str) -> tuple[str, ...]:
        found = self.server.read(account.dn, attribute)
        return tuple(value.decode() for value in found.get(attribute, ()))

    def set(self, account: Account, attribute: str, value: str) -> None:
        self.server.modify(account.dn, {attribute: [("MODIFY_REPLACE", [value])]})

    def delete(self, account: Account) -> None:
        self.server.delete(account.dn)


class OpenLdapProvisioner(_LdapBench[Slapd]):
    """An OU of its own on a real slapd."""

    def __init__(self, server: Slapd, folder: Path) -> None:
        self.directory, self.server, self.folder = "ldap", server, folder
        self.opened = []
        self.outside = server.add_ou()
        self.managed = server.add_ou(MANAGED, self.outside)
        self.common = {"dialect": Dialect.OPENLDAP, "port": server.port}
        self.run = uuid.uuid4().hex[:6]

    def new(self, name: str, **changes: Any) -> NewAccount:
        username = f"{name}-{self.run}"
        attributes = (("givenName", (name.title(),)), ("sn", ("Tanaka",)))
        made = NewAccount(
            self.directory, f"cn={escaped(username)},{self.managed}", username, f"p-{name}", f"E-{name}", attributes
        )
        return replace(made, **changes)

    def add_group(self, *, managed: bool = True) -> str:
        parent = self.managed if managed else self.outside
        return self.server.add_group(uuid.uuid4().hex, (f"cn=nobody,{self.outside}",), parent)

    def protect(self, account: Account) -> str:
        return self.server.add_group(uuid.uuid4().hex, (account.dn,), self.outside)


class ActiveDirectoryProvisioner(_LdapBench[SambaDc]):
    """An OU of its own on a real AD domain controller."""

    def __init__(self, server: SambaDc, folder: Path) -> None:
        self.directory, self.server, self.folder = "ad", server, folder
        self.opened = []
        self.outside = server.add_ou()
        self.managed = server.add_ou(MANAGED, self.outside)
        self.common = {}
        self.run = uuid.uuid4().hex[:8]

    def new(self, name: str, **changes: Any) -> NewAccount:
        username = f"{name}-{self.run}"
        attributes = (
            ("givenName", (name.title(),)),
            ("sn", ("Tanaka",)),
            ("userPrincipalName", (f"{username}@lab.test",)),
        )
        made = NewAccount(
            self.directory, f"CN={escaped(username)},{self.managed}", username, f"p-{name}", f"E-{name}", attributes
        )
        return replace(made, **changes)

    def add_group(self, *, managed: bool = True) -> str:
        return self.server.add_group(f"g{uuid.uuid4().hex[:12]}", self.managed if managed else self.outside)

    def protect(self, account: Account) -> str:
        group = self.server.add_group(f"g{uuid.uuid4().hex[:12]}", self.outside)
        self.server.add_to_group(account.dn, group)
        return group


class FakeProvisioner:
    """Our own fake: what others' tests believe of it must be so."""

    managed = "OU=Parents,DC=school"
    outside = "DC=school"

    def __init__(self) -> None:
        self.directory = "ad"
        self.fake = FakeDirectory("ad", [])
        self.fake.managed = self.managed

    def adapter(self, **settings: Any) -> FakeDirectory:
        self.fake.protected_groups = set(settings.get("protected_groups", ()))
        self.fake.mark = str(settings.get("protected_mark", "")).partition("=")[0]
        return self.fake

    def new(self, name: str, **changes: Any) -> NewAccount:
        attributes = (("givenName", (name.title(),)), ("sn", ("Tanaka",)))
        made = NewAccount("ad", f"CN={escaped(name)},{self.managed}", name, f"p-{name}", f"E-{name}", attributes)
        return replace(made, **changes)

    def add_group(self, *, managed: bool = True) -> str:
        dn = f"CN={uuid.uuid4().hex},{self.managed if managed else self.outside}"
        self.fake.groups[dn] = set()
        return dn

    def values(self, account: Account, attribute: str) -> tuple[str, ...]:
        if attribute == "memberOf":
            return tuple(dn for dn, members in self.fake.groups.items() if account.guid in members)
        return self.fake.values[account.guid].get(attribute.lower(), ())

    def set(self, account: Account, attribute: str, value: str) -> None:
        self.fake.values[account.guid][attribute.lower()] = (value,)

    def delete(self, account: Account) -> None:
        self.fake.accounts.remove(account)

    def protect(self, account: Account) -> str:
        self.fake.accounts[self.fake.accounts.index(account)] = replace(account, protected="member of CN=Heads")
        return "CN=Heads"
