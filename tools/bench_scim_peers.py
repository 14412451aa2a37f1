"""The servers `make bench-scim` compares with, each in memory, filled by its own means, in a folder of its own.

Both are given what makes them quickest: scim2-server the WSGI server we use, SCIMMY handlers that search nothing.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copy
from venv import create

import requests

from tests.servers import free_port, require, stop, tail
from tools.bench_scim_load import Endpoint

_HERE = Path(__file__).parent
_LOCK = _HERE.parent / "requirements" / "bench.txt"
_TOKEN = "bench"  # noqa: S105 - of a server that lives for some minutes
_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that is filled and answers, and how much memory its worker had at most until now."""

    endpoint: Endpoint
    worker: int

    def peak_mb(self) -> float:
        """Ask the system for the worker's peak, in MB."""
        status = Path(f"/proc/{self.worker}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def rest(self) -> None:
        """Wait until it works no more on what nobody waits for any more."""
        before = -1
        while (now := self._worked()) != before:
            before = now
            time.sleep(0.3)

    def _worked(self) -> int:
        """Give the processor time the worker has used, in ticks: utime and stime of proc(5)."""
        fields = Path(f"/proc/{self.worker}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


def install_scim2_server(folder: Path) -> Path:
    """Make an environment with what requirements/bench.txt locks; give its interpreter."""
    create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    options = ("--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--require-hashes")
    _done([str(python), "-m", "pip", "install", *options, "-r", str(_LOCK)], folder)
    return python


def install_scimmy(folder: Path) -> Path:
    """Install the packages of bench_scim_scimmy.json; give the folder with them."""
    folder.mkdir(exist_ok=True)
    copy(_HERE / "bench_scim_scimmy.json", folder / "package.json")
    npm = require("npm", "npm")
    _done([npm, "install", "--silent", "--no-fund", "--no-audit", "--no-package-lock", "--ignore-scripts"], folder)
    return folder


@contextmanager
def scim2_server(python: Path, folder: Path, count: int) -> Iterator[Serving]:
    """Run scim2-server by granian with one worker."""
    port, ids = free_port(), folder / f"scim2-server-{count}.ids"
    command = [
        str(python), "-m", "granian", "--interface", "wsgi", "--factory", "--workers", "1", "--http", "1", "--no-ws",
        "--port", str(port), "--log-level", "error", "tools.bench_scim_scim2_server:application",
    ]  # fmt: skip
    environment = {**_bench(ids, count, port), "PYTHONPATH": str(_HERE.parent)}
    with running(command, environment, folder, Endpoint(f"http://127.0.0.1:{port}/v2", _TOKEN, ids, count)) as started:
        yield Serving(started.endpoint, only_child(started.worker))


@contextmanager
def scimmy(packages: Path, folder: Path, count: int) -> Iterator[Serving]:
    """Run SCIMMY by node."""
    port, ids = free_port(), folder / f"scimmy-{count}.ids"
    command = [require("node", "nodejs"), str(_HERE / "bench_scim_scimmy.mjs")]
    endpoint = Endpoint(f"http://127.0.0.1:{port}/scim", _TOKEN, ids, count)
    with running(command, _bench(ids, count, port), packages, endpoint) as started:
        yield started


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, endpoint: Endpoint
) -> Iterator[Serving]:
    """Run a server until it is not needed any more; it is given once it answers."""
    log = folder / f"server-{endpoint.base.partition(':')[2].strip('/').replace('/', '-')}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            list(command), env={**os.environ, **environment}, cwd=folder, stdout=output, stderr=output
        )
    try:
        _wait(endpoint, process, log)
        yield Serving(endpoint, process.pid)
    finally:
        stop(process)


def _wait(endpoint: Endpoint, process: "subprocess.Popen[bytes]", log: Path) -> None:
    headers, until = {"Authorization": f"Bearer {endpoint.token}"}, time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            requests.get(f"{endpoint.base}/ServiceProviderConfig", headers=headers, timeout=_SECONDS)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"A server did not start:\n{tail(log)}")


def only_child(process: int) -> int:
    """Give the one process that another has started: the worker of a server."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    workers = [int(child) for child in children if _says(int(child), "from multiprocessing.spawn", "granian", "-m")]
    if len(workers) != 1:
        sys.exit(f"{len(workers)} workers instead of one below process {process}: {children}")
    return workers[0]


def _says(process: int, *words: str) -> bool:
    said = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return any(word in said for word in words) and "resource_tracker" not in said


def _bench(ids: Path, count: int, port: int) -> dict[str, str]:
    return {"BENCH_COUNT": str(count), "BENCH_IDS": str(ids), "BENCH_TOKEN": _TOKEN, "BENCH_PORT": str(port)}


def _done(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(list(command), cwd=folder, check=False, capture_output=True, text=True)  # noqa: S603 - as above
    if done.returncode:
        sys.exit(f"{command[0]} could not install: {done.stdout}{done.stderr}")
