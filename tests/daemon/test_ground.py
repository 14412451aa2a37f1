"""The daemon never works on a journal that nobody will ever read: its file is looked at before each step and send."""

import os
import sqlite3
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest

from connector.daemon.ground import Ground
from connector.errors import JournalError
from tests.daemon.test_loop import harbour, leaves


def moved(folder: Path, name: str = "journal.db", to: str = "gone.db") -> None:
    for end in ("", "-wal", "-shm"):
        if (folder / f"{name}{end}").exists():
            (folder / f"{name}{end}").rename(folder / f"{to}{end}")


def test_where_its_journal_is_gone_nobody_is_closed_and_no_empty_one_is_laid(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    daemon = one.daemon()
    daemon.step()
    leaves(one, "ok0")
    moved(tmp_path)

    one.goes_on(daemon, days=1)

    assert one.nights.is_open("ok0")
    assert "is gone" in daemon.state.problem
    assert not (tmp_path / "journal.db").exists()


def test_a_journal_that_was_put_back_is_read_from_then_on(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    daemon = one.daemon()
    daemon.step()
    leaves(one, "ok0")
    with closing(sqlite3.connect(tmp_path / "journal.db")) as now, closing(sqlite3.connect(tmp_path / "new.db")) as new:
        now.backup(new)
    one.journal.disconnect()
    moved(tmp_path)
    moved(tmp_path, "new.db", "journal.db")

    one.goes_on(daemon, days=1)

    assert one.nights.is_closed("ok0")
    assert one.runs("run") == ["applied"]
    assert one.journal.verify_audit().ok


def test_a_journal_that_goes_in_the_middle_of_a_run_ends_it_before_the_next_send(tmp_path: Path) -> None:
    one = harbour(tmp_path)
    daemon = one.daemon()
    daemon.step()
    moved(tmp_path)

    with pytest.raises(JournalError, match="is gone"):
        daemon._check()


def test_a_config_that_was_changed_is_said_once(tmp_path: Path, logged: StringIO) -> None:
    config = tmp_path / "config.toml"
    config.write_text("before")
    ground = Ground(harbour(tmp_path).journal, config)
    ground.look()
    early = logged.getvalue()
    config.write_text("after it")
    os.utime(config, ns=(1, 1))

    ground.look()
    ground.look()

    assert "config-changed" not in early
    assert logged.getvalue().count("config-changed") == 1
