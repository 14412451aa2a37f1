"""Says at the end of a session how many histories were played."""

import pytest

from tests.simulation.said import SAID


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the number, whatever was captured."""
    for line in terminalreporter.config.stash.get(SAID, []):
        terminalreporter.write_line(line)
