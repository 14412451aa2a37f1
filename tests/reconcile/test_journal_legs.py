"""Legs are durable before their effect, never lose a final state, and end their revocation together."""

import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from connector.errors import JournalError, RunInProgress, UnknownPerson
from connector.model import LegKind, LegState, Outcome
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import Direction
from connector.reconcile.memory import Block
from tests.reconcile.conftest import OpenJournal
from tests.reconcile.journal_builders import (
    KEY,
    account,
    begin,
    closed,
    credential_leg,
    directory_leg,
    intend,
    revocation,
    scalar,
)

_DIES_AFTER_INTENT = """
import os, signal, sys
from connector.reconcile.journal import Journal
from tests.reconcile.journal_builders import begin, intend, revocation
journal = Journal.open(sys.argv[1], audit_key=bytes.fromhex(sys.argv[2]))
run = begin(journal)
intend(journal, run, *(revocation(number) for number in range(50)))
os.kill(os.getpid(), signal.SIGKILL)
"""

_DIES_BEFORE_COMMIT = """
import os, signal, sys
from connector.reconcile import journal_audit
from connector.reconcile.journal import Journal
from tests.reconcile.journal_builders import begin, intend
journal = Journal.open(sys.argv[1], audit_key=bytes.fromhex(sys.argv[2]))
run = begin(journal)
journal_audit.append = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
intend(journal, run)
"""


def _child(script: str, url: str) -> int:
    command = [sys.executable, "-c", script, url, KEY.hex()]
    return subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(Path.cwd())}).returncode


def test_what_was_intended_is_there_after_the_process_was_killed(journal_url: str, open_journal: OpenJournal) -> None:
    died = _child(_DIES_AFTER_INTENT, journal_url)

    journal = open_journal()
    assert died == -signal.SIGKILL
    assert len(journal.open_legs()) == 150
    assert len(journal.revocations()) == 50
    assert journal.verify_audit().ok


def test_a_process_killed_before_the_commit_intended_nothing(journal_url: str, open_journal: OpenJournal) -> None:
    died = _child(_DIES_BEFORE_COMMIT, journal_url)

    journal = open_journal()
    assert died == -signal.SIGKILL
    assert journal.open_legs() == ()
    assert journal.revocations() == ()


def test_intended_legs_come_back_in_the_order_they_are_driven(journal: Journal) -> None:
    legs = intend(journal, begin(journal))

    assert [leg.planned.kind for leg in legs] == [LegKind.DIRECTORY, LegKind.CREDENTIAL, LegKind.SESSIONS]
    assert journal.open_legs() == legs
    assert journal.open_legs(target="ad") == legs[:1]
    assert journal.open_legs(key="p2") == ()
    assert (legs[0].contact_types, legs[0].code, legs[0].operator) == (("Mother",), "C1", "alice")


def test_a_revocation_is_done_with_its_last_leg_and_not_before(journal: Journal) -> None:
    run = begin(journal)
    legs = intend(journal, run)
    journal.record([closed(leg) for leg in legs[:2]], run)
    assert journal.revocations("p1")[0].state == "open"

    journal.record([(legs[2], Outcome(LegState.ALREADY_CLOSED))], run)

    done = journal.revocations("p1")[0]
    assert (done.state, done.done_at is not None) == ("done", True)
    assert done.legs[0].before == account()


def test_a_final_state_is_never_overwritten(journal: Journal) -> None:
    run = begin(journal)
    legs = intend(journal, run)
    journal.record([closed(legs[0], after=account(enabled=False))], run)

    skipped = journal.record([(legs[0], Outcome(LegState.REFUSED, "no right"))], run)

    assert skipped == legs[:1]
    assert journal.revocations("p1")[0].legs[0].state is LegState.CLOSED
    assert journal.revocations("p1")[0].legs[0].after == account(enabled=False)


@pytest.mark.parametrize(
    ("state", "resumable"),
    [
        (LegState.INTENDED, True),
        (LegState.REFUSED, True),
        (LegState.UNREACHABLE, True),
        (LegState.CONFLICT, False),
        (LegState.EFFECTIVE_BY, False),
    ],
)
def test_a_leg_without_proof_stays_open(journal: Journal, state: LegState, resumable: bool) -> None:
    run = begin(journal)
    legs = intend(journal, run)
    until = datetime(2026, 11, 22, tzinfo=UTC)
    journal.record([(legs[0], Outcome(state, "why", effective_by=until)), *map(closed, legs[1:])], run)

    (leg,) = journal.open_legs()

    assert (leg.state, leg.detail, leg.resumable, leg.effective_by) == (state, "why", resumable, until)
    assert journal.revocations("p1")[0].state == "open"


def test_attempts_are_counted_and_final_legs_are_not_tried(journal: Journal) -> None:
    run = begin(journal)
    legs = intend(journal, run)
    journal.record([closed(legs[0])], run)

    journal.attempt(legs, run)
    journal.attempt(legs[1:], run)

    assert [leg.attempts for leg in journal.revocations("p1")[0].legs] == [0, 2, 2]
    assert journal.open_legs()[0].last_tried is not None


def test_the_first_reading_before_an_effect_is_the_one_that_is_kept(journal: Journal) -> None:
    run = begin(journal)
    leg = intend(journal, run)[0]
    journal.record([(leg, Outcome(LegState.UNREACHABLE, before=account(state="512")))], run)

    journal.record([(leg, Outcome(LegState.CLOSED, before=account(state="514", enabled=False), ended=0))], run)

    kept = journal.revocations("p1")[0].legs[0].before
    assert kept == account(state="512")


def test_a_withheld_leg_is_recorded_and_not_driven(journal: Journal) -> None:
    run = begin(journal)
    row = revocation(legs=(directory_leg(withheld="adminCount=1"), credential_leg()))

    legs = intend(journal, run, row)
    journal.record([closed(legs[0])], run)

    stored = journal.revocations("p1")[0]
    assert [leg.planned.kind for leg in legs] == [LegKind.CREDENTIAL]
    assert (stored.legs[0].state, stored.legs[0].detail) == (LegState.CALLED_OFF, "adminCount=1")
    assert stored.state == "done"


def test_a_block_stands_or_falls_with_the_intent(open_journal: OpenJournal) -> None:
    journal = open_journal()
    run = begin(journal)
    held = open_journal().claim("p1", "terminate", 60)
    block = Block("p1", "alice", "court order")

    with pytest.raises(RunInProgress):
        intend(journal, run, blocks=[block])
    assert journal.memory(date(2026, 11, 21)).blocks == {}

    open_journal().release_claims([held])
    intend(journal, run, blocks=[block])
    assert journal.memory(date(2026, 11, 21)).blocks == {"p1": block}


def test_a_newer_intent_takes_over_what_is_still_open_on_the_same_target(journal: Journal) -> None:
    run = begin(journal)
    legs = intend(journal, run)
    journal.record([(legs[0], Outcome(LegState.CONFLICT)), closed(legs[1])], run)

    newer = intend(journal, run, revocation(legs=(directory_leg(),)))

    assert [(leg.revocation_id, leg.planned.kind) for leg in journal.open_legs()] == [
        (1, LegKind.SESSIONS),
        (2, LegKind.DIRECTORY),
    ]
    assert journal.open_legs()[1] == newer[0]


def test_a_restore_ends_the_closing_that_is_still_open(journal: Journal) -> None:
    run = begin(journal)
    legs = intend(journal, run)
    journal.record([closed(legs[0])], run)

    restored = intend(journal, run, direction=Direction.OPEN)
    journal.record([(leg, Outcome(LegState.CLOSED)) for leg in restored], run)

    assert journal.open_legs() == ()
    assert [(one.direction, one.state) for one in journal.revocations("p1")] == [
        (Direction.OPEN, "done"),
        (Direction.CLOSE, "done"),
    ]


@pytest.mark.parametrize("which", [1, "p1"])
def test_abandoning_calls_off_what_is_open_with_its_reason(journal: Journal, which: int | str) -> None:
    intend(journal, begin(journal))

    assert journal.abandon(which, "bob", "moved abroad") == 3

    (stored,) = journal.revocations("p1")
    assert journal.open_legs() == ()
    assert (stored.state, stored.reason) == ("called-off", "abandoned by bob: moved abroad")
    assert journal.history("p1")[-1].operator == "bob"


def test_abandoning_nothing_is_said(journal: Journal) -> None:
    with pytest.raises(UnknownPerson, match="Nothing is open for p9"):
        journal.abandon("p9", "bob", "mistake")


def test_what_somebody_is_driving_is_not_abandoned_under_them(open_journal: OpenJournal) -> None:
    journal = open_journal()
    intend(journal, begin(journal))
    open_journal().claim("p1", "batch", 60)

    with pytest.raises(RunInProgress):
        journal.abandon("p1", "bob", "mistake")


def test_history_knows_a_person_by_key_and_by_person(journal: Journal) -> None:
    run = begin(journal)
    key = "account:ad:g1"
    journal.block("p1", "alice", "court order")
    legs = intend(journal, run, revocation(key=key))
    journal.record([closed(legs[0])], run)

    for name in (key, "p1"):
        assert [event.kind for event in journal.history(name)] == ["blocked", "intended", "closed"]
    assert journal.history("p2") == ()


def test_who_closed_names_the_last_revocation_that_took_something_away(journal: Journal) -> None:
    run = begin(journal)
    journal.record([closed(leg) for leg in intend(journal, run)], run)
    journal.record([(leg, Outcome(LegState.ALREADY_CLOSED)) for leg in intend(journal, run)], run)

    found = journal.who_closed("p1")

    assert found is not None
    assert (found.revocation_id, found.operator, found.plan_id, found.run_id) == (1, "alice", "7f3a", run.run_id)
    assert journal.who_closed("p2") is None


def test_revocations_are_found_by_run_and_by_time(journal: Journal) -> None:
    first = begin(journal)
    intend(journal, first)
    journal.end_run(first, "done", 0)
    second = begin(journal)
    intend(journal, second, revocation(2), revocation(3))

    assert [one.row.key for one in journal.revocations(run_id=second.run_id)] == ["p3", "p2"]
    assert [one.row.key for one in journal.revocations(since=second.started_at)] == ["p3", "p2"]
    assert [one.row.key for one in journal.revocations(limit=1)] == ["p3"]


def test_a_text_the_database_cannot_hold_is_a_journal_error_and_writes_nothing(journal: Journal) -> None:
    run = begin(journal)

    with pytest.raises(JournalError, match="not Unicode"):
        intend(journal, run, revocation(), revocation(2, key="\ud800"))
    assert scalar(journal, "SELECT count(*) FROM revocations") == 0


def test_more_than_fits_one_statement_is_intended_and_recorded(journal: Journal) -> None:
    run = begin(journal)
    legs = intend(journal, run, *(revocation(number) for number in range(6_000)))
    journal.record([closed(leg) for leg in legs], run)

    assert len(legs) == 18_000
    assert journal.open_legs() == ()
