"""A search request and its filter, encoded here: ldap3 needs longer to ask for a hundred GUIDs than a server to answer.

Pure. A filter written as text is still ldap3's to read, once. Must never put a value into a filter unencoded.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from ldap3 import BASE, SUBTREE
from ldap3.operation.search import search_operation
from ldap3.utils.asn1 import encode

from connector.ldap.ber import BOOLEAN, FALSE, OCTETS, SEQUENCE, control, enumerated, integer, octets, tlv, whole

PAGED_RESULTS = "1.2.840.113556.1.4.319"  # RFC 2696

# RFC 4511 4.5.1: the tags of a search and of the filters made here.
_SEARCH, _AND, _OR, _EQUALITY = 0x63, 0xA0, 0xA1, 0xA3
_SCOPES = {BASE: 0, SUBTREE: 2}
_NEVER_DEREFERENCE = 0


@lru_cache(maxsize=64)  # filters written as text are few: one for people, one for groups, a few of checks
def filter_of(text: str) -> bytes:
    """Encode a filter written as text (RFC 4515)."""
    request = search_operation("", text, BASE, "NEVER", [], 0, 0, False, True, True)  # noqa: FBT003 - ldap3's own order: types only, auto escape, auto encode
    encoded: bytes = encode(request["filter"])
    return encoded


def equals(attribute: str, value: bytes) -> bytes:
    """Entries that hold exactly this value; it is taken as it is, nothing in it needs escaping."""
    return tlv(_EQUALITY, octets(attribute) + tlv(OCTETS, value))


def all_of(*filters: bytes) -> bytes:
    """Entries that pass every one of these."""
    return tlv(_AND, b"".join(filters))


def any_of(filters: Iterable[bytes]) -> bytes:
    """Entries that pass at least one of these."""
    return tlv(_OR, b"".join(filters))


def search_request(
    message_id: int,
    base: str,
    query: bytes,
    attributes: Sequence[str],
    scope: str,
    page: tuple[int, bytes] | None,
) -> bytes:
    """Give the whole message (RFC 4511 4.5.1): no limits but the server's, no alias followed, values with types.

    `page` is how many entries and the cookie of the page before (RFC 2696).
    """
    limits = integer(0) + integer(0) + tlv(BOOLEAN, FALSE)
    wanted = tlv(SEQUENCE, b"".join(map(octets, attributes)))
    head = octets(base) + enumerated(_SCOPES[scope]) + enumerated(_NEVER_DEREFERENCE) + limits
    controls = (control(PAGED_RESULTS, _page(*page)),) if page else ()
    return whole(message_id, tlv(_SEARCH, head + query + wanted), *controls)


def _page(size: int, cookie: bytes) -> bytes:
    return tlv(SEQUENCE, integer(size) + tlv(OCTETS, cookie))
