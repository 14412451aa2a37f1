"""Worklists: asked is not done, a later export is the proof, and the file is one that people open in a spreadsheet."""

import csv
import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connector.adapters.worklist import WorklistPortal, WorklistSettings
from connector.errors import ConfigError, SourceError
from connector.interfaces import Site
from connector.model import CloseMember, LegState, Level, Member, MemberStatus, OpenMember, Outcome

COLUMNS = {"person_id": "Id", "username": "Username", "status": "Status", "code": "Code", "name": "Name"}
ANNA = ("1", "u1", "Enabled", "XU1", "Anna Xu")
BEN = ("2", "u2", "Enabled", "YO2", "Ben Yo")
CLOSED_ANNA = ("1", "", "Disabled", "XU1", "Anna Xu")


class Hosted:
    """A hosted portal: its administrator exports, does what the list says, and exports again."""

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder, folder, ZoneInfo("Australia/Adelaide"))
        self.worklist = folder / "worklist.csv"
        self.portal = self.made()

    def made(self, name: str = "engage", **changes: object) -> WorklistPortal:
        words = {"enabled": "Enabled", "disabled": "Disabled"}
        settings = WorklistSettings("export.csv", "worklist.csv", COLUMNS, ("Click here.", "Then there."), 48, words)
        return WorklistPortal(name, replace(settings, **changes), self.site)  # type: ignore[arg-type] # named by the test

    def export(self, *members: Iterable[str], hours: float = 0) -> None:
        """Write an export; `hours` from now, so that it is older or newer than an ask."""
        path = self.site.path("export.csv")
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS.values(), *members])
        moment = (datetime.now(UTC) + timedelta(hours=hours)).timestamp()
        os.utime(path, (moment, moment))

    def close(self, person_id: str = "1", contact_type: str = "Mother") -> Outcome:
        before = Member("engage", person_id, f"u{person_id}", code="XU1", name="Anna Xu")
        (outcome,) = self.portal.close([CloseMember(before, contact_type=contact_type, contact_code="C-XU1")])
        return outcome

    def rows(self) -> list[dict[str, str]]:
        with self.worklist.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def hosted(tmp_path: Path) -> Hosted:
    made = Hosted(tmp_path)
    made.export(ANNA, BEN, hours=-1)
    return made


def test_a_closing_is_asked_for_with_all_that_a_person_needs_to_know(hosted: Hosted) -> None:
    outcome = hosted.close()

    (row,) = hosted.rows()
    assert outcome.state is LegState.INTENDED
    assert "on the worklist worklist.csv since" in outcome.detail
    assert row["contact code"] == "C-XU1"
    assert row["portal code"] == "XU1"
    assert row["contact type"] == "Mother"
    assert row["name"] == "Anna Xu"
    assert row["what to do"] == "1. Click here. 2. Then there."
    assert datetime.fromisoformat(row["asked on"]).tzinfo is not None


def test_asking_again_adds_no_second_row_and_keeps_the_day_of_the_first(hosted: Hosted) -> None:
    hosted.close()
    first = hosted.worklist.read_bytes()

    outcome = hosted.close()

    assert outcome.state is LegState.INTENDED
    assert hosted.worklist.read_bytes() == first


def test_what_waits_already_stays_when_more_is_asked(hosted: Hosted) -> None:
    hosted.close("1")

    hosted.close("2")

    assert [row["person id"] for row in hosted.rows()] == ["1", "2"]


def test_an_export_newer_than_the_ask_that_shows_it_done_closes_the_leg_and_takes_the_row_off(hosted: Hosted) -> None:
    hosted.close()
    hosted.export(CLOSED_ANNA, BEN, hours=1)

    outcome = hosted.close()

    assert outcome.state is LegState.CLOSED
    assert isinstance(outcome.after, Member)
    assert outcome.after.username == ""
    assert hosted.rows() == []


def test_a_member_who_is_gone_from_a_newer_export_is_closed(hosted: Hosted) -> None:
    hosted.close()
    hosted.export(BEN, hours=1)

    assert hosted.close().state is LegState.CLOSED
    assert hosted.rows() == []


def test_an_export_older_than_the_ask_proves_nothing(hosted: Hosted) -> None:
    hosted.close()
    hosted.export(CLOSED_ANNA, BEN, hours=-0.5)

    assert hosted.close().state is LegState.INTENDED
    assert len(hosted.rows()) == 1


def test_half_of_it_done_is_not_done(hosted: Hosted) -> None:
    hosted.close()
    hosted.export(("1", "", "Enabled", "XU1", "Anna Xu"), BEN, hours=1)

    assert hosted.close().state is LegState.INTENDED
    assert len(hosted.rows()) == 1


def test_what_the_export_already_shows_closed_is_not_asked_for(hosted: Hosted) -> None:
    hosted.export(CLOSED_ANNA, BEN)

    assert hosted.close().state is LegState.ALREADY_CLOSED
    assert not hosted.worklist.exists()


def test_another_username_than_planned_is_a_conflict_and_nobody_is_asked_to_close_it(hosted: Hosted) -> None:
    hosted.close()
    hosted.export(("1", "somebody.else", "Enabled", "XU1", "Anna Xu"), BEN, hours=1)

    assert hosted.close().state is LegState.CONFLICT
    assert hosted.rows() == []


@pytest.mark.parametrize("trouble", ["missing", "old"])
def test_without_an_export_that_can_be_believed_the_ask_is_written_and_says_so(hosted: Hosted, trouble: str) -> None:
    hosted.export(ANNA, hours=-100)
    if trouble == "missing":
        hosted.site.path("export.csv").unlink()

    outcome = hosted.close()

    assert outcome.state is LegState.INTENDED
    assert "no export can be believed now" in outcome.detail
    assert len(hosted.rows()) == 1


def test_an_export_that_is_too_old_is_no_reading(hosted: Hosted) -> None:
    hosted.export(ANNA, hours=-49)

    with pytest.raises(SourceError, match=r"export.csv was exported 49 hours ago; max_age_hours is 48"):
        hosted.portal.read_all()


def test_opening_takes_a_closing_off_the_list(hosted: Hosted) -> None:
    hosted.close()
    now = Member("engage", "1", status=MemberStatus.DISABLED)

    (outcome,) = hosted.portal.open([OpenMember(now, "u1", MemberStatus.ENABLED)])

    (row,) = hosted.rows()
    assert outcome.state is LegState.INTENDED
    assert row["action"] == "open"
    assert row["what to do"] == "Make sure that this member has the username u1 and is enabled."


def test_a_closing_that_is_called_off_becomes_a_row_that_says_so_and_what_to_do_where_it_was_done(
    hosted: Hosted,
) -> None:
    before = Member("engage", "1", "u1", code="XU1", name="Anna Xu")
    hosted.close()

    hosted.portal.withdraw([CloseMember(before)])

    (row,) = hosted.rows()
    assert (row["action"], row["contact code"], row["name"]) == ("leave open", "C-XU1", "Anna Xu")
    assert row["what to do"].startswith("Called off: do not close this member.")
    assert "has the username u1 and is enabled again" in row["what to do"]


def test_a_row_that_was_called_off_goes_when_a_later_export_shows_the_member_open(hosted: Hosted) -> None:
    hosted.close("1")
    hosted.portal.withdraw([CloseMember(Member("engage", "1", "u1"))])
    hosted.export(CLOSED_ANNA, BEN, hours=1)
    hosted.close("2")
    while_closed = [row["person id"] for row in hosted.rows()]
    hosted.export(ANNA, BEN, hours=2)

    hosted.close("2")

    assert while_closed == ["1", "2"]
    assert [row["person id"] for row in hosted.rows()] == ["2"]


def test_calling_off_what_nobody_was_asked_leaves_the_list_as_it_is(hosted: Hosted) -> None:
    hosted.portal.remove([Member("engage", "1", "u1")])
    before = hosted.worklist.read_bytes()

    hosted.portal.withdraw([CloseMember(Member("engage", "1", "u1")), CloseMember(Member("engage", "9"))])

    assert hosted.worklist.read_bytes() == before


def test_a_row_that_lets_somebody_in_is_called_off_and_goes_when_a_later_export_shows_the_member_closed(
    hosted: Hosted,
) -> None:
    closed = Member("engage", "1", "", code="XU1", name="Anna Xu", status=MemberStatus.DISABLED)
    hosted.export(CLOSED_ANNA, BEN, hours=-1)
    asked = OpenMember(closed, "u1", MemberStatus.ENABLED)
    hosted.portal.open([asked])

    hosted.portal.withdraw([asked])

    (row,) = hosted.rows()
    hosted.export(CLOSED_ANNA, BEN, hours=1)
    hosted.close("2")
    assert row["action"] == "leave closed"
    assert row["what to do"].startswith("Called off: do not let this member in.")
    assert "has no username and is disabled again" in row["what to do"]
    assert [row["person id"] for row in hosted.rows()] == ["2"]


def test_a_row_that_adds_somebody_is_called_off_and_goes_when_a_later_export_does_not_have_them(hosted: Hosted) -> None:
    hosted.portal.add([Member("engage", "3", name="Cleo")])

    hosted.portal.withdraw([Member("engage", "3")])

    (row,) = hosted.rows()
    hosted.export(ANNA, BEN, hours=1)
    hosted.close("2")
    assert row["action"] == "leave out"
    assert row["what to do"].startswith("Called off: do not add this person.")
    assert [row["person id"] for row in hosted.rows()] == ["2"]


def test_additions_and_removals_are_asked_for_and_proven_alike(hosted: Hosted) -> None:
    new, ben = Member("engage", "3", name="Cleo"), Member("engage", "2", "u2")
    asked = [*hosted.portal.add([new]), *hosted.portal.remove([ben])]
    hosted.export(ANNA, ("3", "", "Disabled", "C3", "Cleo"), hours=1)

    proven = [*hosted.portal.add([new]), *hosted.portal.remove([ben])]

    assert [outcome.state for outcome in asked] == [LegState.INTENDED] * 2
    assert [outcome.state for outcome in proven] == [LegState.CLOSED] * 2
    assert hosted.rows() == []


@pytest.mark.parametrize(
    "name",
    [
        "=1+1",
        "+61 400",
        "-2",
        "@sum(a1)",
        "\tx",
        "\rx",
        " =1",
        "\uff1d1+1",
        "'=1",
        "''+1",
        "'Anna'",
        'O"Neil, A',
        "Łukasz",
        "a\nb",
    ],
)
def test_no_cell_is_ever_a_formula_and_every_name_comes_back_as_it_was(hosted: Hosted, name: str) -> None:
    hosted.portal.add([Member("engage", "3", name=name)])
    (row,) = hosted.rows()

    hosted.close()

    assert row["name"].lstrip(" ")[0] not in "=+-@\t\r\uff1d"
    assert hosted.rows()[0]["name"] == row["name"]
    assert row["name"] == (name if name[0] in "'OŁa" and name not in {"'=1", "''+1"} else f"'{name}")


def test_rows_of_another_portal_in_the_same_list_stay(hosted: Hosted) -> None:
    other = hosted.made("library")
    other.add([Member("library", "9")])

    hosted.close()
    hosted.export(CLOSED_ANNA, BEN, hours=1)
    hosted.close()

    assert [row["portal"] for row in hosted.rows()] == ["library"]


def test_a_list_that_somebody_broke_is_not_overwritten(hosted: Hosted) -> None:
    hosted.worklist.write_text("contact code;portal code\n", encoding="utf-8")

    outcome = hosted.close()

    assert outcome.state is LegState.REFUSED
    assert hosted.worklist.read_text(encoding="utf-8") == "contact code;portal code\n"


def test_a_time_that_a_spreadsheet_mangled_counts_as_now(hosted: Hosted) -> None:
    hosted.close()
    asked_on = hosted.rows()[0]["asked on"]
    hosted.worklist.write_text(hosted.worklist.read_text(encoding="utf-8-sig").replace(asked_on, "21/11/26 9:00"))
    hosted.export(CLOSED_ANNA, BEN, hours=-0.5)

    assert hosted.close().state is LegState.INTENDED


def test_a_list_that_cannot_be_written_is_refused_by_name_and_leaves_nothing_behind(hosted: Hosted) -> None:
    portal = hosted.made(worklist="nowhere/worklist.csv")

    (outcome,) = portal.close([CloseMember(Member("engage", "1", "u1"))])

    assert outcome.state is LegState.REFUSED
    assert "worklist.csv cannot be written" in outcome.detail
    assert sorted(path.name for path in hosted.site.folder.iterdir()) == ["export.csv"]


def test_the_list_keeps_the_permissions_it_has(hosted: Hosted) -> None:
    hosted.close("1")
    hosted.worklist.chmod(0o664)

    hosted.close("2")

    assert hosted.worklist.stat().st_mode & 0o777 == 0o664


def test_check_says_what_waits_and_what_to_do(hosted: Hosted) -> None:
    hosted.close()

    export, worklist = hosted.portal.check()

    assert export.level is Level.OK
    assert worklist.level is Level.WARNING
    assert "Waiting on the worklist: 1." in worklist.message
    assert "export the accounts again" in worklist.remedy


def test_check_names_a_column_the_export_does_not_have(hosted: Hosted) -> None:
    portal = hosted.made(columns=COLUMNS | {"username": "Usernames"})

    finding = portal.check()[0]

    assert finding.level is Level.ERROR
    assert "no column Usernames. The nearest is 'Username'" in finding.message


def test_a_column_nobody_reads_is_refused_with_a_suggestion(hosted: Hosted) -> None:
    with pytest.raises(ConfigError, match=r"'user_name'.*nearest is 'username'"):
        hosted.made(columns=COLUMNS | {"user_name": "Username"})


# --- an export with contact codes only --------------------------------------------------------------------------------

CODES = {"username": "Username", "status": "Status", "code": "Code", "name": "Name"}


def known(code: str) -> str:
    """Say whose a code is, as a run tells the portal."""
    if code == "ZZ9":
        raise ValueError("ZZ9 is the contact code of 2 people: p7, p8")
    return {"XU1": "p1", "YO2": "p2"}.get(code, f"code {code}")


@pytest.fixture
def coded(hosted: Hosted) -> Hosted:
    """A portal whose export names its members by code alone."""
    hosted.portal = hosted.made(columns=CODES)
    hosted.portal.learn(known)
    return hosted


def test_members_of_an_export_without_person_id_are_found_by_their_contact_code(coded: Hosted) -> None:
    coded.export(ANNA, BEN, ("3", "u3", "Enabled", "GONE", "Cleo"))

    members = coded.portal.read_all().members

    assert [(m.person_id, m.code) for m in members] == [("p1", "XU1"), ("p2", "YO2"), ("code GONE", "GONE")]
    assert [m.username for m in coded.portal.read_some(["p2"])] == ["u2"]


def test_a_closing_asked_for_by_code_is_proven_by_code(coded: Hosted) -> None:
    closing = [CloseMember(Member("engage", "p1", "u1", code="XU1"))]
    (asked,) = coded.portal.close(closing)
    coded.export(CLOSED_ANNA, BEN, hours=1)

    (proven,) = coded.portal.close(closing)

    assert (asked.state, proven.state) == (LegState.INTENDED, LegState.CLOSED)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (("3", "u3", "Enabled", "ZZ9", "Cleo"), "ZZ9 is the contact code of 2 people: p7, p8"),
        (("3", "u3", "Enabled", "XU1", "Cleo"), "stands on line 2 already"),
        (("3", "u3", "Enabled", " ", "Cleo"), "no contact code"),
    ],
    ids=["of two people", "on two lines", "blank"],
)
def test_a_code_that_does_not_say_who_it_is_stops_the_reading_and_is_named(
    coded: Hosted, row: tuple[str, ...], sentence: str
) -> None:
    coded.export(ANNA, row)

    with pytest.raises(SourceError) as caught:
        coded.portal.read_all()

    assert sentence in str(caught.value)
    assert "line 3" in str(caught.value)
    assert "Code" in str(caught.value)


def test_before_the_admin_system_is_read_nobody_is_found_by_code_and_check_still_reads_the_export(
    hosted: Hosted,
) -> None:
    portal = hosted.made(columns=CODES)

    with pytest.raises(SourceError, match="has not been read"):
        portal.read_all()
    assert portal.check()[0].level is Level.OK


def test_an_export_must_say_who_a_member_is(hosted: Hosted) -> None:
    with pytest.raises(ConfigError, match="who a member is") as caught:
        hosted.made(columns={"username": "Username"})

    assert "columns.code" in caught.value.remedy


def test_an_export_that_says_nothing_of_passwords_leaves_a_username_a_door(hosted: Hosted) -> None:
    hosted.export(ANNA, ("2", "", "Disabled", "YO2", "Ben Yo"))

    anna, ben = hosted.portal.read_all().members

    assert anna.has_password
    assert not ben.has_password
