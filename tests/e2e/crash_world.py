"""One school on Samba AD, OpenLDAP, PostgreSQL and Redis at once, with a family for every crash point.

A family is two people who leave (one has an account in each directory), one who stays and whose names contain theirs,
and one who joins the staff. Each system is read beside the connector, with the server's own mark of the last change.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e import configs
from tests.e2e.command import Command, Ran, finish
from tests.e2e.embedded import write
from tests.e2e.families import Account, School
from tests.e2e.scenes import Scene, new_tag
from tests.e2e.systems import ActiveDirectory, Cache, Database, OpenLdap, write_csv
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisDatabase
from tests.servers.samba import SambaDc
from tests.servers.slapd import LOCKED, Slapd

DISABLED = 2
_CLOSED_MEMBER = (None, None, "disabled")
_TABLES = "SELECT person_id, xmin::text, username, password_hash, status FROM members"

State = dict[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Family:
    """The people of one crash point."""

    number: int

    @property
    def child(self) -> str:
        return f"child{self.number:02}"

    @property
    def leavers(self) -> tuple[str, str]:
        """The first has an account in Active Directory, the second in OpenLDAP."""
        return f"a{self.number:02}", f"b{self.number:02}"

    @property
    def stayer(self) -> str:
        """Whose username, code and session ids contain the first leaver's."""
        return f"la.a{self.number:02}"

    @property
    def newcomer(self) -> str:
        return f"n{self.number:02}"


@dataclass(frozen=True, slots=True)
class Left:
    """What stands in every system, person by person or session by session, with the marks of the last change."""

    accounts: State
    members: State
    sessions: dict[str, str]

    def of_others_than(self, people: Iterable[str], school: School) -> "Left":
        """Leave these people out."""
        names, ids = school.usernames(people), {school.ids[who] for who in people}
        accounts = {key: value for key, value in self.accounts.items() if key.partition(":")[2] not in names}
        members = {key: value for key, value in self.members.items() if key not in ids}
        return Left(accounts, members, {key: user for key, user in self.sessions.items() if user not in names})


@dataclass(frozen=True, slots=True)
class CrashWorld:
    """The school and its four systems. `ad` is that of `scene`; `slapd` stands beside it."""

    scene: Scene[ActiveDirectory, Cache]
    slapd: OpenLdap
    environment: dict[str, str]

    # --- what happens in the school -------------------------------------------------------------------------------

    def leaves(self, family: Family) -> None:
        """End the enrolment of the family's child long ago, and let its newcomer join the staff."""
        school = self.scene.school
        row = next(r for r in school.tables["enrolments"] if r["person_id"] == school.ids[family.child])
        row |= {"exit_date": "2026-06-30", "exit_reason": "left"}
        school.role(family.newcomer, "Faculty")
        self.write_people()

    def comes_back(self, who: str) -> None:
        """Give somebody a child that is at school."""
        school = self.scene.school
        school.add("relationships", school.ids[who], school.ids["sam"], "Mother", "", "no", "")
        self.write_people()

    def saves_again(self, who: str) -> None:
        """Bring an ended session back, as a store does whose application saves at the end of a request."""
        school = self.scene.school
        mine = [s for s in school.sessions if s.username == school.username(who)]
        self.scene.sessions.write_sessions(mine)

    def write_people(self) -> None:
        """Export the admin system."""
        write_csv(self.scene.school, self.scene.connector.config.parent / "admin")

    # --- the connector --------------------------------------------------------------------------------------------

    def killed_at(self, passage: str) -> Ran:
        """Run until the process kills itself."""
        command = self.scene.connector
        dying = Command(command.config, {**self.environment, "CONNECTOR_CRASH_AT": passage})
        return finish(dying.start("run"))

    def let_the_lease_be_over(self) -> None:
        """Save a test the seconds until a dead process's lease and claims end by themselves."""
        journal = self.scene.connector.config.parent / "journal.sqlite"
        for table in ("leases", "claims"):
            write(journal, f"UPDATE {table} SET expires_at = '2026-01-01 00:00:00'")  # noqa: S608 - two names of ours

    # --- what stands, read beside it ------------------------------------------------------------------------------

    def left(self) -> Left:
        """Read everything."""
        with self.scene.portal.server.connect(self.scene.portal.name) as connection:
            members = {str(row[0]): tuple(row[1:]) for row in connection.execute(_TABLES)}
        return Left({**self._in_ad(), **self._in_slapd()}, members, self._sessions())

    def is_closed(self, who: str) -> bool:
        """Say whether account, credential and sessions of somebody are all gone."""
        left, school = self.left(), self.scene.school
        name = school.username(who)
        disabled = [
            bool(int(str(state[0])) & DISABLED) if key.startswith("ad:") else state[0] == LOCKED
            for key, state in left.accounts.items()
            if key.partition(":")[2] == name
        ]
        member = left.members[school.ids[who]][1:]
        return disabled == [True] and member == _CLOSED_MEMBER and name not in left.sessions.values()

    def is_member(self, who: str) -> bool:
        """Say whether somebody is a member of any portal."""
        return self.scene.school.ids[who] in self.left().members

    def _in_ad(self) -> State:
        directory = self.scene.directory
        wanted = ["userAccountControl", "uSNChanged"]
        with directory.server.admin() as connection:
            return _states(connection, directory.base, "(objectClass=user)", "sAMAccountName", wanted, "ad")

    def _in_slapd(self) -> State:
        with self.slapd.server.admin() as connection:
            wanted = ["pwdAccountLockedTime", "entryCSN"]
            return _states(connection, self.slapd.base, "(objectClass=inetOrgPerson)", "uid", wanted, "slapd")

    def _sessions(self) -> dict[str, str]:
        """Give whose each session is."""
        with self.scene.sessions.database.server.client(self.scene.sessions.database.number) as client:
            keys = list(client.scan_iter("sess:*"))
            values: list[Any] = client.mget(keys) if keys else []
        return {key.decode(): json.loads(value)["user"]["name"] for key, value in zip(keys, values, strict=True)}


def _states(connection: Any, base: str, query: str, name: str, wanted: list[str], where: str) -> State:
    connection.search(base, query, attributes=[name, *wanted])
    found: State = {}
    for entry in connection.response:
        raw = {key.lower(): [v.decode() for v in values] for key, values in entry["raw_attributes"].items()}
        state = tuple((raw.get(attribute.lower()) or [""])[0] for attribute in wanted)
        found[f"{where}:{raw[name.lower()][0]}"] = state
    return found


def build(
    folder: Path, families: int, samba: SambaDc, slapd: Slapd, postgres: PostgresServer, redis: RedisDatabase
) -> CrashWorld:
    """Fill all four with families 0 to `families`; nothing is closed yet."""
    school = _school(families)
    in_ad, in_slapd = _accounts(school, "a"), _accounts(school, "b")
    database, cache = Database.made_by(postgres), Cache(redis)
    ad, openldap = ActiveDirectory.made_by(samba, in_ad), OpenLdap.made_by(slapd, in_slapd)
    write_csv(school, folder / "admin")
    database.write_members(school.members)
    cache.write_sessions(school.sessions)
    config = configs.write_config(
        folder, configs.apply_section(), configs.journal_section(), configs.CSV, configs.portal_sections(database),
        _named("ad", configs.active_directory_section(ad)), _named("openldap", configs.openldap_section(openldap)),
        configs.redis_section(cache),
    )  # fmt: skip
    environment = {"AD_PASSWORD": samba.admin_password, "OPENLDAP_PASSWORD": slapd.admin_password}
    return CrashWorld(Scene(school, database, cache, ad, Command(config, environment)), openldap, environment)


def _school(families: int) -> School:
    school = School(new_tag())
    school.add("contact_types", "Mother", "yes")
    school.student("sam")
    for family in map(Family, range(families + 1)):
        school.student(family.child)
        for who in family.leavers:
            school.contact(who, family.child)
            school.signs_in(who)
        school.contact(family.stayer, "sam")
        school.signs_in(family.stayer)
        school.person(family.newcomer)
    return school


def _accounts(school: School, letter: str) -> list[Account]:
    """Give the accounts of one directory: those of its leavers, and the stayers', who have one in each."""
    return [account for account in school.accounts if account.who.startswith((letter, "la."))]


def _named(name: str, section: str) -> str:
    return section.replace("directories.main", f"directories.{name}").replace("DIRECTORY", name.upper())
