"""Old audit records go month by month into files that prove themselves, and no file goes that does not."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from connector.errors import ConfigError, JournalError
from connector.reconcile import sealing as module
from connector.reconcile.journal import Journal
from connector.reconcile.sealing import Sealing
from tests.reconcile.journal_builders import execute

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sealed"


def sealing(journal: Journal, folder: Path, days: int = 400, years: int = 0) -> Sealing:
    return Sealing(journal, folder, UTC, "alice", days, years)


def written(journal: Journal, *days: datetime) -> Journal:
    """Let something be said on each of these days; afterwards it is now."""
    for number, day in enumerate(days):
        journal.store.clock = lambda _, day=day: day  # type: ignore[misc] # its own day
        journal.block(f"p{number}", "alice", "court order")
    journal.store.clock = lambda _: NOW
    return journal


OLD = datetime(2025, 9, 10, tzinfo=UTC)
YOUNG = datetime(2025, 10, 20, tzinfo=UTC)


def test_whole_months_that_are_old_are_sealed_once(journal: Journal, folder: Path) -> None:
    written(journal, OLD, OLD + timedelta(days=1), YOUNG)

    first = sealing(journal, folder).seal(NOW)
    again = sealing(journal, folder).seal(NOW)

    assert first is not None
    file, checkpoint = first
    assert (file.name, checkpoint.first, checkpoint.last) == ("audit-000000001.jsonl", 1, 2)
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert again is None
    assert journal.verify_audit().ok
    assert journal.verify_sealed(file.read_text(encoding="ascii").splitlines()).ok


def test_the_next_file_goes_on_where_the_last_one_ended(journal: Journal, folder: Path) -> None:
    written(journal, OLD, YOUNG)
    sealing(journal, folder).seal(NOW)

    second = sealing(journal, folder).seal(NOW + timedelta(days=40))

    assert second is not None
    assert (second[0].name, second[1].first, second[1].last) == ("audit-000000002.jsonl", 2, 2)


@pytest.mark.parametrize("days", [0, 3000])
def test_nothing_is_sealed_that_is_kept_longer_or_for_ever(journal: Journal, folder: Path, days: int) -> None:
    written(journal, OLD)

    assert sealing(journal, folder, days).due(NOW) is None
    assert sealing(journal, folder, days).seal(NOW) is None
    assert not folder.exists()


def test_what_a_crash_left_in_the_folder_is_written_anew(journal: Journal, folder: Path) -> None:
    folder.mkdir()
    (folder / "audit-000000001.jsonl").write_text("half a li", encoding="ascii")
    written(journal, OLD, YOUNG)

    made = sealing(journal, folder).seal(NOW)

    assert made is not None
    assert journal.verify_sealed(made[0].read_text(encoding="ascii").splitlines()).ok


def test_a_file_that_is_not_read_back_as_it_was_written_takes_nothing_out(
    journal: Journal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(journal, OLD, YOUNG)
    monkeypatch.setattr(module, "read_lines", lambda file: file.read_text(encoding="ascii").splitlines()[:-1])

    with pytest.raises(JournalError, match="not as it was written"):
        sealing(journal, folder).seal(NOW)

    assert journal.checkpoints() == ()
    assert journal.verify_audit().records == 2


def test_a_sealed_file_goes_after_its_years_and_the_trail_says_so(journal: Journal, folder: Path) -> None:
    made = sealing(written(journal, OLD, YOUNG), folder).seal(NOW)
    assert made is not None
    later = NOW + timedelta(days=366)

    early = sealing(journal, folder, years=2).delete(later)
    gone = sealing(journal, folder, years=1).delete(later)
    again = sealing(journal, folder, years=1).delete(later)

    assert (early, gone, again) == ((), (made[0],), ())
    assert list(folder.iterdir()) == []
    assert journal.events(1)[0].text == "Sealed audit file audit-000000001.jsonl deleted, being older than 1 years."
    assert journal.verify_audit().ok


def test_a_file_that_does_not_prove_itself_or_has_no_seal_here_is_never_deleted(journal: Journal, folder: Path) -> None:
    made = sealing(written(journal, OLD, YOUNG), folder).seal(NOW)
    assert made is not None
    stranger = folder / "audit-000000777.jsonl"
    stranger.write_bytes(made[0].read_bytes())
    made[0].write_text(made[0].read_text(encoding="ascii").replace("court", "c0urt"), encoding="ascii")

    gone = sealing(journal, folder, years=1).delete(NOW + timedelta(days=4000))

    assert gone == ()
    assert sorted(folder.iterdir()) == [made[0], stranger]


def test_it_says_before_which_day_it_would_seal(journal: Journal, folder: Path) -> None:
    assert sealing(written(journal, OLD), folder).due(NOW) == date(2025, 10, 1)


def test_a_seal_whose_day_was_changed_in_the_database_makes_no_young_file_an_old_one(
    journal: Journal, folder: Path
) -> None:
    made = sealing(written(journal, OLD, YOUNG), folder).seal(NOW)
    assert made is not None
    execute(journal, "UPDATE checkpoints SET sealed_at = :at", at=datetime(1990, 1, 1, tzinfo=UTC))

    gone = sealing(journal, folder, years=1).delete(NOW)

    assert gone == ()
    assert made[0].exists()


@pytest.mark.parametrize("to", ["/dev/null", "elsewhere"])
def test_nothing_is_sealed_into_a_link_that_somebody_laid(journal: Journal, folder: Path, to: str) -> None:
    written(journal, OLD, YOUNG)
    folder.mkdir()
    (folder / "elsewhere").write_text("theirs", encoding="ascii")
    (folder / "audit-000000001.jsonl").symlink_to(to)

    with pytest.raises(ConfigError, match="no file of its own"):
        sealing(journal, folder).seal(NOW)

    assert journal.checkpoints() == ()
    assert (folder / "elsewhere").read_text(encoding="ascii") == "theirs"
