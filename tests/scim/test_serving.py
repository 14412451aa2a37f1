"""The endpoint as processes: what a worker loads, and a school served from the command line until it is stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from connector.config import load
from connector.errors import ConfigError
from connector.journal_key import open_journal
from connector.scim.clients import Client, Clients
from connector.scim.serving import CONFIG_VARIABLE, Address, Watched, application, serve
from tests.servers import free_port, stop, tail
from tests.servers.certificates import make_authority, make_leaf
from tests.waiting import wait_for

SECONDS = 30
CONFIG = """
[school]
name = "A School"
timezone = "Australia/Sydney"

[admin_system]
adapter = "csv"
folder = "admin"

[portals.engage]
adapter = "sql"
url = "sqlite:///portal.db"
strategy = "contacts"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG + "\n[scim]\n", encoding="utf-8")
    return path


def test_a_worker_loads_nothing_that_reads_or_writes_a_target() -> None:
    heavy = "{'ldap3', 'alembic', 'requests', 'redis', 'granian', 'connector.app', 'connector.cli'}"
    code = f"import sys, connector.scim.serving; print(sorted({heavy} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"


def test_the_process_that_listens_loads_no_application() -> None:
    heavy = "{'flask', 'sqlalchemy', 'scim2_models'}"
    code = f"import sys, connector.scim.listening; print(sorted({heavy} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"


def test_a_school_without_the_section_is_not_served(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG, encoding="utf-8")

    for refused in (lambda: serve(path, Address("127.0.0.1", 1)), lambda: application(path)):
        with pytest.raises(ConfigError, match=r"\[scim\]"):
            refused()


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (Address("0.0.0.0", 1), "in the clear"),  # noqa: S104 - what is refused
        (Address("127.0.0.1", 1, certificate=Path(__file__)), "certificate and its key"),
        (Address("127.0.0.1", 1, Path("nowhere.pem"), Path("nowhere.key")), "no file"),
    ],
)
def test_tokens_do_not_travel_in_the_clear(config: Path, address: Address, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        serve(config, address)


def test_with_a_certificate_it_speaks_tls(config: Path, tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    leaf = make_leaf(authority, "scim")
    port, log = free_port(), tmp_path / "serve.log"
    words = ["serve", "--port", str(port), "--certificate", str(leaf.certificate), "--key", str(leaf.key)]
    with log.open("wb") as output:
        command = [sys.executable, "-m", "connector", "--config", str(config), *words]
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=tmp_path)
    try:
        until = time.monotonic() + SECONDS
        status = 0
        while not status and time.monotonic() < until:
            with contextlib.suppress(requests.ConnectionError):
                url = f"https://localhost:{port}/scim/v2/ServiceProviderConfig"
                status = requests.get(url, verify=str(authority.certificate), timeout=5).status_code
            time.sleep(0.1)
    finally:
        stop(process)

    assert status == 401, tail(log)


def test_a_school_is_served_until_it_is_told_to_stop(config: Path, tmp_path: Path) -> None:
    with open_journal(load(config)) as journal:
        token = Clients(journal.store).create(Client("entra"), 1, "tester")
    port, log = free_port(), tmp_path / "serve.log"
    command = [sys.executable, "-m", "connector", "--config", str(config), "serve", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=tmp_path)
    try:
        answers = [
            _asked(port, log, process, headers)
            for headers in ({}, {"Authorization": f"Bearer {token}"}, {"Authorization": "Bearer other"})
        ]
    finally:
        stop(process)

    assert answers == [401, 200, 401]
    assert process.returncode == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/scim/v2/Users", timeout=1)


def _asked(port: int, log: Path, process: "subprocess.Popen[bytes]", headers: dict[str, str]) -> int:
    until = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            return requests.get(f"http://127.0.0.1:{port}/scim/v2/Users", headers=headers, timeout=5).status_code
        except requests.ConnectionError:
            time.sleep(0.1)
    pytest.fail(f"the endpoint did not start:\n{tail(log)}", pytrace=False)


def test_workers_whose_listener_was_killed_serve_nobody_any_more(config: Path, tmp_path: Path) -> None:
    with open_journal(load(config)):
        port, log = free_port(), tmp_path / "listening.log"
    command = [sys.executable, "-m", "connector.scim.listening", "127.0.0.1", str(port), "1"]
    environment = {**os.environ, CONFIG_VARIABLE: str(config)}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=tmp_path, env=environment)
    before = _asked(port, log, process, {})
    process.kill()
    process.wait()

    assert before == 401
    wait_for(lambda: not _listens(port), 60)


def _listens(port: int) -> bool:
    with contextlib.closing(socket.socket()) as to:
        return to.connect_ex(("127.0.0.1", port)) == 0


def test_a_process_that_ends_by_itself_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.scim.serving._RESTART_SECONDS", 0.01)
    lives = tmp_path / "lives"
    # In its second life it tells whoever started it to stop.
    code = (
        "import os, pathlib, signal, sys; lives = pathlib.Path(sys.argv[1]);"
        "lives.exists() and os.kill(os.getppid(), signal.SIGTERM); lives.open('a').write('x')"
    )
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        Watched(([sys.executable, "-c", code, str(lives)],), dict(os.environ)).run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

    assert lives.exists()


def test_a_process_that_cannot_be_started_just_now_takes_no_other_one_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.scim.serving._RESTART_SECONDS", 0.01)
    program, away, lives = tmp_path / "program", tmp_path / "away", tmp_path / "lives"
    program.write_text(f"#!/bin/sh\necho x >> {lives}\nmv {program} {away}\n")
    program.chmod(0o755)
    # It gives the program back a while after that has gone, and ends everything with its second life.
    other = f"until mv {away} {program}; do sleep 0.1; done; until [ -e {away} ]; do sleep 0.1; done; kill $PPID; cat"
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        Watched(([str(program)], ["/bin/sh", "-c", f"sleep 0.5; {other}"]), dict(os.environ)).run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

    assert lives.read_text() == "x\nx\n"
