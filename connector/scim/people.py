"""What the newest judgement says of each person, for a process that holds no snapshot.

The driver writes it, the endpoint reads it, both inside their own transactions. Blocks are asked for anew each time:
they may be younger than the judgement.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, or_, select

from connector.model import Status
from connector.reconcile import journal_tables as tables
from connector.reconcile.journal_scim_tables import scim_people
from connector.reconcile.text import fold, fold_id

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"  # RFC 7643 4.3


@dataclass(frozen=True, slots=True)
class Known:
    """A person of the admin system as judged last. `humans` are the other records of the same human."""

    person_id: str
    name: str
    status: Status
    entitled: frozenset[str]
    humans: tuple[str, ...]
    why: str


_PERSON = select(scim_people).where(scim_people.c.person_id == bindparam("person_id"))
_BY_CODE = select(scim_people).where(scim_people.c.code_key == bindparam("code_key"))
_BY_EMAIL = select(scim_people).where(scim_people.c.email_key == bindparam("email_key"))
_BLOCKED = (
    select(tables.blocks.c.person_id)
    .where(tables.blocks.c.person_id.in_(bindparam("people", expanding=True)), tables.blocks.c.lifted_at.is_(None))
    .where(or_(tables.blocks.c.until.is_(None), tables.blocks.c.until >= bindparam("today")))
    .limit(1)
)
_REQUESTED = (
    select(tables.requests.c.person_id)
    .where(tables.requests.c.person_id.in_(bindparam("people", expanding=True)), tables.requests.c.lifted_at.is_(None))
    .limit(1)
)


def known(conn: Connection, person_id: str) -> Known | None:
    """Give one person; none whom the admin system does not have."""
    row = conn.execute(_PERSON, {"person_id": person_id}).mappings().first()
    return _known(row) if row else None


def is_blocked(conn: Connection, people: Iterable[str], today: date) -> bool:
    """Say whether a block or a request stands on any of these records."""
    wanted = list(people)
    if conn.execute(_BLOCKED, {"people": wanted, "today": today}).first():
        return True
    return conn.execute(_REQUESTED, {"people": wanted}).first() is not None


def correlate(conn: Connection, document: Mapping[str, Any]) -> Known | None:
    """Find the admin system's person a User is: by contact code, else by an e-mail that one person has.

    Of several with one e-mail, the one of the same full name: those two together are the same human.
    """
    if (code := code_key(document)) and (found := conn.execute(_BY_CODE, {"code_key": code}).mappings().all()):
        return _known(found[0])
    mails = {fold(str(mail.get("value") or "")) for mail in document.get("emails") or ()} - {""}
    rows = {row["person_id"]: row for mail in sorted(mails) for row in _of_mail(conn, mail)}
    named = [row for row in rows.values() if row["name"] and fold(row["name"]) == full_name(document)]
    chosen = named or list(rows.values())
    return _known(chosen[0]) if chosen and (named or len(chosen) == 1) else None


def code_key(document: Mapping[str, Any]) -> str:
    """Give a User's contact code for comparing; empty where it has none."""
    return fold_id(str((document.get(ENTERPRISE) or {}).get("employeeNumber") or ""))


def full_name(document: Mapping[str, Any]) -> str:
    """Give a User's given and family name for comparing."""
    name = document.get("name") or {}
    return fold(f"{name.get('givenName') or ''} {name.get('familyName') or ''}")


def _of_mail(conn: Connection, mail: str) -> Iterable[RowMapping]:
    return conn.execute(_BY_EMAIL, {"email_key": mail}).mappings().all()


def _known(row: RowMapping) -> Known:
    entitled, humans = frozenset(json.loads(row["entitled"])), tuple(json.loads(row["humans"]))
    return Known(row["person_id"], row["name"], Status(row["status"]), entitled, humans, row["why"])
