"""For some nights after somebody was closed each run sweeps their sessions again: some applications revive them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.model import LegState
from connector.reconcile.journal_values import Direction
from tests.reconcile.build import TOMORROW
from tests.reconcile.journal_builders import execute, scalar
from tests.reconcile.nights import Nights
from tests.reconcile.test_apply import leaving


def closed_yesterday(folder: Path, days_ago: float = 1, count: int = 1, **pace: object) -> Nights:
    """Give a school in which ok0 … were closed some days ago, and a session of each came back since."""
    nights = leaving(folder, count, **pace)
    nights.run()
    then = (datetime.now(UTC) - timedelta(days=days_ago)).strftime("%Y-%m-%d %H:%M:%S.%f")
    execute(nights.journal, "UPDATE legs SET finished_at = :then", then=then)
    for number in range(count):
        nights.school.session(f"ok{number}")
    nights.web.trouble.asked.clear()
    return nights


def test_a_session_that_came_back_the_night_after_is_ended_and_counted(tmp_path: Path) -> None:
    nights = closed_yesterday(tmp_path)

    result = nights.run()

    assert (result.reswept, result.applied, result.exit_code) == (1, (), 0)
    assert nights.is_closed("ok0")
    assert nights.is_open("ok1")


def test_what_came_back_is_audited_and_counted_on_the_leg_which_stays_closed(tmp_path: Path) -> None:
    nights = closed_yesterday(tmp_path)

    nights.run()

    leg = next(leg for leg in nights.journal.revocations("ok0")[0].legs if leg.planned.target == "web")
    assert (leg.state, leg.ended) == (LegState.CLOSED, 2)
    (event,) = [e for e in nights.journal.history("ok0") if e.kind == "swept-again"]
    assert event.text == "Revocation 1: 1 session had come back in web and ended again."
    assert nights.journal.verify_audit().ok


def test_where_nothing_came_back_nothing_is_written_about_it(tmp_path: Path) -> None:
    nights = closed_yesterday(tmp_path)
    nights.school.sessions[:] = [s for s in nights.school.sessions if s.user != "uok0"]

    result = nights.run()

    assert result.reswept == 0
    assert nights.web.trouble.writes == ["sweep web: uok0"]
    assert not [e for e in nights.journal.history("ok0") if e.kind == "swept-again"]


def test_everybody_closed_lately_is_swept_in_one_go(tmp_path: Path) -> None:
    nights = closed_yesterday(tmp_path, count=4)

    result = nights.run()

    assert result.reswept == 4
    assert nights.web.trouble.writes == ["sweep web: uok0 uok1 uok2 uok3"]


@pytest.mark.parametrize(("days_ago", "days", "swept"), [(2.9, 3, 1), (3.1, 3, 0), (5, 7, 1), (0.5, 0, 0)])
def test_it_ends_after_the_days_of_the_config(tmp_path: Path, days_ago: float, days: float, swept: int) -> None:
    nights = closed_yesterday(tmp_path, days_ago, resweep_days=days)

    result = nights.run()

    assert result.reswept == swept


def test_a_person_who_is_entitled_again_is_left_alone(tmp_path: Path) -> None:
    nights = closed_yesterday(tmp_path)
    nights.school.leave("ok0", TOMORROW)

    result = nights.run()

    assert result.reswept == 0
    assert nights.sessions("ok0") == 1


def test_a_user_name_that_an_entitled_person_has_now_is_left_alone(tmp_path: Path) -> None:
    nights = closed_yesterday(tmp_path)
    nights.edit_account("ok0", username="old")
    nights.edit_account("ok1", username="uok0")
    nights.edit_member("ok1", username="uok0")

    result = nights.run()

    assert result.reswept == 0
    assert nights.sessions("ok0") == 1


def test_of_a_user_name_that_is_nobodys_now_only_sessions_older_than_the_revocation_end(tmp_path: Path) -> None:
    nights = closed_yesterday(tmp_path)
    nights.school.sessions[:] = [s for s in nights.school.sessions if s.user != "uok0"]
    nights.school.accounts[:] = [a for a in nights.school.accounts if a.username != "uok0"]
    nights.school.members[:] = [m for m in nights.school.members if m.person_id != "ok0"]
    execute(nights.journal, "DELETE FROM users")
    now = datetime.now(UTC)
    nights.school.session("ok0", created_at=now + timedelta(hours=1), session_id="younger")
    nights.school.session("ok0", created_at=now - timedelta(days=2), session_id="older")

    result = nights.run()

    assert result.reswept == 1
    assert [s.session_id for s in nights.school.sessions if s.user == "uok0"] == ["younger"]


def test_somebody_restored_since_is_left_alone(tmp_path: Path) -> None:
    nights = closed_yesterday(tmp_path)
    closed, acting = nights.journal.revocations("ok0")[0], nights.applier()
    back = replace(closed.row, legs=(closed.legs[0].planned,))
    legs = nights.journal.intend(acting.run, "", [back], "alice@host", direction=Direction.OPEN)
    acting.drive(legs)

    assert nights.journal.lately_ended(3) == ()


def test_a_person_somebody_else_holds_is_left_for_the_next_night(tmp_path: Path) -> None:
    nights = closed_yesterday(tmp_path)
    nights.open_journal().claim_many(["ok0"], "another", 60)

    result = nights.run()

    assert (result.reswept, result.busy) == (0, ("ok0",))
    assert nights.sessions("ok0") == 1


def test_in_report_mode_nothing_is_swept(tmp_path: Path) -> None:
    nights = closed_yesterday(tmp_path)

    result = nights.run(reports_only=True)

    assert result.reswept == 0
    assert nights.web.trouble.writes == []
    assert scalar(nights.journal, "SELECT count(*) FROM claims WHERE key = 'ok0'") == 1
