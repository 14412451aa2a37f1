"""What was effective by a time is final once that time has passed: not before, and not where it is seen to live."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from connector.adapters.session_reading import unlisted_reading
from connector.model import EndSessions, LegKind, LegState, Outcome, SessionKey, SessionsReading
from connector.reconcile.certificate import certificate_text
from connector.reconcile.journal_store import database_time
from connector.reconcile.journal_values import StoredLeg
from tests.fakes import FakeSessionStore
from tests.reconcile.build import TODAY, school
from tests.reconcile.nights import Nights, settled
from tests.reconcile.test_terminating import urgent

HOUR = timedelta(hours=1)


class Cloud(FakeSessionStore):
    """A store that says by when its sessions are over; it lists none, unless somebody says that it does."""

    lists = False
    asked = 0

    def read_all(self) -> SessionsReading:
        return super().read_all() if self.lists else unlisted_reading(self.name, "cloud", self.user_key)

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        self.asked += 1
        return (Outcome(LegState.EFFECTIVE_BY, "revoked", effective_by=datetime.now(UTC) + HOUR),) * len(batch)


def revoked(folder: Path) -> tuple[Nights, Cloud]:
    """Give a school in which ok0 was closed but for cloud sessions, which are effective in an hour."""
    nights = settled(folder, school().families(6))
    cloud = nights.stores["web"] = Cloud("web", SessionKey.USERNAME, nights.school.sessions)
    nights.school.leave("ok0")
    assert nights.run().exit_code == 4
    return nights, cloud


def later(nights: Nights, by: timedelta) -> None:
    """Let time pass by the journal's clock."""

    def clock(connection: Connection) -> datetime:
        return database_time(connection) + by

    nights.journal._store.clock = clock


def cloud_leg(nights: Nights) -> StoredLeg:
    return next(leg for leg in nights.journal.revocations("ok0")[0].legs if leg.planned.kind is LegKind.SESSIONS)


def test_before_its_time_it_stays_open(tmp_path: Path) -> None:
    nights, _ = revoked(tmp_path)
    later(nights, HOUR - timedelta(minutes=5))

    result = nights.resume()

    assert result.exit_code == 4
    assert cloud_leg(nights).state is LegState.EFFECTIVE_BY


def test_once_its_time_has_passed_resume_records_it_closed_since_then(tmp_path: Path) -> None:
    nights, cloud = revoked(tmp_path)
    later(nights, HOUR + timedelta(minutes=5))

    result = nights.resume()

    leg = cloud_leg(nights)
    assert (result.exit_code, cloud.asked) == (0, 1)
    assert (leg.state, nights.journal.revocations("ok0")[0].state) == (LegState.CLOSED, "done")
    assert leg.effective_by is not None
    assert leg.detail == f"effective since {leg.effective_by:%Y-%m-%d %H:%M} UTC"
    assert "effective since" in nights.journal.history("ok0")[-1].text
    assert nights.journal.verify_audit().ok


def test_the_next_run_makes_it_final_too(tmp_path: Path) -> None:
    nights, _ = revoked(tmp_path)
    later(nights, HOUR + timedelta(minutes=5))

    assert nights.run().exit_code == 0
    assert cloud_leg(nights).state is LegState.CLOSED


def test_where_the_store_lists_a_session_all_the_same_it_is_driven_again_and_not_over(tmp_path: Path) -> None:
    nights, cloud = revoked(tmp_path)
    later(nights, HOUR + timedelta(minutes=5))
    cloud.lists = True

    nights.resume()

    assert cloud.asked == 2
    assert cloud_leg(nights).state is LegState.EFFECTIVE_BY


def test_while_the_store_cannot_be_read_it_waits(tmp_path: Path) -> None:
    nights, cloud = revoked(tmp_path)
    later(nights, HOUR + timedelta(minutes=5))
    cloud.lists = cloud.trouble.down = True

    nights.resume()

    assert cloud_leg(nights).state is LegState.EFFECTIVE_BY


def test_the_certificate_and_the_order_typed_again_tell_since_when(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2))
    nights.stores["web"] = Cloud("web", SessionKey.USERNAME, nights.school.sessions)
    nights.school.sessions.clear()
    nights.school.session("ok0")
    verbs = urgent(nights)
    stored, done = verbs.terminate(verbs.order(TODAY, "Cok0", "custody order"))
    later(nights, HOUR + timedelta(minutes=5))

    verbs.terminate(verbs.order(TODAY, "Cok0", "custody order"))

    text = certificate_text(verbs.certificate(stored.number))
    assert done.exit_code == 4
    assert "in web: effective since 2" in text
    assert "which has passed" in text
