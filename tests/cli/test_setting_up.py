"""Beginning: a config that is never overwritten, a folder to try things in, operators whose secrets are shown once."""

import os
import tomllib
from pathlib import Path

import pyotp
import pytest

from tests.cli.builders import AS_OF, PASSWORD, SAMPLE, School, typed

CHOSEN = (
    "--school-name", "Harbour College", "--school-timezone", "Pacific/Auckland", "--admin-system", "csv",
    "--admin-system-folder", "exports", "--portal", "worklist", "--directory", "ldif", "--sessions", "none",
)  # fmt: skip


def test_init_writes_a_commented_config_from_what_the_options_say(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"

    answer = typed("--config", str(path), "init", *CHOSEN)

    text = path.read_text(encoding="utf-8")
    written = tomllib.loads(text)
    assert answer.code == 0, answer
    assert f"connector --config {path} check" in answer.out
    assert written["school"]["timezone"] == "Pacific/Auckland"
    assert written["admin_system"]["folder"] == "exports"
    assert "session_stores" not in written
    assert text.count("#") > 20


def test_init_never_overwrites_a_config(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("mine\n", encoding="utf-8")

    answer = typed("--config", str(path), "init", *CHOSEN)

    assert answer.code == 1
    assert "is there already" in answer.err
    assert path.read_text(encoding="utf-8") == "mine\n"


def test_init_with_the_sample_leads_to_a_first_report_without_a_server(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"

    written = typed("--config", str(path), "init", "--with-sample", "--school-name", "Trial")

    run = typed("--config", str(path), "--as-of", AS_OF, "run")
    report = typed("--config", str(path), "report")
    assert (written.code, run.code, report.code) == (0, 3, 0), (written, run, report)
    assert "add --as-of 2026-11-21" in written.out
    assert report.lines[0] == "23 need you, 0 closed, 0 open (Trial)"


def test_the_sample_is_refused_beside_answers_it_does_not_fit(tmp_path: Path) -> None:
    answer = typed("--config", str(tmp_path / "config.toml"), "init", "--with-sample", "--directory", "ad")

    assert answer.code == 1
    assert "The sample school has directory = 'ldif'." in answer.err
    assert list(tmp_path.iterdir()) == []


def test_init_makes_the_folder_of_exports_with_the_columns_that_are_read(tmp_path: Path) -> None:
    answer = typed("--config", str(tmp_path / "config.toml"), "init", *CHOSEN)

    people = (tmp_path / "exports" / "people.csv").read_text(encoding="utf-8")
    assert people == "person_id,code,given_name,family_name,email,mobile,status,previous_codes\n"
    assert "Put your admin system's exports into exports" in answer.out


def test_init_touches_no_export_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "portal").mkdir()
    (tmp_path / "portal" / "accounts.csv").write_text("mine\n", encoding="utf-8")

    typed("--config", str(tmp_path / "config.toml"), "init", *CHOSEN)
    typed("--config", str(tmp_path / "other.toml"), "init", "--with-sample")

    assert list((tmp_path / "exports").iterdir()) == []
    assert (tmp_path / "portal" / "accounts.csv").read_text(encoding="utf-8") == "mine\n"


def test_init_asks_at_a_terminal_for_what_was_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.cli.setting_up.is_interactive", lambda: True)
    path = tmp_path / "config.toml"

    answer = typed("--config", str(path), "init", *CHOSEN, answers="the/export.csv\nparents.ldif\n\n\n")

    written = tomllib.loads(path.read_text(encoding="utf-8"))
    assert answer.code == 0, answer
    assert written["portals"]["engage"]["export"] == "the/export.csv"
    assert written["directories"]["export"]["file"] == "parents.ldif"
    assert "password" not in answer.err.lower()


def test_init_takes_no_password(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    url = "postgresql://reader:hunter2@db.school.example/admin"

    answer = typed("--config", str(path), "init", "--admin-system", "sql", "--admin-system-url", url)

    assert answer.code == 1
    assert "hunter2" not in answer.err
    assert not path.exists()


def test_a_demo_that_cannot_be_built_there_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    refused = typed("demo", "--school", str(SAMPLE), "--out", str(tmp_path / "file" / "school"))

    assert refused.code == 1
    assert "cannot be made" in refused.err
    assert "--out" in refused.err


def test_a_demo_folder_is_ready_to_run_and_never_built_over(tmp_path: Path) -> None:
    out = tmp_path / "trial"

    built = typed("demo", "--school", str(SAMPLE), "--out", str(out))
    again = typed("demo", "--school", str(SAMPLE), "--out", str(out))
    elsewhere = typed("demo", "--school", str(tmp_path), "--out", str(tmp_path / "other"))

    assert (built.code, again.code, elsewhere.code) == (0, 1, 1)
    assert School(out).typed("plan", "--check").code == 3
    assert "already holds a school" in again.err
    assert "admin/people.csv is missing" in elsewhere.err


def test_check_says_what_is_wrong_and_ends_with_1(school: School) -> None:
    good = school.typed("check")
    (school.folder / "directory.ldif").write_text("no export at all", encoding="utf-8")

    bad = school.typed("check")

    assert (good.code, bad.code) == (0, 1)
    assert "0 errors" in good.out
    assert "directory.ldif, line 1" in bad.out
    assert "1 error" in bad.out


def test_operators_are_enrolled_listed_and_removed(school: School) -> None:
    file = school.folder / "password.txt"
    file.write_text(PASSWORD, encoding="utf-8")

    enrolled = school.read("operator", "add", "grace", "--role", "SEC", "--password-file", str(file))

    listed = school.typed("operator", "list")
    removed = school.typed("operator", "remove", "grace")
    assert pyotp.parse_uri(enrolled["address"]).secret == enrolled["secret"]
    assert "grace" in listed.out
    assert enrolled["secret"] not in listed.out
    assert removed.code == 0
    assert "Nobody is enrolled." in school.typed("operator", "list").out


def test_whoever_acts_cannot_enrol_a_second_pair_of_eyes_of_their_own(school: School) -> None:
    file = school.folder / "password.txt"
    file.write_text(PASSWORD, encoding="utf-8")
    grace = school.read("operator", "add", "grace", "--password-file", str(file))
    ghost = ("operator", "add", "ghost", "--password-file", str(file))

    alone = school.typed(*ghost)
    agreed = ("--second", "grace", "--second-password-file", str(file), "--code", pyotp.TOTP(grace["secret"]).now())
    together = school.typed(*ghost, *agreed)
    removed = school.typed("operator", "remove", "grace")

    assert (alone.code, together.code, removed.code) == (1, 0, 1)
    assert "It takes two to change who the operators are." in alone.err
    assert "--second NAME" in removed.err


def test_a_short_password_is_not_taken(school: School) -> None:
    refused = school.typed("operator", "add", "grace", answers="short\nshort\n")

    assert refused.code == 1
    assert "too short" in refused.err
    assert "short\n" not in refused.out


@pytest.mark.skipif(os.name != "posix", reason="only there a file has a mode and a link is everybody's")
def test_a_report_is_not_written_through_a_link_and_not_for_everybody(school: School) -> None:
    victim, link = school.folder / "victim.txt", school.folder / "report.html"
    victim.write_text("untouched", encoding="utf-8")
    link.symlink_to(victim)
    school.applied()

    written = school.typed("report", "--html", str(link), "--csv", str(school.folder / "report.csv"))

    assert written.code == 0, written
    assert victim.read_text(encoding="utf-8") == "untouched"
    assert link.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert (school.folder / "report.csv").stat().st_mode & 0o007 == 0


@pytest.mark.skipif(os.name != "posix", reason="only there a file has a mode")
def test_what_init_and_demo_write_is_not_for_everybody(built: School, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"

    typed("--config", str(config), "init")

    assert config.stat().st_mode & 0o007 == 0
    assert built.folder.stat().st_mode & 0o077 == 0
