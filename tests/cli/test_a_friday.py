"""What an administrator meets on a Friday: slips of the pen, sources that are not enough, narrow windows."""

import shlex
import sys

import pytest

from connector.cli.printing import console_of, table
from tests.cli.builders import School


def test_check_says_that_nothing_could_be_decided_although_every_system_answers(school: School) -> None:
    (school.folder / "admin" / "enrolments.csv").unlink()

    checked = school.typed("check")

    assert checked.code == 1
    assert "ERROR    decision:" in checked.out
    assert "carries no enrolments at all" in checked.out
    assert "Add enrolments to the source." in checked.out


def test_check_warns_of_what_would_stop_a_run_now(school: School) -> None:
    checked = school.typed("check")

    assert checked.code == 0
    assert "WARNING  decision: A run now has 29 to revoke, 2 to add" in checked.out
    assert "it is stopped by first-run" in checked.out


def test_check_says_how_much_a_run_has_to_do(closed: School) -> None:
    assert "ok       decision: A run now has 0 to revoke" in closed.typed("check").out


def test_a_cut_that_cuts_nobody_is_refused_and_says_what_there_is(school: School) -> None:
    mistyped = school.typed("plan", "--without", "contact_type=Mohter")
    unknown = school.typed("plan", "--without", "type=Mother")

    assert (mistyped.code, unknown.code) == (1, 1)
    assert "No row of this plan has contact_type=Mohter" in mistyped.err
    assert "contact_type=Mother" in mistyped.err
    assert "KEY is one of contact_type, exit_date" in unknown.err


def test_what_a_stopped_plan_tells_to_type_can_be_pasted(school: School) -> None:
    stopped = school.read("plan")["objections"]

    pasted = [shlex.split(command) for o in stopped for command in o["commands"]]

    assert all(words[0] == "connector" for words in pasted)
    assert [school.typed(*words[1:]).code for words in pasted] == [0]
    assert school.typed("run").code == 0


def test_what_to_do_about_a_person_closes_them_when_it_is_pasted(closed: School) -> None:
    closed.configured('timezone = "UTC"', 'timezone = "UTC"  # unchanged')
    (person,) = closed.read("explain", "DLA1209")["people"]

    assert person["commands"] == []

    closed.typed("block", "XU1003", "--reason", "asked by the head")
    (blocked,) = closed.read("explain", "XU1003")["people"]

    assert "connector revoke XU1003 --reason TEXT --apply" in blocked["commands"]
    assert closed.typed(*shlex.split(blocked["commands"][0])[1:]).code == 0
    assert closed.identity("XU1003")["status"] == "revoked"


def test_a_run_in_report_mode_says_each_objection_once(school: School) -> None:
    school.configured('mode = "apply"', 'mode = "report"')

    assert school.typed("run").out.count("Objection first-run") == 1


def test_a_person_is_named_by_the_username_that_is_closed(school: School) -> None:
    assert school.identity("ABB1196")["username"] == "u1196"


def test_a_rollover_is_not_complete_before_it_began(school: School) -> None:
    school.configured("[rules]", "[rules]\nrollover_from = 2026-11-23\nrollover_until = 2027-02-15")

    early = school.typed("rollover", "complete")
    later = school.typed("rollover", "complete", "--as-of", "2026-11-24")

    assert (early.code, later.code) == (1, 0)
    assert "The rollover window begins on 2026-11-23" in early.err


@pytest.mark.parametrize("width", [80, 60])
def test_no_word_is_broken_and_no_line_is_too_long(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    console = console_of(sys.stdout)
    console.width = width
    row = ("ABB1196", "Dmitri Abbott", "ready to provision", "superseded, no-student-at-school", "still-has-children")

    console.print(table(("code", "name", "status", "reasons", "holds"), [row]))

    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= width
    assert all(part in printed.split() for part in ("ABB1196", "provision", "superseded,"))
    assert all(word in "no-student-at-school still-has-children," for word in printed.split() if "-" in word.strip("-"))


def test_the_state_folder_is_there_once_the_connector_was_opened(school: School) -> None:
    school.typed("status")

    assert (school.folder / "state").is_dir()
