"""How Active Directory and OpenLDAP say the same things: attribute names, filters, GUIDs, and what disabled means.

Pure. Must never call an account closed that the server may open again by itself (a lockout that expires).
"""

import uuid
from dataclasses import dataclass
from enum import StrEnum

from connector.ldap.search import equals


class Dialect(StrEnum):
    """Which directory this is."""

    AD = "ad"
    OPENLDAP = "openldap"


# MS-ADTS 2.2.16: userAccountControl bits.
ACCOUNT_DISABLE = 0x0002
NORMAL_ACCOUNT = 0x0200

# draft-behera-ldap-password-policy 5.3.3: this value means locked until an administrator unlocks.
LOCKED_FOR_GOOD = "000001010000Z"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """One dialect's words. Several names mean: the first that has a value."""

    dialect: Dialect
    guid: str
    state: str
    username: str
    employee_id: str
    email: str
    names: tuple[str, ...]
    expires: tuple[str, ...]
    last_login: tuple[str, ...]
    extra: tuple[str, ...]
    person_filter: str
    person_classes: frozenset[str]
    group_filter: str
    group_classes: frozenset[str]

    @property
    def attributes(self) -> tuple[str, ...]:
        """Everything to ask for when accounts are read."""
        single = (self.guid, self.state, self.username, self.employee_id, self.email)
        return tuple(dict.fromkeys((*single, *self.names, *self.expires, *self.last_login, *self.extra)))


VOCABULARIES = {
    Dialect.AD: Vocabulary(
        dialect=Dialect.AD,
        guid="objectGUID",
        state="userAccountControl",
        username="sAMAccountName",
        employee_id="employeeID",
        email="mail",
        names=("displayName", "cn"),
        expires=("accountExpires",),
        last_login=("lastLogonTimestamp",),
        extra=("adminCount", "memberOf", "primaryGroupID"),
        # MS-ADTS 2.2.17: SAM_NORMAL_USER_ACCOUNT; computers and trusts have other types.
        person_filter="(sAMAccountType=805306368)",
        person_classes=frozenset({"user"}),
        group_filter="(objectCategory=group)",
        group_classes=frozenset({"group"}),
    ),
    Dialect.OPENLDAP: Vocabulary(
        dialect=Dialect.OPENLDAP,
        guid="entryUUID",
        state="pwdAccountLockedTime",
        username="uid",
        employee_id="employeeNumber",
        email="mail",
        names=("displayName", "cn"),
        expires=("pwdEndTime",),
        last_login=("pwdLastSuccess", "authTimestamp"),
        extra=("entryCSN", "memberOf"),
        person_filter="(objectClass=person)",
        # OpenLDAP keeps an entry's classes as they were written, often without those above: RFC 4519 3.10 and 3.12,
        # RFC 2798 3, cosine.schema. Only a search knows that each of these is a person.
        person_classes=frozenset(
            {"person", "organizationalperson", "inetorgperson", "residentialperson", "pilotperson", "newpilotperson"}
        ),
        group_filter="(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))",
        group_classes=frozenset({"groupofnames", "groupofuniquenames"}),
    ),
}


def is_enabled(dialect: Dialect, state: str) -> bool:
    """Say whether this state lets its holder in. Raises ValueError where an AD state is no number."""
    if dialect is Dialect.AD:
        return not int(state or "0") & ACCOUNT_DISABLE
    # A lock with a date is a lockout after wrong passwords: the policy may lift it, so the door still stands.
    return state != LOCKED_FOR_GOOD


def closed_state(dialect: Dialect, state: str) -> str:
    """Give the state that disables an account which now is in `state`; other bits stay as they are."""
    return str(int(state) | ACCOUNT_DISABLE) if dialect is Dialect.AD else LOCKED_FOR_GOOD


def is_state(dialect: Dialect, state: str) -> bool:
    """Say whether this text may be written as a state at all."""
    if dialect is Dialect.AD:
        return state.isascii() and state.isdecimal() and int(state) < 2**31 and bool(int(state) & NORMAL_ACCOUNT)
    return state == "" or (state.isascii() and state.endswith("Z") and state[:-1].replace(".", "").isdecimal())


def guid_text(dialect: Dialect, raw: bytes) -> str:
    """Give the canonical lower-case text of a GUID as the server sends it. Raises ValueError where it is none."""
    if dialect is Dialect.AD:
        return str(uuid.UUID(bytes_le=raw))  # MS-DTYP 2.3.4.2: the first three fields are little-endian
    return str(uuid.UUID(raw.decode("ascii")))  # RFC 4530 2.1


def guid_filter(dialect: Dialect, guid: str) -> bytes:
    """Give the filter that finds one entry by GUID. Raises ValueError where the text is no GUID."""
    value = uuid.UUID(guid)
    if dialect is Dialect.AD:
        return equals("objectGUID", value.bytes_le)
    return equals("entryUUID", str(value).encode("ascii"))
