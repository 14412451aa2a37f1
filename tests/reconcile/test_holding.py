"""One applier per identity: what another holds is left alone, and whoever lost what it stood on does nothing more."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connector.errors import RunInProgress
from connector.model import LegState
from connector.reconcile.apply import Applier
from connector.reconcile.boundaries import Boundary
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import ChangeKind, Direction, MembershipChange, OpenLeg
from connector.reconcile.memory import Block
from connector.reconcile.plan_values import Revocation
from tests.reconcile.build import ASSOCIATION, TODAY, school
from tests.reconcile.conftest import OpenJournal
from tests.reconcile.journal_builders import execute, scalar
from tests.reconcile.nights import Nights, settled
from tests.reconcile.test_apply import leaving

LEASES_END = ("leases", "claims")


class Meanwhile:
    """A hook that lets something else happen the first time one boundary is passed."""

    def __init__(self, at: Boundary, happening: Callable[[], object]) -> None:
        self.at, self.happening = at, happening
        self.done = False

    def __call__(self, boundary: Boundary) -> None:
        if boundary is self.at and not self.done:
            self.done = True
            self.happening()


def rows(nights: Nights) -> tuple[Revocation, ...]:
    return nights.running().look(TODAY).plan.revocations


def let_leases_end(journal: Journal) -> None:
    """Let time pass in the database: every lease and claim has ended."""
    for table in LEASES_END:
        execute(journal, f"UPDATE {table} SET expires_at = :then", then="2020-01-01 00:00:00.000000")  # noqa: S608 - two names of ours


def applier(nights: Nights, journal: Journal, operator: str = "alice@host", **other: object) -> Applier:
    run = journal.begin_run("run", operator, TODAY, {})
    return Applier(journal, nights.targets, run, nights.pace, sleep=nights.slept.append, **other)  # type: ignore[arg-type] # a builder passes on what it is given


# --- somebody else holds the person -----------------------------------------------------------------------------------


def test_people_somebody_else_holds_are_left_alone_and_the_others_are_closed(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 3)
    claims = nights.open_journal().claim_many(["ok1"], "another", 60)

    result = nights.run()

    assert (result.busy, result.exit_code) == (("ok1",), 4)
    assert [nights.is_closed(f"ok{n}") for n in range(3)] == [True, False, True]
    assert nights.is_open("ok1")
    assert nights.journal.revocations("ok1") == ()
    nights.journal.release_claims(claims)


def test_who_was_left_alone_is_taken_up_by_the_next_run(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 2)
    claims = nights.journal.claim_many(["ok1"], "another", 60)
    nights.run()
    nights.journal.release_claims(claims)

    result = nights.run()

    assert (result.busy, result.exit_code) == ((), 0)
    assert nights.is_closed("ok1")


@pytest.mark.parametrize("at", [Boundary.BEFORE_DIRECTORY, Boundary.BEFORE_CREDENTIAL, Boundary.BEFORE_SWEEP])
def test_legs_of_a_person_who_is_taken_in_the_middle_stay_open(tmp_path: Path, at: Boundary) -> None:
    nights = leaving(tmp_path, 2)
    other = nights.open_journal()
    running = nights.running()
    running.reached = Meanwhile(at, lambda: other.claim_many(["ok1"], "another", 60))

    result = running.run(TODAY)

    assert (result.busy, result.exit_code) == (("ok1",), 4)
    assert nights.is_closed("ok0")
    assert not nights.is_closed("ok1")
    assert {leg.key for leg in result.open_legs} == {"ok1"}


def test_a_leg_that_another_ended_meanwhile_is_not_sent_again(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 2)
    running = nights.running()

    def abandoned() -> None:
        nights.open_journal().abandon("ok1", "bob@host", "not this one")

    running.reached = Meanwhile(Boundary.BEFORE_DIRECTORY, abandoned)

    result = running.run(TODAY)

    assert result.exit_code == 0
    assert nights.is_closed("ok0")
    assert nights.is_open("ok1")


def test_claims_are_given_back_after_every_batch_and_after_an_error(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 2)
    nights.ad.trouble.raises = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        nights.run()

    taken = nights.journal.claim_many(["ok0", "ok1"], "another", 60)

    assert len(taken) == 2


# --- blocked since ----------------------------------------------------------------------------------------------------


def test_an_addition_is_not_finished_against_a_block_that_came_meanwhile(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).portal(ASSOCIATION))
    nights.school.role("ok0", "Parent").role("ok1", "Parent")
    other, running = nights.open_journal(), nights.running()
    running.reached = Meanwhile(Boundary.BEFORE_ADDITION, lambda: other.block("ok0", "bob@host", "custody order", None))

    running.run(TODAY)

    assert nights.member("ok0", "association") is None
    assert nights.member("ok1", "association") is not None
    assert not nights.journal.open_changes()


def test_a_restore_is_not_finished_against_a_block_that_came_meanwhile(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.run()
    closed = nights.journal.revocations("ok0")[0]
    back = replace(closed.row, legs=tuple(leg.planned for leg in closed.legs[:2]))
    acting = nights.applier()
    legs = nights.journal.intend(acting.run, "", [back], "alice@host", direction=Direction.OPEN)
    nights.open_journal().block("ok0", "bob@host", "custody order", None)

    left = acting.drive(legs)

    assert left == ()
    assert nights.is_closed("ok0")
    assert {leg.state for leg in nights.journal.revocations("ok0")[0].legs} == {LegState.CALLED_OFF}


# --- whoever lost its lease -------------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path: Path, open_journal: OpenJournal) -> tuple[Nights, Journal]:
    """Give a school with a leaver, on either journal, and the view of a second process on that journal."""
    nights = leaving(tmp_path)
    nights.journal = open_journal()
    return nights, open_journal()


PAUSES = (
    Boundary.CLAIMED,
    Boundary.INTENT_DURABLE,
    Boundary.BEFORE_DIRECTORY,
    Boundary.DIRECTORY_COUNTED,
    Boundary.DIRECTORY_SENT,
    Boundary.CREDENTIAL_COUNTED,
    Boundary.CREDENTIAL_SENT,
    Boundary.SWEEP_COUNTED,
    Boundary.SWEPT,
    Boundary.BETWEEN_SWEEPS,
    Boundary.SWEEPS_CLEAN,
)


@pytest.mark.parametrize("pause", PAUSES)
def test_a_paused_applier_that_was_overtaken_writes_nothing_more(two: tuple[Nights, Journal], pause: Boundary) -> None:
    nights, second = two
    row = rows(nights)[0]
    after: list[object] = []

    def overtaken() -> None:
        let_leases_end(second)
        taker = applier(nights, second, "bob@host")
        open_legs = second.open_legs()
        taker.drive(open_legs) if open_legs else taker.revoke((row,), "")
        second.end_run(taker.run, "resumed", 0)
        after.extend([second.revocations(), nights.everything(), len(nights.ad.trouble.asked)])

    acting = applier(nights, nights.journal, reached=Meanwhile(pause, overtaken))
    with pytest.raises(RunInProgress, match="was taken over"):
        acting.revoke((row,), "")

    assert nights.is_closed("ok0")
    assert [second.revocations(), nights.everything(), len(nights.ad.trouble.asked)] == after
    assert not second.open_legs()


def test_whoever_wakes_after_its_lease_has_ended_sends_nothing(two: tuple[Nights, Journal]) -> None:
    nights, second = two
    row = rows(nights)[0]
    reached = Meanwhile(Boundary.DIRECTORY_COUNTED, lambda: let_leases_end(second))

    with pytest.raises(RunInProgress, match="lost its lease"):
        applier(nights, nights.journal, reached=reached).revoke((row,), "")

    assert nights.is_open("ok0")
    assert nights.ad.trouble.writes == []


def test_an_applier_without_a_run_stands_on_its_claims_and_falls_with_them(two: tuple[Nights, Journal]) -> None:
    nights, second = two
    row = rows(nights)[0]
    claims = nights.journal.claim_many(["ok0"], "urgent", 60)
    legs = nights.journal.intend(None, "", (row,), "alice@host", claims=claims)
    reached = Meanwhile(Boundary.DIRECTORY_COUNTED, lambda: let_leases_end(second))
    acting = Applier(nights.journal, nights.targets, None, nights.pace, reached=reached, claims=claims)

    with pytest.raises(RunInProgress):
        acting.drive(legs)

    assert nights.is_open("ok0")
    assert len(second.open_legs()) == len(legs)


def test_a_claim_taken_over_cannot_be_written_under(two: tuple[Nights, Journal]) -> None:
    nights, second = two
    claims = nights.journal.claim_many(["ok0"], "first", 60)
    legs: tuple[OpenLeg, ...] = nights.journal.intend(None, "", rows(nights), "alice@host", claims=claims)
    let_leases_end(second)
    (taken,) = second.claim_many(["ok0"], "second", 60)

    with pytest.raises(RunInProgress):
        nights.journal.attempt(legs, None, claims)

    assert taken.epoch == claims[0].epoch + 1
    assert len(second.attempt(legs, None, (taken,))) == len(legs)


def test_a_runs_claims_end_with_its_lease(two: tuple[Nights, Journal]) -> None:
    nights, second = two
    run, claims = nights.journal.claim_for(nights.applier().run, ["ok0", "ok1"], 30)

    assert {claim.expires_at for claim in claims} == {run.expires_at}
    assert second.claim_many(["ok0"], "another", 60) == ()


# --- who waits goes first ---------------------------------------------------------------------------------------------


def test_a_run_does_not_take_a_person_again_for_whom_somebody_urgent_waits(two: tuple[Nights, Journal]) -> None:
    nights, second = two
    run, claims = nights.journal.claim_for(nights.applier().run, ["ok0", "ok1"], 60)
    assert second.claim_urgently(["ok0"], "urgent", 60) == ()
    nights.journal.release_claims(claims)

    run, again = nights.journal.claim_for(run, ["ok0", "ok1"], 60)

    assert [claim.key for claim in again] == ["ok1"]
    assert [claim.key for claim in second.claim_urgently(["ok0"], "urgent", 60)] == ["ok0"]


def test_all_records_of_a_human_are_claimed_urgently_or_none(two: tuple[Nights, Journal]) -> None:
    nights, second = two
    nights.journal.claim_many(["ok1"], "another", 60)

    taken = second.claim_urgently(["ok0", "ok1"], "urgent", 60)

    assert taken == ()
    assert [claim.key for claim in nights.journal.claim_many(["ok0"], "another", 60)] == ["ok0"]


def test_membership_changes_of_a_person_somebody_else_holds_are_refused(two: tuple[Nights, Journal]) -> None:
    nights, second = two
    second.claim_many(["ok0"], "another", 60)
    change = MembershipChange(ChangeKind.DISABLE, "engage", "ok0", nights.member("ok0"))

    acting = nights.applier()
    left = acting.change([change])

    assert (left, acting.busy) == ((), ("ok0",))
    with pytest.raises(RunInProgress):
        nights.journal.intend_changes(acting.run, [change], "alice@host")


def test_a_block_is_written_with_the_intent_or_not_at_all(two: tuple[Nights, Journal]) -> None:
    nights, second = two
    second.claim_many(["ok0"], "another", 60)
    blocks = (Block("ok0", "alice@host", "custody order"),)
    claims = nights.journal.claim_many(["ok1"], "urgent", 60)

    with pytest.raises((RunInProgress, ValueError)):
        nights.journal.intend(None, "", rows(nights), "alice@host", blocks=blocks, claims=claims)

    assert scalar(second, "SELECT count(*) FROM blocks") == 0
