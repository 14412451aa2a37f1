"""The declared attributes as a table, and how a value is fitted to one: what a request sent becomes what is stored.

Derived from the scim2-models classes, so that there is one declaration; walked by hand, because building a model for
every request costs more than all the rest of it. Tolerant fitting mends what providers are known to send; strict
fitting refuses it. Nothing here raises anything but a ScimError.
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from scim2_models import Mutability, Required, Resource

from connector.scim import models
from connector.scim.errors import ScimError, invalid_syntax, invalid_value, too_large

# A body of the allowed size could hold fifty thousand addresses, and each operation would copy them all.
MOST_VALUES: Final = 500

_BOOLEANS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: `parts` are its sub-attributes, `spellings` its canonical values by their casefolded form.

    `label` is its name with that of the attribute it is part of, for people to read.
    """

    name: str
    label: str
    kind: str
    multi: bool
    read_only: bool
    write_only: bool
    required: bool
    spellings: Mapping[str, str]
    parts: "Shape | None"


@dataclass(frozen=True, slots=True)
class Shape:
    """The attributes of a resource, an extension or a complex attribute, in the order they are answered."""

    urn: str
    attributes: tuple[Attribute, ...]
    by_name: Mapping[str, Attribute]

    def find(self, name: str) -> Attribute | None:
        """The attribute of that name in any case (RFC 7643 2.1)."""
        return self.by_name.get(name) or self.by_name.get(name.lower())


def fitted(attribute: Attribute, value: Any, *, strict: bool) -> Any:
    """The value as it is stored, or None where nothing is assigned (null, `[]`, `{}`: RFC 7643 2.5).

    Raises:
        ScimError: invalidValue where it cannot be read as the attribute's type.
    """
    if value is None:
        return None
    if attribute.multi:
        return _fitted_values(attribute, value, strict)
    return fitted_one(attribute, value, strict=strict)


def fitted_one(attribute: Attribute, value: Any, *, strict: bool) -> Any:
    """As `fitted`, for one value of an attribute that may have several."""
    if attribute.parts is not None:
        return _fitted_complex(attribute, attribute.parts, value, strict)
    return _SIMPLE[attribute.kind](attribute, value, strict)


def fitted_parts(shape: Shape, value: Mapping[str, Any], where: str, *, strict: bool) -> dict[str, Any]:
    """The assigned attributes of an object, named and ordered as declared. What a client may not write is left out."""
    found: dict[str, Any] = {}
    for key, sent in value.items():
        attribute = shape.find(key)
        if attribute is None:
            _unknown(f"{where}{key}", strict=strict)
        elif attribute.name in found:
            raise invalid_syntax(f"{where}{attribute.name} is there twice, spelled differently. Send it once.")
        else:
            found[attribute.name] = None if attribute.read_only else fitted(attribute, sent, strict=strict)
    return {a.name: found[a.name] for a in shape.attributes if found.get(a.name) is not None}


def read_only_part(shape: Shape, value: Mapping[str, Any]) -> dict[str, Any]:
    """What of an object no client may write: it outlives whatever a client replaces or removes."""
    return {a.name: value[a.name] for a in shape.attributes if a.read_only and a.name in value}


def in_order(shape: Shape, value: Mapping[str, Any]) -> dict[str, Any]:
    """The same object with its keys in the declared order; keys nobody declared come last."""
    ordered = {a.name: value[a.name] for a in shape.attributes if a.name in value}
    if len(ordered) < len(value):
        ordered.update((key, value[key]) for key in value if key not in ordered)
    return ordered


def one_primary(values: list[Any], name: str, *, strict: bool) -> None:
    """At most one value is the primary one (RFC 7643 2.4): of several the last stands."""
    marked = [value for value in values if isinstance(value, dict) and value.get("primary") is True]
    if len(marked) > 1 and strict:
        raise invalid_value(f"{name} has {len(marked)} primary values. Mark one.")
    for value in marked[:-1]:
        value["primary"] = False


def too_many_values(name: str, count: int) -> ScimError:
    """A list longer than one resource may have."""
    return too_large(f"{name} has {count} values; at most {MOST_VALUES} are taken.")


def _unknown(name: str, *, strict: bool) -> None:
    if strict:
        raise invalid_syntax(f"{_short(name)} is not an attribute of this resource (see /Schemas).")


def _fitted_values(attribute: Attribute, value: Any, strict: bool) -> list[Any] | None:
    if not isinstance(value, list):
        if strict:
            raise _misfit(attribute, "a list")
        value = [value]
    if len(value) > MOST_VALUES:
        raise too_many_values(attribute.name, len(value))
    values = [one for one in (fitted_one(attribute, each, strict=strict) for each in value) if one is not None]
    one_primary(values, attribute.name, strict=strict)
    return values or None


def _fitted_complex(attribute: Attribute, parts: Shape, value: Any, strict: bool) -> dict[str, Any] | None:
    if value is None and not strict:
        return None
    if isinstance(value, str) and not strict and "value" in parts.by_name:
        # Entra ID sends a manager as the bare id, and "" to take it away.
        value = {"value": value}
    if not isinstance(value, dict):
        raise _misfit(attribute, "an object")
    fit = fitted_parts(parts, value, f"{attribute.name}.", strict=strict)
    if fit.get("value") == "" and not strict:
        del fit["value"]
    return fit or None


def _text(attribute: Attribute, value: Any, strict: bool) -> str:
    if isinstance(value, str):
        return attribute.spellings.get(value.lower(), value) if attribute.spellings else value
    if not strict and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 64:
        return str(value)
    raise _misfit(attribute, "a text")


def _boolean(attribute: Attribute, value: Any, strict: bool) -> bool:
    if isinstance(value, bool):
        return value
    # Entra ID sends "True" and "False".
    if not strict and isinstance(value, str) and value.strip().lower() in _BOOLEANS:
        return _BOOLEANS[value.strip().lower()]
    raise _misfit(attribute, "true or false")


def _binary(attribute: Attribute, value: Any, strict: bool) -> str:
    try:
        return b64encode(b64decode("".join(_text(attribute, value, strict).split()), validate=True)).decode()
    except (NotBase64, ValueError):
        raise _misfit(attribute, "base64") from None


_SIMPLE: Final[Mapping[str, Callable[[Attribute, Any, bool], Any]]] = {
    "string": _text,
    "reference": _text,
    "boolean": _boolean,
    "binary": _binary,
    # Only attributes that nobody may write are of this type.
    "dateTime": _text,
}


def _misfit(attribute: Attribute, wanted: str) -> ScimError:
    # The value itself is not repeated: it may be a password in the wrong place.
    return invalid_value(f"{attribute.label} must be {wanted}.")


def _short(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:80]}…"  # noqa: PLR2004  # long enough to find it in a mapping


# --- the tables -----------------------------------------------------------------------------------------------------


def _shape(model: Any, urn: str = "", skip: frozenset[str] = frozenset(), within: str = "") -> Shape:
    names = [name for name in model.model_fields if name not in skip]
    attributes = tuple(_attribute(model, name, within) for name in names)
    return Shape(urn, attributes, {spelling: a for a in attributes for spelling in (a.name, a.name.lower())})


def _attribute(model: Any, field: str, within: str) -> Attribute:
    root = model.get_field_root_type(field)
    name = model._scim_name(field)  # noqa: SLF001  # the library offers no other way to a field's wire name
    complex_parts = getattr(root, "__is_complex_attribute__", False)
    writing = model.get_field_annotation(field, Mutability)
    return Attribute(
        name=name,
        label=f"{within}{name}",
        kind="complex" if complex_parts else _kind(root),
        multi=model.get_field_multiplicity(field),
        read_only=writing == Mutability.read_only,
        write_only=writing == Mutability.write_only,
        required=model.get_field_annotation(field, Required) == Required.true,
        spellings={one.value.lower(): one.value for one in root}
        if isinstance(root, type) and issubclass(root, Enum)
        else {},
        parts=_shape(root, within=f"{name}.") if complex_parts else None,
    )


def _kind(root: Any) -> str:
    from scim2_models import Attribute as Declared  # noqa: PLC0415  # the name is taken in this module

    return str(Declared.Type.from_python(root).value)


def _extension_fields(model: type[Resource[Any]]) -> frozenset[str]:
    return frozenset({"schemas", *(e.__name__ for e in model.get_extension_models().values())})


USER: Final = _shape(models.User, models.USER_SCHEMA, _extension_fields(models.User))
GROUP: Final = _shape(models.Group, models.GROUP_SCHEMA, frozenset({"schemas"}))
ENTERPRISE: Final = _shape(models.EnterpriseUser, models.ENTERPRISE_SCHEMA, frozenset({"schemas"}))
CONNECTOR: Final = _shape(models.ConnectorUser, models.CONNECTOR_SCHEMA, frozenset({"schemas"}))

EXTENSIONS: Final[Mapping[str, Shape]] = {shape.urn: shape for shape in (ENTERPRISE, CONNECTOR)}
"""The extensions of a User by their URNs, in the order they are answered."""
