"""What only a real Active Directory shows: bind codes, Domain Admins, primary groups, computers, delegation."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.ldap.directory import LdapDirectory
from connector.ldap.names import dn_key
from connector.ldap.protection import Group
from connector.ldap.view import AccountView
from connector.model import Account, CloseAccount, LegState, OpenAccount
from tests.ldap.builders import ad_settings, site
from tests.servers.samba import DOMAIN_ADMINS, USER_PASSWORD, SambaDc

# Active Directory delegation: write userAccountControl of users below, and read.
_MAY_DISABLE = "(OA;CIIO;RPWP;bf967a68-0de6-11d0-a285-00aa003049e2;bf967aba-0de6-11d0-a285-00aa003049e2;{sid})"
_MAY_READ = "(A;CI;LCRPLORC;;;{sid})"

Open = Callable[..., LdapDirectory]


@pytest.fixture
def ou(samba: SambaDc) -> str:
    return samba.add_ou()


@pytest.fixture
def directory(samba: SambaDc, ou: str, tmp_path: Path) -> Iterator[Open]:
    """Open directories on the OU; let go of them at the end."""
    opened: list[LdapDirectory] = []

    def open_one(**settings: Any) -> LdapDirectory:
        given = {"base": ou, "managed": (ou,)} | settings
        opened.append(LdapDirectory("ad", ad_settings(samba, tmp_path, **given), site(tmp_path)))
        return opened[-1]

    yield open_one
    for one in opened:
        one.disconnect()


def name() -> str:
    return f"u{uuid.uuid4().hex[:12]}"


def find(directory: LdapDirectory, username: str) -> Account:
    return next(account for account in directory.read_all().accounts if account.username == username)


def test_a_disabled_account_is_told_so_when_it_signs_in_and_gets_in_again_after_opening(
    samba: SambaDc, ou: str, directory: Open
) -> None:
    username = name()
    samba.add_user(username, ou=ou)
    opened = directory()
    before = find(opened, username)

    (closed,) = opened.close([CloseAccount(before)])
    code_when_closed = samba.bind_code(username)
    (restored,) = opened.open([OpenAccount(find(opened, username), before.state)])

    assert (closed.state, code_when_closed) == (LegState.CLOSED, "533")
    assert (restored.state, samba.bind_code(username)) == (LegState.CLOSED, "")


def test_other_bits_of_the_state_survive(samba: SambaDc, ou: str, directory: Open) -> None:
    username = name()
    samba.add_user(username, ou=ou, userAccountControl="66048")
    opened = directory()

    opened.close([CloseAccount(find(opened, username))])

    assert find(opened, username).state == "66050"


def test_a_write_that_comes_after_somebody_elses_is_refused_by_the_server(
    samba: SambaDc, ou: str, directory: Open
) -> None:
    username = name()
    dn = samba.add_user(username, ou=ou)
    opened = directory()
    before = find(opened, username)
    connection: Any = opened._connection
    modify = connection.modify

    def somebody_is_quicker(*arguments: Any) -> Any:
        samba.modify(dn, {"userAccountControl": [("MODIFY_REPLACE", ["66048"])]})
        return modify(*arguments)

    connection.modify = somebody_is_quicker

    (outcome,) = opened.close([CloseAccount(before)])

    assert outcome.state is LegState.CONFLICT
    assert find(opened, username).state == "66048"


def test_domain_admins_are_protected_without_being_named_nested_ones_too(
    samba: SambaDc, ou: str, directory: Open
) -> None:
    username = name()
    dn = samba.add_user(username, ou=ou)
    group = samba.add_group(name(), ou)
    samba.add_to_group(group, DOMAIN_ADMINS)
    samba.add_to_group(dn, group)
    opened = directory()
    account = find(opened, username)

    (outcome,) = opened.close([CloseAccount(account)])

    assert f"member of {group}" in account.protected
    assert outcome.state is LegState.REFUSED
    assert samba.bind_code(username) == ""


def test_a_protected_primary_group_protects_though_member_of_does_not_show_it(
    samba: SambaDc, ou: str, directory: Open
) -> None:
    username = name()
    dn = samba.add_user(username, ou=ou)
    group = samba.add_group(name(), ou)
    samba.add_to_group(dn, group)
    rid = int.from_bytes(samba.read(group, "objectSid")["objectSid"][0][-4:], "little")
    samba.modify(dn, {"primaryGroupID": [("MODIFY_REPLACE", [str(rid)])]})

    account = find(directory(protected_groups=(group,)), username)

    assert group.encode() not in samba.read(dn, "memberOf")["memberOf"]
    assert "primary group" in account.protected


def test_admin_count_protects(samba: SambaDc, ou: str, directory: Open) -> None:
    username = name()
    samba.add_user(username, ou=ou, adminCount="1")

    assert find(directory(), username).protected == "adminCount is set"


def test_computers_and_groups_are_no_accounts(samba: SambaDc, ou: str, directory: Open) -> None:
    computer = name()
    with samba.admin() as connection:
        assert connection.add(
            f"CN={computer},{ou}",
            attributes={"objectClass": "computer", "sAMAccountName": f"{computer}$", "userAccountControl": "4096"},
        )
    samba.add_group(name(), ou)

    assert directory().read_all().accounts == ()


def test_an_account_moved_out_of_the_managed_ou_since_the_plan_is_not_written(
    samba: SambaDc, ou: str, directory: Open
) -> None:
    username = name()
    dn = samba.add_user(username, ou=ou)
    opened = directory()
    before = find(opened, username)
    samba.move(dn, samba.add_ou())

    (outcome,) = opened.close([CloseAccount(before)])

    assert outcome.state is LegState.REFUSED
    assert "outside the managed OUs" in outcome.detail
    assert samba.bind_code(username) == ""


def test_an_account_renamed_inside_the_managed_ou_is_still_the_one_that_was_planned(
    samba: SambaDc, ou: str, directory: Open
) -> None:
    username = name()
    dn = samba.add_user(username, ou=ou)
    opened = directory()
    before = find(opened, username)
    samba.move(dn, samba.add_ou("Left, last year".replace(",", "\\,"), ou))

    (outcome,) = opened.close([CloseAccount(before)])

    assert outcome.state is LegState.CLOSED
    assert samba.bind_code(username) == "533"


def test_members_are_read_however_many_ranges_the_server_cuts_them_into(
    samba: SambaDc, ou: str, directory: Open
) -> None:
    group = samba.add_group(name(), ou)
    users = [samba.add_user(name(), ou=ou) for _ in range(5)]
    samba.modify(group, {"member": [("MODIFY_ADD", users)]})
    view: AccountView = directory()._view

    members = view.members(Group(group, dn_key(group)), step=2)

    assert sorted(member.decode().lower() for member in members) == sorted(user.lower() for user in users)


def test_an_account_with_just_the_rights_it_needs_closes_inside_and_is_refused_outside(
    samba: SambaDc, ou: str, directory: Open
) -> None:
    service, inside, outside = name(), name(), name()
    service_dn = samba.add_user(service)
    elsewhere = samba.add_ou()
    samba.add_user(inside, ou=ou)
    samba.add_user(outside, ou=elsewhere)
    raw = samba.read(service_dn, "objectSid")["objectSid"][0]
    sid = "S-1-5-" + "-".join(str(int.from_bytes(raw[at : at + 4], "little")) for at in range(8, len(raw), 4))
    samba.delegate(ou, (_MAY_DISABLE + _MAY_READ).format(sid=sid))
    opened = directory(base=samba.base, managed=(ou, elsewhere), bind_dn=f"{service}@lab.test", password=USER_PASSWORD)

    outcomes = opened.close([CloseAccount(find(opened, inside)), CloseAccount(find(opened, outside))])
    findings = {finding.message: finding.level for finding in opened.check()}

    assert [outcome.state for outcome in outcomes] == [LegState.CLOSED, LegState.REFUSED]
    assert "insufficientAccessRights (50)" in outcomes[1].detail
    assert (samba.bind_code(inside), samba.bind_code(outside)) == ("533", "")
    assert findings[f"We may disable accounts below {ou}."] == "ok"
    assert findings[f"We may not write userAccountControl below {elsewhere}."] == "error"


def test_starttls_works_too(directory: Open) -> None:
    assert directory(tls="starttls").read_all().accounts == ()
