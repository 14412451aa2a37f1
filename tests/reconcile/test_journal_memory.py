"""What the pure core is told of the past."""

from datetime import timedelta

import pytest

from connector.errors import JournalError
from connector.model import LegState, MemberStatus, Outcome, Reason
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import ChangeKind, Direction, MembershipChange
from connector.reconcile.memory import Closed, Memory
from tests.reconcile.journal_builders import TODAY, begin, closed, intend, member, plan, revocation


def test_a_new_journal_remembers_nothing(journal: Journal) -> None:
    assert journal.memory(TODAY) == Memory()


@pytest.mark.parametrize("state", [LegState.CLOSED, LegState.ALREADY_CLOSED])
def test_what_we_closed_last_is_ours(journal: Journal, state: LegState) -> None:
    run = begin(journal)
    journal.record([(leg, Outcome(state)) for leg in intend(journal, run)], run)

    memory = journal.memory(TODAY)

    assert memory.closed_accounts == {("ad", "g1")}
    assert memory.closed_members == {("engage", "p1")}


@pytest.mark.parametrize("state", [LegState.INTENDED, LegState.CONFLICT, LegState.UNREACHABLE, LegState.CALLED_OFF])
def test_what_we_did_not_prove_closed_is_not_ours(journal: Journal, state: LegState) -> None:
    run = begin(journal)
    journal.record([(leg, Outcome(state)) for leg in intend(journal, run)], run)

    assert journal.memory(TODAY).closed_accounts == frozenset()


def test_what_we_restored_is_no_longer_closed_by_us(journal: Journal) -> None:
    run = begin(journal)
    journal.record([closed(leg) for leg in intend(journal, run)], run)
    journal.record([closed(leg) for leg in intend(journal, run, direction=Direction.OPEN)], run)

    memory = journal.memory(TODAY)

    assert (memory.closed_accounts, memory.closed_members) == (frozenset(), frozenset())


def test_a_member_we_disabled_is_ours_until_we_enable_it(journal: Journal) -> None:
    run = begin(journal)
    for kind, expected in ((ChangeKind.DISABLE, {("engage", "p1")}), (ChangeKind.ENABLE, set())):
        change = MembershipChange(kind, "engage", "p1", member())
        (made,) = journal.intend_changes(run, [change], "alice")
        journal.record_changes([(made, Outcome(LegState.CLOSED))], run)

        assert journal.memory(TODAY).closed_members == expected


def test_usernames_about_to_be_cleared_are_remembered(journal: Journal) -> None:
    intend(journal, begin(journal))

    assert journal.memory(TODAY).users == {("engage", "u1"): "p1"}


def test_usernames_are_remembered_once_and_follow_their_last_person(journal: Journal) -> None:
    assert journal.remember_users({("engage", "u1"): "p1", ("engage", "u2"): "p2", ("engage", ""): "p3"}) == 2
    assert journal.remember_users({("engage", "u1"): "p1", ("engage", "u2"): "p4"}) == 1

    assert journal.memory(TODAY).users == {("engage", "u1"): "p1", ("engage", "u2"): "p4"}


def test_what_a_person_approved_is_remembered_as_approved(journal: Journal) -> None:
    run, made = begin(journal), plan(revocation(1))
    journal.keep_plan(made, run)
    journal.approve(made.digest, made.plan_id, ("max-revocations",), "alice", "looked at")
    legs = journal.intend(run, made.plan_id, made.revocations, "alice")
    others = intend(journal, run, revocation(2))
    journal.record([closed(legs[0]), closed(others[0])], run)

    assert {c.key: c.approved for c in journal.memory(TODAY).recent} == {"p1": True, "p2": False}


def test_a_closing_counts_for_seven_days_under_its_contact_types_and_portals(journal: Journal) -> None:
    run = begin(journal)
    legs = intend(journal, run, revocation(1), revocation(2))
    journal.record([closed(legs[0]), (legs[3], Outcome(LegState.ALREADY_CLOSED))], run)
    at = journal.revocations("p1")[0].closed_at
    assert at is not None

    assert journal.memory(TODAY).recent == (Closed("p1", at, ("Mother",), ("engage",), (Reason.NO_STUDENT_AT_SCHOOL,)),)
    assert journal.memory(TODAY, at + timedelta(days=8)).recent == ()


def _observe(journal: Journal, *nights: str) -> None:
    """Observe p1 night by night: `r` ready, `e` entitled, `-` neither (closed, or gone)."""
    for offset, night in enumerate(nights):
        run = begin(journal)
        ready = {"p1": "digest"} if night == "r" else {}
        journal.observe(run, TODAY + timedelta(days=offset), ready, {"p1"} if night == "e" else set())
        journal.end_run(run, "done", 0)


def test_consecutive_ready_runs_are_counted_from_their_first_day(journal: Journal) -> None:
    _observe(journal, "r", "e", "r", "r")

    memory = journal.memory(TODAY)

    assert (memory.ready_runs, memory.ready_since) == ({"p1": 2}, {"p1": TODAY + timedelta(days=2)})


def test_a_run_counts_once(journal: Journal) -> None:
    run = begin(journal)
    journal.observe(run, TODAY, {"p1": "digest"}, ())
    journal.observe(run, TODAY, {"p1": "digest"}, ())

    assert journal.memory(TODAY).ready_runs == {"p1": 1}


@pytest.mark.parametrize(
    ("nights", "flips"),
    [
        ("r", {}),
        ("rr", {}),
        ("e", {}),
        ("re", {"p1": 1}),
        ("r-e", {"p1": 1}),
        ("r-er-e", {"p1": 2}),
        ("reee", {"p1": 1}),
    ],
)
def test_a_flip_is_being_entitled_again_after_being_ready_or_revoked(
    journal: Journal, nights: str, flips: dict[str, int]
) -> None:
    _observe(journal, *nights)

    assert journal.memory(TODAY).flips == flips


def test_flips_count_within_the_last_runs_only(journal: Journal) -> None:
    _observe(journal, *"reeee")

    assert journal.memory(TODAY, flip_runs=4).flips == {"p1": 1}
    assert journal.memory(TODAY, flip_runs=3).flips == {}


def test_a_rollover_is_complete_for_the_window_it_was_declared_in(journal: Journal) -> None:
    assert not journal.memory(TODAY).rollover_complete

    journal.set_setting("rollover_complete", TODAY.isoformat(), "alice")

    assert journal.memory(TODAY).rollover_complete
    assert journal.memory(TODAY, rollover_from=TODAY).rollover_complete
    assert not journal.memory(TODAY, rollover_from=TODAY + timedelta(days=1)).rollover_complete


def test_a_rollover_setting_that_is_no_date_is_refused_not_guessed(journal: Journal) -> None:
    journal.set_setting("rollover_complete", "yes", "alice")

    with pytest.raises(JournalError, match="not a date"):
        journal.memory(TODAY, rollover_from=TODAY)


def test_an_open_membership_change_is_listed_recorded_and_then_final(journal: Journal) -> None:
    run = begin(journal)
    change = MembershipChange(ChangeKind.ADD, "engage", "p1", None, member(status=MemberStatus.DISABLED))
    (made,) = journal.intend_changes(run, [change], "alice")
    journal.attempt_changes([made], run)
    journal.record_changes([(made, Outcome(LegState.UNREACHABLE, "no answer"))], run)

    (still_open,) = journal.open_changes()
    assert (still_open.change, still_open.state, still_open.attempts) == (change, LegState.UNREACHABLE, 1)

    assert journal.record_changes([(made, Outcome(LegState.CLOSED, after=member()))], run) == ()
    assert journal.open_changes() == ()
    assert journal.record_changes([(made, Outcome(LegState.REFUSED))], run) == (made,)
    assert [event.text for event in journal.history("p1")][-1] == "Add p1 in engage: closed."


def test_a_newer_change_of_a_membership_replaces_the_open_one(journal: Journal) -> None:
    run = begin(journal)
    changes = [MembershipChange(kind, "engage", "p1", member()) for kind in (ChangeKind.DISABLE, ChangeKind.REMOVE)]
    for change in changes:
        journal.intend_changes(run, [change], "alice")

    assert [one.change.kind for one in journal.open_changes()] == [ChangeKind.REMOVE]
