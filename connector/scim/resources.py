"""A request's User or Group becomes the document that is stored, and a stored document becomes an answer.

Pure. A password never gets past this module, nor does anything a client may not write. Real providers' shapes are
mended unless the client is strict; a value that cannot be read is refused with its name, never guessed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from connector.scim.errors import bad_request, invalid_syntax, invalid_value
from connector.scim.models import (
    CONNECTOR_SCHEMA,
    ENTERPRISE_SCHEMA,
    GROUP_SCHEMA,
    USER_SCHEMA,
    ConnectorUser,
    EnterpriseUser,
    Group,
    User,
)
from connector.scim.searched import instant
from connector.scim.shapes import CONNECTOR, ENTERPRISE, EXTENSIONS, GROUP, USER, Shape, fitted_parts, read_only_part

__all__ = [
    "CONNECTOR_SCHEMA",
    "ENTERPRISE_SCHEMA",
    "GROUP_SCHEMA",
    "LOCATION",
    "USER_SCHEMA",
    "ConnectorUser",
    "EnterpriseUser",
    "Group",
    "GroupBody",
    "User",
    "rendered",
    "replaced_group",
    "replaced_user",
    "validated_group",
    "validated_user",
    "with_schemas",
]

LOCATION: Final = "@LOCATION@"
"""Stands in a rendered document where the resource's own URL goes. It occurs there once, whatever the client sent."""

Document = dict[str, Any]

_MOST_MEMBERS: Final = 100_000
_EXTENSIONS: Final = {urn.lower(): urn for urn in EXTENSIONS}
# What a client never writes, and a replacement therefore keeps.
_KEPT: Final = ("id", "meta", "groups")


@dataclass(frozen=True, slots=True)
class GroupBody:
    """A Group as sent. `members` are User ids in their order; None when the request says nothing about members."""

    document: Document
    members: tuple[str, ...] | None


def validated_user(sent: object, *, strict: bool) -> Document:
    """The User of a POST as it is stored: without id, meta, password and groups; of our extension the note alone.

    `active` is there: a User always has it.

    Args:
        sent: The body, as read from JSON.
        strict: Refuse what the standard does not allow, instead of mending it.

    Raises:
        ScimError: invalidSyntax or invalidValue. Source: RFC 7644 3.3, RFC 7643 4.1.
    """
    return _user(sent, active=True, strict=strict)


def replaced_user(before: Mapping[str, Any], sent: object, *, strict: bool) -> Document:
    """The User after a PUT: what was sent, and of `before` only what a client may not write (RFC 7644 3.5.1).

    A body that says nothing about `active` leaves it as it is: silence opens no door.
    """
    return with_kept(before, _user(sent, active=before.get("active", True), strict=strict))


def with_kept(before: Mapping[str, Any], after: Mapping[str, Any]) -> Document:
    """The User `after`, and of `before` what a client may not write."""
    kept = {**after, **{key: before[key] for key in _KEPT if key in before}}
    if told := read_only_part(CONNECTOR, before.get(CONNECTOR_SCHEMA, {})):
        kept[CONNECTOR_SCHEMA] = told | after.get(CONNECTOR_SCHEMA, {})
    return with_schemas(kept, USER)


def validated_group(sent: object, *, strict: bool) -> GroupBody:
    """The Group of a POST: the document without its members, and the members."""
    body = _message(sent, GROUP_SCHEMA, strict=strict)
    members = [value for key, value in body.items() if key.lower() == "members"]
    document = fitted_parts(GROUP, {k: v for k, v in body.items() if k.lower() != "members"}, "", strict=strict)
    require_text(document, "displayName")
    if len(members) > 1:
        raise invalid_syntax("members is there twice, spelled differently. Send it once.")
    return GroupBody(with_schemas(document, GROUP), member_ids(members[0]) if members else None)


def replaced_group(before: Mapping[str, Any], sent: object, *, strict: bool) -> GroupBody:
    """The Group after a PUT."""
    body = validated_group(sent, strict=strict)
    body.document.update((key, before[key]) for key in _KEPT if key in before)
    return GroupBody(with_schemas(body.document, GROUP), body.members)


def member_ids(value: object) -> tuple[str, ...]:
    """The User ids in a `members` value, each once: a list of objects, one object, or bare ids."""
    if value is None:
        return ()
    values = value if isinstance(value, list) else [value]
    if len(values) > _MOST_MEMBERS:
        raise bad_request("tooMany", f"{len(values)} members in one request; at most {_MOST_MEMBERS} are taken.")
    return tuple(dict.fromkeys(_member_id(one) for one in values))


def require_text(document: Mapping[str, Any], name: str) -> None:
    """Refuse a resource without the one attribute it is known by."""
    if not str(document.get(name) or "").strip():
        raise invalid_value(f"{name} is required and must not be empty.")


def with_schemas(document: Mapping[str, Any], shape: Shape) -> Document:
    """The same document, its keys in the order they are answered and `schemas` naming what is in it (RFC 7643 3)."""
    ordered: Document = {"schemas": [shape.urn, *(urn for urn in _EXTENSIONS.values() if urn in document)]}
    for attribute in shape.attributes:
        if attribute.name in document:
            ordered[attribute.name] = document[attribute.name]
    for urn in _EXTENSIONS.values():
        if urn in document:
            ordered[urn] = document[urn]
    return ordered


def rendered(document: Mapping[str, Any], resource_id: str, version: int, created: datetime, modified: datetime) -> str:
    """The JSON text of an answer, with `LOCATION` for its URL: schemas, id, externalId, meta, then the rest.

    Args:
        document: What is stored, with or without id and meta of its own, which are replaced.
        resource_id: Its id.
        version: Counts its changes; the ETag is `W/"version"`.
        created: When it came, with a zone.
        modified: When it last changed, with a zone.
    """
    is_group = GROUP_SCHEMA in document.get("schemas", ())
    ordered = with_schemas(document, GROUP if is_group else USER)
    head = {"schemas": ordered.pop("schemas"), "id": resource_id}
    ordered.pop("id", None)
    ordered.pop("meta", None)
    if "externalId" in ordered:
        head["externalId"] = ordered.pop("externalId")
    # Nothing in it needs an escape but the quotes of the version.
    meta = (
        f'{{"resourceType":"{"Group" if is_group else "User"}","created":"{instant(created)}",'
        f'"lastModified":"{instant(modified)}","location":"{LOCATION}","version":"W/\\"{version}\\""}}'
    )
    rest = f",{_text(ordered)[1:]}" if ordered else "}"
    return f'{_text(head)[:-1]},"meta":{meta}{rest}'


def _user(sent: object, *, active: bool, strict: bool) -> Document:
    body = _message(sent, USER_SCHEMA, strict=strict)
    own, extensions = _sorted_out(body, strict=strict)
    document = fitted_parts(USER, own, "", strict=strict)
    document.pop("password", None)
    require_text(document, "userName")
    document.setdefault("active", active)
    for urn, value in extensions.items():
        if fit := fitted_parts(EXTENSIONS[urn], value, "", strict=strict):
            document[urn] = fit
    return with_schemas(document, USER)


def _sorted_out(body: Mapping[str, Any], *, strict: bool) -> tuple[Document, dict[str, Document]]:
    """What a body says of the User itself, and of each extension."""
    own: Document = {}
    extensions: dict[str, Document] = {}
    for key, value in body.items():
        urn, name = _place(key, strict=strict)
        if not name and value is not None and not isinstance(value, dict):
            raise invalid_value(f"{urn} must be an object.")
        place = extensions.setdefault(urn, {}) if urn else own
        for inner, one in ({name: value} if name else value or {}).items():
            if inner in place:
                raise invalid_syntax(f"{inner} is there twice, in two places. Send it once.")
            place[inner] = one
    return own, extensions


def _place(key: str, *, strict: bool) -> tuple[str, str]:
    """The extension a key is about, empty for the User itself, and the attribute; without one it is all of it."""
    lowered = key.lower()
    if lowered in _EXTENSIONS:
        return _EXTENSIONS[lowered], ""
    if strict or USER.find(key) is not None:
        return "", key
    # RFC 7644 3.10 writes names like this in paths and filters. Passed over here, an `active` would be, too.
    for urn in (USER_SCHEMA, *EXTENSIONS):
        if lowered.startswith(f"{urn.lower()}:"):
            return "" if urn == USER_SCHEMA else urn, key[len(urn) + 1 :]
    return ENTERPRISE_SCHEMA if ENTERPRISE.find(key) else "", key


def _message(sent: object, schema: str, *, strict: bool) -> Document:
    """The body without its `schemas`, which are looked at first."""
    if not isinstance(sent, dict):
        raise invalid_syntax("The body must be a JSON object.")
    listed = next((value for key, value in sent.items() if key.lower() == "schemas"), None)
    if strict:
        _check_schemas(listed, schema)
    return {key: value for key, value in sent.items() if key.lower() != "schemas"}


def _check_schemas(listed: object, schema: str) -> None:
    """Every schema named, and no other (RFC 7643 3)."""
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise invalid_syntax(f'schemas must be a list with "{schema}" in it.')
    named = {one.lower() for one in listed}
    if schema.lower() not in named:
        raise invalid_syntax(f'schemas must name "{schema}".')
    if named - {schema.lower(), *_EXTENSIONS}:
        raise invalid_syntax("schemas names a schema this service does not have (see /Schemas).")


def _member_id(one: object) -> str:
    if isinstance(one, dict):
        one = next((value for key, value in one.items() if key.lower() == "value"), None)
    if not isinstance(one, str) or not one.strip():
        raise invalid_value('Each member must be {"value": "the id of a User"}.')
    return one


def _text(value: object) -> str:
    # Whatever a client sent, the marker stands for the location only.
    return _ENCODER.encode(value).replace("@LOCATION", "\\u0040LOCATION")


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
