"""Every directory adapter against the specification."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.ldap.dialect import Dialect
from tests.contracts.directory import DirectorySpecification
from tests.contracts.directory_benches import ActiveDirectoryBench, LdifBench, OpenLdapBench

Bench = OpenLdapBench | ActiveDirectoryBench | LdifBench


@pytest.fixture(params=["openldap", "ad", "ldif", "ldif-openldap"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Give each directory in turn, empty; let go of what was opened."""
    made = _make(request, tmp_path)
    yield made
    for directory in made.opened:
        directory.disconnect()


def _make(request: pytest.FixtureRequest, folder: Path) -> Bench:
    if request.param == "openldap":
        return OpenLdapBench(request.getfixturevalue("slapd"), folder)
    if request.param == "ad":
        return ActiveDirectoryBench(request.getfixturevalue("samba"), folder)
    return LdifBench(folder, Dialect.OPENLDAP if request.param == "ldif-openldap" else Dialect.AD)


class TestDirectory(DirectorySpecification):
    """The specification, once for each."""
