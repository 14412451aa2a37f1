"""The endpoint as a throw-away process on loopback, with the provider's word for everything."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from flask import Flask

from connector.reconcile.journal import Journal
from connector.scim.clients import Client
from connector.scim.errors import unauthorized
from connector.scim.serving import assembled
from tests.reconcile.journal_builders import KEY
from tests.scim.endpoint import EverybodyIsTheProviders, Given
from tests.servers import free_port, stop, tail

TOKEN = "throw-away"
STRICT_TOKEN = "throw-away-strict"
_SECONDS = 30


def worker() -> Flask:
    """Give the application a test's server runs."""
    store = Journal.open(os.environ["TEST_JOURNAL_URL"], audit_key=KEY).store

    def admit(authorization: str, _peer: str, _forwarded: str) -> Client:
        token = authorization.removeprefix("Bearer ")
        if token not in (TOKEN, STRICT_TOKEN):
            raise unauthorized("A token is needed.")
        return Client("strict" if token == STRICT_TOKEN else "entra", strict=token == STRICT_TOKEN)

    return assembled(store, Given(), EverybodyIsTheProviders(), admit)


@contextmanager
def served(journal_url: str, folder: Path, workers: int = 1) -> Iterator[str]:
    """Serve a journal; give the endpoint's URL."""
    port, log = free_port(), folder / "granian.log"
    options = ["--interface", "wsgi", "--factory", "--workers", str(workers), "--blocking-threads", "16"]
    command = [sys.executable, "-m", "granian", *options, "--http", "1", "--no-ws", "--port", str(port)]
    environment = {**os.environ, "TEST_JOURNAL_URL": journal_url}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "tests.scim.served:worker"], env=environment, stdout=output, stderr=output
        )
    try:
        base = f"http://127.0.0.1:{port}/scim/v2"
        _wait(base, process, log)
        yield base
    finally:
        stop(process)


def _wait(base: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            requests.get(f"{base}/Me", timeout=1)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    stop(process)
    pytest.fail(f"the endpoint did not start:\n{tail(log)}", pytrace=False)
