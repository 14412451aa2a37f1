"""The steps that make up nearly all PATCH traffic, done on the document itself: no model is built.

Pure. A step that is not plainly one of these is left to the library, and a property test holds the two equal. Values
inside the document are never changed in place: it may be the one that is stored.
"""

from collections.abc import Mapping
from typing import Any

from connector.scim.errors import no_target
from connector.scim.mending import Step
from connector.scim.operations import Op
from connector.scim.selection import comparable, equals, plain_condition
from connector.scim.shapes import MOST_VALUES, Attribute, in_order, too_many_values

Document = dict[str, Any]


def plainly(document: Document, step: Step, *, strict: bool) -> bool:
    """Apply a step to the top level of `document`; False when it is not a plain one and nothing was done.

    Raises:
        ScimError: noTarget where a strict client's filter selects nothing.
    """
    target = step.target
    attribute = target.attribute
    if attribute is None:
        return False
    host = dict(document.get(target.extension, ())) if target.extension else document
    if target.condition is not None:
        done = _selected(host, step, attribute, strict=strict)
    else:
        done = _unfiltered(host, step, attribute)
    if done and target.extension:
        _put(document, target.extension, host)
    return done


def _unfiltered(host: Document, step: Step, attribute: Attribute) -> bool:
    part = step.target.part
    if attribute.multi and part is not None:
        return False
    if attribute.multi and step.op == Op.ADD:
        _put(host, attribute.name, _joined(host.get(attribute.name, []), step.value, attribute))
    elif attribute.multi and step.op == Op.REMOVE and step.value is not None:
        _put(host, attribute.name, _without(host.get(attribute.name, []), step.value, attribute))
    elif part is not None:
        _write_part(host, attribute, part, step.value)
    elif isinstance(step.value, dict) and attribute.parts is not None:
        host[attribute.name] = in_order(attribute.parts, {**host.get(attribute.name, {}), **step.value})
    else:
        _put(host, attribute.name, step.value)
    return True


def _joined(values: list[Any], added: list[Any], attribute: Attribute) -> list[Any]:
    """The values with those added that are not there yet. A new primary one takes it from the old (RFC 7644 3.5.2)."""
    known = {frozenset(comparable(attribute, one).items()) for one in values}
    new = [one for one in added if frozenset(comparable(attribute, one).items()) not in known]
    if len(values) + len(new) > MOST_VALUES:
        raise too_many_values(attribute.name, len(values) + len(new))
    if any(one.get("primary") is True for one in new):
        values = [{**one, "primary": False} if one.get("primary") is True else one for one in values]
    return [*values, *new]


def _without(values: list[Any], removed: list[Any], attribute: Attribute) -> list[Any]:
    """The values but for those that are as one of the removed in all it says."""
    # By the names they give, so that hundreds are not compared with hundreds.
    sought: dict[tuple[str, ...], set[tuple[Any, ...]]] = {}
    for one in removed:
        said = comparable(attribute, one)
        sought.setdefault(tuple(said), set()).add(tuple(said.values()))
    kept = []
    for value in values:
        said = comparable(attribute, value)
        if not any(tuple(said.get(name) for name in names) in wanted for names, wanted in sought.items()):
            kept.append(value)
    return kept


def _write_part(host: Document, attribute: Attribute, part: Attribute, value: Any) -> None:
    _put(host, attribute.name, _with_part(host.get(attribute.name, {}), attribute, part, value))


def _with_part(before: Mapping[str, Any], attribute: Attribute, part: Attribute, value: Any) -> Document:
    after = {**before, part.name: value} if value is not None else {k: v for k, v in before.items() if k != part.name}
    return in_order(attribute.parts, after) if attribute.parts else after


def _put(host: Document, name: str, value: Any) -> None:
    """Assign, where nothing (null, `[]`, `{}`) means not to be there at all."""
    if value in (None, [], {}):
        host.pop(name, None)
    else:
        host[name] = value


def _selected(host: Document, step: Step, attribute: Attribute, *, strict: bool) -> bool:
    """`emails[type eq "work"].value`, and the removal of the values a filter selects."""
    wanted = plain_condition(step.target.condition or "", attribute)
    part = step.target.part
    if wanted is None or (part is None and step.op != Op.REMOVE) or (part and part.name in ("primary", wanted[0].name)):
        return False
    key, text = wanted
    values = host.get(attribute.name, [])
    chosen = [equals(one.get(key.name), text) for one in values]
    if part is None:
        _put(host, attribute.name, [one for one, hit in zip(values, chosen, strict=True) if not hit])
        return True
    if step.op != Op.REMOVE and not any(chosen):
        _put(host, attribute.name, [*values, _described(attribute, key, text, part, step.value, values, strict=strict)])
        return True
    changed = [
        _with_part(one, attribute, part, step.value) if hit else one for one, hit in zip(values, chosen, strict=True)
    ]
    _put(host, attribute.name, [one for one in changed if one])
    return True


def _described(
    attribute: Attribute, key: Attribute, text: str, part: Attribute, value: Any, values: list[Any], *, strict: bool
) -> Document:
    """The value a filter describes. The standard says noTarget, Entra ID expects it to be made."""
    if strict:
        raise no_target(f"No value of {attribute.name} matches the filter. Nothing was changed.")
    if len(values) >= MOST_VALUES:
        raise too_many_values(attribute.name, len(values) + 1)
    made = {key.name: key.spellings.get(text.lower(), text), part.name: value}
    return in_order(attribute.parts, made) if attribute.parts else made
