"""CSV files as outsiders write them: UTF-8 or refused, whole or refused.

A file is read once, in one piece, so that its digest covers exactly what was decided on. Nothing is guessed: an
encoding that is only suspected is named, never used.
"""

import codecs
import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from connector.adapters.table import Table
from connector.errors import SourceError

_EXPORT_AGAIN = 'Export it again as UTF-8 (in Excel: Save As, "CSV UTF-8 (Comma delimited)").'
_AS_CSV = "Unpack it, or export it as CSV in UTF-8, and put that file there."
_NO_TEXT = {
    b"PK\x03\x04": "a ZIP archive or a workbook (.xlsx)",
    b"\x1f\x8b": "a gzip archive",
    b"\xd0\xcf\x11\xe0": "an old workbook (.xls)",
}
_UTF_16_OR_32 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


@dataclass(frozen=True, slots=True)
class CsvFile:
    """The bytes of one file, and when it was last written."""

    name: str
    content: bytes
    written_at: datetime


def read_csv_file(path: Path) -> CsvFile:
    """Read a whole file. Raises SourceError where it cannot be read, or is being written while we read."""
    try:
        if not path.is_file():
            raise SourceError(f"{path} is not there, or is no file.", "Check the path and that the export has run.")
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            content = file.read()
            after = os.fstat(file.fileno())
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.", "Check owner and permissions.") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(content) != after.st_size:
        raise SourceError(f"{path.name} was being written while it was read.", "Run again when the export is finished.")
    return CsvFile(path.name, content, datetime.fromtimestamp(after.st_mtime, UTC))


def csv_table(file: CsvFile) -> Table:
    """Give a file as a table. Raises SourceError for what can be seen at once; walking the rows raises the rest."""
    text = decoded(file)
    records = _records(file.name, text)
    header = next(records, None)
    if header is None:
        raise SourceError(f"{file.name} is empty: it has not even a header.", "Export it again.")
    names = tuple(cell.strip() for cell in header[1])
    return Table(file.name, "line", names, _whole_rows(file.name, records, len(names), abrupt=text[-1] not in "\r\n"))


def decoded(file: CsvFile) -> str:
    """Give a file's text. Raises SourceError naming the line and the suspected encoding where it is not UTF-8."""
    content = file.content.removeprefix(codecs.BOM_UTF8)
    for beginning, what in _NO_TEXT.items():
        if content.startswith(beginning):
            raise SourceError(f"{file.name} is {what}, and no CSV file.", _AS_CSV)
    if content.startswith(_UTF_16_OR_32):
        raise SourceError(f"{file.name} is not UTF-8: line 1 begins as UTF-16 does.", _EXPORT_AGAIN)
    if b"\0" in content:
        raise _nul_bytes(file.name, content)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf_8(file.name, content, error) from error


def _nul_bytes(name: str, content: bytes) -> SourceError:
    line = _line_of(content, content.index(b"\0"))
    if content.count(b"\0") * 3 > len(content):
        return SourceError(f"{name} is not UTF-8: line {line} looks like UTF-16.", _EXPORT_AGAIN)
    return SourceError(
        f"{name} is damaged: line {line} holds a NUL byte, which no text has.",
        "Copy or export the file again; check the disk it comes from.",
    )


def _not_utf_8(name: str, content: bytes, error: UnicodeDecodeError) -> SourceError:
    byte = content[error.start]
    try:
        content.decode("cp1252")
        suspect = "it looks like Windows-1252 (what Excel calls CSV)"
    except UnicodeDecodeError:
        suspect = "its encoding is unknown"
    line = _line_of(content, error.start)
    return SourceError(f"{name} is not UTF-8: line {line} holds the byte 0x{byte:02x}; {suspect}.", _EXPORT_AGAIN)


def _line_of(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1


def _records(name: str, text: str) -> Iterator[tuple[int, Sequence[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        # A quote that is never closed swallows the rest of the file, up to the field limit of the csv module.
        raise SourceError(
            f"{name} breaks off in the record that begins on line {line}: {error}.",
            "A quote there is not closed, or the file was cut off. Export it again.",
        ) from error


def _whole_rows(
    name: str, records: Iterator[tuple[int, Sequence[str]]], width: int, *, abrupt: bool
) -> Iterator[tuple[int, Sequence[str]]]:
    record: tuple[int, Sequence[str]] | None = None
    for record in records:
        yield record
    if abrupt and record is not None and len(record[1]) < width:
        raise SourceError(
            f"{name} was cut off: line {record[0]}, its last, ends after {len(record[1])} of {width} fields.",
            "Copy or export the file again.",
        )
