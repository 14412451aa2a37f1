"""Writes of many threads: one transaction for all that wait, and each stands alone."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
from sqlalchemy import event, insert, select

from connector.errors import JournalError
from connector.reconcile.journal_audit import newest
from connector.reconcile.journal_scim_tables import scim_counts, scim_emails
from connector.reconcile.journal_store import Store
from connector.scim.committing import Act, Committer, Turn
from connector.scim.errors import ScimError, conflict
from tests.scim.endpoint import Provider, user


def named(name: str) -> Act[str]:
    """Give an act that leaves a row and a record of that name."""

    def act(turn: Turn) -> str:
        turn.writing.conn.execute(insert(scim_counts).values(name=name, amount=1))
        turn.writing.note("test", name, "tester", name)
        return name

    return act


def kept(store: Store) -> set[str]:
    with store.reading() as conn:
        return {row.name for row in conn.execute(select(scim_counts))}


def behind_a_held_commit(committer: Committer, acts: list[Act[str]]) -> list[object]:
    """Let acts come while another is being committed; give what each gave or raised."""
    began, go_on, come = Event(), Event(), Barrier(len(acts) + 1)

    def holding(_turn: Turn) -> str:
        began.set()
        go_on.wait(10)
        return "first"

    def asked(act: Act[str]) -> object:
        come.wait(10)
        try:
            return committer.run(act)
        except Exception as error:  # noqa: BLE001 - what was raised is what is asked about
            return error

    with ThreadPoolExecutor(len(acts) + 1) as pool:
        first = pool.submit(committer.run, holding)
        began.wait(10)
        others = [pool.submit(asked, act) for act in acts]
        come.wait(10)
        while len(committer._waiting) < len(acts):
            pass
        go_on.set()
        first.result(10)
        return [other.result(10) for other in others]


def test_whoever_waits_is_committed_together(store: Store) -> None:
    commits: list[object] = []
    event.listen(store.engine, "commit", commits.append)

    given = behind_a_held_commit(Committer(store), [named(f"n{number}") for number in range(8)])

    assert sorted(map(str, given)) == [f"n{number}" for number in range(8)]
    assert len(commits) == 2
    assert kept(store) == {f"n{number}" for number in range(8)}


def test_one_that_fails_is_undone_alone_with_its_record(store: Store) -> None:
    def failing(turn: Turn) -> str:
        named("wrong")(turn)
        raise conflict("taken")

    given = behind_a_held_commit(Committer(store), [named("a"), failing, named("a"), named("b")])

    kinds = Counter(type(one) for one in given)
    assert kinds == {str: 2, ScimError: 1, JournalError: 1}  # the second "a" meets the first
    assert kept(store) == {"a", "b"}
    with store.reading() as conn:
        assert {one.subject for one in newest(conn, 9)} == {"a", "b"}


def refused_by_the_commit(turn: Turn) -> None:
    """Leave what only the commit refuses."""
    conn = turn.writing.conn
    named("lost")(turn)
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        conn.execute(insert(scim_emails).values(user_id="nobody", value_key="x"))
        return
    conn.exec_driver_sql("CREATE TEMP TABLE later (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP")
    conn.exec_driver_sql("INSERT INTO later VALUES (1), (1)")


def test_a_commit_that_fails_is_a_failure_for_whoever_is_in_it(store: Store) -> None:
    committer = Committer(store)
    committer.run(named("before"))

    with pytest.raises(JournalError):
        committer.run(refused_by_the_commit)

    committer.run(named("after"))
    assert kept(store) == {"before", "after"}


def test_of_sixteen_who_create_one_name_at_once_exactly_one_does(entra: Provider) -> None:
    names = [name for number in range(8) for name in (f"Ada-{number % 1}", "ADA-0")]
    create: Callable[[str], int] = lambda name: entra.post("/Users", user(name)).status  # noqa: E731 - one word for it

    with ThreadPoolExecutor(16) as pool:
        statuses = Counter(pool.map(create, names))

    assert statuses == {201: 1, 409: 15}
    assert entra.get("/Users").json["totalResults"] == 1
