"""Requests that come at once and are stored as one batch: each is answered as if it had come alone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from connector.reconcile.journal_people import write_block
from connector.reconcile.journal_scim_tables import scim_emails, scim_users
from connector.reconcile.journal_store import Store
from connector.reconcile.memory import Block
from connector.scim.clients import Client
from connector.scim.committing import Act, Committer, _Asked, turn
from connector.scim.conditions import IfMatch
from connector.scim.errors import ScimError
from connector.scim.gate import Gate
from connector.scim.groups import Groups
from connector.scim.lookup import STEP, Lookup
from connector.scim.reading import Reader
from connector.scim.room import Saved
from connector.scim.users import Users
from tests.scim.endpoint import ENTERPRISE, EverybodyIsTheProviders, Provider, group, user
from tests.scim.school import Mirrored, mirrored

CLIENT = Client("entra")
ANY = IfMatch.read(None)
Given = Callable[[Any], Act[Saved]]


def together(store: Store, *acts: Act[Saved]) -> list[Saved | int]:
    """Store acts as one batch; give what each left, or the status it was refused with."""
    batch = [_Asked(act) for act in acts]
    Committer(store)._commit(batch)
    found: list[Saved | int] = []
    for asked in batch:
        if asked.error is not None and not isinstance(asked.error, ScimError):
            raise asked.error
        found.append(asked.error.status if isinstance(asked.error, ScimError) else asked.result or 0)
    return found


def stored(store: Store) -> dict[str, tuple[int, bool]]:
    """Give version and `active` of every User by name."""
    with store.reading() as conn:
        return {row.user_name: (row.version, row.active) for row in conn.execute(select(scim_users))}


def statuses(found: list[Saved | int]) -> list[int]:
    return [one if isinstance(one, int) else one.status for one in found]


def patch(users: Users, user_id: str, **values: object) -> Act[Saved]:
    return users.patch(CLIENT, user_id, {"Operations": [{"op": "replace", "value": values}]}, ANY)


@pytest.fixture
def users() -> Users:
    return Users(EverybodyIsTheProviders())


def test_one_that_cannot_be_stored_takes_nobody_with_it(entra: Provider, users: Users) -> None:
    acts = [users.create(CLIENT, user(name, nickName=nick)) for name, nick in (("ada", ""), ("eve", "\0"), ("bob", ""))]
    batch = [_Asked(act) for act in acts]

    Committer(entra.store)._commit(batch)

    refused = [asked.error is not None for asked in batch]
    assert refused == [False, entra.store.engine.dialect.name == "postgresql", False]  # it takes NUL in no text
    assert stored(entra.store).keys() >= {"ada", "bob"}


def test_of_two_creates_of_one_name_one_is_stored_and_the_others_are_not_undone(entra: Provider, users: Users) -> None:
    acts = [users.create(CLIENT, user(name)) for name in ("ada", "eve", "ADA", "bob")]

    found = together(entra.store, *acts)

    assert statuses(found) == [201, 201, 409, 201]
    assert stored(entra.store).keys() == {"ada", "eve", "bob"}
    assert entra.get("/Users?count=0").json["totalResults"] == 3


def test_two_changes_of_one_user_are_both_done_in_their_order(entra: Provider, users: Users) -> None:
    ada = entra.user("ada")["id"]

    together(
        entra.store, patch(users, ada, active=False), patch(users, ada, nickName="A"), patch(users, ada, active=True)
    )

    answer = entra.get(f"/Users/{ada}").json
    assert (answer["active"], answer["nickName"], answer["meta"]["version"]) == (True, "A", 'W/"4"')


def test_a_name_that_is_given_up_and_taken_in_one_batch_changes_hands(entra: Provider, users: Users) -> None:
    ada = entra.user("ada")["id"]

    found = together(entra.store, patch(users, ada, userName="lovelace"), users.create(CLIENT, user("ada")))

    assert statuses(found) == [200, 201]
    assert stored(entra.store) == {"lovelace": (2, True), "ada": (1, True)}


def test_an_act_on_a_group_sees_what_was_changed_before_it_in_the_batch(entra: Provider, users: Users) -> None:
    ada = entra.user("ada")["id"]
    joined = Groups(EverybodyIsTheProviders()).create(CLIENT, group("Choir", ada))

    together(entra.store, patch(users, ada, userName="lovelace"), joined, patch(users, ada, nickName="A"))

    answer = entra.get(f"/Users/{ada}").json
    assert (answer["userName"], answer["nickName"]) == ("lovelace", "A")
    assert [one["display"] for one in answer["groups"]] == ["Choir"]


def test_addresses_of_a_batch_are_found(entra: Provider, users: Users) -> None:
    mails = [{"value": "ada@mail.example"}]

    together(entra.store, users.create(CLIENT, user("ada", emails=mails)), users.create(CLIENT, user("eve")))

    with entra.store.reading() as conn:
        assert [row.value_key for row in conn.execute(select(scim_emails))] == ["ada@mail.example"]


# --- with the gate --------------------------------------------------------------------------------------------------


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Mirrored]:
    with mirrored(tmp_path / "school") as made:
        yield made


def test_of_two_creates_of_one_person_of_the_school_one_takes_their_user_over(school: Mirrored) -> None:
    there = next(row for row in school.users() if row.active and row.code_key)
    gated, store = Users(school.gate), school.connector.journal.store
    sent = user("new name", **{ENTERPRISE: {"employeeNumber": there.code_key}})

    found = together(store, gated.create(CLIENT, sent), gated.create(CLIENT, {**sent, "userName": "other name"}))

    assert statuses(found) == [201, 409]


def test_who_is_taken_away_and_back_in_one_batch_is_not_being_closed_any_more(school: Mirrored) -> None:
    store, gate = school.connector.journal.store, school.gate
    gated = Users(gate)
    (made,) = together(store, gated.create(CLIENT, user("only the provider knows")))
    assert isinstance(made, Saved)

    together(store, *(patch(gated, made.id, active=value) for value in (False, True)))

    with store.reading() as conn:
        row = conn.execute(select(scim_users).where(scim_users.c.id == made.id)).one()
    assert (row.active, row.pending) == (True, "open")
    assert not _open_closings(store)


def test_who_is_blocked_is_not_let_in_by_a_batch(school: Mirrored) -> None:
    store, gated = school.connector.journal.store, Users(Gate(school.gate.zone, acts=True))
    names = ("one", "two")
    made = [one for one in together(store, *(gated.create(CLIENT, user(n)) for n in names)) if isinstance(one, Saved)]
    together(store, *(patch(gated, one.id, active=False) for one in made))
    with store.reading() as conn:
        person = conn.execute(select(scim_users.c.person_id).where(scim_users.c.id == made[0].id)).scalar_one()
    _block(store, person)

    found = together(store, *(patch(gated, one.id, active=True) for one in made))

    assert statuses(found) == [403, 200]


def _open_closings(store: Store) -> int:
    with store.reading() as conn:
        return len(conn.exec_driver_sql("SELECT id FROM scim_closings WHERE done_at IS NULL").all())


def _block(store: Store, person_id: str) -> None:
    with store.writing() as writing:
        write_block(writing, Block(person_id, "alice", "custody"))


# --- pages ----------------------------------------------------------------------------------------------------------


def test_a_page_deep_inside_a_list_is_right_also_after_deletions_and_additions(entra: Provider, users: Users) -> None:
    ids = _many(entra.store, users, 2 * STEP + 50)
    lookup = Lookup(Reader(entra.store))

    pages = []
    for gone in (None, ids[3], ids[-1], ids[STEP]):
        if gone is not None:
            entra.delete(f"/Users/{gone}")
            ids.remove(gone)
        ids += _many(entra.store, users, 1)
        for start in (0, STEP - 1, STEP, STEP + 1, 2 * STEP + 10, len(ids) - 1, len(ids)):
            amount, found = lookup.page(scim_users, start, 20)
            pages.append((amount == len(ids), [one.id for one in found] == ids[start : start + 20]))
    lookup.close()

    assert set(pages) == {(True, True)}


_numbers = iter(range(1_000_000))


def _many(store: Store, users: Users, count: int) -> list[str]:
    with turn(store) as shared:
        return [users.create(CLIENT, user(f"many {next(_numbers)}"))(shared).id for _ in range(count)]


# --- without the framework ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/Users/{id}", {}),
        ("/Users/{id}", {"If-None-Match": 'W/"1"'}),
        ("/Users/{id}?attributes=userName", {}),
        ("/Users/nobody", {}),
        ("/Users", {}),
        ("/Users?count=1&startIndex=2", {}),
        ('/Users?filter=userName eq "ada"', {}),
        ('/Users?filter=userName eq "Ada" ', {}),
        ("/Users?filter=userName+eq+%22ada%22", {}),
        ("/Users?filter=userName%20eq%20%22ad%61%22", {}),
        ("/Users?filter=userName%20eq%20%22%C3%A4da%22", {}),
        ("/Users?filter=userName%20eq%20%22ada%00%22", {}),
        ("/Users?filter=userName%20eq%20%22ada%22&count=0", {}),
        ("/Users?FILTER=userName%20eq%20%22ada%22", {}),
        ("/Users?filter=userName%20eq%20%22ada%22&filter=nonsense", {}),
        ("/Users?filter=", {}),
        ("/Users?filter=%zz", {}),
        ("/Users?filter=nonsense", {}),
        ("/Users?count=x", {}),
        ("/Users/", {}),
        ("/Users", {"Host": "no host\x01"}),
        ("/Users", {"Host": "scim.example:80"}),
    ],
)
def test_what_is_read_without_the_framework_is_answered_as_with_it(
    entra: Provider, path: str, headers: dict[str, str]
) -> None:
    path = path.format(id=entra.user("ada")["id"])
    entra.user("eve")
    quick = entra.flask.wsgi_app

    without = entra.get(path, headers=headers)
    entra.flask.wsgi_app = quick.framework  # type: ignore[method-assign,attr-defined] # on purpose, for once
    with_it = entra.get(path, headers=headers)

    assert (without.status, without.body) == (with_it.status, with_it.body)
    assert dict(without.headers) == dict(with_it.headers)
