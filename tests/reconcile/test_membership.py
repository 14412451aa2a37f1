"""Who matches a portal's strategy, what the nightly run adds, and the three explicit actions."""

from dataclasses import replace

import pytest

from connector.errors import ConfigError
from connector.model import MembershipType, MemberStatus, PersonStatus
from connector.policy import PortalRules, Strategy
from connector.reconcile.membership import (
    Action,
    ActionPlan,
    Membership,
    Nightly,
    StrategyMatch,
    action_plan,
    new_member,
)
from connector.reconcile.memory import Block
from tests.reconcile.build import (
    ALUMNI,
    ASSOCIATION,
    ENGAGE,
    FACULTY,
    STUDENT,
    TOMORROW,
    YESTERDAY,
    SchoolBuilder,
    guid,
    school,
)

MATCHED, MISMATCHED = StrategyMatch.YES, StrategyMatch.NO


def found(one: SchoolBuilder, portal: str = "faculty", person: str = "p1") -> Membership | None:
    rows = [m for m in one.judge().judgement.memberships if (m.portal, m.person_id) == (portal, person)]
    return rows[0] if rows else None


def staff(*portals: PortalRules) -> SchoolBuilder:
    return school().portal(FACULTY, *portals).person()


def act(
    action: Action, one: SchoolBuilder, portal: PortalRules = FACULTY, *, manually_added: bool = False
) -> ActionPlan:
    rows = one.judge().judgement.memberships
    return action_plan(action, portal, rows, manually_added_too=manually_added)


# --- matching ---------------------------------------------------------------------------------------------------


def test_a_member_with_a_strategy_role_in_force_matches() -> None:
    row = found(staff().role().member(portal="faculty"))

    assert row
    assert (row.strategy_match, row.nightly) == (MATCHED, Nightly.NONE)


def test_a_member_whose_role_ended_or_begins_later_does_not_match() -> None:
    for one in (staff().role(ends=YESTERDAY), staff().role(begins=TOMORROW)):
        row = found(one.member(portal="faculty"))

        assert row
        assert row.strategy_match is MISMATCHED


@pytest.mark.parametrize("word", [None, True])
def test_a_manual_portal_has_no_match(word: bool | None) -> None:
    row = found(school().portal(ALUMNI).person().member(portal="alumni", strategy_match=word), "alumni")

    assert row
    assert row.strategy_match is StrategyMatch.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("word", "match"), [(True, MATCHED), (False, MISMATCHED), (None, StrategyMatch.NOT_APPLICABLE)]
)
def test_a_custom_portals_own_word_is_its_match(word: bool | None, match: StrategyMatch) -> None:
    custom = PortalRules("vendor", Strategy.CUSTOM)

    row = found(school().portal(custom).person().member(portal="vendor", strategy_match=word), "vendor")

    assert row
    assert row.strategy_match is match


def test_a_contacts_portal_matches_by_its_relationships() -> None:
    assert found(school().family(), "engage").strategy_match is MATCHED  # type: ignore[union-attr] # it is there
    assert found(school().leaver(), "engage").strategy_match is MISMATCHED  # type: ignore[union-attr] # as above


# --- what the nightly run adds ----------------------------------------------------------------------------------


def test_an_entitled_person_who_is_no_member_is_added() -> None:
    one = staff().role()

    row = found(one)

    assert row
    assert (row.member, row.strategy_match, row.nightly) == (None, MATCHED, Nightly.ADD_ENABLED)
    assert [(a.portal, a.person_id, a.code) for a in one.judge().plan.additions] == [("faculty", "p1", "Cp1")]


def test_the_portals_status_default_decides_how() -> None:
    one = school().portal(ASSOCIATION).person().role(role="Parent")

    addition = one.judge().plan.additions[0]

    assert addition.status is MemberStatus.DISABLED
    assert new_member(addition).membership_type is MembershipType.SYSTEM_GENERATED
    assert not new_member(addition).credential_lives


def test_a_portal_that_only_reports_is_added_to_as_well() -> None:
    assert school().portal(STUDENT).student().role("s1", "Student").judge().plan.pending == 1


def test_nobody_is_added_to_a_portal_by_contacts_by_hand_or_by_the_vendor() -> None:
    one = school().portal(ALUMNI, PortalRules("vendor", Strategy.CUSTOM)).student().contact()

    assert one.judge().plan.additions == ()


def test_a_member_is_never_added_enabled_disabled_or_removed_by_the_night() -> None:
    disabled = staff().role().member(portal="faculty", status=MemberStatus.DISABLED, username="")
    mismatched = school().portal(ASSOCIATION).person().member(portal="association")

    assert disabled.judge().plan.pending == 0
    assert mismatched.judge().plan.pending == 0


@pytest.mark.parametrize("why", ["inactive", "denied", "blocked", "disputed"])
def test_nobody_who_may_not_is_added(why: str) -> None:
    one = staff().role()
    match why:
        case "inactive":
            one.change("p1", status=PersonStatus.INACTIVE)
        case "denied":
            one.role(role="portal_account_disabled")
        case "blocked":
            one.remember(blocks={"p1": Block("p1", "Ada", "a quarrel")})
        case _:
            one.account().account(guid=guid("second"), username="second")

    assert one.judge().plan.additions == ()


def test_nobody_is_added_to_a_portal_that_did_not_answer() -> None:
    assert staff().role().not_read("portal", "faculty").judge().plan.additions == ()


# --- the three actions ------------------------------------------------------------------------------------------


def mixed() -> SchoolBuilder:
    """Give a portal with every kind of member."""
    one = school().portal(FACULTY)
    for person, role, status, kind in (
        ("match", True, "enabled", "system_generated"),
        ("mismatch", False, "enabled", "system_generated"),
        ("by-hand", False, "enabled", "manually_added"),
        ("match-off", True, "disabled", "system_generated"),
        ("mismatch-off", False, "disabled", "system_generated"),
        ("by-hand-off", False, "disabled", "manually_added"),
    ):
        one.person(person).member(person, "faculty", status=MemberStatus(status), membership_type=MembershipType(kind))
        if role:
            one.role(person)
    return one


def names(plan: ActionPlan) -> list[str]:
    return [m.person_id for m in plan.members]


def test_disabling_mismatched_members_takes_enabled_ones_and_leaves_out_who_was_added_by_hand() -> None:
    plan = act(Action.DISABLE_MISMATCHED, mixed())

    assert names(plan) == ["mismatch"]
    assert [(m.person_id, why) for m, why in plan.left_out] == [
        ("by-hand", "manually added: may mismatch legitimately")
    ]


def test_removing_mismatched_members_takes_disabled_ones_too() -> None:
    plan = act(Action.REMOVE_MISMATCHED, mixed())

    assert names(plan) == ["mismatch", "mismatch-off"]
    assert [m.person_id for m, _ in plan.left_out] == ["by-hand", "by-hand-off"]


def test_removing_disabled_members_skips_and_names_who_would_come_back() -> None:
    plan = act(Action.REMOVE_DISABLED, mixed())

    assert names(plan) == ["mismatch-off"]
    assert {m.person_id: why for m, why in plan.left_out} == {
        "by-hand-off": "manually added: may mismatch legitimately",
        "match-off": "still matches the strategy: the next nightly run would bring this person back",
    }


@pytest.mark.parametrize("action", list(Action))
def test_who_was_added_by_hand_is_taken_when_asked_for(action: Action) -> None:
    plan = act(action, mixed(), manually_added=True)

    assert any(name.startswith("by-hand") for name in names(plan))


@pytest.mark.parametrize("action", [Action.DISABLE_MISMATCHED, Action.REMOVE_MISMATCHED])
def test_nobody_can_mismatch_a_manual_portal(action: Action) -> None:
    one = school().portal(ALUMNI).person().member(portal="alumni")

    with pytest.raises(ConfigError, match="manual strategy"):
        act(action, one, ALUMNI)


def test_disabled_members_of_a_manual_portal_can_be_removed() -> None:
    one = school().portal(ALUMNI).person().member(portal="alumni", status=MemberStatus.DISABLED)

    assert names(act(Action.REMOVE_DISABLED, one, ALUMNI)) == ["p1"]


def test_an_action_is_for_one_portal() -> None:
    one = mixed().leaver("p1")

    assert names(act(Action.DISABLE_MISMATCHED, one, ENGAGE)) == ["p1"]


def test_a_member_who_is_blocked_does_not_match() -> None:
    one = staff().role().member(portal="faculty").remember(blocks={"p1": Block("p1", "Ada", "a quarrel")})

    assert names(act(Action.DISABLE_MISMATCHED, one, replace(FACULTY))) == ["p1"]
