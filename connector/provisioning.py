"""What an account is to be made of: the nouns of provisioning, what may be written at all, and names filled in safely.

Values and functions of text; standard library only. Must never let a text from outside choose where an entry stands,
or name an attribute that lets somebody in or changes what they may do: what may be written is a list.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from connector.model import Account

Values = tuple[tuple[str, tuple[str, ...]], ...]
"""Attributes by name, each with its values; no values means: none."""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to make. `employee_id` says whose it is, and is written whatever `attributes` say.

    `username` is written unless `attributes` hold the directory's own user name attribute. Its password is nobody's.
    """

    directory: str
    dn: str
    username: str
    person_id: str
    employee_id: str
    attributes: Values = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class ChangeAccount:
    """Give this account these values, if it still is the one that `before` says; attributes not named stay."""

    before: Account
    attributes: Values


@dataclass(frozen=True, slots=True)
class GroupMembership:
    """Let an account join a group, or leave it. With `employee_id` only if the account still bears it."""

    directory: str
    group: str
    guid: str
    join: bool
    employee_id: str = ""


@dataclass(frozen=True, slots=True)
class AccountAttributes:
    """What an account's attributes hold now; an attribute without a value has none."""

    guid: str
    values: Values

    def of(self, name: str) -> tuple[str, ...]:
        """Give the values of one attribute, whatever the case of its name."""
        return next((values for known, values in self.values if known.lower() == name.lower()), ())


@dataclass(frozen=True, slots=True)
class AccountTemplate:
    """How accounts are made and kept in one directory.

    `dn` has `{placeholders}` in the entry's own name only. `attributes` give each attribute a path of a person's
    document, or a text with placeholders.
    """

    dn: str
    attributes: Mapping[str, str]
    enabled: bool = True

    @property
    def paths(self) -> frozenset[str]:
        """Every path that is read for it."""
        read = (paths_in(text) for text in (self.dn, *(self.attributes.values())))
        return frozenset(path for paths in read for path in paths)


PLACEHOLDERS: Mapping[str, str] = {
    "user_name": "userName",
    "given_name": "name.givenName",
    "family_name": "name.familyName",
    "display_name": "displayName",
    "employee_number": "employeeNumber",
    "external_id": "externalId",
    "email": "emails[work]",
}
"""What may stand in braces, and the path it means."""

_SINGLE = frozenset(
    {
        "userName", "externalId", "displayName", "nickName", "title", "userType", "preferredLanguage", "locale",
        "name.givenName", "name.familyName", "name.middleName", "name.formatted", "name.honorificPrefix",
        "name.honorificSuffix", "employeeNumber", "costCenter", "organization", "division", "department",
    }
)  # fmt: skip
_TYPED = re.compile(r"(?:emails|phoneNumbers)\[[A-Za-z]+\]")
_BRACES = re.compile(r"\{([^{}]*)\}")

WRITABLE = frozenset(
    {
        "c", "cn", "co", "company", "department", "departmentnumber", "description", "displayname", "division",
        "employeeid", "employeenumber", "employeetype", "facsimiletelephonenumber", "generationqualifier", "givenname",
        "homephone", "info", "initials", "ipphone", "l", "mail", "middlename", "mobile", "o", "pager", "personaltitle",
        "physicaldeliveryofficename", "postaladdress", "postalcode", "postofficebox", "preferredlanguage",
        "roomnumber", "samaccountname", "sn", "st", "street", "streetaddress", "telephonenumber", "title", "uid",
        "userprincipalname", "wwwhomepage", *(f"extensionattribute{number}" for number in range(1, 16)),
    }
)  # fmt: skip
"""The attributes of a person that may be written, in lower case: they say who somebody is, never what they may do."""

# What decides over access keeps its name out of `own` too, however a directory is configured.
_NEVER = re.compile(
    r"useraccountcontrol|admincount|primarygroupid|objectsid|sidhistory|member.*|uniquemember|memberuid|altsecurity.*|"
    r"(?:ms|user)-.*|msds-.*|.*(?:pwd|password|objectclass|guid|uuid|principal|delegat|descriptor|lockout|expires|logon).*"
)
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


def unwritable(attribute: str, own: Collection[str] = (), mark: str = "") -> str:
    """Say why an attribute may not be written; empty: it may.

    `own` are the names under which this directory keeps user name, employee id, e-mail and name; `mark` is the
    attribute that protects accounts there.
    """
    name = attribute.lower()
    if mark and name == mark.lower():
        return "protects accounts (protected_mark): nobody may be marked from outside"
    known = name in WRITABLE or (name in {each.lower() for each in own} and not _NEVER.fullmatch(name))
    if not known or not _ATTRIBUTE.fullmatch(attribute):
        return "is not on the list of attributes that only say who somebody is, and is never written"
    return ""


def is_path(text: str) -> bool:
    """Say whether this is a path of a person's document that can be read here (RFC 7644 3.10, without filters)."""
    return text in _SINGLE or bool(_TYPED.fullmatch(text))


def unknown_parts(text: str) -> tuple[str, ...]:
    """Give what in a text stands in braces and means nothing, and braces that do not match."""
    names = _BRACES.findall(text)
    rest = _BRACES.sub("", text)
    return (*(name for name in names if name not in PLACEHOLDERS), *(brace for brace in "{}" if brace in rest))


def paths_in(text: str) -> tuple[str, ...]:
    """Give the paths a text of a template reads: those of its placeholders, or itself."""
    names = _BRACES.findall(text)
    return tuple(PLACEHOLDERS[name] for name in names if name in PLACEHOLDERS) if names else (text,)


def filled(text: str, values: Mapping[str, str]) -> str:
    """Give what a text of a template means for these values by path; empty where something it needs is missing."""
    if not _BRACES.search(text):
        return values.get(text, "")
    there = all(values.get(path, "").strip() for path in paths_in(text))
    return _BRACES.sub(lambda found: values[PLACEHOLDERS[found[1]]], text) if there else ""


def filled_dn(text: str, values: Mapping[str, str]) -> str:
    """Give the name of an entry, every value escaped; empty where a value it needs is missing.

    The OU stands in the template: a value can only ever be one value of the entry's own name.
    """
    return filled(text, {path: escaped(value) for path, value in values.items() if value.strip()})


def escaped(value: str) -> str:
    """Give a text as it stands in a distinguished name (RFC 4514 2.4)."""
    made = re.sub(r'([\\,+"<>;=])', r"\\\1", value).replace("\0", "\\00")
    if made.startswith((" ", "#")):
        made = f"\\{made}"
    if made.endswith(" ") and made != "\\ ":
        made = f"{made[:-1]}\\ "
    return made


def unusable(texts: Iterable[str]) -> str:
    """Say what no directory may be handed in these texts; empty: nothing. Control characters hide what is read."""
    for text in texts:
        if any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
            return f"{text[:60]!r} holds a control character, or half of one"
    return ""
