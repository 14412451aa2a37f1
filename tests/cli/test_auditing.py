"""What an auditor types: prove the trail, take it away, seal its beginning, and report on a period."""

import csv
import inspect
import io
import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from connector.reconcile.migrations.versions import r0001_journal
from tests.cli.builders import School, typed

PERIOD = ("--from", "2000-01-01", "--to", "2099-12-31")


def exported(school: School, *words: str) -> list[dict[str, object]]:
    """Export the trail and read it."""
    answer = school.typed("audit", "export", *words)
    assert answer.code == 0, answer
    return [json.loads(line) for line in answer.lines]


def sealed(school: School) -> Path:
    """Seal every record there is."""
    out = school.folder / "sealed.jsonl"
    answer = school.typed("audit", "seal", "--before", "2100-01-01", "--out", str(out))
    assert answer.code == 0, answer
    return out


# --- prove ----------------------------------------------------------------------------------------------------------


def test_verify_prints_the_head_and_names_the_first_bad_record(closed: School) -> None:
    sound = closed.typed("audit", "verify")
    with sqlite3.connect(closed.folder / "journal.sqlite") as database:
        database.execute("UPDATE audit SET operator = 'nobody' WHERE id = 7")
    database.close()

    broken = closed.typed("audit", "verify")

    assert (sound.code, broken.code) == (0, 1)
    assert sound.lines[-1].startswith("Head: ")
    assert "record 7 was changed" in broken.out
    assert "The 6 records before it are sound." in broken.out


# --- take away ------------------------------------------------------------------------------------------------------


def test_every_record_is_exported_with_its_chain_value(closed: School) -> None:
    state = closed.read("audit", "verify")

    records = exported(closed)

    assert [record["number"] for record in records] == [*range(1, state["records"] + 1)]
    assert f"{records[-1]['number']}:{records[-1]['mac']}" == state["head"]
    assert isinstance(records[0]["detail"], dict)


def test_the_export_can_be_cut_by_days_of_the_school(closed: School) -> None:
    day = str(exported(closed)[0]["at"])[:10]

    assert exported(closed, "--from", day)
    assert exported(closed, "--to", "2001-01-01") == []
    assert closed.typed("audit", "export", "--from", "2026-02-01", "--to", "2026-01-01").code == 1


def test_the_csv_export_has_no_formula(closed: School) -> None:
    closed.typed("keep", "UED1537", "--reason", "=HYPERLINK(1)\x1b[2J")

    answer = closed.typed("audit", "export", "--format", "csv")

    rows = list(csv.DictReader(io.StringIO(answer.out)))
    cells = [cell for row in rows for cell in row.values()]
    assert len(rows) == len(exported(closed))
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert "\x1b" not in answer.out
    assert "=HYPERLINK(1)" in answer.out


def test_an_export_into_a_file_is_whole_and_its_owners_alone(closed: School) -> None:
    out = closed.folder / "trail.csv"

    answer = closed.typed("audit", "export", "--format", "csv", "--out", str(out))

    assert (answer.code, answer.out) == (0, "")
    assert out.read_bytes().startswith(b"\xef\xbb\xbfnumber,at,kind,")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert closed.typed("audit", "export", "--out", str(closed.folder / "no" / "folder")).code == 1


# --- seal -----------------------------------------------------------------------------------------------------------


def test_a_sealed_trail_goes_on_and_its_file_proves_itself(closed: School) -> None:
    head = closed.read("audit", "verify")["head"]
    file = sealed(closed)
    closed.typed("run")

    whole = closed.typed("audit", "verify", "--head", head)
    segment = closed.typed("audit", "verify", "--sealed", str(file), "--head", head)

    assert (whole.code, segment.code) == (0, 0)
    assert "are sealed" in whole.out
    assert "The sealed segment holds" in segment.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert exported(closed)[0]["kind"] == "sealed"
    assert "are sealed: they are in files of their own" in closed.typed("audit", "export").err


def test_a_sealed_file_somebody_changed_does_not_hold(closed: School) -> None:
    file = sealed(closed)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("run-begun", "run-ended", 1), encoding="utf-8")

    changed = closed.typed("audit", "verify", "--sealed", str(file))
    missing = closed.typed("audit", "verify", "--sealed", str(closed.folder / "none.jsonl"))
    file.write_bytes(b"\xff\xfe")
    no_text = closed.typed("audit", "verify", "--sealed", str(file))

    assert (changed.code, missing.code, no_text.code) == (1, 1, 1)
    assert "record 1 was changed" in changed.out
    assert "cannot be read" in missing.err
    assert "it is no text" in no_text.err


def test_a_sealed_file_is_never_written_over(closed: School) -> None:
    file = sealed(closed)
    before = file.read_bytes()

    again = closed.typed("audit", "seal", "--before", "2100-01-01", "--out", str(file))

    assert again.code == 1
    assert "is there already" in again.err
    assert file.read_bytes() == before
    assert closed.typed("audit", "verify", "--sealed", str(file)).code == 0


def test_nothing_old_enough_is_an_error_and_leaves_no_file(closed: School) -> None:
    out = closed.folder / "sealed.jsonl"

    answer = closed.typed("audit", "seal", "--before", "2001-01-01", "--out", str(out))

    assert answer.code == 1
    assert "Nothing was sealed" in answer.err
    assert not out.exists()


# --- report ---------------------------------------------------------------------------------------------------------


def test_the_report_to_the_auditor_is_printed_and_written(closed: School) -> None:
    html = closed.folder / "audit.html"

    printed = closed.typed("report", "audit", *PERIOD)
    written = closed.typed("report", "audit", *PERIOD, "--html", str(html))

    assert (printed.code, written.code) == (0, 0)
    assert printed.lines[0].startswith("29 closed, 12 still in, 4 urgent, 0 open (Harbour College")
    assert "held: still-has-children" in printed.out
    assert "waives first-run" in printed.out
    assert html.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert stat.S_IMODE(html.stat().st_mode) == 0o600


def test_the_report_is_for_programs_too(closed: School) -> None:
    document = closed.read("report", "audit", *PERIOD)
    rows = list(csv.DictReader(io.StringIO(closed.typed("report", "audit", *PERIOD, "--format", "csv").out)))

    urgent = [row for row in rows if row["section"] == "urgent"]

    assert sum(len(s["lines"]) for s in document["sections"]) == len(rows)
    assert {row["what"] for row in urgent} == {"restricted"}
    assert all(float(row["minutes"]) < 5 for row in urgent)


def test_the_report_of_an_empty_period_says_none(closed: School) -> None:
    answer = closed.typed("report", "audit", "--from", "2000-01-01", "--to", "2000-12-31")

    assert "Closed (0)" in answer.out
    assert "Still has access (12)" in answer.out


def test_options_of_the_nights_report_are_refused_before_the_word_audit(closed: School) -> None:
    html = closed.folder / "audit.html"

    answer = closed.typed("report", "--html", str(html), "audit", *PERIOD)

    assert answer.code == 1
    assert "connector report audit --html FILE" in answer.err
    assert not html.exists()


def test_a_period_that_runs_backwards_is_refused(closed: School) -> None:
    assert closed.typed("report", "audit", "--from", "2026-02-01", "--to", "2026-01-01").code == 1
    assert closed.typed("report", "audit").code == 1


def test_a_day_at_the_end_of_the_calendar_is_refused_with_a_sentence(closed: School) -> None:
    answers = [
        closed.typed("report", "audit", "--from", "0001-01-01"),
        closed.typed("audit", "export", "--to", "9999-12-31"),
        closed.typed("audit", "seal", "--before", "0001-01-01", "--out", str(closed.folder / "sealed.jsonl")),
    ]

    assert [answer.code for answer in answers] == [1, 1, 1]
    assert all("give a day from 1900 to 2999" in answer.err for answer in answers)


def test_a_trail_that_was_written_into_stands_before_everything_else_on_the_report(closed: School) -> None:
    with closing(sqlite3.connect(closed.folder / "journal.sqlite")) as database, database:
        database.execute("UPDATE audit SET text = 'nothing happened' WHERE id = 2")

    answer = closed.typed("report", "--format", "json")

    first = answer.document["sections"][0]
    assert (first["name"], first["lines"][0]["label"], first["lines"][0]["warns"]) == (
        "authority",
        "The audit trail",
        True,
    )


# --- migrate --------------------------------------------------------------------------------------------------------


def test_an_older_journal_is_brought_forward_by_name(closed: School) -> None:
    with sqlite3.connect(closed.folder / "journal.sqlite") as database:
        first = inspect.getsource(r0001_journal)
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in (name for name in tables if f'"{name}",' not in first and name != "alembic_version"):
            database.execute(f"DROP TABLE {table}")
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    database.close()
    refused = closed.typed("history")

    migrated = closed.typed("db", "migrate")

    assert refused.code == 1
    assert "connector db migrate" in refused.err
    assert migrated.code == 0
    assert "The audit trail holds" in migrated.out
    assert closed.typed("history").code == 0


def test_there_is_nothing_to_migrate_twice(closed: School) -> None:
    assert [closed.typed("db", "migrate").code for _ in range(2)] == [0, 0]
    assert typed("--config", str(closed.folder / "none.toml"), "db", "migrate").code == 1
