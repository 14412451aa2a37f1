"""Bodies as identity providers send them, and the User they are sent about."""

from typing import Any

from connector.scim.resources import CONNECTOR_SCHEMA, ENTERPRISE_SCHEMA, USER_SCHEMA

PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

Document = dict[str, Any]


def patch(*operations: object) -> Document:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def op(name: str, path: str | None = None, **value: Any) -> Document:
    """One operation; `value` only where it is given."""
    return {"op": name, **({} if path is None else {"path": path}), **value}


def user_body(**attributes: Any) -> Document:
    return {"schemas": [USER_SCHEMA], "userName": "amy", **attributes}


def stored_user(enterprise: Document | None = None, **attributes: Any) -> Document:
    """A User as it stands in the database, with everything a client may not write."""
    document = {
        "schemas": [USER_SCHEMA, ENTERPRISE_SCHEMA, CONNECTOR_SCHEMA],
        "id": "u1",
        "meta": {"resourceType": "User", "version": 'W/"1"', "location": "@LOCATION@"},
        "userName": "amy",
        "active": True,
        **attributes,
        ENTERPRISE_SCHEMA: {"employeeNumber": "P001", **(enterprise or {})},
        CONNECTOR_SCHEMA: {"status": "active", "source": "admin"},
    }
    return {name: value for name, value in document.items() if value is not None}


def email(value: str, kind: str = "work", **more: Any) -> Document:
    return {"value": value, "type": kind, **more}
