"""A plan is applied as it was approved or not at all: not edited, not one of another day."""

from tests.e2e.embedded import EmbeddedSchool, write
from tests.e2e.test_bad_files import refused


def test_a_plan_edited_by_hand_is_refused_and_nothing_is_written(embedded: EmbeddedSchool) -> None:
    journal = embedded.folder / "journal.sqlite"
    write(journal, "UPDATE plans SET content = replace(content, 'PAT1337', 'PAT1338')")
    before = embedded.standing()

    ran = embedded.connector("run", "--plan", embedded.plan_id)

    assert refused(ran), ran
    assert embedded.plan_id in ran.said
    assert embedded.standing() == before


def test_a_plan_made_the_day_before_yesterday_is_too_old(embedded: EmbeddedSchool) -> None:
    write(embedded.folder / "journal.sqlite", "UPDATE plans SET created_at = datetime(created_at, '-48 hours')")
    before = embedded.standing()

    ran = embedded.connector("run", "--plan", embedded.plan_id)

    assert refused(ran), ran
    assert embedded.plan_id in ran.said
    assert embedded.standing() == before


def test_a_plan_nobody_kept_is_unknown(embedded: EmbeddedSchool) -> None:
    before = embedded.standing()

    ran = embedded.connector("run", "--plan", "ffffffff")

    assert refused(ran), ran
    assert "ffffffff" in ran.said
    assert embedded.standing() == before
