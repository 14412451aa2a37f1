"""What a provider may do with Users. Each verb is made ready from a request, and done inside a transaction.

What it means for anybody's access is ruled by `Rules`, never here. A write that changes nothing writes nothing. No
value of an attribute is put into the audit trail but the user name and the client's own note.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from connector.reconcile.journal_store import Writing
from connector.scim import group_store, user_store
from connector.scim.clients import Client
from connector.scim.committing import Act, Foreseeing, Turn
from connector.scim.conditions import IfMatch
from connector.scim.ids import new_id
from connector.scim.memberships import groups_of
from connector.scim.patch import patched_user
from connector.scim.resources import CONNECTOR_SCHEMA, replaced_user, validated_user, with_kept
from connector.scim.room import USERS, Saved
from connector.scim.seam import Adopted, Rules, Ruling
from connector.scim.search_document import refuse_long_keys
from connector.scim.user_store import Document, Owner

_LONGEST_NOTE = 200
_NO_NOTE: Document = {}


@dataclass(frozen=True, slots=True)
class Users:
    """The verbs, under one set of rules."""

    rules: Rules

    def create(self, client: Client, sent: object) -> Act[Saved]:
        """POST (RFC 7644 3.3)."""
        document = validated_user(sent, strict=client.strict)
        refuse_long_keys(document)

        def act(turn: Turn) -> Saved:
            ruling = self.rules.create(turn.unflushed, client, document)  # a name or person twice is refused in the end
            if isinstance(ruling, Adopted):
                return self._adopted(turn, client, ruling, document)
            user_id, owner = new_id(), Owner(client.name, ruling)
            text = user_store.add(turn, user_id, {**document, "active": ruling.active}, owner)
            said = f"User {document['userName']} was created.{_remark(_NO_NOTE, document)}"
            _note(turn.unflushed, "scim-created", client, ruling.person_id, said)
            return _saved(user_id, 1, text, ruling, 201)

        return Foreseeing(act, self._foresee, document)

    def replace(self, client: Client, user_id: str, sent: object, if_match: IfMatch) -> Act[Saved]:
        """PUT (RFC 7644 3.5.1)."""

        def act(turn: Turn) -> Saved:
            row, before = _found(turn, user_id, if_match)
            after = replaced_user(before, sent, strict=client.strict)
            return self._changed(turn, client, row, before, after)

        return act

    def patch(self, client: Client, user_id: str, sent: object, if_match: IfMatch) -> Act[Saved]:
        """PATCH (RFC 7644 3.5.2)."""

        def act(turn: Turn) -> Saved:
            row, before = _found(turn, user_id, if_match)
            after = patched_user(before, sent, strict=client.strict)
            return self._changed(turn, client, row, before, after)

        return Foreseeing(act, self._foresee, user_id)

    def _foresee(self, turn: Turn, wishes: Sequence[Document | str]) -> bool:
        """Read for a batch: documents are of new Users, texts the ids of those that are changed."""
        rows = user_store.foresee(turn, {wish for wish in wishes if isinstance(wish, str)})
        return self.rules.foresee(turn.unflushed, [wish for wish in wishes if not isinstance(wish, str)], rows)

    def delete(self, client: Client, user_id: str, if_match: IfMatch) -> Act[Saved]:
        """DELETE (RFC 7644 3.6). The person stays known; only the User is gone."""

        def act(turn: Turn) -> Saved:
            row = user_store.find(turn, user_id)
            if_match.check(row.version)
            self.rules.delete(turn.writing, client, row)
            groups = [group_store.find(turn, group_id) for group_id in groups_of(turn, user_id)]
            user_store.remove(turn, user_id)
            for group in groups:
                group_store.change(turn, group, json.loads(group.document))
            _note(turn.writing, "scim-deleted", client, row.person_id, f"User {row.user_name} was deleted.")
            return Saved(USERS, user_id, row.version, "", 204)

        return act

    def _adopted(self, turn: Turn, client: Client, adopted: Adopted, document: Document) -> Saved:
        """Take over a User that the connector made of the admin system's person."""
        row = user_store.find(turn, adopted.user_id)
        before = json.loads(row.document)
        after = {**with_kept(before, document), "active": adopted.ruling.active}
        text = user_store.change(turn, row, before, after, Owner(client.name, adopted.ruling))
        said = f"User {document['userName']} was taken over.{_remark(before, document)}"
        _note(turn.writing, "scim-created", client, adopted.ruling.person_id, said)
        return _saved(row.id, row.version + 1, text, adopted.ruling, 201)

    def _changed(self, turn: Turn, client: Client, row: Row[Any], before: Document, after: dict[str, Any]) -> Saved:
        ruling = self.rules.update(turn.unflushed, client, row, after)  # it reads no User but this one
        if after == before and _stands(ruling, row):
            return _saved(row.id, row.version, row.document, ruling)
        refuse_long_keys(after, before)
        after["active"] = ruling.active
        owner = Owner(row.client or client.name, ruling)
        text = user_store.change(turn, row, before, after, owner)
        changed = ", ".join(sorted(_differences(before, after)))
        said = f"User {row.user_name} was changed: {changed or 'nothing'}.{_remark(before, after)}"
        _note(turn.unflushed, "scim-changed", client, ruling.person_id, said)
        return _saved(row.id, row.version + 1, text, ruling)


def _found(turn: Turn, user_id: str, if_match: IfMatch) -> tuple[Row[Any], dict[str, Any]]:
    row = user_store.find(turn, user_id)
    if_match.check(row.version)
    return row, json.loads(row.document)


def _stands(ruling: Ruling, row: Row[Any]) -> bool:
    """Whether the row says so already; attributes that did not change need no update anywhere."""
    same = (ruling.active, ruling.wanted) == (row.active, row.wanted)
    return same and ruling.pending in (row.pending, "update")


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def _remark(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Give the client's note as the audit record has it, where there is a new one."""
    note = after.get(CONNECTOR_SCHEMA, {}).get("note")
    if not note or note == before.get(CONNECTOR_SCHEMA, {}).get("note"):
        return ""
    # Cut first: a note may be as long as a body.
    plain = "".join(letter if letter.isprintable() else " " for letter in note[:_LONGEST_NOTE])
    return f' Note: "{plain.strip()}"'


def _saved(user_id: str, version: int, document: str, ruling: Ruling, status: int = 200) -> Saved:
    return Saved(USERS, user_id, version, document, status, (user_id,) if ruling.pending else ())


def _note(writing: Writing, kind: str, client: Client, person_id: str, text: str) -> None:
    writing.note(kind, person_id, client.operator, text, person_id=person_id)
