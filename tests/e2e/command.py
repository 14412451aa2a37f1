"""The real command line in a process of its own, as an administrator or a scheduler starts it.

Never calls the connector's code in this process: what is proven here is what a shell sees.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AS_OF = "2026-11-21"
_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Ran:
    """What a call left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What was printed, read as JSON."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """Everything that was printed, line ends and indents folded: for sentences that were wrapped."""
        return " ".join(f"{self.out} {self.err}".split())


@dataclass(slots=True)
class Command:
    """The command line over one config."""

    config: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    as_of: str = AS_OF

    def __call__(self, *words: str) -> Ran:
        """Call a verb and wait for its end."""
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            kill(process)
            raise
        return Ran(process.returncode, out, err)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a verb and leave it running."""
        command = [sys.executable, "-m", "connector", "--config", str(self.config), "--as-of", self.as_of, *words]
        environment = {**os.environ, "NO_COLOR": "1", **self.environment}
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
            env=environment, cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def plan_id(self) -> str:
        """Make and keep a plan; give its id."""
        return str(self("plan", "--format", "json").document["plan_id"])

    def approve_first_run(self) -> str:
        """Make a plan and waive that there is no earlier run to compare with; give the plan's id."""
        plan_id = self.plan_id()
        approved = self("approve", plan_id, "--waive", "first-run", "--reason", "read row by row")
        assert approved.code == 0, approved
        return plan_id


def finish(process: "subprocess.Popen[str]") -> Ran:
    """Wait for a call that was left running."""
    out, err = process.communicate(timeout=_SECONDS)
    return Ran(process.returncode, out, err)


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill a call as a power cut would, and reap it."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
