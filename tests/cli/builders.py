"""A school to try commands on, and a way to type them. Everything is in a folder of its own; nothing is shared."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from connector.cli import cli

SAMPLE = Path(__file__).parents[2] / "sample" / "harbour-college"
AS_OF = "2026-11-21"
PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What was printed, read as JSON."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """What was printed, line by line."""
        return self.out.splitlines()


@dataclass(frozen=True, slots=True)
class School:
    """A ready-to-run folder; `typed` is the command line over its config."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """The config of the school."""
        return self.folder / "config.toml"

    def typed(self, *words: str, answers: str = "") -> Answer:
        """Type a command as of the day the sample is written for; `answers` go to its prompts."""
        return typed("--config", str(self.config), "--as-of", AS_OF, *words, answers=answers)

    def read(self, *words: str) -> Any:
        """Type a command and read what it prints as JSON."""
        answer = self.typed(*words, "--format", "json")
        assert answer.code in (0, 2, 3, 4), answer
        return answer.document

    def identity(self, code: str) -> Mapping[str, Any]:
        """Give one person of `status`."""
        return next(i for i in self.read("status")["identities"] if i["code"] == code)

    def configured(self, old: str, new: str) -> "School":
        """Change a line of the config."""
        text = self.config.read_text(encoding="utf-8")
        assert old in text
        self.config.write_text(text.replace(old, new), encoding="utf-8")
        return self

    def applied(self) -> "School":
        """Approve the first plan and apply it."""
        plan_id = self.read("plan")["plan_id"]
        assert self.typed("approve", plan_id, "--waive", "first-run").code == 0
        assert self.typed("run").code == 0
        return self


def typed(*words: str, answers: str = "", environment: Mapping[str, str] | None = None) -> Answer:
    """Type a command anywhere."""
    result = CliRunner().invoke(cli, list(words), input=answers, env=environment or {"CONNECTOR_CONFIG": ""})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


def copied(school: School, folder: Path) -> School:
    """Give the same school in a folder of its own."""
    shutil.copytree(school.folder, folder)
    return School(folder)
