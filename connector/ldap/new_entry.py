"""From an account that is wanted to the entry that makes it, in each directory's words. Pure, but for the password.

Must never make an account whose owner could not be proven later, one outside the managed OUs, or one with a password
that anybody knows.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connector.ldap.dialect import ACCOUNT_DISABLE, LOCKED_FOR_GOOD, NORMAL_ACCOUNT, Dialect, Vocabulary
from connector.ldap.names import dn_key, is_at_or_below, is_below, own_name
from connector.ldap.scope import ScopeSettings
from connector.ldap.write import AddEntry, RawValues
from connector.provisioning import NewAccount, Values, unusable, unwritable

_PERSON = ("top", "person", "organizationalPerson")
_CLASSES = {Dialect.AD: (*_PERSON, "user"), Dialect.OPENLDAP: (*_PERSON, "inetOrgPerson")}
# MS-SAMR 3.1.1.6: what a sAMAccountName may not hold, nor end with; twenty characters are what signing in takes.
_ODD_USERNAME = re.compile(r'["/\\\[\]:;|=,+*?<>]|\.$')
_LONGEST_USERNAME = 20
_ACCOUNT_NAME = "samaccountname"


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to add, and by what it would collide with another. `dn` is as it was asked for."""

    dn: str
    username: str
    principal: str
    employee_id: str
    enabled: bool
    attributes: Values = field(repr=False)

    def request(self, dialect: Dialect) -> AddEntry:
        """Give the request that adds it. On Active Directory with a password that is forgotten here and now."""
        named = tuple((name, tuple(value.encode() for value in values)) for name, values in self.attributes)
        classes = tuple(name.encode() for name in _CLASSES[dialect])
        return AddEntry(self.dn, (("objectClass", classes), *named, *_state(dialect, enabled=self.enabled)))


def new_entry(item: NewAccount, settings: ScopeSettings) -> NewEntry | str:
    """Give the entry of a new account, or say why there can be none."""
    words = settings.vocabulary
    given = dict(item.attributes)
    username = _value(given, words.username) or item.username
    texts = (item.dn, username, item.employee_id, *(value for values in given.values() for value in values))
    refused = (
        unusable(texts)
        or _outside(item.dn, settings)
        or _nobodys(username, item.employee_id, words)
        or unwritable_among(item.attributes, settings)
    )
    if refused:
        return refused
    attributes = _completed(item, words, username)
    if isinstance(attributes, str):
        return attributes
    return NewEntry(item.dn, username, _value(given, "userPrincipalName"), item.employee_id, item.enabled, attributes)


def own_attributes(settings: ScopeSettings) -> tuple[str, ...]:
    """Give the attributes in which this directory keeps what we read of a person."""
    words = settings.vocabulary
    return (words.username, words.employee_id, words.email, *words.names)


def unwritable_among(attributes: Values, settings: ScopeSettings) -> str:
    """Say which of these attributes may not be written; empty: all may. What stands twice is ambiguous."""
    mark = settings.mark[0] if settings.mark else ""
    names = [name.lower() for name, _ in attributes]
    for name, _ in attributes:
        if why := unwritable(name, own_attributes(settings), mark):
            return f"{name} {why}"
        if names.count(name.lower()) > 1:
            return f"{name} is given twice"
    return ""


def odd_username(attribute: str, username: str) -> str:
    """Say why no user can have this name there; empty: one can."""
    if not username.strip() or username != username.strip():
        return f"the user name {username!r} is blank, or begins or ends with a space"
    if attribute.lower() != _ACCOUNT_NAME:
        return ""
    if len(username) > _LONGEST_USERNAME or _ODD_USERNAME.search(username):
        return (
            f"{username!r} cannot be a {attribute}: at most {_LONGEST_USERNAME} characters, none of "
            '" / \\ [ ] : ; | = , + * ? < >, and no full stop at the end'
        )
    return ""


def _value(given: Mapping[str, Sequence[str]], name: str) -> str:
    return next((values[0] for known, values in given.items() if known.lower() == name.lower() and values), "")


def _outside(dn: str, settings: ScopeSettings) -> str:
    try:
        key = dn_key(dn)
        own_name(dn)
    except ValueError as error:
        return f"{dn[:80]!r} is no name an entry can have: {error}"
    if not any(is_below(key, ou) for ou in settings.managed_keys):
        return f"{dn} is outside the managed OUs; nothing is written there"
    if any(is_at_or_below(key, dn_key(ou)) for ou in settings.protected_ous):
        return f"{dn} is below a protected OU; nothing is written there"
    return ""


def _nobodys(username: str, employee_id: str, words: Vocabulary) -> str:
    if not employee_id.strip():
        return "it would have no employee id, so that nobody could say later whose it is"
    return odd_username(words.username, username)


def _completed(item: NewAccount, words: Vocabulary, username: str) -> Values | str:
    """Give the attributes with what every account there needs, and with the entry's own name (RFC 4511 4.7)."""
    named, name = own_name(item.dn)
    made = {key.lower(): (key, values) for key, values in item.attributes if values}
    made[words.username.lower()] = (words.username, (username,))
    made[words.employee_id.lower()] = (words.employee_id, (item.employee_id,))
    if words.dialect is Dialect.AD:
        # The server itself puts the entry's own name in.
        return tuple(made.values()) if named.lower() == "cn" else f"{item.dn} must begin with CN= in Active Directory"
    if named.lower() in made and made[named.lower()][1] != (name,):
        return f"{item.dn} is named by {named}, which is to be {made[named.lower()][1][0]!r}: the two must be one"
    made[named.lower()] = (named, (name,))
    shown = made.get("displayname", ("", (username,)))[1]
    made.setdefault("cn", ("cn", shown))  # RFC 2256 7.7: a person has a cn and a sn
    made.setdefault("sn", ("sn", (username,)))
    return tuple(made.values())


def _state(dialect: Dialect, *, enabled: bool) -> RawValues:
    if dialect is Dialect.OPENLDAP:
        # Without a password nobody signs in (RFC 4513 5.1.3): there is none to be found out.
        return () if enabled else (("pwdAccountLockedTime", (LOCKED_FOR_GOOD.encode(),)),)
    control = NORMAL_ACCOUNT if enabled else NORMAL_ACCOUNT | ACCOUNT_DISABLE
    return ("userAccountControl", (str(control).encode(),)), ("unicodePwd", (_unknown_password(),))


def _unknown_password() -> bytes:
    """Make a password nobody ever learns, of all four kinds of characters (MS-ADTS 3.1.1.3.1.5: quoted, UTF-16)."""
    return f'"{secrets.token_urlsafe(48)}aA1!"'.encode("utf-16-le")
