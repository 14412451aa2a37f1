"""What the journal is told once and remembers: links, usernames, operators, settings.

Of an operator's secrets it keeps a password hash and a nonce, and neither reaches the audit trail. The seed of one-time
codes is not in the database: it is made of the row and the audit key, so that a row written without the key proves
nobody.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, insert, select, update

from connector.errors import JournalError, NotAllowed
from connector.reconcile import journal_tables as tables
from connector.reconcile.codec import canonical
from connector.reconcile.journal_audit import keyed
from connector.reconcile.journal_bulk import among
from connector.reconcile.journal_store import Store, Writing, insert_rows, upsert
from connector.reconcile.journal_values import Operator

_SEED_BYTES = 20  # RFC 4226 4: 160 bits

_KNOWN = select(tables.users.c.portal, tables.users.c.username, tables.users.c.person_id).where(
    among(tables.users.c.username, "a_names")
)


class Register:
    """Links, remembered usernames, operators and settings."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def link(self, directory: str, guid: str, person_id: str, operator: str, how: str) -> None:
        """Tie an account to a person. Raises JournalError where it is tied to another; the same again is no change."""
        with self._store.writing() as writing:
            if linked := link_inside(writing, directory, guid, person_id, operator, how):
                raise JournalError(
                    f"Account {guid} in {directory} is linked to {linked}.", "Take that back first: connector unlink"
                )

    def link_many(self, links: Sequence[tuple[str, str, str]], operator: str, how: str) -> None:
        """Tie accounts (directory, guid, person_id) in one transaction. One that is linked stays as it is."""
        if not links:
            return
        with self._store.writing() as writing:
            table = tables.links
            linked = {(row.directory, row.guid) for row in writing.conn.execute(select(table))}
            fresh = {(d, g): {"directory": d, "guid": g, "person_id": p} for d, g, p in links if (d, g) not in linked}
            stamp = {"how": how, "operator": operator, "linked_at": writing.now}
            insert_rows(writing.conn, table, [{**row, **stamp} for row in fresh.values()])
            for row in fresh.values():
                _note_link(writing, "linked", row, operator, f"linked to {row['person_id']} ({how})")

    def move_link(self, directory: str, guid: str, person_id: str, operator: str, how: str) -> None:
        """Move a link to another record of the same human. Raises JournalError where there is no link."""
        with self._store.writing() as writing:
            before = self._linked(writing, directory, guid)
            moved = {"person_id": person_id, "how": how, "operator": operator, "linked_at": writing.now}
            writing.conn.execute(update(tables.links).where(_account(directory, guid)).values(**moved))
            row = {"directory": directory, "guid": guid, "person_id": person_id}
            _note_link(writing, "link-moved", row, operator, f"linked to {person_id} ({how}), no longer to {before}")

    def unlink(self, directory: str, guid: str, operator: str) -> None:
        """Take a link back. Raises JournalError where there is none."""
        with self._store.writing() as writing:
            before = self._linked(writing, directory, guid)
            writing.conn.execute(delete(tables.links).where(_account(directory, guid)))
            row = {"directory": directory, "guid": guid, "person_id": before}
            _note_link(writing, "unlinked", row, operator, f"no longer linked to {before}")

    def _linked(self, writing: Writing, directory: str, guid: str) -> str:
        linked = writing.conn.scalar(select(tables.links.c.person_id).where(_account(directory, guid)))
        if linked is None:
            raise JournalError(f"Account {guid} in {directory} has no link.", "Make one: connector link")
        return str(linked)

    def remember_users(self, users: Mapping[tuple[str, str], str]) -> int:
        """Remember who last had a username, by (portal, username). Writes only what is new; gives how many."""
        with self._store.writing() as writing:
            return remember_users(writing, users)

    def add_operator(self, name: str, role: str, secret_hash: str, totp_secret: str, operator: str) -> None:
        """Enrol an operator. The hash and the nonce are kept as given. Raises NotAllowed where the name is taken."""
        with self._store.writing() as writing:
            if writing.conn.scalar(select(tables.operators.c.name).where(tables.operators.c.name == name)) is not None:
                raise NotAllowed(f"{name} is enrolled already.", f"Remove them first: connector operator remove {name}")
            row = {"name": name, "role": role, "secret_hash": secret_hash, "totp_secret": totp_secret}
            writing.conn.execute(insert(tables.operators).values(**row, added_by=operator, added_at=writing.now))
            sentence = f"Operator {name} ({role}) enrolled by {operator}."
            writing.note("operator-added", f"operator:{name}", operator, sentence, detail={"role": role})

    def operators(self) -> tuple[Operator, ...]:
        """List enrolled operators by name."""
        with self._store.reading() as conn:
            rows = conn.execute(select(tables.operators).order_by(tables.operators.c.name)).all()
        return tuple(_operator(row) for row in rows)

    def totp_seed(self, operator: Operator) -> str:
        """Give the seed of an operator's one-time codes. It changes with every part of the row that matters."""
        row = canonical([operator.name, operator.role, operator.secret_hash, operator.totp_secret])
        made = bytes.fromhex(keyed(self._store.audit_key, "operator", row.encode()))
        return base64.b32encode(made[:_SEED_BYTES]).decode("ascii")

    def spend_code(self, name: str, step: int, operator: str, what: str) -> None:
        """Use up the one-time code of a time step (RFC 6238 5.2). Raises NotAllowed where it, or a later one, was."""
        key = f"code-of:{name}"
        with self._store.writing() as writing:
            spent = writing.conn.scalar(select(tables.settings.c.value).where(tables.settings.c.name == key))
            if spent is not None and int(spent) >= step:
                raise NotAllowed(f"That one-time code of {name} was used already.", "Wait for the next one.")
            row = {"name": key, "value": str(step), "operator": operator, "set_at": writing.now}
            upsert(writing.conn, tables.settings, [row])
            sentence = f"{name} proved themselves to second {operator}: {what}."
            detail = {"name": key, "value": str(step)}
            writing.note("seconded", f"operator:{name}", operator, sentence, detail=detail)

    def remove_operator(self, name: str, operator: str) -> None:
        """Remove an operator and forget their secrets. Raises NotAllowed where there is none of that name."""
        with self._store.writing() as writing:
            removed = writing.conn.execute(delete(tables.operators).where(tables.operators.c.name == name))
            if not removed.rowcount:
                raise NotAllowed(f"{name} is not enrolled.", "See: connector operator list")
            sentence = f"Operator {name} removed by {operator}."
            writing.note("operator-removed", f"operator:{name}", operator, sentence)

    def setting(self, name: str) -> str:
        """Give a setting, empty where it was never set."""
        with self._store.reading() as conn:
            return conn.scalar(select(tables.settings.c.value).where(tables.settings.c.name == name)) or ""

    def settings(self, beginning: str) -> dict[str, str]:
        """Give every setting whose name begins so, by name."""
        table = tables.settings
        with self._store.reading() as conn:
            rows = conn.execute(select(table.c.name, table.c.value).where(table.c.name.startswith(beginning))).all()
        return {row.name: row.value for row in rows}

    def set_setting(self, name: str, value: str, operator: str) -> None:
        """Set what a named person decided once for the whole school, such as going live. Never a secret."""
        with self._store.writing() as writing:
            row = {"name": name, "value": value, "operator": operator, "set_at": writing.now}
            upsert(writing.conn, tables.settings, [row])
            sentence = f"{name} set to {value!r} by {operator}."
            writing.note("setting", f"setting:{name}", operator, sentence, detail={"value": value})


def link_inside(writing: Writing, directory: str, guid: str, person_id: str, operator: str, how: str) -> str:
    """Tie an account to a person inside a transaction that does more; give whose it is where it is another's."""
    linked = writing.conn.scalar(select(tables.links.c.person_id).where(_account(directory, guid)))
    if linked is not None:
        return "" if linked == person_id else str(linked)
    row = {"directory": directory, "guid": guid, "person_id": person_id}
    insert_rows(writing.conn, tables.links, [{**row, "how": how, "operator": operator, "linked_at": writing.now}])
    _note_link(writing, "linked", row, operator, f"linked to {person_id} ({how})")
    return ""


def remember_users(writing: Writing, users: Mapping[tuple[str, str], str]) -> int:
    """Remember usernames inside a transaction that does more. Only what is new or different is written."""
    if not users:
        return 0
    table = tables.users
    found = writing.conn.execute(_KNOWN, {"a_names": sorted({username for _, username in users})})
    known = {(portal, username): person_id for portal, username, person_id in found}
    rows = [
        {"portal": portal, "username": username, "person_id": person_id, "seen_at": writing.now}
        for (portal, username), person_id in users.items()
        if username and known.get((portal, username)) != person_id
    ]
    upsert(writing.conn, table, rows)
    return len(rows)


def _account(directory: str, guid: str) -> ColumnElement[bool]:
    return and_(tables.links.c.directory == directory, tables.links.c.guid == guid)


def _note_link(writing: Writing, kind: str, row: Mapping[str, str], operator: str, what: str) -> None:
    sentence = f"Account {row['guid']} in {row['directory']} {what}."
    subject, person_id = f"{row['directory']}:{row['guid']}", row["person_id"]
    writing.note(kind, subject, operator, sentence, person_id=person_id)


def _operator(row: Row[Any]) -> Operator:
    return Operator(row.name, row.role, row.secret_hash, row.totp_secret, row.added_by, row.added_at)
