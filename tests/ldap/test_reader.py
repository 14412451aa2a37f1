"""The fast reader reads what ldap3 reads, and takes nothing on trust."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ldap3 import SUBTREE

from connector.ldap.connection import DirectoryConnection
from connector.ldap.reader import ConnectionLost, SearchRefused, _entry, messages, read_pages
from tests.ldap.builders import openldap_settings, site
from tests.servers.slapd import Slapd

ATTRIBUTES = ("uid", "cn", "mail", "description", "entryUUID", "objectClass")


@pytest.fixture
def people(slapd: Slapd) -> str:
    """An OU with 25 people, names beyond ASCII and values beyond 127 and 65,535 bytes among them."""
    ou = slapd.add_ou()
    for number in range(25):
        slapd.add_user(
            f"reader{number}", ou=ou, description=["ü" * (number + 1) * 60, "x" * (70_000 if number == 7 else 1)]
        )
    return ou


@pytest.mark.parametrize("page_size", [1, 10, 25, 26, 1000])
def test_every_page_holds_what_ldap3_reads(slapd: Slapd, people: str, page_size: int) -> None:
    with slapd.admin() as connection:
        connection.search(people, "(uid=*)", SUBTREE, attributes=list(ATTRIBUTES))
        expected = {
            item["dn"]: {name.lower(): list(values) for name, values in item["raw_attributes"].items() if values}
            for item in connection.response
        }
        read = dict(read_pages(connection, people, "(uid=*)", ATTRIBUTES, page_size=page_size))

    assert read == expected
    assert len(read) == 25


def test_a_base_that_is_not_there_is_said(slapd: Slapd) -> None:
    with slapd.admin() as connection, pytest.raises(SearchRefused) as caught:
        list(read_pages(connection, f"ou=gone,{slapd.base}", "(uid=*)", ATTRIBUTES))

    assert caught.value.result == 32


def test_a_reading_given_up_half_way_leaves_nothing_for_the_next_question(
    slapd: Slapd, people: str, tmp_path: Path
) -> None:
    connection = DirectoryConnection("ldap", openldap_settings(slapd, tmp_path, page_size=10), site(tmp_path))
    reading: Any = connection.entries(people, "(uid=*)", ATTRIBUTES)
    next(reading)
    reading.close()

    entry = connection.one(people, ("ou",))

    connection.drop()
    assert entry is not None
    assert entry[0] == people


def bytes_as_a_stream(*chunks: bytes) -> list[bytes]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for chunk in chunks:
            theirs.sendall(chunk)
        theirs.shutdown(socket.SHUT_WR)
        return list(messages(ours))


def test_a_message_in_pieces_is_one_message() -> None:
    message = b"\x30\x82\x00\x05hello"

    assert bytes_as_a_stream(*[message[index : index + 1] for index in range(len(message))]) == [message]
    assert bytes_as_a_stream(message + message[:3], message[3:]) == [message, message]


def test_a_message_cut_off_is_no_message() -> None:
    assert bytes_as_a_stream(b"\x30\x05hel") == []


@pytest.mark.parametrize("noise", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff"])
def test_what_is_no_ldap_is_refused_at_once(noise: bytes) -> None:
    with pytest.raises(ConnectionLost):
        bytes_as_a_stream(noise)


def entry(*, name: bytes = b"uid=a", attributes: bytes | None = None) -> bytes:
    values = attributes if attributes is not None else sequence(octets(b"cn") + tlv(0x31, octets(b"x")))
    return tlv(0x64, octets(name) + sequence(values))


def tlv(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


def octets(content: bytes) -> bytes:
    return tlv(0x04, content)


def sequence(content: bytes) -> bytes:
    return tlv(0x30, content)


def test_an_entry_is_read() -> None:
    assert _entry(entry(), 2) == ("uid=a", {"cn": [b"x"]})


@pytest.mark.parametrize(
    "damaged",
    [
        lambda whole: whole[:-1],
        lambda whole: whole[:5],
        lambda whole: whole[:2],
        lambda whole: whole[:10] + b"\x7f" + whole[11:],
        lambda whole: whole[:-2] + b"\x84\xff\xff\xff\xff",
    ],
)
def test_a_damaged_entry_is_refused_never_half_read(damaged: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ConnectionLost):
        _entry(damaged(entry()), 2)


def test_lengths_that_lie_are_refused() -> None:
    longer = sequence(octets(b"cn") + bytes([0x31, 9]) + octets(b"x"))

    with pytest.raises(ConnectionLost):
        _entry(entry(attributes=longer), 2)


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(ConnectionLost):
        _entry(entry(name=b"\xff"), 2)
