"""After the night the journal is tidied: once a day, on the daemon's claim, and also where no night ever comes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.daemon.errand import Ran, Scene
from connector.daemon.errands import errands
from connector.daemon.housekeeping import DUTY, Housekeeping
from connector.errors import RunInProgress
from connector.reconcile.journal_values import Claim
from tests.daemon.world import Harbour
from tests.reconcile.build import school

OLD = timedelta(days=800)


@pytest.fixture
def harbour(tmp_path: Path) -> Harbour:
    """A school that has kept something for years."""
    harbour = Harbour(tmp_path, school().families(2))
    now = harbour.clock.now
    harbour.clock.now = now - OLD
    for _ in range(12):
        assert harbour.nights.run().result == "applied"
        harbour.clock.on(days=1)
    harbour.clock.now = now
    return harbour


def scene(harbour: Harbour, claim: Claim | None = None) -> Scene:
    claim = claim or harbour.journal.succeed("daemon", "me", 60)
    return Scene(harbour.connector(), claim, harbour.clock.now)


def night(harbour: Harbour, cause: str = "night") -> Ran:
    return Ran(cause, harbour.clock.now, harbour.clock.now)


def tidied(harbour: Harbour) -> int:
    """Count how often something was forgotten or sealed."""
    return sum(event.kind in ("forgotten", "sealed") for event in harbour.journal.events(1000))


def test_after_the_night_what_is_old_goes_and_old_records_are_sealed(harbour: Harbour) -> None:
    runs = len(harbour.journal.runs(100))

    Housekeeping().after(scene(harbour), night(harbour))

    (sealed,) = (harbour.folder / "sealed").iterdir()
    assert harbour.journal.verify_sealed(sealed.read_text(encoding="ascii").splitlines()).ok
    assert harbour.journal.verify_audit().ok
    assert len(harbour.journal.runs(100)) == runs  # the newest two hundred stay
    assert tidied(harbour) > 0


def test_it_is_done_once_a_day_and_after_nights_only(harbour: Harbour) -> None:
    keeping = Housekeeping()
    for cause in ("file people.csv", "webhook", "retry"):
        keeping.after(scene(harbour), night(harbour, cause))
    before = tidied(harbour)
    keeping.after(scene(harbour), night(harbour))
    first = harbour.journal.verify_audit().records
    keeping.after(scene(harbour), night(harbour, "caught-up"))
    keeping.every_minute(scene(harbour))

    assert before == 0
    assert harbour.journal.verify_audit().records == first


def test_a_daemon_without_nights_does_it_after_a_whole_day(harbour: Harbour) -> None:
    keeping = Housekeeping()
    keeping.every_minute(scene(harbour))
    new = tidied(harbour)
    harbour.clock.on(days=1)
    keeping.every_minute(scene(harbour))

    assert new == 0
    assert tidied(harbour) > 0
    assert harbour.journal.duties.find(DUTY)[DUTY].value == "2026-11-19"


def test_a_daemon_that_was_overtaken_forgets_nothing(harbour: Harbour) -> None:
    lost = harbour.journal.succeed("daemon", "me", 60)
    harbour.clock.on(minutes=2)
    harbour.journal.succeed("daemon", "somebody else", 60)

    with pytest.raises(RunInProgress):
        Housekeeping().after(scene(harbour, lost), night(harbour))

    assert tidied(harbour) == 0


def test_the_daemon_knows_of_it(harbour: Harbour) -> None:
    assert any(isinstance(errand, Housekeeping) for errand in errands(harbour.config()))


def test_the_clock_of_the_journal_says_what_is_old(harbour: Harbour) -> None:
    assert harbour.journal.oldest_audit_record() < datetime(2024, 10, 1, tzinfo=UTC)  # type: ignore[operator] # there is one
