"""What named people decide: blocks, keeps, requests, releases, links, operators, settings."""

from datetime import date, timedelta

import pytest

from connector.errors import JournalError, NotAllowed, UnknownPerson
from connector.model import Hold
from connector.reconcile.journal import Journal
from connector.reconcile.memory import Block, Keep, Release
from tests.reconcile.journal_builders import TODAY


def test_a_block_holds_until_and_including_its_last_day(journal: Journal) -> None:
    journal.block("p1", "alice", "court order", TODAY)

    assert journal.memory(TODAY).blocks == {"p1": Block("p1", "alice", "court order", TODAY)}
    assert journal.memory(TODAY + timedelta(days=1)).blocks == {}


def test_of_two_blocks_the_one_that_holds_longest_counts(journal: Journal) -> None:
    journal.block("p1", "alice", "for ever")
    journal.block("p1", "bob", "for a while", date(2027, 1, 1))

    assert journal.memory(TODAY).blocks["p1"].until is None


def test_unblocking_takes_a_second_enrolled_operator(journal: Journal) -> None:
    journal.block("p1", "alice", "court order")
    journal.add_operator("carol", "SEC", "hash", "seed", "root")
    journal.add_operator("Alice", "SEC", "hash", "seed", "root")

    for second in ("", "mallory", "alice", "Alice"):
        with pytest.raises(NotAllowed):
            journal.unblock("p1", "alice", second)
    assert "p1" in journal.memory(TODAY).blocks

    journal.unblock("p1", "alice", "carol")

    assert journal.memory(TODAY).blocks == {}
    assert journal.history("p1")[-1].text == "Block on p1 lifted by alice, seconded by carol."


def test_a_request_blocks_and_both_end_with_unblock(journal: Journal) -> None:
    journal.add_operator("carol", "SEC", "hash", "seed", "root")
    journal.request_revocation("p1", "alice", "left in anger")

    memory = journal.memory(TODAY)
    assert (memory.requested, set(memory.blocks)) == (frozenset({"p1"}), {"p1"})

    journal.unblock("p1", "alice", "carol")

    memory = journal.memory(TODAY)
    assert (memory.requested, memory.blocks) == (frozenset(), {})


def test_a_keep_holds_and_is_taken_back(journal: Journal) -> None:
    journal.keep("p1", "alice", "returns in May", date(2027, 5, 1))
    assert journal.memory(TODAY).keeps == {"p1": Keep("p1", "alice", "returns in May", date(2027, 5, 1))}

    journal.unkeep("p1", "alice")

    assert journal.memory(TODAY).keeps == {}


def test_taking_back_what_is_not_there_is_said(journal: Journal) -> None:
    journal.add_operator("carol", "SEC", "hash", "seed", "root")

    with pytest.raises(UnknownPerson, match="There is no keep on p1"):
        journal.unkeep("p1", "alice")
    with pytest.raises(UnknownPerson, match="There is no block on p1"):
        journal.unblock("p1", "alice", "carol")


def test_a_block_keep_or_request_without_a_reason_is_refused(journal: Journal) -> None:
    for decide in (journal.block, journal.keep, journal.request_revocation):
        with pytest.raises(NotAllowed, match="without a reason"):
            decide("p1", "alice", "  ")
    assert journal.memory(TODAY).requested == frozenset()


def test_a_release_replaces_the_earlier_one_of_its_hold(journal: Journal) -> None:
    first = Release("p1", Hold.WEAK_MATCH, "digest-1", "alice", "checked")
    second = Release("p1", Hold.WEAK_MATCH, "digest-2", "bob", "checked again")
    other = Release("p1", Hold.POLICY, "digest-1", "alice")
    for release in (first, other, second):
        journal.release(release)

    assert journal.memory(TODAY).releases == (other, second)


def test_a_link_ties_an_account_to_one_person_until_it_is_moved_or_taken_back(journal: Journal) -> None:
    journal.link("ad", "g1", "p1", "alice", "by hand")
    journal.link("ad", "g1", "p1", "alice", "by hand")
    with pytest.raises(JournalError, match="Account g1 in ad is linked to p1"):
        journal.link("ad", "g1", "p2", "alice", "by hand")

    journal.move_link("ad", "g1", "p2", "alice", "same human")
    assert journal.memory(TODAY).links == {("ad", "g1"): "p2"}

    journal.unlink("ad", "g1", "alice")
    assert journal.memory(TODAY).links == {}
    assert [event.kind for event in journal.events()] == ["linked", "link-moved", "unlinked"]


def test_a_link_that_is_not_there_is_neither_moved_nor_taken_back(journal: Journal) -> None:
    with pytest.raises(JournalError, match="has no link"):
        journal.move_link("ad", "g1", "p2", "alice", "same human")
    with pytest.raises(JournalError, match="has no link"):
        journal.unlink("ad", "g1", "alice")


def test_operators_are_enrolled_once_listed_and_removed(journal: Journal) -> None:
    journal.add_operator("carol", "SEC", "hash", "seed", "root")
    with pytest.raises(NotAllowed, match="enrolled already"):
        journal.add_operator("carol", "STC", "hash", "seed", "root")
    assert [(one.name, one.role, one.secret_hash) for one in journal.operators()] == [("carol", "SEC", "hash")]

    journal.remove_operator("carol", "root")

    assert journal.operators() == ()
    with pytest.raises(NotAllowed, match="not enrolled"):
        journal.remove_operator("carol", "root")


def test_a_setting_is_empty_until_it_is_set(journal: Journal) -> None:
    assert journal.setting("mode") == ""

    journal.set_setting("mode", "live", "alice")
    journal.set_setting("mode", "report", "bob")

    assert journal.setting("mode") == "report"
    assert journal.events()[-1].text == "mode set to 'report' by bob."
