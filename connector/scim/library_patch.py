"""The unusual steps of a PATCH, applied by scim2-models: filters of every form, additions to lists, list removals.

Pure. The library's faults and refusals come out as a ScimError; nothing else does. What a client may not write is kept
away from it and put back untouched.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError
from scim2_models import Context, PatchOp, SCIMException, ScimPolicy

from connector.scim.errors import ScimError, bad_request, invalid_value
from connector.scim.mending import Step
from connector.scim.models import USER_SCHEMA, User
from connector.scim.operations import PATCH_SCHEMA, Op
from connector.scim.shapes import EXTENSIONS, USER, fitted_parts, read_only_part

_STRICT: Final = ScimPolicy()
_TOLERANT: Final = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
_WRITABLE: Final = frozenset({*(a.name for a in USER.attributes if not a.read_only), *EXTENSIONS})
_Patch: Final[Any] = PatchOp[User]
_LONGEST_DETAIL: Final = 300


def by_library(document: Mapping[str, Any], steps: Sequence[Step], *, strict: bool) -> dict[str, Any]:
    """The document of a User after these steps; the one given is left as it is.

    Raises:
        ScimError: What the library refuses, in its own SCIM words.
    """
    policy = _STRICT if strict else _TOLERANT
    writable = {name: _writable(name, value) for name, value in document.items() if name in _WRITABLE}
    try:
        user = User.model_validate({"schemas": [USER_SCHEMA], **writable}, scim_policy=policy)
        body = {"schemas": [PATCH_SCHEMA], "Operations": [_operation(step) for step in steps]}
        patch = _Patch.model_validate(body, scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=policy)
        patch.patch(user, policy)
        dumped = user.model_dump()
    except SCIMException as refused:
        raise _refusal(refused.scim_type, str(refused)) from refused
    except ValidationError as refused:
        first = refused.errors(include_url=False, include_input=False)[0]
        raise _refusal(str(first.get("ctx", {}).get("scim_type") or ""), first["msg"]) from refused
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as fault:
        # A request must never be answered with a fault of ours or of the library's: it is refused instead.
        raise invalid_value("The operation cannot be applied to this resource. Nothing was changed.") from fault
    return _read_back(document, dumped)


def _operation(step: Step) -> dict[str, Any]:
    operation = {"op": step.op.value, "path": step.target.text}
    if step.op != Op.REMOVE or step.value is not None:
        operation["value"] = step.value
    return operation


def _writable(name: str, value: Any) -> Any:
    shape = EXTENSIONS.get(name)
    if shape is None:
        return value
    told = read_only_part(shape, value)
    return {key: one for key, one in value.items() if key not in told}


def _read_back(document: Mapping[str, Any], dumped: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in document.items() if name not in _WRITABLE}
    own = {name: value for name, value in dumped.items() if name != "schemas" and name not in EXTENSIONS}
    after = {**kept, **fitted_parts(USER, own, "", strict=False)}
    for urn, shape in EXTENSIONS.items():
        told = read_only_part(shape, document.get(urn, {}))
        if extension := told | fitted_parts(shape, dumped.get(urn) or {}, "", strict=False):
            after[urn] = extension
    return after


def _refusal(scim_type: str, message: str) -> ScimError:
    detail = message if len(message) <= _LONGEST_DETAIL else f"{message[:_LONGEST_DETAIL]}…"
    return bad_request(scim_type or "invalidValue", detail)
