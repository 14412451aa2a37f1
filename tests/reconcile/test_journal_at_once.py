"""What a transaction writes at its end reaches PostgreSQL in one message: as whole, and as faithful, as one by one."""

import os
import signal
import time
from datetime import UTC, datetime, timedelta, timezone
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from connector.errors import JournalError
from connector.reconcile.journal import Journal
from connector.reconcile.journal_at_once import given_rows
from connector.reconcile.journal_audit import newest
from connector.reconcile.journal_bulk import execute_once, insert_many
from connector.reconcile.journal_scim_tables import scim_counts, scim_groups
from connector.reconcile.journal_store import Store

_COUNT = insert(scim_counts)
_GROUP, _GIVEN = insert(scim_groups), given_rows(scim_groups)
_GROUPS_AT_ONCE = insert(scim_groups).from_select([one.name for one in _GIVEN.c], select(_GIVEN))


def record(store: Store, said: str) -> None:
    with store.writing() as writing:
        writing.note("test", "s", "tester", said)


def texts(store: Store) -> set[str]:
    with store.reading() as conn:
        return {event.text for event in newest(conn, 9)}


def test_a_server_that_freezes_before_the_commit_is_given_up_and_used_again(impatient: Store) -> None:
    process, began = 0, time.monotonic()
    try:
        with pytest.raises(JournalError, match="silent for 1 s"), impatient.writing() as writing:  # noqa: PT012 - inside
            process = int(writing.conn.scalar(text("SELECT pg_backend_pid()")) or 0)
            writing.note("test", "s", "tester", "nobody was told that this is stored")
            os.kill(process, signal.SIGSTOP)
        assert 1 < time.monotonic() - began < 20  # a kernel would wait for minutes
    finally:
        os.kill(process, signal.SIGCONT)

    record(impatient, "after")
    assert "after" in texts(impatient)


def test_where_one_of_many_cannot_be_written_the_commit_says_so_and_nothing_stands(journal: Journal) -> None:
    store = journal.store
    collided = pytest.raises(JournalError, match=r"(?i)unique")
    with collided as caught, store.writing() as writing:
        writing.to_the_end()
        for amount in (1, 2):
            execute_once(writing.conn, _COUNT, {"name": "twice", "amount": amount})
        writing.note("test", "s", "tester", "lost")

    with store.reading() as conn:
        assert conn.execute(select(scim_counts)).all() == []
    assert isinstance(caught.value.__cause__, IntegrityError)
    record(store, "after")
    assert texts(store) == {"after"}


@pytest.mark.parametrize("said", ['"quoted" \\ \n\t', "Zoë 😀 \u2028", "\\u0000 {} [null]", "%s %(a)s $1 ?", ""])
def test_any_text_is_chained_and_stored_as_it_is(journal: Journal, said: str) -> None:
    record(journal.store, said)

    assert texts(journal.store) == {said}
    assert journal.verify_audit().ok


@pytest.mark.parametrize("said", ["a\0b", "\ud800"])
def test_what_no_database_takes_is_refused(impatient: Store, said: str) -> None:
    with pytest.raises(JournalError):
        record(impatient, said)

    assert texts(impatient) == set()


def test_the_time_of_a_transaction_is_read_when_the_lock_is_held(impatient: Store) -> None:
    moments = []

    def later() -> None:
        with impatient.writing() as writing:
            moments.append(writing.now)

    with impatient.writing() as first:
        waiting = Thread(target=later)
        waiting.start()
        time.sleep(0.4)
    waiting.join(60)

    assert (moments[0] - first.now).total_seconds() >= 0.4


# --- rows as one parameter ------------------------------------------------------------------------------------------

_TEXTS = [
    "", "null", "NULL", "true", "[1]", "{a}", "\\", "\\u0000", "\\x41", "'\"", "$1 %s {}", " both ends ",
    "\x01\x1f\x7f\x80\ufeff\uffff\U0010ffff", "e\u0301\u00e9", "\r\n\t\b\f/", "x" * 1_000_000, "\U0001f600" * 200_000,
]  # fmt: skip
_ZONES = [UTC, *(timezone(timedelta(seconds=seconds)) for seconds in (20_700, -34_200, 1_172))]
_MOMENTS = [
    *(datetime(2026, 3, 29, 2, 30, 0, 1, tzinfo=zone) for zone in _ZONES),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1890, 1, 1, 0, 0, 0, 999_999, tzinfo=_ZONES[-1]),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
]


def rows() -> list[dict[str, Any]]:
    """Give a row for each text and each moment."""
    plain = {"portal": "", "client": "c", "display_name": "x", "display_key": "x", "external_id": None, "version": 1}
    texts_ = [
        {"display_name": said, "document": said, "search": {"s": said, "n": None, "b": [True, False], "i": 2**60}}
        for said in _TEXTS
    ]
    moments: list[dict[str, Any]] = [{"document": "", "search": {}, "created_at": at} for at in _MOMENTS]
    return [
        {**plain, "created_at": _MOMENTS[0], "modified_at": _MOMENTS[0], **one, "id": f"g{place}", "position": place}
        for place, one in enumerate([*texts_, *moments])
    ]


def test_every_value_of_a_row_is_stored_as_it_is(impatient: Store) -> None:
    sent = rows()
    with impatient.writing() as writing:
        writing.to_the_end()
        insert_many(writing.conn, _GROUP, _GROUPS_AT_ONCE, sent)

    with impatient.reading() as conn:
        found = {row.id: row._asdict() for row in conn.execute(select(scim_groups))}
    assert [found[row["id"]] == row for row in sent] == [True] * len(sent)


@pytest.mark.parametrize("said", ["a\0b", "\ud800", "\ud83d\ude00"], ids=["NUL", "a half", "two halves"])
@pytest.mark.parametrize("column", ["display_name", "search"])
def test_no_row_is_stored_with_a_text_that_is_none(impatient: Store, column: str, said: str) -> None:
    row = {**rows()[0], column: said if column == "display_name" else {"s": said}}

    with pytest.raises(JournalError), impatient.writing() as writing:
        insert_many(writing.conn, _GROUP, _GROUPS_AT_ONCE, [row])

    with impatient.reading() as conn:
        assert conn.execute(select(scim_groups)).all() == []
