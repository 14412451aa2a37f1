"""A block is on the human: a second record, also one that appears later, does not get around it."""

from pathlib import Path

from connector.model import Status
from connector.reconcile.advice import next_step
from connector.reconcile.memory import Block, Memory
from tests.reconcile.build import ASSOCIATION, FACULTY, TODAY, school
from tests.reconcile.nights import settled
from tests.reconcile.test_reasons import TWIN
from tests.reconcile.test_restoring import planned

BLOCKED = {"p1": Block("p1", "ada", "court order of May")}


def test_a_block_on_one_record_closes_every_record_of_the_same_human_as_urgent() -> None:
    one = school().family("p1", **TWIN).family("p2", **TWIN).family("p3").remember(blocks=BLOCKED)

    judged = one.judge()

    assert sorted(judged.keys) == ["p1", "p2"]
    assert (judged.reasons("p2"), judged.row("p2").urgent) == (["blocked"], True)
    assert judged.status("p3") is Status.ACTIVE


def test_the_evidence_names_the_record_that_was_blocked() -> None:
    one = school().family("p1", **TWIN).family("p2", **TWIN).remember(blocks=BLOCKED)

    judged = one.judge()

    assert judged.evidence("p1", "blocked") == "blocked by ada: court order of May"
    assert judged.evidence("p2", "blocked") == "blocked by ada as Cp1, the same person: court order of May"


def test_a_shared_mailbox_alone_bars_nobody_else() -> None:
    one = school().family("p1", email="home@mail.example").family("p2", email="home@mail.example")

    judged = one.remember(blocks=BLOCKED).judge()

    assert judged.keys == ["p1"]
    assert judged.status("p2") is Status.ACTIVE


def test_a_record_listing_a_blocked_code_among_its_previous_ones_is_not_added() -> None:
    one = school().portal(FACULTY, ASSOCIATION).family("p1").remember(blocks=BLOCKED)

    one.person("p9", previous_codes=("Cp1",)).role("p9", "Parent")

    assert one.judge().plan.additions == ()


def test_a_record_that_appears_after_the_block_is_neither_added_nor_left_open(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(5).family("p1", **TWIN).portal(ASSOCIATION))
    nights.journal.block("p1", "ada", "court order of May")
    nights.run()

    nights.school.family("p2", **TWIN).role("p2", "Parent")
    nights.run()

    assert nights.is_closed("p1")
    assert nights.is_closed("p2")
    assert nights.member("p2", "association") is None


def test_a_block_on_another_record_bars_a_restore_and_names_it(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(5).family("p1", **TWIN).contact("p2", of="s-p1", **TWIN))
    nights.journal.block("p2", "ada", "court order of May")
    nights.run()

    refused = planned(nights, "p1").refused

    assert nights.is_closed("p1")
    assert refused == (
        ("Cp1", "is blocked as Sam Lee (Cp2), the same person; first: connector unblock Cp1 --second NAME"),
    )


def test_unblock_lifts_the_blocks_on_every_record_of_the_human(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().family("p1", **TWIN))
    journal = nights.journal
    journal.add_operator("grace", "SEC", "hash", "seed", "ada")
    for person in ("p1", "p2"):
        journal.block(person, "ada", "court order of May")

    lifted = journal.unblock("p1", "ada", "grace", ("p2", "p3"))

    assert lifted == ("p1", "p2")
    assert nights.journal.memory(TODAY).blocks == {}


def test_the_advice_on_a_superseded_record_never_blocks_the_newer_one() -> None:
    judged = school().leaver("p1", **TWIN).family("p2", **TWIN).judge()

    advice = next_step(judged.decision("p1"), judged.decisions, Memory())

    assert "a block would keep the newer record out too" in advice.text
    assert "revoke" not in " ".join(advice.commands)
