"""A backup holds all of a journal, for either database, and is believed whole or not at all."""

import gzip
import json
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import inspect, select

from connector.errors import ConfigError, JournalError
from connector.reconcile import journal_tables as tables
from connector.reconcile.going_live import GO_LIVE
from connector.reconcile.journal import Journal
from connector.reconcile.journal_audit import key_check
from connector.reconcile.journal_backup import FORMAT, lay_backup, take_backup
from connector.reconcile.journal_daemon_tables import outbox
from connector.reconcile.journal_engine import open_engine
from connector.reconcile.journal_migrate import upgrade
from connector.reconcile.journal_place import Place
from connector.reconcile.journal_restore import Restored, fill, prove, put_back
from connector.reconcile.journal_store import Store
from tests.reconcile import new_journal
from tests.reconcile.conftest import OpenJournal
from tests.reconcile.full_journal import filled, rows_of_each
from tests.reconcile.journal_builders import KEY, TODAY, begin, execute, plan
from tests.servers.postgres import PostgresServer

OTHER_KEY = b"fedcba9876543210fedcba9876543210"


def place(url: str, key: bytes = KEY) -> Place:
    return Place.open(url, audit_key=key, password="", silence_seconds=60, create=True)


def content(file: Path) -> list[str]:
    """Give the lines of a backup, but for when it was made."""
    header, *lines = gzip.decompress(file.read_bytes()).decode("ascii").splitlines()
    known = {**json.loads(header), "made_at": ""}
    end = {**json.loads(lines.pop()), "mac": ""}
    return [json.dumps(known), *lines, json.dumps(end)]


def poured(file: Path, url: str, again: Path) -> None:
    """Write the rows of a backup into an empty database and nothing else, and back that up."""
    with place(url) as new:
        made = prove(file, KEY)
        with new.store.engine.execution_options(journal_writes=True).begin() as conn:
            fill(conn, file, made, KEY)
        lay_backup(new.store, "Harbour", again)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a journal that has something in every table, and its backup; no test changes it."""
    folder = tmp_path_factory.mktemp("full")
    with filled(Journal.open(new_journal.lay(folder / "full.db"), audit_key=KEY)) as journal:
        take_backup(journal.store, "Harbour", folder / "made.backup", "alice")
    return folder


@pytest.fixture
def full(once: Path, tmp_path: Path) -> Iterator[Journal]:
    shutil.copy(once / "full.db", tmp_path)
    with Journal.open(f"sqlite:///{tmp_path / 'full.db'}", audit_key=KEY) as journal:
        yield journal


@pytest.fixture
def backup(once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(once / "made.backup", tmp_path))


def restored(file: Path, url: str) -> Restored:
    with place(url) as new:
        return put_back(new.store, file, prove(file, KEY), "bob")


# --- all of it ------------------------------------------------------------------------------------------------------


def test_the_journal_these_tests_use_has_something_in_every_table(full: Journal) -> None:
    empty = [name for name, rows in rows_of_each(full).items() if not rows]

    assert empty == []


def test_every_value_goes_from_sqlite_to_postgresql_and_back(
    full: Journal, postgres: PostgresServer, tmp_path: Path
) -> None:
    first, there, back = (tmp_path / name for name in ("first", "there", "back"))
    lay_backup(full.store, "Harbour", first)

    poured(first, postgres.create_database(), there)
    poured(there, f"sqlite:///{tmp_path / 'back.db'}", back)

    assert content(first) == content(there) == content(back)


def test_what_is_put_back_verifies_and_says_who_put_it_back(journal_url: str, backup: Path, full: Journal) -> None:
    head = full.verify_audit().head

    done = restored(backup, journal_url)

    with Journal.open(journal_url, audit_key=KEY) as journal:
        assert (done.state.ok, journal.verify_audit(done.backup.header.head).ok) == (True, True)
        last = journal.events(1)[0]
        assert (last.kind, last.operator) == ("journal-restored", "bob")
        assert done.backup.digest in last.text
        assert journal.memory(TODAY).blocks.keys() == full.memory(TODAY).blocks.keys()
        assert journal.plan(plan().plan_id).plan == full.plan(plan().plan_id).plan
        assert journal.last_accepted() == full.last_accepted()
        # A head from after the backup shows that something is missing.
        later = journal.verify_audit(f"{int(head.partition(':')[0]) + 9}:{'0' * 64}")
        assert "the given head counts" in later.sentence


def test_who_held_something_then_holds_it_no_more(journal_url: str, backup: Path) -> None:
    restored(backup, journal_url)

    with Journal.open(journal_url, audit_key=KEY) as journal:
        assert len(journal.claim_many(("p1", "p2"), "somebody", 60)) == 2
        assert begin(journal).run_id == 2


def test_what_is_put_back_only_reports_and_sends_nothing_twice(journal_url: str, backup: Path) -> None:
    done = restored(backup, journal_url)

    with Journal.open(journal_url, audit_key=KEY) as journal:
        assert (journal.setting(GO_LIVE), done.unsent) == ("put-back", 1)
        assert journal.duties.due() == ()
        assert journal.duties.find()["night"].value == "2026-03-29"
        with journal.store.reading() as conn:
            assert "put back from a backup" in conn.scalars(select(outbox.c.problem)).one()


def test_what_was_open_is_open_still(journal_url: str, backup: Path, full: Journal) -> None:
    restored(backup, journal_url)

    with Journal.open(journal_url, audit_key=KEY) as journal:
        assert [leg.leg_id for leg in journal.open_legs()] == [leg.leg_id for leg in full.open_legs()] != []


def test_a_backup_is_for_its_owner_alone_and_replaces_an_older_one_only(full: Journal, tmp_path: Path) -> None:
    file, other = tmp_path / "a.backup", tmp_path / "config.toml"
    other.write_text("[school]", encoding="utf-8")

    made = [take_backup(full.store, "Harbour", file, "alice") for _ in range(2)]

    assert made[0].digest != made[1].digest
    assert prove(file, KEY).digest == made[1].digest
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="is no backup: it was left as it is"):
        take_backup(full.store, "Harbour", other, "alice")
    assert other.read_text(encoding="utf-8") == "[school]"
    assert sorted(tmp_path.glob(".a.backup*")) == []


def test_the_audit_key_and_no_trace_of_it_is_in_a_backup(backup: Path) -> None:
    lines = gzip.decompress(backup.read_bytes())

    assert KEY not in lines
    assert KEY.hex().encode() not in lines


# --- what is not believed -------------------------------------------------------------------------------------------


def cut(lines: bytes) -> bytes:
    return gzip.compress(lines[: lines.rindex(b"\n", 0, -1) + 1])


def cut_in_a_line(lines: bytes) -> bytes:
    return gzip.compress(lines[:-40])


def cut_while_packed(lines: bytes) -> bytes:
    return gzip.compress(lines)[:-30]


def changed(lines: bytes) -> bytes:
    return gzip.compress(lines.replace(b"court order", b"court 0rder", 1))


def without_a_row(lines: bytes) -> bytes:
    kept = lines.splitlines(keepends=True)
    place = next(number for number, line in enumerate(kept) if b"court order" in line)
    return gzip.compress(b"".join(kept[:place] + kept[place + 1 :]))


def with_more_after_it(lines: bytes) -> bytes:
    return gzip.compress(lines + b"[1]\n")


def no_backup(lines: bytes) -> bytes:
    return b"PK" + lines[:100]


def another_text(_: bytes) -> bytes:
    return gzip.compress(b'{"hello": "world"}\n')


@pytest.mark.parametrize(
    "spoilt",
    [cut, cut_in_a_line, cut_while_packed, changed, without_a_row, with_more_after_it, no_backup, another_text],
    ids=lambda spoilt: spoilt.__name__,
)
def test_a_spoilt_backup_is_refused_before_anything_is_written(backup: Path, spoilt: Callable[[bytes], bytes]) -> None:
    backup.write_bytes(spoilt(gzip.decompress(backup.read_bytes())))

    with pytest.raises(JournalError, match=r"cannot be believed.*Nothing was written"):
        prove(backup, KEY)


def foreign(*lines: object, **header: object) -> bytes:
    """Give a backup by somebody who has seen one, and does not have the key: the header tells right from wrong keys."""
    known = {"format": FORMAT, "version": 1, "revision": "0001", "school": "Harbour"}
    known |= {"made_at": "2026-11-22T00:00:00+00:00", "head": "0:0", "key": key_check(KEY)} | header
    return gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in (known, *lines)))


@pytest.mark.parametrize(
    "content",
    [
        foreign({"table": "audit", "columns": 5}),
        foreign({"table": "audit"}),
        foreign({"table": ["audit"], "columns": []}),
        foreign({"table": "audit", "columns": [["id; DROP TABLE audit"]]}),
        foreign({"counts": {}, "mac": "\ud800"}),
        foreign(key="\ud800"),
        foreign({"columns": ["id"], "table": "no_such_table"}, [1], {"counts": {"no_such_table": 1}, "mac": "0" * 64}),
        foreign([1]),
        foreign() + foreign(),
    ],
    ids=["columns", "no-columns", "table", "sql", "mac", "key", "no-such-table", "row-before-table", "two-members"],
)
def test_a_backup_by_somebody_without_the_key_is_refused_in_words(backup: Path, content: bytes) -> None:
    backup.write_bytes(content)

    with pytest.raises(JournalError, match=r"cannot be believed.*Nothing was written"):
        prove(backup, KEY)


def test_what_is_not_proven_fills_no_memory_whatever_it_unpacks_to(backup: Path) -> None:
    start = gzip.decompress(foreign({"columns": ["id"], "table": "audit"}))
    with gzip.open(backup, "wb", compresslevel=1) as file:
        file.write(start + b"[")
        for _ in range(64):
            file.write(b"[]," * (1 << 18))
        file.write(b"1]\n")
    tracemalloc.start()

    with pytest.raises(JournalError, match="cannot be believed"):
        prove(backup, KEY)

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 16 << 20


def test_a_second_member_or_anything_else_behind_the_end_is_refused(backup: Path) -> None:
    whole = backup.read_bytes()

    for more in (gzip.compress(b"[1]\n"), gzip.compress(b"\n"), whole, b"PK"):
        backup.write_bytes(whole + more)
        with pytest.raises(JournalError, match="cannot be believed"):
            prove(backup, KEY)


def test_a_backup_never_follows_a_link_that_was_laid_under_its_name(full: Journal, tmp_path: Path) -> None:
    theirs, link = tmp_path / "theirs", tmp_path / "link"
    theirs.write_bytes(gzip.compress(b"an older backup"))
    link.symlink_to(theirs)

    lay_backup(full.store, "Harbour", link)

    assert gzip.decompress(theirs.read_bytes()) == b"an older backup"
    assert not link.is_symlink()
    assert prove(link, KEY).header.school == "Harbour"


def test_a_backup_made_with_another_key_is_refused_and_says_so(backup: Path) -> None:
    with pytest.raises(JournalError, match="made with another audit key"):
        prove(backup, OTHER_KEY)


def test_a_backup_that_is_changed_after_it_was_proven_leaves_nothing_written(journal_url: str, backup: Path) -> None:
    proven = prove(backup, KEY)
    backup.write_bytes(changed(gzip.decompress(backup.read_bytes())))

    with place(journal_url) as new:
        with pytest.raises(JournalError, match="cannot be believed"):
            put_back(new.store, backup, proven, "bob")
        with new.store.reading() as conn:
            assert inspect(conn).get_table_names() == []


def test_a_backup_is_never_put_over_a_journal(journal_url: str, backup: Path) -> None:
    Journal.open(journal_url, audit_key=KEY).disconnect()

    with place(journal_url) as new, pytest.raises(JournalError, match="none is ever put over another"):
        put_back(new.store, backup, prove(backup, KEY), "bob")


def test_a_journal_whose_trail_does_not_hold_is_not_put_back(full: Journal, journal_url: str, tmp_path: Path) -> None:
    execute(full, "UPDATE audit SET text = 'nothing happened' WHERE id = (SELECT max(id) FROM audit)")
    lay_backup(full.store, "Harbour", tmp_path / "bad.backup")

    with place(journal_url) as new, pytest.raises(JournalError, match="does not hold"):
        put_back(new.store, tmp_path / "bad.backup", prove(tmp_path / "bad.backup", KEY), "bob")


# --- revisions ------------------------------------------------------------------------------------------------------


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """Give the backup of a journal of an earlier version, taken by this one before it is brought forward."""
    store = Store(open_engine(f"sqlite:///{tmp_path / 'old.db'}", "", create=True), KEY)
    with store.engine.execution_options(journal_writes=True).begin() as conn:
        upgrade(conn, "0003")
        head = {"id": 1, "records": 0, "mac": "0" * 64, "key_check": key_check(KEY)}
        conn.execute(tables.audit_head.insert().values(**head))
    take_backup(store, "Harbour", tmp_path / "old.backup", "alice")
    return tmp_path / "old.backup"


def test_an_older_backup_is_put_back_only_where_it_may_be_brought_forward(older: Path, journal_url: str) -> None:
    proven = prove(older, KEY)

    with place(journal_url) as new:
        with pytest.raises(JournalError, match=r"older version.*0003.*--migrate"):
            put_back(new.store, older, proven, "bob")
        done = put_back(new.store, older, proven, "bob", migrate=True)

    with Journal.open(journal_url, audit_key=KEY) as journal:
        assert (done.state.ok, journal.verify_audit().ok) == (True, True)


# --- while others write ---------------------------------------------------------------------------------------------

_WRITES = """
import sys
from connector.reconcile.journal import Journal
journal = Journal.open(sys.argv[1], audit_key=bytes.fromhex(sys.argv[2]))
print("begun", flush=True)
number = 0
while True:
    journal.block(f"n{number}", "bob", "again")
    number += 1
"""


def test_a_backup_taken_while_another_process_writes_is_one_state(
    open_journal: OpenJournal, journal_url: str, tmp_path: Path
) -> None:
    journal = filled(open_journal())
    arguments = [sys.executable, "-c", _WRITES, journal_url, KEY.hex()]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        try:
            before = datetime.now(UTC)
            made = [take_backup(journal.store, "Harbour", tmp_path / f"{n}.backup", "alice") for n in range(3)]
            assert writer.poll() is None
        finally:
            writer.kill()
    written = journal.verify_audit().records

    done = restored(tmp_path / "2.backup", f"sqlite:///{tmp_path / 'new.db'}")

    records = [int(one.header.head.partition(":")[0]) for one in made]
    assert done.state.ok
    assert records == sorted(records)
    assert records[0] < records[2] <= written
    assert made[2].header.made_at - before < timedelta(minutes=5)
