"""Real servers as throw-away processes on loopback. Each is started by the tests, ended by pid, and reaped.

A test whose server is not installed skips by name; where `CI` is set it fails instead: no run in CI passes on a skip.
"""

import os
import shutil
import socket
import subprocess
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) + 1
"""Which of several pytest processes this is: 1, 2 and so on; 0 where there is but one."""

_PORTS_EACH = 2_000
_FIRST_PORT = 20_000 + WORKER % 5 * _PORTS_EACH
# Below what systems give to outgoing connections, so that none takes a port between here and the server's start; and
# each process has ports of its own, one after the other, so that a port nobody listens on stays such a one.
_ports = (_FIRST_PORT + number % _PORTS_EACH for number in count(os.getpid() * 97))

_EXTRA_PATHS = ("/usr/sbin", "/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/15/bin")


def find(binary: str) -> str | None:
    """Give the path of a server binary, looking also where Debian hides them."""
    return shutil.which(binary, path=os.pathsep.join((os.environ.get("PATH", ""), *_EXTRA_PATHS)))


def require(binary: str, package: str) -> str:
    """Give the path of a server binary, or skip by name (in CI: fail)."""
    return find(binary) or _missing(f"missing server: {binary} (Debian package {package})")


def _missing(sentence: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


def free_port(host: str = "127.0.0.1") -> int:
    """Give a port nobody listens on, and that nobody else is given soon."""
    return next(port for port in _ports if is_free(host, port))


def is_free(host: str, *ports: int) -> bool:
    """Say whether nobody listens there."""
    try:
        for port in ports:
            with socket.socket() as listener:
                listener.bind((host, port))
    except OSError:
        return False
    return True


def stop(process: subprocess.Popen[bytes], seconds: float = 10) -> None:
    """End a process we started, by pid, and reap it."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(path: Path, lines: int = 20) -> str:
    """Give the last lines of a server's log, for an error a person can read."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""
