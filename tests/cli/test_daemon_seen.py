"""What is seen of the daemon from the command line, without asking it."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

from connector.daemon.sight import WORKER, Worker
from tests.cli.builders import School


def test_check_and_status_say_that_the_daemon_is_gone(closed: School) -> None:
    with closing(sqlite3.connect(closed.folder / "journal.sqlite")) as journal, journal:
        worker = Worker("attic", 41, datetime(2026, 11, 18, 12, 0, tzinfo=UTC)).text()
        journal.execute("INSERT INTO duties (name, done_at, value) VALUES (?, '2026-11-18', ?)", (WORKER, worker))

    checked, status = closed.typed("check"), closed.typed("status")

    assert "WARNING  daemon: None works just now; the last one did on attic" in checked.out
    assert "None works just now; the last one did on attic" in status.out
