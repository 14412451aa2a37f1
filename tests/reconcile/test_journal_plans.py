"""Plans and snapshots are given back as they were kept, or not at all."""

import pytest

from connector.errors import JournalError, PlanError
from connector.reconcile.journal import Journal
from tests.reconcile.journal_builders import TODAY, begin, execute, plan, revocation

OTHER = "7f3b" + "0" * 60


def test_a_plan_is_found_by_the_beginning_of_its_id(journal: Journal) -> None:
    run = begin(journal)
    made = plan(revocation())
    snapshot = journal.keep_snapshot(run, TODAY, b"{}", {}, {})
    journal.keep_plan(made, run, snapshot)

    for prefix in ("7f3a", made.plan_id, made.digest):
        stored = journal.plan(prefix)
        assert (stored.plan, stored.state, stored.snapshot_id, stored.run_id) == (made, "made", snapshot, run.run_id)


@pytest.mark.parametrize(
    ("prefix", "said"),
    [("7f3", "Several plans"), ("", "no plan"), ("99", "no plan 99"), ("7%", "no plan"), ("_", "no plan")],
)
def test_a_beginning_that_fits_several_or_none_is_refused(journal: Journal, prefix: str, said: str) -> None:
    run = begin(journal)
    journal.keep_plan(plan(revocation()), run)
    journal.keep_plan(plan(revocation(), digest=OTHER), run)

    with pytest.raises(PlanError, match=said):
        journal.plan(prefix)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE plans SET content = replace(content, 'u1', 'u2')",
        "UPDATE plans SET content = content || ' '",
        "UPDATE plans SET content = '{}', content_mac = 'ab'",
    ],
)
def test_a_plan_edited_by_hand_is_refused(journal: Journal, edit: str) -> None:
    journal.keep_plan(plan(revocation()), begin(journal))
    execute(journal, edit)

    with pytest.raises(PlanError, match=r"edited by hand. Nothing was applied"):
        journal.plan("7f3a")


def test_a_plan_under_another_s_digest_is_refused(journal: Journal) -> None:
    journal.keep_plan(plan(revocation()), begin(journal))
    execute(journal, "UPDATE plans SET digest = :other", other=OTHER)

    with pytest.raises(PlanError, match="edited by hand"):
        journal.plan(OTHER)


def test_the_same_plan_made_again_is_young_again_and_keeps_its_approvals(journal: Journal) -> None:
    run = begin(journal)
    made = plan(revocation())
    journal.keep_plan(made, run)
    first = journal.plan("7f3a").created_at
    journal.approve(made.digest, made.plan_id, ("first-run",), "alice", "checked")
    journal.mark_plan(made.plan_id, "applied", "alice")
    assert journal.plan("7f3a").state == "applied"

    journal.keep_plan(made, run)

    assert journal.plan("7f3a").created_at >= first
    assert journal.plan("7f3a").state == "made"
    assert [(one.waivers, one.operator, one.reason) for one in journal.approvals(made.digest)] == [
        (("first-run",), "alice", "checked")
    ]


@pytest.mark.parametrize(
    "tampered",
    [
        "UPDATE approvals SET waivers = '[\"max-revocations\"]'",
        "UPDATE approvals SET operator = 'head'",
        "INSERT INTO approvals SELECT id + 1, digest, plan_id, '[]', operator, reason, approved_at, mac FROM approvals",
    ],
)
def test_an_approval_written_by_another_way_is_refused(journal: Journal, tampered: str) -> None:
    made = plan(revocation())
    journal.keep_plan(made, begin(journal))
    journal.approve(made.digest, made.plan_id, ("first-run",), "alice", "checked")
    execute(journal, tampered)

    with pytest.raises(PlanError, match="not as a person gave it"):
        journal.approvals(made.digest)


def test_an_unknown_plan_is_neither_approved_nor_marked(journal: Journal) -> None:
    with pytest.raises(PlanError, match="no plan 7f3a to approve"):
        journal.approve(OTHER, "7f3a", (), "alice", "")
    with pytest.raises(PlanError, match="no plan 7f3a"):
        journal.mark_plan("7f3a", "applied", "alice")


def test_plans_are_listed_newest_first(journal: Journal) -> None:
    run = begin(journal)
    journal.keep_plan(plan(revocation()), run)
    execute(journal, "UPDATE plans SET created_at = '2020-01-01 00:00:00.000000'")
    journal.keep_plan(plan(digest=OTHER), run)

    assert [entry.digest for entry in journal.plans()] == [OTHER, plan().digest]


def test_only_an_accepted_snapshot_is_compared_with(journal: Journal) -> None:
    run = begin(journal)
    first = journal.keep_snapshot(run, TODAY, b"one", {"people": 10}, {"csv": "f1"})
    journal.keep_snapshot(run, TODAY, b"two", {"people": 3}, {})
    assert journal.last_accepted() is None

    journal.accept_snapshot(first, run)
    journal.accept_snapshot(first, run)

    stored = journal.last_accepted()
    assert stored is not None
    assert (stored.snapshot_id, stored.content, stored.counts) == (first, b"one", {"people": 10})
    assert [event.kind for event in journal.events()].count("snapshot-accepted") == 1


def test_a_snapshot_that_was_written_to_is_refused(journal: Journal) -> None:
    run = begin(journal)
    journal.accept_snapshot(journal.keep_snapshot(run, TODAY, b"one", {}, {}), run)
    execute(journal, "UPDATE snapshots SET content = NULL")

    with pytest.raises(JournalError, match="not as it was kept"):
        journal.last_accepted()


def test_the_highest_counts_are_those_of_snapshots_accepted_in_the_last_days(journal: Journal) -> None:
    run = begin(journal)
    counts = ({"people": 10, "relationships": 5}, {"people": 8, "relationships": 9}, {"people": 99}, {"people": 50})
    ids = [journal.keep_snapshot(run, TODAY, b"", one, {}) for one in counts]
    for number in (ids[0], ids[1], ids[3]):
        journal.accept_snapshot(number, run)
    execute(journal, "UPDATE snapshots SET accepted_at = '2020-01-01 00:00:00.000000' WHERE id = :id", id=ids[3])

    assert journal.accepted_counts(30) == {"people": 10, "relationships": 9}


def test_retention_drops_old_content_but_never_the_last_accepted(journal: Journal) -> None:
    run = begin(journal)
    ids = [journal.keep_snapshot(run, TODAY, f"{number}".encode(), {"people": number}, {}) for number in range(4)]
    for number in ids[:3]:
        journal.accept_snapshot(number, run)
    execute(journal, "UPDATE snapshots SET taken_at = '2020-01-01 00:00:00.000000'")

    assert journal.prune(keep_days=30, keep_last=0) == 3

    stored = journal.last_accepted()
    assert stored is not None
    assert stored.content == b"2"
    assert journal.accepted_counts(30) == {"people": 2}
    assert journal.prune(keep_days=30) == 0
