"""ETags: a version is asked for, or must not have changed (RFC 7644 3.14, RFC 9110 13.1).

Versions are compared weakly, as they are weak. A client that sends no condition is never refused for one. Pure.
"""

import re
from dataclasses import dataclass

from connector.scim.errors import precondition_failed

_TAG = re.compile(r'(?:W/)?"([^"]*)"')


def etag(version: int) -> str:
    """Give the ETag of a version, as it stands in `meta.version`."""
    return f'W/"{version}"'


@dataclass(frozen=True, slots=True)
class IfMatch:
    """The versions a write may change; None where the client does not mind."""

    versions: frozenset[str] | None = None

    @classmethod
    def read(cls, header: str | None) -> "IfMatch":
        """Read the header If-Match, or the `version` of a Bulk operation."""
        if not header or header.strip() == "*":
            return cls()
        return cls(_versions(header))

    def check(self, version: int) -> None:
        """Raise ScimError 412 where the resource has another version by now."""
        if self.versions is not None and str(version) not in self.versions:
            raise precondition_failed(f"The resource has the version {etag(version)} by now. Nothing was changed.")


def is_known(header: str | None, version: int) -> bool:
    """Say whether If-None-Match names the version: then the client has it already."""
    if not header:
        return False
    return header.strip() == "*" or str(version) in _versions(header)


def _versions(header: str) -> frozenset[str]:
    found = _TAG.findall(header)
    # Some send a bare version without quotes.
    return frozenset(found or (part.strip() for part in header.split(",")))
