"""The people whose admin system is an identity provider, as the journal's database holds them.

They are read, never written, and nothing is decided: `sourced` puts them beside the admin system's people. Whoever was
deleted there stays in the reading, inactive, until everything of theirs is closed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from connector.model import Person, PersonStatus, RoleGrant
from connector.reconcile.journal_scim_tables import scim_closings, scim_groups, scim_members, scim_users
from connector.reconcile.journal_store import Store
from connector.reconcile.text import fold

SOURCED = "scim"
"""What `scim_users.source` says of people whom only an identity provider knows."""

_ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"  # RFC 7643 4.3


@dataclass(frozen=True, slots=True)
class SourcedPeople:
    """People, the portals each is granted, and the security roles their Groups stand for."""

    people: tuple[Person, ...] = ()
    granted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    roles: tuple[RoleGrant, ...] = ()


class Sourced:
    """Reads SCIM-sourced people."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, roles: Mapping[str, str]) -> SourcedPeople:
        """Read them all. `roles` maps a Group's display name to the security role it stands for."""
        roles = {fold(name): role for name, role in roles.items()}
        with self._store.reading() as conn:
            people, wanted = _users(conn)
            closing = _deleted(conn, frozenset(people))
            groups = _groups(conn)
        granted = {
            one: frozenset(portal for portal, _ in groups.get(one, ()) if portal) if wanted[one] else frozenset()
            for one in people
        }
        grants = (
            RoleGrant(one, roles[name])
            for one in people
            if wanted[one]
            for portal, name in groups.get(one, ())
            if not portal and name in roles
        )
        return SourcedPeople(
            (*people.values(), *closing.values()), granted | dict.fromkeys(closing, frozenset()), tuple(grants)
        )


def _users(conn: Connection) -> tuple[dict[str, Person], dict[str, bool]]:
    columns = (scim_users.c.person_id, scim_users.c.document, scim_users.c.wanted)
    rows = conn.execute(select(*columns).where(scim_users.c.source == SOURCED).order_by(scim_users.c.position)).all()
    people = {row.person_id: _person(row.person_id, json.loads(row.document), wanted=row.wanted) for row in rows}
    return people, {row.person_id: row.wanted for row in rows}


def _person(person_id: str, document: Mapping[str, Any], *, wanted: bool) -> Person:
    name = document.get("name") or {}
    mails = document.get("emails") or []
    first = next((m for m in mails if m.get("primary")), mails[0] if mails else {})
    code = str((document.get(_ENTERPRISE) or {}).get("employeeNumber") or "")
    status = PersonStatus.ACTIVE if wanted else PersonStatus.INACTIVE
    given, family = str(name.get("givenName") or ""), str(name.get("familyName") or "")
    return Person(person_id, code, given, family, str(first.get("value") or ""), status=status)


def _deleted(conn: Connection, known: frozenset[str]) -> dict[str, Person]:
    """Give whoever was deleted and is not closed everywhere yet."""
    table = scim_closings
    columns = (table.c.person_id, table.c.code, table.c.name)
    rows = conn.execute(select(*columns).where(table.c.sourced, table.c.done_at.is_(None))).all()
    gone = (row for row in rows if row.person_id not in known)
    return {r.person_id: Person(r.person_id, r.code, family_name=r.name, status=PersonStatus.INACTIVE) for r in gone}


def _groups(conn: Connection) -> dict[str, list[tuple[str, str]]]:
    """Give, by person_id, the portal and the folded name of every Group somebody is in."""
    members, groups = scim_members, scim_groups
    joined = members.join(groups, groups.c.id == members.c.group_id).join(
        scim_users, scim_users.c.id == members.c.user_id
    )
    columns = (scim_users.c.person_id, groups.c.portal, groups.c.display_name)
    found: dict[str, list[tuple[str, str]]] = {}
    for row in conn.execute(select(*columns).select_from(joined).where(scim_users.c.source == SOURCED)):
        found.setdefault(row.person_id, []).append((row.portal, fold(row.display_name)))
    return found
