"""The audit key and its journal are made together, once: neither is made anew in silence where the other is there."""

import os
import threading
import time
from pathlib import Path

import pytest

from connector.config import Config, load
from connector.demo import build
from connector.errors import JournalError, NoJournal, NotAllowed
from connector.journal_key import open_journal, start_anew
from tests.cli.builders import SAMPLE, typed
from tests.reconcile.build import TODAY


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Give the config of a school whose journal was never opened."""
    return load(build(SAMPLE, tmp_path / "school"))


def journal_of(config: Config) -> Path:
    return Path(config.journal_url.removeprefix("sqlite:///"))


def key_of(config: Config) -> Path:
    return config.site.path(config.journal.audit_key.file)


def lost(config: Config) -> None:
    """Let a journal that knows of a block be deleted, a while after its key was made."""
    with open_journal(config) as journal:
        journal.block("p1", "ada", "court order")
    for name in journal_of(config).parent.glob("journal.sqlite*"):
        name.unlink()
    os.utime(key_of(config), (time.time() - 3600,) * 2)


def test_key_and_journal_are_made_together_the_first_time(config: Config) -> None:
    with open_journal(config) as journal:
        assert journal.verify_audit().records == 0

    assert key_of(config).is_file()


def test_a_deleted_journal_whose_key_is_there_is_refused_with_both_ways_out(config: Config) -> None:
    lost(config)

    with pytest.raises(NoJournal) as refused:
        open_journal(config)

    assert "journal.sqlite is missing or empty" in str(refused.value)
    assert "Put it back from its backup: connector db restore FILE." in str(refused.value)
    assert "connector db start-anew --reason TEXT" in str(refused.value)
    assert not journal_of(config).exists()


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0"[:0]])
def test_an_empty_journal_whose_key_is_there_is_refused_too(config: Config, content: bytes) -> None:
    lost(config)
    journal_of(config).write_bytes(content)

    with pytest.raises(NoJournal, match="missing or empty"):
        open_journal(config)


def test_a_named_person_begins_it_anew_and_that_is_its_first_record(config: Config) -> None:
    lost(config)

    with start_anew(config, "ada@desk", "the disk burnt, and the backup with it") as journal:
        (first,) = journal.events()

    assert (first.event_id, first.kind, first.operator) == (1, "begun-anew", "ada@desk")
    assert "the disk burnt" in first.text
    with open_journal(config) as again:
        assert again.memory(TODAY).blocks == {}
        assert again.verify_audit().ok


def test_a_journal_that_is_there_is_never_begun_anew(config: Config) -> None:
    open_journal(config).disconnect()

    with pytest.raises(NotAllowed, match="There is a journal"):
        start_anew(config, "ada@desk", "by mistake")


def test_nothing_is_begun_anew_without_a_reason(config: Config) -> None:
    lost(config)

    with pytest.raises(NotAllowed, match="without a reason"):
        start_anew(config, "ada@desk", " ")


def test_two_that_set_a_school_up_at_once_share_one_journal(config: Config) -> None:
    said: list[object] = []

    def opens() -> None:
        try:
            open_journal(config).disconnect()
            said.append("opened")
        except JournalError as error:
            said.append(error)

    threads = [threading.Thread(target=opens) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert said == ["opened"] * 3


def test_the_command_line_says_so_and_begins_anew_when_asked(config: Config) -> None:
    lost(config)

    refused = typed("--config", str(config.path), "status")
    begun = typed("--config", str(config.path), "db", "start-anew", "--reason", "it is lost for good")
    after = typed("--config", str(config.path), "audit", "verify")

    assert (refused.code, begun.code, after.code) == (1, 0, 0)
    assert "start-anew" in refused.err
    assert "It knows of no block" in begun.out
