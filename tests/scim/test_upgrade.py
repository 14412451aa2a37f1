"""What an earlier build wrote under its own way of comparing is found, and missed by nobody, after the upgrade."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from connector.journal_key import open_journal
from connector.reconcile.journal_scim_tables import scim_emails, scim_people, scim_users
from connector.scim.clients import Client
from tests.scim.endpoint import Provider, provider
from tests.scim.school import Mirrored, mirrored

HIDDEN = "ster\u200enov"


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Mirrored]:
    with mirrored(tmp_path / "school") as opened:
        yield opened


@pytest.fixture
def entra(school: Mirrored) -> Iterator[Provider]:
    made = provider(school.connector.journal.store, rules=school.gate, client=Client("entra", per_hour=0))
    yield made
    made.close()


def as_before(school: Mirrored, user_id: str, key: str) -> None:
    """Put a User, and the tables, as the build before wrote them."""
    with school.connector.journal.store.writing() as writing:
        writing.conn.execute(update(scim_users).where(scim_users.c.id == user_id).values(user_name_key=key))
        mails = update(scim_emails).where(scim_emails.c.user_id == user_id)
        writing.conn.execute(mails.values(value_key=f"{key}@new.example"))
        writing.conn.execute(text("DROP TABLE scim_usernames"))
        writing.conn.execute(text("UPDATE alembic_version SET version_num = '0006'"))


def test_a_user_whose_name_has_a_hidden_mark_is_found_after_the_upgrade(school: Mirrored, entra: Provider) -> None:
    made = entra.user(HIDDEN, emails=[{"value": f"{HIDDEN}@new.example"}])
    as_before(school, made["id"], HIDDEN)

    open_journal(school.connector.config, migrate=True).disconnect()

    for name in ("userName", "emails.value"):
        value = HIDDEN if name == "userName" else f"{HIDDEN}@new.example"
        found = entra.get("/Users", query_string={"filter": f'{name} eq "{value}"'})
        assert [one["id"] for one in found.json["Resources"]] == [made["id"]], name
    assert entra.post("/Users", {"userName": HIDDEN}).status == 409


def test_two_users_that_were_told_apart_by_a_hidden_mark_both_stay(school: Mirrored, entra: Provider) -> None:
    plain, hidden = entra.user("sternov"), entra.user("other")
    as_before(school, hidden["id"], HIDDEN)

    open_journal(school.connector.config, migrate=True).disconnect()

    with school.connector.journal.store.reading() as conn:
        keys = {row.id: row.user_name_key for row in conn.execute(select(scim_users.c.id, scim_users.c.user_name_key))}
        assert (keys[plain["id"]], keys[hidden["id"]]) == ("sternov", HIDDEN)
        assert set(conn.scalars(select(scim_people.c.digest))) == {""}
