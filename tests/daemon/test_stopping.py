"""Asked to stop, a run ends between two sends: no leg half sent, everything else driven by the next one."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from connector.daemon.stopping import Stopping
from connector.errors import StoppedEarly
from connector.model import CloseMember, LegState, Outcome
from connector.permission import before_send
from connector.reconcile.boundaries import Boundary
from connector.reconcile.interrupting import QUIET, Attendance
from tests.daemon.test_loop import _NIGHT, harbour, leaves
from tests.fakes import FakePortal
from tests.reconcile.build import TODAY, school
from tests.reconcile.nights import Nights, settled

LEAVERS = ("ok0", "ok1", "ok2", "ok3", "ok4")


class AskedAt:
    """Asks to stop at the Nth quiet place."""

    def __init__(self, place: int) -> None:
        self.left = place

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise StoppedEarly("Asked to stop.")


class InWindows(FakePortal):
    """Closes one member by one request, as slow systems do. `meanwhile` happens after the first."""

    def __init__(self, like: FakePortal, meanwhile: Callable[[], object]) -> None:
        super().__init__(like.name, like.members)
        self.meanwhile, self.windows = meanwhile, 0

    def close(self, batch: Sequence[CloseMember]) -> tuple[Outcome, ...]:
        return tuple(outcome for item in batch for outcome in self._window(item))

    def _window(self, item: CloseMember) -> tuple[Outcome, ...]:
        before_send()
        self.windows += 1
        outcomes = super().close([item])
        if self.windows == 1:
            self.meanwhile()
        return outcomes


def busy(folder: Path) -> Nights:
    nights = settled(folder, school().families(8), batch_size=2, settle_seconds=40)
    for person in LEAVERS:
        nights.school.leave(person)
    return nights


def test_wherever_a_run_is_asked_to_stop_nothing_is_half_sent_and_the_next_finishes(tmp_path: Path) -> None:
    place, stopped = 0, 0
    while True:
        place += 1
        (tmp_path / str(place)).mkdir()
        nights = busy(tmp_path / str(place))
        running = nights.running().attended(Attendance(check=AskedAt(place), sleep=nights.slept.append))
        try:
            running.run(TODAY)
        except StoppedEarly:
            stopped += 1
        else:
            break
        unrecorded = [leg for leg in nights.journal.open_legs() if leg.attempts and leg.planned.kind != "sessions"]
        half = [leg for leg in unrecorded if leg.state is LegState.INTENDED]
        last = nights.journal.runs(1)[0]

        assert half == []
        assert last.result in ("stopped-early", "applied")  # before it began there is no run of its own
        assert nights.run().result == "applied"
        assert all(nights.is_closed(person) for person in LEAVERS)
        assert nights.is_open("ok7")
        assert nights.journal.verify_audit().ok
    assert stopped > len(QUIET)


def test_a_quiet_place_is_none_at_which_a_try_is_counted_or_an_effect_unrecorded() -> None:
    loud = {boundary for boundary in Boundary if boundary.endswith(("-counted", "-sent", "swept"))}

    assert not QUIET & loud


def test_a_daemon_that_is_asked_to_stop_in_a_batch_leaves_the_rest_for_the_next_one(tmp_path: Path) -> None:
    one = harbour(tmp_path, families=8)
    leaves(one, *LEAVERS[:3])
    first = one.daemon()
    first.step()
    one.clock.now = _NIGHT
    one.nights.engage.trouble.meanwhile = first.stopping.ask

    first.step()
    ended, heard, was_open = one.runs(), list(one.hearing.causes), len(one.journal.open_legs())
    first.close()
    one.goes_on(one.daemon(), hours=1)

    assert (ended, heard) == (["stopped-early"], [])
    assert was_open >= 3
    assert one.runs() == ["stopped-early", "applied"]
    assert all(one.nights.is_closed(person) for person in LEAVERS[:3])
    assert one.journal.verify_audit().ok


def test_a_daemon_that_is_asked_to_stop_between_two_requests_of_a_batch_sends_no_further_one(tmp_path: Path) -> None:
    one = harbour(tmp_path, families=8)
    leaves(one, *LEAVERS[:3])
    first = one.daemon()
    first.step()
    one.clock.now = _NIGHT
    portal = InWindows(one.nights.engage, first.stopping.ask)
    one.nights.portal(portal)
    first.connector.targets = one.targets

    first.step()
    ended, windows = one.runs(), portal.windows
    left = [(leg.state, leg.attempts) for leg in one.journal.open_legs() if leg.planned.target == "engage"]
    first.close()
    one.goes_on(one.daemon(), hours=1)

    assert (ended, windows) == (["stopped-early"], 1)
    assert left == [(LegState.INTENDED, 1)] * 3  # counted, and none is called closed that was not read back
    assert one.runs() == ["stopped-early", "applied"]
    assert all(one.nights.is_closed(person) for person in LEAVERS[:3])
    assert one.journal.verify_audit().ok


def test_a_wait_ends_when_somebody_asks_to_stop() -> None:
    stopping = Stopping()
    began = time.monotonic()
    threading.Timer(0.05, stopping.ask).start()

    stopping.wait(20)

    assert time.monotonic() - began < 10
    with pytest.raises(StoppedEarly):
        stopping.check()


def test_a_bell_wakes_who_rests_and_shortens_no_settle_time() -> None:
    stopping = Stopping()
    stopping.ring()
    began = time.monotonic()
    stopping.wait(0.1)
    waited = time.monotonic() - began

    began = time.monotonic()
    stopping.rest(20)

    assert waited >= 0.1
    assert time.monotonic() - began < 10


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is none on Windows")
@pytest.mark.parametrize("ignored", ["ignored", ""])
def test_a_terminal_that_closes_ends_the_daemon_gracefully_but_for_nohup(ignored: str) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    stopping = Stopping()
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
        stopping.on_signals(60, lambda _: None)
        os.kill(os.getpid(), signal.SIGHUP)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

    assert stopping.asked is not bool(ignored)


def test_a_signal_asks_to_stop_and_a_process_that_does_not_is_left() -> None:
    signals = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in signals}
    left = threading.Event()
    codes: list[int] = []
    stopping = Stopping()

    def leave(code: int) -> None:
        codes.append(code)
        left.set()

    try:
        stopping.on_signals(0.05, leave)
        os.kill(os.getpid(), signal.SIGTERM)
        stopping.rest(10)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

    assert stopping.asked
    assert left.wait(10)
    assert codes == [1]
