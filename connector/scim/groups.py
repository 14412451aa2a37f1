"""What a provider may do with Groups: everything with those it pushes, only the members with those that are portals.

Members are never loaded to change one of them. A body that says nothing about members leaves them as they are.
"""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from connector.scim import group_store
from connector.scim.clients import Client
from connector.scim.committing import Act, Turn
from connector.scim.conditions import IfMatch
from connector.scim.errors import forbidden, mutability
from connector.scim.ids import new_id
from connector.scim.member_changes import MemberChanges, member_changes
from connector.scim.memberships import Members, refresh
from connector.scim.patch import patched_group
from connector.scim.resources import replaced_group, validated_group
from connector.scim.room import GROUPS, Saved
from connector.scim.seam import Rules
from connector.scim.search_document import refuse_long_keys

MOST_WAITS = 50
"""For how many members an answer waits; for more it is sent at once, and each User tells its own state."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The verbs, under one set of rules."""

    rules: Rules

    def create(self, client: Client, sent: object) -> Act[Saved]:
        """POST (RFC 7644 3.3)."""
        body = validated_group(sent, strict=client.strict)
        refuse_long_keys(body.document)

        def act(turn: Turn) -> Saved:
            name = body.document["displayName"]
            group_store.refuse_portal_name(turn, name)
            group_id = new_id()
            text = group_store.add(turn, group_id, body.document, client.name)
            members = self._members(turn, client, group_store.find(turn, group_id))
            came = members.add(body.members or ())
            _note(turn, "scim-created", client, group_id, f"Group {name} was created with {came} members.")
            return Saved(GROUPS, group_id, 1, text, 201, _waits(members))

        return act

    def replace(self, client: Client, group_id: str, sent: object, if_match: IfMatch) -> Act[Saved]:
        """PUT (RFC 7644 3.5.1)."""

        def act(turn: Turn) -> Saved:
            row, before = _found(turn, group_id, if_match)
            body = replaced_group(before, sent, strict=client.strict)
            changes = MemberChanges(replace=body.members)
            return self._changed(turn, client, row, before, body.document, changes)

        return act

    def patch(self, client: Client, group_id: str, sent: object, if_match: IfMatch) -> Act[Saved]:
        """PATCH (RFC 7644 3.5.2)."""
        changes = member_changes(sent, strict=client.strict)

        def act(turn: Turn) -> Saved:
            row, before = _found(turn, group_id, if_match)
            after = patched_group(before, changes.rest, strict=client.strict) if changes.rest else before
            saved = self._changed(turn, client, row, before, after, changes)
            # Changed members alone are answered without a body: it could be a list of ten thousand.
            only_members = changes.touches_members and not changes.rest and not client.strict
            return saved if not only_members else Saved(GROUPS, row.id, saved.version, saved.document, 204, saved.waits)

        return act

    def delete(self, client: Client, group_id: str, if_match: IfMatch) -> Act[Saved]:
        """DELETE (RFC 7644 3.6)."""

        def act(turn: Turn) -> Saved:
            row = group_store.find(turn, group_id)
            if_match.check(row.version)
            if row.portal:
                raise forbidden(f"Group {row.display_name} is the portal {row.portal}; it is not deleted over SCIM.")
            members = self._members(turn, client, row)
            gone = members.remove(members.all())
            group_store.remove(turn, group_id)
            _note(turn, "scim-deleted", client, group_id, f"Group {row.display_name} was deleted with {gone} members.")
            return Saved(GROUPS, group_id, row.version, "", 204)

        return act

    def _members(self, turn: Turn, client: Client, row: Row[Any]) -> Members:
        return Members(turn, self.rules, client, row)

    def _changed(
        self,
        turn: Turn,
        client: Client,
        row: Row[Any],
        before: dict[str, Any],
        after: dict[str, Any],
        changes: MemberChanges,
    ) -> Saved:
        refuse_long_keys(after, before)
        _refuse_rename(turn, row, after["displayName"])
        members = self._members(turn, client, row)
        came, went = _moved(members, changes)
        if after == before and not (came or went):
            return Saved(GROUPS, row.id, row.version, row.document)
        text = group_store.change(turn, row, after)
        if after["displayName"] != row.display_name:
            refresh(turn, members.all())
        said = f"Group {row.display_name} was changed: {came} members came, {went} went."
        _note(turn, "scim-changed", client, row.id, said)
        return Saved(GROUPS, row.id, row.version + 1, text, waits=_waits(members))


def _moved(members: Members, changes: MemberChanges) -> tuple[int, int]:
    if changes.replace is not None:
        return members.replace(changes.replace)
    return members.add(changes.add), members.remove(changes.remove)


def _waits(members: Members) -> tuple[str, ...]:
    """Give those something is still to be done for, unless they are too many to wait for."""
    return tuple(members.pending) if len(members.pending) <= MOST_WAITS else ()


def _refuse_rename(turn: Turn, row: Row[Any], name: str) -> None:
    if name == row.display_name:
        return
    if row.portal:
        raise mutability(f"Group {row.display_name} is the portal {row.portal}; its name is not changed over SCIM.")
    group_store.refuse_portal_name(turn, name, row.id)


def _found(turn: Turn, group_id: str, if_match: IfMatch) -> tuple[Row[Any], dict[str, Any]]:
    row = group_store.find(turn, group_id)
    if_match.check(row.version)
    return row, json.loads(row.document)


def _note(turn: Turn, kind: str, client: Client, group_id: str, text: str) -> None:
    turn.writing.note(kind, group_id, client.operator, text)
