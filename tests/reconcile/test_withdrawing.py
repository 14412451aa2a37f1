"""What people were asked to do by hand is taken back before its leg is called off, or the leg stays open."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from connector.errors import SourceError
from connector.model import CloseMember, LegState
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
