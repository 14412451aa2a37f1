"""What the configuration says of a portal behind SQL. Checked here as far as it can be without the database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from connector.adapters.table import did_you_mean
from connector.errors import ConfigError
from connector.interfaces import Secret
from connector.model import MembershipType, MemberStatus
from connector.postgresql import SILENCE_SECONDS

Stored = str | bool | int
"""A value as the configuration writes it and a column holds it."""

FIELDS = (
    "person_id",
    "username",
    "password",
    "status",
    "membership_type",
    "native_id",
    "code",
    "name",
    "added_on",
    "last_login",
    "strategy_match",
)
_REQUIRED = ("person_id", "username")
STATUS_VALUES: Mapping[str, Stored] = MappingProxyType({status.value: status.value for status in MemberStatus})
MEMBERSHIP_TYPE_VALUES: Mapping[str, Stored] = MappingProxyType({kind.value: kind.value for kind in MembershipType})


@dataclass(frozen=True, slots=True)
class SqlPortalSettings:
    """Which table the portal's members are in, and which column is what.

    `columns` maps our fields (`FIELDS`) to columns; `person_id` and `username` must be mapped. `columns.password` is
    emptied and never read. `native_id` is the portal's own row id: without it, rows are told apart by person. Without
    `status`, a member is enabled while the credential lives. Where one table holds several portals, `portal_column`
    has `portal_value` for this one. `status_values` and `membership_type_values` map our words to what is stored. A
    server that is silent for `receive_timeout` seconds is given up.
    """

    url: str
    table: str
    columns: Mapping[str, str]
    password: Secret | None = None
    schema: str = ""
    portal_column: str = ""
    portal_value: str = ""
    status_values: Mapping[str, Stored] = field(default_factory=lambda: dict(STATUS_VALUES))
    membership_type_values: Mapping[str, Stored] = field(default_factory=lambda: dict(MEMBERSHIP_TYPE_VALUES))
    receive_timeout: int = SILENCE_SECONDS


def refuse_bad_settings(name: str, settings: SqlPortalSettings) -> None:
    """Raise ConfigError where the settings contradict themselves."""
    for word in settings.columns:
        if word not in FIELDS:
            raise ConfigError(
                f"{name} maps {word!r}, which no member has. {did_you_mean(word, FIELDS)}",
                f"A member has {', '.join(FIELDS)}.",
            )
    for word in _REQUIRED:
        if not settings.columns.get(word):
            raise ConfigError(f"{name} does not say which column is {word}.", f'Add columns.{word} = "COLUMN".')
    if bool(settings.portal_column) != bool(settings.portal_value):
        raise ConfigError(
            f"{name} has one of portal_column and portal_value without the other.",
            "Give both where one table holds several portals, else none.",
        )
    refuse_bad_values(name, "status_values", settings.status_values, STATUS_VALUES)
    refuse_bad_values(name, "membership_type_values", settings.membership_type_values, MEMBERSHIP_TYPE_VALUES)


def refuse_bad_values(name: str, key: str, given: Mapping[str, Stored], known: Mapping[str, Stored]) -> None:
    """Raise ConfigError unless exactly our words are mapped, each to a value of its own."""
    if set(given) != set(known) or len(set(given.values())) != len(known):
        raise ConfigError(f"{name} needs one value of its own for each of {', '.join(known)} in {key}.")
