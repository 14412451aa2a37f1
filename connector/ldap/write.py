"""Adding an entry, and changing several attributes of one at once (RFC 4511 4.6, 4.7).

Must never hold what it sends longer than it takes: the password of a new account is in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ldap3.core.exceptions import LDAPException
from ldap3.core.results import RESULT_CODES

from connector.ldap.ber import CONTROLS, OCTETS, SEQUENCE, SET, control, enumerated, integer, octets, tlv
from connector.ldap.modify import ASSERTION, Result
from connector.ldap.reader import ConnectionLost, envelope, length_at, messages

_MODIFY, _MODIFIED, _ADD, _ADDED, _EQUALITY = 0x66, 0x67, 0x68, 0x69, 0xA3
_ADD_VALUES, _DELETE_VALUES = 0, 1

RawValues = tuple[tuple[str, tuple[bytes, ...]], ...]
"""Attributes by name, each with its values as they go over the wire."""


@dataclass(frozen=True, slots=True)
class AddEntry:
    """A whole new entry. Never shown: its values may hold a password."""

    dn: str
    attributes: RawValues = field(repr=False)


@dataclass(frozen=True, slots=True)
class ModifyEntry:
    """Take these values away and put those in, all or nothing.

    What is taken away must be there, or nothing happens. `assertion` is an attribute and the value it must still have.
    """

    dn: str
    away: RawValues = ()
    put: RawValues = ()
    assertion: tuple[str, str] | None = None


def send(connection: Any, request: AddEntry | ModifyEntry) -> Result:
    """Send one write and wait for its answer. Raises ConnectionLost where none came: it may have arrived."""
    try:
        message_id = connection.server.next_message_id()
        connection.socket.sendall(encoded(message_id, request))
    except (LDAPException, OSError, AttributeError) as error:  # a connection that was closed has no socket
        raise ConnectionLost(str(error) or type(error).__name__) from error
    received = next(messages(connection.socket), b"")
    if not received:
        raise ConnectionLost("the server closed the connection")
    number, operation, start = envelope(received)
    if (number, operation) != (message_id, _ADDED if isinstance(request, AddEntry) else _MODIFIED):
        raise ConnectionLost("the server ended the connection or answered something else")
    return _result(received, start)


def encoded(message_id: int, request: AddEntry | ModifyEntry) -> bytes:
    """Give the whole LDAPMessage (RFC 4511 4.1.1)."""
    controls = b""
    if isinstance(request, AddEntry):
        attributes = b"".join(tlv(SEQUENCE, _attribute(name, values)) for name, values in request.attributes)
        operation = tlv(_ADD, octets(request.dn) + tlv(SEQUENCE, attributes))
    else:
        operation = tlv(_MODIFY, octets(request.dn) + tlv(SEQUENCE, _changes(request)))
        if request.assertion:
            name, value = request.assertion
            controls = tlv(CONTROLS, control(ASSERTION, tlv(_EQUALITY, octets(name) + octets(value))))
    return tlv(SEQUENCE, integer(message_id) + operation + controls)


def _changes(request: ModifyEntry) -> bytes:
    """Values go before others of the same attribute come (RFC 4511 4.6: in this order, as one)."""
    return b"".join(
        tlv(SEQUENCE, enumerated(operation) + tlv(SEQUENCE, _attribute(name, values)))
        for operation, part in ((_DELETE_VALUES, request.away), (_ADD_VALUES, request.put))
        for name, values in part
    )


def _attribute(name: str, values: Sequence[bytes]) -> bytes:
    return octets(name) + tlv(SET, b"".join(tlv(OCTETS, value) for value in values))


def _result(answer: bytes, position: int) -> Result:
    """Read an LDAPResult (RFC 4511 4.1.9): code, matched DN, the server's words."""
    try:
        start, length = length_at(answer, position + 1)
        code = int.from_bytes(answer[start : start + length], "big")
        start, length = length_at(answer, start + length + 1)
        start, length = length_at(answer, start + length + 1)
    except IndexError as error:
        raise ConnectionLost("the server sent an answer that ends too early") from error
    said = answer[start : start + length].decode("utf-8", "replace")
    return Result(code, RESULT_CODES.get(code, "unknown"), said)
