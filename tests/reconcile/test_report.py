"""What stands in the report of a run, in which order, and what it asks of a person."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.model import LegKind, LegState
from connector.reconcile.membership import additions, memberships
from connector.reconcile.plan_values import Objection
from connector.reconcile.report import Outcomes, Report, ReportLine, RunFacts, holds_of, report
from connector.reconcile.report_csv import REPORT_HEADER, csv_text, report_csv, safe_cell
from connector.reconcile.report_json import json_text, report_json
from connector.reconcile.report_text import MOST_SHOWN, report_text
from tests.reconcile.harbour import NOW, harbour
from tests.reconcile.report_builders import OBJECTION, leg, made, plan_of, runs

URGENT = ("1475", "1066", "1111", "1391")


def section(made_report: Report, name: str) -> tuple[ReportLine, ...]:
    return next((s.lines for s in made_report.sections if s.name == name), ())


def test_sections_stand_in_the_order_a_person_needs_them() -> None:
    legs = (leg(), leg("1111"), leg("1608", LegState.UNREACHABLE), leg("1440", LegState.CALLED_OFF))
    sample = harbour()
    decisions = sample.decided()
    added = additions(memberships(decisions), decisions.school, decisions.scene.portals)
    outcomes = Outcomes(legs, added, (OBJECTION,), ((plan_of(sample).revocations[-1], "the person changed meanwhile"),))

    made_report = report(RunFacts("1", "Harbour", sample.as_of, NOW), plan_of(sample), outcomes, decisions)

    assert [s.name for s in made_report.sections] == [
        "urgent",
        "open",
        "objections",
        "new-holds",
        "closed",
        "called-off",
        "would-close",
        "additions",
        "skipped",
        "look",
    ]


def test_the_subject_counts_who_needs_you_what_closed_and_what_is_open() -> None:
    known = holds_of(plan_of(harbour()))
    closed_urgent = [leg(key) for key in URGENT]

    made_report = made(*closed_urgent, leg("1059"), leg("1440", LegState.CONFLICT), known=known)

    assert made_report.subject == "1 needs you, 5 closed, 1 open (Harbour)"


def test_a_quiet_night_needs_nobody() -> None:
    known = holds_of(plan_of(harbour()))

    made_report = made(*[leg(key) for key in URGENT], known=known)

    assert made_report.subject == "0 need you, 4 closed, 0 open (Harbour)"


def test_a_person_is_closed_only_when_every_leg_is_at_its_end() -> None:
    made_report = made(leg(), leg(kind=LegKind.SESSIONS, target="web", state=LegState.UNREACHABLE))

    assert (made_report.closed, made_report.open) == (0, 1)
    assert section(made_report, "closed") == ()


def test_called_off_is_not_closed() -> None:
    made_report = made(leg(state=LegState.CALLED_OFF, detail="entitled again"))

    assert made_report.closed == 0
    assert "entitled again" in section(made_report, "called-off")[0].text


def test_what_is_open_over_a_day_comes_first_and_needs_you() -> None:
    known = holds_of(plan_of(harbour()))
    late = leg("1608", LegState.UNREACHABLE, intended_at=NOW - timedelta(hours=25))
    fresh = leg("1440", LegState.UNREACHABLE, intended_at=NOW - timedelta(hours=23))
    urgent = [leg(key) for key in URGENT]

    made_report = made(fresh, late, *urgent, known=known)

    lines = section(made_report, "open")
    assert [line.key for line in lines] == ["1608", "1440"]
    assert [line.warns for line in lines] == [True, False]
    assert "25 hours" in lines[0].text
    assert made_report.need_you == 1


@pytest.mark.parametrize("state", [LegState.CONFLICT, LegState.REFUSED, LegState.INTENDED, LegState.UNREACHABLE])
def test_every_open_leg_says_what_to_do(state: LegState) -> None:
    line = section(made(leg(state=state)), "open")[0]

    assert line.to_do
    assert line.commands


def test_an_effect_that_comes_by_a_time_says_the_time_and_asks_nothing() -> None:
    line = section(made(leg(state=LegState.EFFECTIVE_BY, effective_by=datetime(2026, 11, 22, tzinfo=UTC))), "open")[0]

    assert "effective by 2026-11-22 00:00 UTC" in line.text
    assert line.commands == ()


def test_an_objection_leads_to_the_mend_before_the_override() -> None:
    line = section(made(stopped=[OBJECTION]), "objections")[0]

    assert line.to_do == "If wrong: correct it in the admin system."
    assert line.commands == ("connector approve 7f3a --waive max-revocations",)


def test_a_new_hold_says_what_to_do_and_an_old_one_is_only_counted() -> None:
    plan = plan_of(harbour())
    known = frozenset(pair for pair in holds_of(plan) if pair[0] != "1017")

    made_report = made(known=known)

    assert [line.key for line in section(made_report, "new-holds")] == ["1017"]
    assert "connector release NGU1017 --hold still-has-children" in section(made_report, "new-holds")[0].commands
    assert made_report.old_holds == len({key for key, _ in known})
    assert any("rows held as before" in note for note in made_report.notes)


def test_rows_that_wait_for_another_run_do_not_need_you() -> None:
    sample = replace(harbour(), rules=replace(harbour().rules, confirm_runs=2))
    known = holds_of(plan_of(harbour()))

    made_report = made(*[leg(key) for key in URGENT], sample=sample, known=known)

    assert made_report.need_you == 0
    assert made_report.waiting > 10


def test_an_urgent_row_nobody_closed_needs_you() -> None:
    made_report = made(known=holds_of(plan_of(harbour())))

    assert made_report.need_you == len(URGENT)
    assert all(line.warns for line in section(made_report, "urgent"))


def test_an_urgent_row_nobody_closed_says_that_it_is_open_and_what_to_type_and_not_why() -> None:
    line = section(made(discreet=True), "urgent")[0]

    assert "still open, nothing was driven in this run" in line.text
    assert "has ended" not in line.text
    assert "to close it now" in line.to_do
    assert line.commands == ("connector revoke ABB1475 --reason TEXT --apply",)


def test_an_urgent_row_that_waits_with_a_changed_rule_is_not_said_to_go_with_the_next_run() -> None:
    key = next(row.key for row in plan_of(harbour()).revocations if row.urgent)
    changed = replace(OBJECTION, label="rule-changed:Father", withholds=(key,))

    line = next(one for one in section(made(stopped=(changed,)), "urgent") if one.key == key)

    assert line.to_do.startswith("It waits with the objection rule-changed:Father")
    assert len(line.commands) == 1
    assert line.commands[0].startswith("connector revoke ")


def test_what_stands_on_a_worklist_is_sent_to_the_list_and_not_to_another_try() -> None:
    waiting = "on the worklist engage-worklist.csv since 2026-11-21, until a later export shows it done"

    line = section(made(leg("1059", LegState.INTENDED, detail=waiting)), "open")[0]

    assert line.to_do.startswith("Do what the worklist says, then export")
    assert line.commands == ("connector check",)


def test_a_child_to_be_hidden_and_an_account_out_of_reach_are_listed() -> None:
    lines = section(made(), "look")

    assert [line.key for line in lines] == ["1168", "1680"]
    assert lines[0].text.startswith("check that the portal hides")


def test_outside_the_authority_role_no_rendering_tells_a_court_order() -> None:
    lifted = Objection(
        "restriction-lifted", "A court order was cleared for C1.", "Set restricted again.", ("x --waive y",)
    )
    legs = [leg("1111", detail="blocked by ada: custody")]

    made_report = made(*legs, stopped=[lifted], discreet=True)

    text = (report_text(made_report) + report_csv(made_report) + report_json(made_report)).casefold()
    assert "access-ended" in text
    assert not [w for w in ("restrict", "court", "custody", "blocked", "barred") if w in text]


# --- text -----------------------------------------------------------------------------------------------------------


def test_the_text_begins_with_the_subject_and_shows_commands() -> None:
    text = report_text(made(stopped=[OBJECTION], history=runs(3), audit_head="9:abc"))

    assert text.split("\n")[0].endswith(" need you, 0 closed, 0 open (Harbour)")
    assert "      $ connector approve 7f3a --waive max-revocations" in text
    assert "Audit head: 9:abc" in text


def test_control_characters_of_a_name_never_reach_text_or_subject() -> None:
    text = report_text(made(leg(name="Ada\x1b[2J\r\nBcc: x@y\u202e\u200f\u2060\U000e0041"), school="Har\r\nbour"))

    assert text.split("\n")[0].endswith("(Har  bour)")
    assert "\x1b" not in text
    assert not {"\u202e", "\u200f", "\u2060", "\U000e0041"} & set(text)
    assert "\nBcc" not in text


def test_a_long_section_is_cut_for_people_and_whole_in_csv() -> None:
    many = [leg(str(n)) for n in range(10_000, 10_000 + MOST_SHOWN + 7)]

    made_report = made(*many)

    assert "Closed (107)" in report_text(made_report)
    assert "and 57 more lines; all of them: connector report --csv FILE" in report_text(made_report)
    assert report_text(made_report).count("[from an earlier run]") == 50
    rows = list(csv.DictReader(io.StringIO(report_csv(made_report), newline="")))
    assert sum(row["section"] == "closed" for row in rows) == len(many)


# --- CSV and JSON ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\uff1d1"])
def test_a_cell_that_begins_like_a_formula_is_text(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize(("value", "cell"), [("Ada", "Ada"), ("", ""), (-5, "-5"), (None, ""), ("O'Brien", "O'Brien")])
def test_other_cells_stay_as_they_are(value: object, cell: str) -> None:
    assert safe_cell(value) == cell


def test_the_sample_name_that_is_a_formula_is_harmless_in_csv() -> None:
    name = next(p.name for p in harbour().people.people if p.person_id == "1401")

    rows = list(csv.reader(io.StringIO(csv_text(("name",), [(name,)]), newline="")))

    assert rows[1] == [f"'{name}"]


def test_a_report_as_csv_has_one_row_for_each_line() -> None:
    made_report = made(leg(), stopped=[OBJECTION])

    text = report_csv(made_report)

    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert tuple(rows[0]) == REPORT_HEADER
    assert len(rows) == 1 + sum(len(s.lines) for s in made_report.sections)
    assert text.count("\r\n") == len(rows)


def test_a_report_as_json_reads_back_with_dates_and_words() -> None:
    read = json.loads(report_json(made(leg(), history=runs(2))))

    assert read["run"]["as_of"] == "2026-11-21"
    assert read["sections"][0]["name"] == "urgent"
    assert read["history"][0]["closed"] == 0


def test_json_keeps_letters_and_turns_enums_into_their_words() -> None:
    assert json_text((LegState.CLOSED, "Łukasz")) == '[\n  "closed",\n  "Łukasz"\n]'
