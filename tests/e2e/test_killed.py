"""The process is killed in the middle of a run, as a power cut would: everything that was intended is finished later."""

import time
from collections.abc import Callable

import pytest

from tests.e2e.command import Command, Ran, kill
from tests.e2e.conftest import LinedSchool, LinedSchools
from tests.e2e.test_outages import wait_for

_LEASE = 10
_LEFT = 40


def killed_between_two_accounts(lined: LinedSchool) -> None:
    """Kill it after the first account was seen closed, while others wait."""
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
    wait_for(lambda: scene.member(f"p{_LEFT - 1}") == (None, None, "disabled"))
    kill(process)
    lined.redis.let_go()


def once_the_lease_is_over(connector: Command, verb: str) -> tuple[Ran, Ran]:
    """Call a verb until the killed run's lease has ended; give the first answer and the last."""
    first = last = connector(verb)
    deadline = time.monotonic() + _LEASE + 10
    while "holds its lease" in last.err and time.monotonic() < deadline:
        time.sleep(1)
        last = connector(verb)
    return first, last


@pytest.mark.parametrize(
    ("killed", "verb"),
    [
        (killed_between_two_accounts, "resume"),
        (killed_before_the_credentials, "run"),
        (killed_before_the_sessions, "resume"),
    ],
)
def test_what_a_killed_run_intended_is_finished_once_its_lease_is_over(
    killed: Callable[[LinedSchool], None], verb: str, lined_school: LinedSchools
) -> None:
    lined = lined_school(_LEFT, lease=_LEASE, batch=5)
    scene = lined.scene
    scene.connector.approve_first_run()
    killed(lined)
    before = scene.sessions.session_ids()

    at_once, later = once_the_lease_is_over(scene.connector, verb)

    assert len(before) == _LEFT + 2
    assert (at_once.code, later.code) == (1, 0), (at_once, later)
    assert "holds its lease" in at_once.err
    left = [f"p{number}" for number in range(_LEFT)]
    assert scene.directory.locked() == _LEFT
    assert {scene.member(who) for who in left} == {(None, None, "disabled")}
    assert scene.sessions.session_ids() == {"engage-anna", "faculty-anna"}
    assert scene.open_accounts() == {scene.school.username("anna")}
    with scene.journal() as journal:
        assert {r.state for r in journal.revocations()} == {"done"}
        assert journal.verify_audit().ok
    assert scene.connector("plan", "--check").code == 0
