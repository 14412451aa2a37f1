"""A daemon over a journal that was put back from a backup looks and reports, and drives nothing before somebody has."""

from pathlib import Path

from connector.config import NightlyMode
from connector.reconcile.going_live import GO_LIVE, PUT_BACK
from tests.daemon.test_loop import harbour, leaves, open_after_a_night
from tests.daemon.world import Harbour


def put_back(one: Harbour) -> Harbour:
    one.journal.set_setting(GO_LIVE, PUT_BACK, "bob@host")
    return one


def test_what_was_open_is_not_driven_before_somebody_has_looked(tmp_path: Path) -> None:
    one, _ = open_after_a_night(tmp_path)
    tried = len(one.runs("retry"))
    put_back(one).nights.ad.trouble.lost_before = set()

    one.goes_on(one.daemon(), hours=2)
    waited = len(one.runs("retry")), one.nights.is_closed("ok0")
    one.journal.set_setting(GO_LIVE, "yes", "bob@host")
    one.goes_on(one.daemon(), hours=2)

    assert waited == (tried, False)
    assert one.nights.is_closed("ok0")


def test_nights_report_only_although_the_config_says_apply(tmp_path: Path) -> None:
    one = put_back(harbour(tmp_path))
    leaves(one, "ok0")
    before = one.nights.everything()

    one.goes_on(one.daemon(), days=1)

    assert one.mode is NightlyMode.APPLY
    assert one.hearing.results == ["reported"]
    assert one.nights.everything() == before


def test_going_back_to_report_mode_does_not_let_the_config_apply(tmp_path: Path) -> None:
    connector = put_back(harbour(tmp_path)).connector()

    connector.live.back()

    assert not connector.is_live
