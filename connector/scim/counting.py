"""How many requests were answered, of whom, how and how fast, summed over all worker processes of this machine.

Each worker counts in memory and lays its counts down as one whole file, at most once a second; whoever is asked adds up
the files. Must never name a person, never keep a request waiting for a disk, and never fail one.
"""

import contextlib
import json
import logging
import os
import secrets
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connector.scim.clients import Client

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

FOLDER = "metrics"
"""Where the counts are, in the state folder."""

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
RESOURCES = frozenset({"Users", "Groups", "Bulk", ".search", "ServiceProviderConfig", "Schemas", "ResourceTypes", "Me"})
OTHER = "other"
"""What every method and resource is called that is none: whoever makes names up makes no new series."""

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper bounds of the durations that are told apart, in seconds."""

_PLACE = 3  # of the resource in "/scim/v2/Users/..."
_EVERY_SECONDS = 1.0
_BEGINS, _ENDS = "scim-", ".json"

_log = logging.getLogger(__name__)

Answered = tuple[str, str, str, int]
"""Client (empty where nobody known called), method, resource, HTTP status."""


@dataclass(slots=True)
class Counts:
    """Requests by what they were, and durations by method and resource: how many fell below each bound, and their sum.

    The last of the amounts is of those beyond every bound.
    """

    requests: dict[Answered, int] = field(default_factory=dict)
    amounts: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)

    def add(self, answered: Answered, seconds: float) -> None:
        """Count one request."""
        self.requests[answered] = self.requests.get(answered, 0) + 1
        kind = answered[1], answered[2]
        amounts = self.amounts.get(kind)
        if amounts is None:
            amounts = self.amounts[kind] = [0] * (len(BOUNDS) + 1)
        amounts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds[kind] = self.seconds.get(kind, 0.0) + seconds

    def merge(self, other: "Counts") -> None:
        """Add what another process counted."""
        for answered, count in other.requests.items():
            self.requests[answered] = self.requests.get(answered, 0) + count
        for kind, amounts in other.amounts.items():
            mine = self.amounts.get(kind, [0] * len(amounts))
            self.amounts[kind] = [one + two for one, two in zip(mine, amounts, strict=True)]
            self.seconds[kind] = self.seconds.get(kind, 0.0) + other.seconds[kind]

    def to_json(self) -> str:
        """Give them as a file holds them."""
        durations = [[*kind, self.seconds[kind], amounts] for kind, amounts in self.amounts.items()]
        return json.dumps({"requests": [[*key, count] for key, count in self.requests.items()], "durations": durations})

    @classmethod
    def from_json(cls, text: str) -> "Counts":
        """Read what a file holds. Raises ValueError, KeyError or TypeError for what is none."""
        read, counts = json.loads(text), cls()
        for client, method, resource, status, count in read["requests"]:
            counts.requests[str(client), str(method), str(resource), int(status)] = int(count)
        for method, resource, seconds, amounts in read["durations"]:
            if len(amounts) != len(BOUNDS) + 1:
                raise ValueError("durations are told apart by other bounds")
            counts.amounts[str(method), str(resource)] = [int(amount) for amount in amounts]
            counts.seconds[str(method), str(resource)] = float(seconds)
        return counts


class Tally:
    """What one worker counts. Its file is written by a thread of its own, and only where something was counted."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{_BEGINS}{os.getpid()}-{secrets.token_hex(4)}{_ENDS}"
        self._counts = Counts()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._local = threading.local()
        self._writer: threading.Thread | None = None

    def known(self, client: Client) -> None:
        """Hear who calls on this thread, as soon as the token is known."""
        self._local.client = client.name

    def counting(self, answers: Wsgi) -> Wsgi:
        """Give the same WSGI application, counted (PEP 3333)."""
        local, clock = self._local, time.perf_counter

        def counted(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            local.client, said, begun = "", "500", clock()

            def start(status: str, headers: Any, *failed: Any) -> Any:
                nonlocal said
                said = status
                return start_response(status, headers, *failed)

            try:
                return answers(environ, start)
            finally:
                method, resource = environ["REQUEST_METHOD"], _resource(environ["PATH_INFO"])
                method = method if method in METHODS else OTHER
                self.add((local.client, method, resource, int(said[:3])), clock() - begun)

        return counted

    def add(self, answered: Answered, seconds: float) -> None:
        """Count one request."""
        with self._lock:
            self._counts.add(answered, seconds)
        if not self._news.is_set():
            self._news.set()
            if self._writer is None:
                self._begin()

    def write(self) -> None:
        """Lay the counts down, whole: a reader never sees half of them."""
        with self._lock:
            text = self._counts.to_json()
        new = self._path.with_suffix(".new")
        try:
            new.write_text(text, encoding="ascii")
            new.replace(self._path)
        except OSError as error:
            _log.warning("scim requests cannot be counted in %s: %s", self._path.parent, error.strerror)

    def _begin(self) -> None:
        # Not before the first request: whoever makes the application may still become another process.
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(target=self._writing, name="scim-counts", daemon=True)
                self._writer.start()

    def _writing(self) -> None:
        while True:
            self._news.wait()
            time.sleep(_EVERY_SECONDS)
            self._news.clear()
            self.write()


def _resource(path: str) -> str:
    parts = path.split("/", _PLACE + 1)
    named = parts[_PLACE] if len(parts) > _PLACE else ""
    return named if named in RESOURCES else OTHER


def prepare(state_folder: Path) -> Path:
    """Make the folder of the counts and take away those of earlier processes; give it."""
    folder = state_folder / FOLDER
    with contextlib.suppress(OSError):  # a worker says that nothing can be counted there
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        for old in (*folder.glob(f"{_BEGINS}*{_ENDS}"), *folder.glob(f"{_BEGINS}*.new")):
            old.unlink(missing_ok=True)
    return folder


def summed(state_folder: Path, clients: Iterable[str]) -> Counts:
    """Add up what every worker of this machine counted. A client that is none of these is not named."""
    known, whole = frozenset(clients), Counts()
    for path in sorted((state_folder / FOLDER).glob(f"{_BEGINS}*{_ENDS}")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # gone just now, or of another version
            whole.merge(Counts.from_json(path.read_text(encoding="ascii")))
    return Counts(_of_known(whole.requests, known), whole.amounts, whole.seconds)


def _of_known(requests: Mapping[Answered, int], known: frozenset[str]) -> dict[Answered, int]:
    found: dict[Answered, int] = {}
    for (client, method, resource, status), count in requests.items():
        key = (client if client in known else "", method, resource, status)
        found[key] = found.get(key, 0) + count
    return found


def cumulated(amounts: Iterable[int]) -> list[tuple[str, float]]:
    """Give the amounts as Prometheus takes them: each bound with how many were at most that long."""
    found, total = [], 0
    for bound, amount in zip((*map(str, BOUNDS), "+Inf"), amounts, strict=True):
        total += amount
        found.append((bound, float(total)))
    return found
