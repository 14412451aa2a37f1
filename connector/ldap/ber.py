"""The little of BER that LDAP needs to say something (X.690, RFC 4511 5.1): pure, and quick enough for thousands.

Must never write a length or a number in a form that a strict server refuses.
"""

BOOLEAN, INTEGER, OCTETS, ENUMERATED, SEQUENCE, SET = 0x01, 0x02, 0x04, 0x0A, 0x30, 0x31
TRUE, FALSE = b"\xff", b"\x00"  # RFC 4511 5.1: true is always 0xFF
CONTROLS = 0xA0  # RFC 4511 4.1.1

_SHORT = 0x80


def tlv(tag: int, content: bytes) -> bytes:
    """Tag, length (X.690 8.1.3), content."""
    size = len(content)
    if size < _SHORT:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _SHORT | len(length))) + length + content


def octets(text: str) -> bytes:
    """A text as LDAP writes it: UTF-8 in an octet string."""
    return tlv(OCTETS, text.encode("utf-8"))


def integer(number: int) -> bytes:
    """A number that is not negative (X.690 8.3): a leading zero where the first bit is set, or it would be."""
    return tlv(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def enumerated(number: int) -> bytes:
    """One of a few numbers."""
    return tlv(ENUMERATED, bytes((number,)))


def whole(message_id: int, operation: bytes, *controls: bytes) -> bytes:
    """A whole message, an LDAPMessage (RFC 4511 4.1.1)."""
    return tlv(SEQUENCE, integer(message_id) + operation + (tlv(CONTROLS, b"".join(controls)) if controls else b""))


def control(name: str, value: bytes) -> bytes:
    """A critical control: a server that does not know it must refuse (RFC 4511 4.1.11)."""
    return tlv(SEQUENCE, octets(name) + tlv(BOOLEAN, TRUE) + tlv(OCTETS, value))
