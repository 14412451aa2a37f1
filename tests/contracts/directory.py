"""The one specification of a Directory. Every adapter passes it against a real directory, or a real file."""

from typing import Protocol

import pytest

from connector.interfaces import Directory
from connector.model import Account, CloseAccount, LegState, OpenAccount


class DirectoryBench(Protocol):
    """A directory under test, with an administrator's hands. Accounts are named by GUID."""

    name: str

    def adapter(self, **settings: object) -> Directory:
        """Give the adapter under test."""
        ...

    def add_person(
        self, username: str, *, employee_id: str = "", email: str = "", managed: bool = True, dn_name: str = ""
    ) -> str:
        """Add an enabled account, inside or outside the managed OU."""
        ...

    def disable(self, guid: str) -> None:
        """Disable an account."""
        ...

    def alter_state(self, guid: str) -> None:
        """Give an account another state in which it is still enabled."""
        ...

    def give_to(self, guid: str, employee_id: str) -> None:
        """Give an account another employee id."""
        ...

    def delete(self, guid: str) -> None:
        """Delete an account."""
        ...

    def add_protected_group(self, *members: str) -> str:
        """Add a group with these accounts or groups (by DN) in it; give its DN."""
        ...

    def signs_in(self, guid: str) -> bool:
        """Say whether its holder could sign in now."""
        ...


def only(directory: Directory, guid: str) -> Account:
    """Give one account as the directory reads it."""
    (account,) = directory.read_some([guid])
    return account


class DirectorySpecification:
    """What every Directory does."""

    def test_it_is_a_directory(self, bench: DirectoryBench) -> None:
        assert isinstance(bench.adapter(), Directory)

    def test_it_reads_every_account_with_what_is_known_of_it(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("nora", employee_id="NOR1", email="nora@mail.example")

        reading = bench.adapter().read_all()

        (account,) = reading.accounts
        assert reading.directory == account.directory == bench.name
        assert (account.guid, account.username) == (guid, "nora")
        assert (account.employee_id, account.email) == ("NOR1", "nora@mail.example")
        assert account.enabled
        assert account.managed
        assert account.protected == ""
        assert account.expires_at is None

    def test_two_readings_of_the_same_have_the_same_fingerprint_and_another_has_another(
        self, bench: DirectoryBench
    ) -> None:
        bench.add_person("nora")
        first, second = (bench.adapter().read_all().provenance for _ in range(2))
        bench.add_person("olaf")

        third = bench.adapter().read_all().provenance

        assert first.fingerprint == second.fingerprint != third.fingerprint
        assert third.read_at.tzinfo is not None

    def test_an_account_outside_the_managed_ou_is_seen_and_never_written(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("nora", managed=False)
        directory = bench.adapter()
        account = only(directory, guid)

        (outcome,) = directory.close([CloseAccount(account)])

        assert not account.managed
        assert outcome.state is LegState.REFUSED
        assert bench.signs_in(guid)

    def test_a_plan_that_calls_an_account_managed_does_not_make_it_so(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("nora", managed=False)
        directory = bench.adapter()
        account = only(directory, guid)
        forged = Account(**{name: getattr(account, name) for name in account.__slots__} | {"managed": True})

        (outcome,) = directory.close([CloseAccount(forged)])

        assert outcome.state is LegState.REFUSED
        assert bench.signs_in(guid)

    def test_a_name_with_commas_and_letters_beyond_ascii_is_inside_its_ou(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("lukasz", dn_name="Tanaka, Łukasz + Co")
        directory = bench.adapter()

        (outcome,) = directory.close([CloseAccount(only(directory, guid))])

        assert outcome.state is LegState.CLOSED
        assert outcome.after is not None
        assert "Łukasz" in getattr(outcome.after, "dn", "")

    def test_closing_disables_and_proves_it_with_before_and_after(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("nora")
        directory = bench.adapter()
        before = only(directory, guid)

        (outcome,) = directory.close([CloseAccount(before)])

        assert outcome.state is LegState.CLOSED
        assert outcome.before == before
        assert outcome.after == only(directory, guid)
        assert not only(directory, guid).enabled
        assert not bench.signs_in(guid)

    def test_closing_what_is_closed_changes_nothing(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("nora")
        directory = bench.adapter()
        before = only(directory, guid)
        bench.disable(guid)

        (outcome,) = directory.close([CloseAccount(before)])

        assert outcome.state is LegState.ALREADY_CLOSED

    def test_an_account_that_is_gone_is_called_off(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("nora")
        directory = bench.adapter()
        before = only(directory, guid)
        bench.delete(guid)

        (outcome,) = directory.close([CloseAccount(before)])

        assert outcome.state is LegState.CALLED_OFF
        assert directory.read_some([guid]) == ()

    def test_an_account_created_again_under_the_same_name_is_not_the_old_one(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("nora")
        directory = bench.adapter()
        before = only(directory, guid)
        bench.delete(guid)
        again = bench.add_person("nora")

        (outcome,) = directory.close([CloseAccount(before)])

        assert outcome.state is LegState.CALLED_OFF
        assert bench.signs_in(again)

    def test_an_account_changed_since_the_plan_is_a_conflict_and_stays_as_it_is(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("nora")
        directory = bench.adapter()
        before = only(directory, guid)
        bench.alter_state(guid)

        (outcome,) = directory.close([CloseAccount(before)])

        assert outcome.state is LegState.CONFLICT
        assert only(directory, guid).enabled

    def test_an_account_given_to_somebody_else_since_the_plan_is_a_conflict(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("nora", employee_id="NOR1")
        directory = bench.adapter()
        before = only(directory, guid)
        bench.give_to(guid, "OLA2")

        (outcome,) = directory.close([CloseAccount(before)])

        assert outcome.state is LegState.CONFLICT
        assert "OLA2" in outcome.detail
        assert bench.signs_in(guid)

    def test_every_item_of_a_batch_gets_its_own_outcome_in_order(self, bench: DirectoryBench) -> None:
        guids = [bench.add_person(name) for name in ("ann", "ben", "cas", "dee")]
        directory = bench.adapter()
        planned = {account.guid: account for account in directory.read_some(guids)}
        bench.disable(guids[1])
        bench.delete(guids[2])

        outcomes = directory.close([CloseAccount(planned[guid]) for guid in guids])

        assert [outcome.state for outcome in outcomes] == [
            LegState.CLOSED,
            LegState.ALREADY_CLOSED,
            LegState.CALLED_OFF,
            LegState.CLOSED,
        ]

    def test_an_empty_batch_is_nothing_to_do(self, bench: DirectoryBench) -> None:
        assert bench.adapter().close([]) == ()

    @pytest.mark.parametrize("nested", [False, True])
    def test_a_member_of_a_protected_group_however_deep_is_never_written(
        self, bench: DirectoryBench, nested: bool
    ) -> None:
        guid = bench.add_person("nora")
        dn = only(bench.adapter(), guid).dn
        group = bench.add_protected_group(bench.add_protected_group(dn) if nested else dn)
        directory = bench.adapter(protected_groups=(group,))
        account = only(directory, guid)

        (outcome,) = directory.close([CloseAccount(account)])

        assert "member of" in account.protected
        assert outcome.state is LegState.REFUSED
        assert bench.signs_in(guid)

    def test_an_account_protected_since_the_plan_is_not_written(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("nora")
        other = bench.add_person("olaf")
        group = bench.add_protected_group(only(bench.adapter(), other).dn)
        planned = only(bench.adapter(protected_groups=(group,)), guid)
        wider = bench.add_protected_group(planned.dn)

        (outcome,) = bench.adapter(protected_groups=(group, wider)).close([CloseAccount(planned)])

        assert outcome.state is LegState.REFUSED

    def test_a_protected_ou_and_a_mark_protect(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("nora", email="vip@mail.example")
        dn = only(bench.adapter(), guid).dn
        ou = dn.partition(",")[2].upper()

        by_ou = only(bench.adapter(protected_ous=(ou,)), guid)
        by_mark = only(bench.adapter(protected_mark="mail=VIP@mail.example"), guid)

        assert "protected OU" in by_ou.protected
        assert "marked mail" in by_mark.protected

    def test_a_protected_group_that_is_not_there_refuses_the_reading(self, bench: DirectoryBench) -> None:
        directory = bench.adapter(protected_groups=("CN=Nowhere,DC=nowhere",))

        with pytest.raises(Exception, match="protected group CN=Nowhere,DC=nowhere is not"):
            directory.read_all()

    def test_opening_gives_the_state_back(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("nora")
        directory = bench.adapter()
        before = only(directory, guid)
        directory.close([CloseAccount(before)])

        (outcome,) = directory.open([OpenAccount(only(directory, guid), before.state)])

        assert outcome.state is LegState.CLOSED
        assert only(directory, guid) == before
        assert bench.signs_in(guid)

    def test_opening_what_somebody_changed_since_is_a_conflict(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("nora")
        directory = bench.adapter()
        before = only(directory, guid)
        directory.close([CloseAccount(before)])
        closed = only(directory, guid)
        bench.alter_state(guid)

        (outcome,) = directory.open([OpenAccount(closed, before.state)])

        assert outcome.state is LegState.CONFLICT

    def test_a_state_that_is_none_is_refused(self, bench: DirectoryBench) -> None:
        guid = bench.add_person("nora")
        directory = bench.adapter()

        (outcome,) = directory.open([OpenAccount(only(directory, guid), "rm -rf")])

        assert outcome.state is LegState.REFUSED

    def test_a_guid_that_is_none_finds_nobody(self, bench: DirectoryBench) -> None:
        assert bench.adapter().read_some(["*)(objectClass=*", ""]) == ()

    def test_more_accounts_than_fit_a_question_are_read_again_in_the_order_asked(self, bench: DirectoryBench) -> None:
        guids = [bench.add_person(f"user{number}") for number in range(60)]

        accounts = bench.adapter().read_some(guids[::-1])

        assert [account.guid for account in accounts] == guids[::-1]

    def test_check_finds_nothing_wrong_where_nothing_is(self, bench: DirectoryBench) -> None:
        bench.add_person("nora", employee_id="NOR1")

        findings = bench.adapter().check()

        assert [finding for finding in findings if finding.level != "ok"] == []

    def test_after_disconnecting_it_connects_again(self, bench: DirectoryBench) -> None:
        bench.add_person("nora")
        directory = bench.adapter()
        directory.read_all()
        directory.disconnect()

        reading = directory.read_all()

        assert len(reading.accounts) == 1
