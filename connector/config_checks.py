"""What a config of the right shape still cannot mean: impossible numbers, unknown zones, roles without a strategy.

Plain functions over the raw file or its shaped values; each gives places and sentences and refuses nothing itself.
Warnings are about files that other people on the machine can read or change. No secret is opened to find that out; one
that others can get at is refused where it is read.
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from connector.config_shape import Where, closest
from connector.policy import Limits, OnMismatch, PortalRules, Rules, SignIn, Strategy
from connector.revealing import exposed

Problem = tuple[Where, str]

_SHARES = frozenset(each.name for each in fields(Limits) if isinstance(each.default, float))
_LEAST = {
    "confirm_runs": 1,
    "sweeps_max": 1,
    "batch_size": 1,
    "outage_after": 1,
    "retention_days": 1,
    "runs_days": 30,
    "receive_timeout": 1,
    "max_age_hours": 1,
    "plan_max_age_hours": 1,
    "lease_seconds": 10,
    "countersign_hours": 1,
}
_MOST_DAYS = 36_600  # A century: no date overflows, and more is surely a slip.
_MOST = 1_000_000
_READ_BY_EVERYBODY = stat.S_IROTH
_WRITTEN_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def impossible_numbers(raw: Any, where: Where) -> Iterator[Problem]:
    """Give every number of our own sections that cannot be meant, also while other keys have no shape yet."""
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            yield from impossible_numbers(value, (*where, key))
    elif isinstance(raw, int | float) and not isinstance(raw, bool):
        yield from _out_of_range(str(where[-1]), raw, where)


def _out_of_range(key: str, number: float, where: Where) -> Iterator[Problem]:
    days = key.endswith("_days") or where[:-1] == ("rules", "grace_days")
    least, most = _LEAST.get(key, 0), _MOST_DAYS if days else _MOST
    # `not a <= x <= b` refuses nan too, which compares as false with everything.
    if key in _SHARES and not 0 <= number <= 1:
        yield where, "must be a share between 0 and 1 (0.05 is 5 %)."
    elif not least <= number <= most:
        yield where, f"must be between {least} and {most}."


def odd_school(name: str, timezone: str) -> Iterator[Problem]:
    """Give what is wrong with the school's name and time zone."""
    if not name.strip():
        yield ("school", "name"), "must not be blank."
    if zone_named(timezone) is None:
        example = next(iter(closest(timezone, available_timezones())), "Australia/Sydney")
        yield ("school", "timezone"), f'is not in the IANA list of time zones. Write for example "{example}".'


def zone_named(name: str) -> ZoneInfo | None:
    """Give the zone of the IANA database, or None where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of the database
        return None


def odd_rules(rules: Rules) -> Iterator[Problem]:
    """Give rules that contradict each other."""
    if not rules.grace_days:
        yield (
            ("rules", "grace_days"),
            "must name at least one exit reason: one nobody configured gets the longest grace.",
        )
    days: dict[str, int] = {}
    for reason, grace in rules.grace_days.items():
        # Exit reasons are compared as people read them, so one of the two would silently count for nothing.
        if days.setdefault(" ".join(reason.split()).casefold(), grace) != grace:
            yield ("rules", "grace_days", reason), "is there twice, in other letters and with other days: keep one."
    first, last = rules.rollover_from, rules.rollover_until
    if (first is None) != (last is None) or (first and last and first > last):
        yield ("rules", "rollover_from"), "and rollover_until belong together, the first day first."


def odd_roles(rules: PortalRules, where: Where) -> Iterator[Problem]:
    """Give roles that the portal's strategy needs, or never reads."""
    by_roles = rules.strategy is Strategy.SECURITY_ROLES
    if by_roles and not any(role.strip() for role in rules.roles):
        yield (*where, "roles"), 'must name at least one role: strategy is "security_roles".'
    if rules.roles and not by_roles:
        yield (*where, "roles"), f'must not be there: strategy "{rules.strategy}" reads no roles.'


def portal_warnings(portals: Sequence[PortalRules], directories: int) -> Iterator[str]:
    """Say where a portal leans on a directory that is not configured: its accounts could not be closed."""
    for portal in portals if not directories else ():
        if portal.needs_directory_account or portal.sign_in is SignIn.DIRECTORY:
            yield (
                f"[portals.{portal.name}] signs in through a directory or needs an account in one, but there is no "
                "[directories.NAME]: its accounts are neither seen nor closed."
            )
    if portals and all(portal.on_mismatch is OnMismatch.REPORT for portal in portals):
        yield (
            'Every portal has on_mismatch = "report": nobody will ever be ready to revoke. Set on_mismatch = "revoke" '
            "on the portals the connector shall close."
        )


def file_warnings(config: Path, secrets: Sequence[str]) -> Iterator[str]:
    """Say which files other users of this machine can read or change. On Windows nothing is said."""
    if os.name != "posix":
        return
    mode = _mode(config)
    if mode & _WRITTEN_BY_OTHERS:
        yield f"{config} can be changed by other users of this machine. Run: chmod go-w {config}"
    if mode & _READ_BY_EVERYBODY:
        yield f"{config} can be read by everybody on this machine and names your servers. Run: chmod o-r {config}"
    for secret in sorted({(config.parent / name).absolute() for name in secrets if name}):
        if found := _exposed(secret):
            yield " ".join(found)


def _exposed(secret: Path) -> tuple[str, str] | None:
    try:
        return exposed(secret, secret.stat())
    except OSError:
        return None


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:  # A file that is not there yet is for `check` to miss, where it is needed.
        return 0


def secret_files(raw: Any) -> Iterator[str]:
    """Give the file of every `{ file = "..." }` in the file: this is the only way to name one."""
    if isinstance(raw, Mapping) and set(raw) == {"file"} and isinstance(raw["file"], str):
        yield raw["file"]
    elif isinstance(raw, Mapping | list):
        for value in raw.values() if isinstance(raw, Mapping) else raw:
            yield from secret_files(value)
