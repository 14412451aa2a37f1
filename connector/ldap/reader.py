"""A fast reader of search results: walks the BER itself and hands out raw bytes, three to four times faster than ldap3.

Bind and TLS stay ldap3's, and so does the last message of a page. Must never yield the end of a
search it did not see: a connection that breaks raises `ConnectionLost`, whatever was read before. SYNC strategy only.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import Any

from ldap3 import SUBTREE
from ldap3.core.exceptions import LDAPException
from ldap3.utils.asn1 import decode_message_fast

from connector.ldap.protection import RawAttributes
from connector.ldap.search import PAGED_RESULTS, filter_of, search_request

_MAX_MESSAGE = 64 * 1024 * 1024
_CHUNK = 128 * 1024

# RFC 4511 4.2, 4.5.2, 4.12: tags of the protocol operations that may answer a search.
_ENTRY, _DONE, _REFERENCE, _EXTENDED, _INTERMEDIATE = 0x64, 0x65, 0x73, 0x78, 0x79
_INTEGER, _OCTETS, _SEQUENCE, _SET = 0x02, 0x04, 0x30, 0x31
_LONG_FORM = 0x80

RawEntry = tuple[str, RawAttributes]


class ConnectionLost(Exception):  # noqa: N818 - it is what happened; the adapter says what it means
    """The connection broke, timed out, or carried what is no LDAP. Nothing sent on it is known to have arrived."""


class SearchRefused(Exception):  # noqa: N818 - as above
    """The server answered a search with another result than success."""

    def __init__(self, result: int, description: str, message: str) -> None:
        super().__init__(result, description, message)
        self.result = result
        self.description = description
        self.message = message


def read_pages(
    connection: Any,
    base: str,
    query: str | bytes,
    attributes: Sequence[str],
    *,
    scope: str = SUBTREE,
    page_size: int = 1000,
) -> Iterator[RawEntry]:
    """Yield every entry of a search, page after page, until the server has said that the last page was the last.

    A query is a filter as text, or encoded by `search`. Page size 0 asks without pages, for a single entry.
    Raises ConnectionLost where it breaks off, SearchRefused where the server says no.
    """
    cookie = b""
    encoded = filter_of(query) if isinstance(query, str) else query
    while True:
        page = (page_size, cookie) if page_size else None
        done = yield from _page(connection, (base, encoded, attributes, scope), page)
        if not page_size:
            return
        control = (done.get("controls") or {}).get(PAGED_RESULTS)
        if control is None:
            raise ConnectionLost("the server did not say whether there are more pages")
        cookie = control["value"]["cookie"]
        if not cookie:
            return


def _page(
    connection: Any, search: tuple[str, bytes, Sequence[str], str], page: tuple[int, bytes] | None
) -> Generator[RawEntry, None, dict[str, Any]]:
    try:
        message_id = connection.server.next_message_id()
        connection.socket.sendall(search_request(message_id, *search, page))
    except (LDAPException, OSError, AttributeError) as error:  # a connection that was closed has no socket
        raise ConnectionLost(str(error) or type(error).__name__) from error
    for message in messages(connection.socket):
        answers, operation, start = envelope(message)
        if answers != message_id:
            raise ConnectionLost("the server ended the connection or answered something else")
        if operation == _ENTRY:
            yield _entry(message, start)
        elif operation == _DONE:
            return _done(connection, message)
        elif operation not in (_REFERENCE, _INTERMEDIATE):  # references lead to other hosts: never followed
            raise ConnectionLost(f"the server answered a search with operation 0x{operation:02x}")
    raise ConnectionLost("the server closed the connection")


def messages(sock: Any) -> Iterator[bytes]:
    """Cut the stream into LDAP messages. Ends where the server closes."""
    buffer = b""
    while True:
        try:
            chunk = sock.recv(_CHUNK)
        except OSError as error:  # time-outs and TLS errors are OSErrors too
            raise ConnectionLost(str(error) or type(error).__name__) from error
        if not chunk:
            return
        buffer += chunk
        position = 0
        while (end := _message_end(buffer, position)) <= len(buffer):
            yield buffer[position:end]
            position = end
        buffer = buffer[position:]


def _message_end(buffer: bytes, position: int) -> int:
    """Give where the message that begins here ends; past the buffer while its length is not all here."""
    have = len(buffer) - position
    if have < 2:  # noqa: PLR2004 - tag and length
        return len(buffer) + 1
    if buffer[position] != _SEQUENCE:
        raise ConnectionLost("the server sent what is no LDAP message")
    if have < 2 + (buffer[position + 1] & 0x7F) and buffer[position + 1] & _LONG_FORM:
        return len(buffer) + 1
    start, length = length_at(buffer, position + 1)
    if length > _MAX_MESSAGE:
        raise ConnectionLost(f"the server announced a message of {length:,} bytes")
    return start + length


def length_at(data: bytes, position: int) -> tuple[int, int]:
    """Give where the content starts and how long it is (X.690 8.1.3); `position` is that of the length."""
    length = data[position]
    if length < _LONG_FORM:
        return position + 1, length
    start = position + 1 + (length & 0x7F)
    return start, int.from_bytes(data[position + 1 : start], "big")


def envelope(message: bytes) -> tuple[int, int, int]:
    """Give message id, operation tag, and where the operation's content starts."""
    try:
        position, _ = length_at(message, 1)
        start, length = length_at(message, position + 1)
        identifier = int.from_bytes(message[start : start + length], "big")
        operation = message[start + length]
        return identifier, operation, length_at(message, start + length + 1)[0]
    except IndexError as error:
        raise ConnectionLost("the server sent a message that ends too early") from error


def _entry(data: bytes, position: int) -> RawEntry:
    """Read a SearchResultEntry (RFC 4511 4.5.2). Lengths are checked, for a slice would hide one that lies."""
    attributes: dict[str, list[bytes]] = {}
    try:
        start, length = length_at(data, position + 1)
        name = data[start : start + length].decode("utf-8")
        start, length = length_at(data, start + length + 1)
        end = start + length
        if end > len(data):
            raise ConnectionLost("the server sent an entry longer than its message")
        while start < end:
            start, length = length_at(data, start + 1)
            attribute_end = start + length
            start, length = length_at(data, start + 1)
            key = data[start : start + length].decode("ascii").lower()
            attributes[key], start = _values(data, start + length)
            if start != attribute_end or start > end:
                raise ConnectionLost("the server sent an attribute whose length lies")
    except (IndexError, UnicodeDecodeError) as error:
        raise ConnectionLost("the server sent an entry that cannot be read") from error
    return name, attributes


def _values(data: bytes, position: int) -> tuple[list[bytes], int]:
    """Read a SET OF OCTET STRING; give its values and where it ends."""
    start, length = length_at(data, position + 1)
    end = start + length
    values = []
    while start < end:
        start, length = length_at(data, start + 1)
        values.append(data[start : start + length])
        start += length
    if start != end:
        raise ConnectionLost("the server sent values whose length lies")
    return values, end


def _done(connection: Any, message: bytes) -> dict[str, Any]:
    """Hand the last message of a page to ldap3, for result and cookie."""
    try:
        done: dict[str, Any] = connection.strategy.decode_response_fast(decode_message_fast(message))
    except Exception as error:  # ldap3's decoder raises whatever the bytes lead it to
        raise ConnectionLost("the server ended a page with what cannot be read") from error
    if done["result"]:
        raise SearchRefused(done["result"], done["description"], done["message"])
    return done
