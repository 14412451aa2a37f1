"""The one specification of a Provisioner: what every directory does in which accounts can be made and kept."""

from dataclasses import replace
from typing import Any, Protocol

import pytest

from connector.interfaces import Directory, Provisioner
from connector.ldap.names import dn_key
from connector.model import Account, LegState, Outcome
from connector.provisioning import ChangeAccount, GroupMembership, NewAccount, escaped


class Both(Directory, Provisioner, Protocol):
    """A directory in which accounts can be made."""


class ProvisionerBench(Protocol):
    """A directory under test, with an administrator's hands."""

    directory: str
    managed: str
    outside: str

    def adapter(self, **settings: Any) -> Both:
        """Give the adapter under test."""
        ...

    def new(self, name: str, **changes: Any) -> NewAccount:
        """Give an account as a template would make it, with a user name nobody has."""
        ...

    def add_group(self, *, managed: bool = True) -> str:
        """Add an empty group (with one member of its own where there must be one); give its DN."""
        ...

    def values(self, account: Account, attribute: str) -> tuple[str, ...]:
        """Give an attribute's values as another client reads them."""
        ...

    def set(self, account: Account, attribute: str, value: str) -> None:
        """Change an attribute as somebody else would."""
        ...

    def delete(self, account: Account) -> None:
        """Delete an account."""
        ...

    def protect(self, account: Account) -> str:
        """Put an account into a group that is to be protected; give the group's DN."""
        ...


def made(bench: ProvisionerBench, name: str = "nora", **changes: Any) -> tuple[Both, Account]:
    """Make an account."""
    directory = bench.adapter()
    (outcome,) = directory.create([bench.new(name, **changes)])
    assert outcome.state is LegState.CLOSED, outcome
    return directory, account_of(outcome)


def account_of(outcome: Outcome) -> Account:
    assert isinstance(outcome.after, Account), outcome
    return outcome.after


HOSTILE = ['Smith, John \\ "x"', "#hash", " two spaces", "trailing ", "a*b)(objectClass=*", "x+y=z;<w>", "Łukasz 名前"]


class ProvisionerSpecification:
    """What every Provisioner does."""

    def test_it_is_a_provisioner(self, bench: ProvisionerBench) -> None:
        assert isinstance(bench.adapter(), Provisioner)

    # --- making -----------------------------------------------------------------------------------------------------

    def test_an_account_is_made_and_read_back_with_its_guid(self, bench: ProvisionerBench) -> None:
        wanted = bench.new("nora", employee_id="NOR1")
        directory = bench.adapter()

        (outcome,) = directory.create([wanted])

        account = account_of(outcome)
        assert outcome.state is LegState.CLOSED
        assert (account.employee_id, account.enabled, account.managed) == ("NOR1", True, True)
        assert directory.read_some([account.guid]) == (account,)
        assert bench.values(account, "givenName") == ("Nora",)

    def test_an_account_is_made_disabled_where_the_template_says_so(self, bench: ProvisionerBench) -> None:
        _, account = made(bench, enabled=False)

        assert not account.enabled

    def test_the_same_account_again_is_there_already_and_is_not_changed(self, bench: ProvisionerBench) -> None:
        wanted = bench.new("nora", employee_id="NOR1")
        directory = bench.adapter()
        (first,) = directory.create([wanted])
        bench.set(account_of(first), "givenName", "Eleonora")

        (second,) = directory.create([wanted])

        assert second.state is LegState.ALREADY_CLOSED
        assert account_of(second).guid == account_of(first).guid
        assert bench.values(account_of(first), "givenName") == ("Eleonora",)

    def test_a_person_who_has_an_account_of_another_name_gets_no_second_one(self, bench: ProvisionerBench) -> None:
        directory, account = made(bench, "nora", employee_id="NOR1")

        (outcome,) = directory.create([bench.new("eleonora", employee_id="nor1 ")])

        assert outcome.state is LegState.ALREADY_CLOSED
        assert account_of(outcome).guid == account.guid
        assert len(directory.read_all().accounts) == 1

    @pytest.mark.parametrize("same", ["dn", "username"])
    def test_a_name_that_somebody_else_has_is_a_conflict_and_nothing_is_written(
        self, bench: ProvisionerBench, same: str
    ) -> None:
        directory, account = made(bench, "nora", employee_id="NOR1")
        other = bench.new("olaf", employee_id="OLA2")
        taken = bench.new("nora", employee_id="OLA2")
        wanted = replace(other, dn=account.dn) if same == "dn" else replace(taken, dn=other.dn)

        (outcome,) = directory.create([wanted])

        assert outcome.state is LegState.CONFLICT
        assert "NOR1" in outcome.detail
        assert directory.read_all().accounts == (account,)

    def test_nothing_is_made_outside_the_managed_ous(self, bench: ProvisionerBench) -> None:
        wanted = bench.new("nora")
        first, _, _ = wanted.dn.partition(f",{bench.managed}")

        outcomes = bench.adapter().create(
            [replace(wanted, dn=f"{first},{bench.outside}"), replace(wanted, dn=bench.managed)]
        )

        assert [o.state for o in outcomes] == [LegState.REFUSED] * 2
        assert bench.adapter().read_all().accounts == ()

    def test_an_ou_that_is_not_there_is_no_place_for_an_account(self, bench: ProvisionerBench) -> None:
        (outcome,) = bench.adapter().create([replace(bench.new("nora"), dn=f"CN=nora,OU=Nowhere,{bench.managed}")])

        assert (outcome.state, "is not there" in outcome.detail) == (LegState.REFUSED, True)

    @pytest.mark.parametrize(
        "changes",
        [
            {"employee_id": " "},
            {"dn": "no name"},
            {"attributes": (("userAccountControl", ("512",)),)},
            {"attributes": (("memberOf", ("CN=Domain Admins",)),)},
            {"attributes": (("displayName", ("a\0b",)),)},
            {"attributes": (("displayName", ("\ud800",)),)},
            {"attributes": (("displayName", ("a",)), ("displayname", ("b",)))},
        ],
    )
    def test_what_must_never_be_written_is_refused_with_a_sentence(
        self, bench: ProvisionerBench, changes: dict[str, Any]
    ) -> None:
        (outcome,) = bench.adapter().create([replace(bench.new("nora"), **changes)])

        assert (outcome.state, outcome.after) == (LegState.REFUSED, None)
        assert outcome.detail

    @pytest.mark.parametrize("name", HOSTILE)
    def test_a_hostile_name_is_one_value_of_the_entrys_own_name_and_nothing_more(
        self, bench: ProvisionerBench, name: str
    ) -> None:
        wanted = bench.new("nora")
        dn = f"CN={escaped(name)},{bench.managed}"
        attributes = (*wanted.attributes[:1], ("displayName", (name,)))

        directory = bench.adapter()
        first, again = (directory.create([replace(wanted, dn=dn, attributes=attributes)])[0] for _ in range(2))

        assert (first.state, again.state) == (LegState.CLOSED, LegState.ALREADY_CLOSED), first.detail
        assert bench.values(account_of(first), "displayName") == (name,)
        assert bench.values(account_of(first), "cn")[0].strip() == name.strip()

    def test_every_item_of_a_batch_gets_its_own_outcome_in_order(self, bench: ProvisionerBench) -> None:
        directory, _ = made(bench, "nora", employee_id="NOR1")

        outcomes = directory.create(
            [
                bench.new("ann"),
                bench.new("nora", employee_id="NOR1"),
                bench.new("ann", employee_id="other"),
                bench.new("ben", employee_id=""),
                bench.new("cas"),
            ]
        )

        assert [o.state for o in outcomes] == [
            LegState.CLOSED,
            LegState.ALREADY_CLOSED,
            LegState.CONFLICT,
            LegState.REFUSED,
            LegState.CLOSED,
        ]

    def test_an_empty_batch_is_nothing_to_do(self, bench: ProvisionerBench) -> None:
        directory = bench.adapter()

        assert (directory.create([]), directory.update([]), directory.group([])) == ((), (), ())

    # --- attributes -------------------------------------------------------------------------------------------------

    def test_attributes_are_set_cleared_and_proven_and_others_stay(self, bench: ProvisionerBench) -> None:
        directory, account = made(bench)
        bench.set(account, "title", "Dr")

        (outcome,) = directory.update(
            [ChangeAccount(account, (("givenName", ("Eleonora",)), ("mail", ("nora@mail.example",))))]
        )
        (cleared,) = directory.update([ChangeAccount(account_of(outcome), (("mail", ()),))])

        assert (outcome.state, account_of(outcome).email) == (LegState.CLOSED, "nora@mail.example")
        assert (cleared.state, account_of(cleared).email) == (LegState.CLOSED, "")
        assert bench.values(account, "givenName") == ("Eleonora",)
        assert bench.values(account, "title") == ("Dr",)

    def test_what_holds_already_is_not_written_again(self, bench: ProvisionerBench) -> None:
        directory, account = made(bench)
        change = ChangeAccount(account, (("givenName", ("Eleonora",)),))
        directory.update([change])

        (outcome,) = directory.update([change])

        assert outcome.state is LegState.ALREADY_CLOSED

    def test_an_account_given_to_somebody_else_since_the_plan_is_a_conflict(self, bench: ProvisionerBench) -> None:
        directory, account = made(bench, employee_id="NOR1")
        planned = replace(account, employee_id="OLA2")

        (outcome,) = directory.update([ChangeAccount(planned, (("givenName", ("Olaf",)),))])

        assert outcome.state is LegState.CONFLICT
        assert bench.values(account, "givenName") == ("Nora",)

    def test_an_account_that_is_gone_is_called_off(self, bench: ProvisionerBench) -> None:
        directory, account = made(bench)
        bench.delete(account)

        updated = directory.update([ChangeAccount(account, (("givenName", ("Olaf",)),))])
        joined = directory.group([GroupMembership(bench.directory, bench.add_group(), account.guid, join=True)])

        assert [o.state for o in (*updated, *joined)] == [LegState.CALLED_OFF] * 2

    @pytest.mark.parametrize(
        "attributes",
        [
            (("userAccountControl", ("512",)),),
            (("unicodePwd", ("x",)),),
            (("objectClass", ("user",)),),
            (("servicePrincipalName", ("http/x",)),),
            (("pwdAccountLockedTime", ()),),
            (("displayName", ("line\nbreak",)),),
        ],
    )
    def test_attributes_that_let_somebody_in_are_never_written(
        self, bench: ProvisionerBench, attributes: tuple[tuple[str, tuple[str, ...]], ...]
    ) -> None:
        directory, account = made(bench)

        (outcome,) = directory.update([ChangeAccount(account, attributes)])

        assert outcome.state is LegState.REFUSED
        assert directory.read_some([account.guid]) == (account,)

    def test_the_mark_that_protects_cannot_be_set_from_outside(self, bench: ProvisionerBench) -> None:
        directory, account = made(bench)
        marked = bench.adapter(protected_mark="title=Head")

        (outcome,) = marked.update([ChangeAccount(account, (("title", ("Head",)),))])

        assert outcome.state is LegState.REFUSED
        assert directory.read_some([account.guid])[0].protected == ""

    def test_a_protected_account_is_never_written(self, bench: ProvisionerBench) -> None:
        _, account = made(bench)
        protected = bench.adapter(protected_groups=(bench.protect(account),))

        updated = protected.update([ChangeAccount(account, (("givenName", ("Olaf",)),))])
        joined = protected.group([GroupMembership(bench.directory, bench.add_group(), account.guid, join=True)])

        assert [o.state for o in (*updated, *joined)] == [LegState.REFUSED] * 2
        assert bench.values(account, "givenName") == ("Nora",)

    def test_attributes_are_read_as_they_are(self, bench: ProvisionerBench) -> None:
        directory, account = made(bench)

        (found,) = directory.attributes([account.guid, "*", "00000000-0000-0000-0000-000000000000"], ["givenName", "l"])

        assert (found.guid, found.of("givenname"), found.of("l")) == (account.guid, ("Nora",), ())

    # --- groups -----------------------------------------------------------------------------------------------------

    def test_an_account_joins_a_group_and_leaves_it_and_twice_is_as_once(self, bench: ProvisionerBench) -> None:
        directory, account = made(bench)
        group = bench.add_group()
        join = GroupMembership(bench.directory, group, account.guid, join=True)

        joined, again = (directory.group([join])[0].state for _ in range(2))
        there = bench.values(account, "memberOf")
        left, gone = (directory.group([replace(join, join=False)])[0].state for _ in range(2))

        assert (joined, again) == (LegState.CLOSED, LegState.ALREADY_CLOSED)
        assert [dn_key(dn) for dn in there] == [dn_key(group)]
        assert (left, gone) == (LegState.CLOSED, LegState.ALREADY_CLOSED)
        assert bench.values(account, "memberOf") == ()

    def test_a_group_that_is_protected_missing_or_unmanaged_is_never_joined(self, bench: ProvisionerBench) -> None:
        _, account = made(bench)
        protected, outside = bench.add_group(), bench.add_group(managed=False)
        directory = bench.adapter(protected_groups=(protected,))
        wanted = [protected, outside, f"CN=nowhere,{bench.managed}", "no name", account.dn]

        outcomes = directory.group([GroupMembership(bench.directory, g, account.guid, join=True) for g in wanted])

        assert [o.state for o in outcomes] == [LegState.REFUSED] * len(wanted)
        assert bench.values(account, "memberOf") == ()

    def test_an_account_that_bears_another_employee_id_by_now_joins_nothing(self, bench: ProvisionerBench) -> None:
        directory, account = made(bench, employee_id="NOR1")
        join = GroupMembership(bench.directory, bench.add_group(), account.guid, join=True, employee_id="OLA2")

        (outcome,) = directory.group([join])

        assert outcome.state is LegState.REFUSED
        assert bench.values(account, "memberOf") == ()
