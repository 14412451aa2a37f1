"""Groups as rows: a document without its members, beside the columns it is found by. Part of a transaction each.

A Group's row never grows with its members: one more or less of ten thousand is one row of another table.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update

from connector.reconcile.journal_scim_tables import scim_groups
from connector.scim.committing import Turn
from connector.scim.errors import conflict, not_found
from connector.scim.prepared import Prepared
from connector.scim.resources import rendered
from connector.scim.search_document import group_columns, index_key
from connector.scim.searched import with_meta

Document = Mapping[str, Any]

COLUMNS = tuple(column for column in scim_groups.c if column.name != "search")

_ROW = select(*COLUMNS).where(scim_groups.c.id == bindparam("id"))
_PORTAL = select(scim_groups.c.id).where(scim_groups.c.display_key == bindparam("key"), scim_groups.c.portal != "")
_INSERT = Prepared(insert(scim_groups))
_CHANGED = ("display_name", "display_key", "external_id", "document", "search", "version", "modified_at")
_UPDATE = Prepared(
    update(scim_groups)
    .where(scim_groups.c.id == bindparam("of"))
    .values({name: bindparam(f"new_{name}", type_=scim_groups.c[name].type) for name in _CHANGED})
)
_DELETE = Prepared(delete(scim_groups).where(scim_groups.c.id == bindparam("of")))


def find(turn: Turn, group_id: str) -> Row[Any]:
    """Give a Group's row. Raises ScimError 404."""
    row = turn.writing.conn.execute(_ROW, {"id": group_id}).first()
    if row is None:
        raise not_found(f"There is no Group {group_id}.")
    return row


def refuse_portal_name(turn: Turn, display_name: str, own_id: str = "") -> None:
    """Refuse another Group with a portal's name: a provider would take one for the other. Raises ScimError 409."""
    row = turn.writing.conn.execute(_PORTAL, {"key": index_key(display_name)}).first()
    if row is not None and row.id != own_id:
        raise conflict(f"{display_name} is a portal: Group {row.id}. Change its members; it is not created over SCIM.")


def add(turn: Turn, group_id: str, document: Document, client: str, portal: str = "") -> str:
    """Store a new Group; give its document as it is answered, without members."""
    now = turn.writing.now
    text = rendered(document, group_id, 1, now, now)
    columns = _columns(with_meta("Group", document, group_id, 1, now, now), text, 1)
    place = {"id": group_id, "position": turn.position(scim_groups), "portal": portal, "client": client}
    _INSERT.write(turn.writing.conn, **columns, **place, created_at=now, modified_at=now)
    turn.grow(scim_groups, 1)
    return text


def change(turn: Turn, row: Row[Any], document: Document) -> str:
    """Store a Group anew, also where only its members are others; give its document as it is answered."""
    version, now = row.version + 1, turn.writing.now
    text = rendered(document, row.id, version, row.created_at, now)
    columns = _columns(with_meta("Group", document, row.id, version, row.created_at, now), text, version)
    columns["modified_at"] = now
    _UPDATE.write(turn.writing.conn, of=row.id, **{f"new_{name}": columns[name] for name in _CHANGED})
    return text


def remove(turn: Turn, group_id: str) -> None:
    """Forget a Group and who was in it."""
    _DELETE.write(turn.writing.conn, of=group_id)
    turn.grow(scim_groups, -1)


def _columns(document: Document, text: str, version: int) -> dict[str, Any]:
    return {
        **group_columns(document),
        "display_name": document["displayName"],
        "document": text,
        "version": version,
    }
