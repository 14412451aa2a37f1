"""Our list beside the portal's; a first mass cut into parts; what changed since the last accepted run."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from connector.errors import PlanError, SourceError
from connector.model import PersonStatus, Reason
from connector.reconcile.backlog import backlog
from connector.reconcile.baseline import Baseline, baseline_of
from connector.reconcile.changes import ChangeKind, changes
from connector.reconcile.compare import ComparedRow, Side, compare, recognise
from connector.reconcile.decide import Decisions
from connector.reconcile.memory import Memory
from connector.reconcile.plan import build_plan
from tests.reconcile.build import school
from tests.reconcile.harbour import AS_OF, Sample, harbour


@pytest.fixture(scope="module")
def decisions() -> Decisions:
    return harbour().decided()


def theirs(*codes: str) -> list[dict[str, str]]:
    return [{"Code": code} for code in codes]


def row(rows: tuple[ComparedRow, ...], key: str) -> ComparedRow:
    return next(r for r in rows if r.key == key)


# --- columns --------------------------------------------------------------------------------------------------------


def test_the_columns_of_an_export_are_known_by_many_titles() -> None:
    columns = recognise(["\ufeffContact Code", "User name", "First name", "SURNAME", "Last login"])

    assert (columns.code, columns.username) == ("\ufeffContact Code", "User name")
    assert (columns.given_name, columns.family_name) == ("First name", "SURNAME")


def test_an_export_that_names_nobody_is_refused_with_its_columns() -> None:
    with pytest.raises(SourceError, match="its columns are: Year, Room"):
        recognise(["Year", "Room"])


# --- rows -----------------------------------------------------------------------------------------------------------


def test_a_row_on_both_lists_says_whether_it_closes_or_waits(decisions: Decisions) -> None:
    rows = compare(decisions, theirs("te-1094", "NGU1017"))

    assert (row(rows, "1094").side, row(rows, "1094").why) == (Side.BOTH, "closes with the next run.")
    assert row(rows, "1017").why == "held: still-has-children."


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("ZHA1469", "ours: in grace until 2027-01-12."),
        ("TE-1098", "ours: this is the record that stays, and Zoe Te-Rangi (TE-1094) is the old one."),
        (
            "XU1003",
            "ours: entitled to engage, because Mother of Fatima Ueda (UED1005), who is at the school",
        ),
        ("SIN1631", "closed already"),
        ("XXX1", "nobody we read is XXX1"),
        ("KAU1666", "nothing of it is open"),
    ],
)
def test_a_row_only_on_their_list_says_why_it_is_not_on_ours(decisions: Decisions, code: str, why: str) -> None:
    rows = compare(decisions, theirs(code))

    assert rows[0].side is Side.THEIRS
    assert rows[0].line == 1
    assert rows[0].why.startswith(why)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("1209", "theirs has not the sync of tonight; ours: Liam Ueda (Mother): last day 2026-11-20"),
        ("1094", "theirs does not know that both records are one person"),
        ("1608", "the portal's part is closed; only directory account or sessions are left"),
        ("1366", "theirs lists contacts only"),
        ("1326", "theirs still has a record that left the admin system"),
        ("1059", "theirs has another rule or older data; ours: Priya Lim (Mother): last day 2026-08-14"),
    ],
)
def test_a_row_only_on_our_list_says_why_theirs_may_lack_it(decisions: Decisions, key: str, why: str) -> None:
    rows = compare(decisions, theirs("XXX"))

    assert row(rows, key).side is Side.OURS
    assert row(rows, key).why.startswith(why)


def test_an_empty_export_leaves_all_of_ours(decisions: Decisions) -> None:
    rows = compare(decisions, [])

    ready = [d for d in decisions.rows if d.status == "ready_to_revoke"]
    assert len(rows) == len(ready)
    assert {r.side for r in rows} == {Side.OURS}


def test_every_one_of_ours_stands_exactly_once(decisions: Decisions) -> None:
    ready = sorted(d.identity.key for d in decisions.rows if d.status == "ready_to_revoke")

    rows = compare(decisions, theirs("TE-1094", "XU1003", "XXX"))

    assert sorted(r.key for r in rows if r.key in ready) == ready


def test_one_portal_compares_with_what_is_closed_there_only(decisions: Decisions) -> None:
    rows = compare(decisions, theirs("XXX"), portal="faculty")

    assert {r.key for r in rows if r.side is Side.OURS} == {"1322", "1366", "1680"}


def test_a_row_is_known_by_username_or_by_name_as_well(decisions: Decisions) -> None:
    rows = compare(decisions, [{"Login": "U1094", "Surname": ""}, {"Login": "", "Surname": "Hamish  Xu"}])

    assert [r.key for r in rows[:2]] == ["1094", "1003"]


def test_a_code_and_a_username_of_two_people_are_pointed_out(decisions: Decisions) -> None:
    rows = compare(decisions, [{"Code": "TE-1094", "Username": "u1003"}])

    assert rows[0].key == "1094"
    assert "Their row's username u1003 is Hamish Xu (XU1003)'s." in rows[0].why


def test_a_person_listed_twice_is_said(decisions: Decisions) -> None:
    rows = compare(decisions, theirs("TE-1094", "TE-1094"))

    assert "Listed twice: line 1 too." in rows[1].why


def test_outside_the_authority_role_the_comparison_does_not_tell_a_court_order(decisions: Decisions) -> None:
    rows = compare(decisions, theirs("OB1111"), discreet=True)

    text = repr(rows).casefold()
    assert row(rows, "1111").reasons == ("access-ended",)
    assert not [w for w in ("restrict", "court", "outside the portal") if w in text]


# --- a first mass ---------------------------------------------------------------------------------------------------


def test_a_backlog_holds_every_row_that_applies_once_and_none_that_waits(decisions: Decisions) -> None:
    plan = build_plan(decisions, Memory())

    parts = backlog(plan, 5)

    keys = [r.key for part in parts for r in part.revocations]
    assert sorted(keys) == sorted(r.key for r in plan.revocations if r.applies)
    assert max(len(part.revocations) for part in parts) == 5
    assert len({part.digest for part in parts}) == len(parts)


def test_a_part_of_a_backlog_has_one_reason_and_the_oldest_login_first() -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    sample = harbour().with_member("1059", last_login=long_ago).with_member("1254", last_login=None)
    plan = build_plan(sample.decided(), Memory())

    part = next(p for p in backlog(plan, 100) if p.revocations[0].reasons[0] is Reason.NO_STUDENT_AT_SCHOOL)

    assert {r.reasons[0] for r in part.revocations} == {Reason.NO_STUDENT_AT_SCHOOL}
    logins = [r.last_login for r in part.revocations]
    never = logins.count(None)
    assert logins[:never] == [None] * never
    assert part.revocations[never].key == "1059"
    assert "last login never to 2026-11-20" in part.warnings[0]


def test_urgent_rows_come_first_in_a_backlog_then_half_revoked_ones(decisions: Decisions) -> None:
    parts = backlog(build_plan(decisions, Memory()), 3)

    order = list(dict.fromkeys(part.revocations[0].reasons[0] for part in parts))
    assert order[:2] == [Reason.RESTRICTED, Reason.HALF_REVOKED]


def test_a_backlog_of_nothing_is_nothing_and_a_size_below_one_is_refused() -> None:
    plan = school().family("p1").judge().judgement.plan

    assert backlog(plan, 10) == ()
    with pytest.raises(PlanError):
        backlog(plan, 0)


# --- what changed ---------------------------------------------------------------------------------------------------


def before() -> Baseline:
    sample = harbour()
    return baseline_of(sample.snapshot(), sample.rules, sample.portals, AS_OF)


def texts(sample: Sample, *, discreet: bool = False) -> list[tuple[ChangeKind, str, str]]:
    return [(c.kind, c.code, c.text) for c in changes(before(), sample.decided(), discreet=discreet)]


def test_without_an_accepted_run_the_one_line_says_so(decisions: Decisions) -> None:
    lines = changes(None, decisions)

    assert [line.kind for line in lines] == [ChangeKind.NO_BASELINE]


def test_the_same_school_has_no_changes(decisions: Decisions) -> None:
    assert changes(before(), decisions) == ()


def test_a_status_a_code_and_a_mail_that_changed_are_three_lines() -> None:
    sample = harbour().with_person("1003", status=PersonStatus.INACTIVE, code="XU9", email="")

    assert texts(sample) == [
        (ChangeKind.STATUS, "XU9", "status active→inactive"),
        (ChangeKind.CODE, "XU9", "contact code XU1003→XU9"),
        (ChangeKind.RECORD, "XU9", "email p1003@mail.example→blank"),
    ]


def test_joiners_and_leavers_are_listed() -> None:
    sample = harbour()
    people = [p for p in sample.people.people if p.person_id != "1025"]
    new = replace(people[0], person_id="9999", code="NEW1")
    changed = replace(sample, people=replace(sample.people, people=(*people, new)))

    found = texts(changed)

    assert (ChangeKind.LEFT, "QUI1025", "no longer in the admin system") in found
    assert (ChangeKind.JOINED, "NEW1", "new in the admin system") in found


def test_an_exit_date_names_the_student_and_the_reason() -> None:
    left = date(2026, 12, 11)
    sample = harbour().with_enrolments(
        lambda e: replace(e, exit_date=left, exit_reason="left") if e.student_id == "1016" else e
    )

    assert [(k, t) for k, _, t in texts(sample)] == [(ChangeKind.ENROLMENT, "exit date none→2026-12-11 (left)")]


def test_a_contact_type_flag_is_one_line_for_the_whole_school() -> None:
    found = texts(harbour().with_flag("Stepmother", flagged=False))

    assert found == [(ChangeKind.RULE, "", "contact type Stepmother: portal flag yes→no")]


def test_a_restriction_comes_first_and_reads_access_ended_outside_the_authority_role() -> None:
    sample = harbour().with_relationships(lambda r: replace(r, restricted=True) if r.contact_id == "1003" else r)

    assert texts(sample)[0][2] == "Mother of Fatima Ueda (UED1005): restricted no→yes"
    assert texts(sample, discreet=True)[0] == (ChangeKind.RELATIONSHIP, "XU1003", "access-ended no→yes")


def test_a_relationship_that_ended_or_got_its_own_access_is_told() -> None:
    sample = harbour().with_relationships(
        lambda r: replace(r, ended_on=AS_OF, portal_access=False) if r.contact_id == "1003" else r
    )

    assert [t for _, _, t in texts(sample)] == [
        "Mother of Fatima Ueda (UED1005): ended on 2026-11-21",
        "Mother of Fatima Ueda (UED1005): own portal access blank→no",
    ]


def test_many_changes_are_bounded_and_the_rest_is_counted(decisions: Decisions) -> None:
    empty = replace(before(), people=replace(before().people, people=()))

    lines = changes(empty, decisions, most=10)

    assert len(lines) == 11
    assert lines[-1].kind is ChangeKind.MORE
    assert lines[-1].text == f"and {len(decisions.school.people) - 10:,} more changes"
