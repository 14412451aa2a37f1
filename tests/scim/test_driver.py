"""Of several drivers one works; whoever takes its place goes on at once with what it left."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from connector.app import Connector
from connector.demo import build
from connector.reconcile.journal_scim_tables import scim_closings, scim_users
from connector.scim.driver import LEASE, Driver
from tests.scim.school import AS_OF, SAMPLE


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Connector, "today", lambda _: AS_OF)  # the sample's people leave as the years go by
    build(SAMPLE, tmp_path / "school")
    path = tmp_path / "school" / "config.toml"
    path.write_text(path.read_text() + "\n[scim]\n", encoding="utf-8")
    return path


@contextmanager
def driving(config: Path) -> Iterator[Driver]:
    driver = Driver(config)
    thread = threading.Thread(target=driver.run)
    thread.start()
    try:
        yield driver
    finally:
        driver.stop.set()
        thread.join()


def until(what: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:  # type: ignore[operator] # a test's condition
        time.sleep(0.05)
    assert what()  # type: ignore[operator] # as above


def ask_to_close(connector: Connector, person_id: str) -> None:
    with connector.journal.store.writing() as writing:
        row = {
            "id": writing.next_id(scim_closings), "client": "entra", "person_id": person_id, "user_id": "", "code": "",
            "name": "", "portal": "", "sourced": False, "at": writing.now, "done_at": None,
        }  # fmt: skip
        writing.conn.execute(insert(scim_closings), row)


def open_ones(connector: Connector) -> int:
    with connector.journal.store.reading() as conn:
        return len(conn.execute(select(scim_closings.c.id).where(scim_closings.c.done_at.is_(None))).all())


def mirrored(connector: Connector) -> bool:
    with connector.journal.store.reading() as conn:
        return conn.execute(select(scim_users.c.id).limit(1)).first() is not None


def test_one_driver_works_and_the_next_goes_on_when_it_ends(config: Path) -> None:
    connector = Connector.open(config)
    decisions = connector.look(AS_OF).decisions
    person = next(d.identity.key for d in decisions.rows if d.status == "active" and d.identity.accounts)
    try:
        with driving(config) as second, driving(config) as first:
            until(lambda: mirrored(connector))
            working = [driver for driver in (first, second) if driver._lease is not None]
            assert len(working) == 1
            working[0].stop.set()
            until(lambda: any(d._lease is not None for d in (first, second) if d is not working[0]))
            connector.block(person, "asked for by the provider", None)
            ask_to_close(connector, person)

            until(lambda: open_ones(connector) == 0)
        assert connector.look(AS_OF).decisions.by_key()[person].status == "revoked"
        assert connector.journal.verify_audit().ok
    finally:
        connector.close()


def test_a_driver_that_lost_its_lease_stands_by(config: Path) -> None:
    connector = Connector.open(config)
    try:
        with driving(config) as driver:
            until(lambda: driver._lease is not None)
            lease = driver._lease
            assert lease is not None
            connector.journal.release_claims([lease])
            connector.journal.succeed(LEASE, "another machine", 60)

            until(lambda: driver._lease is None, seconds=15)
    finally:
        connector.close()


def test_a_driver_ends_with_the_process_that_started_it(config: Path) -> None:
    driver = Driver(config, parent=-1)

    driver.run()

    assert driver._lease is None
