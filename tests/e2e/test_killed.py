"""The process is killed in the middle of a run, as by a power cut: everything that was intended is finished later."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.command import kill
from tests.e2e.conftest import LinedSchool, LinedSchools
from tests.e2e.embedded import rows, write
from tests.waiting import wait_for

_CLOSED_MEMBER = (None, None, "disabled")
_LEASE = 10
_LEFT = 20

Step = Callable[[LinedSchool], None]


def killed_at_the_first_account(lined: LinedSchool) -> None:
    """Kill it as soon as an account was seen closed; the credentials are out of its reach until then."""
    with lined.scene.portal.held():
        process = lined.scene.connector.start("run")
        wait_for(lambda: lined.scene.directory.locked() > 0)
        kill(process)


def killed_before_the_credentials(lined: LinedSchool) -> None:
    """Kill it when every account is closed and the portal's table is held by somebody else."""
    with lined.scene.portal.held():
        process = lined.scene.connector.start("run")
        wait_for(lambda: lined.scene.directory.locked() == _LEFT)
        kill(process)


def killed_before_the_sessions(lined: LinedSchool) -> None:
    """Kill it when every credential is gone and the session store does not answer."""
    scene = lined.scene
    with scene.portal.held():
        process = scene.connector.start("run")
        wait_for(lambda: scene.directory.locked() == _LEFT)
        lined.redis.hold()
    wait_for(lambda: scene.member(f"p{_LEFT - 1}") == _CLOSED_MEMBER)
    kill(process)
    lined.redis.let_go()


def wait_for_the_lease(lined: LinedSchool) -> None:
    """Wait as long as the killed run's lease holds, and its claims on people."""
    query = "SELECT max(expires_at) FROM (SELECT expires_at FROM leases UNION SELECT expires_at FROM claims)"
    ((end,),) = rows(journal_file(lined), query)
    left = datetime.fromisoformat(str(end)).replace(tzinfo=UTC) - datetime.now(UTC)
    assert timedelta(0) < left <= timedelta(seconds=_LEASE)
    time.sleep(left.total_seconds() + 0.1)


def let_the_lease_be_over(lined: LinedSchool) -> None:
    """Save a test those seconds."""
    for table in ("leases", "claims"):
        write(journal_file(lined), f"UPDATE {table} SET expires_at = '2026-01-01 00:00:00'")  # noqa: S608 - two names of ours


def journal_file(lined: LinedSchool) -> Path:
    """Say where the journal is."""
    return lined.scene.connector.config.parent / "journal.sqlite"


@pytest.mark.parametrize(
    ("killed", "lease", "verb"),
    [
        (killed_at_the_first_account, wait_for_the_lease, "resume"),
        (killed_before_the_credentials, let_the_lease_be_over, "run"),
        (killed_before_the_sessions, let_the_lease_be_over, "resume"),
    ],
)
def test_what_a_killed_run_intended_is_finished_once_its_lease_is_over(
    killed: Step, lease: Step, verb: str, lined_school: LinedSchools
) -> None:
    lined = lined_school(_LEFT, lease=_LEASE, batch=5)
    scene = lined.scene
    scene.connector.approve_first_run()
    killed(lined)
    before = scene.sessions.session_ids()

    at_once = scene.connector(verb)
    lease(lined)

    later = scene.connector(verb)

    assert len(before) == _LEFT + 2
    assert (at_once.code, later.code) == (1, 0), (at_once, later)
    assert "holds its lease" in at_once.err
    members = scene.portal.members()
    assert scene.directory.locked() == _LEFT
    assert {members["engage", scene.school.ids[f"p{number}"]] for number in range(_LEFT)} == {_CLOSED_MEMBER}
    assert scene.sessions.session_ids() == {"engage-anna", "faculty-anna"}
    assert scene.open_accounts() == {scene.school.username("anna")}
    with scene.journal() as journal:
        assert {r.state for r in journal.revocations()} == {"done"}
        assert journal.verify_audit().ok
    assert scene.connector("plan", "--check").code == 0
