"""The people every server of `make bench-scim` is filled with: the same for all of them, each known by a number.

Standard library alone: it is read by a peer's own interpreter too.
"""

from typing import Any

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"


def user_name(number: int) -> str:
    """Give the name of a User, as `bench_scim_load.lua` spells it."""
    return f"parent{number:07d}@school.example"


def user(number: int) -> dict[str, Any]:
    """Give a User as an identity provider sends one."""
    name = user_name(number)
    return {
        "schemas": [USER, ENTERPRISE],
        "externalId": f"00u{number:017d}",
        "userName": name,
        "name": {"givenName": f"Given{number}", "familyName": f"Family{number % 997}"},
        "displayName": f"Given{number} Family{number % 997}",
        "active": True,
        "emails": [{"value": name, "type": "work", "primary": True}],
        ENTERPRISE: {"employeeNumber": f"C{number:07d}", "department": "Parents"},
    }
