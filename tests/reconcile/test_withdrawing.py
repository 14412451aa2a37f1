"""What people were asked to do by hand is taken back before its leg is called off, or the leg stays open."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from connector.errors import SourceError
from connector.model import CloseMember, LegState, Member, MemberStatus, OpenMember, Outcome
from connector.reconcile.journal_values import ChangeKind, Direction, MembershipChange
from tests.fakes import WorklistPortal
from tests.reconcile.nights import Nights
from tests.reconcile.test_apply import leaving


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    """A school whose portal did not close ok0 in the first night; the child is back before the second."""
    made = leaving(tmp_path)
    made.engage.trouble.lost_before = {"ok0"}
    made.run()
    made.engage.trouble.lost_before = set()
    made.school.leave("ok0", left=date(2099, 12, 17))
    return made


def portal_leg(nights: Nights) -> LegState:
    return next(leg for leg in nights.journal.revocations("ok0")[0].legs if leg.planned.target == "engage").state


def test_nobody_is_asked_to_close_whoever_is_entitled_again(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    taken_back: list[CloseMember] = []
    monkeypatch.setattr(nights.engage, "withdraw", taken_back.extend, raising=False)

    nights.resume()

    assert [(item.before.person_id, item.before.portal) for item in taken_back] == [("ok0", "engage")]
    assert portal_leg(nights) is LegState.CALLED_OFF


def test_a_leg_whose_row_cannot_be_taken_back_stays_open_for_the_next_run(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_: Sequence[CloseMember]) -> None:
        raise SourceError("The worklist cannot be written.", "Close it in the spreadsheet.")

    monkeypatch.setattr(nights.engage, "withdraw", locked, raising=False)
    nights.resume()
    first = portal_leg(nights)
    monkeypatch.setattr(nights.engage, "withdraw", lambda _: None)

    nights.resume()

    assert first is not LegState.CALLED_OFF
    assert portal_leg(nights) is LegState.CALLED_OFF


# --- what lets somebody in --------------------------------------------------------------------------------------------


class Asked(WorklistPortal):
    """A worklist that remembers what was taken back."""

    def __init__(self, nights: Nights) -> None:
        super().__init__("engage", nights.school.members)
        self.taken_back: list[CloseMember | OpenMember | Member] = []

    def withdraw(self, batch: Sequence[CloseMember | OpenMember | Member]) -> None:
        """Take rows back."""
        self.taken_back += batch

    def _open(self, item: OpenMember) -> Outcome:
        return Outcome(LegState.INTENDED, "on the worklist", before=item.now)


def test_nobody_is_asked_to_let_in_whoever_is_blocked_after_the_restore_was_asked_for(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.run()
    asked = nights.portal(Asked(nights))
    closed = nights.journal.revocations("ok0")[0]
    back = replace(closed.row, legs=tuple(leg.planned for leg in closed.legs if leg.planned.target == "engage"))
    applier = nights.applier()
    applier.drive(nights.journal.intend(applier.run, "", [back], "alice@host", direction=Direction.OPEN))
    nights.journal.end_run(applier.run, "restored", 4)
    nights.journal.block("ok0", "bob@host", "custody order", None)

    nights.resume()

    assert isinstance(asked, Asked)
    (item,) = asked.taken_back
    assert isinstance(item, OpenMember)
    assert (item.now.person_id, item.now.username, item.now.status) == ("ok0", "", MemberStatus.DISABLED)
    assert nights.journal.open_legs() == ()


def test_nobody_is_asked_to_add_whoever_is_blocked_after_the_addition_was_asked_for(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.school.members.remove(nights.member("ok1"))  # type: ignore[arg-type] # there is a member
    asked = nights.portal(Asked(nights))
    applier = nights.applier()
    applier.change([MembershipChange(ChangeKind.ADD, "engage", "ok1", None, Member("engage", "ok1"))])
    nights.journal.end_run(applier.run, "changed", 4)
    nights.journal.block("ok1", "bob@host", "custody order", None)

    nights.resume()

    assert isinstance(asked, Asked)
    assert Member("engage", "ok1") in asked.taken_back
    assert nights.journal.open_changes() == ()
