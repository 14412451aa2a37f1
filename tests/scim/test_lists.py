"""Lists over HTTP: pages by index and by cursor, filters, order, projection, searches by POST."""

from collections.abc import Callable

import pytest
from sqlalchemy import delete

from connector.reconcile.journal_scim_tables import scim_users
from tests.scim.endpoint import ENTERPRISE, SEARCH, Given, Provider

Provide = Callable[..., Provider]


@pytest.fixture
def seven(entra: Provider) -> Provider:
    """Give a provider with seven Users, the first of them in two Groups."""
    ids = [entra.user(f"user{number}", nickName=nick)["id"] for number, nick in enumerate("gfedcba")]
    entra.group("Staff", ids[0])
    entra.group("Choir", ids[0])
    return entra


def names(answer: object) -> list[str]:
    return [one.get("userName") or one["displayName"] for one in answer.json["Resources"]]  # type: ignore[attr-defined] # an Answer


def test_a_page_is_as_long_as_asked_and_in_the_order_they_came(seven: Provider) -> None:
    page = seven.get("/Users?startIndex=3&count=2")

    assert names(page) == ["user2", "user3"]
    assert {key: page.json[key] for key in ("totalResults", "startIndex", "itemsPerPage")} == {
        "totalResults": 7,
        "startIndex": 3,
        "itemsPerPage": 2,
    }


@pytest.mark.parametrize(
    ("asked", "found"),
    [("startIndex=-4&count=1", ["user0"]), ("count=-3", []), ("count=0", []), ("startIndex=99", [])],
)
def test_impossible_pages_are_mended_as_the_standard_says(seven: Provider, asked: str, found: list[str]) -> None:
    page = seven.get(f"/Users?{asked}")

    assert (page.status, names(page), page.json["totalResults"]) == (200, found, 7)


def test_a_page_is_never_longer_than_the_most(provide: Provide) -> None:
    small = provide(given=Given(max_results=3))
    for number in range(5):
        small.user(f"user{number}")

    assert len(small.get("/Users?count=100").json["Resources"]) == 3
    assert len(small.get("/Users").json["Resources"]) == 3


def test_a_filter_counts_what_it_finds_and_pages_it(seven: Provider) -> None:
    page = seven.get('/Users?filter=userName sw "USER" and nickName gt "c"&startIndex=2&count=2')

    assert names(page) == ["user1", "user2"]
    assert page.json["totalResults"] == 4


def test_rows_are_sorted_and_those_without_a_value_come_last(seven: Provider) -> None:
    seven.user("nameless")

    up = names(seven.get("/Users?sortBy=nickName"))
    down = names(seven.get("/Users?sortBy=nickName&sortOrder=descending"))

    assert up == ["user6", "user5", "user4", "user3", "user2", "user1", "user0", "nameless"]
    assert down == up[::-1]


@pytest.mark.parametrize("asked", ["", "&sortBy=nickName", "&sortBy=nickName&sortOrder=descending"])
def test_a_cursor_leads_to_everybody_once(seven: Provider, asked: str) -> None:
    seven.user("nameless")
    seven.user("nameless too")
    found, cursor = [], ""
    for _ in range(9):
        page = seven.get(f"/Users?count=2{asked}&cursor={cursor}")
        found += names(page)
        cursor = page.json.get("nextCursor", "")
        if not cursor:
            break

    assert found == names(seven.get(f"/Users?{asked}"))
    assert page.json["totalResults"] == 9


def test_a_cursor_is_not_disturbed_by_who_comes_and_goes(seven: Provider) -> None:
    first = seven.get("/Users?cursor=&count=3")
    with seven.store.writing() as writing:
        writing.conn.execute(delete(scim_users).where(scim_users.c.user_name.in_(["user1", "user2"])))
    seven.user("late")

    second = seven.get(f"/Users?count=9&cursor={first.json['nextCursor']}")
    back = seven.get(f"/Users?count=9&cursor={second.json['previousCursor']}")

    assert names(second) == ["user3", "user4", "user5", "user6", "late"]
    assert "nextCursor" not in second.json
    assert names(back) == ["user0"]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda cursor: cursor[:-1] + ("0" if cursor[-1] != "0" else "1"), "invalidCursor"),
        (lambda _: "no cursor at all", "invalidCursor"),
        (lambda _: "%C3%A9.%C3%A9", "invalidCursor"),
        (lambda cursor: f"{cursor}&filter=userName pr", "invalidCursor"),
        (lambda cursor: f"{cursor}&count=many", "invalidCount"),
    ],
)
def test_a_cursor_that_is_not_ours_is_refused(seven: Provider, change: Callable[[str], str], wrong: str) -> None:
    cursor = seven.get("/Users?cursor=&count=1").json["nextCursor"]

    answer = seven.get(f"/Users?cursor={change(cursor)}")

    assert (answer.status, answer.json["scimType"]) == (400, wrong)


def test_a_cursor_of_one_list_leads_nowhere_in_another(seven: Provider) -> None:
    first = seven.get("/Users?cursor=&count=1").json["nextCursor"]
    second = seven.get(f"/Users?count=1&cursor={first}").json["previousCursor"]

    answers = [seven.get(f"/Groups?cursor={first}"), seven.get(f"?cursor={second}")]

    assert [(answer.status, answer.json["scimType"]) for answer in answers] == [(400, "invalidCursor")] * 2


def test_a_cursor_ends(provide: Provide) -> None:
    hasty = provide(given=Given(cursor_minutes=-1))
    hasty.user("ada")
    hasty.user("bob")

    answer = hasty.get(f"/Users?cursor={hasty.get('/Users?cursor=&count=1').json['nextCursor']}")

    assert (answer.status, answer.json["scimType"]) == (400, "expiredCursor")


def test_a_projection_shows_what_was_asked_for(seven: Provider) -> None:
    seven.user("ada", displayName="Ada", **{ENTERPRISE: {"employeeNumber": "P1", "department": "Art"}})

    shown = seven.get(f'/Users?filter=userName eq "ada"&attributes=displayname,{ENTERPRISE}:department')
    hidden = seven.get('/Users?filter=userName eq "ada"&excludedAttributes=meta,schemas')

    assert {**shown.json["Resources"][0], "id": "", "schemas": []} == {
        "id": "",
        "schemas": [],
        "displayName": "Ada",
        ENTERPRISE: {"department": "Art"},
    }
    assert "meta" not in hidden.json["Resources"][0]


def test_a_search_by_post_says_the_same_as_the_list(seven: Provider) -> None:
    body = {"schemas": [SEARCH], "filter": 'nickName gt "c"', "sortBy": "nickName", "startIndex": 2, "count": 2}

    found = seven.post("/Users/.search", body)

    assert names(found) == ["user2", "user1"]
    assert found.json["totalResults"] == 4


def test_the_root_is_searched_over_users_and_groups(seven: Provider) -> None:
    every = seven.post("/.search", {"schemas": [SEARCH], "count": 100})
    some = seven.get('/?filter=userName eq "user3" or displayName eq "Choir"')
    page = seven.get("/?startIndex=7&count=2")

    assert names(every)[-2:] == ["Staff", "Choir"]
    assert every.json["totalResults"] == 9
    assert names(some) == ["user3", "Choir"]
    assert names(page) == ["user6", "Staff"]


def test_a_cursor_leads_through_users_into_groups(seven: Provider) -> None:
    found, cursor = [], ""
    for _ in range(9):
        page = seven.post("/.search", {"schemas": [SEARCH], "cursor": cursor, "count": 4})
        found += names(page)
        cursor = page.json.get("nextCursor", "")
        if not cursor:
            break

    assert len(found) == 9
    assert found[-2:] == ["Staff", "Choir"]


@pytest.mark.parametrize("asked", ["filter=nosuch eq 1", "filter=", "filter=userName"])
def test_a_filter_that_is_not_understood_never_answers_with_everybody(seven: Provider, asked: str) -> None:
    answer = seven.get(f"/Users?{asked}")

    assert answer.status == 400 if asked != "filter=" else answer.status in (200, 400)
    assert asked == "filter=" or answer.json["scimType"] == "invalidFilter"


def test_members_of_a_group_are_found_from_both_sides(seven: Provider) -> None:
    staff = seven.get('/Groups?filter=displayName eq "staff"').json["Resources"][0]

    by_member = seven.get(f'/Groups?filter=members.value eq "{staff["members"][0]["value"]}"')
    by_group = seven.get(f'/Users?filter=groups.value eq "{staff["id"]}"')

    assert names(by_member) == ["Staff", "Choir"]
    assert names(by_group) == ["user0"]
