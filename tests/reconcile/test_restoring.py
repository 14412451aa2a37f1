"""What we closed can be opened again from what it was before, and only that, and only where nothing has moved on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector.model import LegKind, LegState, MemberStatus
from connector.policy import SignIn
from connector.reconcile.journal_values import Direction, OpenLeg
from connector.reconcile.plan_values import PlannedLeg
from connector.reconcile.restoring import SHOWS_WITHIN, Restore, plan_restore, tell_the_person
from tests.reconcile.build import ENGAGE, TODAY, YESTERDAY, SchoolBuilder
from tests.reconcile.nights import Nights
from tests.reconcile.test_apply import leaving


def closed(folder: Path, count: int = 1) -> Nights:
    """Give a school in which ok0 … were closed by run 2."""
    nights = leaving(folder, count)
    nights.run()
    return nights


def planned(nights: Nights, key: str | None = None, run_id: int | None = None, *, seconded: bool = False) -> Restore:
    judgement = nights.running().look(TODAY)
    found = nights.journal.revocations(key, run_id)
    portals = nights.school.rules_of_portals()
    return plan_restore(found, judgement.decisions, judgement.snapshot, portals, seconded=seconded)


def carried_out(nights: Nights, restore: Restore) -> Sequence[OpenLeg]:
    applier = nights.applier()
    legs = nights.journal.intend(applier.run, "", restore.rows, "alice@host", direction=Direction.OPEN)
    left = applier.drive(legs)
    nights.journal.end_run(applier.run, "restored", 0)
    return left


def test_a_person_gets_account_username_and_status_back_and_no_password(tmp_path: Path) -> None:
    nights = closed(tmp_path)

    left = carried_out(nights, planned(nights, "ok0"))

    assert left == ()
    assert nights.account("ok0").state == "512"
    member = nights.member("ok0")
    assert member is not None
    assert (member.username, member.has_password, member.status) == ("uok0", False, MemberStatus.ENABLED)


@pytest.mark.parametrize("why", [{"managed": False}, {"protected": "adminCount=1"}])
def test_an_account_that_may_not_be_written_any_more_is_not_restored(tmp_path: Path, why: dict[str, Any]) -> None:
    nights = closed(tmp_path)
    nights.edit_account("ok0", **why)

    restore = planned(nights, "ok0")

    assert any("is never written" in text for _, text in restore.refused)
    assert [leg.target for row in restore.rows for leg in row.legs] == ["engage"]


def test_a_whole_run_is_restored_and_nothing_else(tmp_path: Path) -> None:
    nights = closed(tmp_path, 2)
    run_id = nights.journal.runs(1)[0].run_id
    nights.school.leave("ok2")
    nights.run()

    restore = planned(nights, run_id=run_id)

    assert sorted(row.key for row in restore.rows) == ["ok0", "ok1"]


def test_who_signs_in_by_password_needs_a_welcome_and_who_signs_in_by_directory_does_not(tmp_path: Path) -> None:
    nights = closed(tmp_path)
    by_directory = planned(nights, "ok0").welcome
    nights.school.portal(replace(ENGAGE, sign_in=SignIn.PASSWORD))

    by_password = planned(nights, "ok0").welcome

    assert (by_directory, by_password) == ((), ("Cok0",))


def test_sessions_are_not_brought_back(tmp_path: Path) -> None:
    nights = closed(tmp_path)

    restore = planned(nights, "ok0")

    assert {leg.target for leg in restore.rows[0].legs} == {"ad", "engage"}


def test_what_was_closed_before_we_came_is_not_ours_to_open(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.meanwhile = lambda: nights.edit_account("ok0", state="514", enabled=False)
    nights.run()

    restore = planned(nights, "ok0")

    assert {leg.target for leg in restore.rows[0].legs} == {"engage"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda n: n.edit_account("ok0", state="66050"), "directory in ad: was changed since (514 → 66050)"),
        (lambda n: n.edit_account("ok0", state="512", enabled=True), "directory in ad: is enabled already"),
        (lambda n: n.school.accounts.remove(n.account("ok0")), "directory in ad: the entry is gone"),
        (
            lambda n: n.edit_member("ok0", username="new"),
            "credential in engage: was changed since (now disabled, username new)",
        ),
        (lambda n: n.school.members.remove(n.member("ok0")), "credential in engage: the entry is gone"),
    ],
)  # fmt: skip
def test_what_has_moved_on_is_refused_and_how_is_said(
    tmp_path: Path, change: Callable[[Nights], object], says: str
) -> None:
    nights = closed(tmp_path)
    change(nights)

    restore = planned(nights, "ok0")

    assert restore.refused == (("Cok0", says),)
    assert len(restore.rows[0].legs) == 1


def test_an_account_that_is_somebody_elses_by_now_stays_closed(tmp_path: Path) -> None:
    nights = closed(tmp_path)
    nights.journal.move_link("ad", nights.account("ok0").guid, "ok1", "alice@host", "by hand")
    nights.edit_account("ok0", employee_id="Cok1")

    restore = planned(nights, "ok0")

    assert restore.refused == (("Cok0", "directory in ad: is matched to ok1 now"),)


def test_an_account_that_was_matched_by_the_username_we_cleared_is_opened_again(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.journal.unlink("ad", nights.account("ok0").guid, "alice@host")
    nights.edit_account("ok0", employee_id="")
    nights.run()

    carried_out(nights, planned(nights, "ok0"))

    assert nights.account("ok0").enabled


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    nights = closed(tmp_path)
    nights.ad.trouble.down = True

    restore = planned(nights, "ok0")

    assert restore.refused == (("Cok0", "directory in ad: cannot be read now"),)


def test_a_blocked_person_stays_closed(tmp_path: Path) -> None:
    nights = closed(tmp_path)
    nights.journal.block("ok0", "bob@host", "ordered by the head", None)

    restore = planned(nights, "ok0", seconded=True)

    assert restore.rows == ()
    assert "connector unblock Cok0" in restore.refused[0][1]


def test_a_restricted_person_needs_a_second(tmp_path: Path) -> None:
    nights = closed(tmp_path)
    restricted(nights.school)

    alone, seconded = planned(nights, "ok0"), planned(nights, "ok0", seconded=True)

    assert alone.rows == ()
    assert "--second" in alone.refused[0][1]
    assert len(seconded.rows) == 1


def restricted(builder: SchoolBuilder) -> None:
    builder.relationships[:] = [replace(r, restricted=r.contact_id == "ok0") for r in builder.relationships]


def test_of_two_closings_the_newest_is_undone(tmp_path: Path) -> None:
    nights = closed(tmp_path)
    carried_out(nights, planned(nights, "ok0"))
    nights.edit_member("ok0", username="renamed")
    nights.run()

    carried_out(nights, planned(nights, "ok0"))

    assert nights.member("ok0").username == "renamed"  # type: ignore[union-attr] # there is a member


def test_what_a_second_order_found_besides_does_not_hide_what_the_first_one_closed(tmp_path: Path) -> None:
    """A session that came back is closed by a revocation of its own, which took away no door."""
    nights = closed(tmp_path)
    row = nights.journal.revocations("ok0")[0].row
    sessions = replace(row, legs=(PlannedLeg(LegKind.SESSIONS, "web", "uok0"),))
    applier = nights.applier()
    applier.revoke([sessions], "")
    nights.journal.end_run(applier.run, "revoked", 0)

    restore = planned(nights, "ok0")

    assert {leg.target for leg in restore.rows[0].legs} == {"ad", "engage"}


def test_doors_that_were_closed_by_two_revocations_of_which_one_waited_are_opened_together(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.down = True
    nights.run()
    nights.ad.trouble.down = False
    nights.run()

    restore = planned(nights, "ok0")

    assert len(nights.journal.revocations("ok0")) == 2
    assert {leg.target for leg in restore.rows[0].legs} == {"ad", "engage"}


def test_what_was_closed_and_over_long_before_is_not_opened_with_the_newest_closing(tmp_path: Path) -> None:
    nights = closed(tmp_path)
    nights.edit_account("ok0", state="512", enabled=True)
    nights.run()

    restore = planned(nights, "ok0")

    assert len(nights.journal.revocations("ok0")) == 2
    assert {leg.target for leg in restore.rows[0].legs} == {"ad"}


def test_an_account_changed_between_plan_and_restore_is_not_overwritten(tmp_path: Path) -> None:
    nights = closed(tmp_path)
    restore = planned(nights, "ok0")
    nights.ad.trouble.meanwhile = lambda: nights.edit_account("ok0", state="66050")

    left = carried_out(nights, restore)

    assert [leg.state for leg in left] == [LegState.CONFLICT]
    assert nights.account("ok0").state == "66050"


def test_a_member_with_a_new_username_is_not_overwritten(tmp_path: Path) -> None:
    nights = closed(tmp_path)
    restore = planned(nights, "ok0")
    nights.edit_member("ok0", username="new")

    left = carried_out(nights, restore)

    assert [leg.state for leg in left] == [LegState.CONFLICT]
    assert nights.member("ok0").username == "new"  # type: ignore[union-attr] # there is a member


def test_an_entry_that_went_between_plan_and_restore_is_called_off(tmp_path: Path) -> None:
    nights = closed(tmp_path)
    restore = planned(nights, "ok0")
    nights.school.accounts.remove(nights.account("ok0"))

    left = carried_out(nights, restore)

    assert left == ()


def test_of_two_rows_of_one_person_each_gets_its_own_username_back(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.edit_member("ok0", native_id="r1")
    nights.school.member("ok0", username="second", native_id="r2")
    nights.run()

    carried_out(nights, planned(nights, "ok0"))

    mine = {m.native_id: m.username for m in nights.school.members if m.person_id == "ok0"}
    assert mine == {"r1": "uok0", "r2": "second"}


def test_somebody_restored_without_being_entitled_is_ready_to_revoke_again(tmp_path: Path) -> None:
    nights = closed(tmp_path)
    carried_out(nights, planned(nights, "ok0"))

    result = nights.running().look(TODAY)

    assert YESTERDAY < TODAY
    assert [row.key for row in result.plan.revocations] == ["ok0"]


def test_a_membership_that_was_disabled_before_is_given_back_disabled(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.edit_member("ok0", status=MemberStatus.DISABLED)
    nights.run()

    left = carried_out(nights, planned(nights, "ok0"))

    member = nights.member("ok0")
    assert member is not None
    assert (left, member.username, member.status) == ((), "uok0", MemberStatus.DISABLED)


def test_who_needs_a_welcome_e_mail_is_named(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.run()
    nights.school.portals["engage"] = replace(ENGAGE, sign_in=SignIn.PASSWORD)

    restore = planned(nights, "ok0")

    assert restore.members
    assert restore.welcomed == ("Givenok0 Familyok0 (Cok0)",)


def test_the_person_is_told_to_log_out_and_in_or_until_when_to_wait() -> None:
    done = datetime(2026, 11, 21, 9, 40, tzinfo=UTC) + SHOWS_WITHIN

    assert tell_the_person(done) == "Tell them: log out and in; else it shows by 10:40."
    assert tell_the_person() == "Tell them: log out and in; else it shows within the hour."
