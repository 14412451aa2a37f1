"""The verbs every front end uses, over real adapters on the embedded sample school."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyotp
import pytest

from connector.app import Connector
from connector.config import NightlyMode
from connector.demo import build
from connector.errors import (
    ConfigError,
    JournalError,
    NotAllowed,
    PlanError,
    PlanStopped,
    RunInProgress,
    TargetUnreachable,
    UnknownPerson,
)
from connector.model import CloseAccount, Hold, Level, Outcome, Status
from connector.reconcile.going_live import RUNS, holds_to_read
from connector.reconcile.journal_values import ChangeKind
from connector.reconcile.judge import Judgement
from connector.reconcile.membership import Action
from connector.reconcile.plan_values import Revocation

SAMPLE = Path(__file__).parents[1] / "sample" / "harbour-college"
AS_OF = date(2026, 11, 21)
ENTITLED = (Status.ACTIVE, Status.READY_TO_PROVISION)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(SAMPLE, tmp_path / "school")
    return tmp_path / "school"


@pytest.fixture
def connector(folder: Path) -> Iterator[Connector]:
    opened = Connector.open(folder / "config.toml")
    yield opened
    opened.close()


def in_report_mode(connector: Connector) -> Connector:
    connector.config = replace(connector.config, nightly=replace(connector.config.nightly, mode=NightlyMode.REPORT))
    return connector


def approved(connector: Connector) -> str:
    """Keep today's plan, approve it with all its objections; give its id."""
    judgement = connector.plan(AS_OF)
    connector.keep_plan(judgement)
    connector.approve(judgement.plan.plan_id, [o.label for o in judgement.plan.objections], "read and understood")
    return judgement.plan.plan_id


def accepted(connector: Connector) -> Connector:
    """Go through the first night, approved."""
    result = connector.run(AS_OF, approved(connector))
    assert result.exit_code == 0, (result.stopped, result.open_legs)
    return connector


def accepted_five_times(connector: Connector) -> Judgement:
    """Let five runs be accepted in report mode; give what is judged then."""
    approved(connector)
    for _ in range(RUNS):
        connector.run(AS_OF)
    return connector.look(AS_OF)


def lively(judgement: Judgement) -> dict[str, tuple[Any, ...]]:
    """Give what everybody who is entitled has: members, accounts, sessions."""
    found: dict[str, tuple[Any, ...]] = {}
    for decision in judgement.decisions.rows:
        if decision.status in ENTITLED:
            identity = decision.identity
            accounts = sorted((a.account for a in identity.accounts), key=lambda a: a.guid)
            sessions = sorted((s.portal, s.user, s.created_at is None) for s in identity.sessions)
            found[identity.key] = (identity.members, accounts, sessions)
    return found


def plain(judgement: Judgement) -> str:
    """Give the key of somebody whose row applies and is not urgent, with a record, an account and a member."""
    rows = (r for r in judgement.plan.revocations if r.applies and r.person_id and not r.urgent)
    return next(r.key for r in rows if {"ad", "engage"} <= _targets(r))


def _targets(row: Revocation) -> set[str]:
    return {leg.target for leg in row.legs if not leg.withheld}


def healthy(judgement: Judgement) -> str:
    """Give the key of somebody active with member, account and session."""
    return next(
        d.identity.key
        for d in judgement.decisions.rows
        if d.status is Status.ACTIVE and d.identity.members and d.identity.accounts and d.identity.sessions
    )


# --- the whole cycle --------------------------------------------------------------------------------------------------


def test_the_sample_school_is_closed_as_planned_and_a_second_run_finds_nothing(connector: Connector) -> None:
    first = connector.run(AS_OF)
    before = lively(connector.look(AS_OF))
    connector.approve(first.judgement.plan.plan_id, [o.label for o in first.stopped], "read")

    second = connector.run(AS_OF)
    third = connector.run(AS_OF)

    assert ([o.label for o in first.stopped], first.exit_code) == (["first-run"], 3)
    assert (second.exit_code, len(second.applied)) == (0, first.judgement.plan.pending - len(second.added))
    assert second.open_legs == ()
    assert (third.exit_code, third.judgement.plan.pending, third.applied, third.added) == (0, 0, (), ())
    after = lively(third.judgement)
    added = {(a.portal, a.person_id) for a in second.added}
    for key, (members, accounts, sessions) in before.items():
        kept = tuple(m for m in after[key][0] if (m.portal, m.person_id) not in added)
        assert (kept, after[key][1]) == (members, accounts)
        assert set(sessions) <= set(after[key][2])


def test_nothing_of_a_closed_person_lives_in_any_system(connector: Connector) -> None:
    applied = connector.run(AS_OF, approved(connector)).applied

    judgement = connector.look(AS_OF)

    decided = judgement.decisions.by_key()
    for row in applied:
        decision = decided.get(row.key)
        assert decision is None or not decision.legs.accounts or all(leg.withheld for leg in row.legs[:1]), row.key
        assert decision is None or not (decision.legs.clear_credential or decision.legs.disable_member), row.key


def test_a_whole_run_can_be_undone_from_its_before_values(connector: Connector) -> None:
    before = {a.guid: a.state for r in connector.look(AS_OF).snapshot.directories for a in r.accounts}
    result = connector.run(AS_OF, approved(connector))
    judgement = connector.look(AS_OF)

    restore = connector.restore_of(judgement, connector.closed(judgement, run_id=result.run_id), seconded=True)
    left = connector.restore(restore, AS_OF)

    after = {a.guid: a.state for r in connector.look(AS_OF).snapshot.directories for a in r.accounts}
    assert left == ()
    assert after == before


# --- running ----------------------------------------------------------------------------------------------------------


def test_a_dry_run_keeps_and_writes_nothing(connector: Connector) -> None:
    result = connector.run(AS_OF, dry=True)

    assert (result.result, result.exit_code) == ("previewed", 3)
    assert connector.journal.runs() == ()


def test_in_report_mode_a_run_reports_and_an_approved_plan_named_by_its_id_is_applied(connector: Connector) -> None:
    plan_id = approved(in_report_mode(connector))

    reported = connector.run(AS_OF)
    applied = connector.run(AS_OF, plan_id)

    assert (reported.result, reported.exit_code, reported.applied) == ("reported", 2, ())
    assert applied.result == "applied"


def test_in_report_mode_a_plan_nobody_approved_is_refused(connector: Connector) -> None:
    judgement = in_report_mode(connector).plan(AS_OF)
    connector.keep_plan(judgement)

    with pytest.raises(NotAllowed, match="report mode"):
        connector.run(AS_OF, judgement.plan.plan_id)


def test_going_live_and_back_is_a_named_persons_word(connector: Connector) -> None:
    in_report_mode(connector)

    judgement = accepted_five_times(connector)
    holds = connector.live.go(judgement, holds_to_read(judgement).digest)
    live = connector.is_live
    connector.live.back()

    assert (live, connector.is_live) == (True, False)
    assert holds.people > 0


def test_before_five_accepted_runs_nobody_goes_live(connector: Connector) -> None:
    approved(in_report_mode(connector))
    for _ in range(RUNS - 2):
        connector.run(AS_OF)
    judgement = connector.look(AS_OF)

    with pytest.raises(
        NotAllowed, match=r"3 were accepted so far: 2 are missing.*nights will have done them on \d{4}-"
    ):
        connector.live.go(judgement, holds_to_read(judgement).digest)

    assert not connector.is_live


def test_a_list_of_holds_that_changed_is_read_again(connector: Connector) -> None:
    judgement = accepted_five_times(in_report_mode(connector))
    read = holds_to_read(judgement).digest
    group = holds_to_read(judgement).groups[-1]
    connector.release(judgement.decisions.by_key()[group.rows[0].key], group.hold, "looked at")

    with pytest.raises(NotAllowed, match="another by now"):
        connector.live.go(connector.look(AS_OF), read)
    with pytest.raises(NotAllowed, match="Nobody said"):
        connector.live.go(connector.look(AS_OF), "")

    assert not connector.is_live


def test_an_objection_the_plan_does_not_have_cannot_be_waived(connector: Connector) -> None:
    judgement = connector.plan(AS_OF)
    connector.keep_plan(judgement)

    with pytest.raises(PlanError, match="It has: first-run"):
        connector.approve(judgement.plan.plan_id, ["max-share"], "guessed")


def test_a_plan_is_cut_by_factor_and_by_name_and_has_another_id(connector: Connector) -> None:
    whole = connector.plan(AS_OF)
    row = next(r for r in whole.plan.revocations if r.applies and r.code)

    without_portal = connector.plan(AS_OF, factors=[("portal", "engage")])
    without_one = connector.plan(AS_OF, excepted=[row.code], reason="looked at by hand")

    assert len({p.plan.plan_id for p in (whole, without_portal, without_one)}) == 3
    assert row.key not in [r.key for r in without_one.plan.revocations]
    assert any("looked at by hand" in w for w in without_one.plan.warnings)


def test_two_connectors_at_once_the_second_is_refused(connector: Connector, folder: Path) -> None:
    connector.journal.begin_run("run", "bob@other", AS_OF, {})
    second = Connector.open(folder / "config.toml")

    with pytest.raises(RunInProgress, match="bob@other"):
        second.run(AS_OF)

    second.close()


def test_check_looks_at_everything_and_names_what_is_wrong(connector: Connector, folder: Path) -> None:
    fine = connector.check()
    connector.close()
    (folder / "portal.sqlite").unlink()

    broken = Connector.open(folder / "config.toml").check()

    assert not [f for f in fine if f.level is Level.ERROR]
    assert "engage" in [f.subject for f in broken if f.level is Level.ERROR]


# --- by name ----------------------------------------------------------------------------------------------------------


def test_revoking_by_name_closes_and_blocks_in_one_and_no_night_brings_them_back(connector: Connector) -> None:
    judgement = accepted(connector).look(AS_OF)
    key = healthy(judgement)
    row = connector.revocation_of(judgement, judgement.decisions.by_key()[key], "ordered by the head")
    assert row is not None

    left = connector.revoke(row, "ordered by the head", AS_OF)
    night = connector.run(AS_OF)

    assert left == ()
    assert key in connector.journal.memory(AS_OF).blocks
    decision = night.judgement.decisions.by_key().get(key)
    assert decision is None or decision.status is Status.REVOKED
    assert not [a for a in night.added if a.person_id == key]
    assert night.exit_code == 0


def test_a_revocation_that_dies_in_the_middle_has_blocked_and_is_finished_by_the_next_run(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    judgement = accepted(connector).look(AS_OF)
    key = healthy(judgement)
    row = connector.revocation_of(judgement, judgement.decisions.by_key()[key], "ordered by the head")
    assert row is not None
    with monkeypatch.context() as patched:
        patched.setattr(connector.targets.directories["ad"], "close", _killed)
        with pytest.raises(KeyboardInterrupt):
            connector.revoke(row, "ordered by the head", AS_OF)
    blocked = key in connector.journal.memory(AS_OF).blocks
    opened = len(connector.journal.open_legs())

    result = connector.resume(AS_OF)

    assert blocked
    assert opened == len([leg for leg in row.legs if not leg.withheld])
    assert result.exit_code == 0
    assert connector.journal.runs(2)[1].result == "failed: KeyboardInterrupt"


def _killed(_batch: object) -> None:
    raise KeyboardInterrupt


def test_a_blocked_person_is_not_restored_until_two_people_unblock_them(connector: Connector) -> None:
    judgement = accepted(connector).look(AS_OF)
    key = healthy(judgement)
    row = connector.revocation_of(judgement, judgement.decisions.by_key()[key], "by mistake")
    assert row is not None
    connector.revoke(row, "by mistake", AS_OF)
    seed = connector.add_operator("grace", "SEC", "correct horse battery")
    judgement = connector.look(AS_OF)
    blocked = connector.restore_of(judgement, connector.closed(judgement, key))

    connector.unblock(key, "grace", "correct horse battery", pyotp.TOTP(seed).now())
    judgement = connector.look(AS_OF)
    restore = connector.restore_of(judgement, connector.closed(judgement, key))
    left = connector.restore(restore, AS_OF)

    assert blocked.rows == ()
    assert "unblock" in blocked.refused[0][1]
    assert left == ()
    assert connector.look(AS_OF).decisions.by_key()[key].status in ENTITLED


@pytest.mark.parametrize("name", ["nobody", "grace"])
def test_a_second_pair_of_eyes_is_enrolled_somebody_else_and_proven(connector: Connector, name: str) -> None:
    connector.add_operator("grace", "SEC", "correct horse battery")

    with pytest.raises(NotAllowed):
        connector.second(name, "correct horse battery", "000000", "unblock")


def test_one_cannot_second_oneself(connector: Connector) -> None:
    connector.operator = "grace@desk"
    seed = connector.add_operator("grace", "SEC", "correct horse battery")

    with pytest.raises(NotAllowed, match="somebody else's"):
        connector.second("grace", "correct horse battery", pyotp.TOTP(seed).now(), "unblock")


def test_more_at_once_than_max_enables_is_refused_before_anything_opens(connector: Connector) -> None:
    result = connector.run(AS_OF, approved(connector))
    judgement = connector.look(AS_OF)
    restore = connector.restore_of(judgement, connector.closed(judgement, run_id=result.run_id), seconded=True)
    connector.config = replace(connector.config, limits=replace(connector.config.limits, max_enables=1))
    runs = len(connector.journal.runs())

    with pytest.raises(PlanStopped, match="max_enables"):
        connector.restore(restore, AS_OF)

    assert len(connector.journal.runs()) == runs


def test_what_is_open_can_be_given_up_by_name_with_a_reason(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_id = approved(connector)
    with monkeypatch.context() as patched:
        patched.setattr(connector.targets.portals["engage"], "close", _unreachable)
        open_legs = connector.run(AS_OF, plan_id).open_legs
    person = next(leg.key for leg in open_legs if leg.person_id)
    mine = [leg for leg in open_legs if leg.key == person]

    done = connector.abandon(person, "closed in the portal's own console")

    assert (done.called_off, done.left) == (len(mine), ())
    assert person not in {leg.key for leg in connector.journal.open_legs()}


def _unreachable(_batch: object) -> None:
    raise TargetUnreachable("engage does not answer.")


def test_a_target_that_was_down_is_driven_by_the_next_run(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_id = approved(connector)
    with monkeypatch.context() as patched:
        patched.setattr(connector.targets.portals["engage"], "close", _unreachable)
        first = connector.run(AS_OF, plan_id)

    second = connector.run(AS_OF)

    assert first.exit_code == 4
    assert second.exit_code == 0
    assert connector.run(AS_OF).judgement.plan.pending == 0


def test_a_hold_the_person_does_not_have_cannot_be_released(connector: Connector) -> None:
    judgement = connector.look(AS_OF)
    decision = judgement.decisions.by_key()[healthy(judgement)]

    with pytest.raises(NotAllowed, match="has no hold keep"):
        connector.release(decision, Hold.KEEP, "asked for")


def test_somebody_kept_is_not_closed(connector: Connector) -> None:
    key = plain(connector.look(AS_OF))
    connector.keep(key, "still on the board", None)

    result = connector.run(AS_OF, approved(connector))

    assert key not in {row.key for row in result.applied}
    assert Hold.KEEP in next(r for r in connector.look(AS_OF).plan.revocations if r.key == key).holds


def test_nobody_answers_to_a_name_nobody_has(connector: Connector) -> None:
    with pytest.raises(UnknownPerson):
        connector.one(connector.look(AS_OF), "no such person at all")


# --- memberships ------------------------------------------------------------------------------------------------------


def test_a_portal_that_is_not_there_is_named_with_those_that_are(connector: Connector) -> None:
    with pytest.raises(ConfigError, match=r"There are: .*engage"):
        connector.members.portal("nowhere")


def test_disabling_mismatched_members_disables_them_and_nobody_else(connector: Connector) -> None:
    judgement = accepted(connector).look(AS_OF)
    portal = next(
        p.name
        for p in connector.config.portal_rules
        if p.strategy.value == "security_roles"
        and connector.members.action(judgement, Action.DISABLE_MISMATCHED, p.name, manually_added_too=True).members
    )
    plan = connector.members.action(judgement, Action.DISABLE_MISMATCHED, portal, manually_added_too=True)

    left = connector.members.apply(plan, AS_OF)

    after = {m.person_id: m for r in connector.look(AS_OF).snapshot.portals if r.portal == portal for m in r.members}
    before = {m.person_id: m for r in judgement.snapshot.portals if r.portal == portal for m in r.members}
    chosen = {m.person_id for m in plan.members}
    assert left == ()
    assert not any(after[p].enabled for p in chosen)
    assert {p: m for p, m in after.items() if p not in chosen} == {p: m for p, m in before.items() if p not in chosen}


def test_a_membership_change_that_fails_stays_open_and_is_retried(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    judgement = accepted(connector).look(AS_OF)
    key = healthy(judgement)
    portal = judgement.decisions.by_key()[key].identity.members[0].portal
    changes = connector.members.one(judgement, ChangeKind.DISABLE, portal, connector.person(judgement, key)).changes
    with monkeypatch.context() as patched:
        patched.setattr(connector.targets.portals[portal], "close", _unreachable)
        left = connector.members.change(changes, AS_OF)

    result = connector.resume(AS_OF)

    assert len(left) == 1
    assert result.exit_code == 0
    assert connector.journal.open_changes() == ()


# --- the journal ------------------------------------------------------------------------------------------------------


def test_a_journal_whose_key_is_gone_is_not_trusted_anew(folder: Path) -> None:
    Connector.open(folder / "config.toml").close()
    (folder / "audit.key").unlink()

    with pytest.raises((ConfigError, JournalError)):
        Connector.open(folder / "config.toml")


def test_the_audit_key_is_readable_by_its_owner_alone(connector: Connector, folder: Path) -> None:
    assert connector.is_live
    assert (folder / "audit.key").stat().st_mode & 0o077 == 0


def test_a_member_somebody_changed_between_plan_and_run_is_a_conflict_and_is_left_as_it_is(
    connector: Connector, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_id = approved(connector)
    key = plain(connector.look(AS_OF))
    real = connector.targets.directories["ad"].close

    def close(batch: Sequence[CloseAccount]) -> tuple[Outcome, ...]:
        with sqlite3.connect(folder / "portal.sqlite") as db:
            db.execute(
                "UPDATE members SET username = 'somebody.else' WHERE portal = 'engage' AND person_id = ?", (key,)
            )
        db.close()
        return real(batch)

    monkeypatch.setattr(connector.targets.directories["ad"], "close", close)

    result = connector.run(AS_OF, plan_id)

    assert result.exit_code == 4
    assert ("conflict", key) in {(leg.state.value, leg.key) for leg in result.open_legs}
    with sqlite3.connect(folder / "portal.sqlite") as db:
        found = db.execute("SELECT username FROM members WHERE portal = 'engage' AND person_id = ?", (key,)).fetchall()
    db.close()
    assert found == [("somebody.else",)]
