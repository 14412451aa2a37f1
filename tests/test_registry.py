"""Adapters are found by entry point, the way a package outside this one plugs in: each test installs a tiny one."""

from pathlib import Path

import pytest

from connector.config import Config, Kind, load
from connector.errors import ConfigError
from connector.interfaces import Secret
from connector.registry import (
    installed,
    open_admin_system,
    open_directories,
    open_portals,
    open_session_stores,
    validate,
)

HUNTER = "hunter2-Xy"

LANTERN = """
from dataclasses import dataclass, field
from collections.abc import Mapping
from enum import StrEnum
from connector.errors import ConfigError
from connector.interfaces import Secret

class Shade(StrEnum):
    DIM = "dim"
    BRIGHT = "bright"

@dataclass(frozen=True, slots=True)
class Columns:
    username: str = "username"

class LanternPortal:
    user_key = "username"  # it passes for a session store, too

    @dataclass(frozen=True, slots=True)
    class Settings:
        url: str
        password: Secret | None = None
        shade: Shade = Shade.DIM
        hosts: tuple[str, ...] = ()
        columns: Columns = field(default_factory=Columns)
        types: Mapping[str, int] = field(default_factory=dict)

    def __init__(self, name, settings, site):
        self.name, self.settings, self.site = name, settings, site
        if settings.url == "nonsense":
            raise ConfigError(f"The url of {name} is no address.", "Write one.")

    def read_all(self): ...
    def read_some(self, person_ids): ...
    def close(self, batch): ...
    def open(self, batch): ...
    def add(self, batch): ...
    def remove(self, batch): ...
    def check(self): return ()
    def disconnect(self): ...

class LanternStore:
    @dataclass(frozen=True, slots=True)
    class Settings:
        pass
    def __init__(self, name, settings, site): ...
    def read_all(self): ...

class NoAdapter:
    pass
"""

POINTS = """
[connector.admin_systems]
lantern = lantern:LanternPortal
[connector.directories]
lantern = lantern:LanternPortal
[connector.portals]
lantern = lantern:LanternPortal
no-adapter = lantern:NoAdapter
no-module = lantern_of_somebody_else:Portal
[connector.session_stores]
lantern = lantern:LanternStore
twice = lantern:LanternPortal
"""


@pytest.fixture
def lantern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package with adapters, the way pip leaves one behind."""
    site = tmp_path / "site"
    distribution(site, "lantern", POINTS)
    (site / "lantern.py").write_text(LANTERN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(__import__("sys").modules, "lantern", raising=False)
    return site


def distribution(site: Path, name: str, points: str) -> None:
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (folder / "entry_points.txt").write_text(points, encoding="utf-8")


def config(
    folder: Path, *lines: str, adapter: str = "lantern", admin: str = 'adapter = "lantern"\nurl = "x"', extra: str = ""
) -> Config:
    """Write and load a config whose portal `engage` has these lines."""
    path = folder / "config.toml"
    path.write_text(
        f'[school]\nname = "H"\ntimezone = "UTC"\n[admin_system]\n{admin}\n'
        f'[portals.engage]\nadapter = "{adapter}"\nstrategy = "contacts"\n' + "\n".join(lines) + f"\n{extra}\n",
        encoding="utf-8",
    )
    return load(path)


def refusal(of: Config) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(of)
    return str(caught.value)


@pytest.mark.usefixtures("lantern")
class TestFinding:
    def test_an_installed_package_plugs_in(self) -> None:
        assert "lantern" in installed(Kind.PORTAL)

    def test_an_adapter_nobody_installed_gets_a_suggestion_and_the_list(self, tmp_path: Path) -> None:
        message = refusal(config(tmp_path, adapter="lantren"))

        assert "[portals.engage] adapter is not an installed adapter. Did you mean 'lantern'?" in message
        assert "Installed: " in message

    def test_a_package_that_cannot_be_imported_does_not_break_the_others(self, tmp_path: Path) -> None:
        broken = config(tmp_path, adapter="no-module")

        assert "cannot be loaded from lantern_of_somebody_else:Portal" in refusal(broken)
        assert open_admin_system(broken)

    def test_a_class_without_settings_is_no_adapter(self, tmp_path: Path) -> None:
        assert "has no Settings dataclass" in refusal(config(tmp_path, adapter="no-adapter"))

    def test_a_name_claimed_by_two_packages_is_refused(self, tmp_path: Path, lantern: Path) -> None:
        distribution(lantern, "impostor", "[connector.portals]\nlantern = impostor:Portal\n")

        assert "claimed by several packages: impostor:Portal, lantern:LanternPortal" in refusal(
            config(tmp_path, 'url = "x"')
        )


@pytest.mark.usefixtures("lantern")
class TestSettings:
    def test_an_adapter_gets_its_settings_in_its_own_types(self, tmp_path: Path) -> None:
        checked = config(
            tmp_path,
            'url = "x"',
            'password = { env = "LANTERN_PASSWORD" }',
            'shade = "bright"',
            'hosts = ["a", "b"]',
            'columns.username = "u"',
            "types.Mother = 3",
        )

        portal = open_portals(checked)["engage"]

        settings = portal.settings  # type: ignore[attr-defined]  # the tiny adapter keeps what it was handed
        assert settings.password == Secret(env="LANTERN_PASSWORD")
        assert settings.shade.name == "BRIGHT"
        assert settings.hosts == ("a", "b")
        assert settings.columns.username == "u"
        assert settings.types == {"Mother": 3}
        assert portal.name == "engage"  # type: ignore[attr-defined]  # as above
        assert portal.site.folder == tmp_path  # type: ignore[attr-defined]  # as above

    @pytest.mark.parametrize(
        ("line", "sentence"),
        [
            ('ulr = "x"', "[portals.engage] has no key 'ulr'. Did you mean 'url'?"),
            ('url = "x"\nsign_on = "password"', "[portals.engage] has no key 'sign_on'. Did you mean 'sign_in'?"),
            (
                'url = "x"\ncolumns.usename = "u"',
                "[portals.engage.columns] has no key 'usename'. Did you mean 'username'?",
            ),
            ("url = 5", "[portals.engage] url must be text, in quotes."),
            ('url = "x"\nshade = "brigth"', "shade must be 'dim' or 'bright'. Did you mean 'bright'?"),
            ('url = "x"\nhosts = ["a", 1]', "[portals.engage] hosts, item 2 must be text, in quotes."),
            ('url = "x"\ntypes.Mother = "3"', "[portals.engage.types] Mother must be a whole number"),
            ("", "[portals.engage] needs the key 'url'."),
        ],
    )
    def test_a_wrong_key_is_refused_as_in_our_own_sections(self, tmp_path: Path, line: str, sentence: str) -> None:
        assert sentence in refusal(config(tmp_path, line))

    def test_a_literal_password_is_refused_and_never_repeated(self, tmp_path: Path) -> None:
        message = refusal(config(tmp_path, 'url = "x"', f'password = "{HUNTER}"'))

        assert (
            '[portals.engage] password is a literal password in the config; write password = { env = "..." }' in message
        )
        assert HUNTER not in message

    def test_problems_of_all_sections_are_told_at_once(self, tmp_path: Path) -> None:
        message = refusal(
            config(tmp_path, "url = 5", admin='adapter = "lantern"', extra='[directories.ad]\nadapter = "x"')
        )

        assert "[admin_system] needs the key 'url'" in message
        assert "[directories.ad] adapter is not an installed adapter" in message
        assert "[portals.engage] url must be text" in message

    def test_what_an_adapter_refuses_itself_is_told_with_the_rest(self, tmp_path: Path) -> None:
        message = refusal(config(tmp_path, 'url = "nonsense"', admin='adapter = "lantern"'))

        assert "[portals.engage] is not usable: The url of engage is no address. Write one." in message
        assert "[admin_system] needs the key 'url'" in message


@pytest.mark.usefixtures("lantern")
class TestOpening:
    def test_every_section_gets_its_own_adapter(self, tmp_path: Path) -> None:
        two = config(
            tmp_path,
            'url = "x"',
            extra='[portals.staff]\nadapter = "lantern"\nstrategy = "manual"\nurl = "y"\n'
            '[directories.ad]\nadapter = "lantern"\nurl = "z"\n[session_stores.web]\nadapter = "twice"\nurl = "w"',
        )

        assert set(open_portals(two)) == {"engage", "staff"}
        assert set(open_directories(two)) == {"ad"}
        assert set(open_session_stores(two)) == {"web"}
        assert open_admin_system(two)

    def test_a_class_that_lacks_a_method_is_refused_by_name(self, tmp_path: Path) -> None:
        half = config(tmp_path, 'url = "x"', extra='[session_stores.web]\nadapter = "lantern"')

        with pytest.raises(ConfigError, match="is no SessionStore: a method of that Protocol is missing"):
            open_session_stores(half)
