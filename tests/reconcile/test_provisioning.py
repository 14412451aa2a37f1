"""Accounts are made and kept through the journal: intended, tried, read back, linked, and called off in time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector.cli.words import open_change_words
from connector.ldap.directory import LdapDirectory
from connector.model import Account, Hold, LegState, Outcome
from connector.provisioning import AccountAttributes, AccountTemplate, ChangeAccount, GroupMembership, NewAccount
from connector.reconcile.apply import Applier
from connector.reconcile.boundaries import Boundary
from connector.reconcile.correlate import Identity, Linked, MatchLevel
from connector.reconcile.journal import Journal
from connector.reconcile.journal_values import AccountChange, ChangeKind, MembershipChange
from connector.reconcile.provisioning import AccountPlan, Wanted, account_changes, group_change
from tests.fakes import Trouble
from tests.ldap.builders import openldap_settings, site
from tests.reconcile.build import TODAY, guid, school
from tests.reconcile.journal_builders import execute
from tests.reconcile.nights import Nights, settled
from tests.reconcile.test_boundaries import Crash, Crashing
from tests.servers.slapd import Slapd

TEMPLATE = AccountTemplate(
    "CN={user_name},OU=Parents,DC=school",
    {"sAMAccountName": "userName", "givenName": "name.givenName", "mail": "emails[work]"},
)
GROUP = "CN=Wireless,OU=Parents"


def newcomers(folder: Path, *people: str) -> Nights:
    """Give a school with people who are entitled and have no account."""
    built = school().families(2)
    for person in people:
        built.student(f"s-{person}").contact(person, of=f"s-{person}").member(person)
    nights = settled(folder, built)
    nights.ad.groups[GROUP] = set()
    return nights


def new(person: str = "n1", **changes: Any) -> AccountChange:
    account = NewAccount("ad", f"CN=u{person},OU=Parents", f"u{person}", person, f"C{person}")
    return AccountChange(person, replace(account, **changes))


def made(nights: Nights, person: str = "n1") -> Account | None:
    return next((a for a in nights.school.accounts if a.employee_id == f"C{person}"), None)


def begun(nights: Nights, reached: Crashing | None = None) -> Applier:
    applier = nights.applier()
    if reached is not None:
        applier.reached = applier.holding.reached = reached
    return applier


def end(nights: Nights, applier: Applier) -> None:
    nights.journal.end_run(applier.run, "provisioned", 0)


# --- through the journal ----------------------------------------------------------------------------------------------


def test_an_account_is_intended_before_it_is_made_and_linked_when_it_is_recorded(tmp_path: Path) -> None:
    nights = newcomers(tmp_path, "n1")
    applier = begun(nights)
    nights.ad.trouble.meanwhile = lambda: intended.extend(nights.open_journal().open_changes())
    intended: list[Any] = []

    left = applier.change([new()])

    account = made(nights)
    assert account is not None
    assert [(one.change, one.state) for one in intended] == [(new(), LegState.INTENDED)]
    assert left == nights.journal.open_changes() == ()
    assert nights.journal.memory(applier.run.as_of, flip_runs=10).links[("ad", account.guid)] == "n1"
    events = [(e.kind, e.text) for e in nights.journal.history("n1")]
    assert ("linked", f"Account {account.guid} in ad linked to n1 (provisioned).") in events
    assert ("account", "Create account n1 in ad: closed.") in events
    assert nights.journal.verify_audit().ok


def test_an_account_whose_answer_was_lost_is_not_made_twice_and_is_linked(tmp_path: Path) -> None:
    nights = newcomers(tmp_path, "n1")
    applier = begun(nights)
    nights.ad.trouble.lost_after = {"n1"}
    (left,) = applier.change([new()])
    end(nights, applier)
    nights.ad.trouble = Trouble()

    result = nights.resume()

    account = made(nights)
    assert account is not None
    assert (left.change, result.exit_code) == (new(), 0)
    assert nights.journal.open_changes() == ()
    assert ("ad", account.guid) in nights.journal.memory(applier.run.as_of, flip_runs=10).links


@pytest.mark.parametrize(
    "boundary",
    [
        Boundary.BEFORE_ADDITION_INTENT,
        Boundary.ADDITION_INTENDED,
        Boundary.BEFORE_ADDITION,
        Boundary.ADDITION_COUNTED,
        Boundary.ADDITION_SENT,
        Boundary.ADDITION_RECORDED,
    ],
)
def test_what_a_crash_leaves_of_an_account_is_finished_by_the_next_run(tmp_path: Path, boundary: Boundary) -> None:
    nights = newcomers(tmp_path, "n1")
    with pytest.raises(Crash):
        begun(nights, Crashing(boundary)).change([new()])
    execute(nights.journal, "UPDATE leases SET expires_at = '2020-01-01 00:00:00.000000'")
    execute(nights.journal, "UPDATE claims SET expires_at = '2020-01-01 00:00:00.000000'")

    nights.resume()

    was_intended = boundary is not Boundary.BEFORE_ADDITION_INTENT
    assert (made(nights) is not None) is was_intended
    assert nights.journal.open_changes() == ()
    assert len(nights.ad.accounts) == 2 + was_intended
    assert nights.journal.verify_audit().ok


@pytest.mark.parametrize("why", ["blocked", "gone"])
def test_an_open_account_of_somebody_who_is_not_to_get_in_any_more_is_called_off(tmp_path: Path, why: str) -> None:
    nights = newcomers(tmp_path, "n1")
    applier = begun(nights)
    nights.ad.trouble.lost_before = {"n1"}
    applier.change([new()])
    end(nights, applier)
    nights.ad.trouble = Trouble()
    if why == "blocked":
        nights.journal.block("n1", "bob@host", "ordered by the head")
    else:
        nights.school.leave("n1")

    nights.resume()

    assert made(nights) is None
    assert nights.journal.open_changes() == ()


def test_a_block_that_comes_between_intent_and_try_stops_what_lets_in_and_not_what_takes_away(tmp_path: Path) -> None:
    nights = newcomers(tmp_path, "n1")
    account = nights.account("ok0")
    nights.ad.groups[GROUP] = {account.guid}
    applier = begun(nights)
    join = GroupMembership("ad", "CN=Other,OU=Parents", account.guid, join=True)
    wanted = [new(), AccountChange("ok0", join), AccountChange("ok0", replace(join, group=GROUP, join=False))]
    changes = nights.journal.intend_changes(applier.run, wanted, "alice")
    nights.ad.groups[join.group] = set()
    for person in ("n1", "ok0"):
        nights.journal.block(person, "bob@host", "ordered by the head")

    applier.drive_changes(changes)

    assert made(nights) is None
    assert nights.ad.groups == {GROUP: set(), join.group: set()}


def test_an_account_that_is_linked_to_another_is_a_conflict_and_keeps_its_link(tmp_path: Path) -> None:
    nights = newcomers(tmp_path, "n1")
    account = replace(nights.account("ok0"), employee_id="Cn1", guid=guid("x"))
    nights.school.accounts.append(account)
    nights.journal.link("ad", account.guid, "ok1", "alice", "by hand")
    applier = begun(nights)

    applier.change([new()])

    (left,) = nights.journal.open_changes()
    assert (left.state, "linked to ok1" in left.detail) == (LegState.CONFLICT, True)
    assert nights.journal.memory(applier.run.as_of, flip_runs=10).links[("ad", account.guid)] == "ok1"


def test_attributes_and_groups_change_through_the_journal(tmp_path: Path) -> None:
    nights = newcomers(tmp_path)
    account = nights.account("ok0")
    applier = begun(nights)
    update = AccountChange("ok0", ChangeAccount(account, (("title", ("Dr",)),)))
    join = AccountChange("ok0", GroupMembership("ad", GROUP, account.guid, join=True, employee_id="Cok0"))

    left = applier.change([update, join])

    assert left == ()
    assert (update.kind, join.kind) == (ChangeKind.UPDATE_ACCOUNT, ChangeKind.JOIN_GROUP)
    assert nights.ad.values[account.guid] == {"title": ("Dr",)}
    assert nights.ad.groups[GROUP] == {account.guid}


def test_a_newer_change_of_the_same_takes_the_place_of_an_open_one_and_no_other(tmp_path: Path) -> None:
    nights = newcomers(tmp_path)
    account = nights.account("ok0")
    nights.ad.trouble.down = True
    applier = begun(nights)
    first = AccountChange("ok0", ChangeAccount(account, (("title", ("Dr",)),)))
    second = AccountChange("ok0", ChangeAccount(account, (("title", ("Prof",)),)))
    join = AccountChange("ok0", GroupMembership("ad", GROUP, account.guid, join=True))
    applier.change([first, join])

    applier.change([second])

    assert [one.change for one in nights.journal.open_changes()] == [join, second]


def test_a_change_that_somebody_overtook_is_called_off_and_planned_anew(tmp_path: Path) -> None:
    nights = newcomers(tmp_path)
    planned = replace(nights.account("ok0"), employee_id="C-before")
    applier = begun(nights)
    (left,) = applier.change([AccountChange("ok0", ChangeAccount(planned, (("title", ("Dr",)),)))])
    end(nights, applier)

    nights.resume()

    assert left.change.kind is ChangeKind.UPDATE_ACCOUNT
    assert nights.journal.open_changes() == ()
    assert nights.ad.values.get(planned.guid, {}) == {}


def test_a_directory_in_which_nothing_can_be_made_says_so(tmp_path: Path) -> None:
    nights = newcomers(tmp_path, "n1")
    nights.directories["ad"] = object()  # type: ignore[assignment] # a directory without these verbs
    applier = begun(nights)

    (left,) = applier.change([new()])

    (stored,) = nights.journal.open_changes()
    assert left.change == stored.change
    assert stored.state is LegState.REFUSED
    assert "cannot make or change them" in stored.detail


def test_a_directory_and_a_portal_of_one_name_are_not_taken_for_each_other(tmp_path: Path) -> None:
    nights = newcomers(tmp_path, "n1")
    applier = begun(nights)
    disable = MembershipChange(ChangeKind.DISABLE, "engage", "n1", nights.member("n1"))
    for change in (disable, new(directory="engage")):
        (one,) = nights.journal.intend_changes(applier.run, [change], "alice")
        nights.journal.record_changes([(one, Outcome(LegState.CLOSED))], applier.run)

    assert nights.journal.memory(applier.run.as_of, flip_runs=10).closed_members == {("engage", "n1")}


def test_a_crash_after_a_real_directory_made_the_account_leaves_one_account_linked_to_its_person(
    tmp_path: Path, slapd: Slapd
) -> None:
    unit = slapd.add_ou()
    directory = LdapDirectory("ldap", openldap_settings(slapd, tmp_path, base=unit, managed=(unit,)), site(tmp_path))
    nights = newcomers(tmp_path, "n1")
    nights.directories["ldap"] = directory  # type: ignore[assignment] # a real one beside the fakes
    change = new(directory="ldap", dn=f"CN=un1,{unit}", username=f"u-{guid(unit)}")
    with pytest.raises(Crash):
        begun(nights, Crashing(Boundary.ADDITION_SENT)).change([change])
    execute(nights.journal, "UPDATE leases SET expires_at = '2020-01-01 00:00:00.000000'")
    execute(nights.journal, "UPDATE claims SET expires_at = '2020-01-01 00:00:00.000000'")
    applier = begun(nights)

    left = applier.drive_changes(nights.journal.open_changes())

    (account,) = directory.read_all().accounts
    directory.disconnect()
    assert left == nights.journal.open_changes() == ()
    assert account.employee_id == "Cn1"
    assert nights.journal.memory(applier.run.as_of, flip_runs=10).links[("ldap", account.guid)] == "n1"


def test_every_kind_of_change_is_kept_and_read_back_as_it_was(journal: Journal) -> None:
    run = journal.begin_run("scim", "scim:entra", TODAY, {})
    changes = (
        new(attributes=(("sn", ('O"Hara',)), ("title", ()))),
        AccountChange("p1", ChangeAccount(account(), (("title", ()), ("sn", ("Ł", "b"))))),
        AccountChange("p1", GroupMembership("ad", GROUP, guid("x"), join=True)),
        AccountChange("p2", GroupMembership("ad", GROUP, guid("y"), join=False, employee_id="C2")),
    )

    intended = journal.intend_changes(run, changes, "scim:entra")
    journal.record_changes([(intended[0], Outcome(LegState.ALREADY_CLOSED, after=account()))], run)

    assert [one.change for one in intended] == list(changes)
    assert [one.change for one in journal.open_changes()] == list(changes[1:])
    assert journal.memory(TODAY, flip_runs=10).links == {("ad", guid("ad:p1")): "n1"}


def test_what_is_open_of_an_account_is_said_in_words(tmp_path: Path) -> None:
    nights = newcomers(tmp_path, "n1")
    nights.ad.trouble.down = True
    begun(nights).change([new()])

    (one,) = nights.journal.open_changes()

    assert open_change_words(one) == "  n1: make the account in ad: unreachable (ad does not answer)"


# --- what is missing --------------------------------------------------------------------------------------------------


def identity(*accounts: Account, by: MatchLevel = MatchLevel.EMPLOYEE_ID, disputed: str = "") -> Identity:
    person = school().person("p1").people["p1"]
    return Identity("p1", "p1", person, accounts=tuple(Linked(a, by) for a in accounts), disputed=disputed)


def account(**fields: Any) -> Account:
    return school().account("p1", **fields).accounts[0]


VALUES = {"userName": "up1", "name.givenName": "Ann", "emails[work]": ""}


def missing(
    who: Identity, *, present: dict[str, str] | None = None, ours: bool = False, cleared: str = "", **values: str
) -> AccountPlan:
    wanted = Wanted("ad", TEMPLATE, VALUES | values, frozenset({cleared} - {""}))
    held = {"sAMAccountName": "up1", "givenName": "Ann"} if present is None else present
    found = {
        a.account.guid: AccountAttributes(a.account.guid, tuple((n, (v,)) for n, v in held.items()))
        for a in who.accounts
    }
    closed = [("ad", a.account.guid) for a in who.accounts] if ours else []
    return account_changes(who, wanted, found, closed)


def test_somebody_without_an_account_gets_one_by_the_template() -> None:
    plan = missing(identity())

    attributes = (("sAMAccountName", ("up1",)), ("givenName", ("Ann",)))
    wanted = NewAccount("ad", "CN=up1,OU=Parents,DC=school", "up1", "p1", "Cp1", attributes)
    assert plan == AccountPlan((AccountChange("p1", wanted),))


def test_a_hostile_name_stays_in_the_entrys_own_name() -> None:
    plan = missing(identity(), userName="x,OU=Admins")

    (change,) = plan.changes
    assert isinstance(change.wanted, NewAccount)
    assert change.wanted.dn == "CN=x\\,OU\\=Admins,OU=Parents,DC=school"


def test_who_only_a_provider_knows_gets_the_person_id_as_employee_id() -> None:
    who = identity()
    assert who.person is not None

    (change,) = missing(replace(who, person=replace(who.person, code=""))).changes

    assert isinstance(change.wanted, NewAccount)
    assert change.wanted.employee_id == "p1"


def test_without_what_the_name_needs_no_account_is_made_and_the_reason_is_said() -> None:
    plan = missing(identity(), userName=" ")

    assert (plan.changes, "has no userName" in plan.refused[0]) == ((), True)


def test_nobody_in_the_admin_system_gets_an_account() -> None:
    assert missing(replace(identity(), person=None)).refused != ()


def test_an_account_that_is_right_is_left_alone() -> None:
    assert missing(identity(account())) == AccountPlan()


def test_only_what_differs_is_changed_and_what_was_never_said_stays() -> None:
    found = account()
    plan = missing(identity(found), present={"samaccountname": "up1", "givenName": "Anna", "mail": "a@x"})

    assert plan.changes == (AccountChange("p1", ChangeAccount(found, (("givenName", ("Ann",)),))),)


def test_what_was_taken_away_on_purpose_is_emptied() -> None:
    found = account()
    held = {"sAMAccountName": "up1", "givenName": "Ann", "mail": "a@x"}

    plan = missing(identity(found), present=held, cleared="emails[work]")

    assert plan.changes == (AccountChange("p1", ChangeAccount(found, (("mail", ()),))),)


@pytest.mark.parametrize(
    ("who", "hold"),
    [
        (identity(account(), disputed="two accounts"), Hold.DISPUTED),
        (identity(account(), by=MatchLevel.EMAIL), Hold.WEAK_MATCH),
        (identity(account(protected="adminCount is set")), Hold.PROTECTED),
        (identity(account(enabled=False)), Hold.DISABLED_ELSEWHERE),
    ],
)
def test_what_is_not_surely_ours_to_change_is_held(who: Identity, hold: Hold) -> None:
    assert missing(who, present={}) == AccountPlan(holds=(hold,))


def test_what_we_closed_ourselves_is_kept_right_and_not_enabled() -> None:
    plan = missing(identity(account(enabled=False)), present={"sAMAccountName": "up1"}, ours=True)

    (change,) = plan.changes
    assert change.kind is ChangeKind.UPDATE_ACCOUNT


def test_an_account_outside_the_managed_ous_is_named_and_no_second_one_is_made() -> None:
    plan = missing(identity(account(managed=False)), present={})

    assert (plan.changes, "outside the managed OUs" in plan.refused[0]) == ((), True)


def test_an_account_that_could_not_be_read_is_left_for_later() -> None:
    who = identity(account())

    assert account_changes(who, Wanted("ad", TEMPLATE, VALUES), {}, ()) == AccountPlan()


def test_a_group_is_joined_by_whose_account_it_surely_is() -> None:
    change = group_change(identity(), account(), GROUP, join=True)

    assert change.wanted == GroupMembership("ad", GROUP, guid("ad:p1"), join=True, employee_id="Cp1")
    with pytest.raises(ValueError, match="nobody's account"):
        group_change(replace(identity(), person_id=None), account(), GROUP, join=True)
