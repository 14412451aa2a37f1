"""Members of one portal: changed only when somebody asks, and only with --apply."""

import os
from collections.abc import Mapping
from typing import Any

from tests.cli.builders import School


def members(school: School, portal: str) -> Mapping[str, Any]:
    """Give the members of one portal by person_id; would-be members are left out."""
    rows = school.read("memberships", "--portal", portal)
    return {r["person_id"]: r for r in rows if r["status"]}


def test_a_refresh_adds_what_the_nightly_run_would_add(school: School) -> None:
    before = members(school, "association")

    dry = school.typed("membership", "refresh", "association")
    done = school.typed("membership", "refresh", "association", "--apply")

    assert (dry.code, done.code) == (2, 0)
    assert "Dry run: nothing was written." in dry.out
    assert set(members(school, "association")) - set(before) == {"1337"}
    assert members(school, "association")["1337"]["status"] == "disabled"
    assert school.typed("membership", "refresh", "association").code == 0


def test_mismatched_members_are_disabled_and_manual_ones_left_out_unless_asked(school: School) -> None:
    dry = school.typed("membership", "disable-mismatched", "association")
    done = school.typed("membership", "disable-mismatched", "association", "--apply")
    after = members(school, "association")
    school.typed("membership", "disable-mismatched", "association", "--include-manual", "--apply")

    assert (dry.code, done.code) == (2, 0)
    assert "Grace Tanaka (TAN1074): disable in association" in dry.out
    assert "Left out: Dmitri d'Arcy (DA1396): manually added" in dry.out
    assert (after["1074"]["status"], after["1396"]["status"]) == ("disabled", "enabled")
    assert members(school, "association")["1396"]["status"] == "disabled"


def test_mismatched_and_disabled_members_are_removed_only_when_asked(school: School) -> None:
    gone = school.typed("membership", "remove-mismatched", "association", "--apply")
    kept = school.typed("membership", "remove-disabled", "association", "--apply")

    assert (gone.code, kept.code) == (0, 0)
    assert "1074" not in members(school, "association")
    assert "the next nightly run would bring this person back" in kept.out


def test_one_member_is_added_disabled_enabled_and_removed(school: School) -> None:
    steps = [
        ("add", "--disabled", "--apply"),
        ("enable", "--apply"),
        ("disable", "--apply"),
        ("remove", "--apply"),
    ]
    seen = []

    for verb, *flags in steps:
        assert school.typed("membership", verb, "association", "XU1003", *flags).code == 0
        seen.append(members(school, "association").get("1003", {}).get("status"))

    assert seen == ["disabled", "enabled", "disabled", None]


def test_a_member_added_by_hand_counts_as_manually_added(school: School) -> None:
    school.typed("membership", "add", "association", "XU1003", "--apply")

    assert members(school, "association")["1003"]["membership_type"] == "manually_added"


def test_what_is_so_already_is_nothing_to_do(school: School) -> None:
    school.typed("membership", "add", "association", "XU1003", "--apply")

    again = school.typed("membership", "add", "association", "XU1003")
    enabled = school.typed("membership", "enable", "association", "XU1003")

    assert (again.code, enabled.code) == (0, 0)
    assert "is a member of association already: enabled." in again.out


def test_nobodys_member_cannot_be_changed(school: School) -> None:
    refused = school.typed("membership", "disable", "association", "XU1003", "--apply")

    assert refused.code == 1
    assert "is no member of association" in refused.err
    assert "connector membership add association XU1003" in refused.err


def test_a_blocked_person_is_not_let_in_by_the_back_door(school: School) -> None:
    school.typed("block", "XU1003", "--reason", "court order expected")

    added = school.typed("membership", "add", "association", "XU1003", "--apply")
    enabled = school.typed("membership", "enable", "engage", "XU1003", "--apply")

    assert (added.code, enabled.code) == (1, 1)
    assert "connector unblock XU1003 --second NAME" in added.err


def test_a_restricted_person_is_reopened_only_by_two(closed: School) -> None:
    refused = closed.typed("membership", "enable", "engage", "ABB1475", "--apply")

    assert refused.code == 1
    assert "connector restore ABB1475 --second NAME" in refused.err


def test_adding_somebody_who_is_not_entitled_says_what_the_next_run_makes_of_it(closed: School) -> None:
    dry = closed.typed("membership", "enable", "engage", "DLA1209")

    assert dry.code == 2
    assert "is not entitled to engage: the next run finds this ready to revoke" in dry.out


def test_an_unknown_portal_is_refused_with_those_there_are(school: School) -> None:
    refused = school.typed("membership", "refresh", "engaged")

    assert refused.code == 1
    assert "There are: engage, student" in refused.err


def test_a_manual_portal_has_no_mismatch(school: School) -> None:
    refused = school.typed("membership", "disable-mismatched", "alumni", "--apply")

    assert refused.code == 1
    assert "manual strategy" in refused.err


def test_a_source_nobody_can_believe_decides_nothing_about_members(closed: School) -> None:
    closed.configured("max_age_hours = 876000", "max_age_hours = 1")
    for file in (closed.folder / "admin").iterdir():
        os.utime(file, (0, 0))

    refused = closed.typed("membership", "disable-mismatched", "association", "--apply")

    assert refused.code == 3
    assert closed.typed("membership", "refresh", "association").code == 3
