"""What Users and Groups are made of, as scim2-models classes: every table of this package derives from them.

The library's own classes refuse what real providers send (an address like `x@local`, a manager without `$ref`, a photo
that is no URL); these accept it. Nothing here reads a request or decides anything.
"""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Self

import scim2_models as scim2
from pydantic import BaseModel, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema
from scim2_models import CaseExact, ComplexAttribute, External, Mutability, Reference, Required, Returned

USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE_SCHEMA = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
CONNECTOR_SCHEMA = "urn:ietf:params:scim:schemas:extension:connector:2.0:User"


class Link(Reference[External]):
    """A reference kept as it was sent: nobody follows it here, so nothing rests on its being a URL."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source_type: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Any text will do."""
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())


class _Labelled(BaseModel):
    """What has a `type` that may be any word."""

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy all but the words: Python before 3.11.4 copies those by their name, and one of a provider's has none."""
        known = {} if memo is None else memo
        known.update((id(word), word) for word in vars(self).values() if isinstance(word, Enum))
        return super().__deepcopy__(known)


class Email(_Labelled, scim2.Email):
    """An e-mail address of any spelling: a school's internal ones have no dot."""

    value: str | None = None
    """The address, as the provider sent it."""


class Photo(_Labelled, scim2.Photo):
    """A picture of the User, by reference."""

    value: Link | None = None
    """Where the picture is."""


class PhoneNumber(_Labelled, scim2.PhoneNumber):
    """A telephone number."""


class Im(_Labelled, scim2.Im):
    """An instant messaging address."""


class Address(_Labelled, scim2.Address):
    """An address of brick."""


class Manager(ComplexAttribute):
    """Somebody's manager. The library's class cannot do without `$ref`, which no provider sends."""

    value: Annotated[str | None, CaseExact.true] = None
    """The id of the manager's User."""

    ref: Reference["User"] | None = Field(None, serialization_alias="$ref", validation_alias="$ref")
    """The URI of the manager's User."""

    display_name: Annotated[str | None, Mutability.read_only] = None
    """The displayName of the manager's User."""


class EnterpriseUser(scim2.EnterpriseUser):
    """The enterprise extension. `employeeNumber` is the contact code of the admin system."""

    manager: Manager | None = None  # type: ignore[assignment]  # laxer than the library's on purpose
    """The User's manager."""


class Leg(ComplexAttribute):
    """One effect of a revocation on one target."""

    target: Annotated[str | None, Mutability.read_only] = None
    """The name of the target, as the school's configuration has it."""

    kind: Annotated[str | None, Mutability.read_only] = None
    """What is closed there: directory, credential or sessions."""

    state: Annotated[str | None, Mutability.read_only] = None
    """How far it is: intended, closed, unreachable, effective-by ..."""

    effective_by: Annotated[datetime | None, Mutability.read_only] = None
    """By when it has taken effect, where that cannot be seen."""


class ConnectorUser(scim2.Extension):
    """What the connector says about a User: where closing or opening stands. A client writes the note alone."""

    __schema__ = scim2.URN(CONNECTOR_SCHEMA)

    status: Annotated[str | None, Mutability.read_only] = None
    """active, ready_to_provision, ready_to_revoke, revoked or none."""

    legs: Annotated[list[Leg] | None, Mutability.read_only] = None
    """Every door that was or is being closed, with its state."""

    effective_by: Annotated[datetime | None, Mutability.read_only] = None
    """By when the last door is closed, while one still stands open."""

    reason: Annotated[str | None, Mutability.read_only] = None
    """Why, in words that may be told."""

    source: Annotated[str | None, Mutability.read_only, Returned.default] = None
    """Who decides about this person: admin (the admin system) or scim (the provider)."""

    note: str | None = None
    """A remark of the client's about the newest change, such as a ticket number. It stands in the audit record, too."""


class CoreUser(scim2.User[Any]):
    """The User of RFC 7643 4.1."""

    active: Annotated[bool | None, Required.true] = None
    """Whether the User is let in. A User always has it; one created without it is active."""

    profile_url: Link | None = None
    """Where the User's profile is shown."""

    emails: list[Email] | None = None  # type: ignore[assignment]  # laxer than the library's on purpose
    """E-mail addresses of the User."""

    photos: list[Photo] | None = None  # type: ignore[assignment]  # as above
    """Pictures of the User."""

    phone_numbers: list[PhoneNumber] | None = None  # type: ignore[assignment]  # as above
    """Telephone numbers of the User."""

    ims: list[Im] | None = None  # type: ignore[assignment]  # as above
    """Instant messaging addresses of the User."""

    addresses: list[Address] | None = None  # type: ignore[assignment]  # as above
    """Where the User lives or works."""


User: Any = CoreUser.__class_getitem__(EnterpriseUser | ConnectorUser)  # made at run time: no checker sees its fields
"""The User with both extensions: what a PATCH is applied to."""


class Member(scim2.GroupMember):
    """Somebody in a Group."""

    display: Annotated[str | None, Mutability.read_only, Returned.request] = None
    """The User's own name. What is sent as one is not kept, so it is told to who asks for it, and never in between."""


class Group(scim2.Group):
    """The Group of RFC 7643 4.2."""

    display_name: Annotated[str | None, Required.true] = None
    """The name of the Group."""

    members: list[Member] | None = None  # type: ignore[assignment]  # stricter than the library's on purpose
    """Who is in it."""
