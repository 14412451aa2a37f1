"""Every directory in which accounts can be made, against the specification."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.interfaces import Provisioner
from connector.ldap.ldif import LdifDirectory
from tests.contracts.provisioner import ProvisionerSpecification
from tests.contracts.provisioner_benches import ActiveDirectoryProvisioner, FakeProvisioner, OpenLdapProvisioner

Bench = OpenLdapProvisioner | ActiveDirectoryProvisioner | FakeProvisioner


@pytest.fixture(params=["openldap", "ad", "fake"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Give each directory in turn, empty; let go of what was opened."""
    if request.param == "fake":
        yield FakeProvisioner()
        return
    openldap = request.param == "openldap"
    made = (
        OpenLdapProvisioner(request.getfixturevalue("slapd"), tmp_path)
        if openldap
        else ActiveDirectoryProvisioner(request.getfixturevalue("samba"), tmp_path)
    )
    yield made
    for directory in made.opened:
        directory.disconnect()


class TestProvisioner(ProvisionerSpecification):
    """The specification, once for each."""


def test_an_export_is_no_place_to_make_accounts_in() -> None:
    assert not issubclass(LdifDirectory, Provisioner)
