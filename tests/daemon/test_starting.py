"""The daemon as the system starts it: a process that says when it is ready, and ends when it is told to."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from connector.demo import build
from tests.servers import free_port

SAMPLE = Path(__file__).parents[2] / "sample" / "harbour-college"
_SECONDS = 40
_MORE = """
[daemon]
listen = ""

[scim]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    build(SAMPLE, tmp_path / "school")
    path = tmp_path / "school" / "config.toml"
    with path.open("a", encoding="utf-8") as file:
        file.write(_MORE)
    return path


@contextmanager
def started(
    config: Path, *words: str, stderr: int | IO[str] = subprocess.PIPE, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "connector", "daemon", "--config", str(config), *words]
    process = subprocess.Popen(command, stderr=stderr, text=True, env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.terminate()  # whoever watches others ends them first
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS)
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


def test_it_says_that_it_is_ready_and_ends_with_0_when_told_to(config: Path, tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(_SECONDS)
        with started(config, NOTIFY_SOCKET=str(tmp_path / "notify")) as process:
            said = [systemd.recv(100).decode()]
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=_SECONDS)
            while "STOPPING=1" not in said:
                said.append(systemd.recv(100).decode())

    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert said[0] == "READY=1"
    assert process.returncode == 0
    assert events[0] == "daemon-starts"
    assert events[-1] == "daemon-ends"


def test_once_ends_by_itself_and_waits_for_the_first_night(config: Path) -> None:
    with started(config, "--once") as process:
        _, log = process.communicate(timeout=_SECONDS)

    assert process.returncode == 0
    assert "run-due" not in log


def test_a_config_that_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    with started(tmp_path / "config.toml") as process:
        _, log = process.communicate(timeout=_SECONDS)

    assert process.returncode == 1
    assert "Traceback" not in log


def test_serving_and_the_daemon_are_one_service_that_ends_together(config: Path, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    words = ("--serve", "--port", str(port), "--workers", "1")
    with log.open("w", encoding="utf-8") as file, started(config, *words, stderr=file) as process:
        _until(lambda: _listens(port) and "daemon-works" in log.read_text(encoding="utf-8"))
        process.send_signal(signal.SIGTERM)
        process.wait(_SECONDS)

    assert process.returncode == 0
    assert "daemon-ends" in log.read_text(encoding="utf-8")
    assert not _listens(port)


def _listens(port: int) -> bool:
    with closing(socket.socket()) as to:
        return to.connect_ex(("127.0.0.1", port)) == 0


def _until(wanted: Callable[[], bool]) -> None:
    until = time.monotonic() + _SECONDS
    while not wanted():
        assert time.monotonic() < until
        time.sleep(0.1)
