"""What a PATCH operation means, step by step, once the spellings of real providers are mended.

Pure. Both ways of applying a step get the same one, so tolerance is decided here and nowhere else. A step never leaves
`active` unassigned, and a removal that names values never becomes a removal of all.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from connector.scim.errors import ScimError, invalid_path, invalid_value, mutability, no_target
from connector.scim.operations import Op, Operation, Target, named_in, targeted
from connector.scim.selection import equals, plain_condition
from connector.scim.shapes import EXTENSIONS, Attribute, Shape, fitted, fitted_one

# Entra ID: roles[primary eq "True"].value
_TEXTUAL_BOOLEAN = re.compile(r'\b(primary\s{1,8}eq\s{1,8})"(true|false)"', re.IGNORECASE)
# Without it a User would be open by default.
_ALWAYS_SAID: Final = frozenset({"active"})
_WRAPPING: Final = frozenset({"$ref", "value"})


@dataclass(frozen=True, slots=True)
class Step:
    """One change. `value` fits the target; for a removal it is None, or the values to take out of a list."""

    op: Op
    target: Target
    value: Any


def steps(operation: Operation, document: Mapping[str, Any], root: Shape, *, strict: bool) -> Iterator[Step]:
    """What one operation changes, in order; nothing at all where it names only what is not kept here.

    Raises:
        ScimError: invalidPath, invalidValue, noTarget or mutability.
    """
    target = _target(operation, root, strict=strict)
    if target is None:
        return
    if target.read_only:
        _leave_alone(operation, target, document, strict=strict)
    elif target.attribute is None:
        yield from _whole(operation, target, document, root, strict=strict)
    elif not target.attribute.write_only:
        # A password is taken and dropped: nobody signs in with it here.
        meant = operation if strict else _unwrapped(operation, target, target.attribute)
        for step in _changes(meant, target, target.attribute, document, strict=strict):
            _keep_said(step)
            yield step


def _unwrapped(operation: Operation, target: Target, attribute: Attribute) -> Operation:
    """The operation with its one value unwrapped: Entra ID without aadOptscim062020 sends it in a list of one.

    `"path": "active", "value": [{"$ref": null, "value": "False"}]`. Nothing else is taken for one value.
    """
    several = attribute.multi and target.part is None and target.condition is None
    wrapped = operation.value
    if several or not isinstance(wrapped, list) or len(wrapped) != 1 or not isinstance(wrapped[0], dict):
        return operation
    inner = wrapped[0]
    if (target.part or attribute).parts is not None:
        return replace(operation, value=inner)
    return replace(operation, value=inner["value"]) if "value" in inner and inner.keys() <= _WRAPPING else operation


def _target(operation: Operation, root: Shape, *, strict: bool) -> Target | None:
    if operation.path.lower() == "schemas":
        return None
    try:
        target = targeted(operation.path, root, strict=strict)
    except ScimError:
        if operation.named and not strict:
            return None
        raise
    if target is not None and target.condition is not None and not strict:
        spelled = _TEXTUAL_BOOLEAN.sub(lambda found: found[1] + found[2].lower(), target.condition)
        return replace(target, condition=spelled)
    return target


def _leave_alone(operation: Operation, target: Target, document: Mapping[str, Any], *, strict: bool) -> None:
    """A key in a value that a client may not write is passed over, a path to it is refused (RFC 7644 3.5.2)."""
    host = document.get(target.extension, {}) if target.extension else document
    name = target.attribute.name if target.attribute and target.part is None else ""
    same = name in host and host[name] == operation.value
    if not operation.named or (strict and not same):
        raise mutability(f"{target.text} is read-only. Nothing was changed.")


def _whole(
    operation: Operation, target: Target, document: Mapping[str, Any], root: Shape, *, strict: bool
) -> Iterator[Step]:
    """An extension, or the resource itself by the URN of its schema."""
    if operation.op == Op.REMOVE or operation.value is None:
        if not target.extension:
            raise no_target("A whole resource is not removed by PATCH. Use DELETE.")
        # One by one, so that what no client may write stays, and a removal comes after what was done there before.
        for attribute in EXTENSIONS[target.extension].attributes:
            if not attribute.read_only:
                yield Step(Op.REMOVE, replace(target, attribute=attribute), None)
        return
    prefix = f"{target.extension}:" if target.extension else ""
    for inner in named_in(operation, prefix):
        yield from steps(inner, document, root, strict=strict)


def _changes(
    operation: Operation, target: Target, attribute: Attribute, document: Mapping[str, Any], *, strict: bool
) -> Iterator[Step]:
    if target.condition is not None and not attribute.multi:
        if strict or attribute.parts is None:
            raise invalid_path(f"{attribute.name} has one value only: no filter selects among its values.")
        if not _meets(target, attribute, document):
            return
        target = replace(target, condition=None)
    if operation.op == Op.REMOVE:
        yield from _removal(operation, target, attribute, strict=strict)
    else:
        yield from _writing(operation, target, attribute, strict=strict)


def _meets(target: Target, attribute: Attribute, document: Mapping[str, Any]) -> bool:
    """Whether the one value is the one meant: `manager[value eq "id"]`. None yet: it will be."""
    wanted = plain_condition(target.condition or "", attribute)
    if wanted is None:
        raise invalid_path(f'{attribute.name} takes the filter [value eq "..."] only.')
    host = document.get(target.extension, {}) if target.extension else document
    current = host.get(attribute.name)
    return current is None or equals(current.get(wanted[0].name), wanted[1])


def _removal(operation: Operation, target: Target, attribute: Attribute, *, strict: bool) -> Iterator[Step]:
    named = operation.value is not None
    if named and strict:
        raise invalid_value("A remove operation has no value: a filter in its path selects what to remove.")
    if not named or not attribute.multi or target.part is not None or target.condition is not None:
        yield Step(Op.REMOVE, _whole_if_value(target, attribute), None)
        return
    # Entra ID: Remove with a list of values takes out only those.
    chosen = [_key(one) for one in fitted(attribute, operation.value, strict=False) or ()]
    if chosen:
        yield Step(Op.REMOVE, target, chosen)


def _key(value: dict[str, Any]) -> dict[str, Any]:
    """What a value is known by: Entra ID repeats a display name that may be out of date."""
    return {name: value[name] for name in ("value", "type") if name in value} or value


def _writing(operation: Operation, target: Target, attribute: Attribute, *, strict: bool) -> Iterator[Step]:
    if not operation.valued or (strict and operation.op == Op.ADD and operation.value is None):
        raise invalid_value(f"{operation.op.value} {target.text} needs a value.")
    fit = _fit(operation, target, attribute, strict=strict)
    yield from _outdated(operation.value, target, attribute)
    for part in _cleared(operation.value, target, attribute, strict=strict):
        yield Step(Op.REMOVE, _whole_if_value(replace(target, part=part), attribute), None)
        if part.name == "value" and not attribute.multi:
            return
    if fit is not None:
        yield Step(operation.op, target, fit)
    elif not _says_nothing(operation, target, attribute):
        yield Step(Op.REMOVE, _whole_if_value(target, attribute), None)


def _fit(operation: Operation, target: Target, attribute: Attribute, *, strict: bool) -> Any:
    if target.part is not None:
        fit = fitted(target.part, operation.value, strict=strict)
        return None if fit == "" and target.part.name == "value" and not strict else fit
    if target.condition is not None and operation.value is not None:
        return fitted_one(attribute, operation.value, strict=strict)
    return fitted(attribute, operation.value, strict=strict)


def _cleared(value: Any, target: Target, attribute: Attribute, *, strict: bool) -> Iterator[Attribute]:
    """The sub-attributes an object says null about."""
    one_object = target.part is None and (target.condition is not None or not attribute.multi)
    if not one_object or attribute.parts is None or not isinstance(value, dict):
        return
    for key, sent in value.items():
        part = attribute.parts.find(key)
        empty = sent is None or (sent == "" and key.lower() == "value" and not strict)
        if part is not None and empty and not part.read_only:
            yield part


def _says_nothing(operation: Operation, target: Target, attribute: Attribute) -> bool:
    """Adding no values, or an object with nothing in it that is kept, changes nothing."""
    if operation.op == Op.ADD and attribute.multi and target.condition is None:
        return True
    return target.part is None and isinstance(operation.value, dict) and attribute.parts is not None


def _outdated(value: Any, target: Target, attribute: Attribute) -> Iterator[Step]:
    """Another manager has another URL: the old one's does not stay behind."""
    ref = attribute.parts.find("$ref") if attribute.parts and not attribute.multi else None
    writes_value = target.part is None or target.part.name == "value"
    if ref is not None and writes_value and not (isinstance(value, dict) and "$ref" in value):
        yield Step(Op.REMOVE, replace(target, part=ref), None)


def _whole_if_value(target: Target, attribute: Attribute) -> Target:
    """A single complex attribute without its value is none: manager.value null takes the manager away."""
    if target.part is not None and target.part.name == "value" and not attribute.multi:
        return replace(target, part=None)
    return target


def _keep_said(step: Step) -> None:
    attribute = step.target.attribute
    if step.op == Op.REMOVE and attribute is not None and (attribute.required or attribute.name in _ALWAYS_SAID):
        raise mutability(f"{attribute.name} must have a value. Replace it instead of removing it.")
