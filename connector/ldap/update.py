"""What to do about a new account or changed attributes, given what stands there now. Pure, but for asking who else.

Must never let a write through for an account that is protected, unmanaged or somebody else's by now, nor take another's
name away.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from connector.ldap.dialect import Dialect, Vocabulary
from connector.ldap.new_entry import NewEntry, odd_username, unwritable_among
from connector.ldap.scope import ScopeSettings
from connector.ldap.standing import PRINCIPAL, Entry, Standing
from connector.ldap.write import ModifyEntry, RawValues
from connector.model import Account, LegState, Outcome
from connector.provisioning import ChangeAccount, unusable


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One conditional write: what is there goes only as it was read, what is wanted comes in its place."""

    entry: Entry
    account: Account
    away: RawValues
    put: RawValues


def judge_new(entry: NewEntry, there: Sequence[Entry], *, ours: bool) -> Outcome | None:
    """Give the outcome where the account, or something in its way, is there already; none where it may be made.

    `ours`: we have tried, so what is there as wanted is our doing.
    """
    same = [found.account for found in there if found.account and _is(found.account, entry.employee_id)]
    if same:
        state, said = LegState.ALREADY_CLOSED, f"{same[0].dn} is this person's account already."
        if ours and same[0].username.casefold() == entry.username.casefold():
            state, said = LegState.CLOSED, "an earlier try took effect"
        return Outcome(state, said, before=same[0], after=same[0])
    if there:
        found = there[0]
        whose = f"bears the employee id {found.account.employee_id!r}" if found.account else "is no person's account"
        said = (
            f"{found.dn} has this name or user name already and {whose}; it was left alone. Give one of the two "
            "another name."
        )
        return Outcome(LegState.CONFLICT, said, found.account, found.account)
    return None


def judge_change(
    item: ChangeAccount, found: Entry | None, settings: ScopeSettings, *, ours: bool
) -> "Outcome | Rewrite":
    """Give the write to try, or the outcome where there is nothing to write."""
    if found is None or found.account is None:
        gone = f"{item.before.dn} is gone from directory {item.before.directory}."
        return Outcome(LegState.CALLED_OFF, gone, before=item.before)
    now = found.account
    if refusal := _refusal(item, now, settings):
        return Outcome(LegState.REFUSED, refusal, now, now)
    if as_wanted(item, found):
        return Outcome(LegState.CLOSED if ours else LegState.ALREADY_CLOSED, "", now, now)
    if difference := _difference(item, now, settings.vocabulary):
        return Outcome(LegState.CONFLICT, f"{now.dn} is not as planned: {difference}. Nothing was written.", now, now)
    changed = [(n, values) for n, values in item.attributes if found.texts(n) != values]
    away = tuple((name, found.values(name)) for name, _ in changed if found.values(name))
    put = tuple((name, tuple(value.encode() for value in values)) for name, values in changed if values)
    return Rewrite(found, now, away, put)


def request_of(write: Rewrite, dialect: Dialect) -> ModifyEntry:
    """Give the request. Old values go by name, so that a change that came between is refused by the server."""
    if dialect is Dialect.AD:
        # MS-ADTS 3.1.1.3.1.2.4: named by GUID, a renamed or moved entry is still the one that was judged.
        return ModifyEntry(f"<GUID={write.account.guid}>", write.away, write.put)
    return ModifyEntry(write.account.dn, write.away, write.put, ("entryCSN", write.entry.version))  # RFC 4528


def as_wanted(item: ChangeAccount, found: Entry) -> bool:
    """Say whether every attribute holds what it is to hold, in whatever order."""
    return all(sorted(found.texts(name)) == sorted(values) for name, values in item.attributes)


def taken_by(item: ChangeAccount, standing: Standing, settings: ScopeSettings) -> str:
    """Say who else has a name or an employee id that this account is to get; empty: nobody."""
    words = settings.vocabulary
    wanted = {
        key: value
        for key, name, is_now in (
            ("username", words.username, item.before.username),
            ("principal", PRINCIPAL, ""),
            ("employee_id", words.employee_id, item.before.employee_id),
        )
        if (value := wanted_text(item, name)) and value != is_now
    }
    others = standing.claiming(**wanted) if wanted else ()
    return next((f"{e.dn} has {_listed(wanted.values())} already" for e in others if e.guid != item.before.guid), "")


def wanted_text(item: ChangeAccount, name: str) -> str | None:
    """Give the one value an attribute is to get: empty where it is to be cleared, none where it is left alone."""
    return next(
        ((values[0] if values else "") for known, values in item.attributes if known.lower() == name.lower()), None
    )


def _refusal(item: ChangeAccount, now: Account, settings: ScopeSettings) -> str:
    words = settings.vocabulary
    if not now.managed:
        return f"{now.dn} is outside the managed OUs; it is seen, never written."
    if now.protected:
        return f"{now.dn} is protected ({now.protected}); it is never written."
    why = unwritable_among(item.attributes, settings) or unusable(v for _, values in item.attributes for v in values)
    username = wanted_text(item, words.username)
    if not why and username is not None:
        why = odd_username(words.username, username)
    if not why and wanted_text(item, words.employee_id) == "":
        why = "without an employee id nobody could say later whose it is"
    return f"{now.dn} was not written: {why}." if why else ""


def _difference(item: ChangeAccount, now: Account, words: Vocabulary) -> str:
    # An account given to somebody else since must not get the values of the one before.
    for what, name, planned, is_now in (
        ("employee id", words.employee_id, item.before.employee_id, now.employee_id),
        ("username", words.username, item.before.username, now.username),
    ):
        if not _same(planned, is_now) and not _same(wanted_text(item, name) or "", is_now):
            return f"its {what} was {planned!r} and is {is_now!r}"
    return ""


def _is(account: Account, employee_id: str) -> bool:
    return bool(employee_id.strip()) and _same(account.employee_id, employee_id)


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _listed(texts: Iterable[str]) -> str:
    return " or ".join(repr(text) for text in texts)
