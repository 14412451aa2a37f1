"""What stands in a directory before something is written there: entries, who has which name, groups. All read anew.

Reads only. Must never take an entry it cannot read as a person for nobody: it is in the way all the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from connector.ldap.connection import DirectoryConnection
from connector.ldap.dialect import Dialect, guid_filter
from connector.ldap.entry import Lens, to_account
from connector.ldap.names import dn_key, is_below
from connector.ldap.protection import RawAttributes
from connector.ldap.scope import ScopeSettings
from connector.ldap.search import all_of, any_of, equals, filter_of
from connector.model import Account

_BATCH = 50
PRINCIPAL = "userPrincipalName"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it is now, and the account it is where it is a person's. `version` is OpenLDAP's entryCSN."""

    dn: str
    raw: RawAttributes
    account: Account | None

    @property
    def guid(self) -> str:
        """The account's GUID; empty where it is no account."""
        return self.account.guid if self.account else ""

    @property
    def version(self) -> str:
        """What changes with every change of the entry."""
        return next(iter(self.raw.get("entrycsn", ())), b"").decode("utf-8", "replace")

    def values(self, name: str) -> tuple[bytes, ...]:
        """Give an attribute's values as they are."""
        return tuple(self.raw.get(name.lower(), ()))

    def texts(self, name: str) -> tuple[str, ...]:
        """Give an attribute's values as texts."""
        return tuple(value.decode("utf-8", "replace") for value in self.values(name))


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """A group that may be written, and the attribute that lists its members."""

    dn: str
    member: str


class Standing:
    """One look at a directory, with who is protected read once for it. Raises ConnectionLost and SearchRefused."""

    def __init__(self, settings: ScopeSettings, lens: Lens, context: str, connection: DirectoryConnection) -> None:
        self._settings = settings
        self._words = settings.vocabulary
        self._lens = lens
        self._context = context
        self._connection = connection

    def entry(self, dn: str) -> Entry | None:
        """Read one entry by its name, whatever it is."""
        found = self._connection.one(dn, (*self._words.attributes, "objectClass"))
        return self._entry(*found) if found else None

    def claiming(self, username: str = "", principal: str = "", employee_id: str = "") -> list[Entry]:
        """Find who has one of these already: a name anywhere in the directory, an employee id below the base."""
        words = self._words
        names = [(words.username, username)]
        names += [(PRINCIPAL, principal)] if words.dialect is Dialect.AD else []
        by_name = [equals(name, value.encode()) for name, value in names if value]
        found = list(self._search(self._context, any_of(by_name))) if by_name else []
        if employee_id:
            person = filter_of(words.person_filter)
            by_id = all_of(person, equals(words.employee_id, employee_id.encode()))
            found += self._search(self._settings.base, by_id)
        return found

    def accounts(self, guids: Sequence[str], names: Sequence[str]) -> dict[str, Entry]:
        """Read these accounts by GUID, wherever they are by now, with these attributes besides the usual ones."""
        filters = [query for guid in dict.fromkeys(guids) if (query := self._by_guid(guid))]
        person = filter_of(self._words.person_filter)
        found: dict[str, Entry] = {}
        for start in range(0, len(filters), _BATCH):
            query = all_of(person, any_of(filters[start : start + _BATCH]))
            found.update({each.guid: each for each in self._search(self._context, query, names)})
        return found

    def group(self, dn: str) -> GroupEntry | str:
        """Read a group that members may join, or say why none may."""
        words = self._words
        try:
            key = dn_key(dn)
        except ValueError:
            return f"{dn[:80]!r} is no name a group can have. Correct it in [scim.groups]."
        found = self._connection.one(dn, ("objectClass", "adminCount"))
        if found is None:
            return f"The group {dn} is not there. Correct its name in [scim.groups]."
        classes = {value.decode("ascii", "replace").lower() for value in found[1].get("objectclass", ())}
        if not classes & words.group_classes:
            return f"{dn} is no group."
        if not any(is_below(key, ou) for ou in self._settings.managed_keys):
            return f"The group {dn} is outside the managed OUs; nothing is written there."
        if key in self._lens.protection.groups or any(value != b"0" for value in found[1].get("admincount", ())):
            return f"The group {dn} is protected: nobody joins or leaves it from here."
        return GroupEntry(found[0], "uniqueMember" if "groupofuniquenames" in classes else "member")

    def is_member(self, group: GroupEntry, dn: str) -> bool:
        """Ask the group for one member: its members are never read."""
        query = equals(group.member, dn.encode())
        return any(self._connection.entries(group.dn, query, ("1.1",)))

    def _search(self, base: str, query: bytes, names: Sequence[str] = ()) -> Iterator[Entry]:
        wanted = tuple(dict.fromkeys((*self._words.attributes, "objectClass", *names)))
        for dn, raw in list(self._connection.entries(base, query, wanted)):
            yield self._entry(dn, raw)

    def _entry(self, dn: str, raw: RawAttributes) -> Entry:
        classes = {value.decode("ascii", "replace").lower() for value in raw.get("objectclass", ())}
        is_person = not self._words.person_classes.isdisjoint(classes) and "computer" not in classes
        return Entry(dn, raw, to_account(dn, raw, self._lens) if is_person else None)

    def _by_guid(self, guid: str) -> bytes:
        try:
            return guid_filter(self._words.dialect, guid)
        except ValueError:
            return b""  # what is no GUID names no account
