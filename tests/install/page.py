"""A page of the documentation, typed line by line as a new user would, into one shell."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXPECTED = re.compile(r"#.*exit code (\d)")
_ENDED = "@ended@"


@dataclass(frozen=True, slots=True)
class Step:
    """One block of commands, and what the page says that they print."""

    lines: tuple[str, ...]
    printed: tuple[str, ...]

    @property
    def codes(self) -> tuple[int, ...]:
        """How each line ends: with 0, unless the page says otherwise."""
        return tuple(int(found[1]) if (found := _EXPECTED.search(line)) else 0 for line in self.lines)


@dataclass(frozen=True, slots=True)
class Typed:
    """How each line of a step ended, and what all of them printed."""

    codes: tuple[int, ...]
    said: str


def steps(page: str) -> Iterator[Step]:
    """Give the steps of a page: each block of commands, with the block of text right behind it."""
    blocks = [(found[1], tuple(found[2].splitlines())) for found in _BLOCK.finditer(page)]
    for number, (kind, lines) in enumerate(blocks):
        if kind == "sh":
            text = blocks[number + 1 : number + 2]
            yield Step(lines, text[0][1] if text and text[0][0] == "text" else ())


def typed(wanted: Sequence[Step], folder: Path, environment: Mapping[str, str]) -> list[Typed]:
    """Type all steps into one shell, so that folders and what was switched on last from one to the next."""
    script = "".join(
        f"{line}\nprintf '\\n%s%s\\n' {_ENDED} $?\n" for line in [each for step in wanted for each in step.lines]
    )
    ran = subprocess.run(
        ("bash", "-c", script), cwd=folder, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, text=True, check=False, timeout=240,
    )  # fmt: skip
    ends = [*re.finditer(rf"^{_ENDED}(\d+)$", ran.stdout, re.MULTILINE)]
    return [*_by_step(wanted, ran.stdout, ends)]


def _by_step(wanted: Sequence[Step], said: str, ends: Sequence[re.Match[str]]) -> Iterator[Typed]:
    start = 0
    for step in wanted:
        ours, ends = ends[: len(step.lines)], ends[len(step.lines) :]
        until = ours[-1].end() if ours else len(said)
        yield Typed(tuple(int(found[1]) for found in ours), said[start:until])
        start = until


def unsaid(step: Step, said: str) -> list[str]:
    """Give the lines the page says are printed and were not; `…` stands for anything."""
    return [
        line
        for line in step.printed
        if line.strip() and not re.search(".*".join(map(re.escape, line.strip().split("…"))), said)
    ]


def bare(home: Path, **more: str) -> dict[str, str]:
    """Give the environment of somebody who has nothing yet: an empty home, and no Python variable of ours."""
    kept = {key: value for key, value in os.environ.items() if key.startswith("PIP_") or key in ("PATH", "LANG", "TZ")}
    # Where packages come from is this machine's matter, and may be told in the home that is left behind.
    if (told := Path.home() / ".config" / "pip" / "pip.conf").is_file():
        kept.setdefault("PIP_CONFIG_FILE", str(told))
    return {**kept, "HOME": str(home), "PYTHONWARNINGS": "error::SyntaxWarning", **more}
