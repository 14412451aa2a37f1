"""From a person, what is known of them and a template to what is missing in a directory. Pure: `apply` makes it so.

Must never ask for a second account of one person, for a change of an account that is not surely theirs, or to enable
what stands disabled: what we closed is restored, what somebody else closed waits for a person.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from connector.model import Account, Hold
from connector.provisioning import (
    AccountAttributes,
    AccountTemplate,
    ChangeAccount,
    GroupMembership,
    NewAccount,
    Values,
    filled,
    filled_dn,
    paths_in,
)
from connector.reconcile.correlate import Identity, Linked, MatchLevel
from connector.reconcile.journal_values import AccountChange
from connector.reconcile.wording import who


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """The changes that are missing (none: all is so already), what waits for a person, and why the rest is not done."""

    changes: tuple[AccountChange, ...] = ()
    holds: tuple[Hold, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one person is to have in one directory.

    `values` are what is known of them, by path (`AccountTemplate.paths`). `cleared` are paths that were taken away on
    purpose: only what they alone make up is emptied, for a provider that never sent a value says nothing about it.
    """

    directory: str
    template: AccountTemplate
    values: Mapping[str, str]
    cleared: frozenset[str] = frozenset()


def account_changes(
    identity: Identity,
    wanted: Wanted,
    present: Mapping[str, AccountAttributes],
    closed_accounts: Collection[tuple[str, str]],
) -> AccountPlan:
    """Give what is missing. `present` says, by GUID, what the template's attributes hold now.

    `closed_accounts` are (directory, GUID) of the accounts whose last change was our closing. Whoever is to be let in
    is decided before this is asked: an account is made for everybody who has none.
    """
    if identity.disputed:
        return AccountPlan(holds=(Hold.DISPUTED,))
    mine = [linked for linked in identity.accounts if linked.account.directory == wanted.directory]
    if not mine:
        return _new(identity, wanted)
    holds = tuple(dict.fromkeys(hold for linked in mine if (hold := _hold(linked, closed_accounts))))
    if holds:
        return AccountPlan(holds=holds)
    outside = [linked.account.dn for linked in mine if not linked.account.managed]
    there = [linked.account for linked in mine if linked.account.managed and linked.account.guid in present]
    changes = (_update(identity, account, wanted, present[account.guid]) for account in there)
    return AccountPlan(
        tuple(change for change in changes if change is not None),
        refused=tuple(f"{dn} is outside the managed OUs; nothing is written there." for dn in outside),
    )


def group_change(identity: Identity, account: Account, group: str, *, join: bool) -> AccountChange:
    """Give the change that lets somebody's account join a group, or leave it. Raises ValueError for nobody's."""
    membership = GroupMembership(account.directory, group, account.guid, join, account.employee_id)
    return AccountChange(_person_id(identity), membership)


def _person_id(identity: Identity) -> str:
    if identity.person_id is None:
        raise ValueError(f"{identity.key} is nobody's account: nothing is provisioned for it.")
    return identity.person_id


def _new(identity: Identity, wanted: Wanted) -> AccountPlan:
    person = identity.person
    if person is None or identity.person_id is None:
        return AccountPlan(refused=(f"{who(identity).label} is in no admin record: no account is made.",))
    template, values = wanted.template, wanted.values
    dn = filled_dn(template.dn, values)
    if not dn:
        missing = sorted(path for path in paths_in(template.dn) if not values.get(path, "").strip())
        said = f"{who(identity).label} has no {', '.join(missing)}: without it the account in {wanted.directory} has no"
        return AccountPlan(refused=(f"{said} name.",))
    # Who comes from a provider alone may have no contact code: the person_id says as surely whose the account is.
    employee_id = person.code or identity.person_id
    account = NewAccount(
        wanted.directory,
        dn,
        values.get("userName", ""),
        identity.person_id,
        employee_id,
        tuple((name, one) for name, one in _attributes(wanted) if one),
        template.enabled,
    )
    return AccountPlan((AccountChange(identity.person_id, account),))


def _hold(linked: Linked, closed_accounts: Collection[tuple[str, str]]) -> Hold | None:
    account = linked.account
    if account.protected:
        return Hold.PROTECTED
    if linked.by is MatchLevel.EMAIL:
        return Hold.WEAK_MATCH
    ours = (account.directory, account.guid) in closed_accounts
    return None if account.enabled or ours else Hold.DISABLED_ELSEWHERE


def _update(identity: Identity, account: Account, wanted: Wanted, present: AccountAttributes) -> AccountChange | None:
    differing = tuple((name, one) for name, one in _attributes(wanted) if present.of(name) != one)
    return AccountChange(_person_id(identity), ChangeAccount(account, differing)) if differing else None


def _attributes(wanted: Wanted) -> Values:
    """Give what every attribute is to hold: a value where there is one, nothing where it was taken away."""
    made = []
    for name, text in wanted.template.attributes.items():
        value = filled(text, wanted.values)
        if value.strip() or not wanted.cleared.isdisjoint(paths_in(text)):
            made.append((name, (value,) if value.strip() else ()))
    return tuple(made)
