"""Who is in which Group. One member more or less of ten thousand touches that one and the Group, nobody else.

A User's document names its Groups, so that a User is read in one row: it is written anew here for those whose
memberships changed, and for nobody else. What a change means for access is ruled in the same transaction.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update

from connector.reconcile.journal_bulk import among, execute_many
from connector.reconcile.journal_scim_tables import scim_groups, scim_members, scim_users
from connector.reconcile.journal_store import parts
from connector.scim import user_store
from connector.scim.clients import Client
from connector.scim.committing import Turn
from connector.scim.errors import invalid_value
from connector.scim.prepared import Prepared
from connector.scim.resources import rendered
from connector.scim.seam import Rules
from connector.scim.search_document import search_of
from connector.scim.searched import with_meta

_USERS = select(*user_store.COLUMNS).where(among(scim_users.c.id, "ids"))
_THERE = select(scim_members.c.user_id).where(
    scim_members.c.group_id == bindparam("group_id"), among(scim_members.c.user_id, "ids")
)
_ALL = select(scim_members.c.user_id).where(scim_members.c.group_id == bindparam("group_id"))
_JOIN = insert(scim_members)
_LEAVE = delete(scim_members).where(
    scim_members.c.group_id == bindparam("group_id"), among(scim_members.c.user_id, "ids")
)
_GROUPS_OF = (
    select(scim_members.c.user_id, scim_groups.c.id, scim_groups.c.display_name)
    .join(scim_groups, scim_groups.c.id == scim_members.c.group_id)
    .where(among(scim_members.c.user_id, "ids"))
    .order_by(scim_groups.c.position)
)
_GROUP_IDS = select(scim_members.c.group_id).where(scim_members.c.user_id == bindparam("user_id"))
_WRITE = Prepared(
    update(scim_users)
    .where(scim_users.c.id == bindparam("of"))
    .values(
        {
            name: bindparam(f"new_{name}", type_=scim_users.c[name].type)
            for name in ("document", "search", "version", "modified_at")
        }
    )
)
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Members:
    """The members of one Group, within one transaction, changed by one client."""

    turn: Turn
    rules: Rules
    client: Client
    group: Row[Any]
    pending: list[str] = field(default_factory=list)

    def add(self, user_ids: Iterable[str]) -> int:
        """Put Users in; give how many were not in it. Raises ScimError where one of them does not exist."""
        wanted = list(dict.fromkeys(user_ids))
        there = {row.user_id for part in parts(wanted) for row in self._execute(_THERE, part)}
        users = self._users([user_id for user_id in wanted if user_id not in there])
        now, group_id = self.turn.writing.now, self.group.id
        rows = [{"group_id": group_id, "user_id": user.id, "added_at": now} for user in users]
        execute_many(self.turn.writing.conn, _JOIN, rows)
        if users:
            self.rules.joined(self.turn.writing, self.client, self.group, users)
            self.pending.extend(refresh(self.turn, [user.id for user in users]))
        return len(users)

    def remove(self, user_ids: Iterable[str]) -> int:
        """Take Users out; give how many were in it. Whoever is not in it already is as it should be."""
        wanted = list(dict.fromkeys(user_ids))
        there = [row.user_id for part in parts(wanted) for row in self._execute(_THERE, part)]
        users = self._users(there)
        for part in parts(there):
            self._execute(_LEAVE, part)
        if users:
            self.rules.left(self.turn.writing, self.client, self.group, users)
            self.pending.extend(refresh(self.turn, there))
        return len(there)

    def all(self) -> tuple[str, ...]:
        """Give the ids of everybody in it."""
        found = self.turn.writing.conn.execute(_ALL, {"group_id": self.group.id})
        return tuple(row.user_id for row in found)

    def replace(self, user_ids: Iterable[str]) -> tuple[int, int]:
        """Let exactly these be in it; give how many came and how many went."""
        wanted, there = list(dict.fromkeys(user_ids)), self.all()
        kept, asked = set(there), set(wanted)
        came = self.add(user_id for user_id in wanted if user_id not in kept)
        return came, self.remove(user_id for user_id in there if user_id not in asked)

    def _users(self, user_ids: Sequence[str]) -> list[Row[Any]]:
        conn = self.turn.writing.conn
        found = {row.id: row for part in parts(user_ids) for row in conn.execute(_USERS, {"ids": part})}
        if missing := [user_id for user_id in user_ids if user_id not in found]:
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            named = ", ".join(missing[:_NAMED]) + more
            said = "A member is a User that exists, never a Group. Nothing was changed."
            raise invalid_value(f"No User has the id {named}. {said}")
        return [found[user_id] for user_id in user_ids]

    def _execute(self, statement: Any, part: Collection[str]) -> Any:
        return self.turn.writing.conn.execute(statement, {"group_id": self.group.id, "ids": part})


def groups_of(turn: Turn, user_id: str) -> tuple[str, ...]:
    """Give the ids of the Groups a User is in."""
    return tuple(row.group_id for row in turn.writing.conn.execute(_GROUP_IDS, {"user_id": user_id}))


def refresh(turn: Turn, user_ids: Sequence[str]) -> list[str]:
    """Write anew what these Users' documents say of their Groups, and of `active` where a rule changed it.

    Gives those for whom something is still to be done on the targets.
    """
    conn, pending = turn.writing.conn, []
    for part in parts(user_ids):
        groups: dict[str, list[dict[str, str]]] = defaultdict(list)
        for user_id, group_id, name in conn.execute(_GROUPS_OF, {"ids": part}):
            # A relative reference (RFC 7643 2.3.7): what the service is called from outside is known when it answers.
            groups[user_id].append({"value": group_id, "$ref": f"../Groups/{group_id}", "display": name})
        users = conn.execute(_USERS, {"ids": part}).all()
        _WRITE.write_many(conn, [_rewritten(user, groups.get(user.id), turn.writing.now) for user in users])
        pending += [user.id for user in users if user.pending]
    return pending


def _rewritten(user: Row[Any], groups: list[dict[str, str]] | None, now: datetime) -> dict[str, Any]:
    document, version = json.loads(user.document), user.version + 1
    document["active"] = user.active
    document.pop("groups", None)
    if groups:
        document["groups"] = groups
    return {
        "of": user.id,
        "new_document": rendered(document, user.id, version, user.created_at, now),
        "new_search": search_of("User", with_meta("User", document, user.id, version, user.created_at, now)),
        "new_version": version,
        "new_modified_at": now,
    }
