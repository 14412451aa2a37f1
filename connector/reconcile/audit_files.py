"""Files an auditor takes away: on the disk when that is said, readable by their owner alone, never half a file unsaid.

They hold names and what was decided about people. Nothing here knows what stands in a line.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from connector.errors import ConfigError
from connector.on_disk import sync_folder


def write_once(path: Path, lines: Iterable[str]) -> None:
    """Write a new file, durably. Raises ConfigError where it cannot, or where there is one: that is never touched."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already and was left as it is.", "Give another --out.") from error
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        _fill(handle, lines, "ascii")
        sync_folder(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise unwritable(path, error) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def write_whole(path: Path, parts: Iterable[str], encoding: str) -> None:
    """Write a file anew, whole or not at all, and durably. Raises ConfigError where it cannot be written."""
    if path.exists() and not path.is_file():  # a pipe, or /dev/stdout: there is nothing to replace
        _pour(path, parts, encoding)
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        _fill(handle, parts, encoding)
        Path(temporary).replace(path)
        sync_folder(path.parent)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise unwritable(path, error) from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _pour(path: Path, parts: Iterable[str], encoding: str) -> None:
    try:
        with path.open("w", encoding=encoding, newline="") as file:
            file.writelines(parts)
    except OSError as error:
        raise unwritable(path, error) from error


def read_lines(path: Path) -> Iterator[str]:
    """Read a file line by line. Raises ConfigError where it is not there or is no text."""
    try:
        with path.open(encoding="utf-8") as file:
            yield from file
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{path} cannot be read: {why}.", "Check path and owner.") from error


def _fill(handle: int, parts: Iterable[str], encoding: str) -> None:
    with os.fdopen(handle, "w", encoding=encoding, newline="") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def unwritable(path: Path, error: OSError) -> ConfigError:
    """Give the error of a file that cannot be written, and what to look at."""
    return ConfigError(f"{path} cannot be written: {error.strerror}.", "Check the folder, its owner and its space.")
