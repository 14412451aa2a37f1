"""What a PATCH of a Group does to its members, without the members: who goes in, who goes out, or who all of them are.

Pure. A Group may have ten thousand members, so none is ever loaded here. A removal that names values takes out only
those: it never empties a Group.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from connector.scim.errors import ScimError, invalid_filter, invalid_value, mutability
from connector.scim.models import GROUP_SCHEMA
from connector.scim.operations import Op, Operation, Target, named_in, operations, targeted
from connector.scim.resources import member_ids
from connector.scim.shapes import GROUP

_TOKEN = re.compile(r'\s*(?:(or)\b|value\s+eq\s+("(?:[^"\\\x00-\x1f]|\\.)*"))', re.IGNORECASE)
_WRITES: Final = frozenset({Op.ADD, Op.REPLACE})


@dataclass(frozen=True, slots=True)
class MemberChanges:
    """What becomes of the members, once the whole body is done.

    Attributes:
        add: Ids to be in the Group afterwards.
        remove: Ids not to be in it afterwards; none of them is in `add`.
        replace: When not None, the members are exactly these and `add` and `remove` are empty; `()` is everybody out.
        rest: The operations on other attributes, for `patched_group`.
    """

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    replace: tuple[str, ...] | None = None
    rest: tuple[Operation, ...] = ()

    @property
    def touches_members(self) -> bool:
        """Whether anything is said about members at all."""
        return bool(self.add or self.remove) or self.replace is not None


def member_changes(body: object, *, strict: bool) -> MemberChanges:
    """Read a PatchOp for a Group.

    Raises:
        ScimError: As `patched_user`; invalidFilter where members are selected by anything but their id.
    """
    said = _Said()
    rest: list[Operation] = []
    for operation in _flat(operations(body, strict=strict)):
        target = _members(operation, strict=strict)
        if target is None:
            rest.append(operation)
        else:
            _say(said, operation, target, strict=strict)
    return said.changes(tuple(rest))


class _Said:
    """What the operations so far come to: the last word on each id, and whether the Group was emptied before."""

    def __init__(self) -> None:
        self.all_out = False
        self.last: dict[str, bool] = {}

    def everybody_out(self) -> None:
        self.all_out = True
        self.last.clear()

    def put(self, ids: tuple[str, ...], *, inside: bool) -> None:
        for one in ids:
            self.last.pop(one, None)
            self.last[one] = inside

    def changes(self, rest: tuple[Operation, ...]) -> MemberChanges:
        inside = tuple(one for one, is_in in self.last.items() if is_in)
        if self.all_out:
            return MemberChanges(replace=inside, rest=rest)
        outside = tuple(one for one, is_in in self.last.items() if not is_in)
        return MemberChanges(add=inside, remove=outside, rest=rest)


def _flat(several: Iterable[Operation]) -> Iterator[Operation]:
    """Attributes written under the URN of the Group's own schema are written to the Group."""
    for operation in several:
        if operation.path.lower() == GROUP_SCHEMA.lower() and operation.op in _WRITES:
            yield from _flat(named_in(operation))
        else:
            yield operation


def _members(operation: Operation, *, strict: bool) -> Target | None:
    """The target when it is the members; any other path is judged by whoever applies the rest."""
    if "members" not in operation.path.lower():
        return None
    try:
        target = targeted(operation.path, GROUP, strict=strict)
    except ScimError:
        if operation.named and not strict:
            return None
        raise
    return target if target and target.attribute and target.attribute.name == "members" else None


def _say(said: _Said, operation: Operation, target: Target, *, strict: bool) -> None:
    if target.part is not None and target.part.name != "value":
        # Only ids are kept: a display name in a membership is the User's own.
        _refuse_part(target, strict=strict)
    elif target.condition is not None:
        _say_selected(said, operation, _ids_in(target.condition), strict=strict)
    elif operation.op == Op.REMOVE:
        _say_removed(said, operation.value, strict=strict)
    elif not operation.valued:
        raise invalid_value(f"{operation.op.value} members needs a value.")
    else:
        if operation.op == Op.REPLACE:
            said.everybody_out()
        said.put(member_ids(operation.value), inside=True)


def _say_removed(said: _Said, value: Any, *, strict: bool) -> None:
    if value is None:
        said.everybody_out()
    elif strict:
        raise invalid_value('A remove operation has no value: use the path members[value eq "id"].')
    else:
        # Entra ID: Remove with a list takes out only those, and an empty list nobody.
        said.put(member_ids(value), inside=False)


def _say_selected(said: _Said, operation: Operation, ids: tuple[str, ...], *, strict: bool) -> None:
    if operation.op in _WRITES and strict:
        raise mutability("A member is added or removed, never changed (RFC 7643 4.2).")
    said.put(ids, inside=operation.op in _WRITES)


def _refuse_part(target: Target, *, strict: bool) -> None:
    if strict:
        raise mutability(f"{target.text} cannot be changed: a member is added or removed (RFC 7643 4.2).")


def _ids_in(condition: str) -> tuple[str, ...]:
    """The ids of `value eq "a" or value eq "b"`. Other filters would need the members at hand."""
    tokens = list(_tokens(condition))
    if len(tokens) % 2 == 0 or any((token is None) == (at % 2 == 0) for at, token in enumerate(tokens)):
        raise _only_ids()
    return tuple(dict.fromkeys(token for token in tokens if token is not None))


def _tokens(condition: str) -> Iterator[str | None]:
    """Each id, and None for each `or`."""
    condition = condition.strip()
    at = 0
    while at < len(condition):
        match = _TOKEN.match(condition, at)
        if match is None:
            raise _only_ids()
        yield None if match[1] else _id(match[2])
        at = match.end()


def _id(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        raise _only_ids() from None


def _only_ids() -> ScimError:
    return invalid_filter('Members are selected by id only: members[value eq "id"].')
