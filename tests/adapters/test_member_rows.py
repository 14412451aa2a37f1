"""SQL portals whose own ids are no ids: blank, or the same in several rows. Nobody is closed for somebody else."""

import sqlite3
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connector.adapters.sql_portal import SqlPortal
from connector.adapters.sql_portal_settings import SqlPortalSettings
from connector.interfaces import Site
from connector.model import CloseMember, LegState, Level

COLUMNS = {"person_id": "person", "username": "username", "password": "hash", "status": "state", "native_id": "id"}


class Members:
    """A table in which people share what the portal calls its id, and one username."""

    def __init__(self, folder: Path, ids: tuple[str | None, str | None]) -> None:
        self.db = sqlite3.connect(folder / "portal.sqlite", isolation_level=None)
        self.db.execute("CREATE TABLE members (id TEXT, person TEXT, username TEXT, hash TEXT, state TEXT)")
        rows = [(ids[0], "leaver"), (ids[1], "stays")]
        self.db.executemany("INSERT INTO members VALUES (?, ?, 'bfox', 'x', 'enabled')", rows)
        settings = SqlPortalSettings(f"sqlite:///{folder / 'portal.sqlite'}", "members", COLUMNS)
        self.portal = SqlPortal("engage", settings, Site(folder, folder, ZoneInfo("America/Chicago")))

    def close(self, person: str) -> LegState:
        (member,) = self.portal.read_some([person])
        (outcome,) = self.portal.close([CloseMember(member)])
        return outcome.state

    def state(self, person: str) -> tuple[str | None, str]:
        found = self.db.execute("SELECT username, state FROM members WHERE person = ?", [person]).fetchone()
        return found[0], found[1]


@pytest.mark.parametrize("ids", [("", ""), (None, None), ("7", "7")])
def test_of_two_members_with_one_id_and_one_username_only_the_one_that_was_named_is_closed(
    tmp_path: Path, ids: tuple[str | None, str | None]
) -> None:
    members = Members(tmp_path, ids)

    state = members.close("leaver")

    assert state is LegState.CLOSED
    assert members.state("leaver") == (None, "disabled")
    assert members.state("stays") == ("bfox", "enabled")


def test_a_row_that_is_another_person_s_since_it_was_planned_is_left_alone(tmp_path: Path) -> None:
    members = Members(tmp_path, ("7", "8"))
    (planned,) = members.portal.read_some(["leaver"])
    members.db.execute("UPDATE members SET person = 'new' WHERE id = '7'")

    (outcome,) = members.portal.close([CloseMember(planned)])

    assert outcome.state is LegState.CALLED_OFF
    assert members.state("new") == ("bfox", "enabled")


def test_check_warns_of_an_id_that_tells_no_rows_apart(tmp_path: Path) -> None:
    members = Members(tmp_path, ("7", "7"))

    findings = members.portal.check()

    assert [finding.level for finding in findings] == [Level.OK, Level.WARNING]
    assert "native_id is blank, or the same, in 2 rows" in findings[1].message


def test_without_a_password_column_a_username_is_a_door_and_closing_it_is_seen(tmp_path: Path) -> None:
    members = Members(tmp_path, ("7", "8"))
    columns = {field: name for field, name in COLUMNS.items() if field != "password"}
    settings = SqlPortalSettings(f"sqlite:///{tmp_path / 'portal.sqlite'}", "members", columns)
    portal = SqlPortal("engage", settings, Site(tmp_path, tmp_path, ZoneInfo("America/Chicago")))
    (planned,) = portal.read_some(["leaver"])

    (outcome,) = portal.close([CloseMember(planned)])

    assert planned.has_password
    assert outcome.state is LegState.CLOSED
    assert members.state("leaver") == (None, "disabled")
    assert not portal.read_some(["leaver"])[0].has_password
