"""What the service can do and what its resources are made of: ServiceProviderConfig, Schemas, ResourceTypes.

Pure. It says nothing that is not so: every figure comes from the settings the service runs with, every attribute from
the classes requests are read by.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import scim2_models as scim2

from connector.scim import models
from connector.scim.errors import ScimError, not_found

Document = dict[str, Any]

_SCHEMAS: Final = {
    models.USER_SCHEMA: (models.User, "User", "A person of the school, as the connector knows them"),
    models.GROUP_SCHEMA: (models.Group, "Group", "A portal of the school, or a group a provider pushed"),
    models.ENTERPRISE_SCHEMA: (models.EnterpriseUser, "Enterprise User", "employeeNumber is the contact code"),
    models.CONNECTOR_SCHEMA: (
        models.ConnectorUser,
        "Connector User",
        "Where closing or opening a User's access stands",
    ),
}
_DESCRIPTIONS: Final = {"User": "People with access", "Group": "Portals, and groups a provider pushed"}


@dataclass(frozen=True, slots=True)
class Offer:
    """The figures a client may rely on.

    Attributes:
        bulk_operations: How many operations one Bulk request may hold.
        bulk_bytes: How large its body may be.
        most_results: How many resources one page may hold.
        page_size: How many it holds when the client does not say.
        cursor_seconds: How long a cursor is good for.
    """

    bulk_operations: int = 100
    bulk_bytes: int = 1 << 20
    most_results: int = 200
    page_size: int = 100
    cursor_seconds: int = 900


def service_provider_config(offer: Offer, base_url: str) -> Document:
    """What the service supports. Source: RFC 7643 5, RFC 9865 4.

    Args:
        offer: The limits in force.
        base_url: Where the service is, without a slash at the end.
    """
    config = scim2.ServiceProviderConfig(
        patch=scim2.Patch(supported=True),
        bulk=scim2.Bulk(supported=True, max_operations=offer.bulk_operations, max_payload_size=offer.bulk_bytes),
        filter=scim2.Filter(supported=True, max_results=offer.most_results),
        change_password=scim2.ChangePassword(supported=False),
        sort=scim2.Sort(supported=True),
        etag=scim2.ETag(supported=True),
        authentication_schemes=[_bearer()],
        pagination=_pagination(offer),
    ).model_dump()
    return _located(config, "ServiceProviderConfig", f"{base_url}/ServiceProviderConfig")


def schemas(base_url: str) -> tuple[Document, ...]:
    """Every schema a resource here may name. Source: RFC 7643 7."""
    return tuple(schema(urn, base_url) for urn in _SCHEMAS)


def schema(urn: str, base_url: str) -> Document:
    """One schema by its URN, in any case.

    Raises:
        ScimError: 404 for any other.
    """
    known = next((one for one in _SCHEMAS if one.lower() == urn.lower()), None)
    if known is None:
        raise _unknown("schema", "/Schemas")
    return _located(_schema(known), "Schema", f"{base_url}/Schemas/{known}")


def resource_types(base_url: str) -> tuple[Document, ...]:
    """The kinds of resource. Source: RFC 7643 6."""
    return tuple(resource_type(name, base_url) for name in _DESCRIPTIONS)


def resource_type(name: str, base_url: str) -> Document:
    """One kind of resource by its name.

    Raises:
        ScimError: 404 for any other.
    """
    known = next((one for one in _DESCRIPTIONS if one.lower() == name.lower()), None)
    if known is None:
        raise _unknown("resource type", "/ResourceTypes")
    return _located(_resource_type(known), "ResourceType", f"{base_url}/ResourceTypes/{known}")


@cache
def _schema(urn: str) -> Document:
    model, name, description = _SCHEMAS[urn]
    document: Document = model.to_schema().model_dump()
    return {**document, "name": name, "description": description}


@cache
def _resource_type(name: str) -> Document:
    model = models.User if name == "User" else models.Group
    document: Document = scim2.ResourceType.from_resource(model).model_dump()
    return {**document, "description": _DESCRIPTIONS[name]}


def _located(document: Document, kind: str, location: str) -> Document:
    return {**document, "meta": {"resourceType": kind, "location": location}}


def _bearer() -> scim2.AuthenticationScheme:
    return scim2.AuthenticationScheme(
        type=scim2.AuthenticationScheme.Type.oauthbearertoken,
        name="OAuth Bearer Token",
        description="A token made by `connector token create`, sent as Authorization: Bearer.",
        spec_uri=scim2.Reference[scim2.External]("https://www.rfc-editor.org/info/rfc6750"),
        primary=True,
    )


def _pagination(offer: Offer) -> scim2.Pagination:
    return scim2.Pagination(
        cursor=True,
        index=True,
        default_pagination_method=scim2.Pagination.DefaultPaginationMethod.index,
        default_page_size=offer.page_size,
        max_page_size=offer.most_results,
        cursor_timeout=offer.cursor_seconds,
    )


def _unknown(what: str, where: str) -> ScimError:
    return not_found(f"There is no such {what}. {where} lists those there are.")
