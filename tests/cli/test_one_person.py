"""What is said about one person by name: releases, keeps, blocks, links, closing and opening again."""

import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyotp
import pytest

from connector.config import load
from connector.journal_key import open_journal
from connector.operators import who_acts
from tests.cli.builders import PASSWORD, School


def enrolled(school: School, name: str = "grace") -> pyotp.TOTP:
    """Enrol a second operator and give their authenticator."""
    answer = school.typed("operator", "add", name, "--role", "SEC", answers=f"{PASSWORD}\n{PASSWORD}\n")
    assert answer.code == 0, answer
    found = re.search(r"secret +([A-Z2-7]+)", answer.out)
    assert found
    return pyotp.TOTP(found[1])


def password_file(school: School) -> str:
    path = school.folder / "password.txt"
    path.write_text(f"{PASSWORD}\n", encoding="utf-8")
    return str(path)


def test_a_released_row_goes_with_the_next_run(closed: School) -> None:
    before = closed.typed("plan", "--check").code

    released = closed.typed("release", "UED1537", "--hold", "possible-successor", "--reason", "another person")

    assert (before, released.code) == (0, 0)
    assert "the next run that applies acts on it" in released.out
    assert closed.typed("plan", "--check").code == 2
    assert closed.identity("UED1537")["holds"] == []
    assert closed.typed("run").code == 0
    assert closed.identity("UED1537")["status"] == "revoked"


def test_a_hold_that_is_not_there_cannot_be_released(closed: School) -> None:
    refused = closed.typed("release", "UED1537", "--hold", "keep", "--reason", "because")

    assert refused.code == 1
    assert "has no hold keep" in refused.err
    assert "Its holds: possible-successor." in refused.err


def test_a_kept_person_waits_until_the_keep_is_taken_back(school: School) -> None:
    kept = school.typed("keep", "DLA1209", "--reason", "fees in dispute", "--until", "2026-12-24")
    held = school.identity("DLA1209")["holds"]

    ended = school.typed("keep", "DLA1209", "--end")

    assert (kept.code, ended.code) == (0, 0)
    assert "is kept in until 2026-12-24" in kept.out
    assert held == ["keep"]
    assert school.identity("DLA1209")["holds"] == []


def test_a_keep_or_block_until_a_day_that_is_over_is_not_taken(school: School) -> None:
    for verb in ("keep", "block"):
        refused = school.typed(verb, "DLA1209", "--reason", "a slip of the pen", "--until", "2020-12-24")

        assert refused.code == 1
        assert "2020-12-24 is over already" in refused.err


def test_a_keep_needs_a_reason(school: School) -> None:
    refused = school.typed("keep", "DLA1209")

    assert refused.code == 1
    assert "A keep without a reason is not taken." in refused.err


def test_a_blocked_person_is_urgent_and_closed_by_the_next_run(closed: School) -> None:
    blocked = closed.typed("block", "XU1003", "--reason", "court order expected")

    assert blocked.code == 0
    assert "connector revoke XU1003 --reason TEXT --apply" in blocked.out
    assert closed.identity("XU1003")["reasons"] == ["blocked"]
    assert closed.typed("run").code == 0
    assert closed.identity("XU1003")["status"] == "revoked"


def test_a_block_is_lifted_only_by_a_second_operator_who_proves_it(closed: School) -> None:
    closed.typed("block", "XU1003", "--reason", "court order expected")
    code = enrolled(closed)
    wrong = closed.typed("unblock", "XU1003", "--second", "grace", answers="guessed guessed\n000000\n")
    nobody = closed.typed("unblock", "XU1003", "--second", "nobody", answers="x\n1\n")

    lifted = closed.typed("unblock", "XU1003", "--second", "grace", answers=f"{PASSWORD}\n{code.now()}\n")

    assert (wrong.code, nobody.code, lifted.code) == (1, 1, 0)
    assert "grace could not be proven." in wrong.err
    assert "nobody is not an enrolled operator." in nobody.err
    assert "seconded by grace" in lifted.out
    assert closed.identity("XU1003")["status"] == "active"


def test_nobody_is_their_own_second_operator_whatever_the_environment_says(
    closed: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = who_acts().partition("@")[0]
    code = enrolled(closed, me)
    closed.typed("block", "XU1003", "--reason", "court order expected")
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody.else")

    refused = closed.typed(
        "unblock", "XU1003", "--second", me, "--password-file", password_file(closed), "--code", code.now()
    )

    assert refused.code == 1
    assert "somebody else" in refused.err


def test_a_one_time_code_that_was_seen_is_good_for_nothing_more(closed: School) -> None:
    closed.typed("block", "XU1003", "--reason", "court order expected")
    code = enrolled(closed)
    proof = ("--second", "grace", "--password-file", password_file(closed), "--code", code.now())
    first = closed.typed("unblock", "XU1003", *proof)
    closed.typed("block", "XU1003", "--reason", "again")

    again = closed.typed("unblock", "XU1003", *proof)

    assert (first.code, again.code) == (0, 1)
    assert "was used already" in again.err


def test_a_block_with_a_last_day_is_not_outrun_by_a_later_day(closed: School) -> None:
    closed.typed("revoke", "XU1003", "--reason", "asked by the head", "--apply")
    with open_journal(load(closed.config)) as journal:
        journal.add_operator("grace", "SEC", "hash", "seed", "ada")
        journal.unblock("1003", "ada", "grace")
    closed.typed("block", "XU1003", "--reason", "court order", "--until", "2900-01-01")

    restored = closed.typed("restore", "XU1003", "--apply", "--as-of", "2901-01-01")
    enabled = closed.typed("membership", "enable", "engage", "XU1003", "--apply", "--as-of", "2901-01-01")

    assert (restored.code, enabled.code) == (1, 1)
    assert "still stands today" in restored.err
    assert "still stands today" in enabled.err
    assert closed.identity("XU1003")["status"] == "revoked"


def test_who_was_restricted_takes_two_also_where_the_admin_system_forgets_it(closed: School) -> None:
    restricted = next(i["code"] for i in closed.read("status")["identities"] if "restricted" in closed_for(closed, i))
    relationships = closed.folder / "admin" / "relationships.csv"
    rows = [line.split(",") for line in relationships.read_text(encoding="utf-8").splitlines()]
    column = rows[0].index("restricted")
    kept = [",".join(cell for place, cell in enumerate(row) if place != column) for row in rows]
    relationships.write_text("\n".join(kept) + "\n", encoding="utf-8")

    restored = closed.typed("restore", restricted, "--apply")
    enabled = closed.typed("membership", "enable", "engage", restricted, "--apply")

    assert (restored.code, enabled.code) == (1, 3)
    assert "takes a second operator" in restored.out
    assert "no longer says who is restricted" in enabled.err


def closed_for(school: School, identity: Mapping[str, Any]) -> str:
    """Give the reasons an identity was closed for, as the journal tells them."""
    with sqlite3.connect(school.folder / "journal.sqlite") as journal:
        found = journal.execute("SELECT content FROM revocations WHERE key = ?", (identity["person_id"],)).fetchone()
    return str(found[0]) if found else ""


def test_a_reason_with_line_breaks_forges_no_line_of_the_history(closed: School) -> None:
    closed.typed("block", "XU1003", "--reason", "x\n2026-11-21 09:00:00  head@desk  1003 is unblocked.")

    lines = closed.typed("history", "XU1003").lines

    assert [line for line in lines if "is unblocked" in line and "is blocked" not in line] == []


def test_a_password_file_that_cannot_be_read_is_named(closed: School) -> None:
    closed.typed("block", "XU1003", "--reason", "court order expected")

    missing = closed.typed("unblock", "XU1003", "--second", "grace", "--password-file", "nowhere.txt", "--code", "1")

    assert missing.code == 1
    assert "The password file nowhere.txt cannot be read." in missing.err


def test_revoke_is_a_dry_run_unless_somebody_says_apply(closed: School) -> None:
    dry = closed.typed("revoke", "XU1003", "--reason", "asked by the head")

    assert dry.code == 2
    assert "disable the account u1003 in ad" in dry.out
    assert "--reason 'asked by the head' --apply" in dry.out
    assert closed.identity("XU1003")["status"] == "active"


def test_revoke_closes_everything_at_once_and_blocks(closed: School) -> None:
    done = closed.typed("revoke", "XU1003", "--reason", "asked by the head", "--apply")
    again = closed.typed("revoke", "XU1003", "--reason", "asked by the head", "--apply")

    assert (done.code, again.code) == (0, 0)
    assert "closed everywhere, read back, and blocked" in done.out
    assert closed.identity("XU1003")["status"] == "revoked"
    assert "there is nothing to close" in again.out


def test_revoke_says_what_is_not_done_from_here(closed: School) -> None:
    done = closed.typed("revoke", "YOU1286", "--reason", "asked by the head", "--apply")

    assert done.code == 0
    assert "closed but for this, which is not done from here" in done.out
    assert "closed everywhere" not in done.out


def test_a_blocked_person_is_not_restored_before_the_block_is_lifted(closed: School) -> None:
    closed.typed("revoke", "XU1003", "--reason", "asked by the head", "--apply")
    refused = closed.typed("restore", "XU1003", "--apply")
    code = enrolled(closed)
    closed.typed(
        "unblock", "XU1003", "--second", "grace", "--password-file", password_file(closed), "--code", code.now()
    )
    dry = closed.typed("restore", "XU1003")

    restored = closed.typed("restore", "XU1003", "--apply")

    assert refused.code == 1
    assert "is blocked; first: connector unblock XU1003 --second NAME" in refused.out
    assert dry.code == 2
    assert "enable the account u1003 in ad" in dry.out
    assert "Tell them: log out and in; else it shows within the hour." in dry.out
    assert re.search(r"Tell them: log out and in; else it shows by \d\d:\d\d\.", restored.out)
    assert restored.code == 0
    assert closed.identity("XU1003")["status"] == "active"


def test_restoring_a_restricted_person_takes_two(closed: School) -> None:
    alone = closed.typed("restore", "ABB1475", "--apply")
    code = enrolled(closed)
    words = ("restore", "ABB1475", "--second", "grace", "--password-file", password_file(closed))
    wrong = closed.typed(*words, "--code", "000000", "--apply")

    together = closed.typed(*words, "--code", code.now(), "--apply")

    assert "reopening takes a second operator" in alone.out
    assert (alone.code, wrong.code, together.code) == (1, 1, 0)
    assert "Not entitled, so the next run closes again: ABB1475" in together.out


def test_a_whole_run_is_restored_by_its_number(closed: School) -> None:
    run_id = next(r["run_id"] for r in closed.read("history")["runs"] if r["kind"] == "run")

    dry = closed.read("restore", "--run", str(run_id))
    neither = closed.typed("restore")

    assert dry["dry_run"] is True
    assert len(dry["rows"]) > 10
    assert neither.code == 1
    assert "Give a PERSON or --run N." in neither.err


def test_a_one_time_code_is_never_part_of_the_command_that_is_suggested(closed: School) -> None:
    words = ("restore", "ABB1475", "--second", "grace", "--code", "123456")

    dry = closed.typed(*words)

    assert dry.code == 2
    assert "123456" not in dry.out


def test_an_account_is_linked_by_hand_and_the_link_taken_back(school: School) -> None:
    linked = school.read("link", "x1313", "FER1313")
    by_link = school.identity("FER1313")["holds"]

    unlinked = school.typed("unlink", "x1313")

    assert linked["person_id"] == "1313"
    assert by_link == []
    assert unlinked.code == 0
    assert school.identity("FER1313")["holds"] == ["weak-match"]


def test_explain_answers_in_its_first_three_lines(closed: School) -> None:
    answer = closed.typed("explain", "DLA1209")

    assert answer.lines[0].startswith("No: Emeka Dlamini (DLA1209) cannot log in")
    assert answer.lines[1].startswith("Closed on ")
    assert answer.lines[2].startswith("What to do: ")


def test_explain_shows_everybody_who_answers_to_a_name(closed: School) -> None:
    answer = closed.read("explain", "Tanaka")

    assert answer["answers"] == len(answer["people"]) > 1


def test_explain_of_nobody_names_the_nearest(closed: School) -> None:
    answer = closed.typed("explain", "Emeka", "Dlamni")

    assert answer.code == 1
    assert "Emeka Dlamini (DLA1209)" in answer.err


def test_explain_and_family_go_on_from_a_complaint(school: School) -> None:
    complaint = school.typed("explain", "HUG1160", "--symptom", "empty-portal")
    family = school.typed("family", "TE-1094")

    assert "Sees no student information: the old account u1160" in complaint.out
    assert "Zoe Te-Rangi (TE-1098) stands in for Zoe Te-Rangi (TE-1094)" in family.out


def test_the_portals_own_list_is_compared_row_by_row(school: School, tmp_path: Path) -> None:
    export = tmp_path / "ready.csv"
    export.write_text("Contact Code,Username\nDLA1209,u1209\nXU1003,u1003\nZZZ9999,nobody\n", encoding="utf-8")

    rows = school.read("compare", str(export))

    assert {r["code"]: r["side"] for r in rows}["DLA1209"] == "both"
    assert next(r for r in rows if r["code"] == "XU1003")["side"] == "only theirs"
    assert sum(r["side"] == "only ours" for r in rows) == 39
    assert all(r["why"] for r in rows)


def test_an_export_that_is_not_utf_8_is_refused_with_its_line(school: School, tmp_path: Path) -> None:
    export = tmp_path / "ready.csv"
    export.write_bytes("Contact Code,Name\nDLA1209,Éva\n".encode("cp1252"))

    refused = school.typed("compare", str(export))

    assert refused.code == 1
    assert "is not UTF-8: line 2" in refused.err
