"""Makes accounts, keeps their attributes, and lets them join and leave groups; believes only what it reads back.

Must never write outside the managed OUs, a protected account or a protected group, or over another's entry. Nothing is
sent a second time without having been read again: after a broken connection it reconnects once, reads, and decides from
what is there. Every item gets an outcome, whatever happens.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from connector.errors import ConnectorError
from connector.ldap.connection import NO_SUCH_OBJECT, DirectoryConnection
from connector.ldap.modify import Result
from connector.ldap.new_entry import NewEntry, new_entry
from connector.ldap.reader import ConnectionLost, SearchRefused
from connector.ldap.scope import ScopeSettings
from connector.ldap.standing import Entry, Standing
from connector.ldap.update import as_wanted, judge_change, judge_new, request_of, taken_by
from connector.ldap.view import AccountView
from connector.ldap.write import AddEntry, ModifyEntry
from connector.model import Account, LegState, Outcome
from connector.permission import before_send
from connector.provisioning import AccountAttributes, ChangeAccount, GroupMembership, NewAccount

Item = TypeVar("Item", NewAccount, ChangeAccount, GroupMembership)

# RFC 4511 A.1, RFC 4528 3: the entry, or what it collides with, is not as it was read.
_EXISTS = 68
_RACED = {16, 20, NO_SUCH_OBJECT, _EXISTS, 122}
_CONSTRAINT, _UNWILLING, _INSUFFICIENT_ACCESS, _OBJECT_CLASS = 19, 53, 50, 65
_TRY_LATER = {51, 52}


Step = Callable[[Standing, Item, bool], Outcome]
"""Brings one item to its outcome. The flag says that an earlier try of it may have arrived."""


class Provisioning:
    """Drives batches of what is wanted through one connection."""

    def __init__(self, name: str, settings: ScopeSettings, view: AccountView, connection: DirectoryConnection) -> None:
        self._name = name
        self._settings = settings
        self._words = settings.vocabulary
        self._view = view
        self._connection = connection
        self._was_sent = False

    def create(self, batch: Sequence[NewAccount]) -> tuple[Outcome, ...]:
        """Make accounts, each only where nobody else has its name."""
        return self._each(batch, self._create)

    def update(self, batch: Sequence[ChangeAccount]) -> tuple[Outcome, ...]:
        """Give accounts other values, each only if it still is as planned."""
        return self._each(batch, self._update)

    def group(self, batch: Sequence[GroupMembership]) -> tuple[Outcome, ...]:
        """Let accounts join groups or leave them."""
        return self._each(batch, self._group)

    def attributes(self, guids: Sequence[str], names: Sequence[str]) -> tuple[AccountAttributes, ...]:
        """Read these attributes of these accounts. Raises ConnectionLost and SearchRefused."""
        found = self._standing().accounts(guids, names)
        wanted = [found[guid] for guid in dict.fromkeys(guids) if guid in found]
        return tuple(AccountAttributes(e.guid, tuple((n, e.texts(n)) for n in names)) for e in wanted)

    # --- a batch ----------------------------------------------------------------------------------------------------

    def _standing(self) -> Standing:
        return Standing(self._settings, self._view.lens(), self._view.context(), self._connection)

    def _each(self, batch: Sequence[Item], step: Step[Item]) -> tuple[Outcome, ...]:
        """Take item after item; once a reconnection did not help either, the rest is left alone."""
        outcomes: list[Outcome] = []
        standing: Standing | None = None
        trouble = ""
        for item in batch:
            self._was_sent = False
            outcome = None
            for _ in range(0 if trouble else 2):
                try:
                    standing = standing or self._standing()
                    outcome = step(standing, item, self._was_sent)
                    break
                except (ConnectionLost, SearchRefused, ConnectorError) as error:
                    self._connection.drop()
                    standing, why = None, str(error)
            else:
                trouble = trouble or why
            outcomes.append(outcome or self._unknown(item, trouble))
        return tuple(outcomes)

    def _write(self, request: AddEntry | ModifyEntry) -> Result:
        before_send()
        self._was_sent = True  # before the sending: what may have gone out is never forgotten
        return self._connection.write(request)

    def _unknown(self, item: NewAccount | ChangeAccount | GroupMembership, why: str) -> Outcome:
        what = "was asked for and could not be read back" if self._was_sent else "was not written"
        before = item.before if isinstance(item, ChangeAccount) else None
        return Outcome(LegState.UNREACHABLE, f"{_name(item)} {what}: {why}", before=before)

    # --- a new account ----------------------------------------------------------------------------------------------

    def _create(self, standing: Standing, item: NewAccount, sent: bool) -> Outcome:
        entry = new_entry(item, self._settings)
        if isinstance(entry, str):
            return Outcome(LegState.REFUSED, f"No account was made for {item.person_id}: {entry}.")
        there = self._in_the_way(standing, entry)
        if outcome := judge_new(entry, there, ours=sent):
            return outcome
        result = self._write(entry.request(self._words.dialect))
        if result.code in (_EXISTS, _CONSTRAINT):
            there = self._in_the_way(standing, entry)
            if outcome := judge_new(entry, there, ours=False):
                return outcome
        if result.code == NO_SUCH_OBJECT:
            said = f"No account was made for {item.person_id}: the OU of {item.dn} is not there. Correct the template."
            return Outcome(LegState.REFUSED, said)
        return _refused(item.dn, result, "create users") if result.code else self._made(standing, entry)

    def _in_the_way(self, standing: Standing, entry: NewEntry) -> list[Entry]:
        """Give what is under the new name already, and whoever has its user name or its employee id."""
        named = standing.entry(entry.dn)
        others = standing.claiming(entry.username, entry.principal, entry.employee_id)
        return [*([named] if named else []), *others]

    def _made(self, standing: Standing, entry: NewEntry) -> Outcome:
        found = standing.entry(entry.dn)
        account = found.account if found else None
        if account is None:
            return Outcome(LegState.CONFLICT, f"{entry.dn} was made, and is not there any more.")
        if account.enabled != entry.enabled or account.employee_id != entry.employee_id:
            return Outcome(LegState.CONFLICT, f"{entry.dn} was made, and somebody changed it since.", after=account)
        return Outcome(LegState.CLOSED, after=account)

    # --- attributes -------------------------------------------------------------------------------------------------

    def _update(self, standing: Standing, item: ChangeAccount, sent: bool) -> Outcome:
        found = self._read(standing, item)
        verdict = judge_change(item, found, self._settings, ours=sent)
        if isinstance(verdict, Outcome):
            return verdict
        before = verdict.account
        if other := taken_by(item, standing, self._settings):
            return Outcome(LegState.CONFLICT, f"{other}. Nothing was written.", before, before)
        result = self._write(request_of(verdict, self._words.dialect))
        after = self._read(standing, item) if result.code == 0 or result.code in _RACED else None
        if after and as_wanted(item, after):
            return Outcome(LegState.ALREADY_CLOSED if result.code else LegState.CLOSED, "", before, after.account)
        if result.code and result.code not in _RACED:
            return _refused(item.before.dn, result, "write these attributes", before)
        said = f"{item.before.dn} changed while it was being written; what is there now was left alone."
        return Outcome(LegState.CONFLICT, said, before, after.account if after else None)

    def _read(self, standing: Standing, item: ChangeAccount) -> Entry | None:
        names = [name for name, _ in item.attributes]
        return standing.accounts([item.before.guid], names).get(item.before.guid)

    # --- groups -----------------------------------------------------------------------------------------------------

    def _group(self, standing: Standing, item: GroupMembership, sent: bool) -> Outcome:
        found = standing.accounts([item.guid], ()).get(item.guid)
        account = found.account if found else None
        if account is None:
            return Outcome(LegState.CALLED_OFF, f"The account {item.guid} is gone from directory {self._name}.")
        if refusal := self._never_in_groups(account, item):
            return Outcome(LegState.REFUSED, refusal, account, account)
        group = standing.group(item.group)
        if isinstance(group, str):
            return Outcome(LegState.REFUSED, group, account, account)
        is_member = standing.is_member(group, account.dn)
        if is_member is item.join:
            return Outcome(LegState.CLOSED if sent else LegState.ALREADY_CLOSED, "", account, account)
        value = ((group.member, (account.dn.encode(),)),)
        request = ModifyEntry(group.dn, put=value) if item.join else ModifyEntry(group.dn, away=value)
        result = self._write(request)
        if standing.is_member(group, account.dn) is item.join:
            return Outcome(LegState.ALREADY_CLOSED if result.code else LegState.CLOSED, "", account, account)
        return _refused(group.dn, result, "write members", account)

    def _never_in_groups(self, account: Account, item: GroupMembership) -> str:
        if not account.managed:
            return f"{account.dn} is outside the managed OUs; it is seen, never written."
        if account.protected:
            return f"{account.dn} is protected ({account.protected}); it is never written."
        if item.employee_id and account.employee_id.strip().casefold() != item.employee_id.strip().casefold():
            return f"{account.dn} bears the employee id {account.employee_id!r} now, not {item.employee_id!r}."
        return ""


def _name(item: NewAccount | ChangeAccount | GroupMembership) -> str:
    match item:
        case NewAccount():
            return item.dn
        case ChangeAccount():
            return item.before.dn
        case GroupMembership():
            return f"{item.guid} in {item.group}"


_REMEDIES = {
    _INSUFFICIENT_ACCESS: " Give the connector's account the right to {} in the managed OUs.",
    _OBJECT_CLASS: " Map what the directory asks for in [scim.directories]; a group may need its last member.",
    _UNWILLING: " See the directory's rules for passwords and names.",
}


def _refused(dn: str, result: Result, right: str, before: Account | None = None) -> Outcome:
    if result.code == 0 or result.code in _RACED:
        return Outcome(LegState.CONFLICT, f"{dn} changed while it was being written.", before, before)
    state = LegState.UNREACHABLE if result.code in _TRY_LATER else LegState.REFUSED
    said = f"{result.description} ({result.code}) {result.message}".strip()
    remedy = _REMEDIES.get(result.code, "").format(right)
    return Outcome(state, f"The server would not write {dn}: {said}.{remedy}", before=before)
