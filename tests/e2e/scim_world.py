"""A school with everything real, served over SCIM as it is installed: `connector serve`, its workers and its driver.

The provider is an HTTP client of its own; every system is read beside the connector. Nothing is called in this process.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from connector.scim.models import CONNECTOR_SCHEMA, ENTERPRISE_SCHEMA, USER_SCHEMA
from tests.e2e import configs
from tests.e2e.command import Command
from tests.e2e.families import School, Session
from tests.e2e.scenes import Scene, new_tag
from tests.e2e.systems import ActiveDirectory, Cache, Database, write_csv
from tests.servers import free_port, tail
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisDatabase
from tests.servers.samba import SambaDc
from tests.waiting import wait_for

CLOSED_MEMBER = (None, None, "disabled")
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
SETTLED = frozenset({"closed", "already-closed"})

_SCIM = """\
[scim]
answer_seconds = {answer}
retry_seconds = 2
bulk_max_operations = 200
workers = 2

[scim.directories.main]
dn = "CN={{given_name}} {{family_name}} ({{user_name}}),{managed}"
[scim.directories.main.attributes]
sAMAccountName = "userName"
userPrincipalName = "{{user_name}}@lab.test"
givenName = "name.givenName"
sn = "name.familyName"
displayName = "displayName"
mail = "emails[work]"

[scim.groups.Choir]
directory = "main"
dn = "{group}"

"""

_TIMEOUT = 30

Document = dict[str, Any]


# --- the provider -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Provider:
    """An identity provider with a token, in the shapes that Entra ID sends."""

    base: str
    token: str = field(repr=False)
    name: str = "entra"

    def call(self, method: str, path: str, body: object = None) -> requests.Response:
        """Send one request on a connection of its own, as if from another machine each time."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/scim+json"}
        data = None if body is None else json.dumps(body)
        return requests.request(method, f"{self.base}{path}", data=data, headers=headers, timeout=_TIMEOUT)

    def patch(self, user_id: str, **values: object) -> requests.Response:
        """Replace attributes; `name__givenName` is the path name.givenName."""
        operations = [{"op": "Replace", "path": k.replace("__", "."), "value": v} for k, v in values.items()]
        return self.call("PATCH", f"/Users/{user_id}", {"schemas": [PATCH], "Operations": operations})

    def deactivate(self, user_id: str) -> requests.Response:
        """Say `active: false` as Entra ID does: a capital letter too many, and a text for a truth value."""
        return self.patch(user_id, active="False")

    def create(self, user_name: str, **more: object) -> requests.Response:
        """Create a User."""
        return self.call("POST", "/Users", {"schemas": [USER_SCHEMA], "userName": user_name, **more})

    def members(self, group_id: str, op: str, *user_ids: str) -> requests.Response:
        """Add or remove members of a Group."""
        operation = {"op": op, "path": "members", "value": [{"value": user_id} for user_id in user_ids]}
        return self.call("PATCH", f"/Groups/{group_id}", {"schemas": [PATCH], "Operations": [operation]})

    def read(self, user_id: str) -> Document:
        """Give a User."""
        return dict(self.call("GET", f"/Users/{user_id}").json())

    def found(self, path: str) -> list[Document]:
        """Give the first page of what is found."""
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["Resources"])

    def user_of(self, code: str) -> Document:
        """Give the User of a contact code."""
        (user,) = self.found(f'/Users?filter={ENTERPRISE_SCHEMA}:employeeNumber eq "{code}"')
        return user

    def group_of(self, name: str) -> str:
        """Give the id of a Group."""
        (group,) = self.found(f'/Groups?filter=displayName eq "{name}"&excludedAttributes=members')
        return str(group["id"])


def legs(user: Mapping[str, Any]) -> dict[str, str]:
    """Give the state of each leg that a User tells, by kind."""
    return {leg["kind"]: leg["state"] for leg in user[CONNECTOR_SCHEMA].get("legs", ())}


def is_closed(user: Mapping[str, Any]) -> bool:
    """Say whether a User tells that everything is closed."""
    return user["active"] is False and bool(legs(user)) and set(legs(user).values()) <= SETTLED


# --- what serves it -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Serving:
    """`connector serve`, or the parts of it, as processes of the test's own."""

    config: Path
    environment: Mapping[str, str]
    port: int = field(default_factory=free_port)
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def base(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}/scim/v2"

    @property
    def log(self) -> Path:
        """What the processes said."""
        return self.config.parent / "serve.log"

    def serve(self) -> "subprocess.Popen[bytes]":
        """Start the verb, as an administrator's service does, and wait until it answers."""
        process = self.start("connector", "--config", str(self.config), "serve", "--port", str(self.port))
        self.wait_until_it_answers(process)
        return process

    def listen(self, workers: int) -> "subprocess.Popen[bytes]":
        """Start the server and its workers alone: nobody acts."""
        process = self.start("connector.scim.listening", "127.0.0.1", str(self.port), str(workers))
        self.wait_until_it_answers(process)
        return process

    def drive(self, crash_at: str = "") -> "subprocess.Popen[bytes]":
        """Start the driver alone, perhaps one that kills itself at a boundary."""
        return self.start("connector.scim.driver", str(self.config), CONNECTOR_CRASH_AT=crash_at)

    def start(self, *words: str, **more: str) -> "subprocess.Popen[bytes]":
        """Start a module in a process group of its own."""
        environment = {**os.environ, **self.environment, "CONNECTOR_CONFIG": str(self.config), **more}
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=environment, cwd=Path(__file__).parents[2], start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def wait_until_it_answers(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait until a worker answers."""

        def answers() -> bool:
            assert process.poll() is None, tail(self.log)
            try:
                return requests.get(f"{self.base}/Me", timeout=1).status_code > 0
            except requests.RequestException:
                return False

        wait_for(answers, what=str(self.log))

    def end_all(self) -> None:
        """End every process that is left, with its children."""
        for process in self.processes:
            end(process, signal.SIGTERM)
        self.processes.clear()


def end(process: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
    """Send a signal to a process we started, and reap it; kill its group if it will not go."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            kill_all(process)


def kill_all(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process we started and all its children at once, as a power cut would."""
    if process.poll() is None:  # while it is not reaped its number is nobody else's
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def children(pid: int) -> dict[int, str]:
    """Give the processes below one, with their command lines."""
    found: dict[int, str] = {}
    for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        found |= children(child)
    return found


# --- the school ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ScimWorld:
    """One school, its systems, who serves it, and the provider. `somebody` gives each test people of its own."""

    scene: Scene[ActiveDirectory, Cache]
    serving: Serving
    group: str
    provider: Provider
    _taken: int = 0

    @property
    def school(self) -> School:
        """Its people."""
        return self.scene.school

    def somebody(self) -> str:
        """Give somebody who is entitled, signed in, and whom no other test knows."""
        self._taken += 1
        return f"p{self._taken:02}"

    def user(self, who: str) -> Document:
        """Give somebody's User; wait where the school is still being read."""
        code = self.school.code(who)
        query = f'/Users?filter={ENTERPRISE_SCHEMA}:employeeNumber eq "{code}"'
        wait_for(lambda: self.provider.found(query), what=f"{who} has no User\n{tail(self.serving.log)}")
        return self.provider.user_of(code)

    def signs_in(self, who: str) -> str:
        """Try somebody's password: empty where it works, else the data code."""
        return self.scene.directory.signs_in(self.school.username(who))

    def sessions(self) -> set[str]:
        """Give the sessions that live."""
        return self.scene.sessions.session_ids()

    def is_out(self, who: str) -> bool:
        """Say whether somebody is out everywhere, asked of every system itself."""
        closed = self.scene.member(who) == CLOSED_MEMBER and f"engage-{who}" not in self.sessions()
        return closed and self.signs_in(who) == "533"

    def others_than(self, *leavers: str) -> tuple[object, ...]:
        """Give what everybody else has in every system, to be compared."""
        ids = {self.school.ids[who] for who in leavers}
        members = {key: value for key, value in self.scene.portal.members().items() if key[1] not in ids}
        sessions = self.sessions() - {f"engage-{who}" for who in leavers}
        return members, sessions, self.scene.open_accounts() - self.school.usernames(leavers)

    def signs_in_again(self, who: str) -> None:
        """Bring somebody's session back, as a store does whose application saves at the end of a request."""
        self.scene.sessions.write_sessions([Session(f"engage-{who}", "engage", self.school.username(who))])

    def let_the_lease_be_over(self) -> None:
        """Save a test the seconds until a dead process's lease and claims end by themselves."""
        with self.scene.journal() as journal, journal.store.writing() as writing:
            for table in ("leases", "claims"):
                writing.conn.exec_driver_sql(f"UPDATE {table} SET expires_at = '2026-01-01 00:00:00'")  # noqa: S608 - two names of ours

    def client(self, name: str, *options: str) -> Provider:
        """Enrol one more provider on the command line; its token is the last line."""
        made = self.scene.connector("token", "create", name, *options)
        assert made.code == 0, made
        return Provider(self.serving.base, made.out.splitlines()[-1].strip(), name)

    def entries(self, username: str) -> list[dict[str, list[str]]]:
        """Give the entries of an account name in the school's part of the domain."""
        with self.scene.directory.server.admin() as connection:
            connection.search(
                self.scene.directory.base, f"(sAMAccountName={username})",
                attributes=["distinguishedName", "userAccountControl", "employeeID", "givenName", "sn", "mail",
                            "displayName", "userPrincipalName", "memberOf", "cn"],
            )  # fmt: skip
            found = [entry for entry in connection.response if entry["type"] == "searchResEntry"]
        return [{k: [v.decode() for v in vs] for k, vs in entry["raw_attributes"].items()} for entry in found]

    def assert_proven(self, *people: str) -> None:
        """Assert that every door of these was closed once, with nothing left open, and that the trail verifies."""
        ids = [self.school.ids[who] for who in people]
        with self.scene.journal() as journal:
            mine = [leg for person in ids for r in journal.revocations(person) for leg in r.legs]
            still_open = [leg for person in ids for leg in journal.open_legs(key=person)]
            audit = journal.verify_audit()
        assert still_open == []
        closed = [(leg.planned.kind.value, leg.planned.subject) for leg in mine if leg.state.value in SETTLED]
        assert (len(closed), len(set(closed))) == (3 * len(ids), 3 * len(ids)), closed
        assert audit.ok, audit


def build(
    folder: Path, people: int, samba: SambaDc, postgres: PostgresServer, redis: RedisDatabase,
    journal: Database | None = None, answer: int = 20,
) -> ScimWorld:  # fmt: skip
    """Fill the systems with people who are entitled and signed in, and one who is entitled and has nothing yet."""
    school = _school(people)
    database, cache = Database.made_by(postgres), Cache(redis)
    directory = ActiveDirectory.made_by(samba, school.accounts)
    group = samba.add_group(f"choir.{school.tag}", directory.managed)
    write_csv(school, folder / "admin")
    database.write_members(school.members)
    cache.write_sessions(school.sessions)
    main = configs.active_directory_section(directory).rstrip() + "\nconnect_timeout = 2\nreceive_timeout = 2\n\n"
    scim = _SCIM.format(answer=answer, managed=directory.managed, group=group)
    config = configs.write_config(
        folder, configs.apply_section(), configs.journal_section(journal), configs.CSV,
        configs.portal_sections(database), main, configs.redis_section(cache), scim,
    )  # fmt: skip
    environment = {"DIRECTORY_PASSWORD": samba.admin_password}
    scene = Scene(school, database, cache, directory, Command(config, environment))
    serving = Serving(config, environment)
    world = ScimWorld(scene, serving, group, Provider(serving.base, ""))
    world.provider = world.client("entra", "--per-hour", "0", "--per-minute", "0")
    return world


def _school(people: int) -> School:
    school = School(new_tag())
    school.add("contact_types", "Mother", "yes")
    school.student("sam")
    for who in (*_names(people), "anna"):
        school.contact(who, "sam")
        school.signs_in(who)
    school.contact("nora", "sam")
    return school


def _names(people: int) -> Sequence[str]:
    return [f"p{number:02}" for number in range(1, people + 1)]


@contextmanager
def ended(world: ScimWorld) -> Iterator[ScimWorld]:
    """Give a world, and end its processes."""
    try:
        yield world
    finally:
        world.serving.end_all()
