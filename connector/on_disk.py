"""A file's name is on the disk only when its folder is: without this a crash may leave the old name, or none.

Must never be left out after a rename or a new file that is told to be stored.
"""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Windows has no such call and needs none. Raises OSError."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
