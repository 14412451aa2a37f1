"""A PATCH body as a tuple of operations, and a path as what it targets: the reading half of RFC 7644 3.5.2.

Pure. Nothing is changed here. A body that is no PatchOp is refused whole, before its first operation.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from connector.scim.errors import ScimError, invalid_path, invalid_syntax, invalid_value, no_target, too_large
from connector.scim.models import USER_SCHEMA
from connector.scim.shapes import ENTERPRISE, EXTENSIONS, Attribute, Shape

PATCH_SCHEMA: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MOST_OPERATIONS: Final = 1000
LONGEST_PATH: Final = 4096

# attribute, [filter], .sub-attribute: the filter's inside is read by whoever applies it.
_PATH = re.compile(r"([A-Za-z$][\w$-]*)(?:\[(.*)\])?(?:\.([A-Za-z$][\w$-]*))?", re.ASCII | re.DOTALL)
_URN = re.compile(r"urn:[\w$().:+,=@;*'~%/?#-]+(?:\[.*\])?(?:\.[\w$-]+)?", re.ASCII | re.DOTALL | re.IGNORECASE)


class Op(StrEnum):
    """The three of RFC 7644 3.5.2, in any case: Entra ID writes them with a capital."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `valued` tells a null value from none at all; `named` that the path was a key of a value."""

    op: Op
    path: str
    value: Any
    valued: bool
    named: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What a path means: `extension` is its URN or empty; without `attribute` the whole extension, or the resource."""

    extension: str
    attribute: Attribute | None
    condition: str | None
    part: Attribute | None

    @property
    def text(self) -> str:
        """The path in the declared spelling."""
        name = self.attribute.name if self.attribute else ""
        path = f"{self.extension}:{name}" if self.extension and name else self.extension or name
        path += f"[{self.condition}]" if self.condition is not None else ""
        return f"{path}.{self.part.name}" if self.part else path

    @property
    def read_only(self) -> bool:
        """Whether no client may write there. In an extension as a whole there is always something to write."""
        return any(a is not None and a.read_only for a in (self.attribute, self.part))


def operations(body: object, *, strict: bool) -> tuple[Operation, ...]:
    """The operations of a PATCH body, in their order. Path-less ones come back as one per key of their value.

    Raises:
        ScimError: invalidSyntax, invalidValue, noTarget, or 413 for more than `MOST_OPERATIONS`.
    """
    if not isinstance(body, dict):
        raise invalid_syntax("The body must be a PatchOp object.")
    members = _lowered(body)
    schemas = members.get("schemas")
    if strict and not (isinstance(schemas, list) and PATCH_SCHEMA in schemas):
        raise invalid_syntax(f'schemas must be ["{PATCH_SCHEMA}"].')
    listed = members.get("operations")
    if not isinstance(listed, list):
        raise invalid_syntax("Operations must be a list of operations.")
    if not listed and strict:
        raise invalid_value("Operations must hold one operation or more.")
    found: list[Operation] = []
    for one in listed:
        found += _operation(one)
        if len(found) > MOST_OPERATIONS:
            raise _too_many()
    return tuple(found)


def targeted(path: str, root: Shape, *, strict: bool) -> Target | None:
    """What a path of this resource means; None where nothing of that name is declared and the client is not strict.

    Raises:
        ScimError: invalidPath where it is no path, or (strict) names nothing declared.
    """
    if len(path) > LONGEST_PATH:
        raise invalid_path(f"The path is longer than {LONGEST_PATH} characters.")
    extension, shape, rest = _schema_of(path, root)
    if shape is None or not rest:
        if shape is None:
            _refuse_unless_tolerated(path, _URN, strict=strict)
            return None
        return Target(extension, None, None, None)
    match = _PATH.fullmatch(rest)
    if match is None:
        raise invalid_path(f"{_short(path)} is not a path: attribute, attribute.part or attribute[filter].part.")
    attribute = shape.find(match[1])
    if attribute is None and not strict and root.urn == USER_SCHEMA and not extension:
        # Entra ID without aadOptscim062020 names "manager" without the URN it stands under.
        attribute = ENTERPRISE.find(match[1])
        extension = ENTERPRISE.urn if attribute else ""
    part = attribute.parts.find(match[3]) if attribute and match[3] and attribute.parts else None
    if attribute is None or (match[3] and part is None):
        _refuse_unless_tolerated(rest, _PATH, strict=strict)
        return None
    return Target(extension, attribute, match[2], part)


def as_mapping(operation: Operation) -> Mapping[str, Any]:
    """The value of an operation that writes several attributes at once."""
    if not isinstance(operation.value, dict):
        raise invalid_value("An operation without a path needs an object of attributes as its value.")
    return operation.value


def _operation(one: object) -> Iterator[Operation]:
    if not isinstance(one, dict):
        raise invalid_syntax("Each operation must be an object with op, path and value.")
    members = _lowered(one)
    op = _op(members.get("op"))
    path = members.get("path")
    if path is not None and not isinstance(path, str):
        raise invalid_path("path must be a text.")
    operation = Operation(op, (path or "").strip(), members.get("value"), "value" in members)
    if operation.path:
        yield operation
    elif op == Op.REMOVE:
        raise no_target("A remove operation needs a path. Nothing was changed.")
    else:
        yield from named_in(operation)


def named_in(operation: Operation, prefix: str = "") -> Iterator[Operation]:
    """One operation per key of the value. `schemas` is not something to write: it follows from what is there."""
    members = as_mapping(operation)
    if len(members) > MOST_OPERATIONS:
        raise _too_many()
    for key, value in members.items():
        if prefix or key.lower() != "schemas":
            yield Operation(operation.op, f"{prefix}{key}", value, valued=True, named=True)


def _op(name: object) -> Op:
    try:
        return Op(name.lower() if isinstance(name, str) else "")
    except ValueError:
        raise invalid_value("op must be add, remove or replace.") from None


def _lowered(members: Mapping[str, Any]) -> dict[str, Any]:
    lowered = {key.lower(): value for key, value in members.items()}
    if len(lowered) < len(members):
        raise invalid_syntax("The same name is there twice, spelled differently. Send it once.")
    return lowered


def _schema_of(path: str, root: Shape) -> tuple[str, Shape | None, str]:
    """The extension a path begins with ("" for the resource's own schema), its shape, and the rest of the path."""
    if path[:4].lower() != "urn:":
        return "", root, path
    known = {root.urn: ("", root)}
    if root.urn == USER_SCHEMA:
        known |= {urn: (urn, shape) for urn, shape in EXTENSIONS.items()}
    for urn, (extension, shape) in known.items():
        if path.lower() == urn.lower():
            return extension, shape, ""
        if path.lower().startswith(f"{urn.lower()}:"):
            return extension, shape, path[len(urn) + 1 :]
    return "", None, path


def _refuse_unless_tolerated(path: str, form: re.Pattern[str], *, strict: bool) -> None:
    if strict or form.fullmatch(path) is None:
        raise invalid_path(f"{_short(path)} names no attribute of this resource (see /Schemas).")


def _too_many() -> ScimError:
    return too_large(f"A PATCH may hold at most {MOST_OPERATIONS} operations. Send several.")


def _short(path: str) -> str:
    return path if len(path) <= 80 else f"{path[:80]}…"  # noqa: PLR2004  # long enough to find it in a mapping
