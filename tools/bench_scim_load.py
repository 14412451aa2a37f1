"""What `make bench-scim` asks of a server: each operation once to see that it is done, then by wrk as fast as it goes.

A run in which anything was refused or failed is no figure: it ends the benchmark.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.servers import require
from tools.bench_scim_people import user, user_name

OPERATIONS: Mapping[str, str] = {
    "get": "GET by id",
    "filter": "filter userName eq",
    "first": "list, first 100",
    "middle": "list, 100 in the middle",
    "patch": "PATCH active",
    "post": "POST",
}
READS = ("get", "filter", "first", "middle")
WRITES = ("patch", "post")

CONNECTIONS, THREADS = 8, 2
_SCRIPT = Path(__file__).with_name("bench_scim_load.lua")
FEWEST = 20
"""So few answers in one turn are a figure only of what is that slow."""

_LONGEST = 18
_SCIM = "application/scim+json"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that is filled: `base` is where /Users is below, `ids` a file with the ids of its `count` Users."""

    base: str
    token: str
    ids: Path
    count: int


@dataclass(frozen=True, slots=True)
class Speed:
    """One run: requests a second, and what half and 99 of 100 of them took at most, in milliseconds."""

    rate: float
    p50: float
    p99: float


def run(endpoint: Endpoint, operation: str, part: int, parts: int, seconds: int) -> Speed:
    """Let wrk send one operation for so long; longer where hardly anything was answered."""
    while True:
        said = _wrk(endpoint, operation, part, parts, seconds)
        if said["refused"] or said["failed"]:
            sys.exit(f"{endpoint.base}: {operation}: {said['refused']} refused, {said['failed']} failed. No figure.")
        if said["requests"] >= FEWEST or seconds >= _LONGEST:
            return Speed(said["requests"] / said["seconds"], said["p50"], said["p99"])
        seconds = _LONGEST


def _wrk(endpoint: Endpoint, operation: str, part: int, parts: int, seconds: int) -> dict[str, Any]:
    command = [
        require("wrk", "wrk"), f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "60s",
        "-s", str(_SCRIPT), endpoint.base, "--",
        operation, endpoint.token, str(endpoint.ids), str(endpoint.count), str(part), str(parts),
    ]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - found on PATH above
    if done.returncode or not done.stdout.strip().endswith("}"):
        sys.exit(f"wrk: {done.stdout}{done.stderr}")
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said


# --- is it done at all ----------------------------------------------------------------------------------------------


def check(endpoint: Endpoint) -> None:
    """See with one request each that the server does what is measured: the right User, the right page, a change."""
    ids = endpoint.ids.read_text(encoding="ascii").split()
    with Asking(endpoint) as asked:
        _check(asked, endpoint, ids)


def _check(asked: "Asking", endpoint: Endpoint, ids: Sequence[str]) -> None:
    last = endpoint.count - 1
    _require(len(ids) == endpoint.count, f"{len(ids)} ids")
    _require(asked.get(f"/Users/{ids[last]}")["userName"] == user_name(last), "GET by id")
    named = asked.get(f"/Users?filter=userName%20eq%20%22{user_name(last)}%22")
    _require([one["id"] for one in named["Resources"]] == [ids[last]] and named["totalResults"] == 1, "filter")
    for start in (1, endpoint.count // 2 + 1):
        page = asked.get(f"/Users?count=100&startIndex={start}")
        _require(page["totalResults"] == endpoint.count, "totalResults")
        _require(len({one["id"] for one in page["Resources"]}) == min(100, endpoint.count), "list page")
    made = asked.send("POST", "/Users", user(99_999_999))
    _require(made["userName"] == user_name(99_999_999) and made["active"] is True, "POST")
    change = {"op": "replace", "path": "active", "value": False}
    asked.send("PATCH", f"/Users/{made['id']}", {"schemas": [PATCH], "Operations": [change]})
    _require(asked.get(f"/Users/{made['id']}")["active"] is False, "PATCH")
    asked.send("DELETE", f"/Users/{made['id']}")


PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class Asking:
    """One connection of a client that is quick at reading answers. It is closed when it is left."""

    def __init__(self, endpoint: Endpoint) -> None:
        parts = urlsplit(endpoint.base)
        self._prefix = parts.path
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {endpoint.token}", "Content-Type": _SCIM}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, path: str) -> dict[str, Any]:
        """Ask, and give what was answered."""
        return self.send("GET", path)

    def send(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send a request; what is no success ends the benchmark."""
        text = None if body is None else json.dumps(body)
        self._connection.request(method, self._prefix + path, text, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        _require(answer.status < 300, f"{method} {path}: {answer.status} {content[:300]!r}")  # noqa: PLR2004 - 2xx
        found: dict[str, Any] = json.loads(content) if content else {}
        return found


def _require(right: bool, what: str) -> None:
    if not right:
        sys.exit(f"A server does not do what is measured: {what}")
