"""A directory's entries seen as accounts: who is in it, who is managed, who is protected, all from the server, all now.

Must never answer from memory: protection is read anew for every reading and before every batch of writes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from connector.errors import ConfigError
from connector.ldap.connection import DirectoryConnection
from connector.ldap.dialect import Dialect, guid_filter
from connector.ldap.entry import Lens, to_account
from connector.ldap.names import dn_key, is_at_or_below
from connector.ldap.protection import Group, Protection, member_keys, roots, to_group, with_nested
from connector.ldap.scope import ScopeSettings
from connector.ldap.search import all_of, any_of, filter_of
from connector.model import Account

_BATCH = 100  # a server compares every entry it finds with every part of such a filter


@dataclass(frozen=True, slots=True)
class Found:
    """An account as it is now. `version` changes with every change of the entry (OpenLDAP's entryCSN)."""

    account: Account
    version: str


class AccountView:
    """Reads accounts through a connection. Raises ConnectionLost and SearchRefused as that does."""

    def __init__(self, name: str, settings: ScopeSettings, connection: DirectoryConnection) -> None:
        self._name = name
        self._settings = settings
        self._words = settings.vocabulary
        self._connection = connection

    def everyone(self) -> Iterator[Account]:
        """Yield every person's account below the base."""
        lens = self.lens()
        for dn, raw in self._connection.entries(self._settings.base, self._words.person_filter, self._words.attributes):
            yield to_account(dn, raw, lens)

    def find(self, guids: Sequence[str], lens: Lens | None = None) -> dict[str, Found]:
        """Read these accounts again, wherever in the directory they are by now.

        Who is protected is read anew, but where a `lens` is given: that of the writes which are read back.
        """
        filters = [query for guid in dict.fromkeys(guids) if (query := self._by_guid(guid))]
        if not filters:
            return {}
        lens, context = lens or self.lens(), self.context()
        found = {}
        for start in range(0, len(filters), _BATCH):
            query = all_of(filter_of(self._words.person_filter), any_of(filters[start : start + _BATCH]))
            for dn, raw in self._connection.entries(context, query, self._words.attributes):
                account = to_account(dn, raw, lens)
                version = next(iter(raw.get("entrycsn", ())), b"").decode("utf-8", "replace")
                found[account.guid] = Found(account, version)
        return found

    def lens(self) -> Lens:
        """Read who is protected. Raises ConfigError where a protected group is not there: who is in it is unknown."""
        return Lens(self._name, self._words, self._settings.managed_keys, self._protection())

    def context(self) -> str:
        """Give the naming context the base is in: groups, and accounts that moved, may lie outside the base."""
        base = self._settings.base_key
        contexts = [name for name in self._connection.root()["namingcontexts"] if is_at_or_below(base, dn_key(name))]
        return max(contexts, key=lambda name: len(dn_key(name)), default="") or self._settings.base

    def members(self, group: Group, step: int = 0) -> list[bytes]:
        """Give all members a group lists, however many ranges the server cuts them into."""
        return [*self._ranged(group.dn, "member", step), *self._ranged(group.dn, "uniqueMember", step)]

    def _protection(self) -> Protection:
        settings = self._settings
        context = self.context()
        listed = self._connection.entries(context, self._words.group_filter, ("memberOf", "objectSid"))
        groups = [to_group(dn, raw) for dn, raw in listed]
        is_ad = settings.dialect is Dialect.AD
        admins = dn_key(f"CN=Domain Admins,CN=Users,{context}") if is_ad else None
        start, missing = roots(groups, settings.protected_groups, admins)
        if missing:
            raise ConfigError(
                f"Directory {self._name}: the protected group {missing[0]} is not there, so nobody knows who is in it.",
                "Correct protected_groups, or let the connector's account read the group.",
            )
        found, members = with_nested(start, groups, lambda group: member_keys(self.members(group)))
        return Protection(
            groups={key: group.dn for key, group in found.items()},
            members=members,
            rids={group.rid: group.dn for group in found.values() if group.rid is not None},
            ous=tuple((dn_key(ou), ou) for ou in settings.protected_ous),
            mark=settings.mark,
        )

    def _ranged(self, dn: str, attribute: str, step: int) -> list[bytes]:
        """Read an attribute in ranges (MS-ADTS 3.1.1.3.1.3.3): AD shows 1,500 values at a time."""
        values: list[bytes] = []
        while True:
            start = len(values)
            last = str(start + step - 1) if step else "*"
            entry = self._connection.one(dn, (f"{attribute};range={start}-{last}" if start or step else attribute,))
            raw = entry[1] if entry else {}
            ranges = [name for name in raw if name.startswith(f"{attribute.lower()};range=")]
            values += raw.get(attribute.lower(), ()) if not ranges else raw[ranges[0]]
            if not ranges or ranges[0].endswith("-*") or len(values) == start:
                return values

    def _by_guid(self, guid: str) -> bytes:
        try:
            return guid_filter(self._words.dialect, guid)
        except ValueError:
            return b""  # what is no GUID names no account
