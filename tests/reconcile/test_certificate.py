"""The certificate of an urgent termination: closed is said only of what was proven, and why only to the authority."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connector.model import LegState, Reason
from connector.reconcile.authority import Record, Signature, StoredTermination
from connector.reconcile.certificate import (
    Certificate,
    certificate,
    certificate_html,
    certificate_text,
    certificate_title,
)
from connector.reconcile.journal_values import Direction, StoredLeg, StoredRevocation
from connector.reconcile.plan_values import PlannedLeg, Revocation
from tests.reconcile.journal_builders import credential_leg, directory_leg, revocation, sessions_leg
from tests.reconcile.test_report_html import Page

AT = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)
SYDNEY = ZoneInfo("Australia/Sydney")
ADA = Record("p1", "p1", "C1", "Ada 1")
SIGNED = Signature("grace", "SEC", "by password and one-time code", AT + timedelta(hours=1))


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def ordered(**other: Any) -> StoredTermination:
    values: dict[str, Any] = {
        "number": 3,
        "operator": "alice@host",
        "reason": "custody order",
        "contact_type": "",
        "commanded_at": AT,
        "due_at": AT + timedelta(hours=24),
        "records": (ADA,),
        "finished_at": after(30),
        "last_session_at": after(20),
    }
    return StoredTermination(**{**values, **other})


def leg(planned: PlannedLeg, state: LegState = LegState.CLOSED, seconds: float = 10, **other: Any) -> StoredLeg:
    values: dict[str, Any] = {
        "leg_id": 1,
        "planned": planned,
        "state": state,
        "detail": "",
        "before": None,
        "after": None,
        "ended": 0,
        "effective_by": None,
        "attempts": 1,
        "intended_at": after(1),
        "last_tried": after(seconds),
        "finished_at": after(seconds) if state in (LegState.CLOSED, LegState.CALLED_OFF) else None,
    }
    return StoredLeg(**{**values, **other})


ALL_CLOSED = (
    leg(directory_leg(), seconds=5),
    leg(credential_leg(), seconds=6),
    leg(sessions_leg(), seconds=29, ended=2),
)


def stored(*legs: StoredLeg, number: int = 1, row: Revocation | None = None, **other: Any) -> StoredRevocation:
    row = row or revocation(1, reasons=(Reason.BLOCKED, Reason.REQUESTED))
    values: dict[str, Any] = {
        "revocation_id": number,
        "direction": Direction.CLOSE,
        "row": row,
        "state": "done",
        "reason": "",
        "run_id": None,
        "plan_id": "",
        "operator": "alice@host",
        "intended_at": after(1),
        "closed_at": None,
        "done_at": None,
        "legs": legs,
    }
    return StoredRevocation(**{**values, **other})


def certified(
    *revocations: StoredRevocation, order: StoredTermination | None = None, discreet: bool = True
) -> Certificate:
    order = order or ordered()
    return certificate(order, revocations, "Harbour College", after(60), "9:abc", SYDNEY, discreet=discreet)


def test_it_says_when_each_door_closed_and_how_long_it_took_in_the_schools_time() -> None:
    made = certified(stored(*ALL_CLOSED))

    said = certificate_text(made)
    assert certificate_title(made) == "Urgent termination 3: Ada 1 (C1): closed"
    assert made.seconds == 20.0
    assert "20.0 from the command to the last closed door and the last dead session" in said
    assert "account u1 in ad: closed 2026-11-22 09:00:05 AEDT" in said
    assert "sessions of u1 in web: closed 2026-11-22 09:00:29 AEDT, 2 sessions ended" in said
    assert "Last session at   2026-11-22 09:00:20 AEDT" in said
    assert "due until 2026-11-23 09:00 AEDT" in said
    assert "9:abc" in said


def test_an_open_door_is_never_called_closed() -> None:
    waiting = leg(sessions_leg(target="vendor"), LegState.INTENDED, detail="waits for the authority")

    made = certified(stored(*ALL_CLOSED, waiting))

    said = certificate_text(made)
    assert certificate_title(made).endswith(": 1 still open")
    assert "sessions of u1 in vendor: OPEN (intended): waits for the authority" in said
    assert "so far: 1 door still open" in said
    assert "not yet: see what is open" in said


def test_a_door_that_is_not_closed_from_here_is_named_in_the_title() -> None:
    withheld = leg(directory_leg(withheld="protected account"), LegState.CALLED_OFF, detail="protected account")

    made = certified(stored(withheld, *ALL_CLOSED[1:]))

    assert certificate_title(made).endswith(": closed, but for 1 door")
    assert "NOT closed by this: protected account" in certificate_text(made)


def test_what_cannot_be_seen_is_effective_by_a_time() -> None:
    unseen = leg(sessions_leg(target="entra"), LegState.EFFECTIVE_BY, effective_by=after(3600))

    made = certified(stored(*ALL_CLOSED, unseen))

    assert made.effective_by == after(3600)
    assert "Effective by      2026-11-22 10:00 AEDT" in certificate_text(made)
    assert "ends by 2026-11-22 10:00 AEDT" in certificate_text(made)


def test_what_another_leg_stands_in_for_is_left_out() -> None:
    unread = leg(directory_leg(unread=True, subject="?"), LegState.CALLED_OFF, seconds=100)
    later = stored(leg(directory_leg(), seconds=120), number=2, operator="nightly", intended_at=after(90))

    made = certified(stored(unread, *ALL_CLOSED[1:]), later)

    assert [door.state for door in made.doors] == [LegState.CLOSED] * 3
    assert made.seconds == 120.0


def test_sessions_that_ended_after_the_order_was_through_count_when_they_were_proven_dead() -> None:
    made = certified(stored(leg(sessions_leg(), seconds=400, ended=1)))

    assert made.last_session_at == after(400)


def test_what_another_order_ended_at_the_same_time_counts_and_is_named_once() -> None:
    found = (leg(planned, LegState.ALREADY_CLOSED, seconds=28) for planned in (directory_leg(), sessions_leg()))
    others = stored(leg(directory_leg(), seconds=5), leg(sessions_leg(), seconds=12, ended=1))

    made = certified(others, stored(*found, number=2), order=ordered(last_session_at=None))

    assert [(door.state, door.ended) for door in made.doors] == [(LegState.CLOSED, 0), (LegState.CLOSED, 1)]
    assert made.last_session_at == after(12)
    assert "no live session was found" not in certificate_text(made)


def test_what_is_not_closed_by_it_is_not_called_effective_now() -> None:
    outside = leg(directory_leg(withheld="outside the managed OUs"), LegState.CALLED_OFF, detail="outside")

    made = certified(stored(*ALL_CLOSED[1:], outside))

    assert "Effective by      now, but for what is NOT closed by this" in certificate_text(made)
    assert '<tr class="warns">' in certificate_html(made)


def test_what_ended_before_the_order_or_was_closed_again_after_a_restore_is_not_its() -> None:
    before = stored(leg(directory_leg(), seconds=-100), number=1, intended_at=after(-200))
    restored = stored(number=3, direction=Direction.OPEN, intended_at=after(1000))
    again = stored(leg(directory_leg(), seconds=2000), number=4, intended_at=after(1900))

    made = certified(again, restored, stored(*ALL_CLOSED, number=2), before)

    assert len(made.doors) == 3


def test_somebody_elses_doors_are_not_on_it() -> None:
    made = certified(stored(*ALL_CLOSED, row=revocation(2)))

    assert made.doors == ()
    assert "nothing of theirs lived" in certificate_text(made)


def test_why_is_told_to_the_authority_role_only() -> None:
    closed = stored(leg(directory_leg(), detail="blocked by a court order"), *ALL_CLOSED[1:])

    discreet = certificate_text(certified(closed))
    told = certificate_text(certified(closed, discreet=False))

    assert "Why               access-ended" in discreet
    assert not [word for word in ("custody", "court", "blocked") if word in discreet]
    assert "Why               custody order (blocked and requested)" in told


def test_it_says_who_countersigned() -> None:
    made = certified(stored(*ALL_CLOSED), order=ordered(signature=SIGNED))

    assert "grace (SEC), 2026-11-22 10:00 AEDT, by password and one-time code" in certificate_text(made)


def test_an_order_that_was_cut_off_before_anything_was_intended_says_so() -> None:
    made = certified(order=ordered(finished_at=None, last_session_at=None))

    said = certificate_text(made)
    assert certificate_title(made).endswith(": not finished")
    assert "nothing is closed yet" in said
    assert "type it again, or connector resume" in said


def test_an_order_that_was_cut_off_and_resumed_never_says_that_there_was_no_session() -> None:
    closed = (*ALL_CLOSED[:2], leg(sessions_leg(), seconds=200))

    made = certified(stored(*closed), order=ordered(finished_at=None, last_session_at=None))

    said = certificate_text(made)
    assert certificate_title(made).endswith(": closed")
    assert "Last session at   not known" in said
    assert "no live session" not in said


def test_the_page_is_whole_and_nothing_in_it_is_markup() -> None:
    hostile = replace(ADA, name="<script>alert(1)</script>\u202e")

    html = certificate_html(certified(stored(*ALL_CLOSED), order=ordered(records=(hostile,))))

    page = Page(html)
    assert "script" not in page.tags
    assert "&lt;script&gt;" in html
    assert "\u202e" not in html
    assert "default-src" in html
