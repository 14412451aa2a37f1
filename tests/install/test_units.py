"""The systemd units say what systemd understands, shut out what it can measure, and start what the command line has."""

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from connector.cli import cli
from connector.config import load
from connector.init_config import template
from tests import servers

DEPLOY = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = ["connector-daemon.service", "connector-serve.service"]
EXPOSURE = 15
"""The most that `systemd-analyze security` may find, in tenths: 1.5 of 10. A unit without any care has 9.6."""


def analyze(*words: str, units: Path) -> "subprocess.CompletedProcess[str]":
    """Ask systemd-analyze about units that stand in a folder of their own."""
    tool = servers.require("systemd-analyze", "systemd")
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:", "SYSTEMD_COLORS": "0"}
    return subprocess.run([tool, *words], env=environment, cwd=units, capture_output=True, text=True, check=False)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Give the units with their credentials drop-in, started from a program that is there."""
    for name in UNITS:
        text = (DEPLOY / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/opt/connector/bin/connector", "/bin/true"), encoding="utf-8")
        (tmp_path / f"{name}.d").mkdir()
        (tmp_path / f"{name}.d" / "credentials.conf").write_text((DEPLOY / "credentials.conf").read_text())
    return tmp_path


def settings(name: str) -> dict[str, str]:
    """Give the last value of every key of a unit."""
    return dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / name).read_text(encoding="utf-8"), re.MULTILINE))


def test_systemd_finds_nothing_wrong_with_them(units: Path) -> None:
    verified = analyze("verify", "--man=no", *(f"./{name}" for name in UNITS), units=units)

    assert (verified.returncode, verified.stderr) == (0, "")


def test_systemd_would_have_said_so_of_a_slip_of_the_pen(units: Path) -> None:
    path = units / UNITS[0]
    path.write_text(path.read_text().replace("NoNewPrivileges=yes", "NoNewPriviliges=yes"), encoding="utf-8")

    verified = analyze("verify", "--man=no", f"./{UNITS[0]}", units=units)

    assert "NoNewPriviliges" in verified.stderr


@pytest.mark.parametrize("name", UNITS)
def test_what_a_unit_could_do_to_its_machine_stays_under_a_number(units: Path, name: str) -> None:
    looked = analyze("security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE}", name, units=units)

    assert looked.returncode == 0, looked.stdout[-400:]
    assert "Overall exposure level" in looked.stdout


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_runs_as_its_own_user_and_writes_one_folder(name: str) -> None:
    said = settings(name)

    assert (said["User"], said["DynamicUser"], said["UMask"]) == ("connector", "no", "0077")
    assert (said["ProtectSystem"], said["ReadWritePaths"], said["NoNewPrivileges"]) == (
        "strict", "/var/lib/connector", "yes",
    )  # fmt: skip
    assert said["CapabilityBoundingSet"] == ""
    assert said["LimitCORE"] == "0"  # a core file would hold every secret that was open


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_starts_a_verb_with_options_that_it_has(name: str) -> None:
    words = shlex.split(settings(name)["ExecStart"])[1:]
    verb = cli.commands[words[0]]

    options = {option for parameter in verb.params for option in parameter.opts}

    assert [word for word in words if word.startswith("--") and word not in options] == []


def test_the_daemon_is_given_longer_to_stop_and_to_beat_than_it_takes(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(template(), encoding="utf-8")
    daemon, said = load(tmp_path / "config.toml").daemon, settings(UNITS[0])

    assert _seconds(said["TimeoutStopSec"]) > daemon.stop_seconds
    assert _seconds(said["WatchdogSec"]) > daemon.lease_seconds
    assert (said["Type"], said["Restart"]) == ("notify", "always")


def _seconds(text: str) -> int:
    return int(text.removesuffix("min")) * 60


def test_the_user_they_run_as_is_made_by_systemd_too(tmp_path: Path) -> None:
    tool: Sequence[str] = (servers.require("systemd-sysusers", "systemd"), f"--root={tmp_path}")
    (tmp_path / "etc").mkdir()

    made = subprocess.run([*tool, DEPLOY / "connector.sysusers"], capture_output=True, text=True, check=False)

    line = (tmp_path / "etc" / "passwd").read_text(encoding="utf-8")
    assert made.returncode == 0, made.stderr
    assert re.search(r"^connector:x:\d+:\d+:Connector:/var/lib/connector:/usr/sbin/nologin$", line, re.MULTILINE)
