"""Change records (RFC 2849) of what was done to an export: for people to review, for ldapmodify and ldifde to replay.

Each deletes the old value and adds the new one, so a replay changes only what still is as it was. Must never hold text
that could start a record of its own: names and values that are not plain are base64.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from connector.ldap.ldif_file import attribute_line
from connector.on_disk import sync_folder

_NEW_FILE_MODE = 0o640
_BINARY = getattr(os, "O_BINARY", 0)  # Windows alone writes text otherwise


def change_record(dn: str, attribute: str, old: str, new: str) -> bytes:
    """Write one modify that deletes the old value and adds the new one; empty text is no value."""
    lines = [attribute_line("dn", dn.encode()), b"changetype: modify"]
    for operation, value in (("delete", old), ("add", new)):
        if value:
            lines += [attribute_line(operation, attribute.encode()), attribute_line(attribute, value.encode()), b"-"]
    return b"\n".join(lines) + b"\n\n"


def append_records(file: Path, records: Sequence[bytes]) -> None:
    """Append records, durably, before the export is changed. One that is the last word on its entry is not repeated.

    That happens after a crash between the two: the record is there, the change is not.
    """
    content = file.read_bytes() if file.exists() else b""
    last = {record.partition(b"\n")[0]: record for record in _records(content)}
    new = b"".join(record for record in records if last.get(record.partition(b"\n")[0]) != record.rstrip(b"\n"))
    if not new:
        return
    # A record torn by a crash is ended by an empty line; alone it is refused by every tool, not misread.
    start = b"version: 1\n\n" if not content else b"" if content.endswith(b"\n\n") else b"\n\n"
    # A new one is not for everybody on the machine: it names people and what became of them.
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _BINARY, _NEW_FILE_MODE), "ab") as stream:
        stream.write(start + new)
        stream.flush()
        os.fsync(stream.fileno())
    sync_folder(file.resolve().parent)


def _records(content: bytes) -> list[bytes]:
    return [record.strip(b"\n") for record in content.split(b"\n\n") if record.strip()]
