"""What only real directories show of accounts that are made: who can sign in, races, answers lost, rights missing."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector.ldap.connection import LdapSettings
from connector.ldap.directory import LdapDirectory
from connector.ldap.reader import ConnectionLost
from connector.model import Account, LegState, OpenAccount, Outcome
from connector.provisioning import ChangeAccount, GroupMembership, NewAccount
from tests.ldap.builders import ad_settings, openldap_settings, site
from tests.servers.samba import DOMAIN_ADMINS, SambaDc
from tests.servers.slapd import LOCKED, Slapd

# The rights of the facts for disabling, and of it all reading only.
_MAY_READ = "(A;CI;LCRPLORC;;;{sid})"
_PASSWORD = "N0body-Knows!"


def name() -> str:
    return f"u{uuid.uuid4().hex[:12]}"


def wanted(ou: str, username: str = "", **changes: Any) -> NewAccount:
    cn = name()
    return replace(NewAccount("x", f"CN={cn},{ou}", username or cn, "p1", f"E-{cn}"), **changes)


@pytest.fixture
def opened() -> Iterator[Callable[[LdapSettings, Path], LdapDirectory]]:
    """Open directories; let go of them at the end."""
    directories: list[LdapDirectory] = []

    def open_one(settings: LdapSettings, folder: Path) -> LdapDirectory:
        directories.append(LdapDirectory("x", settings, site(folder)))
        return directories[-1]

    yield open_one
    for one in directories:
        one.disconnect()


@pytest.fixture
def ou(samba: SambaDc) -> str:
    return samba.add_ou()


@pytest.fixture
def ad(samba: SambaDc, ou: str, tmp_path: Path, opened: Any) -> LdapDirectory:
    made: LdapDirectory = opened(ad_settings(samba, tmp_path, base=ou, managed=(ou,)), tmp_path)
    return made


@pytest.fixture
def unit(slapd: Slapd) -> str:
    return slapd.add_ou()


@pytest.fixture
def openldap(slapd: Slapd, unit: str, tmp_path: Path, opened: Any) -> LdapDirectory:
    made: LdapDirectory = opened(openldap_settings(slapd, tmp_path, base=unit, managed=(unit,)), tmp_path)
    return made


def only(outcomes: tuple[Outcome, ...]) -> tuple[LegState, Account]:
    (outcome,) = outcomes
    assert isinstance(outcome.after, Account), outcome
    return outcome.state, outcome.after


def losing_answers(directory: LdapDirectory, *, arrives: bool) -> None:
    """Lose the answer of the next write, which arrives or does not."""
    connection: Any = directory._connection
    write = connection.write

    def lost(request: Any) -> Any:
        connection.write = write
        if arrives:
            write(request)
        connection.drop()
        raise ConnectionLost("timed out")

    connection.write = lost


def meanwhile(directory: LdapDirectory, happening: Callable[[], object]) -> None:
    """Let somebody be quicker than the next write."""
    connection: Any = directory._connection
    write = connection.write

    def quicker(request: Any) -> Any:
        connection.write = write
        happening()
        return write(request)

    connection.write = quicker


# --- Active Directory -------------------------------------------------------------------------------------------------


def test_a_new_account_is_an_enabled_user_whose_password_nobody_knows(
    samba: SambaDc, ou: str, ad: LdapDirectory
) -> None:
    username = name()
    new = wanted(ou, username, attributes=(("userPrincipalName", (f"{username}@lab.test",)),))

    state, account = only(ad.create([new]))

    assert (state, account.state, account.username) == (LegState.CLOSED, "512", username)
    assert [samba.bind_code(username, guess) for guess in (_PASSWORD, username)] == ["52e", "52e"]
    samba.modify(account.dn, {"unicodePwd": [("MODIFY_REPLACE", [f'"{_PASSWORD}"'.encode("utf-16-le")])]})
    assert samba.bind_code(username, _PASSWORD) == ""
    assert samba.read(account.dn, "userPrincipalName")["userPrincipalName"] == [f"{username}@lab.test".encode()]


def test_an_account_made_disabled_lets_nobody_in_until_it_is_opened(samba: SambaDc, ou: str, ad: LdapDirectory) -> None:
    username = name()
    new = wanted(ou, username, enabled=False, attributes=(("userPrincipalName", (f"{username}@lab.test",)),))

    _, account = only(ad.create([new]))
    samba.modify(account.dn, {"unicodePwd": [("MODIFY_REPLACE", [f'"{_PASSWORD}"'.encode("utf-16-le")])]})
    before = samba.bind_code(username, _PASSWORD)
    ad.open([OpenAccount(account, "512")])

    assert (account.enabled, before, samba.bind_code(username, _PASSWORD)) == (False, "533", "")


@pytest.mark.parametrize("username", ["x" * 21, "a@mail.example*", "dot.", "semi;colon", "trailing "])
def test_a_user_name_that_active_directory_cannot_have_is_refused(ou: str, ad: LdapDirectory, username: str) -> None:
    (outcome,) = ad.create([wanted(ou, username)])

    assert outcome.state is LegState.REFUSED
    assert "user name" in outcome.detail or "sAMAccountName" in outcome.detail


def test_a_user_name_or_principal_taken_anywhere_in_the_domain_is_a_conflict(
    samba: SambaDc, ou: str, ad: LdapDirectory
) -> None:
    taken, group = name(), name()
    samba.add_user(taken)
    samba.add_group(group)
    other = wanted(ou, attributes=(("userPrincipalName", (f"{taken.upper()}@lab.test",)),))

    outcomes = ad.create([wanted(ou, taken.upper()), other, wanted(ou, group)])

    assert [o.state for o in outcomes] == [LegState.CONFLICT] * 3
    assert ad.read_all().accounts == ()


def test_somebody_who_takes_the_name_between_looking_and_adding_keeps_it(
    samba: SambaDc, ou: str, ad: LdapDirectory
) -> None:
    new = wanted(ou)
    meanwhile(ad, lambda: samba.add_user(new.username, employee_id="other", ou=ou))

    (outcome,) = ad.create([new])

    assert outcome.state is LegState.CONFLICT
    assert [a.employee_id for a in ad.read_all().accounts] == ["other"]


def test_a_renamed_account_is_written_all_the_same_and_its_names_can_change(
    samba: SambaDc, ou: str, ad: LdapDirectory
) -> None:
    first, second = name(), name()
    _, account = only(ad.create([wanted(ou, first)]))
    samba.move(account.dn, samba.add_ou(parent=ou))

    names = (("sAMAccountName", (second,)), ("userPrincipalName", (f"{second}@lab.test",)), ("sn", ("Ł",)))
    state, after = only(ad.update([ChangeAccount(account, names)]))

    assert (state, after.guid, after.username) == (LegState.CLOSED, account.guid, second)


def test_a_name_somebody_else_has_is_not_taken_away(ou: str, ad: LdapDirectory) -> None:
    (_, nora), (_, olaf) = (only(ad.create([wanted(ou)])) for _ in range(2))

    (outcome,) = ad.update([ChangeAccount(nora, (("sAMAccountName", (olaf.username,)),))])

    assert (outcome.state, olaf.dn in outcome.detail) == (LegState.CONFLICT, True)


def test_a_value_changed_between_looking_and_writing_is_left_alone(samba: SambaDc, ou: str, ad: LdapDirectory) -> None:
    _, account = only(ad.create([wanted(ou, attributes=(("title", ("Dr",)),))]))
    meanwhile(ad, lambda: samba.modify(account.dn, {"title": [("MODIFY_REPLACE", ["Prof"])]}))

    (outcome,) = ad.update([ChangeAccount(account, (("title", ("Ms",)), ("sn", ("Quinn",))))])

    assert outcome.state is LegState.CONFLICT
    assert samba.read(account.dn, "title")["title"] == [b"Prof"]
    assert "sn" not in samba.read(account.dn)


def test_nobody_gets_into_a_group_of_administrators(samba: SambaDc, ou: str, tmp_path: Path, opened: Any) -> None:
    domain: LdapDirectory = opened(ad_settings(samba, tmp_path, managed=(samba.base,)), tmp_path)
    _, account = only(domain.create([wanted(ou)]))
    inside = samba.add_group(name(), ou)
    samba.add_to_group(inside, DOMAIN_ADMINS)
    groups = [DOMAIN_ADMINS, inside, f"CN=Administrators,CN=Builtin,{samba.base}"]
    groups.append(f"CN=Account Operators,CN=Builtin,{samba.base}")

    outcomes = domain.group([GroupMembership("x", group, account.guid, join=True) for group in groups])

    assert [o.state for o in outcomes] == [LegState.REFUSED] * 4
    assert samba.read(account.dn, "memberOf").get("memberOf", []) == []


def test_without_the_right_to_make_users_the_outcome_says_which(
    samba: SambaDc, ou: str, tmp_path: Path, opened: Any
) -> None:
    username, password = name(), "C0nnector-Pw!"
    dn = samba.add_user(username, password)
    sid = _sid(samba.read(dn, "objectSid")["objectSid"][0])
    samba.delegate(ou, _MAY_READ.format(sid=sid))
    settings = ad_settings(samba, tmp_path, base=ou, managed=(ou,), password=password, bind_dn=dn)
    limited: LdapDirectory = opened(settings, tmp_path)

    (outcome,) = limited.create([wanted(ou)])

    assert outcome.state is LegState.REFUSED
    assert "right to create users" in outcome.detail


def _sid(raw: bytes) -> str:
    parts = [int.from_bytes(raw[at : at + 4], "little") for at in range(8, len(raw), 4)]
    return "-".join(map(str, ("S", raw[0], int.from_bytes(raw[2:8], "big"), *parts)))


# --- OpenLDAP ---------------------------------------------------------------------------------------------------------


def test_a_new_account_has_no_password_at_all(slapd: Slapd, unit: str, openldap: LdapDirectory) -> None:
    _, account = only(openldap.create([wanted(unit, attributes=(("sn", ("Quinn",)),))]))

    entry = slapd.read(account.dn)
    assert "userPassword" not in entry
    assert entry["sn"] == [b"Quinn"]
    assert not slapd.bind_works(account.dn, "guess")


def test_an_account_made_disabled_is_locked_for_good_until_it_is_opened(
    slapd: Slapd, unit: str, openldap: LdapDirectory
) -> None:
    _, account = only(openldap.create([wanted(unit, enabled=False)]))

    locked = slapd.read(account.dn, "pwdAccountLockedTime")["pwdAccountLockedTime"]
    opened = only(openldap.open([OpenAccount(account, "")]))

    assert (account.enabled, account.state, locked) == (False, LOCKED, [LOCKED.encode()])
    assert (opened[0], opened[1].enabled) == (LegState.CLOSED, True)


@pytest.mark.parametrize("arrives", [True, False])
def test_a_lost_answer_leaves_one_account_and_says_closed(unit: str, openldap: LdapDirectory, *, arrives: bool) -> None:
    losing_answers(openldap, arrives=arrives)

    state, account = only(openldap.create([wanted(unit)]))

    assert (state, openldap.read_all().accounts) == (LegState.CLOSED, (account,))


@pytest.mark.parametrize("arrives", [True, False])
def test_a_lost_answer_of_a_change_or_a_group_is_found_out_by_reading(
    slapd: Slapd, unit: str, openldap: LdapDirectory, *, arrives: bool
) -> None:
    _, account = only(openldap.create([wanted(unit)]))
    group = slapd.add_group(uuid.uuid4().hex, (f"cn=nobody,{unit}",), unit)

    losing_answers(openldap, arrives=arrives)
    changed = openldap.update([ChangeAccount(account, (("title", ("Dr",)),))])
    losing_answers(openldap, arrives=arrives)
    joined = openldap.group([GroupMembership("x", group, account.guid, join=True)])

    assert [o.state for o in (*changed, *joined)] == [LegState.CLOSED] * 2
    assert slapd.read(account.dn, "title")["title"] == [b"Dr"]
    assert len(slapd.read(account.dn, "memberOf")["memberOf"]) == 1


@pytest.mark.parametrize("username", ["*", "*)(objectClass=*", "a\\2a", "(&)", "\\"])
def test_a_user_name_is_looked_for_as_it_is_and_never_as_a_filter(
    unit: str, openldap: LdapDirectory, username: str
) -> None:
    username = f"{username}{uuid.uuid4().hex[:6]}*"
    outcomes = openldap.create([wanted(unit), wanted(unit, username), wanted(unit, username), wanted(unit)])

    assert [o.state for o in outcomes] == [LegState.CLOSED, LegState.CLOSED, LegState.CONFLICT, LegState.CLOSED]


def test_an_entry_that_changed_at_all_between_looking_and_writing_is_left_alone(
    slapd: Slapd, unit: str, openldap: LdapDirectory
) -> None:
    _, account = only(openldap.create([wanted(unit)]))
    meanwhile(openldap, lambda: slapd.modify(account.dn, {"employeeNumber": [("MODIFY_REPLACE", ["other"])]}))

    (outcome,) = openldap.update([ChangeAccount(account, (("title", ("Dr",)),))])

    assert outcome.state is LegState.CONFLICT
    assert "title" not in slapd.read(account.dn)


def test_the_last_member_of_a_group_that_needs_one_stays_and_the_outcome_says_why(
    slapd: Slapd, unit: str, openldap: LdapDirectory
) -> None:
    _, account = only(openldap.create([wanted(unit)]))
    group = slapd.add_group(uuid.uuid4().hex, (account.dn,), unit)

    (outcome,) = openldap.group([GroupMembership("x", group, account.guid, join=False)])

    assert (outcome.state, "last member" in outcome.detail) == (LegState.REFUSED, True)


def test_a_server_that_is_gone_leaves_every_item_open(own_slapd: Slapd, tmp_path: Path, opened: Any) -> None:
    ou = own_slapd.add_ou()
    directory: LdapDirectory = opened(openldap_settings(own_slapd, tmp_path, base=ou, managed=(ou,)), tmp_path)
    _, account = only(directory.create([wanted(ou)]))
    own_slapd.kill()

    created = directory.create([wanted(ou), wanted(ou)])
    changed = directory.update([ChangeAccount(account, (("title", ("Dr",)),))])

    assert [o.state for o in (*created, *changed)] == [LegState.UNREACHABLE] * 3
    assert all("was not written" in o.detail for o in created)


def test_no_secret_is_in_what_can_be_shown_of_a_new_entry(ou: str, ad: LdapDirectory) -> None:
    shown: list[str] = []
    connection: Any = ad._connection
    write = connection.write

    def watched(request: Any) -> Any:
        shown.append(repr(request))
        return write(request)

    connection.write = watched

    ad.create([wanted(ou)])

    assert shown
    assert "unicodePwd" not in shown[0]
