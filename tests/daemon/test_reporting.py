"""What is told of runs: when a mail is written and when it is not, what it says, and when a sign of life is given."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from connector.config_daemon import Webhook
from connector.daemon.loop import Daemon
from connector.interfaces import Secret
from connector.model import LegState
from connector.policy import Policy
from tests.daemon.mailed import Mailed, told

PING = Secret(env="PING_URL")
HOOK = Webhook("https://hooks.school.example/connector", Secret(env="HOOK"))


def test_after_a_night_the_report_says_how_many_need_somebody_were_closed_and_are_open(tmp_path: Path) -> None:
    one = told(tmp_path).leave("ok0", "ok1").nights_pass()

    (letter,) = one.letters("report")
    assert letter.subject == "0 need you, 2 closed, 0 open (Harbour)"
    assert letter.text.startswith("0 need you, 2 closed, 0 open (Harbour)\n")
    assert "Closed (2)" in letter.text
    assert one.journal.verify_audit().head.partition(":")[0] in letter.text
    assert letter.to == ()


def test_the_picture_is_a_png_that_the_html_shows_with_its_words(tmp_path: Path) -> None:
    letter = told(tmp_path).leave("ok0").nights_pass().letters("report")[0]

    picture = Image.open(io.BytesIO(letter.picture))
    picture.verify()
    assert (picture.format, picture.size) == ("PNG", (1280, 520))
    assert '<img src="cid:picture" alt="From ' in letter.html
    assert "img-src cid:" in letter.html
    assert '<table class="counts">' in letter.html
    assert "<svg" not in letter.html


def test_no_two_nights_share_a_name(tmp_path: Path) -> None:
    one = told(tmp_path).nights_pass(3)

    names = [letter.name for letter in one.letters("report")]
    assert len(set(names)) == 3
    assert all("@" not in name and " " not in name for name in names)


def test_where_nobody_is_configured_nothing_is_written(tmp_path: Path) -> None:
    one = told(tmp_path).reported(mail=None).leave("ok0").nights_pass()

    assert one.journal.duties.unsent() == ()


# --- only what changed ------------------------------------------------------------------------------------------------


def test_a_night_in_which_nothing_changed_is_passed_over_where_the_school_wants_it(tmp_path: Path) -> None:
    one = told(tmp_path).reported(only_when_changed=True).leave("ok0").nights_pass(3)

    assert one.subjects() == ["0 need you, 1 closed, 0 open (Harbour)"]


def test_every_night_is_told_unless_the_school_wants_less(tmp_path: Path) -> None:
    assert len(told(tmp_path).nights_pass(3).subjects()) == 3


def test_an_objection_is_never_passed_over(tmp_path: Path) -> None:
    one = told(tmp_path, families=8).reported(only_when_changed=True)
    one.nights.school.limits(max_revocations=2, share_floor=1)
    one.leave("ok0", "ok1", "ok2").nights_pass(2)

    assert [s.partition(",")[0] for s in one.subjects("report")] == ["1 needs you"] * 2
    assert "Objections (1)" in one.letters()[0].text


# --- retries ----------------------------------------------------------------------------------------------------------


def unreachable(one: Mailed) -> Daemon:
    """Let a night leave the directory's leg open, and give the daemon that goes on."""
    one.nights.ad.trouble.lost_before = {a.guid for a in one.nights.school.accounts}
    one.leave("ok0")
    daemon = one.daemon()
    one.goes_on(daemon, hours=15)
    return daemon


def test_a_door_that_stays_open_is_open_in_the_picture_of_every_later_night(tmp_path: Path) -> None:
    one = told(tmp_path)
    daemon = unreachable(one)

    one.goes_on(daemon, days=2)

    rows = one.letters("report")[-1].text.partition("Last runs")[2].splitlines()[1:4]
    assert [row.split()[2] for row in rows] == ["1", "1", "1"]
    assert [row.split()[0] for row in rows] == ["2026-11-19", "2026-11-20", "2026-11-21"]


def test_a_retry_that_changes_nothing_is_not_told(tmp_path: Path) -> None:
    one = told(tmp_path)
    unreachable(one)

    assert "retry" in {run.kind for run in one.journal.runs(20)}
    assert one.subjects("report") == ["1 needs you, 0 closed, 1 open (Harbour)"]


def test_a_retry_that_closes_something_is_told_with_all_that_the_night_left(tmp_path: Path) -> None:
    one = told(tmp_path)
    daemon = unreachable(one)

    one.nights.ad.trouble.lost_before = set()
    one.goes_on(daemon, minutes=30)

    assert [leg.state for leg in one.journal.open_legs()] == []
    assert one.subjects("report")[-1] == "0 need you, 1 closed, 0 open (Harbour)"
    assert len(one.subjects("report")) == 2


def test_a_conflict_met_by_a_retry_is_told(tmp_path: Path) -> None:
    one = told(tmp_path)
    daemon = unreachable(one)

    one.nights.ad.trouble.lost_before = set()
    one.nights.edit_account("ok0", state="66048")
    one.goes_on(daemon, minutes=30)

    assert LegState.CONFLICT in {leg.state for leg in one.journal.open_legs()}
    assert one.subjects("report")[-1].startswith("1 needs you")


# --- nights that fail -------------------------------------------------------------------------------------------------


def test_a_night_that_did_not_run_is_told_with_what_to_do(tmp_path: Path) -> None:
    one = told(tmp_path)
    one.nights.admin.trouble.down = True
    one.nights_pass()

    (letter,) = one.letters()
    assert letter.subject == "1 needs you: the night did not run (Harbour)"
    assert "admin system does not answer" in letter.text
    assert "connector check" in letter.text
    assert "Audit head: " in letter.text


def test_the_same_failure_is_told_twice_a_day_and_not_with_every_try(tmp_path: Path) -> None:
    one = told(tmp_path, retry_minutes=90)
    one.nights.admin.trouble.down = True
    one.nights_pass(2)

    assert len(one.subjects("failed")) == 3


def test_a_failure_after_a_night_that_ran_is_told_at_once(tmp_path: Path) -> None:
    one = told(tmp_path)
    one.nights.admin.trouble.down = True
    daemon = one.daemon()
    one.goes_on(daemon, hours=15)
    one.nights.admin.trouble.down = False
    one.goes_on(daemon, hours=1)
    one.nights.admin.trouble.down = True
    daemon.ask("webhook")
    one.goes_on(daemon, hours=1)

    assert one.subjects() == [
        "1 needs you: the night did not run (Harbour)",
        "0 need you, 0 closed, 0 open (Harbour)",
        "1 needs you: a run came to no end (Harbour)",
    ]


def test_a_run_whose_daemon_was_cut_short_before_it_told_is_told_by_the_next(tmp_path: Path) -> None:
    one = told(tmp_path).leave("ok0")
    one.hearing.fails = 1000
    deaf = one.daemon(errands=lambda _: (one.hearing,))
    one.goes_on(deaf, hours=14)
    deaf.close()

    one.goes_on(one.daemon(), minutes=2)

    assert one.journal.runs(1)[0].result == "applied"
    assert one.subjects() == ["0 need you, 1 closed, 0 open (Harbour)"]


# --- for machines -----------------------------------------------------------------------------------------------------


def test_machines_are_told_of_every_run_also_of_one_nobody_has_to_read(tmp_path: Path) -> None:
    one = told(tmp_path).reported(webhook=HOOK, only_when_changed=True).leave("ok0").nights_pass(3)

    first, *others = one.events()
    assert len(others) == 2
    assert first["type"] == "report"
    assert first["data"]["subject"] == "0 need you, 1 closed, 0 open (Harbour)"
    assert first["data"]["sections"][0]["name"] == "closed"


def test_machines_are_told_of_a_night_that_did_not_run(tmp_path: Path) -> None:
    one = told(tmp_path).reported(webhook=HOOK, mail=None)
    one.nights.admin.trouble.down = True
    one.nights_pass()

    assert [event["type"] for event in one.events()] == ["run-failed"]
    assert "admin system" in one.events()[0]["data"]["message"]


def test_why_somebody_is_kept_out_is_told_to_nobody(tmp_path: Path) -> None:
    one = told(tmp_path).reported(webhook=HOOK)
    one.journal.block("ok0", "alice@host", "court order 7", None)
    one.nights.school.relationships = [
        r if r.contact_id != "ok1" else type(r)(r.contact_id, r.student_id, r.contact_type, restricted=True)
        for r in one.nights.school.relationships
    ]
    one.nights_pass()

    (letter,) = one.letters("report")
    everything = " ".join((letter.text, letter.html, json.dumps(one.events()))).lower()
    assert "access-ended" in everything
    assert [word for word in ("court", "restrict", "blocked", "order 7") if word in everything] == []


# --- signs of life ----------------------------------------------------------------------------------------------------


def test_a_night_gives_a_sign_of_life_and_a_retry_does_not(tmp_path: Path) -> None:
    one = told(tmp_path, ping_url=PING)
    daemon = unreachable(one)
    one.goes_on(daemon, hours=2)

    assert one.pings() == 1


def test_a_night_that_did_not_run_gives_none(tmp_path: Path) -> None:
    one = told(tmp_path, ping_url=PING)
    one.nights.admin.trouble.down = True
    one.nights_pass()

    assert one.pings() == 0


@pytest.mark.parametrize(("told_by_mail", "pings"), [(True, 1), (False, 0)])
def test_a_stopped_night_gives_one_only_where_somebody_is_told_of_it(
    tmp_path: Path, told_by_mail: bool, pings: int
) -> None:
    one = told(tmp_path, families=8, ping_url=PING)
    one.nights.school.limits(max_revocations=2, share_floor=1)
    if not told_by_mail:
        one.reported(mail=None)
    one.leave("ok0", "ok1", "ok2").nights_pass()

    assert one.pings() == pings


# --- the numbers ------------------------------------------------------------------------------------------------------


def test_who_was_closed_is_told_by_one_night_and_not_by_the_next_again(tmp_path: Path) -> None:
    one = told(tmp_path).leave("ok0").nights_pass(2)

    assert one.subjects("report") == [
        "0 need you, 1 closed, 0 open (Harbour)",
        "0 need you, 0 closed, 0 open (Harbour)",
    ]
    assert "Closed" not in one.letters("report")[-1].text.partition("Last runs")[0]


def test_a_door_that_was_open_for_days_is_told_when_it_closes(tmp_path: Path) -> None:
    one = told(tmp_path)
    daemon = unreachable(one)
    one.goes_on(daemon, days=2)

    one.nights.ad.trouble.lost_before = set()
    one.goes_on(daemon, hours=2)

    assert one.subjects("report")[-1] == "0 need you, 1 closed, 0 open (Harbour)"


def test_the_subject_adds_up_with_the_sections(tmp_path: Path) -> None:
    one = told(tmp_path, families=6)
    one.nights.school.policy(no_student_at_school=Policy.HOLD)
    one.journal.block("ok1", "alice@host", "a reason", None)
    one.nights.ad.trouble.lost_before = {one.nights.account("ok1").guid}
    one.leave("ok0").nights_pass(1)

    (letter,) = one.letters("report")
    assert letter.subject == "3 need you, 0 closed, 1 open (Harbour)"
    assert "3 need you: 1 under Open, 1 under Objections and 1 under New holds." in letter.text
    assert "Open (1 person, 2 doors)" in letter.text


def test_on_a_day_without_applying_the_mail_says_why_nobody_was_closed(tmp_path: Path) -> None:
    one = told(tmp_path).leave("ok0")
    one.apply_days = ()
    one.nights_pass()

    (letter,) = one.letters("report")
    assert letter.subject == "0 need you, 0 closed, 0 open (Harbour)"
    assert "Today only what is urgent is closed ([nightly] apply_days)" in letter.text
    assert "Would be closed (1)" in letter.text


# --- times ------------------------------------------------------------------------------------------------------------


def test_people_read_the_schools_time_and_machines_one_that_is_everywhere_the_same(tmp_path: Path) -> None:
    one = told(tmp_path).reported(webhook=HOOK).leave("ok0").nights_pass()

    (letter,), (event,) = one.letters("report"), one.events()
    assert "Run 2 as of 2026-11-19, 2026-11-19 02:31 CET" in letter.text
    assert "All times: Europe/Berlin." in letter.text
    assert "All times: Europe/Berlin." in letter.html
    assert "UTC" not in letter.text
    assert event["timestamp"].startswith("2026-11-19T01:3")
    assert event["data"]["run"]["ended_at"].startswith("2026-11-19T01:3")
    assert event["data"]["run"]["ended_at"].endswith("+00:00")


# --- a source that cannot be believed ---------------------------------------------------------------------------------


def short(one: Mailed) -> Mailed:
    """Cut the enrolments off, and make the first family leave for real."""
    one.nights.school.policy(no_student_at_school=Policy.HOLD)
    one.leave("ok0")
    one.nights.school.enrolments, whole = one.nights.school.enrolments[:3], one.nights.school.enrolments
    one.nights_pass()
    one.nights.school.enrolments = whole
    return one.nights_pass()


def test_of_a_source_that_is_not_believed_nothing_is_asked_and_the_next_night_asks_for_the_first_time(
    tmp_path: Path,
) -> None:
    one = short(told(tmp_path, families=8))

    bad, good = one.letters("report")
    assert bad.subject == "1 needs you, 0 closed, 0 open (Harbour)"
    assert "A source cannot be believed" in bad.text
    assert "New holds" not in bad.text
    assert "Would be closed" not in bad.text
    assert good.subject == "1 needs you, 0 closed, 0 open (Harbour)"
    assert "New holds (1)" in good.text


# --- holds ------------------------------------------------------------------------------------------------------------


def test_a_hold_is_new_once_also_where_nothing_was_to_be_closed_in_any_of_the_nights(tmp_path: Path) -> None:
    """All plans that close nobody are one plan: what it held yesterday is not to be taken from its newest making."""
    one = told(tmp_path)
    one.nights.school.policy(no_student_at_school=Policy.HOLD)
    one.nights_pass(2).leave("ok0").nights_pass(2)

    assert [subject.partition(",")[0] for subject in one.subjects("report")] == [
        "0 need you",
        "0 need you",
        "1 needs you",
        "0 need you",
    ]
