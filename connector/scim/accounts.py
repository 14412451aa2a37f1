"""Accounts and directory groups for Users, by the templates of the config: what is missing becomes changes.

It reads what the directories hold now and asks the pure planner; nothing is written here.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from connector.config_scim import Scim
from connector.interfaces import Provisioner
from connector.reconcile import journal_tables as tables
from connector.reconcile.correlate import Identity
from connector.reconcile.journal_values import AccountChange, ChangeKind
from connector.reconcile.memory import Memory
from connector.reconcile.provisioning import Wanted, account_changes, group_change
from connector.reconcile.reading import Targets
from connector.scim.account_values import values_of

_GROUPED = (
    select(tables.changes.c.kind, tables.changes.c.after)
    .where(tables.changes.c.person_id == bindparam("person_id"))
    .where(tables.changes.c.kind.in_((ChangeKind.JOIN_GROUP.value, ChangeKind.LEAVE_GROUP.value)))
    .order_by(tables.changes.c.id)
)


@dataclass(frozen=True, slots=True)
class Accounts:
    """Plans accounts for one school."""

    settings: Scim
    targets: Targets
    memory: Memory

    def missing(self, identity: Identity, row: Row[Any]) -> Iterator[AccountChange]:
        """Give what a User's account lacks in every directory with a template. Raises TargetUnreachable."""
        document = json.loads(row.document)
        for name, template in self.settings.directories.items():
            directory: object = self.targets.directories.get(name)
            if not isinstance(directory, Provisioner):
                continue
            guids = [a.account.guid for a in identity.accounts if a.account.directory == name]
            held = directory.attributes(guids, sorted(template.attributes)) if guids else ()
            wanted = Wanted(name, template, values_of(document, template.paths))
            yield from account_changes(
                identity, wanted, {one.guid: one for one in held}, self.memory.closed_accounts
            ).changes

    def regrouped(self, conn: Connection, identity: Identity, row: Row[Any]) -> Iterator[AccountChange]:
        """Give the directory groups an account is to join, and those we had it join and it is to leave."""
        names = {str(group.get("display") or "").casefold() for group in json.loads(row.document).get("groups") or ()}
        joined = _joined(conn, identity.key)
        for name, group in self.settings.groups.items():
            for account in (a.account for a in identity.accounts if a.account.directory == group.directory):
                wanted = name.casefold() in names
                if group.dn and wanted != ((account.guid, group.dn.casefold()) in joined):
                    yield group_change(identity, account, group.dn, join=wanted)


def _joined(conn: Connection, person_id: str) -> frozenset[tuple[str, str]]:
    """Give (GUID, group) of what we had this person's accounts join and not leave since."""
    found: set[tuple[str, str]] = set()
    for kind, after in conn.execute(_GROUPED, {"person_id": person_id}):
        said: Mapping[str, Any] = json.loads(after)
        place = str(said["guid"]), str(said["group"]).casefold()
        if kind == ChangeKind.JOIN_GROUP.value:
            found.add(place)
        else:
            found.discard(place)
    return frozenset(found)
