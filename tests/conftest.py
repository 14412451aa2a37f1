"""What all tests share: the throw-away servers, and the rule that CI never passes on a server that is not there."""

import os

import pytest

pytest_plugins = ["tests.servers.redis", "tests.servers.slapd", "tests.servers.samba", "tests.servers.postgres"]

_MISSING = "missing server"


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name, once each, the servers whose tests were skipped."""
    for reason in sorted(_missing_servers(terminalreporter)):
        terminalreporter.write_line(reason, yellow=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the whole session in CI where a test was skipped for a server that is not installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and _missing_servers(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _missing_servers(reporter: pytest.TerminalReporter) -> set[str]:
    reasons = (report.longrepr[2] for report in reporter.stats.get("skipped", ()) if isinstance(report.longrepr, tuple))
    return {reason.removeprefix("Skipped: ") for reason in reasons if _MISSING in reason}
