"""A snapshot is whole or it is none; what does not answer at all is named."""

from pathlib import Path

import pytest

from connector.errors import SourceError, TargetUnreachable
from connector.model import SessionKey
from connector.reconcile.reading import take_snapshot
from tests.fakes import FakeDirectory
from tests.reconcile.build import FACULTY, school
from tests.reconcile.nights import Nights


def nights(folder: Path) -> Nights:
    return Nights(folder, school().families(2).portal(FACULTY).store("app", SessionKey.CODE))


def test_every_system_is_read_once_and_progress_names_each(tmp_path: Path) -> None:
    school_nights = nights(tmp_path)
    seen: list[str] = []

    snapshot = take_snapshot(school_nights.targets, seen.append)

    assert [r.portal for r in snapshot.portals] == ["engage", "faculty"]
    assert [r.directory for r in snapshot.directories] == ["ad"]
    assert [r.store for r in snapshot.session_stores] == ["web", "app"]
    assert seen == [
        "admin system", "portal engage", "portal faculty", "directory ad", "session store web", "session store app",
    ]  # fmt: skip
    assert school_nights.ad.trouble.asked == ["read ad"]


@pytest.mark.parametrize(("kind", "name"), [("portal", "engage"), ("directory", "ad"), ("session_store", "web")])
def test_a_target_that_does_not_answer_is_named_and_the_rest_is_read(tmp_path: Path, kind: str, name: str) -> None:
    school_nights = nights(tmp_path)
    systems = {"engage": school_nights.engage, "ad": school_nights.ad, "web": school_nights.web}
    systems[name].trouble.down = True

    snapshot = take_snapshot(school_nights.targets)

    assert snapshot.unread_names(kind) == (name,)
    assert "does not answer" in snapshot.unread[0].why
    assert len(snapshot.portals) + len(snapshot.directories) + len(snapshot.session_stores) == 4
    assert snapshot.store_keys == {"web": SessionKey.USERNAME, "app": SessionKey.CODE}


@pytest.mark.parametrize("name", ["engage", "ad", "web"])
def test_a_reading_that_breaks_off_is_an_error_for_everything(tmp_path: Path, name: str) -> None:
    school_nights = nights(tmp_path)
    systems = {"engage": school_nights.engage, "ad": school_nights.ad, "web": school_nights.web}
    systems[name].trouble.breaks_off = True

    with pytest.raises(SourceError, match="broke off"):
        take_snapshot(school_nights.targets)


def test_without_the_admin_system_nothing_else_is_read(tmp_path: Path) -> None:
    school_nights = nights(tmp_path)
    school_nights.admin.trouble.down = True

    with pytest.raises(TargetUnreachable):
        take_snapshot(school_nights.targets)

    assert school_nights.ad.trouble.asked == []


def test_letting_go_reaches_every_system(tmp_path: Path) -> None:
    school_nights = nights(tmp_path)
    school_nights.directories["second"] = FakeDirectory("second", [])

    school_nights.targets.disconnect()

    systems = school_nights.targets.all()
    assert len(systems) == 7
    assert not any(system.connected for system in systems)  # type: ignore[union-attr] # they are all fakes
