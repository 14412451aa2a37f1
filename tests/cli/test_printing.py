"""What is printed: for people without colours on a pipe, for spreadsheets without formulas, for programs in ASCII."""

import csv
import io
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from connector.cli.printing import Rows, console_of, csv_text, json_text, line, table
from tests.cli.builders import AS_OF, School, typed

HOSTILE = "\x1b]0;owned\x07\x1b[31mEvil\u202egnp.exe\r\nActive"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1+1", "@SUM(A1)", " =1+1", "\t=1+1", "\uff1d1+1"])
def test_a_cell_of_csv_is_never_a_formula(name: str) -> None:
    rows = list(csv.reader(io.StringIO(csv_text(Rows(("name", "names"), ((name, [name, "x"]),))))))

    assert all(cell.startswith("'") for cell in rows[1])


def test_a_name_cannot_move_the_cursor_or_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    console = console_of(sys.stdout)
    console.print(line(HOSTILE), soft_wrap=True)
    console.print(table(("code", "name"), [("X1", HOSTILE)]))

    printed = capsys.readouterr().out

    assert not {"\x1b", "\x07", "\r", "\u202e"} & set(printed)
    assert "]0;owned[31mEvilgnp.exe Active" in " ".join(printed.split())


def test_brackets_in_a_name_are_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    console_of(sys.stdout).print(table(("name",), [("[bold]Nguyen[/bold] :smile: [/]",)]))

    assert "[bold]Nguyen[/bold] :smile: [/]" in capsys.readouterr().out


def test_a_contact_code_is_whole_however_narrow_the_window_is(capsys: pytest.CaptureFixture[str]) -> None:
    console = console_of(sys.stdout)
    console.width = 60
    console.print(table(("code", "name", "why"), [("CONTACT-CODE-1234567890", "name " * 20, "reason " * 40)]))

    assert "CONTACT-CODE-1234567890" in capsys.readouterr().out


def test_a_table_on_a_pipe_is_ascii_but_for_names(built: School) -> None:
    out = built.typed("status").out

    assert "\x1b" not in out
    assert not set("│─┃━┏╭") & set(out)
    assert "Łukasz Tanaka" in out


def test_json_is_ascii_and_loses_nothing() -> None:
    assert json_text({"name": "Łukasz \x1b"}) == '{\n  "name": "\\u0141ukasz \\u001b"\n}'


def test_hostile_names_of_the_sample_are_harmless_in_every_format(built: School) -> None:
    as_csv, as_text = built.typed("status", "--format", "csv"), built.typed("status", "--all")

    row = next(r for r in csv.DictReader(io.StringIO(as_csv.out)) if r["person_id"] == "1401")
    assert row["name"].startswith("'=HYPERLINK")
    assert all(part in as_text.out for part in ('=HYPERLINK("http://x")', "<b>Test</b>"))


def test_csv_has_a_row_for_every_identity(built: School) -> None:
    rows = list(csv.DictReader(io.StringIO(built.typed("status", "--format", "csv").out)))

    assert len(rows) == len(built.read("status")["identities"])
    closing = next(r for r in rows if r["code"] == "DLA1209")
    assert (closing["disable_directory"], closing["clear_credential"], closing["end_sessions"]) == (
        "yes",
        "engage",
        "all",
    )


def test_text_shows_who_needs_somebody_and_not_everybody(built: School) -> None:
    short, everybody, active = (
        built.typed("status"),
        built.typed("status", "--all"),
        built.typed("status", "--status", "active"),
    )

    assert "Hamish Xu" not in short.out
    assert "Hamish Xu" in everybody.out
    assert "Hamish Xu" in active.out
    assert short.out.index("URGENT") < short.out.index("DLA1209")


@pytest.mark.parametrize("verb", ["status", "memberships", "plan", "changes", "history", "report", "backlog", "check"])
def test_every_answer_has_all_three_formats(closed: School, verb: str) -> None:
    text, document, rows = closed.typed(verb), closed.read(verb), closed.typed(verb, "--format", "csv")

    assert text.out.strip()
    assert isinstance(document, dict | list)
    assert rows.out.splitlines()[0].count(",") > 1


@pytest.mark.skipif(not shutil.which("script"), reason="no terminal to type at without script(1)")
def test_at_a_terminal_a_run_is_a_dry_run_unless_somebody_says_apply(school: School, tmp_path: Path) -> None:
    plan_id = school.read("plan")["plan_id"]
    school.typed("approve", plan_id, "--waive", "first-run")

    dry, shown = at_a_terminal(school, tmp_path, "run")
    before = school.identity("DLA1209")["status"]
    applied, _ = at_a_terminal(school, tmp_path, "run", "--apply")

    assert (dry, before) == (2, "ready_to_revoke")
    assert "Dry run: nothing was written." in shown
    assert applied == 0
    assert school.identity("DLA1209")["status"] == "revoked"


@pytest.mark.skipif(not shutil.which("script"), reason="no terminal to type at without script(1)")
def test_colours_are_for_terminals_and_for_those_who_want_them(
    built: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    _, colourful = at_a_terminal(built, tmp_path, "status")
    monkeypatch.setenv("NO_COLOR", "1")
    _, plain = at_a_terminal(built, tmp_path, "status")

    assert "\x1b[1m" in colourful
    assert "\x1b[3" not in plain


def at_a_terminal(school: School, tmp_path: Path, *words: str) -> tuple[int, str]:
    """Type a command at a pseudo-terminal of its own; give its exit code and what was shown."""
    command = [sys.executable, "-m", "connector", "--config", str(school.config), "--as-of", AS_OF, *words]
    transcript = tmp_path / "transcript"
    process = subprocess.run(
        ["script", "--quiet", "--return", "--command", shlex.join(command), str(transcript)],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    return process.returncode, transcript.read_text(encoding="utf-8", errors="replace")


def test_an_answer_goes_to_stdout_and_a_refusal_to_stderr(built: School) -> None:
    answer = typed("--config", str(built.config), "explain", "--as-of", AS_OF, "nobody", "at", "all")

    assert (answer.code, answer.out) == (1, "")
