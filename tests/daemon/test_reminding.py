"""Whoever keeps somebody in, or out, is reminded in time, once, and never told why."""

from datetime import date, timedelta
from pathlib import Path

from tests.daemon.mailed import Mailed, told

ALICE = "alice@school.example"
UNTIL = date(2026, 12, 4)
"""Sixteen days after noon."""


def kept(folder: Path, until: date | None = UNTIL, **people: str) -> Mailed:
    one = told(folder).reported(people=people, digest="")
    one.journal.keep("ok0", "alice@host", "exam week", until)
    return one


def days_pass(one: Mailed, days: int) -> Mailed:
    """Let days go by in which only the errands are asked."""
    daemon = one.daemon()
    for _ in range(days):
        one.clock.on(days=1)
        daemon.step()
        daemon.step()
    daemon.close()
    return one


def test_an_owner_is_reminded_fourteen_and_three_days_before_a_keep_ends(tmp_path: Path) -> None:
    one = days_pass(kept(tmp_path, alice=ALICE), 20)

    texts = [letter.text for letter in one.letters("remind")]
    assert len(texts) == 2
    assert [days for text in texts for days in ("in 14 days", "in 3 days") if days in text] == [
        "in 14 days",
        "in 3 days",
    ]
    assert {letter.to for letter in one.letters("remind")} == {(ALICE,)}
    assert one.letters("remind")[0].subject == "1 keep will end by 2026-12-04 (Harbour)"
    assert "exam week" in texts[0]
    assert "Audit head: " in texts[0]


def test_who_has_no_address_is_reminded_through_the_readers_by_name(tmp_path: Path) -> None:
    (letter,) = days_pass(kept(tmp_path), 5).letters("remind")

    assert letter.to == ()
    assert "alice@host" in letter.text


def test_a_keep_that_is_younger_than_the_reminder_is_not_reminded_of_at_once(tmp_path: Path) -> None:
    one = days_pass(kept(tmp_path, date(2026, 11, 28)), 2)

    assert one.letters("remind") == []
    assert len(days_pass(one, 7).letters("remind")) == 1


def test_what_was_taken_back_or_goes_on_is_not_reminded_of(tmp_path: Path) -> None:
    one = kept(tmp_path)
    one.journal.keep("ok0", "bob@host", "and longer", UNTIL + timedelta(days=300))
    one.journal.keep("ok1", "alice@host", "exam week", UNTIL)
    one.journal.unkeep("ok1", "alice@host")
    one.journal.keep("ok2", "alice@host", "for ever", None)

    assert days_pass(one, 20).letters("remind") == []


def test_a_day_on_which_the_daemon_was_away_loses_no_reminder(tmp_path: Path) -> None:
    one = kept(tmp_path)
    days_pass(one, 1)
    one.clock.on(days=6)

    (letter,) = days_pass(one, 1).letters("remind")
    assert "in 8 days" in letter.text


def test_a_block_that_ends_is_told_and_not_that_it_is_one(tmp_path: Path) -> None:
    one = told(tmp_path).reported(people={"alice": ALICE}, digest="")
    one.journal.block("ok0", "alice@host", "court order 7", UNTIL)

    (letter,) = days_pass(one, 5).letters("remind")
    told_of = f"{letter.subject} {letter.text}".lower()
    assert letter.subject == "1 access-ended will end by 2026-12-04 (Harbour)"
    assert [word for word in ("block", "court", "order 7", "restrict") if word in told_of] == []


def test_the_words_of_one_owner_are_one_mail(tmp_path: Path) -> None:
    one = kept(tmp_path, alice=ALICE)
    one.journal.keep("ok1", "alice@host", "=HYPERLINK(0)", UNTIL)
    one.journal.block("ok2", "bob@host", "left the town", UNTIL)

    letters = days_pass(one, 5).letters("remind")
    assert sorted(letter.to for letter in letters) == [(), (ALICE,)]
    assert [letter.text.count("Ends soon (2)") for letter in letters if letter.to] == [1]
