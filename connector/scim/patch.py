"""A PATCH applied to a document: the plain operations on the document itself, everything unusual through scim2-models.

Pure; the document that comes in is never changed, and a body is applied whole or not at all. What a provider says
about `active` is done or refused, never passed over.
"""

from collections.abc import Mapping
from typing import Any, Final

from connector.scim.errors import invalid_path, too_large
from connector.scim.library_patch import by_library
from connector.scim.member_changes import MemberChanges, member_changes
from connector.scim.mending import Step, steps
from connector.scim.operations import Operation, operations
from connector.scim.plain_patch import plainly
from connector.scim.resources import require_text, with_schemas
from connector.scim.shapes import GROUP, USER

__all__ = ["MemberChanges", "member_changes", "patched_group", "patched_user"]

Document = dict[str, Any]

MOST_WORK: Final = 500
"""How much of one PATCH may need the library, in values looked at times terms of a filter: half a millisecond each."""

_LENGTH_OF_A_TERM: Final = 40


def patched_user(document: Mapping[str, Any], body: object, *, strict: bool) -> Document:
    """The User after a PATCH. Equal to `document` where nothing changed.

    Args:
        document: The User as stored, extensions, id and meta included.
        body: The PatchOp, as read from JSON.
        strict: Refuse what the standard does not allow, instead of mending it.

    Raises:
        ScimError: invalidSyntax, invalidPath, invalidValue, noTarget or mutability. Source: RFC 7644 3.5.2.
    """
    patching = _Patching(dict(document), strict)
    for operation in operations(body, strict=strict):
        for step in steps(operation, patching.document, USER, strict=strict):
            patching.take(step)
    patching.settle()
    require_text(patching.document, "userName")
    return with_schemas(patching.document, USER)


def patched_group(document: Mapping[str, Any], rest: tuple[Operation, ...], *, strict: bool) -> Document:
    """The Group after what `member_changes` left over: the operations on its other attributes."""
    patched = dict(document)
    for operation in rest:
        for step in steps(operation, patched, GROUP, strict=strict):
            of_members = step.target.attribute is not None and step.target.attribute.name == "members"
            if of_members or not plainly(patched, step, strict=strict):
                raise invalid_path(f"{step.target.text} cannot be changed like this.")
    require_text(patched, "displayName")
    return with_schemas(patched, GROUP)


class _Patching:
    """A document in the making. Unusual steps are collected, because the library builds a model for each visit."""

    def __init__(self, document: Document, strict: bool) -> None:
        self.document = document
        self._strict = strict
        self._waiting: list[Step] = []
        self._work = 0

    def take(self, step: Step) -> None:
        """Apply a step now, or with the other unusual ones; steps on one attribute keep their order."""
        # Once the library is at work on an attribute it does the plain steps there, too.
        waits = any(_touched(step) == _touched(waiting) for waiting in self._waiting)
        if waits or not plainly(self.document, step, strict=self._strict):
            self._wait(step)

    def settle(self) -> None:
        """Apply what waits."""
        if self._waiting:
            self.document = by_library(self.document, self._waiting, strict=self._strict)
            self._waiting = []

    def _wait(self, step: Step) -> None:
        values = self.document.get(step.target.attribute.name, ()) if step.target.attribute else ()
        terms = 1 + len(step.target.condition or "") // _LENGTH_OF_A_TERM
        self._work += (1 + len(values)) * terms
        if self._work > MOST_WORK:
            raise too_large("The filters of this PATCH are too much for one request. Send several, with simpler paths.")
        self._waiting.append(step)


def _touched(step: Step) -> tuple[str, str]:
    return step.target.extension, step.target.attribute.name if step.target.attribute else ""
