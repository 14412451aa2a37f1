"""The weekly digest: on its day, once, and true."""

from datetime import date, timedelta
from pathlib import Path

from connector.config_daemon import DigestDay
from tests.daemon.mailed import Mailed, told

MONDAY = DigestDay.MON


def a_week(folder: Path) -> Mailed:
    """From a Wednesday to the Tuesday after the next Monday but one: the first Monday begins the first whole week."""
    return told(folder, retry_minutes=480).reported(digest=MONDAY)


def test_the_digest_comes_once_after_the_night_of_its_day(tmp_path: Path) -> None:
    one = a_week(tmp_path)
    one.nights_pass(4)
    before = one.subjects("digest")
    one.nights_pass(3)

    (letter,) = one.letters("digest")
    assert before == []
    assert letter.name.endswith("2026-11-23")
    assert letter.subject == "The week to 2026-11-23: 0 closed, 0 open (Harbour)"
    assert "Audit head: " in letter.text


def test_no_day_is_no_digest(tmp_path: Path) -> None:
    one = told(tmp_path).reported(digest=DigestDay.NEVER).nights_pass(6)

    assert one.subjects("digest") == []


def test_it_says_who_was_closed_who_waits_and_what_is_open(tmp_path: Path) -> None:
    one = a_week(tmp_path).leave("ok0").nights_pass(1)
    one.journal.keep("ok2", "alice@host", "exam week", None)
    one.leave("ok2").nights_pass(3)
    one.nights.ad.trouble.lost_before = {a.guid for a in one.nights.school.accounts}
    one.leave("ok1").nights_pass(2)

    text = one.letters("digest")[0].text
    assert "Closed (1)" in text
    assert "Still open (1)" in text
    assert "Holds (1)" in text
    assert "1 row [keep]" in text
    assert "ready since 2026-11-2" in text
    assert "max_revocations_7_days" in text
    assert "The last accepted run was run " in text


def test_it_says_which_nights_did_not_run(tmp_path: Path) -> None:
    one = a_week(tmp_path).nights_pass(1)
    one.nights.admin.trouble.down = True
    one.nights_pass(2)
    one.nights.admin.trouble.down = False
    one.nights_pass(3)

    text = one.letters("digest")[0].text
    assert "none on 2026-11-20" in text


def test_it_says_that_a_keep_and_a_block_have_ended_and_not_why(tmp_path: Path) -> None:
    one = a_week(tmp_path)
    one.journal.keep("ok0", "alice@host", "exam week", date(2026, 11, 20))
    one.journal.block("gone", "alice@host", "court order 7", date(2026, 11, 20))
    one.nights_pass(6)

    text = one.letters("digest")[0].text
    assert "Ended (2)" in text
    assert "its last day was 2026-11-20" in text
    assert "court" not in text
    assert "[access-ended]" in text


def test_it_comes_late_where_its_night_does_not_come(tmp_path: Path) -> None:
    one = a_week(tmp_path).nights_pass(4)
    one.nights.admin.trouble.down = True
    one.clock.now += timedelta(hours=13, minutes=30)
    daemon = one.daemon()
    one.goes_on(daemon, hours=2, minutes=45)
    before = one.subjects("digest")
    one.goes_on(daemon, minutes=30)

    assert before == []
    assert len(one.subjects("digest")) == 1


def test_a_clock_that_was_a_year_ahead_keeps_no_later_week_from_its_digest(tmp_path: Path) -> None:
    one = told(tmp_path)
    one.clock.on(days=365)
    one.nights_pass()
    one.clock.on(days=-365)

    one.nights_pass(5)

    assert [letter.name[-10:] for letter in one.letters("digest")] == ["2026-11-16", "2026-11-23"]


def test_a_stopped_week_names_the_objection(tmp_path: Path) -> None:
    one = told(tmp_path, families=9).reported(digest=MONDAY)
    one.nights.school.limits(max_revocations=2, share_floor=1)
    one.leave("ok0", "ok1", "ok2").nights_pass(6)

    text = one.letters("digest")[0].text
    assert "Objections (" in text
    assert "max-revocations" in text
    assert "an objection stopped 5 runs" in text
