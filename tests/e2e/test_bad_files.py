"""An export that cannot be believed: one clear error, exit 1, and nothing is written anywhere."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.command import Ran
from tests.e2e.embedded import EmbeddedSchool

Break = Callable[[EmbeddedSchool], None]


def refused(ran: Ran) -> bool:
    """Whether this is an error a person can act on, and no more than that."""
    return ran.code == 1 and not ran.out and "Traceback" not in ran.err and len(ran.err.splitlines()) <= 6


def edited(table: str, pattern: str, new: str, count: int = 1) -> Break:
    """Replace in one file of the export."""

    def edit(school: EmbeddedSchool) -> None:
        path = school.admin(table)
        text, found = re.subn(pattern, new, path.read_text(encoding="utf-8"), count=count, flags=re.MULTILINE)
        assert found
        path.write_text(text, encoding="utf-8")

    return edit


def encoded(encoding: str) -> Break:
    """Write the people in another encoding."""

    def encode(school: EmbeddedSchool) -> None:
        path = school.admin("people")
        path.write_bytes(path.read_text(encoding="utf-8").encode(encoding, errors="replace"))

    return encode


def without_column(table: str, column: str) -> Break:
    """Take a column out of a file, its header and its cells."""

    def drop(school: EmbeddedSchool) -> None:
        lines = [line.split(",") for line in school.admin(table).read_text(encoding="utf-8").splitlines()]
        at = lines[0].index(column)
        text = "\n".join(",".join(cells[:at] + cells[at + 1 :]) for cells in lines)
        school.admin(table).write_text(f"{text}\n", encoding="utf-8")

    return drop


def header_only(table: str) -> Break:
    """Leave the header and nothing else."""

    def empty(school: EmbeddedSchool) -> None:
        path = school.admin(table)
        path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")

    return empty


def cut_off(table: str) -> Break:
    """End a file in the middle of a row, as a transfer that broke off does."""

    def cut(school: EmbeddedSchool) -> None:
        content = school.admin(table).read_bytes()
        at = content.index(b"\n", len(content) // 2) + 6
        school.admin(table).write_bytes(content[:at])

    return cut


def removed(table: str) -> Break:
    """Take a file away."""
    return lambda school: school.admin(table).unlink()


BROKEN = {
    "a missing column": (without_column("people", "status"), ("people.csv", "status")),
    "people in UTF-16": (encoded("utf-16"), ("people.csv", "UTF-16")),
    "people in cp1252": (encoded("cp1252"), ("people.csv", "UTF-8", "line")),
    "no people, only their header": (header_only("people"), ("people.csv", "header and no rows")),
    "no relationships, only their header": (header_only("relationships"), ("relationships.csv", "header and no rows")),
    "no enrolments, only their header": (header_only("enrolments"), ("enrolments.csv", "header and no rows")),
    "relationships that break off in a row": (cut_off("relationships"), ("relationships.csv", "line")),
    "people that break off in a row": (cut_off("people"), ("people.csv", "line")),
    "one person_id twice": (edited("people", r"^1009,", "1003,"), ("people.csv", "1003", "line")),
    "a date that is none": (
        edited("enrolments", r"2024-01-30", "2024-02-30"), ("enrolments.csv", "line 2", "2024-02-30"),
    ),
    "a date the American way": (
        edited("enrolments", r"2024-01-30", "1/30/2024"), ("enrolments.csv", "1/30/2024", "YYYY-MM-DD"),
    ),
    "a relationship to nobody": (
        edited("relationships", r"^1003,1005,", "1003,9999999,"), ("relationships.csv", "line 2", "9999999"),
    ),
    "a status nobody knows": (edited("people", r",active,", ",actve,"), ("people.csv", "actve", "active")),
    "a restriction that is neither yes nor no": (
        edited("relationships", r",no,", ",maybe,"), ("relationships.csv", "line 2", "maybe"),
    ),
    "no people file": (removed("people"), ("people",)),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_an_export_with_a_fault_is_refused_by_name_and_nothing_is_written(what: str, embedded: EmbeddedSchool) -> None:
    damage, named = BROKEN[what]
    damage(embedded)
    before = embedded.standing()

    ran = embedded.connector("run")

    assert refused(ran), ran
    assert [word for word in named if word not in ran.said] == [], ran.err
    assert embedded.standing() == before


def test_the_same_export_without_a_fault_is_applied(embedded: EmbeddedSchool) -> None:
    before = embedded.standing()

    ran = embedded.connector("run")

    assert ran.code == 0, ran
    assert [then != now for then, now in zip(before, embedded.standing(), strict=True)] == [True, True, True]


def test_a_byte_order_mark_is_no_fault(embedded: EmbeddedSchool) -> None:
    encoded("utf-8-sig")(embedded)

    ran = embedded.connector("plan", "--check")

    assert ran.code == 2, ran


def test_half_an_export_that_is_whole_row_by_row_stops_the_run(embedded: EmbeddedSchool) -> None:
    assert embedded.connector("run").code == 0
    lines = embedded.admin("enrolments").read_text(encoding="utf-8").splitlines(keepends=True)
    embedded.admin("enrolments").write_text("".join(lines[: len(lines) // 2]), encoding="utf-8")
    before = embedded.standing()

    ran = embedded.connector("run")

    assert ran.code == 3, ran
    assert "enrolments shrank" in ran.said
    assert embedded.standing() == before


def test_an_export_without_a_whole_dimension_closes_nobody(embedded: EmbeddedSchool) -> None:
    removed("relationships")(embedded)
    before = embedded.standing()

    ran = embedded.connector("run")

    assert ran.code in (0, 1, 3), ran
    assert embedded.standing() == before


def test_a_folder_that_is_not_there_is_named(embedded: EmbeddedSchool, tmp_path: Path) -> None:
    embedded.change_config('folder = "admin"', 'folder = "exports"')

    ran = embedded.connector("run")

    assert refused(ran), ran
    assert "exports" in ran.said
    assert not (tmp_path / "school" / "exports").exists()
