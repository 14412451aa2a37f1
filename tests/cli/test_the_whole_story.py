"""One school from its first look to a proven revocation and back, typed as an administrator types it."""

from tests.cli.builders import School


def test_a_plan_is_stopped_approved_applied_and_proven(school: School) -> None:
    codes = [school.typed("plan", "--check").code]
    plan = school.read("plan")
    codes += [school.typed("run").code]
    codes += [school.typed("approve", plan["plan_id"], "--waive", "first-run", "--reason", "read row by row").code]
    codes += [school.typed("plan", "--check").code]

    applied = school.typed("run")

    codes += [applied.code, school.typed("plan", "--check").code, school.typed("run").code]
    assert codes == [3, 3, 0, 2, 0, 0, 0]
    assert "29 people revoked, 2 members added" in applied.out
    assert school.identity("DLA1209")["status"] == "revoked"


def test_a_stopped_run_says_what_to_mend_before_what_to_type(school: School) -> None:
    stopped = school.typed("run")

    assert stopped.code == 3
    assert stopped.out.index("Check the contact types") < stopped.out.index("connector approve")
    assert school.identity("DLA1209")["status"] == "ready_to_revoke"


def test_a_kept_plan_can_be_shown_with_its_approval(school: School) -> None:
    plan_id = school.read("plan")["plan_id"]
    school.typed("approve", plan_id, "--waive", "first-run", "--reason", "read row by row")

    shown = school.read("show", plan_id)

    assert shown["plan_id"] == plan_id
    assert shown["state"] == "made"
    assert shown["approvals"][0]["reason"] == "read row by row"
    assert shown["objections"][0] == {**shown["objections"][0], "label": "first-run", "waived": True}


def test_the_document_of_a_plan_has_the_promised_shape(school: School) -> None:
    plan = school.read("plan")

    assert {
        "plan_id",
        "digest",
        "as_of",
        "pending",
        "revocations",
        "additions",
        "objections",
        "unread",
        "warnings",
    } == set(plan)
    row = plan["revocations"][0]
    assert {
        "person_id",
        "code",
        "name",
        "username",
        "reasons",
        "holds",
        "legs",
        "evidence",
        "urgent",
        "applies",
    } <= set(row)
    assert set(row["legs"][0]) == {"kind", "target", "subject", "withheld", "unread"}
    assert set(plan["objections"][0]) == {"label", "text", "fix", "commands", "waived"}
    assert plan["pending"] == 31


def test_plain_plan_ends_with_0_although_an_objection_stands(school: School) -> None:
    answer = school.typed("plan")

    assert answer.code == 0
    assert "Objection first-run (stops the plan)" in answer.out
    assert answer.lines[-1].startswith("Stopped by first-run.")


def test_a_plan_without_a_reason_and_a_person_leaves_them_out(school: School) -> None:
    cut = school.read("plan", "--without", "reason=restricted", "--except", "DLA1209", "--reason", "on the phone")

    codes = {row["code"] for row in cut["revocations"]}
    assert codes.isdisjoint({"DLA1209", "ABB1475", "NGU1066"})
    assert "left out by hand: DLA1209 (on the phone)" in cut["warnings"]


def test_a_cut_plan_is_applied_by_its_name_and_nothing_else_is(school: School) -> None:
    plan_id = school.read("plan", "--without", "reason=no-student-at-school")["plan_id"]
    school.typed("approve", plan_id, "--waive", "first-run")

    assert school.typed("run", "--plan", plan_id).code == 0

    assert school.identity("DLA1209")["status"] == "ready_to_revoke"
    assert school.identity("GIL1322")["status"] == "revoked"


def test_an_objection_that_is_not_there_cannot_be_waived(school: School) -> None:
    plan_id = school.read("plan")["plan_id"]

    refused = school.typed("approve", plan_id, "--waive", "max-share")

    assert refused.code == 1
    assert "has no objection 'max-share'" in refused.err
    assert "It has: first-run." in refused.err


def test_the_backlog_is_cut_by_reason_and_closed_part_by_part(school: School) -> None:
    parts = school.read("backlog", "--size", "5", "--keep")
    first = parts[0]["plan_id"]
    school.typed("approve", first, "--waive", "first-run")

    assert school.typed("run", "--plan", first).code == 0

    assert sum(len(p["revocations"]) for p in parts) == 29
    assert max(len(p["revocations"]) for p in parts) <= 5
    assert all(len({r["reasons"][0] for r in p["revocations"]}) == 1 for p in parts)
    assert all(school.identity(row["code"])["status"] == "revoked" for row in parts[0]["revocations"])
    assert school.identity("GIL1322")["status"] == "ready_to_revoke"


def test_in_report_mode_a_run_applies_nothing_until_somebody_goes_live(school: School) -> None:
    school.configured('mode = "apply"', 'mode = "report"')
    plan_id = school.read("plan")["plan_id"]
    refused = school.typed("run", "--plan", plan_id)
    school.typed("approve", plan_id, "--waive", "first-run")

    reported = school.typed("run")

    assert refused.code == 1
    assert "is not approved" in refused.err
    assert reported.code == 2
    assert "connector go-live" in reported.out
    assert school.identity("DLA1209")["status"] == "ready_to_revoke"
    for _ in range(4):
        school.typed("run")
    digest = school.read("go-live", "--show")["digest"]
    assert school.typed("go-live", "--holds-read", digest).out.startswith("Live")
    assert school.typed("run").code == 0
    assert school.typed("go-live", "--back").out.startswith("Report mode")


def test_a_dry_run_writes_nothing_and_says_so(school: School) -> None:
    plan_id = school.read("plan")["plan_id"]
    school.typed("approve", plan_id, "--waive", "first-run")

    dry = school.typed("run", "--dry-run")

    assert dry.code == 2
    assert "Dry run: nothing was written. To do it: connector" in dry.out
    assert school.identity("DLA1209")["status"] == "ready_to_revoke"


def test_the_report_of_the_night_names_who_was_closed(closed: School) -> None:
    closed.typed("run")
    html, csv = closed.folder / "report.html", closed.folder / "report.csv"

    printed = closed.typed("report")
    written = closed.typed("report", "--html", str(html), "--csv", str(csv))

    assert "29 closed, 0 open" in printed.out
    assert "Added to portals (2)" in printed.out
    assert "Emeka Dlamini (DLA1209)" in printed.out
    assert written.code == 0
    assert html.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert csv.read_bytes().startswith(b"\xef\xbb\xbfsection,")
    assert closed.read("report")["closed"] == 29
    assert closed.read("report", "--run", "3")["closed"] == 0


def test_history_tells_the_runs_and_one_persons_story(closed: School) -> None:
    whole = closed.read("history")
    person = closed.typed("history", "DLA1209")

    assert {run["kind"] for run in whole["runs"]} == {"plan", "run"}
    assert whole["events"]
    assert "close directory" in person.out
    assert closed.typed("history", "nobody at all").code == 1


def test_changes_are_those_since_the_accepted_run(closed: School) -> None:
    people = closed.folder / "admin" / "people.csv"
    text = people.read_text(encoding="utf-8")
    people.write_text(text.replace(",Hamish,Xu,", ",Hamish,Xylander,"), encoding="utf-8")

    changes = closed.read("changes")

    assert changes["since"] == "2026-11-21"
    assert [(c["code"], c["text"]) for c in changes["changes"]] == [("XU1003", "family name Xu→Xylander")]
    assert "family name Xu→Xylander" in closed.typed("changes").out


def test_what_is_still_open_ends_a_run_with_4_and_can_be_resumed(school: School) -> None:
    sessions = school.folder / "sessions.sqlite"
    hidden = sessions.rename(school.folder / "away.sqlite")
    plan_id = school.read("plan")["plan_id"]
    school.typed("approve", plan_id, "--waive", "first-run")

    broken = school.typed("run")
    pending = school.typed("plan", "--check").code
    shown = school.typed("resume", "--dry-run")
    hidden.rename(sessions)

    resumed = school.typed("resume")

    assert broken.code == 4, broken
    assert "To try now: connector resume" in broken.out
    assert pending == 4
    assert (shown.code, resumed.code) == (2, 0)
    assert shown.lines[-1].endswith(" resume --apply")  # what is to be typed is no dry run any more
    assert school.typed("plan", "--check").code == 2  # a session nobody could see before
    assert school.typed("run").code == school.typed("plan", "--check").code == 0


def test_what_is_open_can_be_given_up_by_name(school: School) -> None:
    plan_id = school.read("plan", "--without", "reason=no-student-at-school")["plan_id"]
    school.typed("approve", plan_id, "--waive", "first-run")
    (school.folder / "sessions.sqlite").unlink()
    opened = school.read("run", "--plan", plan_id)["open_legs"]

    given_up = school.typed("abandon", opened[0]["code"], "--reason", "the store is gone for good")
    by_number = school.typed("abandon", f"#{opened[-1]['revocation']}", "--reason", "as above")
    nobody = school.typed("abandon", "ZZZ9", "--reason", "none")

    assert (given_up.code, by_number.code, nobody.code) == (0, 0, 1)
    assert "called off: the store is gone for good" in given_up.out


def test_the_audit_trail_is_proven_also_against_an_earlier_head(closed: School) -> None:
    head = closed.read("audit", "verify")["head"]
    closed.typed("run")

    assert closed.typed("audit", "verify", "--head", head).code == 0
    assert closed.typed("audit", "verify", "--head", head[:-1] + ("0" if head[-1] != "0" else "1")).code == 1
    assert closed.typed("audit", "verify", "--head", "nonsense").code == 1


def test_the_rollover_is_declared_complete_by_a_named_person(school: School) -> None:
    nothing_waits = school.typed("rollover", "complete")
    school.configured("[rules]", "[rules]\nrollover_from = 2026-11-01\nrollover_until = 2027-02-15")

    assert school.typed("rollover", "complete").code == 0

    assert (nothing_waits.code, "No rollover window" in nothing_waits.err) == (1, True)
    assert "rollover_complete set to" in school.typed("history").out
