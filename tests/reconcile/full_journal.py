"""A journal with something in every table, and rows of every kind of column: for backups and for what is forgotten."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Table, func, insert, select

from connector.model import Hold, LegState, Outcome
from connector.reconcile.authority import Asked, Record
from connector.reconcile.journal import Journal
from connector.reconcile.journal_authority_tables import authority_tries, termination_refusals
from connector.reconcile.journal_columns import metadata
from connector.reconcile.journal_daemon_tables import duties, outbox
from connector.reconcile.journal_scim_tables import (
    scim_clients,
    scim_closings,
    scim_counts,
    scim_emails,
    scim_groups,
    scim_members,
    scim_people,
    scim_tokens,
    scim_usernames,
    scim_users,
)
from connector.reconcile.journal_values import ChangeKind, MembershipChange
from connector.reconcile.memory import Release
from tests.reconcile.journal_builders import TODAY, begin, closed, intend, member, plan, revocation

WHEN = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)


def filled(journal: Journal) -> Journal:
    """Do and write a little of everything."""
    run = begin(journal)
    journal.accept_snapshot(journal.keep_snapshot(run, TODAY, bytes(range(256)) * 9, {"people": 3}, {"csv": "f1"}), run)
    journal.keep_plan(plan(revocation()), run)
    journal.approve(plan().digest, plan().plan_id, ("first-run",), "alice", "looked at “all” of it \u2028 \U0001f600")
    journal.observe(run, TODAY, {"p1": "e1"}, ["p3"])
    journal.record([closed(leg) for leg in intend(journal, run)], run)
    intend(journal, run, revocation(2))
    change = MembershipChange(ChangeKind.ADD, "engage", "p5", None, member(5))
    made = journal.intend_changes(run, (change,), "alice")
    journal.record_changes([(made[0], Outcome(LegState.CLOSED))], run)
    _words(journal)
    _rows(journal)
    journal.claim_many(("p1", "p2"), run.owner, 600)
    return journal


def _words(journal: Journal) -> None:
    journal.block("p7", "alice", "court order", date(2030, 1, 1))
    journal.keep("p8", "alice", "staff")
    journal.request_revocation("p9", "bob", "asked for")
    journal.release(Release("p6", Hold.POLICY, "d", "alice", "looked at"))
    journal.link("ad", "g1", "p1", "alice", "by hand")
    journal.remember_users({("engage", "u1"): "p1"})
    journal.add_operator("carol", "SEC", "hash", "nonce", "alice")
    journal.set_setting("go_live", "yes", "alice")
    asked = Asked("alice", "order", "Mother", datetime.now(UTC), (Record("p4", "p4", "C4", "Ada 4"),))
    journal.order_termination(asked, timedelta(hours=24))
    journal.print_codes(("carol", "SEC"), 1, "alice")
    journal.seal_audit(datetime(2100, 1, 1, tzinfo=UTC), "alice", _nowhere)
    journal.block("p11", "alice", "after the seal")


def _nowhere(lines: Iterable[str]) -> None:
    for _ in lines:
        pass


def _rows(journal: Journal) -> None:
    document = {"a": [1, 2.5, True, None], "ä": "\u00e9", "B": {"c": "d"}}
    user: dict[str, Any] = {
        "person_id": "p1",
        "source": "scim",
        "client": "entra",
        "user_name": "u",
        "user_name_key": "u",
    }
    user |= {"code_key": "c", "active": True, "wanted": False, "pending": "", "document": "{}", "search": document}
    user |= {"mirror_digest": "", "version": 3, "created_at": WHEN, "modified_at": WHEN}
    group: dict[str, Any] = {
        "portal": "",
        "client": "",
        "display_name": "G",
        "display_key": "g",
        "document": "{}",
        "search": document,
    }
    group |= {"version": 1, "created_at": WHEN, "modified_at": WHEN}
    _resources(journal, user, group)
    _callers(journal)
    _people(journal)
    _of_the_daemon(journal)


def _resources(journal: Journal, user: dict[str, Any], group: dict[str, Any]) -> None:
    put(journal, scim_users, {"id": "b", "position": 1, **user})
    # Bytes order "B" before "a" before "é"; a collation of a language would not.
    for place, name in enumerate(("a", "B", "é")):
        put(journal, scim_groups, {"id": name, "position": place, **group})
    put(journal, scim_emails, {"user_id": "b", "value_key": "a@b"})
    put(journal, scim_members, {"group_id": "B", "user_id": "b", "added_at": WHEN})
    put(journal, scim_counts, {"name": "tested", "amount": 1})


def _callers(journal: Journal) -> None:
    client: dict[str, Any] = {
        "scopes": "[]",
        "strict": True,
        "per_minute": 0,
        "per_hour": 5,
        "networks": "[]",
        "made_by": "alice",
    }
    put(journal, scim_clients, {"name": "entra", "made_at": WHEN, **client})
    put(journal, scim_tokens, {"id": 1, "client": "entra", "token_hash": "h", "made_by": "alice", "made_at": WHEN})


def _people(journal: Journal) -> None:
    closing: dict[str, Any] = {
        "client": "entra",
        "person_id": "p1",
        "user_id": "b",
        "code": "C",
        "name": "N",
        "portal": "",
    }
    put(journal, scim_closings, {"id": 1, "sourced": False, "at": WHEN, **closing})
    said = {"status": "active", "entitled": "[]", "usernames": "[]", "humans": "[]", "why": "", "digest": "d"}
    person: dict[str, Any] = {"person_id": "p1", "code_key": "c", "email_key": "e", "name": "N", "judged_at": WHEN}
    put(journal, scim_people, person | said)
    put(journal, scim_usernames, {"person_id": "p1", "name_key": "amy"})


def _of_the_daemon(journal: Journal) -> None:
    put(journal, duties, {"name": "night", "done_at": WHEN, "value": "2026-03-29"})
    message: dict[str, Any] = {
        "channel": "mail",
        "content": "{}",
        "put_at": WHEN,
        "next_at": WHEN,
        "tries": 0,
        "problem": "",
    }
    put(journal, outbox, {"id": 1, "name": "waits", **message})
    put(journal, authority_tries, {"id": 1, "operator": "bob", "at": WHEN})
    refusal: dict[str, Any] = {
        "refused_at": WHEN,
        "refused_by": "carol",
        "role": "SEC",
        "reason": "no",
        "signature": "none",
    }
    put(journal, termination_refusals, {"termination_id": 1, **refusal})


def put(journal: Journal, table: Table, row: dict[str, Any]) -> None:
    """Write a row as it is."""
    with journal.store.writing() as writing:
        writing.conn.execute(insert(table).values(**row))


def rows_of_each(journal: Journal) -> dict[str, int]:
    """Count the rows of every table."""
    with journal.store.reading() as conn:
        return {t.name: conn.scalar(select(func.count()).select_from(t)) or 0 for t in metadata.sorted_tables}
