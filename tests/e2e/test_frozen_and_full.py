"""Servers that stop answering in the middle of a run and go on later, a journal without room, a database restarted.

What was intended is finished by the next run once they answer; without room for an intent nothing is closed at all.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from connector.model import LegState
from tests.e2e import configs
from tests.e2e.cluster import Cluster, running_cluster
from tests.e2e.command import Command, Ran, finish
from tests.e2e.conftest import LinedSchool, LinedSchools
from tests.e2e.embedded import write
from tests.e2e.families import leavers
from tests.e2e.line import line_to
from tests.e2e.scenes import Scene, new_tag
from tests.e2e.systems import ActiveDirectory, Cache, Database, OpenLdap, write_csv
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisDatabase
from tests.servers.samba import SambaDc
from tests.servers.slapd import Slapd
from tests.waiting import wait_for

_CLOSED_MEMBER = (None, None, "disabled")
_KEPT = {"engage-anna", "faculty-anna"}
_LEFT = 3


@contextmanager
def stopped(*processes: int) -> Iterator[None]:
    """Keep processes from running, their sockets open."""
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def children(process: int) -> tuple[int, ...]:
    """Give the processes a process has started: PostgreSQL has one for every connection."""
    return tuple(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


def held_before_the_effects(lined: LinedSchool) -> "subprocess.Popen[str]":
    """Start a run that has read everything but the sessions, which are read last."""
    lined.redis.hold()
    process = lined.scene.connector.start("run")
    assert lined.redis.somebody_waits.wait(30)
    return process


def all_closed(scene: Scene[OpenLdap, Cache]) -> bool:
    """Say whether everybody who left is closed everywhere, and nobody else."""
    members = {scene.member(f"p{number}") for number in range(_LEFT)}
    kept = {scene.school.username("anna")}
    return (members, scene.sessions.session_ids(), scene.open_accounts()) == ({_CLOSED_MEMBER}, _KEPT, kept)


def let_the_lease_be_over(scene: Scene[OpenLdap, Cache]) -> None:
    for table in ("leases", "claims"):
        write(scene.connector.config.parent / "journal.sqlite", f"UPDATE {table} SET expires_at = '2026-01-01 00:00:00'")  # fmt: skip  # noqa: E501, S608 - two names of ours


# --- a server that is stopped in the middle ---------------------------------------------------------------------------


def test_a_directory_stopped_before_the_first_write_is_finished_when_it_goes_on(
    lined_school: LinedSchools, slapd: Slapd
) -> None:
    lined = lined_school(_LEFT)
    scene = lined.scene
    scene.connector.approve_first_run()
    process = held_before_the_effects(lined)
    with stopped(slapd.process.pid):
        lined.redis.let_go()
        first = finish(process)

    second = scene.connector("resume")

    assert (first.code, second.code) == (4, 0), (first, second)
    assert scene.member("p0") == _CLOSED_MEMBER
    assert all_closed(scene)


def test_redis_stopped_before_the_sweep_is_finished_when_it_goes_on(lined_school: LinedSchools) -> None:
    lined = lined_school(_LEFT)
    scene = lined.scene
    scene.connector.approve_first_run()
    with scene.portal.held():
        process = scene.connector.start("run")
        wait_for(lambda: scene.directory.locked() == _LEFT)
        redis = scene.sessions.database.server.process.pid
        os.kill(redis, signal.SIGSTOP)
    try:
        first = finish(process)
    finally:
        os.kill(redis, signal.SIGCONT)

    second = scene.connector("resume")

    assert (first.code, second.code) == (4, 0), (first, second)
    assert all_closed(scene)


def test_a_database_stopped_in_the_middle_is_waited_for_and_the_run_that_lost_its_lease_writes_nothing_more(
    lined_school: LinedSchools,
) -> None:
    lined = lined_school(_LEFT)
    scene = lined.scene
    scene.connector.approve_first_run()
    with scene.portal.held():
        process = scene.connector.start("run")
        wait_for(lambda: scene.directory.locked() == _LEFT)
        postgres = scene.portal.server.process.pid
        frozen = (postgres, *children(postgres))
        with stopped(*frozen):
            let_the_lease_be_over(scene)
    first = finish(process)

    second = scene.connector("resume")

    assert (first.code, second.code) == (1, 0), (first, second)
    assert "lost its lease" in first.said
    assert all_closed(scene)


def impatient(command: Command, after: str) -> None:
    """Give a PostgreSQL up after a second of silence; `after` is the line of its section this is written behind."""
    text = command.config.read_text(encoding="utf-8")
    command.config.write_text(text.replace(after, f"{after}\nreceive_timeout = 1"), encoding="utf-8")


def test_a_portal_whose_database_is_frozen_is_given_up_and_finished_when_it_goes_on(lined_school: LinedSchools) -> None:
    lined = lined_school(_LEFT)
    scene = lined.scene
    impatient(scene.connector, 'table = "members"')
    scene.connector.approve_first_run()
    process = held_before_the_effects(lined)
    postgres = scene.portal.server.process.pid
    with stopped(postgres, *children(postgres)):
        lined.redis.let_go()
        first = finish(process)

    open_after_the_first = scene.legs("p0")["credential"].state
    second = scene.connector("resume")

    assert (first.code, open_after_the_first, second.code) == (4, LegState.UNREACHABLE, 0), (first, second)
    assert "Traceback" not in first.err
    assert all_closed(scene)


def test_a_journal_whose_database_is_frozen_ends_the_run_with_a_sentence_and_loses_nothing(
    own_cluster: Cluster, lined_school: LinedSchools
) -> None:
    lined = lined_school(_LEFT)
    scene, journal = lined.scene, Database.made_by(own_cluster.server)
    text = scene.connector.config.read_text(encoding="utf-8")
    scene.connector.config.write_text(text.replace("sqlite:///journal.sqlite", journal.url), encoding="utf-8")
    impatient(scene.connector, f'url = "{journal.url}"')
    scene.connector.approve_first_run()
    process = held_before_the_effects(lined)
    postgres = own_cluster.server.process.pid
    with stopped(postgres, *children(postgres)):
        lined.redis.let_go()
        first = finish(process)
    end_leases(own_cluster, journal)

    second = scene.connector("run")

    assert (first.code, second.code) == (1, 0), (first, second)
    assert "The journal" in first.err
    assert "Nothing is done without it." in first.err
    assert "Traceback" not in first.err
    assert all_closed(scene)


def test_active_directory_stopped_before_the_first_write_is_finished_when_it_goes_on(
    tmp_path: Path, samba: SambaDc, postgres: PostgresServer, redis_database: RedisDatabase
) -> None:
    school = leavers(new_tag(), _LEFT)
    database, cache = Database.made_by(postgres), Cache(redis_database)
    directory = ActiveDirectory.made_by(samba, school.accounts)
    write_csv(school, tmp_path / "admin")
    database.write_members(school.members)
    cache.write_sessions(school.sessions)
    with line_to("127.0.0.1", redis_database.server.port) as line:
        section = configs.active_directory_section(directory) + "receive_timeout = 3\n"
        config = configs.write_config(
            tmp_path, configs.apply_section(), configs.journal_section(), configs.CSV,
            configs.portal_sections(database), configs.redis_section(cache, line.port), section,
        )  # fmt: skip
        connector = Command(config, {"DIRECTORY_PASSWORD": samba.admin_password})
        connector.approve_first_run()
        line.hold()
        process = connector.start("run")
        assert line.somebody_waits.wait(30)
        with stopped(samba.process.pid):
            line.let_go()
            first = finish(process)

        second = connector("resume")

    assert (first.code, second.code) == (4, 0), (first, second)
    assert directory.open_usernames([a.username for a in school.accounts]) == {school.username("anna")}
    assert cache.session_ids() == _KEPT


# --- a journal without room -----------------------------------------------------------------------------------------


def with_limited_files(command: Command, size: int, *words: str) -> Ran:
    """Call a verb that may write no file beyond `size` bytes: what a full disk says is said then too."""
    call = [sys.executable, "-m", "connector", "--config", str(command.config), "--as-of", command.as_of, *words]
    environment = {**os.environ, "NO_COLOR": "1", **command.environment}
    ran = subprocess.run(
        ["prlimit", f"--fsize={size}", *call], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
        env=environment, cwd=Path(__file__).parents[2], timeout=90, check=False,
    )  # fmt: skip
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.mark.skipif(not shutil.which("prlimit"), reason="prlimit(1) is Linux")
@pytest.mark.parametrize("more", [0, 8192, 40_960])
def test_a_journal_that_cannot_grow_refuses_before_the_first_effect(more: int, lined_school: LinedSchools) -> None:
    scene = lined_school(_LEFT).scene
    scene.connector.approve_first_run()
    before = scene.everything()
    log = scene.connector.config.parent / "journal.sqlite-wal"
    size = log.stat().st_size if log.exists() else 0

    refused = with_limited_files(scene.connector, size + more, "run")

    assert refused.code == 1, refused
    assert "journal" in refused.said
    assert "Traceback" not in refused.err
    assert scene.everything() == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_journal_on_a_full_disk_refuses_before_the_first_effect_and_goes_on_when_there_is_room(
    lined_school: LinedSchools,
) -> None:
    scene = lined_school(_LEFT).scene
    with small_disk(scene.connector.config.parent / "disk") as disk:
        text = scene.connector.config.read_text(encoding="utf-8")
        config = scene.connector.config
        config.write_text(text.replace("sqlite:///journal.sqlite", "sqlite:///disk/journal.sqlite"), encoding="utf-8")
        scene.connector.approve_first_run()
        before = scene.everything()
        filler = disk / "filler"
        fill(filler)

        refused = scene.connector("run")
        after = scene.everything()
        filler.unlink()
        second = scene.connector("run")

        assert refused.code == 1, refused
        assert "journal" in refused.said
        assert "Traceback" not in refused.err
        assert after == before
        assert second.code == 0, second
        assert all_closed(scene)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of four megabytes."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("no disk may be mounted in this container")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write until there is no room left."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            return


# --- a database restarted in the middle, the journal in it ----------------------------------------------------------


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A PostgreSQL of this test alone."""
    with running_cluster() as cluster:
        yield cluster


def test_a_database_restarted_in_the_middle_with_journal_and_portal_in_it_loses_nothing(
    own_cluster: Cluster, lined_school: LinedSchools
) -> None:
    scene = lined_school(_LEFT).scene
    portal, journal = Database.made_by(own_cluster.server), Database.made_by(own_cluster.server)
    portal.write_members(scene.school.members)
    text = scene.connector.config.read_text(encoding="utf-8")
    old = text[text.index('url = "postgresql') :].partition("\n")[0]
    text = text.replace(old, f'url = "{portal.url}"').replace("sqlite:///journal.sqlite", journal.url)
    scene.connector.config.write_text(text, encoding="utf-8")
    scene = replace(scene, portal=portal)
    scene.connector.approve_first_run()
    first = restarted_in_the_middle(own_cluster, scene)
    portal, journal = Database(own_cluster.server, portal.name), Database(own_cluster.server, journal.name)
    scene = replace(scene, portal=portal)
    end_leases(own_cluster, journal)

    second = scene.connector("resume")

    assert first.code in (1, 4), first
    assert "Traceback" not in first.err
    assert second.code == 0, second
    assert all_closed(scene)
    with scene.journal() as opened:
        assert opened.verify_audit().ok


def end_leases(cluster: Cluster, journal: Database) -> None:
    """Let nobody have to wait for the lease of a run that is dead."""
    with cluster.server.connect(journal.name) as connection:
        for table in (b"leases", b"claims"):
            connection.execute(b"UPDATE " + table + b" SET expires_at = '2026-01-01'")


def restarted_in_the_middle(cluster: Cluster, scene: Scene[OpenLdap, Cache]) -> Ran:
    """Run while a transaction of the portal's own holds its rows, and restart the database under both."""
    with scene.portal.server.connect(scene.portal.name) as holder:
        holder.autocommit = False
        holder.execute("SELECT * FROM members FOR UPDATE")
        process = scene.connector.start("run")
        wait_for(lambda: holder.execute("SELECT FROM pg_locks WHERE NOT granted").rowcount > 0)
        cluster.restart()
        holder.close()
    return finish(process)
