"""Two processes on one journal: each waits for the other, and neither is ever told that the database is locked."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from connector.reconcile.journal import Journal
from tests.reconcile.conftest import OpenJournal
from tests.reconcile.journal_builders import KEY, scalar

_WRITES_AND_READS = """
import sys
from connector.reconcile.journal import Journal
url, key, name, often = sys.argv[1], bytes.fromhex(sys.argv[2]), sys.argv[3], int(sys.argv[4])
sys.stdin.readline()
for number in range(often):
    journal = Journal.open(url, audit_key=key)
    taken = journal.claim_many([f"p{n}" for n in range(100)], name, 60)
    journal.open_legs()
    journal.set_setting(f"{name} {number}", "x", name)
    journal.release_claims(taken)
    journal.disconnect()
print("done")
"""

_OPENS = """
import sys
from connector.reconcile.journal import Journal
sys.stdin.readline()
journal = Journal.open(sys.argv[1], audit_key=bytes.fromhex(sys.argv[2]))
journal.set_setting(sys.argv[3], "x", sys.argv[3])
journal.disconnect()
print("done")
"""

_DIES_HOLDING_THE_LOCK = """
import os, signal, sys
from connector.reconcile.journal import Journal
journal = Journal.open(sys.argv[1], audit_key=bytes.fromhex(sys.argv[2]))
with journal._store.writing() as writing:
    print("holds", flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def child(program: str, *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def all_at_once(children: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Let them start at the same moment; give what each said, or its error."""
    for one in children:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    said = [one.communicate(timeout=120) for one in children]
    return [out.strip() or error[-500:] for out, error in said]


def test_neither_of_two_that_write_all_the_time_is_told_of_a_lock(journal_url: str, open_journal: OpenJournal) -> None:
    journal = open_journal()

    said = all_at_once([child(_WRITES_AND_READS, journal_url, KEY.hex(), name, "15") for name in ("ada", "ben")])

    assert said == ["done", "done"]
    assert scalar(journal, "SELECT count(*) FROM settings WHERE name LIKE 'ada %' OR name LIKE 'ben %'") == 30
    assert journal.verify_audit().ok


@pytest.mark.parametrize("round_", range(3))
def test_processes_that_make_the_same_new_journal_at_once_all_get_it(tmp_path: Path, round_: int) -> None:
    url = f"sqlite:///{tmp_path / f'{round_}.db'}"

    said = all_at_once([child(_OPENS, url, KEY.hex(), name) for name in ("ada", "ben", "cleo")])

    assert said == ["done"] * 3
    journal = Journal.open(url, audit_key=KEY)
    assert scalar(journal, "SELECT count(*) FROM settings") >= 3
    journal.disconnect()


def test_a_process_killed_with_the_lock_in_its_hand_keeps_nobody_out(
    journal_url: str, open_journal: OpenJournal
) -> None:
    journal = open_journal()
    holding = child(_DIES_HOLDING_THE_LOCK, journal_url, KEY.hex())
    assert holding.stdout is not None
    assert holding.stdout.readline().strip() == "holds"
    all_at_once([holding])

    journal.set_setting("after", "x", "ada")

    assert journal.setting("after") == "x"
    assert journal.verify_audit().ok


def test_reading_waits_for_no_writer(open_journal: OpenJournal) -> None:
    journal, other = open_journal(), open_journal()

    with other._store.writing():
        legs = journal.open_legs()

    assert legs == ()
