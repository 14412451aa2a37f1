"""The authority in the journal: orders that owe a countersignature, codes that are good once, alarms that stand."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from connector.errors import NotAllowed, UnknownPerson
from connector.model import EndSessions, Finding, LegState, Outcome, SessionKey, SessionsReading
from connector.reconcile.authority import (
    TRIES,
    Action,
    Asked,
    Record,
    Refusal,
    Signature,
    StoredTermination,
    has_authority,
    typed_code,
)
from connector.reconcile.awaiting import WAITS, awaiting
from connector.reconcile.journal import Journal
from connector.reconcile.journal_store import database_time
from tests.reconcile.journal_builders import TODAY, begin, execute, intend, revocation

GRACE = ("grace", "SEC")
ALICE = "alice@host"
DAY = timedelta(hours=24)


def ordered(journal: Journal, *people: int, **other: Any) -> StoredTermination:
    """Order an urgent termination of these people, all one human."""
    records = tuple(Record(f"p{n}", f"p{n}", f"C{n}", f"Ada {n}") for n in people or (1,))
    values = {"operator": ALICE, "reason": "custody order", "contact_type": "", "commanded_at": journal.now()}
    return journal.order_termination(Asked(**{**values, "records": records, **other}), DAY)


def later(journal: Journal, by: timedelta) -> None:
    """Let time pass by the database's clock."""

    def clock(connection: Connection) -> datetime:
        return database_time(connection) + by

    journal._store.clock = clock


def kinds(journal: Journal) -> list[str]:
    return [event.kind for event in journal.events()]


def code_for(journal: Journal, *, requester: str = "alice", person: str = "p1") -> str:
    return journal.give_code(GRACE, requester, person, "grace@host")


# --- orders and signatures --------------------------------------------------------------------------------------------


def test_an_order_is_written_down_with_the_countersignature_it_owes(journal: Journal) -> None:
    made = ordered(journal, 1, 2)

    (due,) = journal.authority_due().unsigned
    assert due == journal.termination(made.number) == made
    assert [record.code for record in due.records] == ["C1", "C2"]
    assert due.due_at - due.commanded_at >= DAY
    assert kinds(journal) == ["terminated", "terminated"]


def test_an_order_without_a_reason_is_not_taken(journal: Journal) -> None:
    with pytest.raises(NotAllowed, match="without a reason"):
        ordered(journal, reason=" ")


def test_a_termination_nobody_ordered_is_unknown(journal: Journal) -> None:
    with pytest.raises(UnknownPerson, match="no urgent termination 7"):
        journal.termination(7)


def test_a_countersignature_ends_what_is_due_and_is_given_once(journal: Journal) -> None:
    number = ordered(journal).number

    journal.countersign(number, *GRACE, "by password and one-time code", "grace@host")

    signature = journal.termination(number).signature
    assert signature is not None
    assert (signature.by, signature.role) == GRACE
    assert journal.authority_due().unsigned == ()
    with pytest.raises(NotAllowed, match="is countersigned"):
        journal.countersign(number, *GRACE, "again", "grace@host")


@pytest.mark.parametrize(
    "forged",
    [
        "UPDATE terminations SET signed_by = 'mallory'",
        "UPDATE terminations SET operator = 'bob@host'",
        "UPDATE terminations SET signature = 'x'",
    ],
)
def test_a_signature_written_without_the_audit_key_signs_nothing(journal: Journal, forged: str) -> None:
    number = ordered(journal).number
    journal.countersign(number, *GRACE, "by password and one-time code", "grace@host")

    execute(journal, forged)

    assert journal.termination(number).signature is None


def test_a_countersignature_that_is_late_is_said_to_be(journal: Journal) -> None:
    ordered(journal)
    in_time = journal.authority_due()

    later(journal, timedelta(hours=25))

    late = journal.authority_due()
    assert (in_time.overdue, len(late.overdue)) == ((), 1)
    ((said, fix),) = late.sentences()
    assert "countersignature OVERDUE since" in said
    assert fix == "connector authorise 1 --as NAME"


def test_who_was_terminated_is_remembered(journal: Journal) -> None:
    ordered(journal, 1, 2)

    assert journal.terminated(["p2", "p3"]) == {"p2"}


# --- one-time codes ---------------------------------------------------------------------------------------------------


def test_a_one_time_code_countersigns_once(journal: Journal) -> None:
    order = ordered(journal)
    code = code_for(journal)

    signature = journal.countersign_with_code(order, code.lower().replace("-", " "), ALICE)

    assert (signature.by, signature.role, signature.how) == (*GRACE, "by one-time code, typed by alice@host")
    again = ordered(journal)
    with pytest.raises(NotAllowed, match="does not fit"):
        journal.countersign_with_code(again, code, ALICE)


@pytest.mark.parametrize(
    ("requester", "person", "typed_by"), [("bob", "p1", ALICE), ("alice", "p2", ALICE), ("alice", "p1", "bob@host")]
)
def test_a_code_is_bound_to_requester_and_person(journal: Journal, requester: str, person: str, typed_by: str) -> None:
    order = ordered(journal)
    code = code_for(journal, requester=requester, person=person)

    with pytest.raises(NotAllowed, match="does not fit"):
        journal.countersign_with_code(order, code, typed_by)

    assert journal.termination(order.number).signature is None


def test_a_code_whose_binding_was_changed_by_hand_is_worthless(journal: Journal) -> None:
    order = ordered(journal)
    code = code_for(journal, person="p2")
    execute(journal, "UPDATE authority_codes SET person_id = 'p1'")

    with pytest.raises(NotAllowed, match="does not fit"):
        journal.countersign_with_code(order, code, ALICE)


def test_a_code_for_another_action_does_not_countersign(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    order = ordered(journal)
    with monkeypatch.context() as patched:
        patched.setattr(Action.COUNTERSIGN, "_value_", "something else")
        code = code_for(journal)

    with pytest.raises(NotAllowed, match="does not fit"):
        journal.countersign_with_code(order, code, ALICE)


def test_a_code_is_good_for_fifteen_minutes(journal: Journal) -> None:
    order = ordered(journal)
    code = code_for(journal)
    later(journal, timedelta(minutes=15, seconds=1))

    with pytest.raises(NotAllowed, match="does not fit"):
        journal.countersign_with_code(order, code, ALICE)


def test_wrong_tries_are_limited_and_audited(journal: Journal) -> None:
    order = ordered(journal)
    code = code_for(journal)
    for _ in range(TRIES):
        with pytest.raises(NotAllowed, match="does not fit"):
            journal.countersign_with_code(order, "0000-0000", ALICE)

    with pytest.raises(NotAllowed, match="was wrong 5 times"):
        journal.countersign_with_code(order, code, ALICE)

    assert kinds(journal).count("wrong-try") == TRIES
    later(journal, timedelta(minutes=16))
    journal.refuse_tired(ALICE)


def test_no_code_is_kept_or_audited(journal: Journal) -> None:
    order = ordered(journal)
    codes = [code_for(journal), *(code for _, code in journal.print_codes(GRACE, 3, "grace@host"))]
    journal.countersign_with_code(order, codes[0], ALICE)

    with journal._store.engine.connect() as connection:
        kept = str(connection.execute(text("SELECT * FROM authority_codes")).all())
    told = " ".join(f"{event.text} {event.detail}" for event in journal.events())
    assert not [code for code in codes if code in kept + told or typed_code(code) in kept + told]


# --- sealed codes and alarms ------------------------------------------------------------------------------------------


def test_a_sealed_code_countersigns_once_and_raises_an_alarm_until_it_is_acknowledged(journal: Journal) -> None:
    order = ordered(journal)
    (number, code), _ = journal.print_codes(GRACE, 2, "grace@host")

    signature = journal.countersign_with_code(order, code, ALICE)

    assert signature.by == f"sealed code {number}"
    (alarm,) = journal.authority_due().alarms
    assert (alarm.number, alarm.used_by, alarm.termination) == (number, ALICE, order.number)
    assert "alarm" in kinds(journal)
    with pytest.raises(NotAllowed, match="does not fit"):
        journal.countersign_with_code(ordered(journal), code, ALICE)
    journal.acknowledge_alarms("grace", "grace@host")
    assert journal.authority_due().alarms == ()
    assert kinds(journal)[-1] == "alarm-acknowledged"


def test_sealed_codes_are_many_and_different(journal: Journal) -> None:
    made = journal.print_codes(GRACE, 10, "grace@host")

    assert len({code for _, code in made}) == 10
    assert [len(typed_code(code)) for _, code in made] == [16] * 10


def test_the_audit_chain_holds_after_all_of_it(journal: Journal) -> None:
    order = ordered(journal)
    journal.countersign_with_code(order, journal.print_codes(GRACE, 1, "grace@host")[0][1], ALICE)
    journal.acknowledge_alarms("grace", "grace@host")

    assert journal.verify_audit().ok


@pytest.mark.parametrize(("role", "has"), [("SEC", True), (" stc ", True), ("operator", False), ("", False)])
def test_an_authority_is_known_by_role(role: str, has: bool) -> None:
    assert has_authority(role, ("SEC", "STC")) is has


# --- a refusal --------------------------------------------------------------------------------------------------------


def refused(journal: Journal, number: int, reason: str = "no court order is on file") -> StoredTermination:
    return journal.refuse_countersignature(number, GRACE, reason, "grace@host")


def test_a_refusal_ends_the_reminders_alarms_who_ordered_it_and_opens_nothing(journal: Journal) -> None:
    number = ordered(journal).number
    journal.block("p1", ALICE, "custody order")

    refused(journal, number)

    due = journal.authority_due()
    assert (due.unsigned, [t.number for t in due.refused]) == ((), [number])
    ((said, fix),) = due.sentences()
    assert said.startswith("ALARM: the countersignature of urgent termination 1 of Ada 1 (C1), ordered by alice@host")
    assert fix == "connector unblock C1 --second NAME; connector restore C1 --second NAME --apply"
    assert "p1" in journal.memory(TODAY).blocks
    assert kinds(journal)[-1] == "countersign-refused"


def test_the_alarm_of_a_refusal_ends_when_the_person_is_unblocked_by_two(journal: Journal) -> None:
    number = ordered(journal).number
    journal.block("p1", ALICE, "custody order")
    refused(journal, number)
    journal.add_operator("grace", "SEC", "hash", "seed", ALICE)

    journal.unblock("p1", ALICE, "grace")

    assert journal.authority_due().sentences() == ()


def test_the_alarm_of_a_refusal_ends_when_the_order_is_given_anew_and_that_one_is_due(journal: Journal) -> None:
    number = ordered(journal).number
    journal.block("p1", ALICE, "custody order")
    refused(journal, number)

    anew = ordered(journal)

    due = journal.authority_due()
    assert (due.refused, [t.number for t in due.unsigned]) == ((), [anew.number])


@pytest.mark.parametrize("first", ["signed", "refused"])
def test_an_order_is_answered_once(journal: Journal, first: str) -> None:
    number = ordered(journal).number
    if first == "signed":
        journal.countersign(number, *GRACE, "by password and one-time code", "grace@host")
    else:
        refused(journal, number)

    with pytest.raises(NotAllowed):
        refused(journal, number)
    with pytest.raises(NotAllowed):
        journal.countersign(number, *GRACE, "by password and one-time code", "grace@host")


def test_a_refusal_without_a_reason_is_not_taken(journal: Journal) -> None:
    with pytest.raises(NotAllowed, match="without a reason"):
        refused(journal, ordered(journal).number, " ")


def test_a_refusal_written_without_the_audit_key_refuses_nothing(journal: Journal) -> None:
    number = ordered(journal).number
    refused(journal, number)

    execute(journal, "UPDATE termination_refusals SET refused_by = 'mallory'")

    assert journal.termination(number).refusal is None
    assert [t.number for t in journal.authority_due().unsigned] == [number]


# --- what waits for the authority -------------------------------------------------------------------------------------


class Vendor:
    """A store that takes whatever it is handed; it needs an authoriser."""

    needs_authoriser = True
    user_key = SessionKey.USERNAME

    def __init__(self) -> None:
        self.asked: list[EndSessions] = []

    def read_all(self) -> SessionsReading:
        raise NotImplementedError

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        self.asked += batch
        return tuple(Outcome(LegState.INTENDED, f"ticket for {item.user}") for item in batch)

    def check(self) -> tuple[Finding, ...]:
        return ()

    def disconnect(self) -> None:
        return None


def asked_for(*legs: int) -> list[EndSessions]:
    return [EndSessions(f"u{leg}", reference=f"{leg}-20261121090000") for leg in legs]


def test_what_is_not_countersigned_waits_and_the_rest_is_handed_on_in_order(journal: Journal) -> None:
    at = journal.now()
    signed = Signature("grace", "SEC", "by password and one-time code", at)

    no = Refusal("grace", "SEC", "no court order is on file", at)

    def signatures(legs: Collection[int]) -> dict[int, Signature | Refusal | None]:
        return {leg: known for leg, known in ((1, None), (2, signed), (4, no)) if leg in legs}

    vendor = Vendor()
    store = awaiting({"vendor": vendor}, signatures)["vendor"]

    outcomes = store.close(asked_for(3, 1, 4, 2))

    refusal = f"not handed in: the countersignature was refused by grace (SEC), {at:%Y-%m-%d %H:%M} UTC"
    assert [o.detail for o in outcomes] == ["ticket for u3", WAITS, refusal, "ticket for u2"]
    assert [o.state for o in outcomes][2] is LegState.CALLED_OFF
    assert [(item.user, bool(item.authorised_by)) for item in vendor.asked] == [("u3", False), ("u2", True)]
    assert vendor.asked[1].authorised_by.startswith("grace (SEC), ")


def test_the_legs_an_order_asked_for_wait_for_it_and_earlier_ones_do_not(journal: Journal) -> None:
    run = begin(journal)
    before = intend(journal, run, revocation(1))
    order = ordered(journal, 1)
    after = intend(journal, run, revocation(1), revocation(2))

    waiting = journal.signatures([leg.leg_id for leg in (*before, *after)])

    assert waiting == {leg.leg_id: None for leg in after if leg.key == "p1"}
    journal.countersign(order.number, *GRACE, "by password and one-time code", "grace@host")
    assert {s is not None for s in journal.signatures([leg.leg_id for leg in after]).values()} == {True}
