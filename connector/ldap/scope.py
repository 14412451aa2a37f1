"""What of a directory is read, may be written, and must never be: the settings both directory adapters share.

Must never widen by default: no managed OU means nothing may be written.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from connector.errors import ConfigError
from connector.ldap.dialect import VOCABULARIES, Dialect, Vocabulary
from connector.ldap.names import DnKey, dn_key, is_at_or_below

_ATTRIBUTE = re.compile(r"^[A-Za-z][A-Za-z0-9-]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeSettings:
    """Base, managed OUs, protection and attribute names. An empty attribute name means the dialect's own.

    `protected_mark` is `attribute=value`. Without `protected_groups`, Active Directory's Domain Admins are protected.
    """

    base: str
    managed: tuple[str, ...] = ()
    dialect: Dialect = Dialect.AD
    protected_groups: tuple[str, ...] = ()
    protected_ous: tuple[str, ...] = ()
    protected_mark: str = ""
    username_attribute: str = ""
    employee_id_attribute: str = ""
    email_attribute: str = ""
    name_attribute: str = ""

    def __post_init__(self) -> None:
        base = _key("base", self.base)
        for key, dn in zip(_keys("managed", self.managed), self.managed, strict=True):
            if not is_at_or_below(key, base):
                raise ConfigError(f"The managed OU {dn} is not below the base {self.base}.", "Correct one of the two.")
        _keys("protected_groups", self.protected_groups)
        _keys("protected_ous", self.protected_ous)
        mark, _, value = self.protected_mark.partition("=")
        if self.protected_mark and not (_ATTRIBUTE.match(mark) and value.strip()):
            raise ConfigError(
                f"protected_mark {self.protected_mark!r} is not a pair.",
                "Write it as attribute=value, like employeeType=vip.",
            )
        for name in (self.username_attribute, self.employee_id_attribute, self.email_attribute, self.name_attribute):
            if name and not _ATTRIBUTE.match(name):
                raise ConfigError(f"{name!r} is not the name of an attribute.", "Use letters, digits and hyphens.")

    @property
    def base_key(self) -> DnKey:
        """The base as a key."""
        return dn_key(self.base)

    @property
    def managed_keys(self) -> tuple[DnKey, ...]:
        """The managed OUs as keys."""
        return tuple(dn_key(dn) for dn in self.managed)

    @property
    def mark(self) -> tuple[str, str] | None:
        """The protecting attribute and its value, or none."""
        attribute, _, value = self.protected_mark.partition("=")
        return (attribute, value) if attribute else None

    @property
    def vocabulary(self) -> Vocabulary:
        """The dialect's words with this directory's own names in place."""
        words = VOCABULARIES[self.dialect]
        mark = (self.mark[0],) if self.mark else ()
        return replace(
            words,
            username=self.username_attribute or words.username,
            employee_id=self.employee_id_attribute or words.employee_id,
            email=self.email_attribute or words.email,
            names=(self.name_attribute,) if self.name_attribute else words.names,
            extra=words.extra + mark,
        )


def _keys(setting: str, names: Iterable[str]) -> list[DnKey]:
    return [_key(setting, name) for name in names]


def _key(setting: str, name: str) -> DnKey:
    try:
        key = dn_key(name)
    except ValueError as error:
        raise ConfigError(f"{setting} holds {name!r}, which is not a distinguished name: {error}.") from error
    if not key:
        raise ConfigError(f"{setting} is empty.", "Name the entry, like OU=Parents,DC=school,DC=example.")
    return key
