"""People closed on claims alone, ahead of any run: whom somebody holds waits, what is open is decided again first."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from connector.errors import RunInProgress
from connector.model import LegKind, LegState
from connector.reconcile.boundaries import Boundary, Reached, unwatched
from connector.reconcile.closing import Closer
from connector.reconcile.journal_values import Direction, StoredLeg
from tests.reconcile.build import TODAY
from tests.reconcile.journal_builders import execute, scalar
from tests.reconcile.nights import Nights
from tests.reconcile.test_apply import leaving
from tests.reconcile.test_resume import returned, stuck


class Killed(BaseException):
    """The process ends here, as far as the code under test can tell."""


def closer(nights: Nights, reached: Reached = unwatched) -> Closer:
    """Give what a client's requests are closed by."""
    sleep = nights.slept.append
    return Closer(nights.journal, nights.targets, nights.pace, "driver", "scim:entra", reached=reached, sleep=sleep)


def closed(nights: Nights, *people: str, reached: Reached = unwatched) -> frozenset[str]:
    """Close these people by what is planned for them; give whom somebody else holds."""
    judgement = nights.running().look(TODAY)
    rows = [row for row in judgement.plan.revocations if row.key in people]
    return closer(nights, reached).close(rows, people, judgement.decisions)


def legs(nights: Nights, person: str, target: str) -> list[StoredLeg]:
    """Give the legs of a person at one target, oldest first."""
    stored = reversed(nights.journal.revocations(person))
    return [leg for revocation in stored for leg in revocation.legs if leg.planned.target == target]


def living_claims(nights: Nights) -> int:
    # What ended within this very millisecond has ended: the journal writes microseconds, the clock milliseconds.
    now = "strftime('%Y-%m-%d %H:%M:%f') || '999'"
    return int(scalar(nights.journal, f"SELECT count(*) FROM claims WHERE expires_at > {now}"))  # noqa: S608 - ours


def test_a_person_is_closed_in_order_under_the_clients_name_and_without_a_run(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    runs = len(nights.journal.runs())

    busy = closed(nights, "ok0")

    (stored,) = nights.journal.revocations("ok0")
    assert busy == frozenset()
    assert nights.is_closed("ok0")
    assert (stored.operator, stored.run_id, stored.state) == ("scim:entra", None, "done")
    assert len(nights.journal.runs()) == runs


def test_the_intent_is_durable_before_the_first_effect(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    seen: list[int] = []

    def look(boundary: Boundary) -> None:
        if boundary is Boundary.INTENT_DURABLE:
            seen.append(len(nights.open_journal().open_legs()))
            assert nights.is_open("ok0")

    closed(nights, "ok0", reached=look)

    assert seen == [3]


# --- whom somebody else holds -----------------------------------------------------------------------------------------


def test_whom_a_batch_holds_is_left_as_they_were_and_named_and_the_others_are_closed(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 2)
    nights.journal.claim_many(["ok0"], "a running batch", 60)

    busy = closed(nights, "ok0", "ok1")

    assert busy == {"ok0"}
    assert (nights.is_open("ok0"), nights.is_closed("ok1")) == (True, True)
    assert nights.journal.revocations("ok0") == ()


def test_whom_a_batch_holds_is_kept_from_the_next_batch_and_closed_by_the_next_try(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    held = nights.journal.claim_many(["ok0"], "a running batch", 60)
    closed(nights, "ok0")
    nights.journal.release_claims(held)

    _, by_a_run = nights.journal.claim_for(nights.applier().run, ["ok0"], 60)
    busy = closed(nights, "ok0")

    assert by_a_run == ()
    assert busy == frozenset()
    assert nights.is_closed("ok0")


def test_with_everybody_held_nothing_is_intended(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.journal.claim_many(["ok0"], "a running batch", 60)

    busy = closed(nights, "ok0")

    assert busy == {"ok0"}
    assert nights.journal.open_legs() == ()


# --- what is open from earlier ----------------------------------------------------------------------------------------


def test_what_is_open_from_earlier_is_driven_with_it(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "ad")

    busy = closed(nights, "ok0")

    assert busy == frozenset()
    assert nights.is_closed("ok0")
    assert nights.journal.open_legs() == ()


def test_what_is_open_of_somebody_entitled_again_is_called_off(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "ad", "engage", "web")
    returned(nights)

    closed(nights, "ok0")

    assert nights.is_open("ok0")
    assert {leg.state for leg in nights.journal.revocations("ok0")[0].legs} == {LegState.CALLED_OFF}


def test_a_sweep_from_earlier_under_a_name_that_is_an_entitled_persons_now_is_called_off(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "web")
    nights.edit_member("ok1", username="uok0")
    nights.school.session("ok0")

    closed(nights, "ok0")

    (leg,) = legs(nights, "ok0", "web")
    assert (leg.state, leg.detail) == (LegState.CALLED_OFF, "the user name is an entitled person's now")
    assert nights.sessions("ok0") > 0


def test_a_leg_that_could_not_be_read_is_asked_for_anew_where_its_target_answers_again(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.engage.trouble.down = True
    closed(nights, "ok0")
    unread = legs(nights, "ok0", "engage")
    nights.engage.trouble.down = False

    closed(nights, "ok0")

    assert [leg.planned.unread for leg in unread] == [True]
    assert [leg.state for leg in legs(nights, "ok0", "engage")] == [LegState.CALLED_OFF, LegState.CLOSED]
    assert nights.is_closed("ok0")


def test_an_account_that_could_not_be_read_is_closed_where_its_directory_answers_again(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.down = True
    closed(nights, "ok0")
    nights.ad.trouble.down = False

    closed(nights, "ok0")

    assert nights.is_closed("ok0")
    assert nights.journal.open_legs() == ()


def test_a_leg_that_could_not_be_read_is_over_where_nothing_is_left_to_close(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.down = True
    closed(nights, "ok0")
    nights.ad.trouble.down = False
    nights.school.accounts.remove(nights.account("ok0"))

    closed(nights, "ok0")

    assert nights.journal.open_legs() == ()


def test_a_leg_whose_target_still_cannot_be_read_stays_open_as_the_only_one(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.engage.trouble.down = True
    closed(nights, "ok0")

    closed(nights, "ok0")

    (left,) = nights.journal.open_legs("engage")
    assert left.planned.unread


def test_a_restore_on_its_way_is_called_off_where_the_person_is_blocked(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.run()
    done = nights.journal.revocations("ok0")[0]
    back = replace(done.row, legs=tuple(leg.planned for leg in done.legs if leg.planned.kind is LegKind.DIRECTORY))
    acting = nights.applier()
    nights.journal.intend(acting.run, "", [back], "alice@host", direction=Direction.OPEN)
    nights.journal.end_run(acting.run, "restored", 4)
    nights.journal.block("ok0", "scim:entra", "taken away", None)

    closed(nights, "ok0")

    opening = nights.journal.revocations("ok0")[0]
    assert (opening.direction, opening.legs[0].state) == (Direction.OPEN, LegState.CALLED_OFF)
    assert nights.is_closed("ok0")


# --- claims -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("people", [("ok0",), ("ok0", "ok1")])
def test_its_claims_stand_while_it_sends_and_are_given_back(tmp_path: Path, people: Collection[str]) -> None:
    nights = leaving(tmp_path, 2)
    held: list[int] = []

    def look(boundary: Boundary) -> None:
        if boundary is Boundary.DIRECTORY_SENT:
            held.append(living_claims(nights))

    closed(nights, *people, reached=look)

    assert held == [len(people)]
    assert living_claims(nights) == 0


@pytest.mark.parametrize("boundary", [Boundary.CLAIMED, Boundary.BEFORE_INTENT, Boundary.DIRECTORY_SENT])
def test_an_error_gives_its_claims_back_and_leaves_the_rest_to_the_next_run(tmp_path: Path, boundary: Boundary) -> None:
    nights = leaving(tmp_path)

    def dies(reached: Boundary) -> None:
        if reached is boundary:
            raise Killed(boundary)

    with pytest.raises(Killed):
        closed(nights, "ok0", reached=dies)
    left = living_claims(nights)

    assert left == 0
    assert nights.run().exit_code == 0
    assert nights.is_closed("ok0")


def test_whoever_lost_the_claim_writes_nothing_more(tmp_path: Path) -> None:
    nights = leaving(tmp_path)

    def taken_over(reached: Boundary) -> None:
        if reached is Boundary.BEFORE_DIRECTORY:
            execute(nights.journal, "UPDATE claims SET owner = 'another', epoch = epoch + 1")

    with pytest.raises(RunInProgress, match="has ended or was taken over"):
        closed(nights, "ok0", reached=taken_over)

    assert nights.is_open("ok0")
    assert {leg.attempts for leg in nights.journal.open_legs()} == {0}


def test_what_could_not_be_read_when_it_was_planned_is_closed_by_the_next_try_and_nothing_of_it_stays_open(
    tmp_path: Path,
) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.down = True
    closed(nights, "ok0")
    nights.ad.trouble.down = False

    closed(nights, "ok0")

    assert nights.is_closed("ok0")
    assert nights.journal.open_legs() == ()
    assert [leg.state for leg in legs(nights, "ok0", "ad")] == [LegState.CALLED_OFF, LegState.CLOSED]
