"""How many people a provider takes away in a second where it counts: directory, portal, sessions, each proven closed.

Not compared with anybody: no peer closes anything. slapd, PostgreSQL and Redis are real and durable, the endpoint is
`connector serve` with one worker and its driver, and the clock runs from the first request to the last proven leg.
"""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from connector.config import load
from connector.journal_key import open_journal
from connector.scim.clients import Client, Clients
from tests.e2e import configs
from tests.e2e.families import School
from tests.e2e.scenes import new_tag
from tests.e2e.scim_world import Serving, is_closed
from tests.e2e.systems import Cache, Database, OpenLdap, write_csv
from tests.servers import redis as redis_server
from tests.servers import stop
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisDatabase
from tests.servers.slapd import running_slapd
from tools.bench_scim_load import PATCH, Asking, Endpoint

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
PEOPLE, CLIENTS, EACH = 400, 16, 100
_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Closed:
    """How many were closed by single requests, and by Bulk; seconds for all of each."""

    people: int
    singly: float
    in_bulk: float


def closed(folder: Path, postgres: PostgresServer, people: int = PEOPLE) -> Closed:
    """Run a school with every target; take half of its people away one by one, the others in bulk."""
    folder.mkdir(parents=True)
    (folder / "redis").mkdir()
    (folder / "slapd").mkdir()
    with ExitStack() as stack:
        cache = redis_server.start(folder / "redis")
        stack.callback(stop, cache.process)
        slapd = stack.enter_context(running_slapd(folder / "slapd", durable=True))
        school = _school(people)
        directory = OpenLdap.made_by(slapd, school.accounts)
        database, sessions = Database.made_by(postgres), Cache(RedisDatabase(cache, 0))
        database.write_members(school.members)
        sessions.write_sessions(school.sessions)
        write_csv(school, folder / "admin")
        config = configs.write_config(
            folder, configs.apply_section(), configs.journal_section(), configs.CSV, configs.portal_sections(database),
            configs.openldap_section(directory), configs.redis_section(sessions), "[scim]\n",
        )  # fmt: skip
        serving = Serving(config, {"DIRECTORY_PASSWORD": slapd.admin_password})
        stack.callback(serving.end_all)
        with open_journal(load(config)) as journal:
            token = Clients(journal.store).create(Client("bench"), 1, "bench")
        serving.serve()
        endpoint = Endpoint(serving.base, token, folder / "unused", people)
        users = _users(endpoint, people)
        half = people // 2
        found = Closed(half, _singly(endpoint, users[:half]), _in_bulk(endpoint, users[half : 2 * half]))
        if sessions.session_ids() or directory.locked() != 2 * half:
            sys.exit(
                f"{len(sessions.session_ids())} sessions live, {directory.locked()} accounts of {2 * half} are locked."
            )
        return found


def _school(people: int) -> School:
    school = School(new_tag())
    school.add("contact_types", "Mother", "yes")
    school.student("sam")
    for number in range(people):
        school.contact(f"p{number}", "sam")
        school.signs_in(f"p{number}")
    return school


def _users(endpoint: Endpoint, people: int) -> list[str]:
    """Wait until the school has been read, and give the ids of everybody's User."""
    client, until = Asking(endpoint), time.monotonic() + _SECONDS
    while time.monotonic() < until:
        found: list[str] = []
        while page := client.get(f"/Users?count=200&startIndex={len(found) + 1}&filter=active%20eq%20true")[
            "Resources"
        ]:
            found += [user["id"] for user in page]
        if len(found) >= people:
            return found
        time.sleep(0.2)
    sys.exit(f"{len(found)} of {people} people have a User.")


def _singly(endpoint: Endpoint, users: Sequence[str]) -> float:
    body = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": False}]}

    def some(place: int) -> None:
        with Asking(endpoint) as client:
            for user in users[place::CLIENTS]:
                client.send("PATCH", f"/Users/{user}", body)

    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(some, range(CLIENTS)))
    return _proven(endpoint, users, began)


def _in_bulk(endpoint: Endpoint, users: Sequence[str]) -> float:
    change = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": False}]}
    client, began = Asking(endpoint), time.perf_counter()
    for start in range(0, len(users), EACH):
        operations = [
            {"method": "PATCH", "path": f"/Users/{user}", "data": change} for user in users[start : start + EACH]
        ]
        client.send("POST", "/Bulk", {"schemas": [BULK], "Operations": operations})
    return _proven(endpoint, users, began)


def _proven(endpoint: Endpoint, users: Sequence[str], began: float) -> float:
    """Wait until each User tells that every leg is closed; give the seconds since."""
    client, left, until = Asking(endpoint), list(users), time.monotonic() + _SECONDS
    while left and time.monotonic() < until:
        while left and is_closed(client.get(f"/Users/{left[-1]}")):
            left.pop()
        time.sleep(0.02)
    if left:
        sys.exit(f"{len(left)} of {len(users)} people are not closed everywhere after {_SECONDS} s.")
    return time.perf_counter() - began


def lines(found: Closed) -> list[str]:
    """Write the figures as a table."""
    return [
        "| closed everywhere and proven, slapd + PostgreSQL + Redis | people/s |",
        "|---|---:|",
        f"| {found.people} people, a PATCH each, {CLIENTS} connections | {found.people / found.singly:.0f} |",
        f"| {found.people} people, {EACH} in a Bulk, one connection | {found.people / found.in_bulk:.0f} |",
    ]
