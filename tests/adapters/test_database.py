"""Database URLs: no password in them, nobody unverified behind them, and no file made by a typing error."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connector.adapters.database import ConnectionLost, Database
from connector.adapters.database_url import parse_address
from connector.errors import ConfigError, TargetUnreachable
from connector.interfaces import Secret, Site
from tests.servers import free_port
from tests.servers.postgres import PostgresServer


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, tmp_path, ZoneInfo("UTC"))


def test_a_relative_sqlite_file_lies_beside_the_config(site: Site) -> None:
    assert parse_address("portal", "sqlite:///portal.sqlite", site).file == site.folder / "portal.sqlite"


def test_an_absolute_sqlite_file_lies_where_it_says(site: Site, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'elsewhere.sqlite'}"

    assert parse_address("portal", url, site).file == tmp_path / "elsewhere.sqlite"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://reader:hunter2@db.school.example/portal",
        "postgresql://reader@db.school.example/portal?password=hunter2",
        "postgresql://reader@db.school.example/portal?sslpassword=hunter2",
        "postgresql://reader@db.school.example/portal?passfile=hunter2",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(site: Site, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_address("portal", url, site)

    assert 'password = { env = "NAME" }' in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///file:portal.sqlite?uri=true", "names no file"),
        ("oracle://db.school.example/portal", "is for oracle"),
        ("portal.sqlite", "is not a database URL"),
        ("postgresql:///portal", "names no host"),
        ("postgresql://db.school.example/portal?sslmode=require", "sslmode=require"),
        ("postgresql://127.0.0.1/portal?host=db.school.example&sslmode=disable", "sslmode=disable"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(site: Site, url: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_address("portal", url, site)


def test_a_server_elsewhere_is_always_verified(site: Site) -> None:
    query = parse_address("portal", "postgresql://reader@db.school.example/portal", site).url.query

    assert query == {"sslmode": "verify-full", "sslrootcert": "system"}


def test_a_school_may_name_its_own_authority(site: Site) -> None:
    query = parse_address("portal", "postgresql://db.school.example/portal?sslrootcert=ca.pem", site).url.query

    assert query == {"sslmode": "verify-full", "sslrootcert": str(site.folder / "ca.pem")}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_server_on_this_machine_needs_no_certificate(site: Site, host: str) -> None:
    assert parse_address("portal", f"postgresql://reader@{host}/portal", site).url.query == {}


def test_a_server_that_cannot_prove_who_it_is_is_not_spoken_to(postgres: PostgresServer, site: Site) -> None:
    url = f"{postgres.url()}?sslmode=verify-full&sslrootcert=system"

    with pytest.raises(TargetUnreachable, match="SSL"), Database("portal", url, None, site).reading():
        pass


def test_nobody_listening_is_unreachable(site: Site) -> None:
    database = Database("portal", f"postgresql://reader@127.0.0.1:{free_port()}/portal", None, site)

    with pytest.raises(TargetUnreachable, match="portal cannot be reached"), database.reading():
        pass


def test_a_secret_that_is_not_there_is_an_error_of_the_config(postgres: PostgresServer, site: Site) -> None:
    database = Database("portal", postgres.url(), Secret(env="NO_SUCH_SECRET"), site)

    with pytest.raises(ConfigError, match="NO_SUCH_SECRET"), database.reading():
        pass


def test_a_connection_that_breaks_in_use_is_lost_and_the_next_one_is_new(postgres: PostgresServer, site: Site) -> None:
    database = Database("portal", postgres.url(), None, site)

    with pytest.raises(ConnectionLost), database.writing() as connection:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    with database.reading() as connection:
        answer = connection.exec_driver_sql("SELECT 1").scalar_one()
    database.disconnect()

    assert answer == 1
