"""Effects: intended first, in order, each proven, none undone by the failure of another."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from connector.errors import ConnectorError, RunInProgress, TargetUnreachable
from connector.model import CloseMember, LegKind, LegState, MemberStatus, Outcome
from connector.reconcile.journal_values import ChangeKind, Direction, MembershipChange
from tests.fakes import Trouble, WorklistPortal
from tests.reconcile.build import FACULTY, TODAY, school
from tests.reconcile.journal_builders import execute
from tests.reconcile.nights import Nights, settled

DOORS = {"ad", "engage", "web"}


class Killed(BaseException):
    """The process ends here, as far as the code under test can tell."""


def leaving(folder: Path, count: int = 1, **pace: object) -> Nights:
    """Give a school in which the children of ok0, ok1 … have left since the last accepted night."""
    nights = settled(folder, school().families(count + 2), **pace)
    for number in range(count):
        nights.school.leave(f"ok{number}")
    return nights


def everything_else_stands(nights: Nights, leavers: int) -> bool:
    return all(nights.is_open(f"ok{number}") for number in range(leavers, leavers + 2))


# --- intended together, in order --------------------------------------------------------------------------------------


def test_all_legs_of_everybody_are_in_the_journal_before_the_first_effect(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 3)
    nights.ad.trouble.raises = Killed()

    with pytest.raises(Killed):
        nights.run()

    reopened = nights.open_journal()
    legs = reopened.open_legs()
    assert {(leg.key, leg.planned.target) for leg in legs} == {(f"ok{n}", t) for n in range(3) for t in DOORS}
    assert {leg.state for leg in legs} == {LegState.INTENDED}
    assert all(nights.is_open(f"ok{n}") for n in range(3))
    assert reopened.runs(1)[0].result == "failed: Killed"


@pytest.mark.parametrize("where", ["ad", "engage", "web"])
def test_a_run_killed_anywhere_is_finished_by_the_next_one(tmp_path: Path, where: str) -> None:
    nights = leaving(tmp_path, 2)
    trouble = {"ad": nights.ad, "engage": nights.engage, "web": nights.web}[where].trouble
    trouble.raises = Killed()
    with pytest.raises(Killed):
        nights.run()

    result = nights.run()

    assert result.exit_code == 0
    assert nights.is_closed("ok0")
    assert nights.is_closed("ok1")
    assert everything_else_stands(nights, 2)
    assert not nights.journal.open_legs()


def test_directory_comes_before_credential_and_credential_before_sessions(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 2)
    shared: list[str] = []
    for system in (nights.ad, nights.engage, nights.web):
        system.trouble.asked = shared

    nights.run()

    writes = [one.split()[1].rstrip(":") for one in shared if not one.startswith("read")]
    assert list(dict.fromkeys(writes)) == ["ad", "engage", "web"]
    assert writes == sorted(writes)


def test_batches_are_as_large_as_the_pace_says(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 5, batch_size=2)

    nights.run()

    assert [len(one.split(": ")[1].split()) for one in nights.engage.trouble.writes] == [2, 2, 1]


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_failed_leg_stops_no_other_and_undoes_nothing(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 2)
    nights.ad.trouble.lost_before = {nights.account("ok0").guid}

    result = nights.run()

    assert result.exit_code == 4
    assert nights.account("ok0").enabled
    assert nights.member("ok0").username == ""  # type: ignore[union-attr] # there is a member
    assert nights.sessions("ok0") == 0
    assert nights.is_closed("ok1")
    assert nights.open_states() == {("ok0", "ad"): LegState.UNREACHABLE, ("ok0", "web"): LegState.INTENDED}


def test_nothing_is_done_before_it_is_read_back(tmp_path: Path) -> None:
    """The effect happened and its answer was lost: the leg stays open until a later look proves it."""
    nights = leaving(tmp_path)
    nights.engage.trouble.lost_after = {"ok0"}

    first = nights.run()
    nights.engage.trouble.lost_after = set()
    second = nights.run()

    assert first.exit_code == 4
    assert ("ok0", "engage") in {(leg.key, leg.planned.target) for leg in first.open_legs}
    assert second.exit_code == 0
    legs = {leg.planned.kind: leg for leg in nights.journal.revocations("ok0")[0].legs}
    assert legs[LegKind.CREDENTIAL].state is LegState.CLOSED
    assert legs[LegKind.CREDENTIAL].before.username == "uok0"  # type: ignore[union-attr] # there is a member
    assert nights.journal.revocations("ok0")[0].state == "done"


def test_what_was_closed_before_we_came_is_not_called_our_doing(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.meanwhile = lambda: nights.edit_account("ok0", state="514", enabled=False)

    nights.run()

    legs = {leg.planned.kind: leg for leg in nights.journal.revocations("ok0")[0].legs}
    assert legs[LegKind.DIRECTORY].state is LegState.ALREADY_CLOSED


def test_somebody_elses_change_since_the_plan_is_a_conflict_and_is_not_overwritten(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.meanwhile = lambda: nights.edit_account("ok0", state="66048")

    result = nights.run()

    assert result.exit_code == 4
    assert nights.account("ok0").state == "66048"
    assert nights.open_states()["ok0", "ad"] is LegState.CONFLICT


def test_a_conflict_is_planned_anew_and_ends_with_its_sessions_in_the_same_run(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.meanwhile = lambda: nights.edit_account("ok0", state="66048")
    nights.run()
    nights.school.session("ok0")

    result = nights.run()

    assert [row.key for row in result.applied] == ["ok0"]
    assert nights.account("ok0").state == "66050"
    assert nights.is_closed("ok0")
    assert result.exit_code == 0


def test_an_account_that_went_away_is_called_off(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    gone = nights.account("ok0")
    nights.ad.trouble.meanwhile = lambda: nights.school.accounts.remove(gone)

    result = nights.run()

    assert result.exit_code == 0
    legs = {leg.planned.kind: leg.state for leg in nights.journal.revocations("ok0")[0].legs}
    assert legs[LegKind.DIRECTORY] is LegState.CALLED_OFF


def test_some_failures_in_a_row_are_an_outage_and_the_target_is_left_alone(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 6, batch_size=1, outage_after=2)
    nights.ad.trouble.ends_after = 1

    result = nights.run()

    assert result.exit_code == 4
    assert len(nights.ad.trouble.writes) == 3
    states = {key: leg for (key, target), leg in nights.open_legs().items() if target == "ad"}
    assert sorted(states) == [f"ok{n}" for n in range(1, 6)]
    assert "left alone after 2 failures" in states["ok5"].detail
    assert states["ok5"].attempts == 0
    assert not any(nights.member(f"ok{n}").username for n in range(6))  # type: ignore[union-attr] # there are members


def test_a_failure_between_successes_is_no_outage(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 5, batch_size=1, outage_after=2)
    nights.ad.trouble.lost_before = {nights.account("ok1").guid, nights.account("ok3").guid}

    nights.run()

    assert len(nights.ad.trouble.writes) == 5


def test_an_outage_stays_one_whatever_a_late_answer_in_the_same_batch_says(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 5, batch_size=3, outage_after=2)
    nights.ad.trouble.lost_before = {nights.account("ok0").guid, nights.account("ok1").guid}

    nights.run()

    assert len(nights.ad.trouble.writes) == 1


def test_a_batch_that_breaks_in_the_middle_leaves_only_its_rest_open(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 4)
    nights.engage.trouble.ends_after = 2

    result = nights.run()
    nights.engage.trouble.ends_after, nights.engage.trouble.down = None, False
    again = nights.run()

    assert [leg.key for leg in result.open_legs if leg.planned.kind is LegKind.CREDENTIAL] == ["ok2", "ok3"]
    assert again.exit_code == 0
    assert all(nights.is_closed(f"ok{n}") for n in range(4))


@pytest.mark.parametrize(
    ("error", "state"),
    [(TargetUnreachable("gone"), LegState.UNREACHABLE), (ConnectorError("no"), LegState.REFUSED)],
)
def test_an_adapters_error_is_the_outcome_of_its_whole_batch(
    tmp_path: Path, error: ConnectorError, state: LegState
) -> None:
    nights = leaving(tmp_path, 2)
    nights.engage.trouble.raises = error

    result = nights.run()

    assert {leg.state for leg in result.open_legs if leg.planned.kind is LegKind.CREDENTIAL} == {state}
    assert not nights.account("ok0").enabled


def test_an_error_nobody_expected_ends_the_runs_record_and_leaves_the_legs_open(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.engage.trouble.raises = KeyError("a fault of ours")

    with pytest.raises(KeyError):
        nights.run()

    past = nights.journal.runs(1)[0]
    assert (past.result, past.exit_code) == ("failed: KeyError", 1)
    assert set(nights.open_states()) == {("ok0", "engage"), ("ok0", "web")}
    assert nights.run().exit_code == 0


def test_a_target_that_left_the_config_keeps_its_leg_open_and_says_what_to_do(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.engage.trouble.raises = Killed()
    with pytest.raises(Killed):
        nights.run()
    del nights.portals["engage"]
    del nights.stores["web"]
    applier = nights.applier()

    left = applier.drive(nights.journal.open_legs())

    assert {leg.state for leg in left} == {LegState.REFUSED}
    assert "abandon" in left[0].detail


def test_one_broken_intent_does_not_stop_the_others_of_its_batch(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 2)
    nights.ad.trouble.raises = Killed()
    with pytest.raises(Killed):
        nights.run()
    legs = nights.journal.open_legs()
    broken = replace(legs[0], planned=replace(legs[0].planned, before=None))
    applier = nights.applier()

    applier.drive((broken, *legs[1:]))

    assert nights.open_states()["ok0", "ad"] is LegState.REFUSED
    assert not nights.account("ok1").enabled


def test_what_closes_and_what_opens_at_one_target_are_never_sent_together(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 2)
    nights.school.leave("ok1", TODAY)  # ok1 still has access today
    nights.run()
    before = {leg.planned.kind: leg for leg in nights.journal.revocations("ok0")[0].legs}
    row = nights.journal.revocations("ok0")[0].row
    opening = [replace(before[LegKind.DIRECTORY].planned, before=before[LegKind.DIRECTORY].before)]
    nights.school.leave("ok1")
    closing = next(r for r in nights.running().look(TODAY).plan.revocations if r.key == "ok1")
    applier = nights.applier()
    run = applier.run
    open_again = nights.journal.intend(run, "", [replace(row, legs=tuple(opening))], "alice", direction=Direction.OPEN)
    close = nights.journal.intend(run, "", [closing], "alice")

    left = applier.drive((*open_again, *close))

    assert left == ()
    assert nights.account("ok0").enabled
    assert not nights.account("ok1").enabled


# --- leases -----------------------------------------------------------------------------------------------------------


def overtaken(nights: Nights) -> Callable[[], None]:
    def take() -> None:
        execute(nights.journal, "UPDATE leases SET expires_at = '2000-01-01 00:00:00.000000'")
        nights.open_journal().begin_run("run", "bob@other", TODAY, {})

    return take


def test_a_run_whose_lease_was_taken_over_writes_nothing_more(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 2, batch_size=1)
    nights.ad.trouble.meanwhile = overtaken(nights)

    with pytest.raises(RunInProgress, match="taken over"):
        nights.run()

    assert len(nights.ad.trouble.writes) == 1
    assert nights.engage.trouble.writes == []
    assert {leg.state for leg in nights.journal.open_legs()} == {LegState.INTENDED}


def test_two_runs_at_once_the_second_is_refused_and_does_nothing(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    first = nights.applier()

    with pytest.raises(RunInProgress, match="is going since"):
        nights.run()

    assert nights.is_open("ok0")
    nights.journal.end_run(first.run, "applied", 0)


# --- a portal that people close by hand -------------------------------------------------------------------------------


def test_a_leg_on_a_worklist_stays_open_until_the_portal_shows_it_and_is_not_planned_twice(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.portal(WorklistPortal("engage", nights.school.members))

    asked = nights.run()
    waiting = nights.run()
    nights.edit_member("ok0", username="", has_password=False, status=MemberStatus.DISABLED)
    done = nights.run()

    assert (asked.exit_code, waiting.exit_code, done.exit_code) == (4, 4, 0)
    assert waiting.applied == ()
    assert waiting.judgement.plan.pending == 0
    assert [leg.attempts for leg in waiting.open_legs if leg.planned.target == "engage"] == [2]
    assert nights.is_closed("ok0")


def test_the_worklist_is_told_contact_code_contact_types_and_name(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    seen: list[CloseMember] = []

    class Watched(WorklistPortal):
        def close(self, batch: Sequence[CloseMember]) -> tuple[Outcome, ...]:
            seen.extend(batch)
            return super().close(batch)

    nights.portal(Watched("engage", nights.school.members))

    nights.run()

    assert (seen[0].contact_code, seen[0].contact_type, seen[0].before.name) == (
        "Cok0", "Mother", "Givenok0 Familyok0",
    )  # fmt: skip
    assert seen[0].before.code == ""


# --- membership -------------------------------------------------------------------------------------------------------


def staff(folder: Path, *people: str) -> Nights:
    """Give a school in which these people have become staff since the last accepted night."""
    nights = settled(folder, school().families(1).portal(FACULTY))
    for one in people:
        nights.school.person(one).role(one)
        nights.school.account(one)
    return nights


def test_an_addition_is_in_the_journal_before_it_is_made(tmp_path: Path) -> None:
    nights = staff(tmp_path, "t1")
    nights.portals["faculty"].trouble.raises = Killed()

    with pytest.raises(Killed):
        nights.run()

    (change,) = nights.open_journal().open_changes()
    assert (change.change.kind, change.change.person_id) == (ChangeKind.ADD, "t1")
    assert nights.member("t1", "faculty") is None


def test_an_addition_that_failed_is_made_by_the_next_run_and_not_planned_twice(tmp_path: Path) -> None:
    nights = staff(tmp_path, "t1")
    nights.portals["faculty"].trouble.lost_before = {"t1"}
    first = nights.run()
    second = nights.run()
    nights.portals["faculty"].trouble = Trouble()

    third = nights.resume()

    assert (first.exit_code, second.exit_code, third.exit_code) == (4, 4, 0)
    assert second.added == ()
    assert nights.member("t1", "faculty") is not None
    assert nights.journal.open_changes() == ()


def test_an_addition_whose_answer_was_lost_is_not_made_twice(tmp_path: Path) -> None:
    nights = staff(tmp_path, "t1")
    nights.portals["faculty"].trouble.lost_after = {"t1"}
    nights.run()
    nights.portals["faculty"].trouble = Trouble()

    result = nights.run()

    assert result.exit_code == 0
    assert [m.person_id for m in nights.school.members].count("t1") == 1


def test_additions_leave_a_target_alone_that_was_found_out(tmp_path: Path) -> None:
    nights = staff(tmp_path, "t1", "t2", "t3", "t4")
    nights.pace = replace(nights.pace, batch_size=1, outage_after=2)
    nights.portals["faculty"].trouble.ends_after = 0

    nights.run()

    assert len(nights.portals["faculty"].trouble.writes) == 2
    assert len(nights.journal.open_changes()) == 4


def test_members_are_disabled_enabled_and_removed_through_the_journal(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 0)
    member = nights.member("ok0")
    assert member is not None
    disabled = replace(member, status=MemberStatus.DISABLED)
    applier = nights.applier()

    applier.change([MembershipChange(ChangeKind.DISABLE, "engage", "ok0", member, disabled)])
    was_disabled = nights.member("ok0")
    applier.change([MembershipChange(ChangeKind.ENABLE, "engage", "ok0", disabled, member)])
    was_enabled = nights.member("ok0")
    left = applier.change([MembershipChange(ChangeKind.REMOVE, "engage", "ok0", member)])

    assert (was_disabled, was_enabled, nights.member("ok0")) == (disabled, member, None)
    assert left == ()
    assert nights.journal.open_changes() == ()
