"""What all tests share: the throw-away servers, and the rule that CI never passes on a server that is not there.

What a test says to whoever reads the log goes by its report, never by print: several processes may share the tests.
`record_property("said", sentence)` is printed at the end, `record_property("counted", what)` once with its number.
"""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

pytest_plugins = ["tests.servers.redis", "tests.servers.slapd", "tests.servers.samba", "tests.servers.postgres"]

_MISSING = "missing server"


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests said, and name, once each, the servers whose tests were skipped."""
    for what, number in Counter(_recorded(terminalreporter, "counted", "passed")).items():
        terminalreporter.write_line(f"{what}: {number}")
    for sentence in _recorded(terminalreporter, "said", "passed", "failed"):
        terminalreporter.write_line(sentence)
    for reason in sorted(_missing_servers(terminalreporter)):
        terminalreporter.write_line(reason, yellow=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files: one begun last would leave the other processes with nothing to do."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the whole session in CI where a test was skipped for a server that is not installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and _missing_servers(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _recorded(reporter: pytest.TerminalReporter, name: str, *outcomes: str) -> Iterator[str]:
    reports = (report for outcome in outcomes for report in reporter.stats.get(outcome, ()))
    return (str(value) for report in reports for key, value in report.user_properties if key == name)


def _missing_servers(reporter: pytest.TerminalReporter) -> set[str]:
    reasons = (report.longrepr[2] for report in reporter.stats.get("skipped", ()) if isinstance(report.longrepr, tuple))
    return {reason.removeprefix("Skipped: ") for reason in reasons if _MISSING in reason}
