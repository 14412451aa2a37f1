"""One nightly run as the school sees it: what stops it, what goes all the same, and what the next night remembers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.errors import JournalError, PlanError, SourceError, TargetUnreachable
from connector.model import Hold, LegState
from connector.policy import Policy
from connector.reconcile.backlog import backlog
from connector.reconcile.guard import guard
from connector.reconcile.journal_values import Run
from connector.reconcile.judge import Judgement
from connector.reconcile.memory import Release
from connector.reconcile.plan import hold_digest, without
from connector.reconcile.running import RunResult
from tests.fakes import Trouble
from tests.reconcile.build import ASSOCIATION, FACULTY, TODAY, TOMORROW, guid, school
from tests.reconcile.journal_builders import execute
from tests.reconcile.nights import Nights, settled
from tests.reconcile.test_apply import leaving


def labels(result: RunResult) -> list[str]:
    return [o.label for o in result.stopped]


# --- the first run, approvals, report mode ----------------------------------------------------------------------------


def test_the_first_run_stops_everything_even_what_is_urgent(tmp_path: Path) -> None:
    nights = Nights(tmp_path, school().families(2).leaver("gone").family("barred", restricted=True))
    before = nights.everything()

    result = nights.run()

    assert (labels(result), result.exit_code) == (["first-run"], 3)
    assert nights.everything() == before
    assert nights.journal.last_accepted() is None


def test_a_first_run_that_finds_nothing_is_accepted(tmp_path: Path) -> None:
    nights = Nights(tmp_path, school().families(2))

    result = nights.run()

    assert (result.result, result.exit_code) == ("applied", 0)
    assert nights.journal.last_accepted() is not None


def test_an_approval_waives_by_name_and_still_fits_the_same_facts_the_next_day(tmp_path: Path) -> None:
    nights = Nights(tmp_path, school().families(2).leaver("gone"))
    nights.approve(nights.run(), "first-run")

    result = nights.run(as_of=TOMORROW)

    assert (result.result, result.exit_code) == ("applied", 0)
    assert nights.is_closed("gone")
    assert nights.is_open("ok0")


def test_an_approval_does_not_fit_other_facts(tmp_path: Path) -> None:
    nights = Nights(tmp_path, school().families(2).leaver("gone"))
    nights.approve(nights.run(), "first-run")
    nights.school.leave("ok0")

    result = nights.run()

    assert labels(result) == ["first-run"]
    assert nights.is_open("gone")


def test_an_approval_that_waives_something_else_does_not_help(tmp_path: Path) -> None:
    nights = Nights(tmp_path, school().families(2).leaver("gone"))
    nights.approve(nights.run(), "max-share")

    result = nights.run()

    assert labels(result) == ["first-run"]


def test_report_mode_applies_nothing_and_says_that_changes_are_pending(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    before = nights.everything()

    result = nights.run(reports_only=True)

    assert (result.result, result.exit_code) == ("reported", 2)
    assert nights.everything() == before
    assert nights.journal.open_legs() == ()


def test_report_mode_does_not_even_drive_what_is_open(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.lost_before = {nights.account("ok0").guid}
    nights.run()
    nights.ad.trouble.lost_before = set()

    nights.run(reports_only=True)

    assert nights.account("ok0").enabled
    assert nights.open_states()["ok0", "ad"] is LegState.UNREACHABLE


def test_a_preview_leaves_no_trace(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    runs = len(nights.journal.runs())

    result = nights.running().preview(TODAY)

    assert (result.result, result.exit_code) == ("previewed", 2)
    assert len(nights.journal.runs()) == runs
    assert nights.is_open("ok0")


def test_a_night_with_nothing_to_do_says_zero(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2))

    result = nights.run()

    assert (result.result, result.exit_code, result.applied) == ("applied", 0, ())


# --- limits and urgent rows -------------------------------------------------------------------------------------------


def test_urgent_rows_go_although_other_rows_break_a_limit(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(10).portal(ASSOCIATION))
    for number in range(4):
        nights.school.leave(f"ok{number}")
    nights.school.person("new").role("new", "Parent")
    nights.journal.block("ok9", "alice@host", "ordered by the head", None)
    nights.school.limits(max_revocations=2)

    result = nights.run()

    assert (labels(result), result.exit_code) == (["max-revocations"], 3)
    assert [row.key for row in result.applied] == ["ok9"]
    assert nights.is_closed("ok9")
    assert all(nights.is_open(f"ok{n}") for n in range(9))
    assert nights.member("new", "association") is None


def test_urgent_rows_that_alone_break_the_limit_stop_too(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(10))
    for number in range(3):
        nights.journal.block(f"ok{number}", "alice@host", "a list gone wrong", None)
    nights.school.limits(max_revocations=2)
    before = nights.everything()

    result = nights.run()

    assert result.exit_code == 3
    assert nights.everything() == before


def test_a_stopped_run_is_not_what_the_next_one_is_compared_with(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 3)
    accepted = nights.journal.last_accepted()
    nights.school.limits(max_revocations=2)

    nights.run()

    assert nights.journal.last_accepted() == accepted


def test_what_was_closed_stays_and_counts_toward_the_limits_of_the_day(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 2)
    nights.school.limits(max_revocations=3)
    nights.run()
    nights.school.leave("ok2").leave("ok3")

    result = nights.run()

    assert labels(result) == ["max-revocations"]
    assert nights.is_open("ok2")


# --- sources nobody can believe ---------------------------------------------------------------------------------------


def test_a_source_objection_means_that_nothing_is_decided_remembered_or_accepted(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.school.relationships.pop()
    before, accepted = nights.everything(), nights.journal.last_accepted()

    result = nights.run()

    assert result.exit_code == 3
    assert labels(result) == ["source-shrank:relationships"]
    assert nights.everything() == before
    assert nights.journal.last_accepted() == accepted
    assert nights.journal.memory(TODAY).ready_runs == {}


def test_a_shrinking_somebody_waived_is_the_new_size(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(4))
    nights.school.relationships.pop()
    stopped = nights.run()
    nights.approve(stopped, *labels(stopped))
    waived = nights.run()

    result = nights.run()

    assert (stopped.exit_code, waived.exit_code) == (3, 0)
    assert labels(result) == []


def test_an_admin_system_that_does_not_answer_or_breaks_off_decides_nothing(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    runs = len(nights.journal.runs())
    nights.admin.trouble.down = True

    with pytest.raises(TargetUnreachable):
        nights.run()
    nights.admin.trouble.down, nights.ad.trouble.breaks_off = False, True
    with pytest.raises(SourceError):
        nights.run()

    assert nights.is_open("ok0")
    assert len(nights.journal.runs()) == runs


def test_a_journal_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    execute(
        nights.journal, "CREATE TRIGGER full BEFORE UPDATE ON audit_head BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    nights.admin.trouble.asked.clear()
    before = nights.everything()

    with pytest.raises(JournalError):
        nights.run()

    assert nights.admin.trouble.asked == []
    assert nights.everything() == before


# --- a stored plan ----------------------------------------------------------------------------------------------------


def test_a_kept_plan_is_applied_as_it_was_kept(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    plan_id = nights.keep_plan()
    nights.school.leave("ok1")

    result = nights.run(plan_id)

    assert nights.is_closed("ok0")
    assert nights.is_open("ok1")
    assert [row.key for row in result.applied] == ["ok0"]


def test_rows_whose_person_changed_are_skipped_and_said(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 3)
    plan_id = nights.keep_plan()
    nights.edit_account("ok0", state="66048")
    nights.school.leave("ok1", TOMORROW.replace(year=2030))

    result = nights.run(plan_id)

    assert {row.key: why for row, why in result.skipped} == {
        "ok0": "has changed since the plan was made",
        "ok1": "is no longer ready to revoke",
    }
    assert nights.is_closed("ok2")
    assert nights.is_open("ok0")
    assert nights.is_open("ok1")


def test_a_plan_none_of_whose_rows_is_as_it_was_is_stale(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    plan_id = nights.keep_plan()
    nights.edit_account("ok0", state="66048")
    before = nights.everything()

    with pytest.raises(PlanError, match="stale"):
        nights.run(plan_id)

    assert nights.everything() == before


def test_a_stale_plan_is_refused_before_what_is_open_is_driven(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 2)
    nights.ad.trouble.lost_before = {nights.account("ok0").guid}
    plan_id = nights.keep_plan()
    nights.run()
    nights.ad.trouble.lost_before = set()

    with pytest.raises(PlanError):
        nights.run(plan_id)

    assert nights.account("ok0").enabled


@pytest.mark.parametrize("skipped", [False, True])
def test_a_plan_is_applied_once_also_where_rows_were_skipped(tmp_path: Path, *, skipped: bool) -> None:
    nights = leaving(tmp_path, 2)
    plan_id = nights.keep_plan()
    if skipped:
        nights.edit_account("ok1", state="66048")
    nights.run(plan_id)

    with pytest.raises(PlanError, match="applied already"):
        nights.run(plan_id)


def test_a_plan_that_is_too_old_is_refused(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    plan_id = nights.keep_plan()
    old = (datetime.now(UTC) - timedelta(hours=30)).strftime("%Y-%m-%d %H:%M:%S.%f")
    execute(nights.journal, "UPDATE plans SET created_at = :old", old=old)

    with pytest.raises(PlanError, match="30 hours old"):
        nights.run(plan_id)

    assert nights.is_open("ok0")


def test_a_plan_edited_by_hand_is_refused(tmp_path: Path) -> None:
    nights = leaving(tmp_path, 2)
    plan_id = nights.keep_plan()
    execute(nights.journal, "UPDATE plans SET content = replace(content, 'ok1', 'ok2')")

    with pytest.raises(PlanError, match="edited by hand"):
        nights.run(plan_id)

    assert nights.is_open("ok2")


def test_a_kept_plan_with_an_objection_is_stopped_until_it_is_approved(tmp_path: Path) -> None:
    nights = Nights(tmp_path, school().families(2).leaver("gone"))
    plan_id = nights.keep_plan()
    stopped = nights.run(plan_id)
    nights.approve(stopped, "first-run")

    result = nights.run(plan_id)

    assert (stopped.exit_code, result.exit_code) == (3, 0)
    assert nights.is_closed("gone")


# --- what the next night remembers ------------------------------------------------------------------------------------


def test_links_are_learnt_by_employee_id_and_by_nothing_weaker(tmp_path: Path) -> None:
    nights = Nights(tmp_path, school().families(1).family("weak"))
    nights.edit_account("weak", employee_id="")

    nights.run()

    assert nights.journal.memory(TODAY).links == {("ad", guid("ad:ok0")): "ok0"}


def test_a_link_moves_within_the_same_human_and_that_is_in_the_audit(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(3))
    human = {"given_name": "Ada", "family_name": "Ng", "email": "ada@mail.example"}
    nights.school.change("ok0", **human).person("new", **human).contact("new", of="s-ok0")
    nights.edit_account("ok0", employee_id="Cnew")

    nights.run()

    assert nights.journal.memory(TODAY).links["ad", guid("ad:ok0")] == "new"
    assert any(e.kind == "link-moved" for e in nights.journal.events(limit=200))


def test_no_link_is_learnt_from_a_run_that_was_stopped(tmp_path: Path) -> None:
    nights = Nights(tmp_path, school().families(1).leaver("gone"))

    nights.run()

    assert nights.journal.memory(TODAY).links == {}


def test_with_two_runs_to_confirm_a_row_closes_on_the_second(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).rules(confirm_runs=2))
    nights.school.leave("ok0")
    first = nights.run()
    was_open = nights.is_open("ok0")

    second = nights.run()

    assert (first.exit_code, was_open) == (0, True)
    assert Hold.UNCONFIRMED in first.judgement.plan.revocations[0].holds
    assert [row.key for row in second.applied] == ["ok0"]


def test_somebody_entitled_in_between_is_counted_anew(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).rules(confirm_runs=2))
    nights.school.leave("ok0")
    nights.run()
    nights.school.leave("ok0", TOMORROW.replace(year=2030))
    nights.run()
    nights.school.leave("ok0")

    result = nights.run()

    assert result.applied == ()


def test_a_notice_window_is_waited_for(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).rules(notice_days=7))
    nights.school.leave("ok0")
    nights.run()
    during = nights.run(as_of=TODAY + timedelta(days=6))

    after = nights.run(as_of=TODAY + timedelta(days=7))

    assert during.applied == ()
    assert [row.key for row in after.applied] == ["ok0"]


def test_somebody_revoked_and_entitled_again_twice_waits_for_a_person(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).policy(no_student_at_school=Policy.HOLD))
    for _ in range(2):
        nights.school.leave("ok0")
        nights.run()
        nights.school.leave("ok0", TOMORROW.replace(year=2030))
        nights.run()
    nights.school.policy(no_student_at_school=Policy.APPLY).leave("ok0")

    result = nights.run()

    assert Hold.OSCILLATING in next(r for r in result.judgement.plan.revocations if r.key == "ok0").holds
    assert nights.is_open("ok0")


def test_a_hold_that_is_released_lets_the_row_go(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(2).policy(no_student_at_school=Policy.HOLD))
    nights.school.leave("ok0")
    held = nights.run()
    decision = held.judgement.decisions.by_key()["ok0"]
    digest = hold_digest(Hold.POLICY, decision.reasons, decision.evidence)
    nights.journal.release(Release("ok0", Hold.POLICY, digest, "alice@host"))

    result = nights.run()

    assert held.applied == ()
    assert nights.is_closed("ok0")
    assert result.exit_code == 0


# --- additions, blocks ------------------------------------------------------------------------------------------------


def test_who_is_entitled_to_a_roles_portal_is_added_once(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(1).portal(ASSOCIATION))
    nights.school.role("ok0", "Parent")

    first = nights.run()
    second = nights.run()

    member = nights.member("ok0", "association")
    assert member is not None
    assert not member.enabled
    assert ([a.person_id for a in first.added], second.added) == (["ok0"], ())


def test_a_blocked_person_is_not_added_again_by_the_nightly_run(tmp_path: Path) -> None:
    nights = settled(tmp_path, school().families(1).portal(FACULTY).family("t1"))
    nights.journal.block("t1", "alice@host", "dismissed", None)
    nights.school.role("t1")

    result = nights.run()

    assert result.added == ()
    assert nights.member("t1", "faculty") is None
    assert nights.is_closed("t1")


# --- the whole cycle --------------------------------------------------------------------------------------------------


def test_an_error_while_the_second_look_is_taken_ends_the_run_and_keeps_what_was_done(tmp_path: Path) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.lost_before = {nights.account("ok0").guid}
    nights.run()
    nights.ad.trouble.lost_before = set()
    nights.web.after_sweep = lambda: setattr(nights.engage.trouble, "breaks_off", True)

    with pytest.raises(SourceError):
        nights.run()

    assert not nights.account("ok0").enabled
    assert nights.journal.runs(1)[0].result == "failed: SourceError"


def test_the_lease_is_kept_while_the_systems_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nights = leaving(tmp_path)
    nights.ad.trouble.lost_before = {nights.account("ok0").guid}
    nights.run()
    nights.ad.trouble = Trouble()
    story: list[str] = []
    renew = nights.journal.renew

    def counted(run: Run, seconds: float) -> Run:
        story.append("renew")
        return renew(run, seconds)

    monkeypatch.setattr(nights.journal, "renew", counted)
    running = nights.running()
    running.progress = story.append

    running.run(TODAY)

    again = story[len(story) - story[::-1].index("admin system") - 1 :]
    for system in ("portal engage", "directory ad", "session store web"):
        assert again[again.index(system) - 1] == "renew"


def lively(judgement: Judgement) -> dict[str, object]:
    """Give all that people who are entitled have, by person."""
    found: dict[str, object] = {}
    for decision in judgement.decisions.rows:
        if decision.status.value in ("active", "ready_to_provision"):
            i = decision.identity
            accounts = sorted((a.account for a in i.accounts), key=lambda a: a.guid)
            found[i.key] = (i.members, accounts, len(i.sessions))
    return found


def test_after_a_run_a_second_finds_nothing_and_nobody_entitled_lost_anything(tmp_path: Path) -> None:
    builder = school().families(6).leavers(4).family("barred", restricted=True).portal(FACULTY)
    builder.family("teacher").role("teacher").member("teacher", "faculty").leave("teacher")
    nights = Nights(tmp_path, builder)
    first = nights.run()
    nights.approve(first, *labels(first))
    before = lively(first.judgement)
    nights.run()

    again = nights.run()

    after = lively(again.judgement)
    assert again.exit_code == 0
    assert again.judgement.plan.pending == 0
    assert {key: after[key] for key in before} == before
    assert all(nights.is_closed(f"gone{n}") for n in range(4))


# --- what a stored plan leaves out ------------------------------------------------------------------------------


def test_a_changed_flag_that_a_plan_left_out_is_still_news_the_next_night(tmp_path: Path) -> None:
    one = school().families(9).family("s", contact_type="Stepmother")
    nights = settled(tmp_path, one)
    nights.school.contact_type("Stepmother", flag=False).leave("s").leave("ok0")
    running = nights.running()
    judgement = running.look(TODAY)
    cut = guard(without(judgement.plan, [("contact_type", "Stepmother")]), judgement.decisions, judgement.night)
    with running.acting("plan", TODAY, {}) as applier:
        nights.journal.keep_plan(cut, applier.run)
        nights.journal.end_run(applier.run, "planned", 0)
    assert nights.run(cut.plan_id).exit_code == 0

    later = nights.run(as_of=TOMORROW)

    assert labels(later) == ["rule-changed:Stepmother"]
    assert nights.is_closed("ok0")
    assert nights.is_open("s")


def test_the_parts_of_a_backlog_are_applied_one_after_the_other(tmp_path: Path) -> None:
    nights = Nights(tmp_path, school().families(9).leaver("a").leaver("b"))
    running = nights.running()
    judgement = running.look(TODAY)
    parts = [guard(p, judgement.decisions, judgement.night) for p in backlog(judgement.plan, 1)]
    with running.acting("plan", TODAY, {}) as applier:
        for part in parts:
            nights.journal.keep_plan(part, applier.run)
        nights.journal.end_run(applier.run, "planned", 0)
    nights.journal.approve(parts[0].digest, parts[0].plan_id, ("first-run",), "alice@host", "")

    codes = [nights.run(part.plan_id).exit_code for part in parts]

    assert codes == [0, 0]
    assert nights.is_closed("a")
    assert nights.is_closed("b")


def test_a_waiver_is_used_up_by_the_run_it_was_given_for(tmp_path: Path) -> None:
    """A plan without rows is the same plan every night: a court order lifted later is looked at anew."""
    nights = settled(tmp_path, school().families(9).student().contact(restricted=True))
    before = nights.school.relationships[-1]

    for night in (1, 2):
        nights.school.relationships[-1] = replace(before, restricted=False)
        stopped = nights.run()
        assert labels(stopped) == ["restriction-lifted"], night
        nights.approve(stopped, "restriction-lifted")
        assert nights.run().exit_code == 0
        nights.school.relationships[-1] = before
        assert nights.run().exit_code == 0
