"""Sessions that somebody else has to end, or that end by themselves: what is asked, and when a leg counts as over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import sentinel
from zoneinfo import ZoneInfo

import pytest

from connector.adapters.session_reading import unlisted_reading
from connector.adapters.ticket import TicketSessionStore, TicketSettings
from connector.interfaces import SessionStore, Site
from connector.model import EndSessions, Finding, LegKind, LegState, Outcome, SessionKey, SessionsReading
from connector.reconcile.apply import Applier, Pace
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import StoredLeg
from connector.reconcile.reading import Targets
from tests.reconcile.journal_builders import KEY, begin, directory_leg, revocation, sessions_leg

SOON = datetime.now(UTC) + timedelta(hours=1)


@dataclass
class Cloud:
    """A store that cannot show sessions: it says by when they are over."""

    asked: list[EndSessions] = field(default_factory=list)
    user_key: SessionKey = SessionKey.USERNAME

    def read_all(self) -> SessionsReading:
        return unlisted_reading("web", "cloud", self.user_key)

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        self.asked += batch
        return (Outcome(LegState.EFFECTIVE_BY, "revoked", effective_by=SOON),) * len(batch)

    def check(self) -> tuple[Finding, ...]:
        return ()

    def disconnect(self) -> None:
        """Nothing is held open."""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path / 'journal.db'}", audit_key=KEY) as opened:
        yield opened


def applier(journal: Journal, store: SessionStore) -> Applier:
    targets = Targets(sentinel.nobody_asks_it, session_stores={"web": store})
    return Applier(journal, targets, begin(journal), Pace(settle_seconds=0), sleep=lambda _: None)


def web_leg(journal: Journal) -> StoredLeg:
    return next(leg for leg in journal.revocations("p1")[0].legs if leg.planned.kind is LegKind.SESSIONS)


def test_a_store_is_told_in_words_whom_it_is_about_and_for_which_intent(journal: Journal) -> None:
    cloud = Cloud()

    applier(journal, cloud).revoke([revocation(legs=(sessions_leg(),))], "7f3a")

    (asked,) = cloud.asked
    assert (asked.user, asked.code, asked.name, asked.contact_type) == ("u1", "C1", "Ada 1", "Mother")
    assert asked.requested_by == "alice"
    assert asked.reference.startswith(f"{web_leg(journal).leg_id}-")


def test_sessions_that_end_by_themselves_are_effective_by_a_time(journal: Journal) -> None:
    applier(journal, Cloud()).revoke([revocation(legs=(sessions_leg(),))], "7f3a")

    assert (web_leg(journal).state, web_leg(journal).effective_by) == (LegState.EFFECTIVE_BY, SOON)


def test_while_a_door_is_open_no_time_is_the_end_of_anything(journal: Journal) -> None:
    """A session that begins through the open door outlives every time said before."""
    rows = [revocation(legs=(directory_leg(), sessions_leg()))]

    still_open = applier(journal, Cloud()).revoke(rows, "7f3a")

    assert web_leg(journal).state is LegState.INTENDED
    assert {leg.planned.kind for leg in still_open if leg.resumable} == {LegKind.DIRECTORY, LegKind.SESSIONS}


def test_a_ticket_keeps_its_leg_open_until_it_is_confirmed_and_then_closes_it(journal: Journal, tmp_path: Path) -> None:
    for name in ("tickets", "confirmed"):
        (tmp_path / name).mkdir()
    site = Site(tmp_path, tmp_path, ZoneInfo("Australia/Adelaide"))
    store = TicketSessionStore("web", TicketSettings("tickets", "confirmed", "engage"), site)
    driving = applier(journal, store)

    waiting = driving.revoke([revocation(legs=(sessions_leg(),))], "7f3a")
    again = driving.drive(waiting)
    (ticket,) = (tmp_path / "tickets").iterdir()
    ticket.rename(tmp_path / "confirmed" / ticket.name)
    after = driving.drive(again)

    assert [leg.state for leg in (*waiting, *again)] == [LegState.INTENDED] * 2
    assert after == ()
    assert (web_leg(journal).state, web_leg(journal).ended) == (LegState.CLOSED, 1)
