"""Whether somebody can log in now, portal by portal, whatever they are entitled to. Pure.

What could not be read is not known; it is never said to be shut.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from connector.model import Account, Member
from connector.policy import PortalRules, SignIn
from connector.reconcile.correlate import Identity
from connector.reconcile.decide import Decisions
from connector.reconcile.text import fold
from connector.reconcile.wording import clean, label_of


@dataclass(frozen=True, slots=True)
class Door:
    """One way in. `opens` is none where it could not be read; `entitled` says whether it should open."""

    portal: str
    username: str
    opens: bool | None
    why: str
    entitled: bool


def doors_now(identity: Identity, decisions: Decisions) -> tuple[Door, ...]:
    """Give every way into a portal this identity has, or had, in the config's order."""
    return tuple(door for portal in decisions.scene.portals for door in _doors_of(identity, portal, decisions))


def _doors_of(identity: Identity, portal: PortalRules, decisions: Decisions) -> Iterable[Door]:
    entitled = portal.name in decisions.scene.claims.portals_of(identity.person_id)
    if portal.name in decisions.scene.unread_portals:
        yield Door(portal.name, "", None, "the portal could not be read", entitled)
    for member in identity.members_of(portal.name):
        opens, why = _member_opens(identity, member, portal, decisions)
        yield Door(portal.name, clean(member.username), opens, why, entitled)


Answer = tuple[bool | None, str]


def _member_opens(identity: Identity, member: Member, portal: PortalRules, decisions: Decisions) -> Answer:
    if not member.enabled:
        return False, "the member is disabled"
    if not member.username:
        return False, "the username was cleared or never given"
    if portal.sign_in is SignIn.PASSWORD:
        return (True, "username and password stand") if member.has_password else (False, "it has no password")
    return _directory_opens(identity, member, decisions)


def _directory_opens(identity: Identity, member: Member, decisions: Decisions) -> Answer:
    """The directory's account of that name decides; one of another name that is this person's own counts as well."""
    named = _accounts_named(member.username, decisions)
    own = [a.account for a in identity.accounts]
    others = [(holder, a) for holder, a in named if a not in own]
    mine = [a for a in own if fold(a.username) == fold(member.username)] or ([] if others else own)
    if opening := [a for a in mine if _opens(a, decisions)]:
        return True, f"the account {clean(opening[0].username)} is enabled"
    for holder, account in others:
        if _opens(account, decisions):
            return True, f"with the account {clean(account.username)}, which is {holder}'s"
    if decisions.scene.unread_directories:
        return None, f"the directory {', '.join(decisions.scene.unread_directories)} could not be read"
    found = [*mine, *(a for _, a in others)]
    return False, _shut(found[0]) if found else f"the directory has no account {clean(member.username)} we know of"


def _accounts_named(username: str, decisions: Decisions) -> list[tuple[str, Account]]:
    """Give every account of that name with whose it is."""
    wanted = fold(username)
    return [
        (label_of(decisions, i.person_id) if i.person_id else "nobody", a.account)
        for i in decisions.correlation.identities
        for a in i.accounts
        if fold(a.account.username) == wanted
    ]


def _opens(account: Account, decisions: Decisions) -> bool:
    return account.enabled and not is_expired(account, decisions)


def is_expired(account: Account, decisions: Decisions) -> bool:
    """Say whether an account has run out. Expired is not disabled: the entry still stands open to being extended."""
    return account.expires_at is not None and account.expires_at.date() <= decisions.school.as_of


def _shut(account: Account) -> str:
    state = "is disabled" if not account.enabled else f"ran out on {account.expires_at:%Y-%m-%d}"
    return f"the account {clean(account.username)} {state}"
