"""The sections `[daemon]` and `[reports]`: when the daemon acts beside its nights, where it listens, whom it tells.

Nothing is opened here. Must never let an address be written that carries its secret in the clear: whoever reads the
config could then speak in the connector's name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from connector.config_shape import Where
from connector.interfaces import Secret
from connector.post import Mail, is_address

Problem = tuple[Where, str]


class DigestDay(StrEnum):
    """The day of the weekly digest, or none."""

    NEVER = ""
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


@dataclass(frozen=True, slots=True)
class Daemon:
    """What the daemon does beside its nights. Times in the unit of their name.

    `watch` are folders in which a file that arrives leads to a run. `listen` is HOST:PORT of health, metrics and the
    webhook; empty: nowhere. `webhook_secret` is what a webhook that asks for a run is signed with; without it there is
    none. `ping_url` is asked after every night that came to its end and could be told of.
    """

    retry_minutes: int = 10
    watch: tuple[str, ...] = ()
    rest_seconds: int = 10
    trigger_minutes: int = 15
    listen: str = "127.0.0.1:9464"
    webhook_secret: Secret | None = None
    ping_url: Secret | None = None
    lease_seconds: int = 30
    stop_seconds: int = 90


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where a report is posted as JSON, and the secret it is signed with. `ca_file` verifies a server of your own."""

    url: str
    secret: Secret
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Reports:
    """Who is told of a run, and how. `people` gives operators' e-mail addresses, by their name on this machine.

    What needs somebody and is untouched for `untouched_hours` goes to `escalate_to` too. Owners of keeps and blocks are
    reminded `remind_days` before these end.
    """

    only_when_changed: bool = False
    digest: DigestDay = DigestDay.MON
    untouched_hours: int = 24
    escalate_to: tuple[str, ...] = ()
    remind_days: tuple[int, ...] = (14, 3)
    people: Mapping[str, str] = field(default_factory=dict)
    mail: Mail | None = None
    webhook: Webhook | None = None


DAEMON_RANGES = {
    ("daemon", "retry_minutes"): (1, 1_440),
    ("daemon", "rest_seconds"): (1, 3_600),
    ("daemon", "trigger_minutes"): (1, 1_440),
    ("daemon", "lease_seconds"): (10, 60),
    ("daemon", "stop_seconds"): (5, 3_600),
    ("reports", "untouched_hours"): (1, 720),
}
"""The least and the most each number can mean."""

_MOST_DAYS = 366


def impossible_daemon_numbers(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Give every number of both sections that cannot be meant, also while other keys have no shape yet."""
    for (section, key), (least, most) in DAEMON_RANGES.items():
        table = raw.get(section)
        value = table.get(key) if isinstance(table, Mapping) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and not least <= value <= most:
            yield (section, key), f"must be between {least} and {most}."


def odd_daemon(daemon: Daemon) -> Iterator[Problem]:
    """Give what the section [daemon] cannot mean."""
    host, _, port = daemon.listen.rpartition(":")
    if daemon.listen and not (host and port.isdecimal() and 0 < int(port) < 65536):  # noqa: PLR2004 - a port
        yield ("daemon", "listen"), 'must be an address and a port, like "127.0.0.1:9464", or "" for nowhere.'
    for number, folder in enumerate(daemon.watch):
        if not folder.strip():
            yield ("daemon", "watch", number), "must be a folder."


def odd_reports(reports: Reports) -> Iterator[Problem]:
    """Give what the section [reports] cannot mean."""
    for number, days in enumerate(reports.remind_days):
        if not 1 <= days <= _MOST_DAYS:
            yield ("reports", "remind_days", number), f"must be between 1 and {_MOST_DAYS}."
    yield from _needs_mail(reports)
    if reports.webhook is not None:
        parts = urlsplit(reports.webhook.url)
        if parts.scheme != "https" or not parts.hostname or parts.username or parts.fragment:
            yield ("reports", "webhook", "url"), 'must be an address like "https://hooks.school.example/connector".'


def _needs_mail(reports: Reports) -> Iterator[Problem]:
    for number, address in enumerate(reports.escalate_to):
        if not is_address(address):
            yield ("reports", "escalate_to", number), "must be an e-mail address."
    for name, address in reports.people.items():
        if not is_address(address):
            yield ("reports", "people", name), "must be an e-mail address."
    asked: Sequence[tuple[str, object]] = (("escalate_to", reports.escalate_to), ("people", reports.people))
    for key, value in asked:
        if value and reports.mail is None:
            yield ("reports", key), "needs [reports.mail]: without it nothing is sent."
