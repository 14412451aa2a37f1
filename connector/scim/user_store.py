"""Users as rows: a document as it is answered, beside the columns it is found by. Each verb is part of a transaction.

What a row says of `active` is what its document says. Nothing here decides; nothing here reads a request.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from connector.reconcile.journal_at_once import given, given_rows
from connector.reconcile.journal_bulk import among
from connector.reconcile.journal_scim_tables import scim_users
from connector.scim.committing import Turn
from connector.scim.errors import conflict, not_found
from connector.scim.prepared import Prepared
from connector.scim.resources import rendered
from connector.scim.seam import Ruling
from connector.scim.search_document import email_keys, user_columns
from connector.scim.searched import with_meta

Document = Mapping[str, Any]

COLUMNS = tuple(column for column in scim_users.c if column.name != "search")
"""A row as it is ruled on and answered: all but what only a filter reads."""

_ROW = Prepared(select(*COLUMNS).where(scim_users.c.id == bindparam("id")))
_ROWS = Prepared(select(*COLUMNS).where(among(scim_users.c.id, "ids")))
_USER = "user"
_GIVEN = given_rows(scim_users)
_INSERT = Prepared(
    insert(scim_users), Prepared(insert(scim_users).from_select([one.name for one in _GIVEN.c], select(_GIVEN)))
)
_CHANGED = (
    "user_name",
    "user_name_key",
    "external_id",
    "code_key",
    "active",
    "wanted",
    "pending",
    "pending_since",
    "source",
    "client",
    "document",
    "search",
    "version",
    "modified_at",
)
_NEW = given({"of": scim_users.c.id.type, **{f"new_{name}": scim_users.c[name].type for name in _CHANGED}})
_UPDATE = Prepared(
    update(scim_users)
    .where(scim_users.c.id == bindparam("of"))
    .values({name: bindparam(f"new_{name}", type_=scim_users.c[name].type) for name in _CHANGED}),
    Prepared(
        update(scim_users)
        .where(scim_users.c.id == _NEW.c.of)
        .values({name: _NEW.c[f"new_{name}"] for name in _CHANGED})
    ),
)
_DELETE = Prepared(delete(scim_users).where(scim_users.c.id == bindparam("of")))


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a User is from now on: the client it came through, and what was ruled."""

    client: str
    ruling: Ruling


def find(turn: Turn, user_id: str) -> Row[Any]:
    """Give a User's row. Raises ScimError 404."""
    writing = turn.writing if turn.is_left(user_id) else turn.unflushed
    row: Row[Any] | None = writing.foreseen.pop((_USER, user_id), None) or _ROW.first(writing.conn, id=user_id)
    if row is None:
        raise not_found(f"There is no User {user_id}.")
    return row


def foresee(turn: Turn, user_ids: Collection[str]) -> list[Row[Any]]:
    """Read the rows of several Users at once. Each is taken from there by the first `find`."""
    rows = _ROWS.all(turn.writing.conn, ids=list(user_ids)) if user_ids else []
    turn.unflushed.foreseen |= {(_USER, row.id): row for row in rows}
    return rows


def add(turn: Turn, user_id: str, document: Document, owner: Owner) -> str:
    """Store a new User; give its document as it is answered. Raises ScimError 409 where the name is taken."""
    now = turn.unflushed.now
    text = rendered(document, user_id, 1, now, now)
    row = {
        **_columns(with_meta("User", document, user_id, 1, now, now), owner, text, 1, now),
        "id": user_id,
        "position": turn.position(scim_users),
        "person_id": owner.ruling.person_id,
        "mirror_digest": "",
        "created_at": now,
    }
    _executed(turn, _INSERT, user_id, str(document["userName"]), row)
    turn.mails[user_id] = (email_keys(document), True)
    turn.grow(scim_users, 1)
    return text


def change(turn: Turn, row: Row[Any], before: Document, document: Document, owner: Owner, *, asks: bool = True) -> str:
    """Store a User anew; give its document as it is answered. Raises ScimError 409 where the new name is taken.

    `asks` is whether what is pending is asked for now; where it is only told how things stand, it pends since before.
    """
    version, now = row.version + 1, turn.unflushed.now
    text = rendered(document, row.id, version, row.created_at, now)
    columns = _columns(with_meta("User", document, row.id, version, row.created_at, now), owner, text, version, now)
    if not asks and owner.ruling.pending:
        columns["pending_since"] = row.pending_since
    values = {f"new_{name}": columns[name] for name in _CHANGED}
    _executed(turn, _UPDATE, row.id, str(document["userName"]), {"of": row.id, **values})
    if email_keys(before) != email_keys(document):
        turn.mails[row.id] = (email_keys(document), False)
    return text


def remove(turn: Turn, user_id: str) -> None:
    """Forget a User, and that it was in any Group."""
    _DELETE.write(turn.writing.conn, of=user_id)
    turn.mails.pop(user_id, None)
    turn.grow(scim_users, -1)


def _columns(document: Document, owner: Owner, text: str, version: int, now: datetime) -> dict[str, Any]:
    ruling = owner.ruling
    return {
        **user_columns(document),
        "source": ruling.source,
        "client": owner.client,
        "user_name": document["userName"],
        "active": ruling.active,
        "wanted": ruling.wanted,
        "pending": ruling.pending,
        "pending_since": now if ruling.pending else None,
        "document": text,
        "version": version,
        "modified_at": now,
    }


def _executed(turn: Turn, statement: Prepared, user_id: str, name: str, values: Mapping[str, Any]) -> None:
    turn.unflushed.foreseen.pop((_USER, user_id), None)
    if turn.together:
        turn.later(statement, user_id, values)
        return
    try:
        statement.write(turn.writing.conn, **values)
    except IntegrityError as error:
        # The index decides, not a look beforehand: of many who ask at once one gets the name.
        if "user_name_key" in str(error.orig):
            raise conflict(f"The userName {name!r} is taken.") from None
        if "person_id" in str(error.orig):
            raise conflict("This person has a User already.") from None
        raise
