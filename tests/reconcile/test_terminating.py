"""Urgent termination: blocked and intended at once, every door and session closed, ahead of whatever is running."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import pytest

from connector.config import Authority
from connector.errors import RunInProgress, SourceError
from connector.interfaces import AdminSystem, Directory, Portal, SessionStore
from connector.model import (
    CloseAccount,
    CloseMember,
    EndSessions,
    LegKind,
    LegState,
    MembersReading,
    Outcome,
    SessionKey,
)
from connector.reconcile.apply import Applier, Pace
from connector.reconcile.authority import Asked, Record
from connector.reconcile.boundaries import Boundary, Reached, unwatched
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import Direction, StoredLeg
from connector.reconcile.memory import Block
from connector.reconcile.plan_values import Revocation
from connector.reconcile.reading import Targets
from connector.reconcile.terminating import Again, Ordering, Termination, terminate
from connector.urgent import Urgent
from tests.reconcile.build import FACULTY, TODAY, guid, school
from tests.reconcile.conftest import OpenJournal
from tests.reconcile.journal_builders import begin, execute, revocation, scalar
from tests.reconcile.nights import Nights, settled
from tests.reconcile.test_apply import leaving
from tests.waiting import wait_for


def asked(nights: Nights, *people: str) -> tuple[Revocation, ...]:
    """Give the rows that close these people although nothing else asks for it."""
    running = nights.running()
    judgement = running.look(TODAY)
    identities = judgement.decisions.correlation.by_key()
    rows = [running.asked_for(judgement, identities[person], "custody order") for person in people]
    return tuple(row for row in rows if row is not None)


def ordering(journal: Journal, *people: str) -> Ordering:
    """Give the order to terminate these people, as if they were one human."""
    records = tuple(Record(person, person, f"C{person}", person) for person in people)
    blocks = tuple(Block(person, "alice@host", "custody order") for person in people)
    return Ordering(Asked("alice@host", "custody order", "", journal.now(), records), timedelta(hours=4), blocks)


def ended(
    nights: Nights,
    *people: str,
    journal: Journal | None = None,
    rows: Sequence[Revocation] | None = None,
    reached: Reached = unwatched,
    pace: Pace | None = None,
    again: Again | None = None,
) -> Termination:
    """Terminate these people."""
    rows = asked(nights, *people) if rows is None else rows
    journal = journal or nights.journal
    order = ordering(journal, *people)
    sleep = nights.slept.append
    return terminate(
        journal, nights.targets, pace or nights.pace, order, rows, reached=reached, sleep=sleep, again=again
    )


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


# --- everything of one human ------------------------------------------------------------------------------------------


def test_a_person_is_blocked_and_every_door_and_session_is_closed(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2), settle_seconds=5)

    done = ended(nights, "ok0")

    assert nights.is_closed("ok0")
    assert nights.is_open("ok1")
    assert [(c.kind, c.state, c.ended) for c in done.closings] == [
        (LegKind.DIRECTORY, LegState.CLOSED, 0),
        (LegKind.CREDENTIAL, LegState.CLOSED, 0),
        (LegKind.SESSIONS, LegState.CLOSED, 1),
    ]
    assert (done.blocked, done.open, done.exit_code) == (("ok0",), (), 0)
    assert "ok0" in nights.journal.memory(TODAY).blocks
    assert nights.slept == [5]


def test_it_says_how_many_seconds_went_by_until_the_last_session_was_dead(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(1))

    done = ended(nights, "ok0")

    assert done.last_session_at is not None
    assert done.seconds is not None
    assert 0 <= done.seconds < 30
    assert done.commanded_at <= done.last_session_at <= done.finished_at
    assert all(c.closed_at and c.intended_at <= c.closed_at for c in done.closings)


def test_all_records_of_a_human_go_together(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(3))

    done = ended(nights, "ok0", "ok2")

    assert (nights.is_closed("ok0"), nights.is_open("ok1"), nights.is_closed("ok2")) == (True, True, True)
    assert len(done.closings) == 6
    assert scalar(nights.journal, "SELECT count(DISTINCT intended_at) FROM revocations") == 1


def test_the_block_is_durable_with_the_intent_before_the_first_effect(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(1))
    seen: list[tuple[bool, int]] = []

    def look(boundary: Boundary) -> None:
        if boundary is Boundary.INTENT_DURABLE:
            other = nights.open_journal()
            seen.append(("ok0" in other.memory(TODAY).blocks, len(other.open_legs())))
            assert nights.is_open("ok0")

    ended(nights, "ok0", reached=look)

    assert seen == [(True, 3)]


def test_somebody_of_whom_nothing_lives_is_blocked_all_the_same(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(1).contact("none", of="s-ok0"))

    done = ended(nights, "none", rows=())

    assert (done.closings, done.blocked, done.seconds) == ((), ("none",), 0.0)
    assert "none" in nights.journal.memory(TODAY).blocks


def test_what_cannot_be_closed_now_stays_open_is_named_and_is_driven_by_resume(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(1))
    nights.ad.trouble.lost_before = {nights.account("ok0").guid}

    done = ended(nights, "ok0")
    nights.ad.trouble.lost_before = set()
    resumed = nights.resume()

    assert (done.seconds, done.exit_code) == (None, 4)
    assert {(leg.planned.target, leg.state) for leg in done.open} == {
        ("ad", LegState.UNREACHABLE),
        ("web", LegState.INTENDED),
    }
    assert resumed.exit_code == 0
    assert nights.is_closed("ok0")


def test_a_restore_on_its_way_is_called_off(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.run()
    nights.school.session("ok0")
    closed = nights.journal.revocations("ok0")[0]
    acting = nights.applier()
    back = replace(closed.row, legs=(closed.legs[0].planned,))
    nights.journal.intend(acting.run, "", [back], "alice@host", direction=Direction.OPEN)
    nights.journal.end_run(acting.run, "restored", 4)

    done = ended(nights, "ok0")

    assert done.open == ()
    assert nights.is_closed("ok0")
    opening = next(r for r in nights.journal.revocations("ok0") if r.direction is Direction.OPEN)
    assert opening.legs[0].state is LegState.CALLED_OFF


def test_a_process_that_dies_in_it_leaves_block_and_legs_for_the_next_run(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2))

    def dies(boundary: Boundary) -> None:
        if boundary is Boundary.DIRECTORY_SENT:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ended(nights, "ok0", reached=dies)

    result = nights.run()

    assert result.exit_code == 0
    assert nights.is_closed("ok0")
    assert nights.is_open("ok1")


# --- ahead of what is running -----------------------------------------------------------------------------------------


def test_it_needs_no_run_lease(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(1))
    nights.open_journal().begin_run("run", "bob@host", TODAY, {})

    done = ended(nights, "ok0")

    assert done.exit_code == 0
    assert nights.is_closed("ok0")


def test_it_waits_for_the_batch_that_holds_the_person(tmp_path: Path, open_journal: OpenJournal) -> None:
    nights = settled(tmp_path, school().families(1))
    nights.journal = open_journal()
    run = nights.applier().run
    _, claims = nights.journal.claim_for(run, ["ok0"], 60)
    rows, other, done = asked(nights, "ok0"), open_journal(), []
    waiting = in_background(lambda: done.append(ended(nights, "ok0", journal=other, rows=rows)))
    wait_for(lambda: "ok0" in open_journal().memory(TODAY).blocks)
    untouched = nights.is_open("ok0")

    nights.journal.release_claims(claims)
    waiting.join(60)

    assert untouched
    assert [one.exit_code for one in done] == [0]
    assert nights.is_closed("ok0")


def test_a_batch_that_never_ends_leaves_the_block_and_says_so(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(1))
    nights.open_journal().claim_many(["ok0"], "another", 60)

    with pytest.raises(RunInProgress, match="The block stands"):
        ended(nights, "ok0", pace=replace(nights.pace, lease_seconds=0.2))

    assert "ok0" in nights.journal.memory(TODAY).blocks
    assert nights.is_open("ok0")


class SlowDoors:
    """A target of any kind that takes its time for every batch, and keeps what was asked of it."""

    user_key = SessionKey.USERNAME

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.asked: list[object] = []

    def close(self, batch: Sequence[CloseAccount | CloseMember | EndSessions]) -> tuple[Outcome, ...]:
        """Close what is not closed yet."""
        time.sleep(self.seconds)
        names = [item.user if isinstance(item, EndSessions) else item.before.username for item in batch]
        known = set(self.asked)
        self.asked += names
        return tuple(Outcome(LegState.ALREADY_CLOSED if name in known else LegState.CLOSED) for name in names)


@pytest.mark.parametrize("number", [750, 4999])
def test_a_running_batch_of_5000_is_gone_ahead_of(tmp_path: Path, number: int) -> None:
    """One of the two is in the batch that is being sent just then, the other in the last of ten."""
    doors = {name: SlowDoors(0.3) for name in ("ad", "engage", "web")}
    targets = Targets(
        cast("AdminSystem", None),
        {"engage": cast("Portal", doors["engage"])},
        {"ad": cast("Directory", doors["ad"])},
        {"web": cast("SessionStore", doors["web"])},
    )
    nights, person = Nights(tmp_path, school()), revocation(number)
    begun, pace = threading.Event(), Pace(settle_seconds=0)

    def watch(boundary: Boundary) -> None:
        if boundary is Boundary.DIRECTORY_COUNTED and doors["ad"].asked:
            begun.set()

    acting = Applier(nights.journal, targets, begin(nights.journal), pace, reached=watch)
    batch = in_background(lambda: acting.revoke([revocation(n) for n in range(5_000)], "7f3a"))
    assert begun.wait(120)
    urgently = nights.open_journal()
    done = terminate(urgently, targets, pace, ordering(urgently, person.key), [person])
    still_running, in_the_next_stage = batch.is_alive(), set(doors["engage"].asked)
    batch.join(120)

    assert (done.exit_code, still_running) == (0, True)
    assert in_the_next_stage == {f"u{number}"}
    assert not nights.journal.open_legs()
    assert doors["ad"].asked.count(f"u{number}") == (2 if number == 750 else 1)
    assert doors["engage"].asked.count(f"u{number}") == 1
    assert len(set(doors["web"].asked)) == 5_000
    assert nights.journal.verify_audit().ok


def test_whoever_decided_before_the_block_does_not_call_its_legs_off(tmp_path: Path) -> None:
    """Everything was read while the person was still entitled: what the termination left open is not theirs to end."""
    nights = settled(tmp_path, school().families(2))
    nights.ad.trouble.lost_before = {nights.account("ok0").guid}
    running, rows, done = nights.running(), asked(nights, "ok0"), list[Termination]()

    def urgently(boundary: Boundary) -> None:
        if boundary is Boundary.RUN_BEGUN:
            done.append(ended(nights, "ok0", journal=nights.open_journal(), rows=rows))

    running.reached = urgently

    result = running.resume(TODAY)

    assert [one.exit_code for one in done] == [4]
    assert result.called_off == ()
    assert {leg.planned.target for leg in result.open_legs} == {"ad", "web"}


# --- order, block and intent together ---------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here, as far as the code under test can tell."""


def killed_at(wanted: Boundary) -> Reached:
    def reached(boundary: Boundary) -> None:
        if boundary is wanted:
            raise Killed(boundary)

    return reached


def written(nights: Nights) -> tuple[int, int, int]:
    """Count the orders, blocks and legs of the journal."""
    found = (scalar(nights.journal, f"SELECT count(*) FROM {table}") for table in ("terminations", "blocks", "legs"))  # noqa: S608 - names of ours
    return tuple(int(count) for count in found)  # type: ignore[return-value]  # three of them


@pytest.mark.parametrize(
    ("boundary", "left"), [(Boundary.BEFORE_INTENT, (0, 0, 0)), (Boundary.INTENT_DURABLE, (1, 1, 3))]
)
def test_a_kill_leaves_order_block_and_intent_or_nothing_of_them(
    tmp_path: Path, boundary: Boundary, left: tuple[int, int, int]
) -> None:
    nights = settled(tmp_path, school().families(1))

    with pytest.raises(Killed):
        ended(nights, "ok0", reached=killed_at(boundary))

    assert written(nights) == left
    assert nights.is_open("ok0")


def test_a_kill_while_it_waits_for_a_batch_leaves_order_and_block_and_the_next_run_closes(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(6))
    held = nights.journal.claim_many(["ok0"], "somebody", 60)

    def waits(_: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        terminate(
            nights.journal, nights.targets, nights.pace, ordering(nights.journal, "ok0"), asked(nights, "ok0"), waits
        )
    nights.journal.release_claims(held)
    execute(nights.journal, "UPDATE claims SET expires_at = '2020-01-01 00:00:00.000000'")  # of one who is dead

    assert written(nights) == (1, 1, 0)
    assert nights.run().exit_code == 0
    assert nights.is_closed("ok0")


# --- what is added meanwhile ------------------------------------------------------------------------------------------


def urgent(nights: Nights, reached: Reached = unwatched) -> Urgent:
    """Give the verbs of an operator at this school."""
    running = nights.running()
    running.reached = reached
    return Urgent(running, Authority(), "Harbour", ZoneInfo("UTC"))


def test_what_a_night_adds_after_the_order_was_made_is_closed_as_well(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).portal(FACULTY))
    order = urgent(nights).order(TODAY, "Cok0", "custody order")

    nights.school.member("ok0", "faculty").account("ok0", guid=guid("ad:second"), username="second", dn="CN=second")
    stored, done = urgent(nights).terminate(order)

    member = nights.member("ok0", "faculty")
    assert member is not None
    assert (member.enabled, member.credential_lives) == (False, False)
    assert not any(account.enabled for account in nights.school.accounts if account.employee_id == "Cok0")
    assert (stored.number, done.exit_code, nights.is_closed("ok0"), nights.is_open("ok1")) == (1, 0, True, True)


def test_what_a_night_adds_while_the_order_waits_for_it_is_closed_as_well(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).portal(FACULTY))

    def added(boundary: Boundary) -> None:
        if boundary is Boundary.CLAIMED:
            nights.school.member("ok0", "faculty", username="late")

    _, done = urgent(nights, added).terminate(urgent(nights).order(TODAY, "Cok0", "custody order"))

    member = nights.member("ok0", "faculty")
    assert member is not None
    assert not member.credential_lives
    assert {c.target for c in done.closings} == {"ad", "engage", "web", "faculty"}


def test_of_somebody_of_whom_nothing_lived_what_is_added_meanwhile_is_closed(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(1).contact("none", of="s-ok0"))
    order = urgent(nights).order(TODAY, "Cnone", "custody order")

    nights.school.doors("none")
    _, done = urgent(nights).terminate(order)

    assert nights.is_closed("none")
    assert done.exit_code == 0


def broken_off() -> MembersReading:
    raise SourceError("the reading broke off", "")


def test_a_door_that_cannot_be_read_again_keeps_nothing_from_being_closed_and_is_said(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(1))
    order = urgent(nights).order(TODAY, "Cok0", "custody order")

    nights.portals["engage"].read_all = broken_off  # type: ignore[method-assign]  # a reading that breaks off
    _, done = urgent(nights).terminate(order)

    assert nights.is_closed("ok0")
    assert (done.exit_code, done.not_read_again) == (4, "the reading broke off")


# --- what is open from earlier ----------------------------------------------------------------------------------------


def swept_in_vain(folder: Path) -> Nights:
    """Give a school in which ok0 was closed but for the sessions, which the store did not end."""
    nights = leaving(folder)
    nights.web.trouble.meanwhile = lambda: setattr(nights.web.trouble, "down", True)
    nights.run()
    nights.web.trouble.down = False
    assert {leg.planned.target for leg in nights.journal.open_legs()} == {"web"}
    return nights


def sweep_of(nights: Nights, person: str) -> StoredLeg:
    """Give the oldest sessions leg of a person."""
    stored = nights.journal.revocations(person)[-1]
    return next(leg for leg in stored.legs if leg.planned.kind is LegKind.SESSIONS)


def test_an_older_sweep_under_a_name_that_was_given_to_somebody_entitled_is_called_off(tmp_path: Path) -> None:
    nights = swept_in_vain(tmp_path)
    nights.edit_member("ok1", username="uok0")
    nights.school.session("ok0")
    living = nights.sessions("ok0")

    _, done = urgent(nights).terminate(urgent(nights).order(TODAY, "Cok0", "custody order"))

    old = sweep_of(nights, "ok0")
    assert (old.state, old.detail) == (LegState.CALLED_OFF, "the user name is an entitled person's now")
    assert nights.sessions("ok0") == living
    assert done.open == ()


def test_an_older_sweep_of_a_name_that_is_still_theirs_is_replaced_and_the_name_swept(tmp_path: Path) -> None:
    nights = swept_in_vain(tmp_path)

    _, done = urgent(nights).terminate(urgent(nights).order(TODAY, "Cok0", "custody order"))

    assert nights.sessions("ok0") == 0
    assert "replaced by a newer revocation" in sweep_of(nights, "ok0").detail
    assert (done.exit_code, done.open) == (0, ())


def test_an_older_leg_on_an_account_that_an_entitled_person_claims_by_now_is_called_off(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.lost_before = {nights.account("ok0").guid}
    nights.run()
    nights.ad.trouble.lost_before = set()
    nights.edit_member("ok1", username="uok0")

    urgent(nights).terminate(urgent(nights).order(TODAY, "Cok0", "custody order"))

    stored = nights.journal.revocations("ok0")[-1]
    leg = next(leg for leg in stored.legs if leg.planned.kind is LegKind.DIRECTORY)
    assert (leg.state, leg.detail) == (LegState.CALLED_OFF, "claimed by ok1, who is entitled")
    assert nights.account("ok0").enabled


def test_an_older_leg_that_could_not_be_read_is_over_where_the_order_reads_its_target(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2))
    nights.ad.trouble.down = True
    urgent(nights).terminate(urgent(nights).order(TODAY, "Cok0", "custody order"))
    nights.ad.trouble.down = False

    _, done = urgent(nights).terminate(urgent(nights).order(TODAY, "Cok0", "as before"))

    assert (done.exit_code, done.open) == (0, ())
    assert nights.is_closed("ok0")


def test_an_older_leg_whose_target_still_cannot_be_read_stays_open(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2))
    nights.ad.trouble.down = True
    urgent(nights).terminate(urgent(nights).order(TODAY, "Cok0", "custody order"))

    _, done = urgent(nights).terminate(urgent(nights).order(TODAY, "Cok0", "as before"))
    nights.ad.trouble.down = False
    nights.run()

    assert done.exit_code == 4
    assert {leg.planned.target for leg in done.open} == {"ad", "web"}
    assert nights.is_closed("ok0")
