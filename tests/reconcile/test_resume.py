"""What is open is driven to an end, and before that its person is decided again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connector.errors import TargetUnreachable
from connector.model import LegKind, LegState, Member, MembershipType, SessionKey
from connector.reconcile.journal_values import ChangeKind, Direction, MembershipChange
from connector.reconcile.resume import decide_again
from tests.fakes import FakeSessionStore, Trouble
from tests.reconcile.build import FACULTY, TODAY, TOMORROW, YESTERDAY, guid, school
from tests.reconcile.nights import Nights, settled
from tests.reconcile.test_apply import leaving, staff


def gone() -> TargetUnreachable:
    return TargetUnreachable("the store does not answer")


def stuck(folder: Path, *down: str) -> Nights:
    """Give a school in which ok0 was to be closed and these targets failed when they were written to."""
    nights = leaving(folder)
    systems = {"ad": nights.ad, "engage": nights.engage, "web": nights.web}
    for name in down:
        systems[name].trouble.meanwhile = lambda name=name: setattr(systems[name].trouble, "down", True)
    nights.run()
    for name in down:
        systems[name].trouble.down = False
    assert nights.journal.open_legs()
    return nights


def returned(nights: Nights) -> None:
    """Let the child of ok0 be at the school after all."""
    nights.school.leave("ok0", TOMORROW.replace(year=2030))


def whys(nights: Nights) -> dict[str, str]:
    """Give why each leg of ok0 was called off, by target."""
    legs = nights.journal.revocations("ok0")[-1].legs
    return {leg.planned.target: leg.detail for leg in legs if leg.state is LegState.CALLED_OFF}


# --- driven, or called off with why -----------------------------------------------------------------------------------


def test_what_is_open_is_driven_before_anything_new(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "ad")
    nights.school.leave("ok1")
    nights.ad.trouble.asked.clear()

    result = nights.run()

    assert nights.ad.trouble.writes == ["close ad: uok0", "close ad: uok1"]
    assert (result.resumed, result.exit_code) == (2, 0)


def test_resume_drives_what_is_open_and_begins_nothing_new(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "ad")
    nights.school.leave("ok1")

    result = nights.resume()

    assert result.exit_code == 0
    assert nights.is_closed("ok0")
    assert nights.is_open("ok1")


def test_resume_with_nothing_open_does_nothing(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2))

    result = nights.resume()

    assert (result.exit_code, result.resumed, result.called_off) == (0, 0, ())


def test_somebody_who_is_entitled_again_keeps_what_is_still_open_and_the_reason_is_recorded(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "ad", "engage", "web")
    returned(nights)

    result = nights.run()

    assert nights.is_open("ok0")
    assert whys(nights) == {
        "ad": "the account is needed again",
        "engage": "entitled to engage again",
        "web": "entitled to engage again",
    }
    assert {leg.planned.target for leg, _ in result.called_off} == {"ad", "engage", "web"}
    assert result.exit_code == 0
    assert nights.journal.revocations("ok0")[0].state == "called-off"


def test_what_was_closed_is_not_opened_again_by_us(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "engage")
    returned(nights)

    nights.run()

    assert not nights.account("ok0").enabled
    assert nights.member("ok0").username == "uok0"  # type: ignore[union-attr] # there is a member


def test_an_account_an_entitled_person_claims_by_now_is_not_closed(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "ad")
    nights.edit_member("ok1", username="uok0")

    nights.run()

    assert nights.account("ok0").enabled
    assert whys(nights)["ad"] == "claimed by ok1, who is entitled"
    assert nights.is_open("ok2")


def test_an_account_that_was_given_to_somebody_entitled_is_not_closed_where_its_old_person_is_gone(
    tmp_path: Path,
) -> None:
    nights = stuck(tmp_path, "ad")
    del nights.school.people["ok0"]
    nights.school.relationships[:] = [r for r in nights.school.relationships if r.contact_id != "ok0"]
    nights.school.members[:] = [m for m in nights.school.members if m.person_id != "ok0"]
    nights.journal.move_link("ad", guid("ad:ok0"), "ok1", "alice@host", "by hand")
    nights.edit_account("ok0", employee_id="")

    nights.run()

    assert nights.account("ok0").enabled


def test_a_leg_on_an_account_that_left_the_managed_ous_is_called_off_and_the_rest_ends(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "ad")
    nights.edit_account("ok0", managed=False, dn="CN=ok0,OU=Elsewhere")

    result = nights.run()

    assert "managed OUs" in whys(nights)["ad"]
    assert (result.exit_code, nights.open_states()) == (0, {})
    assert nights.account("ok0").enabled


def test_a_leg_on_an_account_that_is_protected_by_now_is_not_driven_and_waits_with_its_row(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "ad")
    nights.edit_account("ok0", protected="adminCount=1")
    writes = len(nights.ad.trouble.writes)

    result = nights.run()

    assert len(nights.ad.trouble.writes) == writes
    assert (result.exit_code, ("ok0", "ad") in nights.open_states()) == (4, True)


@pytest.mark.parametrize("unread", [False, True])
def test_of_somebody_blocked_only_the_protected_account_stays_and_the_rest_ends(
    tmp_path: Path, *, unread: bool
) -> None:
    nights = leaving(tmp_path) if unread else stuck(tmp_path, "ad")
    if unread:
        nights.ad.trouble.down = True
        nights.run()
        nights.ad.trouble.down = False
    nights.edit_account("ok0", protected="adminCount=1")
    nights.journal.block("ok0", "bob@host", "ordered by the head", None)

    nights.run()

    assert nights.open_legs() == {}
    assert "adminCount=1" in whys(nights)["ad"]
    assert nights.account("ok0").enabled


def test_a_restore_of_an_account_that_is_protected_by_now_is_called_off(tmp_path: Path) -> None:
    nights = half_restored(tmp_path)
    nights.edit_account("ok0", protected="adminCount=1")

    nights.resume()

    assert nights.open_legs() == {}
    assert not nights.account("ok0").enabled


def test_a_sweep_from_earlier_that_waits_for_a_new_row_leaves_a_portal_alone_that_is_entitled_again(
    tmp_path: Path,
) -> None:
    nights = settled(tmp_path, school().families(2).portal(FACULTY))
    nights.school.member("ok0", "faculty").session("ok0", "faculty").role("ok0", ends=YESTERDAY).leave("ok0")
    nights.portals["faculty"].trouble.meanwhile = lambda: nights.edit_member("ok0", "faculty", username="changed")
    nights.engage.trouble.lost_before = {"ok0"}
    nights.web.trouble.raises = gone()
    nights.run()
    nights.engage.trouble.lost_before = set()
    returned(nights)

    nights.run()

    assert [s.portal for s in nights.school.sessions if s.user == "uok0"] == ["engage"]


def test_sessions_under_a_name_that_is_an_entitled_persons_now_are_left_alone(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "web")
    nights.edit_account("ok0", username="old")
    nights.edit_member("ok1", username="uok0")

    nights.run()

    assert nights.sessions("ok0") == 1
    assert whys(nights) == {"web": "the user name is an entitled person's now"}


def test_of_a_sessions_leg_only_the_portals_go_that_are_not_entitled_again(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).portal(FACULTY))
    nights.school.member("ok0", "faculty").session("ok0", "faculty")
    nights.school.leave("ok0")
    nights.web.trouble.raises = gone()
    nights.run()
    nights.school.role("ok0")

    result = nights.run()

    assert [s.portal for s in nights.school.sessions if s.user == "uok0"] == ["faculty"]
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("key", "value", "change"),
    [
        (SessionKey.CODE, "Cok0", lambda s: s.change("ok0", code="gone").change("ok1", code="Cok0")),
        (SessionKey.EMAIL, "ok0@mail.example", lambda s: s.change("ok1", email="ok0@mail.example")),
    ],
)
def test_sessions_whose_key_is_an_entitled_persons_by_now_are_left_alone(
    tmp_path: Path, key: SessionKey, value: str, change: Callable[[object], object]
) -> None:
    nights = settled(tmp_path, school().families(2).store("app", key))
    nights.school.session("ok0", store="app", user=value).leave("ok0")
    nights.stores["app"].trouble.raises = gone()
    nights.run()
    change(nights.school)
    nights.edit_account("ok1", employee_id=nights.school.people["ok1"].code)

    nights.run()

    assert any(s.user == value for s in nights.school.sessions)


def test_sessions_under_the_key_of_a_person_who_is_still_closed_are_ended(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).store("app", SessionKey.PERSON_ID))
    nights.school.session("ok0", store="app", user="ok0").leave("ok0")
    nights.stores["app"].trouble.raises = gone()
    nights.run()

    result = nights.run()

    assert result.exit_code == 0
    assert isinstance(nights.stores["app"], FakeSessionStore)
    assert not any(s.store == "app" for s in nights.school.sessions)


def test_sessions_under_a_name_that_is_not_theirs_any_more_are_ended_only_if_they_are_older_than_the_intent(
    tmp_path: Path,
) -> None:
    nights = stuck(tmp_path, "web")
    nights.edit_account("ok0", username="old")
    nights.edit_member("ok1", username="uok0")
    nights.school.leave("ok1")

    resumption = decide_again(nights.journal.open_legs(), nights.running().look(TODAY).decisions)

    assert resumption.older_only == {leg.leg_id for leg in resumption.drive}
    assert len(resumption.drive) == 1


def test_sessions_that_are_still_theirs_are_all_ended(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "web")

    resumption = decide_again(nights.journal.open_legs(), nights.running().look(TODAY).decisions)

    assert (len(resumption.drive), resumption.older_only) == (1, frozenset())


def test_a_conflict_is_not_tried_again_by_resume(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.meanwhile = lambda: nights.edit_account("ok0", state="66048")
    nights.run()
    nights.ad.trouble.asked.clear()

    nights.resume()

    assert nights.ad.trouble.writes == []
    assert nights.account("ok0").state == "66048"


def test_a_conflict_somebody_settled_by_closing_ends_as_closed_already(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.meanwhile = lambda: nights.edit_account("ok0", state="66048")
    nights.run()
    nights.edit_account("ok0", state="66050", enabled=False)

    result = nights.resume()

    assert result.exit_code == 0
    legs = {leg.planned.target: leg.state for leg in nights.journal.revocations("ok0")[0].legs}
    assert legs["ad"] is LegState.ALREADY_CLOSED


def test_a_conflict_of_somebody_entitled_again_is_called_off(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.meanwhile = lambda: nights.edit_account("ok0", state="66048")
    nights.run()
    returned(nights)

    result = nights.resume()

    assert result.exit_code == 0
    assert whys(nights)["ad"] == "the account is needed again"


def test_somebody_kept_or_disputed_since_waits_with_the_leg_open(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "ad")
    nights.journal.keep("ok0", "bob@host", "a mistake in the file", None)

    result = nights.run()

    assert nights.account("ok0").enabled
    assert result.exit_code == 4


def test_an_abandoned_revocation_is_not_driven_again(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "ad")

    count = nights.journal.abandon("ok0", "bob@host", "closed by hand in the console")
    nights.ad.trouble.asked.clear()
    result = nights.resume()

    assert count == 2
    assert nights.ad.trouble.writes == []
    assert result.exit_code == 0
    assert "abandoned by bob@host" in whys(nights)["ad"]


# --- what cannot be read or believed ----------------------------------------------------------------------------------


def test_a_directory_that_cannot_be_read_leaves_its_legs_alone(tmp_path: Path) -> None:
    """Who claims the account by now cannot be seen."""
    nights = stuck(tmp_path, "ad")
    nights.ad.trouble.asked.clear()
    nights.ad.trouble.down = True

    result = nights.run()

    assert nights.ad.trouble.writes == []
    assert result.exit_code == 4


def test_a_target_that_could_not_be_read_is_planned_unread_and_closed_when_it_is_back(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.down = True
    first = nights.run()
    again = nights.run()
    nights.ad.trouble.down = False

    last = nights.run()

    assert (first.exit_code, again.exit_code, last.exit_code) == (4, 4, 0)
    assert not again.applied
    assert nights.member("ok0").username == ""  # type: ignore[union-attr] # there is a member
    assert "half-revoked" in {str(r) for row in last.applied for r in row.reasons}
    assert nights.is_closed("ok0")
    assert {why for _, why in last.called_off} == {"the target can be read again: planned anew"}


def test_an_unread_portal_is_closed_when_it_is_back(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.engage.trouble.down = True
    first = nights.run()
    nights.engage.trouble.down = False

    last = nights.run()

    assert (first.exit_code, last.exit_code) == (4, 0)
    assert nights.is_closed("ok0")


def test_an_unread_leg_stays_open_while_its_new_row_waits_for_a_person(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.down = True
    nights.run()
    nights.ad.trouble.down = False
    nights.edit_account("ok0", protected="adminCount=1")

    result = nights.run()

    assert result.exit_code == 4
    assert ("ok0", "ad") in nights.open_states()
    assert nights.account("ok0").enabled


def test_an_unread_leg_ends_where_nothing_is_there_to_close(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.down = True
    nights.run()
    nights.ad.trouble.down = False
    nights.school.accounts[:] = [a for a in nights.school.accounts if a.username != "uok0"]
    nights.school.sessions[:] = [s for s in nights.school.sessions if s.user != "uok0"]

    result = nights.resume()

    assert result.exit_code == 0
    assert set(whys(nights).values()) == {"the target can be read again: nothing is left to close there"}


def test_an_unread_leg_ends_where_nothing_is_there_although_the_person_waits_elsewhere(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.engage.trouble.down = True
    nights.edit_account("ok0", protected="adminCount=1")
    nights.run()
    nights.engage.trouble.down = False
    nights.school.members[:] = [m for m in nights.school.members if m.person_id != "ok0"]

    nights.run()

    assert ("ok0", "engage") not in nights.open_states()
    assert nights.account("ok0").enabled


def test_what_is_half_closed_goes_on_although_other_rows_break_a_limit(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(12))
    nights.school.leave("ok0")
    nights.ad.trouble.down = True
    nights.run()
    nights.ad.trouble.down = False
    for number in range(1, 8):
        nights.school.leave(f"ok{number}")
    nights.school.limits(max_revocations=5)

    result = nights.run()

    assert [o.label for o in result.stopped] == ["max-revocations"]
    assert nights.is_closed("ok0")
    assert nights.is_open("ok1")


def test_from_a_source_nobody_can_believe_nothing_is_called_off_and_nothing_driven(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "ad")
    before = nights.open_states()
    returned(nights)
    nights.ad.trouble.asked.clear()
    nights.school.relationships[:] = nights.school.relationships[:1]

    result = nights.run()

    assert any(o.label.startswith("source-shrank") for o in result.stopped)
    assert nights.open_states() == before
    assert nights.ad.trouble.writes == []
    assert result.exit_code == 4


def test_what_a_block_asks_for_is_driven_even_then(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "ad")
    nights.journal.block("ok0", "alice@host", "ordered by the head", None)
    nights.school.relationships[:] = nights.school.relationships[:1]

    nights.run()

    assert nights.is_closed("ok0")


def test_even_then_an_account_somebody_else_may_claim_is_left_alone(tmp_path: Path) -> None:
    nights = stuck(tmp_path, "ad")
    nights.journal.block("ok0", "alice@host", "ordered by the head", None)
    nights.edit_member("ok1", username="uok0")
    nights.school.relationships[:] = [r for r in nights.school.relationships if r.contact_id == "ok1"]

    nights.run()

    assert nights.account("ok0").enabled
    assert ("ok0", "ad") in nights.open_states()


# --- restores and membership changes ----------------------------------------------------------------------------------


def half_restored(folder: Path) -> Nights:
    """Give a school in which ok0 was closed and a restore could not open the account."""
    nights = leaving(folder)
    nights.run()
    (closed,) = nights.journal.revocations("ok0")
    doors = [leg for leg in closed.legs if leg.planned.kind is LegKind.DIRECTORY]
    row = replace(closed.row, legs=tuple(replace(leg.planned, before=leg.before) for leg in doors))
    applier = nights.applier()
    nights.ad.trouble.lost_before = {guid("ad:ok0")}
    applier.drive(nights.journal.intend(applier.run, "", [row], "alice@host", direction=Direction.OPEN))
    nights.journal.end_run(applier.run, "restored", 4)
    nights.ad.trouble = Trouble()
    return nights


def test_a_restore_that_failed_is_finished_by_resume(tmp_path: Path) -> None:
    nights = half_restored(tmp_path)

    result = nights.resume()

    assert result.exit_code == 0
    assert nights.account("ok0").enabled


def test_a_restore_that_met_somebody_elses_username_is_called_off_and_says_so(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.run()
    (closed,) = nights.journal.revocations("ok0")
    (door,) = [leg for leg in closed.legs if leg.planned.kind is LegKind.CREDENTIAL]
    row = replace(closed.row, legs=(replace(door.planned, before=door.before),))
    nights.edit_member("ok0", username="new-name")
    applier = nights.applier()
    applier.drive(nights.journal.intend(applier.run, "", [row], "alice@host", direction=Direction.OPEN))
    nights.journal.end_run(applier.run, "restored", 4)
    assert nights.open_states() == {("ok0", "engage"): LegState.CONFLICT}

    nights.resume()

    assert nights.open_legs() == {}
    newest = nights.journal.revocations("ok0")[0]
    assert [(leg.state, "new-name" in leg.detail) for leg in newest.legs] == [(LegState.CALLED_OFF, True)]


def test_a_restore_of_an_account_that_left_the_managed_ous_is_called_off(tmp_path: Path) -> None:
    nights = half_restored(tmp_path)
    nights.edit_account("ok0", managed=False)

    nights.resume()

    assert nights.open_legs() == {}
    assert not nights.account("ok0").enabled


def test_a_restore_is_not_finished_against_a_block(tmp_path: Path) -> None:
    nights = half_restored(tmp_path)
    nights.journal.block("ok0", "bob@host", "ordered by the head", None)

    result = nights.resume()

    assert not nights.account("ok0").enabled
    assert [why for _, why in result.called_off] == ["blocked since it was asked for"]


def test_a_restore_is_not_finished_against_a_court_order_without_a_second(tmp_path: Path) -> None:
    nights = half_restored(tmp_path)
    nights.school.relationships[:] = [replace(r, restricted=r.contact_id == "ok0") for r in nights.school.relationships]
    legs = nights.journal.open_legs()

    resumption = decide_again(legs, nights.running().look(TODAY).decisions)

    assert "second operator" in resumption.call_off[0][1]


@pytest.mark.parametrize("why", ["blocked", "no longer entitled"])
def test_an_open_addition_of_somebody_who_is_not_to_get_in_any_more_is_called_off(tmp_path: Path, why: str) -> None:
    nights = staff(tmp_path, "t1")
    nights.portals["faculty"].trouble.lost_before = {"t1"}
    nights.run()
    nights.portals["faculty"].trouble = Trouble()
    if why == "blocked":
        nights.journal.block("t1", "bob@host", "dismissed", None)
    else:
        nights.school.roles[:] = [replace(r, ends_on=YESTERDAY) for r in nights.school.roles]

    nights.run()

    assert nights.member("t1", "faculty") is None
    assert nights.journal.open_changes() == ()


@pytest.mark.parametrize("kept_out", [False, True])
def test_a_member_added_by_hand_needs_no_entitlement_at_the_second_try_but_must_not_be_blocked(
    tmp_path: Path, *, kept_out: bool
) -> None:
    nights = settled(tmp_path, school().families(1).portal(FACULTY).person("guest"))
    member = Member("faculty", "guest", membership_type=MembershipType.MANUALLY_ADDED)
    applier = nights.applier()
    nights.portals["faculty"].trouble.lost_before = {"guest"}
    applier.change([MembershipChange(ChangeKind.ADD, "faculty", "guest", None, member)])
    nights.journal.end_run(applier.run, "changed", 4)
    nights.portals["faculty"].trouble = Trouble()
    if kept_out:
        nights.journal.block("guest", "bob@host", "ordered by the head", None)

    result = nights.resume()

    assert (nights.member("guest", "faculty") is None) is kept_out
    assert result.exit_code == 0
