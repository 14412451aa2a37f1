"""A directory that dies, hangs or changes under us: no half reading, no blind second write, always an outcome."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from connector.errors import SourceError, TargetUnreachable
from connector.ldap.directory import LdapDirectory
from connector.ldap.modify import Change, Result
from connector.ldap.reader import ConnectionLost
from connector.model import Account, CloseAccount, LegState
from tests.ldap.builders import openldap_settings, people_ldif, site
from tests.servers.slapd import BASE, LOCKED, Slapd, running_slapd

Modify = Callable[[list[Change]], list[Result]]


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Slapd]:
    """A slapd of its own with 2,500 people."""
    (tmp_path / "slapd").mkdir()
    with running_slapd(tmp_path / "slapd", people_ldif(BASE, 2500)) as server:
        yield server


@pytest.fixture
def directory(crowd: Slapd, tmp_path: Path) -> Iterator[LdapDirectory]:
    opened = LdapDirectory("ldap", openldap_settings(crowd, tmp_path, receive_timeout=1), site(tmp_path))
    yield opened
    opened.disconnect()


def halfway(directory: LdapDirectory, event: Callable[[], None], after: int = 2000) -> None:
    """Let something happen after so many entries of the next reading."""
    view: Any = directory._view
    everyone = view.everyone

    def interrupted() -> Iterator[Account]:
        for number, account in enumerate(everyone()):
            if number == after - 1:  # the next page is not asked for yet
                event()
            yield account

    view.everyone = interrupted


def on_modify(directory: LdapDirectory, change: Callable[[Modify, list[Change]], list[Result]]) -> list[str]:
    """Put something between us and the server's modifies, one at a time; give the list of names it is called with."""
    connection, writer = cast("Any", directory._connection), cast("Any", directory._writer)
    modify = connection.modify
    called: list[str] = []

    def changed(changes: list[Change]) -> list[Result]:
        called.extend(one.dn for one in changes)
        return change(modify, changes)

    connection.modify, writer.window = changed, 1
    return called


def plan(directory: LdapDirectory, count: int) -> list[CloseAccount]:
    return [CloseAccount(account) for account in directory.read_all().accounts[:count]]


def states(directory: LdapDirectory, items: list[CloseAccount]) -> set[str]:
    return {account.state for account in directory.read_some([item.before.guid for item in items])}


def test_all_pages_are_read(directory: LdapDirectory) -> None:
    assert len(directory.read_all().accounts) == 2500


def test_a_server_killed_in_the_middle_of_paging_gives_no_reading(crowd: Slapd, directory: LdapDirectory) -> None:
    halfway(directory, crowd.kill)

    with pytest.raises(
        SourceError, match=r"stopped answering after 2,\d{3} entries.*a reading cut off is not a reading"
    ):
        directory.read_all()


def test_a_server_that_hangs_in_the_middle_of_paging_gives_no_reading_and_is_not_waited_for(
    crowd: Slapd, directory: LdapDirectory
) -> None:
    halfway(directory, crowd.freeze)
    started = time.monotonic()

    with pytest.raises(SourceError, match=r"stopped answering after 2,\d{3} entries"):
        directory.read_all()

    assert time.monotonic() - started < 10


def test_a_server_that_hangs_from_the_start_is_unreachable_and_reads_again_once_it_is_back(
    crowd: Slapd, directory: LdapDirectory
) -> None:
    crowd.freeze()
    with pytest.raises(TargetUnreachable):
        directory.read_all()
    crowd.thaw()

    reading = directory.read_all()

    assert len(reading.accounts) == 2500


def test_a_connection_the_server_has_dropped_is_opened_again(directory: LdapDirectory) -> None:
    items = plan(directory, 1)
    directory._connection._open.socket.close()

    (account,) = directory.read_some([items[0].before.guid])

    assert account == items[0].before


def test_an_answer_that_is_lost_is_looked_up_not_asked_for_again(directory: LdapDirectory) -> None:
    items = plan(directory, 3)

    def lose_one_answer(modify: Modify, changes: list[Change]) -> list[Result]:
        result = modify(changes)
        if len(called) == 2:
            directory._connection.drop()
            raise ConnectionLost("the answer was lost")
        return result

    called = on_modify(directory, lose_one_answer)

    outcomes = directory.close(items)

    assert [outcome.state for outcome in outcomes] == [LegState.CLOSED] * 3
    assert sorted(called) == sorted({item.before.dn for item in items})
    assert states(directory, items) == {LOCKED}


def test_a_write_that_never_arrived_is_tried_again_after_a_look(directory: LdapDirectory) -> None:
    items = plan(directory, 2)

    def lose_one_request(modify: Modify, changes: list[Change]) -> list[Result]:
        if len(called) == 1:
            directory._connection.drop()
            raise ConnectionLost("the request was lost")
        return modify(changes)

    called = on_modify(directory, lose_one_request)

    outcomes = directory.close(items)

    assert [outcome.state for outcome in outcomes] == [LegState.CLOSED] * 2
    assert states(directory, items) == {LOCKED}


def test_a_server_killed_between_two_writes_leaves_no_item_without_an_outcome(
    crowd: Slapd, directory: LdapDirectory
) -> None:
    items = plan(directory, 4)

    def kill_after_two(modify: Modify, changes: list[Change]) -> list[Result]:
        result = modify(changes)
        if len(called) == 2:
            crowd.kill()
        return result

    called = on_modify(directory, kill_after_two)

    outcomes = directory.close(items)

    assert [outcome.state for outcome in outcomes] == [LegState.UNREACHABLE] * 4
    assert "was sent a change and could not be read back" in outcomes[1].detail
    assert "was not written" in outcomes[3].detail
    assert len(called) == 3


def test_of_modifies_under_way_together_when_the_answers_are_lost_none_is_asked_for_twice(
    directory: LdapDirectory,
) -> None:
    items = plan(directory, 20)

    def lose_the_first_answers(modify: Modify, changes: list[Change]) -> list[Result]:
        results = modify(changes)
        if len(called) == len(changes):
            directory._connection.drop()
            raise ConnectionLost("the answers were lost")
        return results

    called = on_modify(directory, lose_the_first_answers)
    directory._writer.window = 16

    outcomes = directory.close(items)

    assert [outcome.state for outcome in outcomes] == [LegState.CLOSED] * 20
    assert sorted(called) == sorted(item.before.dn for item in items)


def test_a_server_that_hangs_with_modifies_under_way_is_read_again_when_it_is_back(
    crowd: Slapd, directory: LdapDirectory
) -> None:
    items = plan(directory, 40)

    def freeze(modify: Modify, changes: list[Change]) -> list[Result]:
        if len(called) > len(changes):
            return modify(changes)
        crowd.freeze()
        try:
            return modify(changes)
        finally:
            crowd.thaw()

    called = on_modify(directory, freeze)
    directory._writer.window = 16

    outcomes = directory.close(items)

    assert {outcome.state for outcome in outcomes} <= {LegState.CLOSED, LegState.ALREADY_CLOSED}
    assert states(directory, items) == {LOCKED}


def test_of_modifies_sent_together_each_has_its_own_answer(crowd: Slapd, directory: LdapDirectory) -> None:
    items = plan(directory, 10)
    crowd.modify(items[3].before.dn, {"pwdAccountLockedTime": [("MODIFY_ADD", [LOCKED])]})
    changes = [Change(item.before.dn, "pwdAccountLockedTime", "", LOCKED) for item in items]
    changes[7] = Change(f"uid=nobody,{BASE}", "pwdAccountLockedTime", "", LOCKED)

    results = directory._connection.modify(changes)

    assert [result.code for result in results] == [0, 0, 0, 20, 0, 0, 0, 32, 0, 0]


def test_a_change_between_our_look_and_our_write_is_refused_by_the_server(
    crowd: Slapd, directory: LdapDirectory
) -> None:
    (item,) = plan(directory, 1)

    def somebody_is_quicker(modify: Modify, changes: list[Change]) -> list[Result]:
        crowd.modify(item.before.dn, {"employeeNumber": [("MODIFY_REPLACE", ["SOMEBODY-ELSE"])]})
        return modify(changes)

    on_modify(directory, somebody_is_quicker)

    (outcome,) = directory.close([item])

    assert outcome.state is LegState.CONFLICT
    assert states(directory, [item]) == {""}


def test_an_account_disabled_by_somebody_between_our_look_and_our_write_is_already_closed(
    crowd: Slapd, directory: LdapDirectory
) -> None:
    (item,) = plan(directory, 1)

    def somebody_is_quicker(modify: Modify, changes: list[Change]) -> list[Result]:
        crowd.modify(item.before.dn, {"pwdAccountLockedTime": [("MODIFY_ADD", [LOCKED])]})
        return modify(changes)

    on_modify(directory, somebody_is_quicker)

    (outcome,) = directory.close([item])

    assert outcome.state is LegState.ALREADY_CLOSED


def test_an_account_enabled_again_before_it_was_read_back_is_not_reported_closed(
    crowd: Slapd, directory: LdapDirectory
) -> None:
    (item,) = plan(directory, 1)

    def somebody_takes_it_back(modify: Modify, changes: list[Change]) -> list[Result]:
        result = modify(changes)
        crowd.modify(item.before.dn, {"pwdAccountLockedTime": [("MODIFY_DELETE", [])]})
        return result

    on_modify(directory, somebody_takes_it_back)

    (outcome,) = directory.close([item])

    assert outcome.state is LegState.CONFLICT


def test_a_right_we_do_not_have_is_refused_in_the_servers_words(crowd: Slapd, tmp_path: Path) -> None:
    crowd.add_user("reader", "r3ader-Passw0rd")
    settings = openldap_settings(crowd, tmp_path, bind_dn=f"uid=reader,{crowd.base}", password="r3ader-Passw0rd")
    directory = LdapDirectory("ldap", settings, site(tmp_path))
    items = plan(directory, 1)

    (outcome,) = directory.close(items)

    directory.disconnect()
    assert outcome.state is LegState.REFUSED
    assert "insufficientAccessRights (50)" in outcome.detail
