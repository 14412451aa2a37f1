"""A few modifies at once, encoded and read here, on ldap3's socket: far less work than ldap3's, which thousands feel.

Bind and TLS stay ldap3's. Must never send a modify twice, nor take anything but its own answer for its answer. SYNC
strategy only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ldap3.core.exceptions import LDAPException
from ldap3.core.results import RESULT_CODES

from connector.ldap.ber import SEQUENCE, SET, control, enumerated, octets, tlv, whole
from connector.ldap.reader import ConnectionLost, envelope, length_at, messages

ASSERTION = "1.3.6.1.1.12"  # RFC 4528

# RFC 4511 4.6, 4.5.1: tags of what is sent and of the only answer to it.
_MODIFY, _ANSWER, _EQUALITY = 0x66, 0x67, 0xA3
_ADD, _DELETE = 0, 1


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


def send_modifies(connection: Any, changes: Sequence[Change]) -> list[Result]:
    """Send modifies of different entries together and wait for all answers, which come in any order (RFC 4511 3.1).

    Keep them few: raises ConnectionLost where one answer is missing, and then any of them may have arrived.
    """
    try:
        numbers = [connection.server.next_message_id() for _ in changes]
        connection.socket.sendall(b"".join(map(encoded, numbers, changes)))
    except (LDAPException, OSError, AttributeError) as error:  # a connection that was closed has no socket
        raise ConnectionLost(str(error) or type(error).__name__) from error
    results: dict[int, Result] = {}
    answers = messages(connection.socket)
    while len(results) < len(numbers):
        number, result = _answered(next(answers, b""))
        if number not in numbers or number in results:
            raise ConnectionLost("the server answered something else")
        results[number] = result
    return [results[number] for number in numbers]


def _answered(received: bytes) -> tuple[int, Result]:
    if not received:
        raise ConnectionLost("the server closed the connection")
    number, operation, start = envelope(received)
    if operation != _ANSWER:
        raise ConnectionLost("the server ended the connection or answered something else")
    return number, _result(received, start)


def encoded(message_id: int, change: Change) -> bytes:
    """Give the whole LDAPMessage (RFC 4511 4.1.1)."""
    changes = b"".join(_changes(change))
    request = tlv(_MODIFY, octets(change.dn) + tlv(SEQUENCE, changes))
    return whole(message_id, request, *((asserting(*change.assertion),) if change.assertion else ()))


def _changes(change: Change) -> Iterator[bytes]:
    for operation, value in ((_DELETE, change.old), (_ADD, change.new)):
        if value:
            attribute = octets(change.attribute) + tlv(SET, octets(value))
            yield tlv(SEQUENCE, enumerated(operation) + tlv(SEQUENCE, attribute))


def asserting(attribute: str, value: str) -> bytes:
    """Give the control that lets a write through only while an attribute has this value (RFC 4528)."""
    return control(ASSERTION, tlv(_EQUALITY, octets(attribute) + octets(value)))


def _result(answer: bytes, position: int) -> Result:
    """Read an LDAPResult (RFC 4511 4.1.9): code, matched DN, the server's words."""
    try:
        start, length = length_at(answer, position + 1)
        code = int.from_bytes(answer[start : start + length], "big")
        start, length = length_at(answer, start + length + 1)
        start, length = length_at(answer, start + length + 1)
        said = answer[start : start + length].decode("utf-8", "replace")
    except IndexError as error:
        raise ConnectionLost("the server sent an answer that ends too early") from error
    return Result(code, RESULT_CODES.get(code, "unknown"), said)
