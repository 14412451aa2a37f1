"""What is looked up by an index has a length: a longer one is refused for good, and keeps nobody from closing."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select, update

from connector.reconcile.journal_scim_tables import scim_users
from tests.scim.endpoint import ENTERPRISE, Provider, group, user

LONG = "\U0001f600" * 501


@pytest.mark.parametrize(
    "sent",
    [
        {"userName": LONG},
        {"externalId": LONG},
        {"emails": [{"value": f"{LONG}@x.example"}]},
        {ENTERPRISE: {"employeeNumber": LONG}},
        {"userName": "\u00df" * 300},
    ],
    ids=["name", "id", "mail", "code", "a name that is long only as it is compared"],
)
def test_a_user_whom_no_index_takes_is_refused(entra: Provider, sent: dict[str, Any]) -> None:
    made = entra.user("ada")
    answers = [
        entra.post("/Users", user("eve") | sent),
        entra.send("PUT", f"/Users/{made['id']}", user("ada") | sent),
    ]

    assert [(one.status, one.json["scimType"]) for one in answers] == [(400, "invalidValue")] * 2


@pytest.mark.parametrize("name", ["displayName", "externalId"])
def test_a_group_whom_no_index_takes_is_refused(entra: Provider, name: str) -> None:
    answer = entra.post("/Groups", group("staff") | {name: LONG})

    assert (answer.status, answer.json["scimType"]) == (400, "invalidValue")


def test_the_longest_of_all_is_stored_and_found(entra: Provider) -> None:
    longest = LONG[:500]
    made = entra.post("/Users", user(longest, externalId=longest))

    assert made.status == 201
    asked = quote(f'userName eq "{longest}"')
    assert entra.get(f"/Users?filter={asked}").json["totalResults"] == 1


def test_what_was_stored_before_keeps_nobody_from_closing(entra: Provider) -> None:
    made = entra.user("ada")
    with entra.store.writing() as writing:
        document = json.loads(writing.conn.scalar(select(scim_users.c.document)) or "") | {"externalId": LONG}
        writing.conn.execute(update(scim_users).values(document=json.dumps(document)))

    answer = entra.patch(f"/Users/{made['id']}", {"op": "replace", "path": "active", "value": False})

    assert (answer.status, answer.json["active"]) == (200, False)
