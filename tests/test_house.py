"""What the project says about itself is true, and nothing of the machine it was written on is in it."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Written in pieces, so that this file is not the one that is found.
FORBIDDEN = {
    "a path of somebody's machine": r"(?<![\w.<{$-])/"
    r"(?:root|work|home/\w+|Users/\w{2,}(?=/)|opt/(?:pypi|wheels))(?:/|\b(?=[\s\"'`]))",  # /Users/ID is a SCIM address
    "the address of a package index": r"index"
    r"-url|--find"
    r"-links|files\.python"
    r"hosted\.org|pypi\."
    r"org/simple",
}
IGNORE = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma|fmt:\s*off)\b(?P<rest>.*)")
_SCREEN = 40
_CALLED = re.compile(r"^\s*(?:async )?(?:def|class) (\w+)", re.MULTILINE)
_SAYS_NOTHING = re.compile(
    r"(?:^|_)(?:utils?|helpers?|manager|handler|service|data|info)(?:_|$)|[a-z](?:Util|Helper|Manager|Handler|Service|Data|Info)s?(?![a-z])|^(?:Manager|Handler|Service|Data|Info|Utils?|Helper)$"
)
_NAMED_BY_OTHERS = {"Manager", "service_provider_config", "handle_data"}  # RFC 7643 4.3 and 5, and html.parser's own
REASON = re.compile(r"\s-\s\S|\s#\s\S")


def tracked() -> list[Path]:
    """Give every text file that is, or will be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git work tree: what is tracked cannot be known")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def lines(*suffixes: str) -> list[tuple[str, str]]:
    """Give every line of these files, each with its place."""
    found = []
    for path in tracked():
        if path.suffix in suffixes or not suffixes:
            text = path.read_text(encoding="utf-8", errors="replace")
            found += [(f"{path.relative_to(ROOT)}:{number}", line) for number, line in enumerate(text.splitlines(), 1)]
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])

    assert [place for place, line in lines() if pattern.search(line)] == []


def test_every_ignore_in_the_code_has_its_reason() -> None:
    ignores = [(place, found["rest"]) for place, line in lines(".py") if (found := IGNORE.search(line))]

    assert [place for place, rest in ignores if not REASON.search(rest)] == []


def test_every_ignore_in_the_configuration_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    rules = re.findall(r'^ +"[A-Z]+\d*",?(.*)$', text, re.MULTILINE)

    assert [rest for rest in rules if not re.search(r"# \w", rest)] == []
    assert rules


@pytest.mark.parametrize(("folder", "longest"), [("connector", 400), ("tools", 400), ("tests", 700)])
def test_no_module_is_longer_than_a_reader_s_patience_nor_a_function_than_a_screen(folder: str, longest: int) -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / folder).rglob("*.py")}

    modules = [f"{path.relative_to(ROOT)}" for path, source in sources.items() if source.count("\n") > longest]
    functions = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path, source in sources.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= _SCREEN
    ]

    assert (modules, functions) == ([], [])


@pytest.mark.parametrize("folder", ["connector", "tools", "tests"])
def test_nothing_is_named_by_a_word_that_says_nothing(folder: str) -> None:
    names = [
        (path, name)
        for path in (ROOT / folder).rglob("*.py")
        for name in (path.stem, *_CALLED.findall(path.read_text(encoding="utf-8")))
    ]

    empty = {
        f"{path.relative_to(ROOT)}: {name}"
        for path, name in names
        if not name.startswith("test_") and _SAYS_NOTHING.search(name) and name not in _NAMED_BY_OTHERS
    }

    assert empty == set()


def test_the_version_stands_in_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert re.search(rf"^## \[?{re.escape(PROJECT['project']['version'])}\b", changelog, re.MULTILINE)


def test_every_command_of_make_that_a_document_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    helped = set(re.findall(r"^# make ([a-z-]+)", makefile, re.MULTILINE))
    named = {word for _, line in lines(".md") for word in re.findall(r"(?:`|^ *)make ([a-z-]+)(?=[ `]|$)", line)}

    assert named - targets == set()
    assert targets - helped == {"help", "servers"}


@pytest.mark.parametrize("name", [path.stem for path in sorted((ROOT / "requirements").glob("*.txt"))])
def test_every_locked_package_has_its_hashes(name: str) -> None:
    lock = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    packages = re.findall(r"^[a-z0-9].*$(?:\n    --hash=.*)*", lock, re.MULTILINE)

    assert packages
    assert [package.split("==")[0] for package in packages if "--hash=sha256:" not in package] == []


def test_every_lock_is_made_by_make_lock_and_names_no_place_to_fetch_from() -> None:
    locked = {path.stem for path in (ROOT / "requirements").glob("*.in")}
    made = set(re.findall(r"--output-file requirements/(\w+)\.txt", (ROOT / "Makefile").read_text(encoding="utf-8")))
    texts = [(ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8") for name in sorted(locked)]

    assert locked == made == {"runtime", "test", "bench", "tools", "keyring"}
    assert [
        found for text in texts for found in re.findall(r"^(?:--?[a-z].*|.* @ .*|.*://.*)$", text, re.MULTILINE)
    ] == []


def test_every_runtime_dependency_is_locked() -> None:
    lock = (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    asked = [re.match(r"[A-Za-z0-9._-]+", each) for each in PROJECT["project"]["dependencies"]]

    assert [name[0] for name in asked if name and f"\n{name[0].lower()}==" not in lock] == []
