"""One modify, encoded and read here, on ldap3's socket: several times less work than ldap3's, which thousands feel.

Bind and TLS stay ldap3's. Must never send a modify twice, nor take anything but its own answer for its answer. SYNC
strategy only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ldap3.core.exceptions import LDAPException
from ldap3.core.results import RESULT_CODES

from connector.ldap.reader import ConnectionLost, envelope, length_at, messages

ASSERTION = "1.3.6.1.1.12"  # RFC 4528

# RFC 4511 4.1.1, 4.6, 4.5.1: tags of what is sent and of the only answer to it.
_MODIFY, _ANSWER, _CONTROLS, _EQUALITY = 0x66, 0x67, 0xA0, 0xA3
_BOOLEAN, _INTEGER, _OCTETS, _ENUMERATED, _SEQUENCE, _SET = 0x01, 0x02, 0x04, 0x0A, 0x30, 0x31
_ADD, _DELETE = 0, 1
_SHORT = 0x80
_TRUE = b"\xff"


@dataclass(frozen=True, slots=True)
class Change:
    """Delete the old value and add the new one, in one modify; empty text is no value.

    `assertion` is an attribute and the value it must still have for anything to be changed (RFC 4528).
    """

    dn: str
    attribute: str
    old: str
    new: str
    assertion: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """How the server answered a write: RFC 4511 result code, its name, and the server's own words."""

    code: int
    description: str
    message: str


def send_modify(connection: Any, change: Change) -> Result:
    """Send one modify and wait for its answer. Raises ConnectionLost where none came: it may have arrived."""
    try:
        message_id = connection.server.next_message_id()
        connection.socket.sendall(encoded(message_id, change))
    except (LDAPException, OSError, AttributeError) as error:  # a connection that was closed has no socket
        raise ConnectionLost(str(error) or type(error).__name__) from error
    for message in messages(connection.socket):
        answers, operation, start = envelope(message)
        if (answers, operation) != (message_id, _ANSWER):
            raise ConnectionLost("the server ended the connection or answered something else")
        return _result(message, start)
    raise ConnectionLost("the server closed the connection")


def encoded(message_id: int, change: Change) -> bytes:
    """Give the whole LDAPMessage (RFC 4511 4.1.1)."""
    changes = b"".join(_changes(change))
    request = _tlv(_MODIFY, _octets(change.dn) + _tlv(_SEQUENCE, changes))
    # X.690 8.3: a leading zero where the first bit is set, or the number would be a negative one.
    number = _tlv(_INTEGER, message_id.to_bytes(message_id.bit_length() // 8 + 1, "big"))
    return _tlv(_SEQUENCE, number + request + (_asserting(*change.assertion) if change.assertion else b""))


def _changes(change: Change) -> Iterator[bytes]:
    for operation, value in ((_DELETE, change.old), (_ADD, change.new)):
        if value:
            attribute = _octets(change.attribute) + _tlv(_SET, _octets(value))
            yield _tlv(_SEQUENCE, _tlv(_ENUMERATED, bytes((operation,))) + _tlv(_SEQUENCE, attribute))


def _asserting(attribute: str, value: str) -> bytes:
    """Give a critical control: a server that does not know it must refuse (RFC 4511 4.1.11)."""
    condition = _tlv(_EQUALITY, _octets(attribute) + _octets(value))
    control = _octets(ASSERTION) + _tlv(_BOOLEAN, _TRUE) + _tlv(_OCTETS, condition)
    return _tlv(_CONTROLS, _tlv(_SEQUENCE, control))


def _octets(text: str) -> bytes:
    return _tlv(_OCTETS, text.encode("utf-8"))


def _tlv(tag: int, content: bytes) -> bytes:
    """Tag, length (X.690 8.1.3), content."""
    size = len(content)
    if size < _SHORT:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _SHORT | len(length))) + length + content


def _result(message: bytes, position: int) -> Result:
    """Read an LDAPResult (RFC 4511 4.1.9): code, matched DN, the server's words."""
    try:
        start, length = length_at(message, position + 1)
        code = int.from_bytes(message[start : start + length], "big")
        start, length = length_at(message, start + length + 1)
        start, length = length_at(message, start + length + 1)
        said = message[start : start + length].decode("utf-8", "replace")
    except IndexError as error:
        raise ConnectionLost("the server sent an answer that ends too early") from error
    return Result(code, RESULT_CODES.get(code, "unknown"), said)
