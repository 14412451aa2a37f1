"""One call of the command line: what was asked for everywhere, who answers, and how the answer is written.

It opens the connector only when a verb asks for it, and lets go of it whatever happens. It never decides.
"""

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.text import Text

from connector.app import Connector
from connector.cli.printing import Rows, console_of, csv_text, json_text, line
from connector.cli.progress import ProgressLine

CONFIG_VARIABLE = "CONNECTOR_CONFIG"
CONFIG_FILE = "config.toml"
PENDING = 2
_APPLY = "--apply"


class Format(StrEnum):
    """How an answer is written."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


@dataclass(slots=True)
class Call:
    """What was asked for before or after the verb, and the words that were typed."""

    config: Path | None = None
    format: str = Format.TEXT
    as_of: date | None = None
    debug: bool = False
    words: tuple[str, ...] = ()
    _progress: ProgressLine | None = field(default=None, repr=False)

    # --- the connector ----------------------------------------------------------------------------------------------

    @property
    def config_path(self) -> Path:
        """Where the config is: asked for, else named by the environment, else in the current folder."""
        named = os.environ.get(CONFIG_VARIABLE)
        return self.config or (Path(named) if named else Path(CONFIG_FILE))

    @contextmanager
    def connector(self) -> Iterator[Connector]:
        """Open this school's connector, and let go of it at the end."""
        self._progress = ProgressLine()
        connector = Connector.open(self.config_path, self._progress)
        try:
            yield connector
        finally:
            self.end()
            connector.close()

    def day(self, connector: Connector) -> date:
        """Give the day that is decided about."""
        return self.as_of or connector.today()

    def end(self) -> None:
        """Take the progress line away."""
        if self._progress:
            self._progress.end()
            self._progress = None

    # --- the answer -------------------------------------------------------------------------------------------------

    @property
    def is_text(self) -> bool:
        """Whether a person reads the answer."""
        return self.format == Format.TEXT

    @property
    def console(self) -> Console:
        """Where text goes."""
        return console_of(sys.stdout)

    def answer(self, document: Any, rows: Rows, text: Sequence[RenderableType]) -> None:
        """Write the answer as it was asked for: the document as JSON, the rows as CSV, or the text."""
        self.end()
        match self.format:
            case Format.JSON:
                click.echo(json_text(document))
            case Format.CSV:
                click.echo(
                    csv_text(rows).replace("\r\n", "\n"), nl=False
                )  # the stream makes of it what its system writes
            case _:
                console = self.console
                for part in text:
                    # A sentence is one line, however long: what is copied or searched for is never broken in two.
                    shown = line(part) if isinstance(part, str) else part
                    console.print(shown, soft_wrap=isinstance(shown, Text))

    def said(self, *sentences: str, **facts: Any) -> None:
        """Answer with sentences: what was done, and what happens next."""
        document = {**facts, "said": list(sentences)}
        rows = Rows(tuple(document), (tuple(document.values()),))
        self.answer(document, rows, sentences)

    def dry_run(self, would_change: bool) -> int:
        """Say that nothing was written, and how to do it. Gives the exit code."""
        if would_change and self.is_text:
            self.answer({}, Rows(()), ("", f"Dry run: nothing was written. To do it: {self.to_apply()}"))
        return PENDING if would_change else 0

    def to_apply(self) -> str:
        """Give what was typed, with --apply; without the one-time code, which is spent by then."""
        words = _without_value("--code", self.words)
        at = words.index("--") if "--" in words else len(words)
        options = [word for word in words[:at] if word != "--dry-run"]
        return shlex.join(["connector", *options, _APPLY, *words[at:]])


def _without_value(option: str, words: Sequence[str]) -> list[str]:
    """Leave an option and its value out."""
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and word != option and not word.startswith(f"{option}="):
            kept.append(word)
        skip = word == option and not skip
    return kept


def is_interactive() -> bool:
    """Say whether a person types here: then what writes to a target is a dry run unless they say --apply."""
    return sys.stdin is not None and sys.stdin.isatty()
