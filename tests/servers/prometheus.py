"""A throw-away Prometheus on loopback that scrapes one address every 200 milliseconds."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers import free_port, require, stop, tail

PACKAGE = "prometheus"
_SECONDS = 30

_CONFIG = """\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: connector
    static_configs: [{{targets: ["{target}"]}}]
"""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    address: str

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Give what an expression says now. Raises where it cannot be read."""
        return list(self._said("query", query=expression)["result"])

    def rules(self) -> dict[str, str]:
        """Give the alerts it has, each with its health."""
        groups = self._said("rules", type="alert")["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    def _said(self, what: str, **parameters: str) -> dict[str, Any]:
        answer = requests.get(f"{self.address}/api/v1/{what}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", (parameters, answer)
        return dict(answer["data"])

    def until(self, expression: str) -> None:
        """Wait until an expression says something."""
        deadline = time.monotonic() + _SECONDS
        while not self.ask(expression):
            assert time.monotonic() < deadline, f"{expression} says nothing"
            time.sleep(0.1)


def promtool(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    command = [require("promtool", PACKAGE), *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, input=stdin)


@contextmanager
def scraping(target: str, rules: Path, folder: Path) -> Iterator[Prometheus]:
    """Scrape HOST:PORT; give the Prometheus that does."""
    binary, port, log = require("prometheus", PACKAGE), free_port(), folder / "prometheus.log"
    config = folder / "prometheus.yml"
    config.write_text(_CONFIG.format(rules=rules, target=target))
    options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}", "--log.level=warn"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary, *options, f"--web.listen-address=127.0.0.1:{port}"], stdout=output, stderr=output
        )
    one = Prometheus(f"http://127.0.0.1:{port}")
    try:
        _wait(one, process, log)
        yield one
    finally:
        stop(process)


def _wait(one: Prometheus, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if requests.get(f"{one.address}/-/ready", timeout=1).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    stop(process)
    pytest.fail(f"Prometheus did not start:\n{tail(log)}", pytrace=False)
