"""While it settles, what was ended is looked at again and again, and ended at once where it was written back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from connector.errors import RunInProgress, TargetUnreachable
from connector.model import EndSessions, LegState
from connector.reconcile.watching import BUSY_SECONDS, CALM_SECONDS, Watch
from tests.reconcile.test_apply import leaving

ANNA, BEN = EndSessions("anna"), EndSessions("ben")


@dataclass
class Store:
    """A store whose sessions come back so often. `asked` are the items of every look."""

    back: dict[EndSessions, int] = field(default_factory=dict)
    asked: list[set[EndSessions]] = field(default_factory=list)
    down: bool = False

    def end_again(self, batch: Sequence[EndSessions]) -> frozenset[EndSessions]:
        self.asked.append(set(batch))
        if self.down:
            raise TargetUnreachable("web does not answer.")
        found = frozenset(item for item in batch if self.back.get(item))
        self.back.update({item: self.back[item] - 1 for item in found})
        return found


def watch(slept: list[float], **stores: Store) -> Watch:
    items = {name: {ANNA: 1, BEN: 2} for name in stores}
    return Watch(stores, items, lambda: None, slept.append)


def test_what_was_ended_is_looked_at_some_times_a_second_for_as_long_as_it_settles() -> None:
    web, slept = Store(), list[float]()

    came_back = watch(slept, web=web).for_seconds(2)

    assert not came_back
    assert len(web.asked) == pytest.approx(2 / CALM_SECONDS, abs=2)
    assert sum(slept) == pytest.approx(2, abs=0.1)


def test_what_has_come_back_once_is_looked_at_much_more_often_and_the_rest_is_not() -> None:
    web, slept = Store({ANNA: 1}), list[float]()
    watching = watch(slept, web=web)

    came_back = watching.for_seconds(2)

    assert (came_back, watching.returned) == (True, {1})
    assert web.asked.count({ANNA}) > 20 * web.asked.count({ANNA, BEN})
    assert min(slept[:-1]) >= BUSY_SECONDS


def test_a_store_that_fails_is_left_to_the_next_sweep_and_the_others_are_watched() -> None:
    broken, web = Store(down=True), Store({BEN: 1})
    watching = watch([], broken=broken, web=web)

    watching.for_seconds(1)

    assert len(broken.asked) == 1
    assert watching.returned == {2}


def test_whoever_has_lost_the_lease_ends_nothing_more() -> None:
    def lost() -> None:
        raise RunInProgress("The lease was lost.", "")

    web = Store({ANNA: 1})

    with pytest.raises(RunInProgress):
        Watch({"web": web}, {"web": {ANNA: 1}}, lost, lambda _: None).for_seconds(1)

    assert web.asked == []


def test_a_leg_whose_session_came_back_while_it_settled_is_settled_and_swept_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights = leaving(tmp_path, settle_seconds=10)
    looks: list[int] = []

    def end_again(batch: Sequence[EndSessions]) -> frozenset[EndSessions]:
        looks.append(len(nights.web.trouble.writes))
        return frozenset(batch) if len(looks) == 3 else frozenset()

    monkeypatch.setattr(nights.web, "end_again", end_again, raising=False)

    result = nights.run()

    assert result.exit_code == 0
    assert len(nights.web.trouble.writes) == 3
    assert set(looks) == {1, 2}
    assert sum(nights.slept) == pytest.approx(20, abs=1)
    leg = next(leg for leg in nights.journal.revocations("ok0")[0].legs if leg.planned.target == "web")
    assert (leg.state, leg.ended) == (LegState.CLOSED, 1)


def test_where_nothing_was_ended_nothing_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nights = leaving(tmp_path, settle_seconds=10)
    nights.school.sessions.clear()
    asked: list[object] = []
    monkeypatch.setattr(nights.web, "end_again", asked.append, raising=False)

    nights.run()

    assert asked == []
