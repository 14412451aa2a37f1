"""Settings for the real servers, naming only what matters to a test."""

from pathlib import Path
from typing import Any

from connector.ldap.connection import LdapSettings
from connector.ldap.dialect import Dialect
from tests.contracts.directory_benches import password_file, site
from tests.servers.samba import SambaDc
from tests.servers.slapd import Slapd

__all__ = ["ad_settings", "openldap_settings", "people_ldif", "site"]


def openldap_settings(server: Slapd, folder: Path, **settings: Any) -> LdapSettings:
    given: dict[str, Any] = {
        "dialect": Dialect.OPENLDAP,
        "host": server.host,
        "port": server.port,
        "ca_file": str(server.ca_file),
        "bind_dn": server.admin_dn,
        "bind_password": password_file(folder, settings.pop("password", server.admin_password)),
        "base": server.base,
        "managed": (settings.get("base", server.base),),
        "receive_timeout": 5,
    }
    return LdapSettings(**(given | settings))


def ad_settings(server: SambaDc, folder: Path, **settings: Any) -> LdapSettings:
    given: dict[str, Any] = {
        "host": server.host,
        "ca_file": str(server.ca_file),
        "bind_dn": server.admin_dn,
        "bind_password": password_file(folder, settings.pop("password", server.admin_password)),
        "base": server.base,
        "managed": (settings.get("base", server.base),),
    }
    return LdapSettings(**(given | settings))


def people_ldif(base: str, count: int) -> str:
    """Give the entries of many people, for slapadd."""
    return "".join(
        f"dn: uid=u{number},{base}\nobjectClass: inetOrgPerson\nuid: u{number}\ncn: Person {number}\nsn: {number}\n"
        f"displayName: Person Number {number}\nmail: u{number}@mail.example\nemployeeNumber: EMP{number}\n\n"
        for number in range(count)
    )
