"""What is encoded here is what ldap3 would have sent, byte for byte where there is only one way to say it."""

import uuid

import pytest
from ldap3 import BASE, SUBTREE
from ldap3.operation.search import search_operation
from ldap3.protocol.convert import build_controls_list
from ldap3.protocol.rfc2696 import paged_search_control
from ldap3.protocol.rfc4511 import LDAPMessage, MessageID, ProtocolOp
from ldap3.utils.asn1 import encode

from connector.ldap.ber import integer, tlv
from connector.ldap.dialect import Dialect, guid_filter
from connector.ldap.search import all_of, any_of, equals, filter_of, search_request

GUIDS = [str(uuid.UUID(int=number << 64 | number)) for number in range(1, 300)]


def of_ldap3(text: str) -> bytes:
    request = search_operation("", text, BASE, "NEVER", [], 0, 0, False, True, True)  # noqa: FBT003 - ldap3's own order
    encoded: bytes = encode(request["filter"])
    return encoded


def test_a_filter_of_many_guids_is_the_one_ldap3_makes_of_its_text() -> None:
    text = f"(&(objectClass=person)(|{''.join(f'(entryUUID={guid})' for guid in GUIDS)}))"

    ours = all_of(filter_of("(objectClass=person)"), any_of(guid_filter(Dialect.OPENLDAP, guid) for guid in GUIDS))

    assert ours == of_ldap3(text)


def test_a_guid_is_asked_for_as_active_directory_keeps_it() -> None:
    raw = uuid.UUID(GUIDS[5]).bytes_le

    assert guid_filter(Dialect.AD, GUIDS[5]) == equals("objectGUID", raw)
    assert equals("objectGUID", raw) == of_ldap3("(objectGUID=" + "".join(f"\\{byte:02x}" for byte in raw) + ")")


@pytest.mark.parametrize("value", [b"*", b")(uid=*", b"\\2a", b"\x00", b""])
def test_nothing_in_a_value_is_read_as_a_filter(value: bytes) -> None:
    assert equals("cn", value).endswith(bytes([4, len(value)]) + value)


@pytest.mark.parametrize("number", [1, 127, 128, 300, 70_000])
def test_a_whole_request_is_the_one_ldap3_would_have_sent(number: int) -> None:
    message = LDAPMessage()
    message["messageID"] = MessageID(number)
    request = search_operation("ou=ä,dc=b", "(uid=x)", SUBTREE, "NEVER", ["uid", "cn"], 0, 0, False, True, True)  # noqa: FBT003 - ldap3's own order
    message["protocolOp"] = ProtocolOp().setComponentByName("searchRequest", request)
    message["controls"] = build_controls_list([paged_search_control(True, 1000, b"cookie")])  # noqa: FBT003 - as above

    ours = search_request(number, "ou=ä,dc=b", filter_of("(uid=x)"), ("uid", "cn"), SUBTREE, (1000, b"cookie"))

    assert ours == encode(message)


@pytest.mark.parametrize(
    ("number", "octets"), [(0, b"\x00"), (127, b"\x7f"), (128, b"\x00\x80"), (65535, b"\x00\xff\xff")]
)
def test_a_number_is_never_a_negative_one(number: int, octets: bytes) -> None:
    assert integer(number) == bytes([2, len(octets)]) + octets


@pytest.mark.parametrize(
    ("size", "length"), [(0, b"\x00"), (127, b"\x7f"), (128, b"\x81\x80"), (65_536, b"\x83\x01\x00\x00")]
)
def test_a_length_is_written_in_the_shortest_form(size: int, length: bytes) -> None:
    assert tlv(4, b"x" * size)[: 1 + len(length)] == b"\x04" + length
