"""What the pages say is there: every verb and option, every key of the config, and a room for every module."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import pytest

from connector.cli import cli
from connector.config import _Own, load
from connector.errors import ConfigError
from connector.init_config import template
from connector.interfaces import Secret
from connector.policy import PortalRules
from connector.registry import validate

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "connector"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOR_ADMINISTRATORS = "\n".join(
    path.read_text(encoding="utf-8") for path in PAGES if path.stem not in ("architecture", "decisions")
)
_OFF = re.compile(r'(?m)^#(?=[#a-z\["])')
_HEADER = re.compile(r'(?m)^(?=#?\[[a-z_]+(?:\.[\w" .-]+)?\]$)')


def verbs(verb: click.Command = cli, *path: str) -> Iterator[tuple[str, click.Command]]:
    """Give every verb that is shown, by what is typed."""
    if isinstance(verb, click.Group):
        for name, each in verb.commands.items():
            if not each.hidden:
                yield from verbs(each, *path, name)
    else:
        yield " ".join(path), verb


def sections() -> list[str]:
    """Give every section of the example, on or off, each with the tables below it."""
    found: list[str] = []
    for part in _HEADER.split(template())[1:]:
        if found and named_by(part).startswith(f"{named_by(found[-1])}."):
            found[-1] += part
        else:
            found.append(part)
    return found


def named_by(section: str) -> str:
    return section.lstrip("#")[1:].partition("]")[0]


def switched_on(section: str) -> str:
    """Give a section with all its keys, also those that stand for another one."""
    return _OFF.sub("", _OFF.sub("", section))


def keys_below(kind: Any) -> set[str] | None:
    """Give the keys of the settings behind a type, None where anything may be a key."""
    for each in (kind, *get_args(kind)):
        if is_dataclass(each):
            return {field.name for field in fields(each)}
    return None


def own_keys(table: str) -> set[str] | None:
    """Give the keys of a table of the connector's own; anything goes in a table of names, such as grace days."""
    kind: Any = _Own
    for part in table.split("."):
        kind = next((each for each in (kind, *get_args(kind)) if is_dataclass(each)), kind)
        kind = get_type_hints(kind)[part]
    return keys_below(kind)


def named_settings() -> list[tuple[str, str, str]]:
    """Give every `[table] key` a page names, with the page."""
    return [
        (path.name, found[1], found[2] or "")
        for path in PAGES
        for found in re.finditer(r"`\[([a-z_.]+)\](?: ([a-z_]+))?[^`]*`", path.read_text(encoding="utf-8"))
        if found[1] != "postgresql"  # what is installed with the wheel, by its name there
    ]


def test_every_verb_is_in_a_page_for_administrators() -> None:
    missing = [typed for typed, _ in verbs() if not re.search(rf"connector {typed}\b(?!-)", FOR_ADMINISTRATORS)]

    assert missing == []


def test_every_option_a_page_names_is_one() -> None:
    known = {option for _, verb in verbs() for each in (*verb.params, *cli.params) for option in each.opts}
    quoted = {option for span in re.findall(r"`[^`\n]+`", FOR_ADMINISTRATORS) for option in _options(span)}

    assert quoted - known == set()


def _options(span: str) -> list[str]:
    """Give the options a quoted piece names, where it is one of ours: bare, or behind a verb of ours."""
    ours = re.match(r"`(?:--|connector )", span)
    return re.findall(r"(?<![\w-])--[a-z][a-z-]+", span) if ours else []


@pytest.mark.parametrize(("page", "table", "key"), sorted(set(named_settings())))
def test_every_setting_a_page_names_is_read(page: str, table: str, key: str) -> None:
    known = own_keys(table)

    assert not key or known is None or key in known, page


def test_every_module_has_its_room_in_the_architecture_and_no_other_is_named() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:connector/)?([\w/]+\.py)`", page))
    modules = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.stem != "__init__" and path.parent.name != "versions"
    }
    bare = Counter(module.rpartition("/")[2] for module in modules)
    alone = {module for module in modules if bare[module.rpartition("/")[2]] == 1}

    homeless = {module for module in modules - named if not (module in alone and module.rpartition("/")[2] in named)}
    unknown = {name for name in named - modules - set(bare) if not (ROOT / name).is_file()}

    assert (homeless, unknown) == (set(), set())


def every_own_table(kind: Any = _Own, *path: str) -> Iterator[tuple[str, set[str]]]:
    """Give every table of the connector's own with the keys that are read there; `*` is any name."""
    for name, hint in get_type_hints(kind).items():
        for each in (hint, *get_args(hint)):
            if is_dataclass(each) and each is not Secret:
                table = (*path, name) if each is hint or type(None) in get_args(hint) else (*path, name, "*")
                yield ".".join(table), {field.name for field in fields(each)} - {"policies"}  # a table beside [rules]
                yield from every_own_table(each, *table)


def tables(document: Mapping[str, Any], *path: str) -> Iterator[tuple[str, set[str]]]:
    """Give every table of a document with its keys."""
    yield ".".join(path), set(document)
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from tables(value, *path, key)


@pytest.mark.parametrize(
    ("table", "keys"), [*every_own_table(), ("portals.*", {each.name for each in fields(PortalRules)} - {"name"})]
)
def test_every_key_that_is_read_stands_in_the_example(table: str, keys: set[str]) -> None:
    example = [each for section in sections() for each in tables(tomllib.loads(switched_on(section)))]

    shown = {key for path, there in example if fnmatchcase(path, table) for key in there}

    assert keys - shown == set()


@pytest.mark.parametrize("section", sections(), ids=named_by)
def test_every_key_of_the_example_is_read_once_it_is_switched_on(section: str, tmp_path: Path) -> None:
    others = "".join(each for each in sections() if not each.startswith("#") and named_by(each) != named_by(section))
    path = tmp_path / "config.toml"
    path.touch(0o600)

    path.write_text(f"{others}\n{_OFF.sub('', section)}", encoding="utf-8")
    validate(load(path))

    path.write_text(f"{others}\n{switched_on(section)}", encoding="utf-8")
    assert "has no key" not in refusal(path)


def refusal(path: Path) -> str:
    """Say what is wrong with a config, even where keys are on that stand for one another."""
    try:
        validate(load(path))
    except ConfigError as error:
        return str(error)
    return ""
