"""The real process is killed at every named boundary, on Samba AD, OpenLDAP, PostgreSQL and Redis, and started again.

Each crash point has a family of its own in one school, so that what an earlier one left is there for the next.
"""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from connector.reconcile.boundaries import Boundary
from tests.e2e.crash_world import CrashWorld, Family, build
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisDatabase, RedisServer
from tests.servers.samba import SambaDc
from tests.servers.slapd import Slapd

pytestmark = pytest.mark.long
Said = Callable[[str, object], None]

DIRECTORY = (
    Boundary.BEFORE_DIRECTORY,
    Boundary.DIRECTORY_COUNTED,
    Boundary.DIRECTORY_SENT,
    Boundary.DIRECTORY_RECORDED,
)
"""Passed twice by every run here: for Active Directory, then for OpenLDAP."""

POINTS = (*((boundary, 1) for boundary in Boundary), *((boundary, 2) for boundary in DIRECTORY))

CALLED_OFF = (Boundary.BEFORE_CALL_OFF, Boundary.CALLED_OFF)
"""Passed only where somebody whose closing is under way is entitled again."""

_ORDER = tuple(Boundary)
_CLOSING = _ORDER[_ORDER.index(Boundary.INTENT_DURABLE) : _ORDER.index(Boundary.SWEEP_RECORDED) + 1]
_ADDING = _ORDER[_ORDER.index(Boundary.ADDITION_INTENDED) : _ORDER.index(Boundary.ADDITION_RECORDED) + 1]
INTENDED = frozenset(_CLOSING + _ADDING) - {Boundary.RELEASED}
"""Where everybody's closing is on disk: `resume` must be enough. `released` is first passed by the sweep before it."""


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    samba: SambaDc,
    slapd: Slapd,
    postgres: PostgresServer,
    redis_server: RedisServer,
) -> Iterator[CrashWorld]:
    """A school whose family 0 left and was closed by the first run, and with a family for each crash point."""
    database = RedisDatabase(redis_server, 499)  # the other tests count from 0
    made = build(tmp_path_factory.mktemp("crashes"), len(POINTS), samba, slapd, postgres, database)
    made.leaves(Family(0))
    made.scene.connector.approve_first_run()
    first = made.scene.connector("run")
    assert first.code == 0, first
    assert all(made.is_closed(who) for who in Family(0).leavers)
    yield made
    with redis_server.client(database.number) as client:
        client.flushdb()


def called_off_later(world: CrashWorld, family: Family) -> None:
    """Kill a run that has intended to close the family, and let the second of them be entitled again."""
    died = world.killed_at(Boundary.INTENT_DURABLE)
    assert died.code == -signal.SIGKILL, died
    world.let_the_lease_be_over()
    world.comes_back(family.leavers[1])


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="SIGKILL is a POSIX signal")
@pytest.mark.parametrize(
    ("number", "boundary", "passage"),
    [pytest.param(n, b, p, id=f"{b}:{p}") for n, (b, p) in enumerate(POINTS, start=1)],
)
def test_a_process_killed_at_a_boundary_leaves_nothing_that_is_not_closed_by_the_next(
    number: int, boundary: Boundary, passage: int, world: CrashWorld, record_property: Said
) -> None:
    record_property("counted", "crash points at which the real process was killed and finished")
    family, connector = Family(number), world.scene.connector
    world.leaves(family)
    closing: tuple[str, ...] = family.leavers
    if boundary in CALLED_OFF:
        called_off_later(world, family)
        closing = family.leavers[:1]
    world.saves_again(Family(0).leavers[0])  # so that there is something to sweep again
    others_before = world.left().of_others_than((*closing, *Family(0).leavers), world.scene.school)

    died = world.killed_at(f"{boundary}:{passage}")
    world.let_the_lease_be_over()
    ended = connector("resume" if boundary in INTENDED else "run")

    assert died.code == -signal.SIGKILL, f"{boundary} is never passed: {died}"
    assert ended.code == 0, ended
    assert [who for who in (*closing, *Family(0).leavers) if not world.is_closed(who)] == []
    assert changed_of_others(world, others_before, (*closing, *Family(0).leavers)) == set()
    assert world.is_member(family.newcomer) or boundary in _CLOSING
    with world.scene.journal() as journal:
        assert (journal.open_legs(), journal.open_changes()) == ((), ())
        assert {revocation.state for revocation in journal.revocations()} <= {"done", "called-off"}
        assert journal.verify_audit().ok


def changed_of_others(world: CrashWorld, before: object, but_for: tuple[str, ...]) -> set[str]:
    """Name what stood of others and does not stand as it did, by the servers' own marks of change."""
    after = world.left().of_others_than(but_for, world.scene.school)
    changed: set[str] = set()
    for part in ("accounts", "members", "sessions"):
        was, is_now = getattr(before, part), getattr(after, part)
        changed |= {key for key, value in was.items() if is_now.get(key) != value}
    return changed


def test_the_matrix_has_every_boundary_there_is() -> None:
    assert {boundary for boundary, _ in POINTS} == set(Boundary)
