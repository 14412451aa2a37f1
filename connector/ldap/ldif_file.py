"""An LDIF export (RFC 2849) as entries that know their line, and edits that change one line and no other byte.

Pure: bytes in, values or bytes out. The file is hostile until parsed: a URL is never opened, base64 is strict, and a
file that may be cut off is an error naming the line, never a shorter directory.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from connector.ldap.protection import RawAttributes

_ATTRIBUTE = re.compile(rb"^([A-Za-z0-9.-]+(?:;[A-Za-z0-9=*-]+)*):(:|<)?(.*)$", re.DOTALL)
_LOGICAL = re.compile(rb"[^\n]*\n(?: [^\n]*\n)*")
_FOLD = re.compile(rb"\r?\n ")
# RFC 2849: SAFE-STRING; a trailing space would be lost in an editor.
_SAFE = re.compile(rb"^(?![ :<])[\x01-\x09\x0b\x0c\x0e-\x7f]*(?<! )$")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"


class LdifError(ValueError):
    """What is wrong, and in which line."""

    def __init__(self, line: int, what: str, remedy: str = "Export the directory again.") -> None:
        super().__init__(line, what, remedy)
        self.line = line
        self.what = what
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class LdifEntry:
    """One entry: its name, its attributes (names in lower case), its first line, and where its bytes are."""

    dn: str
    raw: RawAttributes
    line: int
    start: int
    end: int


def parse(content: bytes) -> tuple[LdifEntry, ...]:
    """Read every entry of an export. Raises LdifError."""
    _refuse_other_files(content)
    entries = []
    seen: dict[str, int] = {}
    for record in _records(content):
        entry = _entry(record)
        if entry is None:
            continue
        if other := seen.get(entry.dn.casefold()):
            raise LdifError(entry.line, f"{entry.dn!r} is here a second time; first in line {other}")
        seen[entry.dn.casefold()] = entry.line
        entries.append(entry)
    return tuple(entries)


@dataclass(frozen=True, slots=True)
class Edit:
    """Bytes to put in place of others; offsets are those of the file that was parsed."""

    start: int
    end: int
    new: bytes


def edit(content: bytes, entry: LdifEntry, attribute: str, value: str) -> Edit:
    """Give the edit that sets one attribute of one entry (empty: takes it away).

    The attribute has at most one value. The line keeps its spelling and its line ending.
    """
    wanted = attribute.lower().encode()
    lines = list(_logical_lines(content, entry.start, entry.end, entry.line))
    newline = b"\r\n" if content[lines[0].end - 2 : lines[0].end] == b"\r\n" else b"\n"
    for line in lines:
        match = _ATTRIBUTE.match(line.text)
        if match and match.group(1).lower() == wanted:
            new = attribute_line(match.group(1).decode("ascii"), value.encode()) + newline if value else b""
            return Edit(line.start, line.end, new)
    end = lines[-1].end
    return Edit(end, end, attribute_line(attribute, value.encode()) + newline if value else b"")


def edited(content: bytes, edits: Iterable[Edit]) -> bytes:
    """Give the file with these edits made, every other byte as it was."""
    parts = []
    position = 0
    for change in sorted(edits, key=lambda change: change.start):
        parts += [content[position : change.start], change.new]
        position = change.end
    return b"".join((*parts, content[position:]))


def attribute_line(name: str, value: bytes) -> bytes:
    """Write one attribute, in base64 where its value is not safe as it is. Without line ending."""
    if _SAFE.match(value):
        return name.encode("ascii") + b": " + value
    return name.encode("ascii") + b":: " + base64.b64encode(value)


class _Line(NamedTuple):
    """A logical line: continuation lines joined (RFC 2849 note 2), and where it stands in the file."""

    text: bytes
    number: int
    start: int
    end: int


def _refuse_other_files(content: bytes) -> None:
    if content.startswith(_UTF16) or b"\0" in content:
        raise LdifError(1, "the file is UTF-16, not UTF-8", "Export it with ldifde without -u, or save it as UTF-8.")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LdifError(line, "the file is not UTF-8, perhaps Windows-1252", "Save it as UTF-8.") from error
    if not content.strip():
        raise LdifError(1, "the file is empty")
    if not content.endswith(b"\n"):
        line = content.count(b"\n") + 1
        raise LdifError(line, "the last line does not end, so the file may be cut off")


def _records(content: bytes) -> Iterator[list[_Line]]:
    """Cut the file at its empty lines; comments are left out."""
    start = len(_BOM) if content.startswith(_BOM) else 0
    record: list[_Line] = []
    for line in _logical_lines(content, start, len(content), 1):
        if line.text:
            record += [line] if not line.text.startswith(b"#") else []
        elif record:
            yield record
            record = []
    if record:
        yield record


def _logical_lines(content: bytes, start: int, end: int, number: int) -> Iterator[_Line]:
    for match in _LOGICAL.finditer(content, start, end):
        text = match.group()
        first = number
        number += 1
        if text.startswith((b" ", b"\n ", b"\r\n ")):
            raise LdifError(first + (not text.startswith(b" ")), "a line continues nothing")
        if b"\n " in text:
            number += text.count(b"\n") - 1
            text = _FOLD.sub(b"", text)
        yield _Line(text.removesuffix(b"\n").removesuffix(b"\r"), first, match.start(), match.end())


def _entry(record: list[_Line]) -> LdifEntry | None:
    if record[0].text.lower().startswith(b"version:"):
        if record[0].text.partition(b":")[2].strip() != b"1":
            raise LdifError(record[0].number, "the file is of another version of LDIF than 1")
        record = record[1:]
        if not record:
            return None
    first = record[0]
    name, value = _attribute(first)
    if name != "dn":
        raise LdifError(
            first.number,
            f"an entry begins with {name!r}, not with dn",
            "Export with ldifde or ldapsearch -LLL -o ldif-wrap=no.",
        )
    attributes: dict[str, list[bytes]] = {}
    for line in record[1:]:
        name, raw = _attribute(line)
        if name in ("changetype", "control"):
            raise LdifError(line.number, "the file holds changes, not entries", "Name an export of the directory.")
        if name == "dn":
            raise LdifError(line.number, "an entry begins without an empty line before it")
        attributes.setdefault(name, []).append(raw)
    if not attributes:
        raise LdifError(first.number, "the entry has no attributes, so the file may be cut off")
    return LdifEntry(_dn(value, first.number), attributes, first.number, first.start, record[-1].end)


def _attribute(line: _Line) -> tuple[str, bytes]:
    match = _ATTRIBUTE.match(line.text)
    if not match:
        raise LdifError(line.number, f"{line.text[:40]!r} is not of the form attribute: value")
    description, kind, value = match.groups()
    name, value = _name(description), value.lstrip(b" ")
    if kind == b"<":
        raise LdifError(line.number, f"{name} points to a URL, which is never opened", "Export the values themselves.")
    if kind != b":":
        return name, value
    try:
        return name, base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise LdifError(line.number, f"{name} is not base64") from error


@lru_cache(maxsize=1024)
def _name(description: bytes) -> str:
    return description.decode("ascii").lower()


def _dn(value: bytes, line: int) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LdifError(line, "the name of the entry is not UTF-8", "Save the file as UTF-8.") from error
