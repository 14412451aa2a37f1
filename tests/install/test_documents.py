"""What the pages about installing and security name is there: every test, every file, every link."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["docs/getting-started.md", "docs/installing.md", "docs/threat-model.md"]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["docs/threat-model.md", "docs/guarantees.md"])
def test_every_test_that_proves_a_defence_or_a_promise_is_there(name: str) -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text(name)))

    assert len(named) > 20
    assert sorted(each for each in named if not (ROOT / each).is_file()) == []


def test_every_entry_point_of_the_threat_model_names_a_test() -> None:
    section = text("docs/threat-model.md").partition("## Entry points")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and "| threat |" not in line]

    assert len(rows) > 15
    assert [row.split("|")[1].strip() for row in rows if "`tests/" not in row] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_file_and_link_of_a_page_is_there(name: str) -> None:
    page = text(name)
    links = [ROOT / "docs" / link for link in re.findall(r"\]\(([\w.-]+\.md)\)", page)]
    files = [ROOT / file for file in re.findall(r"`?((?:deploy|requirements)/[\w./-]*\w)", page)]

    assert [str(each) for each in (*links, *files) if not each.exists()] == []


def test_the_four_ways_to_name_a_secret_are_told_alike_everywhere() -> None:
    for name in ("docs/installing.md", "config.example.toml"):
        for way in (
            '{ env = "NAME" }',
            '{ file = "PATH" }',
            '{ credential = "NAME" }',
            '{ keyring = "SERVICE", user =',
        ):
            assert way in text(name), f"{name}: {way}"
