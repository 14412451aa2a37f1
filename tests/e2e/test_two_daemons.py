"""Two daemons on one PostgreSQL: one is frozen in the middle of a batch, the other takes over, the first wakes up.

What the first had sent may still arrive; it writes nothing into the journal any more, and nobody is touched whom the
plan did not mean.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import configs
from tests.e2e.command import Command
from tests.e2e.families import leavers
from tests.e2e.line import Line, line_to
from tests.e2e.scenes import Scene, new_tag
from tests.e2e.systems import Cache, Database, OpenLdap, write_csv
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisDatabase
from tests.servers.slapd import Slapd
from tests.waiting import wait_for

LEFT = 60
WINDOW = 16
"""How many modifies are under way together on a directory's connection: the one request that may arrive late."""

_LARGEST_MODIFY = 512
TAKEOVER_SECONDS = 60
_CLOSED_MEMBER = (None, None, "disabled")


@dataclass(frozen=True, slots=True)
class Pair:
    """One school and two machines for it; the first reaches the directory over a line of the test."""

    scene: Scene[OpenLdap, Cache]
    second: Path
    ldap: Line
    folder: Path

    def arrives(self) -> None:
        """Let the admin system's export arrive anew."""
        write_csv(self.scene.school, self.folder / "admin")

    def marks(self) -> dict[str, str]:
        """Give the server's own mark of the last change of every account."""
        directory = self.scene.directory
        with directory.server.admin() as connection:
            connection.search(directory.base, "(objectClass=inetOrgPerson)", attributes=["uid", "entryCSN"])
            return {str(e["attributes"]["uid"][0]): str(e["attributes"]["entryCSN"]) for e in connection.response}

    def runs(self) -> dict[int, str]:
        """Give every run of a daemon with its result."""
        with self.scene.journal() as journal:
            return {run.run_id: run.result for run in journal.runs() if run.kind != "plan"}

    def last_record_of(self, run_id: int) -> int:
        """Give the number of the last audit record that a run itself wrote."""
        with self.scene.journal() as journal:
            records = [r for r in journal.audit_records() if r.run_id == run_id and r.kind != "run-interrupted"]
        return max(record.number for record in records)

    def closed_once(self) -> bool:
        """Say whether the journal holds one revocation of each, all done, and its trail holds."""
        with self.scene.journal() as journal:
            states = [revocation.state for revocation in journal.revocations()]
            return states == ["done"] * LEFT and journal.verify_audit().ok

    def closed(self) -> bool:
        """Say whether everybody who left is closed everywhere."""
        scene = self.scene
        if scene.directory.locked() < LEFT or scene.sessions.session_ids() != {"engage-anna", "faculty-anna"}:
            return False
        members = scene.portal.members()
        return {members["engage", scene.school.ids[f"p{n}"]] for n in range(LEFT)} == {_CLOSED_MEMBER}


@pytest.fixture
def pair(tmp_path: Path, slapd: Slapd, postgres: PostgresServer, redis_database: RedisDatabase) -> Iterator[Pair]:
    """Sixty families have left; the first plan is approved. Journal and portal are in PostgreSQL."""
    school = leavers(new_tag(), LEFT)
    database, cache, journal = Database.made_by(postgres), Cache(redis_database), Database.made_by(postgres)
    directory = OpenLdap.made_by(slapd, school.accounts)
    write_csv(school, tmp_path / "admin")
    database.write_members(school.members)
    cache.write_sessions(school.sessions)
    with line_to(slapd.host, slapd.port) as line:
        first, second = (
            configs.write_config(
                tmp_path, configs.apply_section(), configs.journal_section(journal), configs.CSV,
                configs.portal_sections(database), configs.openldap_section(directory, port),
                configs.redis_section(cache), configs.daemon_section(1),
            ).rename(tmp_path / f"{name}.toml")
            for name, port in (("first", line.port), ("second", slapd.port))
        )  # fmt: skip
        for path in (first, second):
            configs.every_day(path)
        command = Command(first, {"DIRECTORY_PASSWORD": slapd.admin_password}, f"{datetime.now(UTC):%Y-%m-%d}")
        made = Pair(Scene(school, database, cache, directory, command), second, line, tmp_path)
        command.approve_first_run()
        yield made


@contextmanager
def daemon(config: Path, password: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a daemon; end it with the `with`."""
    command = [sys.executable, "-m", "connector", "--config", str(config), "daemon"]
    environment = {**os.environ, "DIRECTORY_PASSWORD": password}
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def said(log: Path, word: str) -> Callable[[], bool]:
    """Give what says whether a daemon has logged something."""
    return lambda: word in log.read_text(encoding="utf-8")


def frozen_after_an_account(pair: Pair, process: "subprocess.Popen[bytes]") -> None:
    """Freeze it while it disables accounts: some are closed, others on their way, the rest still open."""
    before = pair.scene.directory.locked()
    pair.arrives()
    wait_for(lambda: pair.scene.directory.locked() > before, 60)
    process.send_signal(signal.SIGSTOP)


def frozen_before_the_credentials(pair: Pair, process: "subprocess.Popen[bytes]") -> None:
    """Freeze it when every account is closed and its statement waits for rows that somebody else holds."""
    with pair.scene.portal.held():
        pair.arrives()
        wait_for(lambda: pair.scene.directory.locked() == LEFT, 60)
        wait_for(lambda: waiting_statements(pair) > 0)
        process.send_signal(signal.SIGSTOP)


def waiting_statements(pair: Pair) -> int:
    """Count the statements on the portal's members that wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    with pair.scene.portal.server.connect(pair.scene.portal.name) as connection:
        row: Any = connection.execute(query, [pair.scene.portal.name]).fetchone()
    return int(row[0])


@pytest.mark.parametrize("frozen", [frozen_after_an_account, frozen_before_the_credentials])
def test_the_second_daemon_takes_over_and_the_first_writes_nothing_more_when_it_wakes_up(
    frozen: Callable[[Pair, "subprocess.Popen[bytes]"], None], pair: Pair, record_property: Callable[[str, str], None]
) -> None:
    password, logs = (
        pair.scene.connector.environment["DIRECTORY_PASSWORD"],
        [pair.folder / "1.log", pair.folder / "2.log"],
    )
    with ExitStack() as stack:
        first = stack.enter_context(daemon(pair.scene.connector.config, password, logs[0]))
        wait_for(said(logs[0], "daemon-works"))
        stack.enter_context(daemon(pair.second, password, logs[1]))
        wait_for(said(logs[1], "daemon-starts"))
        time.sleep(2)  # both have looked at the folder
        frozen(pair, first)
        since = time.monotonic()
        (overtaken,) = pair.runs()
        wait_for(said(logs[1], "daemon-works"), TAKEOVER_SECONDS)
        seconds = time.monotonic() - since
        wait_for(pair.closed, 90)
        wait_for(lambda: len(pair.runs()) > 1 and "" not in pair.runs().values())
        marks, last, sent = pair.marks(), pair.last_record_of(overtaken), pair.ldap.to_server

        first.send_signal(signal.SIGCONT)

        wait_for(lambda: '"daemon-waits"' in logs[0].read_text(encoding="utf-8"), 60)
        time.sleep(2)
        late_bytes = pair.ldap.to_server - sent
        late = {name for name, mark in pair.marks().items() if mark != marks[name]}
        record_property(
            "said", f"two daemons: the second took over after {seconds:.0f} s, {late_bytes} bytes came late"
        )
        assert pair.last_record_of(overtaken) == last
        assert pair.runs()[overtaken] == "interrupted"
        assert len(late) <= WINDOW
        assert late_bytes <= WINDOW * _LARGEST_MODIFY
        assert late <= pair.scene.school.usernames(f"p{n}" for n in range(LEFT))
        assert pair.closed()
        assert pair.scene.open_accounts() == {pair.scene.school.username("anna")}
    assert pair.closed_once()
