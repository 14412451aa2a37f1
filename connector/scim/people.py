"""What the newest judgement says of each person, for a process that holds no snapshot.

The driver writes it, the endpoint reads it, both inside their own transactions. Blocks are asked for anew each time:
they may be younger than the judgement.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, bindparam, exists, or_, select

from connector.model import Status
from connector.reconcile import journal_tables as tables
from connector.reconcile.journal_bulk import among
from connector.reconcile.journal_scim_tables import scim_closings, scim_emails, scim_people, scim_usernames, scim_users
from connector.reconcile.text import fold, fold_id
from connector.scim.prepared import Prepared
from connector.scim.search_document import index_key

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
    exists()
    .where(among(tables.blocks.c.person_id, "people"), tables.blocks.c.lifted_at.is_(None))
    .where(or_(tables.blocks.c.until.is_(None), tables.blocks.c.until >= bindparam("today")))
)
_REQUESTED = exists().where(among(tables.requests.c.person_id, "people"), tables.requests.c.lifted_at.is_(None))
_KEPT_OUT = Prepared(select(or_(_BLOCKED, _REQUESTED).label("kept_out")))
_LEAVING = exists().where(among(scim_closings.c.person_id, "people"), scim_closings.c.done_at.is_(None))
_IN_THE_WAY = Prepared(select(or_(_BLOCKED, _REQUESTED).label("kept_out"), _LEAVING.label("leaving")))
_BY_NAME = (
    select(scim_people)
    .join(scim_usernames, scim_usernames.c.person_id == scim_people.c.person_id)
    .where(scim_usernames.c.name_key == bindparam("name_key"))
)
_ALIKE = Prepared(
    select(
        or_(
            exists().where(among(scim_usernames.c.name_key, "names")),
            exists().where(among(scim_people.c.email_key, "names")),  # a user name may be an e-mail
            exists().where(among(scim_emails.c.user_id, "users"), scim_people.c.email_key == scim_emails.c.value_key),
        ).label("alike")
    )
)
_HEARD_OF = Prepared(
    select(
        or_(
            exists().where(among(scim_people.c.code_key, "codes")),
            exists().where(among(scim_people.c.email_key, "mails")),
            exists().where(among(scim_users.c.user_name_key, "names")),
            exists().where(among(scim_usernames.c.name_key, "names")),
            exists().where(among(scim_users.c.person_id, "people")),
            exists().where(among(tables.blocks.c.person_id, "people")),
            exists().where(among(tables.requests.c.person_id, "people")),
        ).label("heard_of")
    )
)


def known(conn: Connection, person_id: str) -> Known | None:
    """Give one person; none whom the admin system does not have."""
    row = conn.execute(_PERSON, {"person_id": person_id}).mappings().first()
    return _known(row) if row else None


def is_blocked(conn: Connection, people: Iterable[str], today: date) -> bool:
    """Say whether a block or a request stands on any of these records."""
    return bool(_KEPT_OUT.first(conn, people=list(people), today=today).kept_out)


def in_the_way(conn: Connection, people: Collection[str], today: date) -> tuple[bool, bool]:
    """Say whether any is kept out, as `is_blocked` does, and whether any provider's closing is still to be done."""
    found = _IN_THE_WAY.first(conn, people=list(people), today=today)
    return bool(found.kept_out), bool(found.leaving)


def is_heard_of(conn: Connection, new: Mapping[str, Mapping[str, Any]]) -> bool:
    """Say whether anything here could be about these Users: a person, another User, a block, a request, ended or not.

    They come by the name that a person has whom only the provider knows. Of nearly every new one nothing is, and one
    question tells. Where anything is, whoever asks looks closer.
    """
    found = sorted({mail for document in new.values() for mail in mails(document)})
    names = [index_key(str(document.get("userName") or "")) for document in new.values()]
    codes = sorted({code_key(document) for document in new.values()} - {""})
    return bool(_HEARD_OF.first(conn, codes=codes, mails=found, names=names, people=list(new)).heard_of)


def are_like_somebody(conn: Connection, users: Collection[Row[Any]]) -> bool:
    """Say whether any of these Users has a name or an e-mail of somebody in the admin system."""
    names, ids = [user.user_name_key for user in users], [user.id for user in users]
    return bool(_ALIKE.first(conn, names=names, users=ids).alike)


def correlate(conn: Connection, document: Mapping[str, Any]) -> Known | None:
    """Find the admin system's person a User is: by contact code, else by e-mail and full name together.

    A mailbox alone proves nothing: families share one (DESIGN 3.2).
    """
    if (code := code_key(document)) and (found := conn.execute(_BY_CODE, {"code_key": code}).mappings().all()):
        return _known(found[0])
    rows = {row["person_id"]: row for mail in sorted(mails(document)) for row in _of_mail(conn, mail)}
    named = [row for row in rows.values() if row["name"] and fold(row["name"]) == full_name(document)]
    return _known(named[0]) if named else None


def resembling(conn: Connection, document: Mapping[str, Any]) -> tuple[Known, ...]:
    """Give everybody of the admin system with a User's e-mail, or an account or membership of its user name."""
    key = index_key(str(document.get("userName") or ""))
    named = conn.execute(_BY_NAME, {"name_key": key}).mappings().all() if key else ()
    rows = (*named, *(row for mail in sorted(mails(document)) for row in _of_mail(conn, mail)))
    return tuple({row["person_id"]: _known(row) for row in rows}.values())


def code_key(document: Mapping[str, Any]) -> str:
    """Give a User's contact code for comparing; empty where it has none."""
    return fold_id(str((document.get(ENTERPRISE) or {}).get("employeeNumber") or ""))


def full_name(document: Mapping[str, Any]) -> str:
    """Give a User's given and family name for comparing."""
    name = document.get("name") or {}
    return fold(f"{name.get('givenName') or ''} {name.get('familyName') or ''}")


def mails(document: Mapping[str, Any]) -> set[str]:
    """Give a User's e-mails; a user name that is one counts, so that leaving the e-mails out hides nobody."""
    name = str(document.get("userName") or "")
    found = {fold(str(mail.get("value") or "")) for mail in document.get("emails") or ()}
    return (found | {fold(name)} if "@" in name else found) - {""}


def _of_mail(conn: Connection, mail: str) -> Iterable[RowMapping]:
    return conn.execute(_BY_EMAIL, {"email_key": mail}).mappings().all()


def _known(row: RowMapping) -> Known:
    entitled, humans = frozenset(json.loads(row["entitled"])), tuple(json.loads(row["humans"]))
    return Known(row["person_id"], row["name"], Status(row["status"]), entitled, humans, row["why"])
