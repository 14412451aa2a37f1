"""What is going on is said on stderr, at a terminal, after a second; and nowhere else."""

import io
import sys

import pytest

from connector.cli import progress
from connector.cli.progress import ProgressLine
from tests.waiting import wait_for


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_stage_is_shown_at_a_terminal_once_it_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    shown = ProgressLine()

    shown("directory ad [bold]\x1b[31m")
    wait_for(lambda: "directory ad [bold][31m" in terminal.getvalue())
    shown.end()

    assert "directory ad [bold][31m" in terminal.getvalue()


def test_what_is_over_within_a_second_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    shown = ProgressLine()

    shown("directory ad")
    shown.end()

    assert "directory ad" not in terminal.getvalue()


def test_a_pipe_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    shown = ProgressLine()

    shown("directory ad")
    shown.end()

    assert capsys.readouterr().err == ""
