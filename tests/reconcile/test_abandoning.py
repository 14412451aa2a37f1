"""A named person gives up what is open: what people were asked to do by hand for it is taken back first."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from connector.errors import RunInProgress, SourceError, UnknownPerson
from connector.model import CloseMember, LegState
from connector.reconcile.abandoning import Abandoned, abandon
from tests.fakes import WorklistPortal
from tests.reconcile.journal_builders import scalar
from tests.reconcile.nights import Nights
from tests.reconcile.test_apply import leaving


class Withdrawable(WorklistPortal):
    """A worklist whose rows can be taken back, unless somebody has it open."""

    def __init__(self, name: str, nights: Nights) -> None:
        super().__init__(name, nights.school.members)
        self.nights = nights
        self.taken_back: list[str] = []
        self.still_open: list[int] = []
        self.locked = False

    def withdraw(self, batch: Sequence[CloseMember]) -> None:
        """Take rows back, and look how much was open at that moment."""
        if self.locked:
            raise SourceError("The worklist cannot be written.", "Close it in the spreadsheet.")
        self.taken_back += [item.before.person_id for item in batch]
        self.still_open.append(len(self.nights.open_journal().open_legs()))


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    """A school whose portal people close by hand: ok0 is on the list, and the sessions wait for it."""
    made = leaving(tmp_path)
    made.portal(Withdrawable("engage", made))
    made.run()
    assert ("ok0", "engage") in made.open_states()
    return made


def worklist(nights: Nights) -> Withdrawable:
    portal = nights.engage
    assert isinstance(portal, Withdrawable)
    return portal


def given_up(nights: Nights, which: int | str = "ok0") -> Abandoned:
    return abandon(nights.journal, nights.targets, which, "bob@host", "left the country", 60)


def living_claims(nights: Nights) -> int:
    # What ended within this very millisecond has ended: the journal writes microseconds, the clock milliseconds.
    now = "strftime('%Y-%m-%d %H:%M:%f') || '999'"
    return int(scalar(nights.journal, f"SELECT count(*) FROM claims WHERE expires_at > {now}"))  # noqa: S608 - ours


def test_the_row_is_taken_back_before_its_leg_is_called_off(nights: Nights) -> None:
    before = len(nights.journal.open_legs())

    done = given_up(nights)

    assert worklist(nights).taken_back == ["ok0"]
    assert worklist(nights).still_open == [before]
    assert done == Abandoned(before)
    assert nights.journal.open_legs() == ()
    whys = {leg.planned.target: leg.detail for leg in nights.journal.revocations("ok0")[0].legs}
    assert whys["engage"] == "abandoned by bob@host: left the country"


def test_a_leg_whose_row_cannot_be_taken_back_stays_open_and_is_named(nights: Nights) -> None:
    worklist(nights).locked = True

    done = given_up(nights)
    left = {(leg.planned.target, leg.state) for leg in nights.journal.open_legs()}
    worklist(nights).locked = False
    again = given_up(nights)

    assert [leg.planned.target for leg in done.left] == ["engage"]
    assert left == {("engage", LegState.INTENDED)}
    assert (again.left, nights.journal.open_legs()) == ((), ())


def test_a_revocation_is_given_up_by_its_number(nights: Nights) -> None:
    number = nights.journal.open_legs()[0].revocation_id

    given_up(nights, number)

    assert worklist(nights).taken_back == ["ok0"]
    assert nights.journal.open_legs() == ()


def test_what_somebody_is_driving_is_neither_taken_back_nor_called_off(nights: Nights) -> None:
    nights.journal.claim_many(["ok0"], "a running batch", 60)
    before = nights.open_states()

    with pytest.raises(RunInProgress, match="being changed by somebody else"):
        given_up(nights)

    assert worklist(nights).taken_back == []
    assert nights.open_states() == before


def test_where_nothing_is_open_nothing_is_taken_back(nights: Nights) -> None:
    with pytest.raises(UnknownPerson, match="Nothing is open for ok1"):
        given_up(nights, "ok1")

    assert worklist(nights).taken_back == []


def test_the_claim_is_given_back(nights: Nights) -> None:
    given_up(nights)

    assert living_claims(nights) == 0


def test_a_target_that_is_no_longer_in_the_config_is_given_up_too(nights: Nights) -> None:
    del nights.portals["engage"]

    done = given_up(nights)

    assert done.left == ()
    assert nights.journal.open_legs() == ()
