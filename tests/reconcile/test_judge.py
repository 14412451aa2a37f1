"""One judgement from one snapshot: what is missing refuses, what is on its way is not planned twice."""

from dataclasses import replace

import pytest

from connector.errors import SourceError
from connector.model import LegKind
from connector.reconcile.judge import Judgement, Past, judge
from tests.reconcile.build import ASSOCIATION, FACULTY, NOW, TODAY, SchoolBuilder, guid, school


def judged(builder: SchoolBuilder, past: Past | None = None) -> Judgement:
    given = (builder.snapshot(), builder.the_rules, builder.rules_of_portals(), builder.the_limits)
    return judge(*given, past or Past(), TODAY, NOW)


@pytest.mark.parametrize("dimension", ["relationships", "enrolments", "contact_types"])
def test_a_whole_dimension_that_is_missing_refuses_instead_of_meaning_none(dimension: str) -> None:
    builder = school().families(2)
    builder.missing = frozenset({dimension})

    with pytest.raises(SourceError, match=f"carries no {dimension} at all"):
        judged(builder)


def test_a_dimension_no_portal_is_decided_by_may_be_missing() -> None:
    builder = school().families(2)
    builder.missing = frozenset({"security_roles"})

    assert judged(builder).plan.pending == 0
    with pytest.raises(SourceError, match="security_roles"):
        judged(builder.portal(FACULTY))


def test_a_missing_restricted_column_is_a_warning_in_the_plan() -> None:
    builder = school().families(1)
    builder.missing = frozenset({"relationships.restricted"})

    assert any("no restricted column" in w for w in judged(builder).plan.warnings)


def test_an_exit_reason_nobody_configured_is_a_warning_with_the_grace_it_gets() -> None:
    builder = school().families(1).student("s9", left=TODAY, why="moved to Mars")

    (warning,) = judged(builder).plan.warnings

    assert "'moved to Mars'" in warning
    assert "60 days" in warning


def test_what_is_on_its_way_is_not_planned_twice() -> None:
    builder = school().families(1).leaver("gone")
    doors = {("gone", LegKind.DIRECTORY, "ad", guid("ad:gone")), ("gone", LegKind.CREDENTIAL, "engage", "gone")}

    partly = judged(builder, Past(open_legs=frozenset(doors)))
    wholly = judged(builder, Past(open_legs=frozenset({*doors, ("gone", LegKind.SESSIONS, "web", "ugone")})))

    assert [leg.kind for leg in partly.plan.revocations[0].legs] == [LegKind.SESSIONS]
    assert wholly.plan.revocations == ()


def test_somebody_elses_open_legs_change_nothing() -> None:
    builder = school().families(1).leaver("gone")
    others = frozenset({("else", LegKind.CREDENTIAL, "engage", "gone")})

    assert judged(builder, Past(open_legs=others)).plan == judged(builder).plan


def test_an_addition_on_its_way_is_not_planned_twice() -> None:
    builder = school().families(2).portal(ASSOCIATION).role("ok0", "Parent").role("ok1", "Parent")

    plan = judged(builder, Past(open_additions=frozenset({("association", "ok0")}))).plan

    assert [a.person_id for a in plan.additions] == ["ok1"]


def test_the_same_facts_give_the_same_plan_and_other_facts_another() -> None:
    builder = school().families(2).leaver("gone")
    first, second = judged(builder).plan, judged(builder).plan

    other = judged(builder.leave("ok0")).plan

    assert first == second
    assert other.digest != first.digest


def test_the_counts_say_what_stands_waits_and_goes() -> None:
    builder = school().families(3).leavers(2).leaver("held")
    builder.accounts[-1] = replace(builder.accounts[-1], protected="adminCount=1")

    counts = judged(builder).counts

    assert counts == {"active": 3, "ready_to_revoke": 3, "held": 1, "pending": 2, "unmanaged": 0}


def test_targets_that_could_not_be_read_are_named_in_the_plan() -> None:
    plan = judged(school().families(1).not_read("session_store", "web")).plan

    assert plan.unread == ("session store web: it did not answer",)
