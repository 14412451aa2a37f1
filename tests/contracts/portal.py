"""What every portal must do, whatever it is made of. Run against each adapter in test_portal.py.

`PortalReadingContract` is for every portal, `PortalWritingContract` for those the connector can write to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import pytest

from connector.errors import ConnectorError, SourceError
from connector.interfaces import Portal
from connector.model import (
    CloseMember,
    LegState,
    Level,
    Member,
    MembershipType,
    MemberStatus,
    OpenMember,
)

Cells = dict[str, str | None]


def row(person: str, **changes: str | None) -> Cells:
    """Give one stored member: enabled, with a username and a password; named cells differ."""
    cells: Cells = {
        "id": f"r{person}",
        "person_id": person,
        "username": f"u{person}",
        "password": "secret-hash",
        "status": "enabled",
        "membership_type": "system_generated",
        "code": f"C{person}",
        "name": f"Name {person}",
        "added_on": "2024-02-05",
        "last_login": "2026-11-20T21:14:05Z",
    }
    return cells | changes


@dataclass(frozen=True, slots=True)
class Bench:
    """A portal under test. `put` stores rows, `stored` gives one as it is now (none: gone), `away` does not answer."""

    portal: Portal
    put: Callable[[Sequence[Cells]], None]
    stored: Callable[[str], Cells | None]
    away: Callable[[], Portal]

    def member(self, person_id: str) -> Member:
        (found,) = self.portal.read_some([person_id])
        return found


class PortalReadingContract:
    """Reading, for every portal. The `bench` fixture comes from the test module."""

    def test_it_is_a_portal(self, bench: Bench) -> None:
        assert isinstance(bench.portal, Portal)

    def test_reading_gives_every_member_and_of_a_password_only_that_it_is_there(self, bench: Bench) -> None:
        bench.put([row("1"), row("2", username="", password="", status="disabled", membership_type="manually_added")])

        reading = bench.portal.read_all()

        assert reading.portal == "engage"
        assert sorted(reading.members, key=lambda each: each.person_id) == [
            Member(
                portal="engage",
                person_id="1",
                username="u1",
                has_password=True,
                native_id="r1",
                code="C1",
                name="Name 1",
                added_on=date(2024, 2, 5),
                last_login=datetime(2026, 11, 20, 21, 14, 5, tzinfo=UTC),
            ),
            Member(
                portal="engage",
                person_id="2",
                status=MemberStatus.DISABLED,
                membership_type=MembershipType.MANUALLY_ADDED,
                native_id="r2",
                code="C2",
                name="Name 2",
                added_on=date(2024, 2, 5),
                last_login=datetime(2026, 11, 20, 21, 14, 5, tzinfo=UTC),
            ),
        ]
        assert "secret-hash" not in repr(reading)

    def test_reading_some_gives_the_members_of_these_people_and_no_others(self, bench: Bench) -> None:
        bench.put([row("1"), row("2"), row("3"), row("3", id="r3b")])

        found = bench.portal.read_some(["1", "3", "nobody"])

        assert sorted(member.native_id for member in found) == ["r1", "r3", "r3b"]

    def test_the_same_content_has_the_same_fingerprint_and_other_content_another(self, bench: Bench) -> None:
        bench.put([row("1")])
        first = bench.portal.read_all().provenance.fingerprint
        again = bench.portal.read_all().provenance.fingerprint

        bench.put([row("2")])

        assert first == again
        assert bench.portal.read_all().provenance.fingerprint != first

    def test_a_status_nobody_mapped_is_refused_by_name(self, bench: Bench) -> None:
        bench.put([row("1", status="dormant")])

        with pytest.raises(SourceError, match=r"status.*'dormant'"):
            bench.portal.read_all()

    def test_a_member_without_a_person_is_refused(self, bench: Bench) -> None:
        bench.put([row("1"), row("2", person_id="")])

        with pytest.raises(SourceError, match=r"person_id|has no person"):
            bench.portal.read_all()

    def test_a_day_that_is_none_is_refused(self, bench: Bench) -> None:
        bench.put([row("1", added_on="soon")])

        with pytest.raises(SourceError, match=r"added_on.*'soon' is no date"):
            bench.portal.read_all()

    def test_check_says_how_many_members_there_are(self, bench: Bench) -> None:
        bench.put([row("1"), row("2")])

        findings = bench.portal.check()

        assert {finding.level for finding in findings} == {Level.OK}
        assert "2 members" in findings[0].message

    def test_check_reports_a_portal_that_does_not_answer_and_never_raises(self, bench: Bench) -> None:
        findings = bench.away().check()

        assert findings[0].level is Level.ERROR
        assert findings[0].remedy

    def test_a_portal_that_does_not_answer_is_an_error_of_ours(self, bench: Bench) -> None:
        with pytest.raises(ConnectorError):
            bench.away().read_all()

    def test_an_empty_batch_does_nothing(self, bench: Bench) -> None:
        bench.put([row("1")])

        assert bench.portal.close([]) == ()


class PortalWritingContract:
    """Changing, for portals the connector can write to. The `bench` fixture comes from the test module."""

    def test_closing_clears_username_and_password_and_disables(self, bench: Bench) -> None:
        bench.put([row("1"), row("2")])
        before = bench.member("1")

        (outcome,) = bench.portal.close([CloseMember(before)])

        after = replace(before, username="", has_password=False, status=MemberStatus.DISABLED)
        assert (outcome.state, outcome.before, outcome.after) == (LegState.CLOSED, before, after)
        assert not (bench.stored("1") or {})["password"]
        assert bench.stored("2") == row("2")

    def test_closing_only_disables_where_only_that_is_asked(self, bench: Bench) -> None:
        bench.put([row("1")])

        (outcome,) = bench.portal.close([CloseMember(bench.member("1"), clear_credential=False)])

        assert outcome.state is LegState.CLOSED
        assert bench.stored("1") == row("1", status="disabled")

    def test_closing_only_clears_where_only_that_is_asked(self, bench: Bench) -> None:
        bench.put([row("1")])

        (outcome,) = bench.portal.close([CloseMember(bench.member("1"), disable=False)])

        assert outcome.state is LegState.CLOSED
        assert bench.member("1").enabled
        assert not bench.member("1").credential_lives

    def test_closing_what_is_closed_is_already_closed(self, bench: Bench) -> None:
        bench.put([row("1")])
        planned = CloseMember(bench.member("1"))
        bench.portal.close([planned])

        (again,) = bench.portal.close([planned])
        (known,) = bench.portal.close([CloseMember(bench.member("1"))])

        assert again.state is known.state is LegState.ALREADY_CLOSED

    def test_closing_a_member_who_is_gone_is_called_off(self, bench: Bench) -> None:
        bench.put([row("1")])
        planned = CloseMember(bench.member("1"))
        bench.portal.remove([planned.before])

        (outcome,) = bench.portal.close([planned])

        assert outcome.state is LegState.CALLED_OFF

    @pytest.mark.parametrize("field", ["username", "has_password", "status"])
    def test_a_member_that_is_not_as_planned_is_a_conflict_and_stays_as_it_is(self, bench: Bench, field: str) -> None:
        bench.put([row("1")])
        seen = bench.member("1")
        planned = {
            "username": replace(seen, username="other"),
            "has_password": replace(seen, has_password=False),
            "status": replace(seen, status=MemberStatus.DISABLED),
        }[field]

        (outcome,) = bench.portal.close([CloseMember(planned)])

        assert outcome.state is LegState.CONFLICT
        assert outcome.after == seen
        assert bench.stored("1") == row("1")

    def test_each_item_of_a_batch_has_its_own_outcome_in_order(self, bench: Bench) -> None:
        bench.put([row("1"), row("2"), row("3", username="", password="", status="disabled")])
        one, two, three = (bench.member(each) for each in "123")
        gone = replace(one, person_id="9", native_id="r9")

        outcomes = bench.portal.close(
            [CloseMember(gone), CloseMember(one), CloseMember(replace(two, username="x")), CloseMember(three)]
        )

        assert [outcome.state for outcome in outcomes] == [
            LegState.CALLED_OFF,
            LegState.CLOSED,
            LegState.CONFLICT,
            LegState.ALREADY_CLOSED,
        ]

    def test_two_rows_of_one_person_are_told_apart_by_the_portals_own_id(self, bench: Bench) -> None:
        bench.put([row("1"), row("1", id="r1b", username="u1b")])
        first = next(each for each in bench.portal.read_some(["1"]) if each.native_id == "r1")

        (outcome,) = bench.portal.close([CloseMember(first)])

        assert outcome.state is LegState.CLOSED
        assert {each.username for each in bench.portal.read_some(["1"])} == {"", "u1b"}

    def test_thousands_are_closed_in_one_call(self, bench: Bench) -> None:
        bench.put([row(str(number)) for number in range(5_500)])
        members = bench.portal.read_all().members

        outcomes = bench.portal.close([CloseMember(member) for member in members])

        assert {outcome.state for outcome in outcomes} == {LegState.CLOSED}
        assert not any(member.credential_lives or member.enabled for member in bench.portal.read_all().members)

    def test_opening_gives_username_and_status_back_and_no_password(self, bench: Bench) -> None:
        bench.put([row("1", username="", password="", status="disabled")])

        (outcome,) = bench.portal.open([OpenMember(bench.member("1"), "u1", MemberStatus.ENABLED)])

        assert outcome.state is LegState.CLOSED
        assert bench.member("1").username == "u1"
        assert bench.member("1").enabled
        assert not bench.member("1").has_password

    def test_opening_what_somebody_else_changed_is_a_conflict(self, bench: Bench) -> None:
        bench.put([row("1", username="new", password="", status="disabled")])
        now = replace(bench.member("1"), username="")

        (outcome,) = bench.portal.open([OpenMember(now, "u1", MemberStatus.ENABLED)])

        assert outcome.state is LegState.CONFLICT
        assert bench.member("1").username == "new"

    def test_opening_what_is_open_or_gone_changes_nothing(self, bench: Bench) -> None:
        bench.put([row("1")])
        now = bench.member("1")
        closed = replace(now, username="", has_password=False, status=MemberStatus.DISABLED)

        outcomes = bench.portal.open(
            [
                OpenMember(closed, "u1", MemberStatus.ENABLED),
                OpenMember(replace(closed, person_id="9", native_id="r9"), "u9", MemberStatus.ENABLED),
            ]
        )

        assert [outcome.state for outcome in outcomes] == [LegState.ALREADY_CLOSED, LegState.CALLED_OFF]
        assert bench.stored("1") == row("1")

    def test_adding_writes_the_member_as_given_and_no_password(self, bench: Bench) -> None:
        wanted = Member(
            portal="engage",
            person_id="1",
            username="u1",
            has_password=True,
            status=MemberStatus.DISABLED,
            membership_type=MembershipType.MANUALLY_ADDED,
            code="C1",
            name="Name 1",
            added_on=date(2026, 11, 21),
        )

        (outcome,) = bench.portal.add([wanted])

        member = bench.member("1")
        assert outcome.state is LegState.CLOSED
        assert outcome.after == member
        assert member == replace(wanted, has_password=False, native_id=member.native_id)

    def test_adding_a_member_leaves_them_as_they_are(self, bench: Bench) -> None:
        bench.put([row("1")])

        (outcome,) = bench.portal.add([Member("engage", "1", "other", status=MemberStatus.DISABLED)])

        assert outcome.state is LegState.ALREADY_CLOSED
        assert bench.stored("1") == row("1")

    def test_removing_removes_members_that_are_as_given_and_no_others(self, bench: Bench) -> None:
        bench.put([row("1"), row("2"), row("3")])
        one, two = bench.member("1"), bench.member("2")
        gone = replace(one, person_id="9", native_id="r9")

        outcomes = bench.portal.remove([one, replace(two, username="other"), gone])

        assert [each.state for each in outcomes] == [LegState.CLOSED, LegState.CONFLICT, LegState.ALREADY_CLOSED]
        assert [bench.stored(each) is None for each in "123"] == [True, False, False]

    def test_a_portal_that_does_not_answer_is_unreachable_for_every_item(self, bench: Bench) -> None:
        bench.put([row("1"), row("2")])
        members = bench.portal.read_all().members

        outcomes = bench.away().close([CloseMember(member) for member in members])

        assert [outcome.state for outcome in outcomes] == [LegState.UNREACHABLE] * 2
        assert [outcome.before for outcome in outcomes] == list(members)
