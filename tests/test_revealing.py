"""A secret is read from the one place its name says, and never from a place that others could have reached."""

import os
import subprocess
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked

from connector.errors import ConfigError
from connector.interfaces import Secret, Site
from connector.revealing import exposed

HUNTER = "hunter2-Xy"
STRANGER = 12_345

only_posix = pytest.mark.skipif(os.name != "posix", reason="only there a file has a mode and an owner")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, tmp_path, ZoneInfo("UTC"))


def secret_file(folder: Path, mode: int = 0o600, text: str = f"{HUNTER}\n") -> Path:
    path = folder / "db.password"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def refusal(secret: Secret, site: Site) -> str:
    with pytest.raises(ConfigError) as refused:
        secret.reveal(site)
    assert HUNTER not in str(refused.value)
    return str(refused.value)


def standing(mode: int, owner: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 0, owner, 0, 0, 0, 0, 0))


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_file_that_only_we_read_gives_its_text_without_the_line_end(site: Site) -> None:
    secret_file(site.folder)

    assert Secret(file="db.password").reveal(site) == HUNTER


@only_posix
@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o644, 0o666, 0o601])
def test_a_file_that_others_read_or_write_is_refused_with_the_command_that_mends_it(site: Site, mode: int) -> None:
    path = secret_file(site.folder, mode)

    refused = refusal(Secret(file="db.password"), site)

    assert refused.endswith(f"is open to other users of this machine. Run: chmod 600 {path}")


@only_posix
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives a file away")
def test_a_file_of_somebody_else_is_refused_for_they_can_change_it(site: Site) -> None:
    path = secret_file(site.folder)
    os.chown(path, STRANGER, STRANGER)

    refused = refusal(Secret(file="db.password"), site)

    assert f"belongs to another user (id {STRANGER}), who can change it." in refused
    assert f"chown {os.geteuid()} {path}" in refused


@only_posix
def test_a_group_may_read_what_root_gave_it_and_nothing_that_is_our_own() -> None:
    ours = os.geteuid() or STRANGER
    path = Path("db.password")

    assert exposed(path, standing(0o640, 0)) is None
    assert (exposed(path, standing(0o640, ours)) is None) is False
    assert exposed(path, standing(0o660, 0)) is not None


@only_posix
def test_what_a_link_leads_to_is_judged_not_the_link(site: Site) -> None:
    secret_file(site.folder, 0o644)
    (site.folder / "link").symlink_to("db.password")

    assert "is open to other users" in refusal(Secret(file="link"), site)


@pytest.mark.parametrize("path", ["gone", "."])
def test_a_file_that_cannot_be_read_is_named(site: Site, path: str) -> None:
    assert f"The secret file {site.path(path)} cannot be read" in refusal(Secret(file=path), site)


def test_a_file_that_is_no_text_is_refused_without_repeating_a_byte_of_it(site: Site) -> None:
    secret_file(site.folder).write_bytes(b"\xff" + HUNTER.encode())

    assert "is not UTF-8 text" in refusal(Secret(file="db.password"), site)


# --- the environment, systemd ----------------------------------------------------------------------------------------


def test_a_variable_that_is_not_set_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", HUNTER)

    assert Secret(env="DB_PASSWORD").reveal(site) == HUNTER
    assert "The environment variable NO_SUCH_ONE is not set." in refusal(Secret(env="NO_SUCH_ONE"), site)


def test_a_credential_is_read_from_the_folder_that_systemd_names(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "journal").write_text(f"{HUNTER}\n", encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    assert Secret(credential="journal").reveal(site) == HUNTER
    assert "systemd gave this unit no readable credential portal." in refusal(Secret(credential="portal"), site)


def test_a_credential_without_systemd_says_how_to_start(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    refused = refusal(Secret(credential="journal"), site)

    assert "was not started by systemd with credentials. Start it as a unit with LoadCredential=journal:FILE" in refused


# --- the keyring ----------------------------------------------------------------------------------------------------


class Held(KeyringBackend):
    """A keyring in memory, by the library's own protocol."""

    priority = 1

    def __init__(self, *, locked: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # the library's own
        self.locked = locked
        self.kept = {("school", "journal"): HUNTER}

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked(f"no luck with {HUNTER}")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back the machine's own keyring afterwards."""
    monkeypatch.setattr("keyring.core._keyring_backend", NoKeyring())  # type: ignore[no-untyped-call] # as above


@pytest.mark.usefixtures("before")
def test_a_password_is_looked_up_in_the_keyring() -> None:
    keyring.set_keyring(Held())
    site = Site(Path(), Path(), ZoneInfo("UTC"))

    assert Secret(keyring="school", user="journal").reveal(site) == HUNTER
    assert "The keyring holds no password of portal of school." in refusal(
        Secret(keyring="school", user="portal"), site
    )


@pytest.mark.usefixtures("before")
def test_a_locked_keyring_and_a_machine_without_one_say_so(site: Site) -> None:
    missing = refusal(Secret(keyring="school", user="journal"), site)
    keyring.set_keyring(Held(locked=True))

    locked = refusal(Secret(keyring="school", user="journal"), site)

    assert "This machine has no keyring to look up journal of school in." in missing
    assert "The keyring did not give the password of journal of school. Unlock it" in locked


class PlaintextKeyring(Held):
    """One that writes passwords down as they are, as the one of keyrings.alt does."""


@pytest.mark.usefixtures("before")
def test_a_keyring_that_writes_passwords_down_as_they_are_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring.set_keyring(PlaintextKeyring())
    alone = refusal(Secret(keyring="school", user="journal"), site)
    several = Held()
    monkeypatch.setattr(several, "backends", [Held(), PlaintextKeyring()], raising=False)
    keyring.set_keyring(several)

    among_others = refusal(Secret(keyring="school", user="journal"), site)

    assert "(PlaintextKeyring) writes passwords down as they are." in alone
    assert among_others == alone


def test_without_the_library_nothing_else_suffers_and_the_sentence_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['keyring'] = None\n"
        "from pathlib import Path; from zoneinfo import ZoneInfo\n"
        "from connector.interfaces import Secret, Site\n"
        "try: Secret(keyring='a', user='b').reveal(Site(Path(), Path(), ZoneInfo('UTC')))\n"
        "except Exception as error: print(error)"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert 'Install it: pip install "connector[keyring]"' in ran.stdout
