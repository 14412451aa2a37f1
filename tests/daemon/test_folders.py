"""What arrives in a watched folder leads to a run: once it rests, once, and also when the daemon slept meanwhile."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.daemon.folders import Folders, listing_of, listing_text
from tests.daemon.test_loop import harbour
from tests.daemon.world import Harbour

NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
REST = timedelta(seconds=10)


def watching(folder: Path, **settings: Any) -> tuple[Harbour, Path]:
    """Give a school that watches `inbox`, in which a file lies already."""
    inbox = folder / "inbox"
    inbox.mkdir()
    (inbox / "people.csv").write_text("old")
    return harbour(folder, watch=("inbox",), **settings), inbox


def looks(one: Harbour, daemon: Any, seconds: int) -> None:
    """Let the daemon look around as often as its own loop does."""
    for _ in range(0, seconds, 5):
        one.clock.on(seconds=5)
        daemon.step()


def test_what_lay_there_at_the_start_is_no_news(tmp_path: Path) -> None:
    one, _ = watching(tmp_path)

    looks(one, one.daemon(), 120)

    assert one.hearing.causes == []


def test_a_file_that_arrives_leads_to_one_run_under_its_name(tmp_path: Path) -> None:
    one, inbox = watching(tmp_path)
    daemon = one.daemon()
    looks(one, daemon, 30)
    (inbox / "people.csv").write_text("newer")

    looks(one, daemon, 1200)

    assert one.hearing.causes == ["file people.csv"]


def test_a_file_that_is_still_being_written_is_waited_for(tmp_path: Path) -> None:
    one, inbox = watching(tmp_path)
    daemon = one.daemon()
    looks(one, daemon, 30)
    for size in range(8):
        (inbox / "people.csv").write_text("x" * (size + 10))
        looks(one, daemon, 5)
    early = list(one.hearing.causes)

    looks(one, daemon, 30)

    assert early == []
    assert one.hearing.causes == ["file people.csv"]


def test_what_arrived_while_no_daemon_was_there_is_news_for_the_next(tmp_path: Path) -> None:
    one, inbox = watching(tmp_path)
    first = one.daemon()
    looks(one, first, 30)
    first.close()
    (inbox / "leavers.csv").write_text("new")

    looks(one, one.daemon(), 30)

    assert one.hearing.causes == ["file leavers.csv"]


def test_several_files_are_one_run_and_the_next_is_some_minutes_later(tmp_path: Path) -> None:
    one, inbox = watching(tmp_path)
    daemon = one.daemon()
    looks(one, daemon, 30)
    (inbox / "a.csv").write_text("1")
    (inbox / "b.csv").write_text("2")
    looks(one, daemon, 60)
    (inbox / "c.csv").write_text("3")

    looks(one, daemon, 600)
    early = len(one.hearing.causes)
    looks(one, daemon, 600)

    assert early == 1
    assert one.hearing.causes[1:] == ["file c.csv"]


def test_a_run_that_failed_leaves_the_file_news(tmp_path: Path) -> None:
    one, inbox = watching(tmp_path)
    daemon = one.daemon()
    looks(one, daemon, 30)
    one.nights.admin.trouble.down = True
    (inbox / "people.csv").write_text("half of it is missing")
    looks(one, daemon, 60)
    one.nights.admin.trouble.down = False

    looks(one, daemon, 1000)

    assert one.hearing.results == ["error", "applied"]


@pytest.mark.parametrize("name", [".hidden", "people.csv.part", "people.csv.filepart", "people.tmp", "people.csv~"])
def test_what_a_copying_program_has_not_finished_is_not_seen(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("half")

    assert Folders([tmp_path], REST).listing() == {}


def test_a_folder_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    folders = Folders([tmp_path / "away"], REST)
    before = folders.news({}, NOON)
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "people.csv").write_text("x")
    folders.news({}, NOON)

    news = folders.news({}, NOON + REST)

    assert before is None
    assert news is not None
    assert news[0] == "people.csv"


def test_a_copy_that_keeps_the_old_time_is_news_by_its_size(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("old")
    folders = Folders([tmp_path], REST)
    known, at = folders.listing(), file.stat().st_mtime_ns
    file.write_text("newer")
    os.utime(file, ns=(at, at))
    folders.news(known, NOON)

    assert folders.news(known, NOON + REST) is not None


@pytest.mark.parametrize(
    ("name", "said"), [(b"people\n\x1b[2J.csv", "people??[2J.csv"), (b"\xff.csv", "?.csv")], ids=["breaks", "bytes"]
)
def test_a_hostile_name_breaks_no_line(tmp_path: Path, name: bytes, said: str) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("x")
    except (OSError, ValueError):
        pytest.skip("this file system takes no such name")
    folders = Folders([tmp_path], REST)
    folders.news({}, NOON)

    news = folders.news({}, NOON + REST)

    assert news == (said, NOON)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are none on Windows")
def test_a_folder_may_hold_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")

    assert Folders([tmp_path, tmp_path / "loop", tmp_path / "pipe"], REST).listing() == {}


def test_a_listing_is_read_as_it_was_written() -> None:
    listing = {"inbox/people.csv": (12, 1_700_000_000_000_000_001)}

    assert listing_of(listing_text(listing)) == listing
    assert listing_of(None) is None
    assert listing_of("[1]") == {}
