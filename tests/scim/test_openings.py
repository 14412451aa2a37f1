"""Who is let in is decided when it is done: what a provider asked for, and what was known then, do not count."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.model import Status
from connector.scim.openings import Openings
from tests.scim.school import AS_OF, Mirrored, mirrored


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Mirrored]:
    """The sample school, mirrored."""
    with mirrored(tmp_path / "school") as made:
        yield made


def closed_by_a_run(school: Mirrored) -> str:
    """Let a run close who is ready for it; give one of them, who had a membership."""
    connector = school.connector
    leaver = next(
        row.key
        for row in school.judgement.plan.revocations
        if row.applies and not row.urgent and row.person_id and {leg.target for leg in row.legs} >= {"engage"}
    )
    connector.keep_plan(school.judgement)
    plan = school.judgement.plan
    connector.approve(plan.plan_id, [o.label for o in plan.objections], "read row by row")
    connector.run(AS_OF, plan.plan_id)
    school.look_again()
    return leaver


def test_whom_a_run_closed_is_not_opened_by_what_a_provider_asks_for(school: Mirrored) -> None:
    leaver = closed_by_a_run(school)
    assert school.judgement.decisions.by_key()[leaver].status is Status.REVOKED
    row = school.user(leaver)
    assert row.wanted

    done = Openings(school.connector).open([row], school.seen, school.connector.journal.sourced({}))

    school.look_again()
    assert done == {row.id}
    assert school.judgement.decisions.by_key()[leaver].status is Status.REVOKED
