"""Every way the connector refuses, in one tree. Read this first.

    ConnectorError                 exit 1   what happened, to whom, and what to do next
    ├── ConfigError                exit 1   the configuration cannot be used as it is written
    ├── SourceError                exit 1   a reading cannot be believed: missing column, bad date, cut off
    ├── TargetUnreachable          exit 1   a system did not answer at all; nothing is known about it
    ├── PlanError                  exit 1   a plan was edited, is stale, unknown, or belongs to other facts
    ├── UnknownPerson              exit 1   no person, or several, answer to what was typed
    ├── NotAllowed                 exit 1   this operator may not do this, or not alone
    ├── JournalError               exit 1   the journal cannot be opened, written or believed
    │   └── NoJournal              exit 1   there is none where one is expected
    ├── RunInProgress              exit 1   somebody else holds the run or the person
    ├── StoppedEarly               exit 4   a run was asked to end, and did before it was through
    └── PlanStopped                exit 3   a plan breaks limits nobody has waived

Callers catch `ConnectorError`. Library errors are translated in one place per adapter, with `from`. A refusal is
raised or logged, never both.
"""


class ConnectorError(Exception):
    """The root. `message` says what happened and to whom; `remedy` says what to do next (may be empty)."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class ConfigError(ConnectorError):
    """The configuration cannot be used: unknown key, literal secret, wrong type, missing section."""


class SourceError(ConnectorError):
    """A reading cannot be believed. It gives neither negative nor positive decisions, so nothing is planned."""


class TargetUnreachable(ConnectorError):
    """A system did not answer at all. Its legs are planned as unread and driven when it is back."""


class PlanError(ConnectorError):
    """A plan that cannot be applied: edited by hand, gone stale, unknown, or not approved."""


class UnknownPerson(ConnectorError):
    """No person, or more than one, answers to what was typed."""


class NotAllowed(ConnectorError):
    """This operator may not do this, or not alone."""


class JournalError(ConnectorError):
    """The journal cannot be opened, written or believed. No effect is tried without it."""


class NoJournal(JournalError):
    """There is no journal where one is expected: a new one in its place would have forgotten every block."""


class RunInProgress(ConnectorError):
    """Somebody else holds the run, or the claim on this person."""


class StoppedEarly(ConnectorError):
    """A run was asked to end before it was through. What it intended by then stands open in the journal."""

    exit_code = 4


class PlanStopped(ConnectorError):
    """The plan breaks limits that nobody has waived. Nothing was written."""

    exit_code = 3
