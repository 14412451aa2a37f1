"""The commented config that `connector init` writes: the template of config.example.toml with a school's own answers.

One text, `config_template.toml`, is the source of both, so they never drift apart. Nothing here asks, writes or opens
anything else, and no answer is ever a password: the config only names where those are.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files

from connector.config_shape import closest, passwords_in_urls
from connector.errors import ConfigError

Option = tuple[str, str] | None
"""A section of the template, by table and adapter; None where the answer means that there is none."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A question with a fixed set of answers, each switching one section on. The first option is the default."""

    key: str
    text: str
    options: Mapping[str, Option]


@dataclass(frozen=True, slots=True)
class Question:
    """A question with a free answer: the value of `setting` in the section that `choice` switched on.

    It is asked only where the choice is one of `of` (none: always). `example` is what the template says.
    """

    choice: str
    setting: str
    text: str
    example: str
    of: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its name among the answers."""
        return f"{self.choice}_{self.setting}"


CHOICES = (
    Choice(
        "admin_system",
        "How is the admin system read?",
        {"csv": ("admin_system", "csv"), "sql": ("admin_system", "sql")},
    ),
    Choice(
        "portal",
        "How is the parent portal reached?",
        {"sql": ("portals.engage", "sql"), "worklist": ("portals.engage", "worklist")},
    ),
    Choice(
        "directory",
        "Which directory holds the accounts?",
        {
            "ad": ("directories.ad", "ldap"),
            "openldap": ("directories.openldap", "ldap"),
            "ldif": ("directories.export", "ldif"),
            "none": None,
        },
    ),
    Choice(
        "sessions",
        "Where are live sign-ins kept?",
        {"redis": ("session_stores.web", "redis"), "sql": ("session_stores.web", "sql"), "none": None},
    ),
)
"""What `init` asks first."""

_SERVERS = ("ad", "openldap")
QUESTIONS = (
    Question("school", "name", "Name of the school", "Harbour College"),
    Question("school", "timezone", "Its time zone (IANA name)", "Australia/Sydney"),
    Question("admin_system", "folder", "Folder of the admin system's CSV files", "admin", ("csv",)),
    Question(
        "admin_system",
        "url",
        "Database of the admin system, without password",
        "postgresql://connector_reader@db.school.example/admin",
        ("sql",),
    ),
    Question(
        "portal",
        "url",
        "Database of the portal, without password",
        "postgresql://connector@db.school.example/portal",
        ("sql",),
    ),
    Question("portal", "export", "The portal's account export (CSV file)", "portal/accounts.csv", ("worklist",)),
    Question("directory", "host", "Directory server (DNS name)", "dc1.school.example", _SERVERS),
    Question("directory", "bind_dn", "Whom the connector signs in as", "connector@school.example", _SERVERS),
    Question("directory", "file", "The exported LDIF file", "directory.ldif", ("ldif",)),
    Question("directory", "base", "Base of the directory", "DC=school,DC=example", (*_SERVERS, "ldif")),
    Question(
        "directory",
        "managed",
        "OU whose accounts the connector may disable",
        "OU=Parents,OU=People,DC=school,DC=example",
        (*_SERVERS, "ldif"),
    ),
    Question(
        "sessions",
        "url",
        "Address of the session store, without password",
        "rediss://redis.school.example/0",
        ("redis", "sql"),
    ),
)
"""What `init` asks then."""

_HEADER = re.compile(r"^#*\[([\w.-]+)\]$")
_SWITCHED_OFF = re.compile(r"^#+[^# ]")  # prose has a space behind its #


@dataclass(frozen=True, slots=True)
class _Section:
    """A section of the template with its sub-tables, and the prose up to the next one."""

    table: str
    lines: tuple[str, ...]

    @property
    def option(self) -> Option:
        """Which option of a choice it is."""
        adapters = (re.match(r'^#*adapter = "([\w-]+)"', line) for line in self.lines)
        return (self.table, next((found[1] for found in adapters if found), ""))

    @property
    def on(self) -> bool:
        """Whether its header is switched on."""
        return any(line.startswith("[") for line in self.lines)

    def switched(self, on: bool) -> "_Section":
        """Give it switched on or off; prose stays prose, and an optional line stays one level below."""
        if on == self.on:
            return self
        return _Section(self.table, tuple(_uncommented(line) if on else _commented(line) for line in self.lines))

    def with_value(self, setting: str, value: str) -> "_Section":
        """Give it with this text behind `setting = `, in a list where the template has a list."""
        listed = any(line.startswith(f"{setting} = [") for line in self.lines)
        return self.with_line(setting, f"[{toml_text(value)}]" if listed else toml_text(value))

    def with_line(self, setting: str, written: str) -> "_Section":
        """Give it with this behind `setting = `, as it is."""
        start = f"{setting} = "
        return _Section(self.table, tuple(start + written if line.startswith(start) else line for line in self.lines))


def template() -> str:
    """Give the template: the very text of config.example.toml."""
    return files("connector").joinpath("config_template.toml").read_text(encoding="utf-8")


def starter(answers: Mapping[str, str]) -> str:
    """Give a commented config with these answers, by the keys of CHOICES and QUESTIONS; the template's words elsewhere.

    Raises ConfigError for an answer nobody asked for, a choice that is none, and a password.
    """
    chosen = _chosen(answers)
    wanted = [option for each in CHOICES if (option := each.options[chosen[each.key]])]
    choosable = [option for each in CHOICES for option in each.options.values()]
    sections = (
        section.switched(section.option in wanted) if section.option in choosable else section
        for section in _sections(template())
    )
    filled = (_filled(section, answers, chosen) for section in sections)
    return "".join(f"{line}\n" for section in filled for line in section.lines)


def toml_text(value: str) -> str:
    """Write a text as a TOML basic string."""
    # JSON's escapes are TOML's (TOML 1.0, String); DEL alone must be escaped here and need not be there.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _chosen(answers: Mapping[str, str]) -> dict[str, str]:
    """Give the option of every choice, or refuse an answer that fits nothing."""
    known = (*(each.key for each in CHOICES), *(each.key for each in QUESTIONS))
    for key in answers:
        if key not in known:
            raise ConfigError(f"Nobody asks for {key!r}.", _did_you_mean(key, known))
    if any(passwords_in_urls(dict(answers))):
        raise ConfigError("An answer holds a literal password.", "Leave it out: the config names where it is.")
    chosen = {each.key: answers.get(each.key, next(iter(each.options))) for each in CHOICES}
    for each in CHOICES:
        if chosen[each.key] not in each.options:
            names = ", ".join(each.options)
            raise ConfigError(f"{each.key} cannot be {chosen[each.key]!r}.", f"It is one of {names}.")
    return chosen


def _did_you_mean(key: str, known: Iterable[str]) -> str:
    return "".join(f"Did you mean {name!r}?" for name in closest(key, known))


def _sections(text: str) -> Iterator[_Section]:
    table, lines = "", list[str]()
    for line in text.splitlines():
        found = _HEADER.match(line)
        if found and not found[1].startswith(f"{table}."):
            yield _Section(table, tuple(lines))
            table, lines = found[1], []
        lines.append(line)
    yield _Section(table, tuple(lines))


def _uncommented(line: str) -> str:
    return line[1:] if _SWITCHED_OFF.match(line) else line


def _commented(line: str) -> str:
    is_prose = not line or line == "#" or line.startswith("# ")
    return line if is_prose else f"#{line}"


def _filled(section: _Section, answers: Mapping[str, str], chosen: Mapping[str, str]) -> _Section:
    for question in QUESTIONS:
        if question.key in answers and section.on and _belongs(question, section, chosen):
            section = section.with_value(question.setting, answers[question.key])
    if section.table == "portals.engage" and section.on and chosen["directory"] == "none":
        section = section.with_line("sign_in", '"password"').with_line("needs_directory_account", "false")
    return section


def _belongs(question: Question, section: _Section, chosen: Mapping[str, str]) -> bool:
    for choice in CHOICES:
        if choice.key == question.choice:
            return chosen[choice.key] in question.of and section.option == choice.options[chosen[choice.key]]
    return section.table == question.choice
