"""Every command that a document names can be typed as it stands there."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from connector.cli import cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
_NAMED = re.compile(r"`connector ([^`\n]+)`|^(?:\$ )?(?:\.venv/bin/)?connector ([^\n]+)$", re.MULTILINE)


def commands() -> Iterator[tuple[str, str]]:
    """Give every command a document names, with the document."""
    for path in DOCUMENTS:
        for found in _NAMED.finditer(path.read_text(encoding="utf-8")):
            yield path.name, (found[1] or found[2]).split("  ")[0].split("#")[0].strip()


def verb_of(words: list[str]) -> click.Command:
    """Give the verb that words name, after options that come before it."""
    names = [word for word in words if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")]
    if not names:  # `connector --version`
        return cli
    verb: click.Command = cli.commands[names[0]]
    if isinstance(verb, click.Group) and len(names) > 1:
        return verb.commands[names[1]]
    return verb


@pytest.mark.parametrize(("document", "command"), sorted(set(commands())))
def test_a_documented_command_is_one(document: str, command: str) -> None:
    words = command.replace("[", " ").replace("]", " ").split()
    verb = verb_of(words)

    options = {option for parameter in (*verb.params, *cli.params) for option in parameter.opts}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in {*options, "--help"}]

    assert unknown == [], f"{document}: connector {command}"
