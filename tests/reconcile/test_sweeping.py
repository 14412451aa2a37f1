"""Sessions end last, are looked at again after a while, and are called ended only when a look finds none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.errors import ConnectorError
from connector.model import LegState
from connector.reconcile.journal_values import Run, StoredLeg
from tests.reconcile.build import TODAY, school
from tests.reconcile.nights import Nights, settled
from tests.reconcile.test_apply import leaving


def sweeps(nights: Nights) -> int:
    return len(nights.web.trouble.writes)


def sessions_leg(nights: Nights, key: str = "ok0") -> StoredLeg:
    return next(leg for leg in nights.journal.revocations(key)[0].legs if leg.planned.target == "web")


def test_sessions_are_swept_again_after_the_settle_time_even_where_the_first_sweep_was_clean(tmp_path: Path) -> None:
    nights = leaving(tmp_path, settle_seconds=45)
    nights.school.sessions.clear()

    nights.run()

    assert sweeps(nights) == 2
    assert nights.slept == [30.0, 15.0]
    assert sessions_leg(nights).state is LegState.ALREADY_CLOSED


def test_a_session_its_application_brings_back_is_ended_until_a_sweep_is_clean(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.web.comes_back = 2

    result = nights.run()

    assert result.exit_code == 0
    assert sweeps(nights) == 4
    assert nights.sessions("ok0") == 0
    assert (sessions_leg(nights).state, sessions_leg(nights).ended) == (LegState.CLOSED, 3)


def test_where_sessions_keep_coming_back_the_sweeps_end_and_the_leg_stays_open(tmp_path: Path) -> None:
    nights = leaving(tmp_path, sweeps_max=3)
    nights.web.comes_back = 1_000

    result = nights.run()

    assert result.exit_code == 4
    assert sweeps(nights) == 4
    (leg,) = result.open_legs
    assert leg.state is LegState.INTENDED
    assert "a way that is not closed here" in leg.detail


def test_while_a_door_is_open_sessions_are_ended_and_their_leg_stays_open(tmp_path: Path) -> None:
    """Somebody signs in again through the door that could not be closed: the next run ends that session too."""
    nights = leaving(tmp_path)
    nights.ad.trouble.lost_before = {nights.account("ok0").guid}
    first = nights.run()
    nights.school.session("ok0")
    nights.ad.trouble.lost_before = set()

    second = nights.run()

    assert first.exit_code == 4
    assert "when the last door is closed" in next(leg for leg in first.open_legs if leg.planned.target == "web").detail
    assert second.exit_code == 0
    assert nights.is_closed("ok0")


def test_a_door_in_conflict_keeps_the_sessions_leg_open_although_nobody_drives_it(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.meanwhile = lambda: nights.edit_account("ok0", state="66048")
    nights.run()

    result = nights.resume()

    assert result.exit_code == 4
    assert nights.open_states() == {("ok0", "ad"): LegState.CONFLICT, ("ok0", "web"): LegState.INTENDED}


def test_a_login_racing_the_sweep_is_ended_by_the_next_sweep(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    logins = ["ok0"]

    def sign_in_again() -> None:
        if logins:
            nights.school.session(logins.pop())

    nights.web.after_sweep = sign_in_again

    result = nights.run()

    assert result.exit_code == 0
    assert nights.sessions("ok0") == 0
    assert sessions_leg(nights).ended == 2


def test_a_store_that_does_not_answer_leaves_its_legs_open(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.meanwhile = lambda: setattr(nights.web.trouble, "down", True)

    first = nights.run()
    nights.web.trouble.down = False
    second = nights.run()

    assert first.exit_code == 4
    assert [leg.state for leg in first.open_legs] == [LegState.UNREACHABLE]
    assert second.exit_code == 0
    assert nights.is_closed("ok0")


def test_a_store_that_fails_in_a_later_sweep_is_not_called_clean(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.web.after_sweep = lambda: setattr(nights.web.trouble, "down", True)

    result = nights.run()

    assert [leg.state for leg in result.open_legs] == [LegState.UNREACHABLE]
    assert sessions_leg(nights).ended == 1


def test_an_error_of_one_store_is_its_legs_outcome(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.web.trouble.raises = ConnectorError("the user column is gone")

    result = nights.run()

    assert [(leg.state, leg.detail) for leg in result.open_legs] == [(LegState.REFUSED, "the user column is gone")]


def test_only_the_sessions_of_those_who_go_are_ended(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 2)

    nights.run()

    assert sorted({s.user for s in nights.school.sessions}) == ["uok2", "uok3"]


def test_a_resumed_sweep_spares_sessions_that_began_after_the_intent_and_are_nobodys_we_know(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.web.comes_back = 1_000
    nights.run()
    nights.web.comes_back = 0
    nights.school.sessions.clear()
    nights.school.members[:] = [m for m in nights.school.members if m.person_id != "ok0"]
    nights.school.accounts[:] = [a for a in nights.school.accounts if a.username != "uok0"]
    old, new = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))
    legs = nights.journal.open_legs()
    nights.school.session("ok0", created_at=old, session_id="old").session("ok0", created_at=new, session_id="new")
    applier = nights.applier()

    applier.drive(legs, older_only=[leg.leg_id for leg in legs])

    assert [s.session_id for s in nights.school.sessions if s.user == "uok0"] == ["new"]


def test_the_lease_is_kept_while_it_settles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nights = settled(tmp_path, school().families(2), settle_seconds=90)
    nights.school.leave("ok0")
    applier = nights.applier()
    renewed: list[float] = []
    renew = nights.journal.renew

    def counted(run: Run, seconds: float) -> Run:
        renewed.append(seconds)
        return renew(run, seconds)

    monkeypatch.setattr(nights.journal, "renew", counted)
    row = nights.running().look(TODAY).plan.revocations[0]

    applier.revoke((row,), "")

    assert nights.slept == [30.0, 30.0, 30.0]
    assert len(renewed) == 3


@pytest.mark.parametrize("portals", [("engage",), ("engage", "alumni")])
def test_a_leg_ends_sessions_in_its_own_portals_only(tmp_path: Path, portals: tuple[str, ...]) -> None:
    nights = leaving(tmp_path)
    nights.school.session("ok0", "alumni")
    row = next(r for r in nights.running().look(TODAY).plan.revocations if r.key == "ok0")
    legs = tuple(replace(leg, portals=portals) if leg.target == "web" else leg for leg in row.legs)
    applier = nights.applier()

    applier.revoke((replace(row, legs=legs),), "")

    assert {s.portal for s in nights.school.sessions if s.user == "uok0"} == {"engage", "alumni"} - set(portals)
