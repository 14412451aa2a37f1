"""The example, the config `init` writes and what the code reads are one text: none can drift from the others."""

import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest

from connector.config import Apply, Authority, Config, Journal, Kind, Nightly, School, load
from connector.config_scim import Scim, ScimGroup
from connector.errors import ConfigError
from connector.init_config import CHOICES, QUESTIONS, starter, template
from connector.model import Reason
from connector.policy import Limits, PortalRules, Rules
from connector.provisioning import AccountTemplate
from connector.registry import GROUPS, installed, validate

EXAMPLE = Path(__file__).parents[1] / "config.example.toml"
COMBINATIONS = [
    dict(zip([choice.key for choice in CHOICES], words, strict=True))
    for words in itertools.product(*(choice.options for choice in CHOICES))
]


def loaded(folder: Path, text: str) -> Config:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return load(path)


def sections(text: str, kind: Kind, adapter: str) -> Iterator[str]:
    """Give every section of the text, on or off, that is for this adapter."""
    for section in re.split(r"(?m)^(?=#*\[(?:admin_system|(?:portals|directories|session_stores)\.\w+)\]$)", text):
        if re.match(rf"#*\[{kind}[.\]]", section) and re.search(rf'(?m)^#*adapter = "{adapter}"$', section):
            yield section


def ours(group: str) -> Iterator[EntryPoint]:
    """Give the adapters this package brings itself."""
    return (point for point in entry_points(group=group) if point.value.startswith("connector."))


def mentions(text: str, key: str) -> bool:
    return bool(re.search(rf"(?m)^#*(?:{re.escape(key)} = |\[(?:[\w-]+\.)+{re.escape(key)}(?:\.\w+)?\]$)", text))


def test_the_example_is_the_template() -> None:
    assert EXAMPLE.read_text(encoding="utf-8") == template(), (
        "copy connector/config_template.toml to config.example.toml"
    )


def test_no_answers_give_the_example() -> None:
    assert starter({}) == template()


def test_the_example_is_a_config_that_every_adapter_accepts(tmp_path: Path) -> None:
    config = loaded(tmp_path, template())

    validate(config)

    assert config.warnings == ()
    assert [section.adapter for section in config.sections] == ["csv", "ldap", "sql", "redis"]


def test_the_example_says_the_defaults_of_the_code(tmp_path: Path) -> None:
    config = loaded(tmp_path, template())

    assert config.rules == Rules()
    assert config.limits == Limits()
    assert config.nightly == Nightly()
    assert config.apply == Apply()
    assert config.journal == Journal()
    assert config.authority == Authority()
    assert config.school.state_folder == School("x", "UTC").state_folder


@pytest.mark.parametrize(
    "kind", [School, Rules, Limits, Nightly, Apply, Journal, Authority, PortalRules, Scim, AccountTemplate, ScimGroup]
)
def test_the_example_mentions_every_key(kind: type[Any]) -> None:
    names = {each.name for each in fields(kind)} - (
        {"policies"} if kind is Rules else {"name"} if kind is PortalRules else set()
    )

    assert {name for name in names if not mentions(template(), name)} == set()


def test_the_scim_section_of_the_example_works_once_it_is_switched_on_and_says_the_defaults(tmp_path: Path) -> None:
    section = re.split(r"(?m)^(?=#\[scim\]$)", template())[1].partition("\n\n\n")[0]
    head, _, rest = re.sub(r"(?m)^#(?=[^# ])", "", section).partition("\n\n")

    config = loaded(tmp_path, f"{template()}\n{head}\n{rest}")

    assert config.scim is not None
    assert replace(config.scim, directories={}, groups={}) == Scim()
    assert list(config.scim.directories) == ["ad"]
    assert [bool(group.role) for group in config.scim.groups.values()] == [True, False]
    assert loaded(tmp_path, template()).scim is None


def test_the_example_mentions_every_reason() -> None:
    assert set(tomllib.loads(template())["policies"]) == {reason.value for reason in Reason}


@pytest.mark.parametrize("point", [point for group in GROUPS.values() for point in ours(group)], ids=str)
def test_the_example_mentions_every_setting_of_our_adapters(point: EntryPoint) -> None:
    settings = point.load().Settings
    # What LDAP and LDIF share is explained once, at the first of them; SQL is told apart by kind.
    names = ("ldap", "ldif") if point.name == "ldif" else (point.name,)
    kind = next(kind for kind, group in GROUPS.items() if group == point.group)
    text = "\n".join(section for name in names for section in sections(template(), kind, name))

    assert is_dataclass(settings)
    assert {each.name for each in fields(settings) if not mentions(text, each.name)} == set()


@pytest.mark.parametrize("point", list(ours(GROUPS[Kind.SESSION_STORE])), ids=lambda point: str(point.name))
def test_every_session_store_of_the_example_works_once_it_is_switched_on(tmp_path: Path, point: EntryPoint) -> None:
    (section,) = sections(template(), Kind.SESSION_STORE, point.name)
    on = re.sub(r"(?m)^#(?=[^# ])", "", section)
    others = re.split(r"(?m)^\[session_stores\.", template())[0]

    config = loaded(tmp_path, f"{others}\n{on}")

    validate(config)
    assert [each.adapter for each in config.session_stores] == [point.name]


@pytest.mark.parametrize("choices", COMBINATIONS, ids=lambda choices: "-".join(choices.values()))
def test_every_combination_of_choices_gives_a_config_that_works(tmp_path: Path, choices: Mapping[str, str]) -> None:
    config = loaded(tmp_path, starter(choices))

    validate(config)

    assert len(config.directories) == (choices["directory"] != "none")
    assert len(config.session_stores) == (choices["sessions"] != "none")
    assert config.admin_system.adapter == choices["admin_system"]
    assert config.portals[0].adapter == choices["portal"]
    assert config.warnings == ()


def test_answers_land_where_they_belong(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        starter(
            {
                "school_name": 'St "Mary\'s" \\ Söhne\n[apply]',
                "school_timezone": "Europe/London",
                "admin_system_folder": "C:\\exports",
                "directory": "openldap",
                "directory_host": "ldap.stmarys.example",
                "directory_base": "dc=stmarys,dc=example",
                "directory_managed": "ou=carers,dc=stmarys,dc=example",
                "sessions": "none",
                "portal_url": "sqlite:///portal.sqlite",
            }
        ),
    )

    assert config.school.name == 'St "Mary\'s" \\ Söhne\n[apply]'
    assert config.school.timezone == "Europe/London"
    assert config.admin_system.settings["folder"] == "C:\\exports"
    assert config.directories[0].settings["host"] == "ldap.stmarys.example"
    assert config.directories[0].settings["managed"] == ["ou=carers,dc=stmarys,dc=example"]
    assert config.portals[0].settings["url"] == "sqlite:///portal.sqlite"


def test_every_question_changes_the_line_it_names() -> None:
    for question in QUESTIONS:
        choices = {question.choice: question.of[0]} if question.of else {}

        assert '"Changed"' in starter({**choices, question.key: "Changed"}), question.key


def test_an_example_answer_is_what_the_template_says() -> None:
    for question in QUESTIONS:
        assert f'"{question.example}"' in template(), question.key


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({"schol_name": "x"}, "Nobody asks for 'schol_name'. Did you mean 'school_name'?"),
        ({"directory": "novell"}, "directory cannot be 'novell'. It is one of ad, openldap, ldif, none."),
    ],
)
def test_an_answer_that_fits_nothing_is_refused(answers: Mapping[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        starter(answers)


def test_a_password_in_an_answer_is_refused_and_never_repeated() -> None:
    with pytest.raises(ConfigError, match="literal password") as caught:
        starter({"portal_url": "postgresql://connector:hunter2-Xy@db/portal"})

    assert "hunter2-Xy" not in str(caught.value)


def test_our_own_adapters_are_registered_the_way_anybodys_are() -> None:
    assert {"csv", "sql"} <= set(installed(Kind.ADMIN_SYSTEM))
    assert {"sql", "worklist"} <= set(installed(Kind.PORTAL))
    assert {"ldap", "ldif"} <= set(installed(Kind.DIRECTORY))
    assert {"sql", "redis", "spring_redis", "django", "keycloak", "graph", "okta", "ticket"} <= set(
        installed(Kind.SESSION_STORE)
    )
