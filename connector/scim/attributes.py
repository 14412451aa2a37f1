"""The schema as a table: what filter, sort, search and projection know about every attribute of a User and a Group.

Derived from the classes of `models`, so that there is one declaration of it. A name nobody declared is found nowhere:
whoever asks for it is refused, never answered with everything. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from scim2_models import Attribute as Declared
from scim2_models import CaseExact, Mutability, Returned

from connector.scim import models
from connector.scim.errors import invalid_path

KINDS: Final = frozenset({"string", "reference", "boolean", "dateTime", "binary", "complex"})
"""The types our attributes have. One more type needs a way to be compared first."""

_LONGEST_NAME = 100
_MANAGER = "manager"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute or sub-attribute. `kind` is one of KINDS; `parts` are the sub-attributes of a complex one."""

    name: str
    kind: str
    multi_valued: bool
    case_exact: bool
    returned: str
    mutability: str
    parts: Mapping[str, "Attribute"]

    def part(self, name: str) -> "Attribute | None":
        """The sub-attribute of that name in any case (RFC 7643 2.1)."""
        if (exact := self.parts.get(name)) is not None:
            return exact
        wanted = name.lower()
        return next((part for key, part in self.parts.items() if key.lower() == wanted), None)


@dataclass(frozen=True)
class Schema:
    """A resource type's own schema or an extension of it."""

    urn: str
    attributes: tuple[Attribute, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Attribute]:
        """Attributes by their canonical names."""
        return MappingProxyType({attribute.name: attribute for attribute in self.attributes})

    @cached_property
    def by_lower_name(self) -> Mapping[str, Attribute]:
        """Attributes by their names in lower case."""
        return MappingProxyType({attribute.name.lower(): attribute for attribute in self.attributes})


@dataclass(frozen=True, slots=True)
class ResourceType:
    """What a User or a Group is made of; `extensions` by their URN."""

    name: str
    core: Schema
    extensions: Mapping[str, Schema]


@dataclass(frozen=True, slots=True)
class Path:
    """An attribute, found. `extension` is the URN it stands under, empty for the core schema.

    Without an attribute it is the extension as a whole.
    """

    extension: str
    attribute: Attribute | None
    part: Attribute | None = None

    @property
    def target(self) -> Attribute | None:
        """What the path is about: the sub-attribute where it names one."""
        return self.part or self.attribute

    @property
    def keys(self) -> tuple[str, ...]:
        """The way through the document to the attribute; for several values to their list, without the part."""
        head = (self.extension,) if self.extension else ()
        if self.attribute is None:
            return head
        if self.part is None or self.attribute.multi_valued:
            return (*head, self.attribute.name)
        return (*head, self.attribute.name, self.part.name)

    def __str__(self) -> str:
        names = ".".join(each.name for each in (self.attribute, self.part) if each is not None)
        return f"{self.extension}:{names}" if self.extension and names else self.extension or names


def find(resource_type: str, text: str) -> Path | None:
    """Find the attribute a path names, in any case, with or without the URN of its schema (RFC 7644 3.10).

    The manager is found without it, too: Entra ID asks for `manager eq "id"`.
    """
    kind = RESOURCE_TYPES[resource_type]
    if text[:4].lower() != "urn:":
        enterprise = kind.extensions.get(models.ENTERPRISE_SCHEMA)
        if enterprise and text.partition(".")[0].lower() == _MANAGER:
            return _within(enterprise.urn, enterprise, text)
        return _within("", kind.core, text)
    wanted = {urn.lower(): schema for urn, schema in kind.extensions.items()}
    if (whole := wanted.get(text.lower())) is not None:
        return Path(whole.urn, None)
    urn, _, rest = text.rpartition(":")
    if urn.lower() == kind.core.urn.lower():
        return _within("", kind.core, rest)
    extension = wanted.get(urn.lower())
    return None if extension is None else _within(extension.urn, extension, rest)


def resolve(resource_type: str, text: str) -> Path:
    """As `find`.

    Raises:
        ScimError: invalidPath where nothing of that name was declared.
    """
    path = find(resource_type, text)
    if path is None:
        raise invalid_path(f"{short(text)} is not an attribute of {resource_type}. See /Schemas.")
    return path


def short(name: str) -> str:
    """A client's word, cut to what an error may repeat."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"


def _within(extension: str, schema: Schema, text: str) -> Path | None:
    name, dot, part_name = text.partition(".")
    attribute = schema.by_lower_name.get(name.lower())
    if attribute is None or not dot:
        return None if attribute is None else Path(extension, attribute)
    part = attribute.part(part_name)
    return None if part is None else Path(extension, attribute, part)


# --- the tables -----------------------------------------------------------------------------------------------------


def _schema(model: Any, urn: str, skipped: frozenset[str] = frozenset()) -> Schema:
    return Schema(urn, _attributes(model, skipped))


def _attributes(model: Any, skipped: frozenset[str] = frozenset()) -> tuple[Attribute, ...]:
    return tuple(_attribute(model, field) for field in model.model_fields if field not in skipped)


def _attribute(model: Any, field: str) -> Attribute:
    root = model.get_field_root_type(field)
    is_complex = getattr(root, "__is_complex_attribute__", False)
    return Attribute(
        name=model._scim_name(field),  # noqa: SLF001  # the library offers no other way to a field's wire name
        kind="complex" if is_complex else _kind(root),
        multi_valued=model.get_field_multiplicity(field),
        case_exact=model.get_field_annotation(field, CaseExact) == CaseExact.true,
        returned=str(model.get_field_annotation(field, Returned).value),
        mutability=str(model.get_field_annotation(field, Mutability).value),
        parts=MappingProxyType({part.name: part for part in (_attributes(root) if is_complex else ())}),
    )


def _kind(root: Any) -> str:
    kind = str(Declared.Type.from_python(root).value)
    if kind not in KINDS:
        raise TypeError(f"No attribute of type {kind} can be compared yet.")
    return kind


def _resource_type(name: str, model: Any, urn: str) -> ResourceType:
    extensions = dict(model.get_extension_models())
    core = _schema(model, urn, frozenset(extension.__name__ for extension in extensions.values()))
    found = {str(urn): _schema(each, str(urn), frozenset({"schemas"})) for urn, each in extensions.items()}
    return ResourceType(name, core, MappingProxyType(found))


RESOURCE_TYPES: Final[Mapping[str, ResourceType]] = MappingProxyType(
    {
        "User": _resource_type("User", models.User, models.USER_SCHEMA),
        "Group": _resource_type("Group", models.Group, models.GROUP_SCHEMA),
    }
)
"""The resource types by name."""
