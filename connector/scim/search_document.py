"""A document as it is searched: the same shape, with every value in the one form in which it is compared.

Texts are composed and, but for caseExact ones, in lower case; moments are UTC text of one width; so the databases only
ever compare bytes, and both agree with each other and with Python. Nothing that is not in the schema gets in, nor what
is never returned. Pure.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from unicodedata import normalize

from connector.reconcile.text import fold, fold_id
from connector.scim.attributes import RESOURCE_TYPES, Attribute
from connector.scim.errors import invalid_value
from connector.scim.models import ENTERPRISE_SCHEMA

# RFC 7643 2.3.5: an xsd:dateTime. One without a zone names no moment.
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
_MICRO_DIGITS = 6
_LONG_MOMENT = 40

# PostgreSQL's indexes take 2,704 bytes of a row, and a character is at most four of them.
_LONGEST_KEY: Final = 500

LINKED: Final = "members"
"""The attribute that is told by the table of members alone, never by a document."""


def search_of(resource_type: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Give what is put into the column `search` for a document with canonical names. Null and [] are nothing."""
    kind = RESOURCE_TYPES[resource_type]
    found = _assigned(kind.core.by_name, document)
    found.pop(LINKED, None)
    if "meta" in found:
        # Where it is depends on who asks.
        found["meta"].pop("location", None)
    for urn, extension in kind.extensions.items():
        if (there := document.get(urn)) and (inner := _assigned(extension.by_name, there)):
            found[urn] = inner
    return found


def user_columns(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give the columns of a User's row that a filter looks into, by their names in `scim_users`."""
    number = (document.get(ENTERPRISE_SCHEMA) or {}).get("employeeNumber")
    return {
        "user_name_key": index_key(str(document.get("userName") or "")),
        "external_id": _exact_or_none(document.get("externalId")),
        "code_key": _code_key(str(number or "")),
        "search": search_of("User", document),
    }


def group_columns(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give the columns of a Group's row that a filter looks into, by their names in `scim_groups`."""
    return {
        "display_key": index_key(str(document.get("displayName") or "")),
        "external_id": _exact_or_none(document.get("externalId")),
        "search": search_of("Group", document),
    }


def email_keys(document: Mapping[str, Any]) -> frozenset[str]:
    """Give what stands in `scim_emails` for a User: one key per address."""
    values = (email.get("value") for email in document.get("emails") or () if isinstance(email, Mapping))
    return frozenset(index_key(value) for value in values if isinstance(value, str))


def refuse_long_keys(document: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> None:
    """Refuse what is new in a document and no index takes. Raises ScimError 400.

    What stood there before is left: it keeps nobody from closing.
    """
    for name, text in _looked_up(document) - _looked_up(before or {}):
        if not is_indexable(name, text):
            shown = _SHOWN.get(name, name)
            raise invalid_value(f"{shown} is too long to be looked up by: at most {_LONGEST_KEY} characters are taken.")


def is_indexable(name: str, text: str) -> bool:
    """Say whether an index takes a value of userName, displayName, externalId, employeeNumber, emails or person_id.

    What is measured is what is stored: a key may be longer than the text it is made of.
    """
    return len(_KEY_OF.get(name, index_key)(text)) <= _LONGEST_KEY


def _looked_up(document: Mapping[str, Any]) -> set[tuple[str, str]]:
    name = "userName" if "userName" in document else "displayName"
    number = (document.get(ENTERPRISE_SCHEMA) or {}).get("employeeNumber")
    mails = (mail.get("value") for mail in document.get("emails") or () if isinstance(mail, Mapping))
    found = [(name, document.get(name)), ("externalId", document.get("externalId")), ("employeeNumber", number)]
    found += (("emails", mail) for mail in mails)
    return {(what, text) for what, text in found if isinstance(text, str)}


def comparison_key(text: str, *, case_exact: bool) -> str:
    """Give a text in the form in which it is compared: composed, in lower case unless its case counts."""
    if text.isascii():
        return text if case_exact else text.lower()
    composed = normalize("NFC", text)
    # RFC 8265 3.3: lower case, not folded. Lower case may decompose, so it is composed again.
    return composed if case_exact else normalize("NFC", composed.lower())


def index_key(text: str) -> str:
    """Give the key by which a name or address is looked up: for any two that compare as equal it is the same."""
    return fold(comparison_key(text, case_exact=False))


def same_name(one: str, other: str) -> bool:
    """Say whether a filter would hold two names to be the same. Two that are not may have one key all the same."""
    return comparison_key(one, case_exact=False) == comparison_key(other, case_exact=False)


def moment_key(text: str) -> str | None:
    """Give a moment as UTC text of one width, to the microsecond; None where it names none."""
    return _short_moment(text) if len(text) <= _LONG_MOMENT else _moment_key(text)


@lru_cache(maxsize=256)  # what is written in one transaction has one time
def _short_moment(text: str) -> str | None:
    return _moment_key(text)


def _moment_key(text: str) -> str | None:
    matched = _MOMENT.fullmatch(text)
    if matched is None:
        return None
    seconds, fraction, zone = matched.groups()
    digits = (fraction or "")[:_MICRO_DIGITS].ljust(_MICRO_DIGITS, "0")
    try:
        moment = datetime.fromisoformat(f"{seconds}.{digits}{zone}".upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def binary_key(text: str) -> str | None:
    """Give base64 in its one canonical spelling; None where it is none (RFC 7643 2.3.6)."""
    try:
        return b64encode(b64decode("".join(text.split()), validate=True)).decode()
    except (NotBase64, ValueError):
        return None


def _assigned(attributes: Mapping[str, Attribute], values: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in values.items():
        attribute = attributes.get(name)
        if attribute is None or value is None or attribute.returned == "never":
            continue
        key = _several(attribute, value) if attribute.multi_valued else _one(attribute, value)
        # A complex attribute without any part is unassigned as well (RFC 7643 2.5).
        if key is not None and key != {}:
            found[name] = key
    return found


def _several(attribute: Attribute, values: Any) -> list[Any] | None:
    if not isinstance(values, list):
        return None
    keys = (_one(attribute, value) for value in values)
    # RFC 7643 2.5: an empty array is no value.
    return [key for key in keys if key is not None] or None


def _one(attribute: Attribute, value: Any) -> Any:
    if attribute.kind == "complex":
        return _assigned(attribute.parts, value) if isinstance(value, Mapping) else None
    return _KEYS[attribute.kind](attribute, value)


def _text(attribute: Attribute, value: Any) -> str | None:
    return comparison_key(value, case_exact=attribute.case_exact) if isinstance(value, str) else None


def _flag(_attribute: Attribute, value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _moment(_attribute: Attribute, value: Any) -> str | None:
    return moment_key(value) if isinstance(value, str) else None


def _binary(_attribute: Attribute, value: Any) -> str | None:
    return binary_key(value) if isinstance(value, str) else None


_KEYS: Final[Mapping[str, Callable[[Attribute, Any], str | bool | None]]] = {
    "string": _text,
    "reference": _text,
    "boolean": _flag,
    "dateTime": _moment,
    "binary": _binary,
}


def _exact(text: str) -> str:
    return comparison_key(text, case_exact=True)


def _exact_or_none(value: Any) -> str | None:
    return _exact(value) if isinstance(value, str) else None


def _code_key(number: str) -> str:
    return fold_id(comparison_key(number, case_exact=False))


_KEY_OF: Final[Mapping[str, Callable[[str], str]]] = {
    "externalId": _exact,
    "person_id": _exact,
    "employeeNumber": _code_key,
}
_SHOWN: Final[Mapping[str, str]] = {"emails": "An e-mail address"}
