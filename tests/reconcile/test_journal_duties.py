"""What the daemon has seen to, and its messages, on both databases."""

import time
from datetime import timedelta

import pytest

from connector.errors import RunInProgress
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import Claim


def daemon(journal: Journal, seconds: float = 60) -> Claim:
    return journal.succeed("daemon", "one", seconds)


def test_a_duty_is_remembered_with_its_time_and_value(journal: Journal) -> None:
    claim = daemon(journal)

    journal.duties.done(claim, "night", "2026-11-20")
    journal.duties.done(claim, "night", "2026-11-21")

    found = journal.duties.find("ni")
    assert found["night"].value == "2026-11-21"
    assert abs(found["night"].done_at - journal.now()) < timedelta(minutes=1)
    assert journal.duties.find("digest") == {}


def test_names_are_looked_for_as_they_are_written(journal: Journal) -> None:
    journal.duties.done(daemon(journal), "night")

    assert journal.duties.find("n_ght") == {}


def test_a_message_is_put_once_under_its_name(journal: Journal) -> None:
    claim = daemon(journal)

    journal.duties.put(claim, "mail", [("run-1", '{"subject": "a"}')])
    journal.duties.put(claim, "mail", [("run-1", '{"subject": "b"}'), ("run-2", "{}")])

    assert [(m.name, m.content) for m in journal.duties.due()] == [("run-1", '{"subject": "a"}'), ("run-2", "{}")]


def test_a_message_that_failed_waits_for_its_time_and_says_why(journal: Journal) -> None:
    claim = daemon(journal)
    journal.duties.put(claim, "mail", [("run-1", "{}")])
    message = journal.duties.due()[0]

    journal.duties.failed(claim, message, "the mail server does not answer", 600)

    assert journal.duties.due() == ()
    assert [(m.tries, m.problem) for m in journal.duties.unsent()] == [(1, "the mail server does not answer")]


def test_a_sent_message_is_not_sent_again_and_what_it_said_is_let_go(journal: Journal) -> None:
    claim = daemon(journal)
    journal.duties.put(claim, "mail", [("run-1", "{}")])

    journal.duties.sent(claim, journal.duties.due()[0])
    journal.duties.put(claim, "mail", [("run-1", "{}")])

    assert journal.duties.unsent() == ()


def test_old_messages_are_forgotten_and_numbers_are_not_given_twice(journal: Journal) -> None:
    claim = daemon(journal)
    journal.duties.put(claim, "mail", [("run-1", "{}"), ("run-2", "{}")])

    gone = journal.duties.forget_messages(claim, journal.now() + timedelta(seconds=1))

    journal.duties.put(claim, "mail", [("run-3", "{}")])
    assert gone == 1
    assert [(m.number, m.name) for m in journal.duties.due()] == [(2, "run-2"), (3, "run-3")]


def test_a_daemon_that_was_overtaken_marks_and_puts_nothing(journal: Journal) -> None:
    claim = daemon(journal, 0.01)
    time.sleep(0.05)
    journal.succeed("daemon", "two", 60)

    with pytest.raises(RunInProgress):
        journal.duties.done(claim, "night")
    with pytest.raises(RunInProgress):
        journal.duties.put(claim, "mail", [("run-1", "{}")])

    assert (journal.duties.find(), journal.duties.due()) == ({}, ())
