"""What an auditor is told of a period: what was done and said, and who still gets in."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

from connector.model import Hold, LegKind, SessionKey
from connector.reconcile.audit_pages import HEADER, audit_csv, audit_html, audit_text
from connector.reconcile.audit_report import audit_report
from connector.reconcile.audit_values import AuditFacts, AuditLine, AuditReport
from connector.reconcile.auditing import Auditing
from connector.reconcile.journal_values import Direction, PeriodRecords, StoredLeg
from connector.reconcile.memory import Release
from connector.reconcile.plan import hold_digest
from connector.reconcile.plan_values import PlannedLeg
from connector.reconcile.report_json import plain
from tests.reconcile.build import TODAY, TOMORROW, SchoolBuilder, school
from tests.reconcile.journal_builders import execute
from tests.reconcile.nights import Nights, settled

FIRST, LAST = date(2000, 1, 1), date(2099, 12, 31)
LONG_AGO = date(2024, 3, 1)
"""A last day that is past, whatever the clock of the journal's database says."""


def audited(nights: Nights, first: date = FIRST, last: date = LAST) -> AuditReport:
    """Give the report on these days."""
    auditing = Auditing(nights.journal, "Harbour", UTC, "grace")
    return auditing.report(first, last, nights.running().look(TODAY))


def lines(report: AuditReport, section: str) -> tuple[AuditLine, ...]:
    return next(s.lines for s in report.sections if s.name == section)


def line(report: AuditReport, section: str, key: str) -> AuditLine:
    return next(each for each in lines(report, section) if each.key == key)


def closing(folder: Path, builder: SchoolBuilder) -> Nights:
    """Give a school after a first night that closed what is ready."""
    nights = Nights(folder, builder)
    nights.approve(nights.run(), "first-run")
    nights.run()
    return nights


# --- closures -------------------------------------------------------------------------------------------------------


def test_a_closure_tells_the_days_from_the_last_counting_day_to_proven_closed(tmp_path: Path) -> None:
    nights = closing(tmp_path, school().families(2).leaver("gone", left=LONG_AGO))

    made = line(audited(nights), "closed", "gone")

    assert made.ended is not None
    assert (made.exit_day, made.days) == (LONG_AGO, (made.ended.date() - LONG_AGO).days)
    assert made.what == "no-student-at-school"
    assert "account in ad closed" in made.text
    assert "sessions in web closed: 1 session ended" in made.text
    assert (made.by, made.warns) == ("alice@host", False)


def test_a_closure_nobody_knows_the_day_of_leaves_it_blank(tmp_path: Path) -> None:
    report = audited(closing(tmp_path, school().families(2).person("gone").doors("gone")))

    assert line(report, "closed", "gone").days is None
    assert report.notes == ()


def test_the_note_tells_median_and_longest_and_of_how_many(tmp_path: Path) -> None:
    nights = closing(tmp_path, school().families(2).leavers(3, left=LONG_AGO).person("p1").doors("p1"))
    report = audited(nights)

    days = lines(report, "closed")[0].days

    assert f"median {days} days, longest {days} (3 of 4 with a known last day)." in report.notes[0]


def test_a_closure_outside_the_period_is_not_told(tmp_path: Path) -> None:
    nights = closing(tmp_path, school().families(2).leaver("gone"))

    earlier = audited(nights, FIRST, date(2001, 1, 1))

    assert [len(s.lines) for s in earlier.sections] == [0] * 9
    assert earlier.subject == "0 closed, 0 still in, 0 urgent, 0 open (Harbour, 2000-01-01 to 2001-01-01)"


def test_a_closure_that_left_a_door_says_so(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).family("p1"))
    nights.edit_account("p1", protected="member of Domain Admins")
    nights.journal.block("p1", "grace", "court order")
    nights.run()

    report = audited(nights)

    assert line(report, "closed", "p1").warns
    assert "account in ad called off" in line(report, "closed", "p1").text
    assert "held: protected" in line(report, "still-in", "p1").text
    assert "1 closure left a door that is not closed from here: see the details." in report.notes


# --- who still gets in ----------------------------------------------------------------------------------------------


def test_who_still_gets_in_is_named_with_what_lives_and_what_holds_it(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).family("p1"))
    nights.school.leave("p1", LONG_AGO)
    nights.journal.keep("p1", "grace", "settling the fees", TOMORROW)

    made = line(audited(nights), "still-in", "p1")

    assert made.text.startswith("the account up1, the credential in engage, the enabled member of engage and 1 session")
    assert "held: keep" in made.text
    assert "settling the fees" in made.text
    assert (made.exit_day, made.days) == (LONG_AGO, (TODAY - LONG_AGO).days)


def test_who_goes_next_and_what_is_stopped_is_told_apart(tmp_path: Path) -> None:
    nights = Nights(tmp_path, school().families(2).leaver("p1"))
    stopped = line(audited(nights), "still-in", "p1")
    nights.approve(nights.run(), "first-run")

    going = line(audited(nights), "still-in", "p1")

    assert "the plan is stopped by first-run" in stopped.text
    assert "the next run closes it" in going.text


def test_an_account_outside_the_managed_ous_is_named(tmp_path: Path) -> None:
    nights = closing(tmp_path, school().families(2).leaver("p1").account("p1", "staff", managed=False))

    made = [each for each in lines(audited(nights), "still-in") if each.what == "open-outside-scope"]

    assert [(each.key, each.warns) for each in made] == [("p1", True)]


def test_nobody_who_is_entitled_is_among_those_who_still_get_in(tmp_path: Path) -> None:
    assert lines(audited(settled(tmp_path, school().families(3))), "still-in") == ()


# --- what people said -----------------------------------------------------------------------------------------------


def test_an_approval_names_what_it_waives_who_gave_it_and_why(tmp_path: Path) -> None:
    made = lines(audited(closing(tmp_path, school().families(2).leaver("gone"))), "approvals")

    assert [(each.what, each.text, each.by) for each in made] == [("waives first-run", "looked at", "alice@host")]


def test_keeps_and_blocks_have_owner_and_expiry(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2))
    nights.journal.keep("ok0", "grace", "fees", TOMORROW)
    nights.journal.block("ok1", "heidi", "court order", date(2026, 11, 1))
    nights.journal.block("ok0", "heidi", "asked to", None)
    nights.journal.unkeep("ok0", "ivan")

    report = audited(nights)

    keep, over, standing = *lines(report, "keeps"), *lines(report, "blocks")
    assert (keep.label, keep.by, keep.until, keep.what) == ("Givenok0 Familyok0 (Cok0)", "grace", TOMORROW, "lifted")
    assert keep.text == "fees (lifted by ivan)"
    assert (over.what, over.until, over.by) == ("expired", date(2026, 11, 1), "heidi")
    assert (standing.what, standing.until) == ("standing", None)


def test_a_keep_that_was_over_before_the_period_is_not_told(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2))
    nights.journal.keep("ok0", "grace", "fees", date(2001, 1, 1))

    assert lines(audited(nights, date(2002, 1, 1)), "keeps") == ()


def _thrown_away(lines: Iterator[str]) -> None:
    assert list(lines)


def test_every_release_is_told_also_one_that_a_later_one_replaced(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2))
    for owner in ("grace", "heidi"):
        nights.journal.release(Release("ok0", Hold.POLICY, hold_digest(Hold.POLICY, (), ()), owner, "looked"))

    before = [(each.what, each.by, each.text) for each in lines(audited(nights), "releases")]
    nights.journal.seal_audit(datetime(2100, 1, 1, tzinfo=UTC), "grace", _thrown_away)

    assert before == [("policy", "grace", "looked"), ("policy", "heidi", "looked")]
    report = audited(nights)
    assert [each.by for each in lines(report, "releases")] == ["heidi"]
    assert "are sealed, in files of their own" in report.notes[-1]


# --- urgent, opened, open -------------------------------------------------------------------------------------------


def test_an_urgent_case_tells_the_minutes_to_the_last_dead_session(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).family("p1"))
    nights.journal.block("p1", "grace", "court order")
    nights.run()

    made = line(audited(nights), "urgent", "p1")

    assert made.begun is not None
    assert made.ended is not None
    assert made.minutes == round((made.ended - made.begun).total_seconds() / 60, 2)
    assert made.what == "blocked"


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-21T{text}+00:00")


def test_the_minutes_run_to_the_last_session_and_only_when_every_one_is_dead(tmp_path: Path) -> None:
    two_stores = school().families(2).store("app", SessionKey.USERNAME).family("p1").session("p1", store="app")
    nights = settled(tmp_path, two_stores)
    nights.journal.block("p1", "grace", "court order")
    nights.run()
    stored = nights.journal.revocations("p1")[0]
    judgement = nights.running().look(TODAY)

    def minutes(*ends: datetime | None) -> float | None:
        waiting = iter(ends)
        legs = tuple(_ended(leg, next(waiting)) if leg.planned.kind == "sessions" else leg for leg in stored.legs)
        case = replace(stored, intended_at=at("09:00:00"), legs=legs)
        facts = AuditFacts("Harbour", FIRST, LAST, at("12:00:00"))
        report = audit_report(facts, PeriodRecords((case,)), judgement.decisions, judgement.plan, UTC)
        return lines(report, "urgent")[0].minutes

    assert minutes(at("09:01:30"), at("09:04:30")) == 4.5
    assert minutes(at("09:01:30"), None) is None


def test_sessions_that_are_not_ended_from_here_do_not_hide_the_minutes(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).family("p1"))
    judgement = nights.running().look(TODAY)
    row = nights.running().asked_for(judgement, judgement.decisions.correlation.by_key()["p1"], "court order")
    assert row is not None
    elsewhere = PlannedLeg(LegKind.SESSIONS, "web", "a1", portals=("alumni",), withheld="alumni is not governed")
    applier = nights.applier()
    applier.revoke([replace(row, legs=(*row.legs, elsewhere))], "")
    nights.journal.end_run(applier.run, "revoked", 0)

    made = line(audited(nights), "urgent", "p1")

    assert made.minutes is not None
    assert "alumni is not governed" in made.text
    assert made.warns


def _ended(leg: StoredLeg, when: datetime | None) -> StoredLeg:
    return replace(leg, finished_at=when)


def test_what_was_opened_again_is_told(tmp_path: Path) -> None:
    nights = closing(tmp_path, school().families(2).leaver("gone"))
    closed = nights.journal.revocations("gone")[0]
    applier = nights.applier()
    legs = nights.journal.intend(applier.run, "", (closed.row,), "ivan", direction=Direction.OPEN)

    made = lines(audited(nights), "opened")

    assert legs == ()
    assert [(each.key, each.by) for each in made] == [("gone", "ivan")]


def test_what_is_open_is_told_with_its_age_whenever_it_began(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).family("p1"))
    nights.school.leave("p1")
    nights.web.trouble.down = True
    nights.run()
    execute(nights.journal, "UPDATE legs SET intended_at = '2001-01-01 00:00:00.000000'")

    made = lines(audited(nights, date(2026, 1, 1)), "open")

    assert [(each.key, each.what, each.warns) for each in made] == [("p1", "unreachable", True)]
    assert made[0].days is not None
    assert made[0].days > 9000
    assert "close sessions in web" in made[0].text


# --- how it is laid out ---------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """Reads a page: which elements stand in it, and all its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.policies: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.policies += [value or "" for name, value in attrs if name == "content"]

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = "=cmd|' /C calc'!A0 <script>alert(1)</script>\x1b[2J\u202e"


def hostile(folder: Path) -> AuditReport:
    nights = Nights(folder, school().families(2).leaver("gone", left=LONG_AGO, given_name=HOSTILE, family_name=""))
    nights.journal.keep("ok0", HOSTILE, HOSTILE)
    nights.approve(nights.run(), "first-run")
    nights.run()
    return audited(nights)


def test_the_page_needs_nothing_else_and_runs_nothing(tmp_path: Path) -> None:
    report = hostile(tmp_path)

    page = _Page(audit_html(report))

    assert "script" not in page.elements
    assert page.elements.count("h2") == 9
    assert "<script>alert(1)</script>" in page.text
    assert any("default-src 'none'" in policy for policy in page.policies)
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text


def test_no_cell_of_the_csv_is_a_formula(tmp_path: Path) -> None:
    text = audit_csv(hostile(tmp_path))

    assert text.splitlines()[0] == ",".join(HEADER)
    assert "'=cmd|" in text
    assert ",=cmd" not in text
    assert ',"=cmd' not in text
    assert "\x1b" not in text


def test_the_text_has_every_section_and_moves_no_cursor(tmp_path: Path) -> None:
    report = hostile(tmp_path)

    text = audit_text(report)

    assert all(f"\n{section.title} ({len(section.lines)})\n" in text for section in report.sections)
    assert f"last counting day {LONG_AGO}, " in text
    assert f"Audit head: {report.facts.audit_head}" in text
    assert "\x1b" not in text


def test_a_program_reads_the_same_names_in_the_json(tmp_path: Path) -> None:
    document = json.loads(json.dumps(plain(hostile(tmp_path))))

    assert [s["name"] for s in document["sections"]] == [
        "closed",
        "still-in",
        "approvals",
        "releases",
        "keeps",
        "blocks",
        "urgent",
        "opened",
        "open",
    ]
    assert set(document["sections"][0]["lines"][0]) == set(HEADER)
