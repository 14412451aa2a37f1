"""Watches folders for files that arrive. It only looks: nothing is opened, moved or deleted, and no name is believed.

A file counts once it has rested: somebody may still be writing it. What lay there when the last run began is no news
unless it has changed since.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import structlog

Look = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""
Listing = Mapping[str, Look]

_HALF_WRITTEN = (".tmp", ".part", ".partial", ".filepart", ".crdownload", "~")
"""How names end that copying programs give to what is not whole yet; they rename it at the end."""

_log = structlog.stdlib.get_logger("connector.daemon")


@dataclass(slots=True)
class Folders:
    """Looks at folders again and again. Paths stand for themselves; `rest` is how long a file must not change."""

    paths: Sequence[Path]
    rest: timedelta
    _since: dict[str, tuple[Look, datetime]] = field(default_factory=dict)
    _unread: set[Path] = field(default_factory=set)

    def listing(self) -> dict[str, Look]:
        """Give every file there is now."""
        return {name: look for path in self.paths for name, look in self._files(path)}

    def news(self, known: Listing, now: datetime) -> tuple[str, datetime] | None:
        """Give the name of a file that has arrived or changed and rests, and since when; the longest waiting first."""
        there = self.listing()
        self._since = {name: (look, self._began(name, look, now)) for name, look in there.items()}
        rested = [
            (since, name)
            for name, (look, since) in self._since.items()
            if look != known.get(name) and since + self.rest <= now
        ]
        if not rested:
            return None
        since, name = min(rested)
        return _printable(Path(name).name), since

    def _began(self, name: str, look: Look, now: datetime) -> datetime:
        before, since = self._since.get(name, (None, now))
        return since if before == look and since <= now else now

    def _files(self, folder: Path) -> Iterator[tuple[str, Look]]:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and not entry.name.lower().endswith(_HALF_WRITTEN):
                        yield from _file(entry)
            self._unread.discard(folder)
        except OSError as error:
            if folder not in self._unread:  # said once, and again when it was there in between
                _log.warning("folder-unread", folder=str(folder), problem=error.strerror)
            self._unread.add(folder)


def _printable(name: str) -> str:
    """Give a name as it can be written anywhere: it may hold line breaks, or bytes that no encoding knows."""
    return "".join(one if one.isprintable() else "?" for one in name)


def _file(entry: os.DirEntry[str]) -> Iterator[tuple[str, Look]]:
    try:
        if entry.is_file():
            status = entry.stat()
            yield entry.path, (status.st_size, status.st_mtime_ns)
    except OSError:  # it is gone by now, or never was for us
        return


def listing_text(listing: Listing) -> str:
    """Write a listing."""
    return json.dumps(dict(sorted(listing.items())), separators=(",", ":"))


def listing_of(text: str | None) -> dict[str, Look] | None:
    """Read a listing; None where there is none. One that cannot be read is empty: everything is news."""
    try:
        return None if text is None else {str(k): (int(v[0]), int(v[1])) for k, v in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, IndexError):
        return {}
