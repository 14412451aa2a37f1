"""What is released is whole: built, installed from its lock on a clean environment, and used as the pages say.

One environment serves the whole file; it is made by the very lines of docs/getting-started.md.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import servers
from tests.install import page

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
WHEEL = f"connector-{VERSION}-py3-none-any.whl"
SDIST = f"connector-{VERSION}.tar.gz"
NOT_PYTHON = {
    "connector/config_template.toml", "connector/py.typed", "connector/reconcile/migrations/script.py.mako",
    *(f"connector/sample/harbour-college/{name}" for name in (
        "admin/contact_types.csv", "admin/enrolments.csv", "admin/people.csv", "admin/relationships.csv",
        "admin/security_roles.csv", "directory.ldif", "portal/members.csv", "portal/portals.csv", "sessions.csv",
    )),
}  # fmt: skip


def build(source: Path, out: Path, *targets: str) -> None:
    """Build without an environment of its own: nothing is fetched."""
    words = [sys.executable, "-m", "hatchling", "build", "--directory", str(out)]
    subprocess.run([*words, *(word for t in targets for word in ("--target", t))], cwd=source, check=True)


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of what is released."""
    out = tmp_path_factory.mktemp("dist")
    build(ROOT, out, "wheel", "sdist")
    return out


@dataclass(frozen=True, slots=True)
class Followed:
    """The page, followed to its end: every step with how it went, and the environment that came of it."""

    folder: Path
    home: Path
    steps: Sequence[tuple[page.Step, page.Typed]]

    @property
    def connector(self) -> Path:
        """The command, as it was installed."""
        return self.folder / "connector-env" / "bin" / "connector"

    def type(
        self, *words: str | Path, cwd: Path, before: Sequence[str | Path] = ()
    ) -> "subprocess.CompletedProcess[str]":
        """Type one more command with that environment."""
        return subprocess.run(
            [*before, self.connector, *words], cwd=cwd, env=page.bare(self.home), capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip


@pytest.fixture(scope="module")
def followed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Followed:
    """Follow docs/getting-started.md in an empty folder that holds the two files of a release."""
    folder, home = tmp_path_factory.mktemp("new-user"), tmp_path_factory.mktemp("home")
    shutil.copy(dist / WHEEL, folder)
    shutil.copy(ROOT / "requirements" / "runtime.txt", folder)
    path = f"{Path(sys.executable).resolve().parent}{os.pathsep}{os.environ['PATH']}"
    wanted = [*page.steps(PAGE)]
    return Followed(folder, home, [*zip(wanted, page.typed(wanted, folder, page.bare(home, PATH=path)), strict=True)])


@pytest.fixture
def tried(followed: Followed, tmp_path: Path) -> Path:
    """Give a folder with a school that was looked at once."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    assert followed.type("init", "--with-sample", cwd=folder).returncode == 0
    return folder


# --- what is in it ----------------------------------------------------------------------------------------------------


def test_the_wheel_holds_every_module_every_template_every_migration_and_the_sample(dist: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "connector"],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    ours = {name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()}

    inside = {name for name in names(dist / WHEEL) if not name.startswith(f"connector-{VERSION}.dist-info/")}

    assert ours - inside == set()
    assert {name for name in inside if not name.endswith(".py")} == NOT_PYTHON
    assert any(name.startswith("connector/reconcile/migrations/versions/") for name in inside)


def test_the_sdist_holds_what_builds_the_same_wheel_and_what_installs_it(dist: Path, tmp_path: Path) -> None:
    with tarfile.open(dist / SDIST) as file:
        inside = {name.partition("/")[2] for name in file.getnames()}
        # Debian's Python 3.11.2 knows no filter yet; what is opened here was built a moment ago.
        file.extraction_filter = getattr(tarfile, "data_filter", None)
        file.extractall(tmp_path)  # noqa: S202 - as above

    build(tmp_path / f"connector-{VERSION}", tmp_path / "again", "wheel")

    assert (tmp_path / "again" / WHEEL).read_bytes() == (dist / WHEEL).read_bytes()
    assert {"requirements/runtime.txt", "deploy/systemd/connector-daemon.service", "docs/installing.md"} <= inside
    assert not [name for name in inside if name.startswith((".git/", ".venv", "demo/")) or name.endswith(".pyc")]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_every_line_of_the_first_page_ends_as_it_says_and_prints_what_it_says(followed: Followed) -> None:
    wrong = [
        f"{each.lines}: ended {ran.codes}, unsaid {page.unsaid(each, ran.said)}\n{ran.said}"
        for each, ran in followed.steps
        if ran.codes != each.codes or page.unsaid(each, ran.said)
    ]

    assert wrong == []
    assert len(followed.steps) >= 5


def test_the_first_page_leaves_a_report_and_nothing_of_ours_in_anybodys_home(followed: Followed) -> None:
    report = followed.folder / "school" / "first-report.html"

    assert "Abbott" in report.read_text(encoding="utf-8")
    assert [each for each in followed.home.rglob("*") if "connector" in each.name and ".cache" not in each.parts] == []


def test_what_is_installed_runs_from_the_wheel_alone(followed: Followed) -> None:
    python = followed.connector.with_name("python")
    script = (
        "import connector, sys; print(connector.__file__); print([p for p in sys.path if 'site-packages' not in p])"
    )

    said = subprocess.run([python, "-I", "-c", script], cwd=followed.home, capture_output=True, text=True, check=True)

    assert str(followed.folder) in said.stdout
    assert str(ROOT) not in said.stdout


def test_the_installed_command_builds_a_demo_and_opens_a_new_journal(followed: Followed, tmp_path: Path) -> None:
    built = followed.type("demo", "--out", tmp_path / "trial", cwd=tmp_path)

    planned = followed.type(
        "--config", tmp_path / "trial" / "config.toml", "--as-of", "2026-11-21", "plan", "--check", cwd=tmp_path
    )

    assert (built.returncode, planned.returncode) == (0, 3), (built, planned)
    assert (tmp_path / "trial" / "journal.sqlite").is_file()


# --- as the units and the container run it ----------------------------------------------------------------------------


def sandbox(followed: Followed, state: Path) -> list[str | Path]:
    """Give what runs a command as user 10001 where nothing but the state folder and an empty /tmp can be written."""
    return [
        servers.require("bwrap", "bubblewrap"), "--die-with-parent",
        "--unshare-user", "--uid", "10001", "--gid", "10001",
        "--ro-bind", "/", "/", "--tmpfs", "/tmp", "--ro-bind", followed.folder, followed.folder,  # noqa: S108 - its own
        "--bind", state, state, "--dev", "/dev", "--proc", "/proc", "--cap-drop", "ALL", "--chdir", state, "--",
    ]  # fmt: skip


def test_it_works_as_a_number_for_a_user_on_a_system_where_only_its_state_can_be_written(
    followed: Followed, tried: Path
) -> None:
    inside = sandbox(followed, tried)
    elsewhere = subprocess.run(
        [*inside, "touch", followed.folder / "mark"], capture_output=True, text=True, check=False
    )

    ran = [
        followed.type(*words, cwd=tried, before=inside)
        for words in (("check", "--as-of", "2026-11-21"), ("run", "--as-of", "2026-11-21"), ("daemon", "--once"))
    ]

    assert "Read-only file system" in elsewhere.stderr
    assert [each.returncode for each in ran] == [0, 3, 0], [each.stderr[-2000:] for each in ran]
    assert "0 errors" in ran[0].stdout
    assert "uid10001@" in followed.type("report", cwd=tried).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="a promise of Linux alone")
def test_it_works_where_no_memory_may_be_made_executable_and_no_privilege_gained(
    followed: Followed, tried: Path
) -> None:
    # prctl(2): PR_SET_MDWE (since Linux 6.3) with PR_MDWE_REFUSE_EXEC_GAIN, and PR_SET_NO_NEW_PRIVS, as in the units.
    deny = "import ctypes, os, sys; c = ctypes.CDLL(None); c.prctl(65, 1, 0, 0, 0); c.prctl(38, 1, 0, 0, 0); "
    before = [sys.executable, "-c", deny + "os.execv(sys.argv[1], sys.argv[1:])"]

    ran = followed.type("daemon", "--once", cwd=tried, before=before)

    assert ran.returncode == 0, ran.stderr


def test_the_container_installs_by_the_lines_of_the_first_page_and_runs_as_no_root() -> None:
    text = (ROOT / "deploy" / "container" / "Containerfile").read_text(encoding="utf-8")
    typed = [line.removeprefix("RUN ") for line in text.splitlines() if line.startswith("RUN ")][:3]
    said = [line.replace("connector-env", "/opt/connector") for line in next(page.steps(PAGE)).lines[:3]]

    assert [line.replace("--no-cache-dir ", "") for line in typed] == said
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001:10001"]
    assert "STOPSIGNAL SIGTERM" in text
    assert "127.0.0.1:9464/healthz" in text
    assert not re.search(r"^(?:ADD|ARG|ENV).*(?:http|pass|secret|token)", text, re.MULTILINE | re.IGNORECASE)


def test_the_compose_file_leaves_nothing_to_write_and_no_privilege() -> None:
    text = (ROOT / "deploy" / "container" / "compose.yaml").read_text(encoding="utf-8")

    for wanted in (
        "read_only: true",
        "cap_drop: [ALL]",
        '"no-new-privileges:true"',
        'user: "10001:10001"',
        "stop_grace",
    ):
        assert wanted in text, wanted
