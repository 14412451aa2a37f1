"""Schools on real servers, built as a test asks for them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import configs
from tests.e2e import embedded as embedded_school
from tests.e2e.command import Command
from tests.e2e.embedded import EmbeddedSchool
from tests.e2e.families import families, leavers
from tests.e2e.line import Line, line_to
from tests.e2e.scenes import Evening, Scene, new_tag
from tests.e2e.systems import ActiveDirectory, Cache, Database, OpenLdap, write_csv
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisDatabase, RedisServer
from tests.servers.samba import SambaDc
from tests.servers.slapd import Slapd

AdScene = Scene[ActiveDirectory, Cache]
SqlScene = Scene[OpenLdap, Database]


@pytest.fixture(scope="module")
def ad_evening(
    tmp_path_factory: pytest.TempPathFactory, samba: SambaDc, postgres: PostgresServer, redis_server: RedisServer
) -> Evening[AdScene]:
    """A school on Active Directory after its first run: to be looked at, never changed."""
    folder = tmp_path_factory.mktemp("evening")
    return evening_of(ad_scene(folder, samba, postgres, RedisDatabase(redis_server, 0)))


@pytest.fixture(scope="module")
def sql_evening(tmp_path_factory: pytest.TempPathFactory, slapd: Slapd, postgres: PostgresServer) -> Evening[SqlScene]:
    """A school on OpenLDAP and SQL alone after its first run: to be looked at, never changed."""
    return evening_of(sql_scene(tmp_path_factory.mktemp("evening"), slapd, postgres))


def evening_of(scene: Any) -> Evening[Any]:
    """Plan, approve, plan, run, plan, run; keep what stood before, and what a shell saw."""
    before = scene.portal.members(), scene.sessions.session_ids(), scene.open_accounts()
    codes = [scene.connector("plan", "--check").code]
    scene.connector.approve_first_run()
    codes += [scene.connector(*words).code for words in (("plan", "--check"), ("run",), ("plan", "--check"))]
    return Evening(scene, tuple(codes), *before)


def ad_scene(folder: Path, samba: SambaDc, postgres: PostgresServer, redis_database: RedisDatabase) -> AdScene:
    """CSV export, PostgreSQL portal, Active Directory, Redis sessions, the journal in a file."""
    school = families(new_tag())
    database, cache = Database.made_by(postgres), Cache(redis_database)
    directory = ActiveDirectory.made_by(samba, school.accounts)
    write_csv(school, folder / "admin")
    database.write_members(school.members)
    cache.write_sessions(school.sessions)
    config = configs.write_config(
        folder, configs.apply_section(), configs.journal_section(), configs.CSV, configs.portal_sections(database),
        configs.active_directory_section(directory), configs.redis_section(cache),
    )  # fmt: skip
    command = Command(config, {"DIRECTORY_PASSWORD": samba.admin_password})
    return Scene(school, database, cache, directory, command)


def sql_scene(folder: Path, slapd: Slapd, postgres: PostgresServer) -> SqlScene:
    """People, portal, sessions and journal in PostgreSQL, accounts in OpenLDAP."""
    school = families(new_tag())
    database, journal = Database.made_by(postgres), Database.made_by(postgres)
    directory = OpenLdap.made_by(slapd, school.accounts)
    database.write_people(school)
    database.write_members(school.members)
    database.write_sessions(school.sessions)
    config = configs.write_config(
        folder, configs.apply_section(), configs.journal_section(journal),
        configs.SQL_PEOPLE.format(url=database.url), configs.portal_sections(database),
        configs.openldap_section(directory), configs.SQL_SESSIONS.format(url=database.url),
    )  # fmt: skip
    command = Command(config, {"DIRECTORY_PASSWORD": slapd.admin_password})
    return Scene(school, database, database, directory, command)


@dataclass(frozen=True, slots=True)
class LinedSchool:
    """A school most of whose families have left, each of its systems at the end of a line."""

    scene: Scene[OpenLdap, Cache]
    ldap: Line
    portal: Line
    redis: Line


LinedSchools = Callable[..., LinedSchool]


@pytest.fixture
def lined_school(
    tmp_path: Path, slapd: Slapd, postgres: PostgresServer, redis_database: RedisDatabase
) -> Iterator[LinedSchools]:
    """CSV export, PostgreSQL portal, OpenLDAP and Redis behind lines, the journal in a file."""
    with ExitStack() as stack:

        def build(count: int, **apply: int) -> LinedSchool:
            school = leavers(new_tag(), count)
            database, cache = Database.made_by(postgres), Cache(redis_database)
            directory = OpenLdap.made_by(slapd, school.accounts)
            write_csv(school, tmp_path / "admin")
            database.write_members(school.members)
            cache.write_sessions(school.sessions)
            servers = (
                (slapd.host, slapd.port),
                ("127.0.0.1", postgres.port),
                ("127.0.0.1", redis_database.server.port),
            )
            ldap, portal, redis = (stack.enter_context(line_to(*server)) for server in servers)
            config = configs.write_config(
                tmp_path, configs.apply_section(**apply), configs.journal_section(), configs.CSV,
                configs.portal_sections(database, portal.port), configs.openldap_section(directory, ldap.port),
                configs.redis_section(cache, redis.port),
            )  # fmt: skip
            command = Command(config, {"DIRECTORY_PASSWORD": slapd.admin_password})
            return LinedSchool(Scene(school, database, cache, directory, command), ldap, portal, redis)

        yield build


@pytest.fixture(scope="session")
def approved_sample(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedSchool:
    """The sample school on embedded parts, its first plan approved: copied, never changed."""
    return embedded_school.build(tmp_path_factory.mktemp("sample") / "school")


@pytest.fixture
def embedded(approved_sample: EmbeddedSchool, tmp_path: Path) -> EmbeddedSchool:
    """A copy of it to break."""
    return embedded_school.copy(approved_sample, tmp_path / "school")
