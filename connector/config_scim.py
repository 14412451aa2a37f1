"""The section `[scim]`: how identity providers are served, and what a User or a Group becomes in a directory.

Checked as far as it goes without opening anything. Must never let a provider's words choose the OU of an account, or a
map reach an attribute that decides over access.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from connector.config_shape import Where, closest
from connector.provisioning import PLACEHOLDERS, AccountTemplate, is_path, unknown_parts, unwritable

Problem = tuple[Where, str]


@dataclass(frozen=True, slots=True)
class ScimGroup:
    """What being in a pushed Group means: a security `role`, or a group of a `directory` by its `dn`."""

    role: str = ""
    directory: str = ""
    dn: str = ""


@dataclass(frozen=True, slots=True)
class Scim:
    """How identity providers are served. Times in the unit of their name; `proxies` are networks.

    `base_url` is the public address of /scim/v2; empty: that of each request. `groups` are by display name.
    """

    base_url: str = ""
    answer_seconds: int = 5
    refresh_minutes: int = 15
    retry_seconds: int = 20
    max_body_bytes: int = 1_048_576
    max_results: int = 200
    bulk_max_operations: int = 100
    cursor_minutes: int = 15
    proxies: tuple[str, ...] = ()
    workers: int = 1
    directories: Mapping[str, AccountTemplate] = field(default_factory=dict)
    groups: Mapping[str, ScimGroup] = field(default_factory=dict)

    @property
    def roles(self) -> dict[str, str]:
        """The security roles that Groups stand for, by display name."""
        return {name: group.role for name, group in self.groups.items() if group.role}


RANGES = {
    "answer_seconds": (0, 60),
    "refresh_minutes": (1, 1_440),
    "retry_seconds": (1, 3_600),
    "max_body_bytes": (1_024, 67_108_864),
    "max_results": (1, 10_000),
    "bulk_max_operations": (1, 10_000),
    "cursor_minutes": (1, 1_440),
    "workers": (1, 64),
}
"""The least and the most each number can mean."""

_OWN_NAMES = ("username_attribute", "employee_id_attribute", "email_attribute", "name_attribute")
_RDN = re.compile(r"(?:\\.|[^,\\])+", re.DOTALL)
_PAIR = re.compile(r"\s*[A-Za-z][A-Za-z0-9.-]*\s*=\s*\S.*", re.DOTALL)
_PLUS = re.compile(r"(?<!\\)\+")
_EXAMPLE = "CN={user_name},OU=Parents,DC=school,DC=example"


def impossible_scim_numbers(raw: Any) -> Iterator[Problem]:
    """Give every number of the section that cannot be meant, also while other keys have no shape yet."""
    for key, value in raw.items() if isinstance(raw, Mapping) else ():
        least, most = RANGES.get(key, (0, 0))
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if key in RANGES and is_number and not least <= value <= most:
            yield ("scim", key), f"must be between {least} and {most}."


def odd_scim(scim: Scim, directories: Mapping[str, Any]) -> Iterator[Problem]:
    """Give what the section cannot mean; `directories` are the tables of [directories], as written."""
    yield from _odd_address(scim.base_url)
    for number, network in enumerate(scim.proxies):
        yield from _odd_network(network, ("scim", "proxies", number))
    for name, template in scim.directories.items():
        where = ("scim", "directories", name)
        yield from _unknown_directory(name, directories, (*where, "dn"))
        yield from _odd_template(template, directories.get(name), where)
    seen: dict[str, str] = {}
    for name, group in scim.groups.items():
        where = ("scim", "groups", name)
        if other := seen.get(name.casefold()):
            yield (*where, "role"), f"is for the same Group as [scim.groups.{other}]: names differ by case only."
        seen[name.casefold()] = name
        yield from _odd_group(group, directories, where)


def _odd_address(url: str) -> Iterator[Problem]:
    parts = urlsplit(url)
    plain = parts.scheme in ("https", "http") and parts.hostname and not (parts.query or parts.fragment or "@" in url)
    if url and (not plain or url.endswith("/")):
        yield (
            ("scim", "base_url"),
            'must be an address like "https://connector.school.example/scim/v2", without a / at the end.',
        )


def _odd_network(network: str, where: Where) -> Iterator[Problem]:
    try:
        ip_network(network)
    except ValueError:
        yield where, 'must be an address or a network, like "10.1.0.0/16" (no bits behind its prefix).'


def _unknown_directory(name: str, directories: Mapping[str, Any], where: Where) -> Iterator[Problem]:
    if name not in directories:
        meant = "".join(f" Did you mean {close!r}?" for close in closest(name, directories))
        yield where, f"is for the directory {name!r}, and there is no [directories.{name}].{meant}"


def _odd_template(template: AccountTemplate, directory: Any, where: Where) -> Iterator[Problem]:
    yield from ((((*where, "dn")), sentence) for sentence in _odd_name(template.dn, placeholders=True))
    table = directory if isinstance(directory, Mapping) else {}
    own = [str(table[key]) for key in _OWN_NAMES if table.get(key)]
    mark = str(table.get("protected_mark", "")).partition("=")[0]
    for attribute, text in template.attributes.items():
        place = (*where, "attributes", attribute)
        if why := unwritable(attribute, own, mark):
            yield place, f"{why}."
        yield from ((place, sentence) for sentence in _odd_text(text))
    names = [name.lower() for name in template.attributes]
    yield from (
        ((*where, "attributes", name), "is there twice, in other letters.")
        for name in template.attributes
        if names.count(name.lower()) > 1
    )


def _odd_text(text: str) -> Iterator[str]:
    if is_path(text):
        return
    unknown = unknown_parts(text)
    if unknown or not any(f"{{{name}}}" in text for name in PLACEHOLDERS):
        yield (
            "must be a path like userName, name.givenName, emails[work] or employeeNumber, or a text with one of "
            f"{_listed(PLACEHOLDERS)}."
        )


def _odd_name(dn: str, *, placeholders: bool) -> Iterator[str]:
    """Say why this is no name of an entry, or one whose place a provider could choose."""
    parts = _RDN.findall(dn)
    if ",".join(parts) != dn or len(parts) < 2 or not all(map(_PAIR.fullmatch, parts)) or _PLUS.search(parts[0]):  # noqa: PLR2004 - the entry's own name, and where it stands
        yield f"must be a name like {_EXAMPLE if placeholders else _EXAMPLE.replace('{user_name}', 'Parents')}."
        return
    if not placeholders:
        return
    if unknown_parts(dn):
        yield f"may hold {_listed(PLACEHOLDERS)}, and no other braces."
    elif "{" not in parts[0]:
        yield f"must have a placeholder in its first part, like {_EXAMPLE}: every account needs a name of its own."
    elif any("{" in part for part in parts[1:]):
        yield "may have placeholders in its first part only: where an account stands is yours to say, not a provider's."


def _odd_group(group: ScimGroup, directories: Mapping[str, Any], where: Where) -> Iterator[Problem]:
    by_role, by_directory = bool(group.role.strip()), bool(group.directory or group.dn)
    if by_role is by_directory:
        yield (*where, "role"), "or directory and dn must be there, and not both."
    elif by_directory:
        yield from _unknown_directory(group.directory, directories, (*where, "directory"))
        yield from (((*where, "dn"), sentence) for sentence in _odd_name(group.dn, placeholders=False))


def _listed(names: Sequence[str] | Mapping[str, str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
