"""Whoever writes to the journal's database by another way is found out."""

import pytest

from connector.errors import JournalError
from connector.reconcile.journal import Journal
from tests.reconcile.journal_builders import begin, closed, execute, intend, scalar


@pytest.fixture
def written(journal: Journal) -> Journal:
    """Give a journal with six records."""
    for number in range(6):
        journal.block(f"p{number}", "alice", "court order")
    return journal


def test_an_untouched_trail_holds_and_gives_its_head(written: Journal) -> None:
    state = written.verify_audit()

    assert (state.ok, state.records, state.first_bad) == (True, 6, None)
    assert state.head.startswith("6:")
    assert written.verify_audit(state.head).ok


def test_an_empty_trail_holds(journal: Journal) -> None:
    assert journal.verify_audit().ok


_ADDED = (
    "INSERT INTO audit (id, at, kind, subject, operator, text, detail, mac) "
    "VALUES (7, '2026-01-01 00:00:00.000000+00:00', 'k', 's', 'o', 't', '{}', 'ab')"
)
TAMPERINGS = {
    "changed text": ("UPDATE audit SET text = 'nothing happened' WHERE id = 3", 3),
    "changed operator": ("UPDATE audit SET operator = 'bob' WHERE id = 3", 3),
    "changed time": ("UPDATE audit SET at = '2020-01-01 00:00:00.000000+00:00' WHERE id = 3", 3),
    "changed detail": ("UPDATE audit SET detail = '[]' WHERE id = 3", 3),
    "removed": ("DELETE FROM audit WHERE id = 3", 3),
    "removed from the beginning": ("DELETE FROM audit WHERE id = 1", 1),
    "removed from the end": ("DELETE FROM audit WHERE id = 6", 6),
    "re-signed without the key": ("UPDATE audit SET mac = 'ab' WHERE id = 3", 3),
    "added": (_ADDED, 7),
}


@pytest.mark.parametrize(("statement", "first_bad"), TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_a_trail_written_to_by_another_way_does_not_hold(written: Journal, statement: str, first_bad: int) -> None:
    execute(written, statement.replace("+00:00", "") if "sqlite" in str(written._store.engine.url) else statement)

    state = written.verify_audit()

    assert (state.ok, state.first_bad, state.records) == (False, first_bad, first_bad - 1)
    assert "does not hold" in state.sentence


def test_records_that_changed_places_are_found(written: Journal) -> None:
    for before, after in ((3, 99), (4, 3), (99, 4)):
        execute(written, "UPDATE audit SET id = :after WHERE id = :before", before=before, after=after)

    assert written.verify_audit().first_bad == 3


def test_a_removed_record_whose_gap_was_closed_is_found(written: Journal) -> None:
    execute(written, "DELETE FROM audit WHERE id = 3")
    for number in (4, 5, 6):
        execute(written, "UPDATE audit SET id = id - 1 WHERE id = :number", number=number)

    assert written.verify_audit().first_bad == 3


def test_an_end_cut_off_together_with_the_head_is_found_by_a_head_kept_elsewhere(written: Journal) -> None:
    head = written.verify_audit().head
    last = scalar(written, "SELECT mac FROM audit WHERE id = 5")
    execute(written, "DELETE FROM audit WHERE id = 6")
    execute(written, "UPDATE audit_head SET records = 5, mac = :mac", mac=last)
    execute(written, "DELETE FROM blocks WHERE person_id = 'p5'")

    assert written.verify_audit().ok
    assert written.verify_audit(head).first_bad == 6


def test_a_trail_that_grew_still_fits_an_older_head(written: Journal) -> None:
    head = written.verify_audit().head
    written.block("p9", "alice", "court order")

    assert written.verify_audit(head).ok


def test_a_head_of_another_trail_is_found(written: Journal) -> None:
    assert written.verify_audit(f"4:{'0' * 64}").first_bad == 4


def test_a_head_that_is_none_is_refused(written: Journal) -> None:
    with pytest.raises(JournalError, match="is not an audit head"):
        written.verify_audit("yes")


def test_every_effect_has_its_record_and_a_refused_write_has_none(journal: Journal) -> None:
    run = begin(journal)
    legs = intend(journal, run)
    journal.record([closed(leg) for leg in legs], run)
    journal.record([closed(leg) for leg in legs], run)

    assert [event.kind for event in journal.events()] == ["run-begun", "intended", "closed", "closed", "closed"]
    assert journal.events()[-1].detail == {"leg": 3, "revocation": 1, "ended": 0}


def test_secrets_of_operators_never_reach_the_trail(journal: Journal) -> None:
    journal.add_operator("carol", "SEC", "argon2-hash", "sealed-seed", "alice")

    trail = scalar(journal, "SELECT text || detail || subject FROM audit")

    assert "argon2-hash" not in trail
    assert "sealed-seed" not in trail
    assert "argon2-hash" not in repr(journal.operators())
