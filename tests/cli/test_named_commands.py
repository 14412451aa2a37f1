"""Every command that a report, a mail, an error or a document of ours names can be typed: the real parser takes it."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from connector.cli import cli

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "connector").rglob("*.py"))
_NAMED = re.compile(r"(?<![\w/.`-])connector (?:--config \w+ )?(?=[a-z-]+)")
_END = re.compile(r"[.,;:)]+$")
_VALUE = "VALUE"
"""Stands where a sentence puts a value in."""

_PROSE = frozenset(
    {
        *("as", "can", "failed", "goes", "is", "knows", "may", "needs", "never", "on"),
        *("reads", "refuses", "runs", "shall", "signs", "starts", "stays", "was", "works"),
    }
)
"""Words that follow the connector's name in sentences about itself."""


def texts(tree: ast.AST) -> Iterator[str]:
    """Give every text of a module but docstrings that name no command, with a mark for each value put in."""
    docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}
    inner = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner | docs:
            yield re.sub(r"\{\w+\}", _VALUE, node.value)
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else _VALUE for v in node.values)


def named() -> Iterator[tuple[str, str]]:
    """Give what follows each `connector` in our sentences, with the module."""
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for text in texts(tree):
            for found in _NAMED.finditer(text):
                rest = text[found.end() :].split("\n")[0].split("`")[0]
                if rest.split(" ")[0].strip(".,;:)'\"") not in _PROSE:
                    yield path.relative_to(ROOT).as_posix(), rest


def typed(rest: str) -> tuple[click.Command, list[str]]:
    """Give the verb and its words: those up to the end of the command, as far as a reader would type them."""
    verb: click.Command = cli
    words: list[str] = []
    for raw in rest.split(" "):
        word = _END.sub("", raw)
        if isinstance(verb, click.Group) and not words and word in verb.commands:
            verb = verb.commands[word]
        elif (
            word
            and word[0] != "("
            and (word.startswith("--") or word.isupper() or _VALUE in word or (words and words[-1][:2] == "--"))
        ):
            words.append(word)
        else:
            break
        if word != raw:
            break
    return verb, words


def filled(verb: click.Command, words: list[str]) -> list[str]:
    """Put a value that fits in the place of each placeholder."""
    options = {name: p for p in verb.params if isinstance(p, click.Option) for name in p.opts}
    before: click.Option | None = None
    made = []
    arguments = [p for p in verb.params if isinstance(p, click.Argument)]
    for word in words:
        if word.startswith("--"):
            before = options.get(word)
            made.append(word)
            continue
        parameter: click.Parameter | None = before if before and not before.is_flag else next(iter(arguments), None)
        if parameter in arguments and parameter.nargs == 1:
            arguments.remove(parameter)
        if parameter is not None or not set(word) <= set(_VALUE):  # a value may be options that are put together
            made.append(_fitting(parameter, word))
        before = None
    return made


def _fitting(parameter: click.Parameter | None, word: str) -> str:
    kind = parameter.type if parameter else None
    if isinstance(kind, click.Choice):
        return word if word in kind.choices else str(next(iter(kind.choices)))
    if isinstance(kind, click.types.IntParamType | click.IntRange):
        return "3"
    if parameter and (parameter.metavar == "DATE" or parameter.name in ("until", "before", "since")):
        return "2026-11-21"
    if parameter and parameter.metavar == "KEY=VALUE":
        return "reason=denied"
    return word.replace(_VALUE, "x") or "x"


@pytest.mark.parametrize(("module", "rest"), sorted(set(named())))
def test_a_command_that_a_sentence_names_can_be_typed(module: str, rest: str) -> None:
    verb, words = typed(rest)
    assert verb is not cli, f"{module}: no verb in: connector {rest}"

    given = filled(verb, words)

    try:
        verb.make_context(str(verb.name), list(given), parent=click.Context(cli), resilient_parsing=False)
    except click.exceptions.Exit:  # a group alone shows its help
        pass
    except click.MissingParameter:  # `connector restore` alone names a verb, and no more
        assert not words, f"{module}: not enough to type: connector {rest}"
    except click.UsageError as error:
        pytest.fail(f"{module}: connector {rest}: {error.message} ({shlex.join(given)})")
