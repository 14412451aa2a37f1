"""The configuration: one TOML file of one school, read once into frozen values.

A file is used whole or not at all: every unknown key, wrong type and impossible number is named at once, and nothing is
opened here. Secrets are only ever named in it; this module never reads one. What an adapter wants to know is kept as it
was written, for `connector.registry` to check against that adapter's own Settings.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import time
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connector.config_checks import (
    file_warnings,
    impossible_numbers,
    odd_roles,
    odd_rules,
    odd_school,
    portal_warnings,
    secret_files,
)
from connector.config_daemon import Daemon, Reports, impossible_daemon_numbers, odd_daemon, odd_reports
from connector.config_scim import Scim, impossible_scim_numbers, odd_scim
from connector.config_shape import Problems, Where, keys_of, passwords_in_urls, shape
from connector.errors import ConfigError
from connector.interfaces import Secret, Site
from connector.model import Reason
from connector.policy import DEFAULT_POLICIES, Limits, Policy, PortalRules, Rules
from connector.post import Mail


class Kind(StrEnum):
    """A kind of adapter section, by the name of its table."""

    ADMIN_SYSTEM = "admin_system"
    DIRECTORY = "directories"
    PORTAL = "portals"
    SESSION_STORE = "session_stores"


class NightlyMode(StrEnum):
    """`report` decides and reports only, until somebody runs `go-live`; `apply` asks for none."""

    REPORT = "report"
    APPLY = "apply"


class Weekday(StrEnum):
    """A day of the week, in the order of `date.weekday()`."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


@dataclass(frozen=True, slots=True)
class School:
    """Whose people these are. `timezone` is an IANA name; `state_folder` is relative to the config's folder."""

    name: str
    timezone: str
    state_folder: str = "state"


@dataclass(frozen=True, slots=True)
class Nightly:
    """When the nightly run starts (local time), whether it may apply, and on which days."""

    mode: NightlyMode = NightlyMode.REPORT
    at: time = time(2, 30)
    apply_days: tuple[Weekday, ...] = (Weekday.MON, Weekday.TUE, Weekday.WED, Weekday.THU)


@dataclass(frozen=True, slots=True)
class Apply:
    """How a plan is applied. `sweeps_max` bounds how often sessions are swept again until a sweep is clean.

    For `resweep_days` after somebody was closed, nightly runs sweep their sessions again; 0 is never.
    """

    settle_seconds: int = 60
    sweeps_max: int = 5
    batch_size: int = 500
    outage_after: int = 5
    lease_seconds: int = 120
    resweep_days: int = 3


@dataclass(frozen=True, slots=True)
class Journal:
    """Where the journal is, the key that chains its audit records, and how long what is kept.

    Snapshots are kept `retention_days`, runs with their plans `runs_days`, audit records `audit_days`: older ones the
    daemon seals into a file in `sealed_folder`, and deletes `sealed_years` later. 0 keeps for ever.
    """

    url: str = "sqlite:///journal.sqlite"
    password: Secret | None = None
    audit_key: Secret = field(default_factory=lambda: Secret(file="audit.key"))
    retention_days: int = 90
    runs_days: int = 400
    audit_days: int = 400
    sealed_folder: str = "sealed"
    sealed_years: int = 0
    receive_timeout: int = 60


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs after an urgent termination: operators with one of these roles, within so many hours.

    With `mail` they are told at once; what is overdue goes to `escalate_to` too.
    """

    roles: tuple[str, ...] = ("SEC", "STC")
    countersign_hours: int = 24
    escalate_to: tuple[str, ...] = ()
    mail: Mail | None = None


@dataclass(frozen=True, slots=True)
class AdapterSection:
    """One section that belongs to an adapter. `settings` are its keys as written, not yet checked."""

    kind: Kind
    name: str
    adapter: str
    settings: Mapping[str, Any] = field(repr=False)

    @property
    def where(self) -> Where:
        """The place of this section in the file."""
        return (str(self.kind),) if self.kind is Kind.ADMIN_SYSTEM else (str(self.kind), self.name)


@dataclass(frozen=True, slots=True)
class Config:
    """One school's whole configuration. `warnings` are sentences for `connector check`."""

    path: Path
    school: School
    rules: Rules
    limits: Limits
    nightly: Nightly
    apply: Apply
    journal: Journal
    portal_rules: tuple[PortalRules, ...]
    admin_system: AdapterSection
    portals: tuple[AdapterSection, ...]
    directories: tuple[AdapterSection, ...] = ()
    session_stores: tuple[AdapterSection, ...] = ()
    warnings: tuple[str, ...] = ()
    authority: Authority = field(default_factory=Authority)
    scim: Scim | None = None
    daemon: Daemon = field(default_factory=Daemon)
    reports: Reports = field(default_factory=Reports)

    @property
    def site(self) -> Site:
        """Where adapters stand: relative paths start at the config's folder."""
        folder = self.path.absolute().parent
        return Site(folder, folder / self.school.state_folder, ZoneInfo(self.school.timezone))

    @property
    def journal_url(self) -> str:
        """The journal's URL, a relative SQLite path made absolute."""
        return absolute_sqlite(self.journal.url, self.site.folder)

    @property
    def sections(self) -> tuple[AdapterSection, ...]:
        """Every adapter section, in the order adapters are opened."""
        return (self.admin_system, *self.directories, *self.portals, *self.session_stores)


@dataclass(frozen=True, slots=True)
class _Own:
    """The sections that are the connector's own, shaped in one go."""

    school: School
    rules: Rules = field(default_factory=Rules)
    policies: dict[Reason, Policy] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    nightly: Nightly = field(default_factory=Nightly)
    apply: Apply = field(default_factory=Apply)
    journal: Journal = field(default_factory=Journal)
    authority: Authority = field(default_factory=Authority)
    scim: Scim | None = None
    daemon: Daemon = field(default_factory=Daemon)
    reports: Reports = field(default_factory=Reports)


PORTAL_KEYS = tuple(key for key in keys_of(PortalRules) if key != "name")
"""What a portal's section holds for the rules; every other key but `adapter` is its adapter's."""

_NAME = re.compile(r"[a-z0-9_-]+")
_THERE_TWICE = (
    "That key or section is there already: take one of the two away, or switch the [section] line above it on "
    "(take its # away)."
)
_OWN_RANGES = ("scim", "daemon", "reports")
"""Sections whose numbers have ranges of their own."""


def load(path: Path) -> Config:
    """Read and check the file, all but adapters' own keys. Raises ConfigError naming every problem at once."""
    raw = _read(path)
    problems = Problems(path)
    own = _own(raw, problems)
    portal_rules = tuple(_portal_rules(raw, problems))
    sections = {kind: tuple(_sections(kind, raw, problems)) for kind in Kind}
    problems.refuse_any()
    if own is None:  # Cannot be: what has no shape has a problem.
        raise ConfigError(f"{path} cannot be used.")
    config = Config(
        path=path,
        school=own.school,
        rules=replace(own.rules, policies={**DEFAULT_POLICIES, **own.policies}),
        limits=own.limits,
        nightly=own.nightly,
        apply=own.apply,
        journal=own.journal,
        portal_rules=portal_rules,
        admin_system=sections[Kind.ADMIN_SYSTEM][0],
        portals=sections[Kind.PORTAL],
        directories=sections[Kind.DIRECTORY],
        session_stores=sections[Kind.SESSION_STORE],
        authority=own.authority,
        scim=own.scim,
        daemon=own.daemon,
        reports=own.reports,
    )
    return replace(config, warnings=tuple(_warnings(config, raw)))


def absolute_sqlite(url: str, folder: Path) -> str:
    """Give an SQLite URL with its path made absolute from `folder`; every other URL, and `:memory:`, as it is."""
    found = re.fullmatch(r"(sqlite(?:\+\w+)?:///)(?!:memory:|file:)(.+)", url)
    return f"{found[1]}{(folder / found[2]).absolute().as_posix()}" if found else url


def _read(path: Path) -> dict[str, Any]:
    try:
        # A byte order mark is what Windows editors write; TOML 1.0 knows only UTF-8.
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"There is no config file {path}.", "Write one with `connector init`.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", "Check path and owner.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}).", "Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        mend = _THERE_TWICE if re.search("overwrite|twice", str(error)) else "Correct that line."
        raise ConfigError(f"{path} is not valid TOML: {error}.", mend) from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply.", "Start from config.example.toml.") from None


def _own(raw: Mapping[str, Any], problems: Problems) -> _Own | None:
    """Shape and check the connector's own sections."""
    ours = {key: raw[key] for key in keys_of(_Own) if key in raw}
    known = (*keys_of(_Own), *Kind)
    for key in (key for key in raw if key not in known):
        problems.add_unknown((key,), known)
    if "policies" in ours.get("rules", ()):
        problems.add(("rules", "policies"), "is in the wrong place: write the table [policies].")
    problems.add_all(passwords_in_urls(raw))
    problems.add_all(impossible_numbers({key: ours[key] for key in ours if key not in _OWN_RANGES}, ()))
    problems.add_all(impossible_scim_numbers(ours.get("scim")))
    problems.add_all(impossible_daemon_numbers(ours))
    own = shape(_Own, ours, (), problems)
    if own is not None:
        problems.add_all(odd_school(own.school.name, own.school.timezone))
        problems.add_all(odd_rules(own.rules))
        tables = raw.get(Kind.DIRECTORY)
        problems.add_all(odd_scim(own.scim, tables if isinstance(tables, Mapping) else {}) if own.scim else ())
        problems.add_all((*odd_daemon(own.daemon), *odd_reports(own.reports)))
        if not any(role.strip() for role in own.authority.roles):
            problems.add(("authority", "roles"), "must name at least one role: nobody could countersign.")
        if own.nightly.at.tzinfo is not None:
            problems.add(("nightly", "at"), "must be a local time, without a zone.")
    return own


def _sections(kind: Kind, raw: Mapping[str, Any], problems: Problems) -> Iterator[AdapterSection]:
    if kind is Kind.ADMIN_SYSTEM:
        yield from _section(kind, str(kind), (str(kind),), raw.get(kind, {}), problems)
        return
    tables = raw.get(kind, {})
    if not isinstance(tables, Mapping):
        problems.add((kind.value,), f"must hold tables: [{kind}.NAME].")
        return
    for name, table in tables.items():
        if not _NAME.fullmatch(name):
            problems.add((kind.value, name), "must be a name of a-z, 0-9, _ and - only.")
        yield from _section(kind, name, (kind.value, name), table, problems)


def _section(kind: Kind, name: str, where: Where, table: Any, problems: Problems) -> Iterator[AdapterSection]:
    if not isinstance(table, Mapping):
        problems.add(where, "must be a table.")
    elif "adapter" not in table:
        problems.add_missing((*where, "adapter"), table)
    elif not isinstance(table["adapter"], str):
        problems.add((*where, "adapter"), "must be text, in quotes.")
    else:
        ours = ("adapter", *PORTAL_KEYS) if kind is Kind.PORTAL else ("adapter",)
        yield AdapterSection(kind, name, table["adapter"], {key: table[key] for key in table if key not in ours})


def _portal_rules(raw: Mapping[str, Any], problems: Problems) -> Iterator[PortalRules]:
    tables = raw.get(Kind.PORTAL, {})
    if not tables:
        problems.add((Kind.PORTAL.value,), "is missing: at least one [portals.NAME] is needed.")
    for name, table in tables.items() if isinstance(tables, Mapping) else ():
        if isinstance(table, Mapping):
            where = (Kind.PORTAL.value, name)
            ours = {key: table[key] for key in PORTAL_KEYS if key in table}
            rules = shape(PortalRules, {"name": name, **ours}, where, problems, spare=set(table) - set(PORTAL_KEYS))
            if rules is not None:
                problems.add_all(odd_roles(rules, where))
                yield rules


def _warnings(config: Config, raw: Mapping[str, Any]) -> Iterator[str]:
    yield from portal_warnings(config.portal_rules, len(config.directories))
    if not config.nightly.apply_days:
        yield "[nightly] apply_days names no day: no night ever closes anybody, but for what is urgent."
    yield from file_warnings(config.path, (config.journal.audit_key.file, *secret_files(raw)))
