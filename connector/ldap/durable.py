"""Files that are replaced whole or not at all, and are on the disk when that is said.

Must never leave half a file under the name people use.
"""

import os
import tempfile
from pathlib import Path

from connector.on_disk import sync_folder


def replace_file(file: Path, content: bytes) -> None:
    """Replace a file whole or not at all. It keeps its mode, and its age: it is no fresher an export for our edits."""
    target = file.resolve()
    was = target.stat()
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, was.st_mode & 0o7777)  # noqa: PTH101 - mkstemp gives text
        os.utime(temporary, ns=(was.st_atime_ns, was.st_mtime_ns))
        os.replace(temporary, target)  # noqa: PTH105 - as above
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(target.parent)
