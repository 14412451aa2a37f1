"""The daemon is killed at random moments while families leave and teachers join: nothing is lost, nothing is doubled.

`CONNECTOR_KILL_SECONDS` is how long (a minute unless told), `CONNECTOR_KILL_SEED` replays one: `make kill-daemon`.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e import configs
from tests.e2e.command import Command
from tests.e2e.embedded import write
from tests.e2e.families import School, founded
from tests.e2e.scenes import Scene, new_tag
from tests.e2e.systems import Cache, Database, OpenLdap
from tests.e2e.systems import write_csv as write_all
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisDatabase
from tests.servers.slapd import Slapd
from tests.waiting import wait_for

FAMILIES = 400
TIMES = 120.0
"""How many times as fast the daemon's clock goes: a minute between two runs is half a second."""

_OFTEN = 0.75
_CLOSED_MEMBER = (None, None, "disabled")


@dataclass(slots=True)
class Killed:
    """One school, its systems, and a daemon that never lives long."""

    scene: Scene[OpenLdap, Cache]
    folder: Path
    rng: random.Random
    since: datetime
    left: list[str] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    kills: int = 0
    heard: int = 0

    def something_happens(self) -> None:
        """Let some families leave, and perhaps a teacher join; the admin system exports it in one step per file."""
        school, rng = self.scene.school, self.rng
        for _ in range(rng.randint(1, 20)):
            if len(self.left) < FAMILIES:
                number = len(self.left)
                row = next(r for r in school.tables["enrolments"] if r["person_id"] == school.ids[f"child{number}"])
                row |= {"exit_date": "2026-06-30", "exit_reason": "left"}
                self.left.append(f"p{number}")
        if rng.random() < 0.5 and len(self.joined) < FAMILIES:
            self.joined.append(f"t{len(self.joined)}")
            school.role(self.joined[-1], "Faculty")
        self.export()

    def export(self) -> None:
        """Write the export beside its place and put it there whole, as an export should arrive."""
        aside = self.folder / "aside"
        write_all(self.scene.school, aside)
        for path in aside.iterdir():
            path.replace(self.folder / "admin" / path.name)

    @contextmanager
    def living(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Start the daemon; at the end of the `with` it is killed as by a power cut."""
        words = [str(self.scene.connector.config), self.since.isoformat(), str(TIMES)]
        environment = {**os.environ, **self.scene.connector.environment}
        with (self.folder / "daemon.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.fast_daemon", *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=Path(__file__).parents[2],
            )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def some_time_passes(self) -> None:
        """Wait for any moment; more often for one inside of a run, which takes less than a second."""
        if self.rng.random() < _OFTEN:
            deadline = time.monotonic() + 5
            while self.said("run-due") == self.heard and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(self.rng.uniform(0.1, 0.8))
        else:
            time.sleep(self.rng.uniform(0.5, 4.0))
        self.heard = self.said("run-due")

    def said(self, event: str) -> int:
        """Count an event in the daemon's log."""
        return (self.folder / "daemon.log").read_text(encoding="utf-8").count(f'"{event}"')

    def let_the_claims_be_over(self) -> None:
        """Save the test the seconds until a dead daemon's claims end by themselves."""
        for table in ("leases", "claims"):
            write(self.folder / "journal.sqlite", f"UPDATE {table} SET expires_at = '2026-01-01 00:00:00'")  # noqa: S608 - two names of ours

    def all_done(self) -> bool:
        """Say whether whoever has left is closed everywhere, and whoever has joined is a member."""
        school, members = self.scene.school, self.scene.portal.members()
        closed = {members["engage", school.ids[who]] for who in self.left} <= {_CLOSED_MEMBER}
        added = all(("faculty", school.ids[who]) in members for who in self.joined)
        gone = not self.scene.sessions.session_ids() & {f"engage-{who}" for who in self.left}
        return closed and added and gone and self.scene.directory.locked() == len(self.left)

    def nothing_open(self) -> bool:
        """Say whether nothing is under way in the journal."""
        with self.scene.journal() as journal:
            return not journal.open_legs() and not journal.open_changes()


def _school() -> School:
    school = founded(new_tag())
    school.contact("anna", "sam")
    school.signs_in("anna", "engage")
    for number in range(FAMILIES):
        school.student(f"child{number}")
        school.contact(f"p{number}", f"child{number}")
        school.signs_in(f"p{number}")
        school.person(f"t{number}")
    school.role("anna", "Faculty")
    return school


@pytest.fixture
def killed(tmp_path: Path, slapd: Slapd, postgres: PostgresServer, redis_database: RedisDatabase) -> Killed:
    """Nobody has left yet, and a first run was accepted."""
    school = _school()
    database, cache = Database.made_by(postgres), Cache(redis_database)
    directory = OpenLdap.made_by(slapd, school.accounts)
    write_all(school, tmp_path / "admin")
    database.write_members(school.members)
    cache.write_sessions(school.sessions)
    config = configs.write_config(
        tmp_path, configs.apply_section(), configs.journal_section(), configs.CSV,
        configs.portal_sections(database), configs.openldap_section(directory), configs.redis_section(cache),
        configs.daemon_section(5),
    )  # fmt: skip
    configs.every_day(config)
    now = datetime.now(UTC)
    command = Command(config, {"DIRECTORY_PASSWORD": slapd.admin_password}, f"{now:%Y-%m-%d}")
    command.approve_first_run()
    assert command("run").code == 0
    seed = int(os.environ.get("CONNECTOR_KILL_SEED", "") or random.randrange(10**6))  # noqa: S311 - dice, not secrets
    return Killed(Scene(school, database, cache, directory, command), tmp_path, random.Random(seed), now)  # noqa: S311 - dice, not secrets


@pytest.mark.long
@pytest.mark.timeout(0)
def test_whatever_moment_it_is_killed_at_nothing_is_lost_and_nothing_doubled(
    killed: Killed, record_property: Callable[[str, str], None]
) -> None:
    until = time.monotonic() + float(os.environ.get("CONNECTOR_KILL_SECONDS", "") or 60)
    while time.monotonic() < until:
        with killed.living():
            killed.something_happens()
            killed.some_time_passes()
        killed.kills += 1
        killed.let_the_claims_be_over()
    with killed.living():
        wait_for(killed.all_done, 60)
        wait_for(killed.nothing_open, 60)

    with killed.scene.journal() as journal:
        runs = journal.runs(10_000)
        revocations = journal.revocations()
        state = journal.verify_audit()
    interrupted = sum(run.result == "interrupted" for run in runs)
    inside = killed.said("run-due") - killed.said("run-ended")
    sentence = f"daemon killed {killed.kills} times, {inside} times inside a run, {len(killed.left)} people closed"
    record_property("said", sentence)
    whose = Counter(revocation.row.key for revocation in revocations)
    assert state.ok, state.sentence
    assert (inside, interrupted) >= (1, 1)
    assert {r.state for r in revocations} == {"done"}
    assert whose == Counter(killed.scene.school.ids[who] for who in killed.left)
    assert members_of(killed, "faculty") == Counter(killed.scene.school.ids[who] for who in (*killed.joined, "anna"))
    standing = {f"p{n}" for n in range(FAMILIES)} - set(killed.left) | {"anna"}
    assert killed.scene.sessions.session_ids() == {f"engage-{who}" for who in standing}
    assert killed.scene.directory.open_usernames(sample(killed, standing)) == set(sample(killed, standing))
    untouched = {killed.scene.member(who) for who in standing}
    assert {member[2] for member in untouched} == {"enabled"}
    assert all(member[0] and member[1] for member in untouched)


def members_of(killed: Killed, portal: str) -> Counter[str]:
    """Count the rows of each person in a portal: one too many is a doubled one."""
    query = "SELECT person_id FROM members WHERE portal = %s"
    with killed.scene.portal.server.connect(killed.scene.portal.name) as connection:
        return Counter(str(row[0]) for row in connection.execute(query, [portal]))


def sample(killed: Killed, people: set[str]) -> list[str]:
    """Give the usernames of some of them: every sign-in is asked of the server."""
    return sorted(killed.scene.school.usernames(sorted(people)[:40]))
