"""Who may call: clients and their tokens. A token is shown once and kept as a keyed hash only.

The hash is made with the audit key, which is not in the database: whoever writes a row there has made no token. At most
two tokens of a client live at once, so that one can be exchanged while the other works.
"""

import hmac
import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update

from connector.errors import NotAllowed, UnknownPerson
from connector.reconcile.journal_audit import keyed
from connector.reconcile.journal_scim_tables import scim_clients, scim_tokens
from connector.reconcile.journal_store import Store, Writing

SCOPES = frozenset({"users:read", "users:write", "groups:read", "groups:write"})
"""Everything a client may be allowed."""

PER_MINUTE = 1500
"""25 requests a second, what a tenant may expect. Source: IPSIE SCIM draft."""

PER_HOUR = 25
"""How many people a client may take away in an hour, unless it is told otherwise: as many as a nightly plan may."""

_PURPOSE = "scim token"
_BYTES = 32
LENGTH = len(secrets.token_urlsafe(_BYTES))
"""How many characters every token has."""

_ALIVE = 2
_USED_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Client:
    """One identity provider. `per_hour` limits deactivations, `per_minute` requests; 0 is without a limit.

    `networks` are those it may call from; none given: any.
    """

    name: str
    strict: bool = False
    scopes: frozenset[str] = SCOPES
    per_minute: int = 0
    per_hour: int = 0
    networks: tuple[str, ...] = ()

    @property
    def operator(self) -> str:
        """How audit records name it."""
        return f"scim:{self.name}"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is listed: never what it is."""

    number: int
    client: str
    made_by: str
    made_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Admitted:
    """A client that showed a token which is alive, and until when that can be (none: no end is set)."""

    client: Client
    token: int
    expires_at: datetime | None = field(default=None, compare=False)


_FOUND = (
    select(scim_tokens, scim_clients)
    .join(scim_clients, scim_clients.c.name == scim_tokens.c.client)
    .where(scim_tokens.c.token_hash == bindparam("token_hash"), scim_tokens.c.revoked_at.is_(None))
)


class Clients:
    """Make, list, exchange and take back tokens; know a client by one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # --- calling ----------------------------------------------------------------------------------------------------

    def known(self, token: str) -> Admitted | None:
        """Give whose token it is; none for one that is unknown, taken back or past its time."""
        wanted = self._hash(token)
        with self._store.reading() as conn:
            row = conn.execute(_FOUND, {"token_hash": wanted}).first()
            now = self._store.clock(conn)
        if row is None or not hmac.compare_digest(row.token_hash, wanted):
            return None
        if row.expires_at is not None and row.expires_at <= now:
            return None
        if row.used_at is None or now - row.used_at > _USED_EVERY:
            self._used(row.id)
        return Admitted(_client(row), row.id, row.expires_at)

    def _used(self, number: int) -> None:
        with self._store.writing() as writing:
            writing.conn.execute(update(scim_tokens).where(scim_tokens.c.id == number).values(used_at=writing.now))

    # --- keeping ----------------------------------------------------------------------------------------------------

    def create(self, client: Client, days: int, operator: str) -> str:
        """Enrol a client and give its first token, which is never shown again. `days` 0 is without an end.

        Raises NotAllowed for a client that is there, and for scopes, networks or limits that cannot be.
        """
        _refuse_odd(client)
        with self._store.writing() as writing:
            if writing.conn.execute(select(scim_clients).where(scim_clients.c.name == client.name)).first():
                raise NotAllowed(f"There is a client {client.name} already.", f"connector token rotate {client.name}")
            writing.conn.execute(insert(scim_clients), _row(client) | {"made_by": operator, "made_at": writing.now})
            token = self._make(writing, client.name, days, operator)
            said = f"Client {client.name} enrolled with its first token by {operator}."
            writing.note("scim-client", client.name, operator, said, detail={"scopes": " ".join(sorted(client.scopes))})
        return token

    def rotate(self, name: str, days: int, operator: str) -> str:
        """Give one more token; of the older ones only the newest goes on, until taken back. Raises UnknownPerson."""
        with self._store.writing() as writing:
            _require(writing, name)
            alive = self._alive(writing, name)
            self._take_back(writing, [t.id for t in alive[: len(alive) - _ALIVE + 1]], operator)
            token = self._make(writing, name, days, operator)
            writing.note("scim-token", name, operator, f"A new token for {name} made by {operator}.")
        return token

    def revoke(self, name: str, operator: str, number: int = 0) -> int:
        """Take back one token, or all of a client; give how many were. Raises UnknownPerson where there is none."""
        with self._store.writing() as writing:
            _require(writing, name)
            gone = [t.id for t in self._alive(writing, name) if not number or t.id == number]
            if not gone:
                raise UnknownPerson(f"{name} has no such token that is alive.", "connector token list")
            self._take_back(writing, gone, operator)
            which = f"Token {number}" if number else "Every token"
            writing.note("scim-token", name, operator, f"{which} of {name} taken back by {operator}.")
        return len(gone)

    def limit(self, name: str, operator: str, **limits: int) -> Client:
        """Change `per_minute`, `per_hour`; give the client as it is now. Raises UnknownPerson, NotAllowed."""
        if any(value < 0 for value in limits.values()):
            raise NotAllowed("A limit below nothing cannot be kept.", "0 is without a limit.")
        with self._store.writing() as writing:
            _require(writing, name)
            writing.conn.execute(update(scim_clients).where(scim_clients.c.name == name).values(**limits))
            said = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in limits.items())
            writing.note("scim-client", name, operator, f"Limits of {name} set by {operator}: {said}.")
            return _client(_require(writing, name))

    def all(self) -> tuple[tuple[Client, ...], tuple[Token, ...]]:
        """Give every client and every token there ever was."""
        with self._store.reading() as conn:
            clients = conn.execute(select(scim_clients).order_by(scim_clients.c.name)).all()
            tokens = conn.execute(select(scim_tokens).order_by(scim_tokens.c.id)).all()
        return tuple(map(_client, clients)), tuple(map(_token, tokens))

    def _make(self, writing: Writing, name: str, days: int, operator: str) -> str:
        token = secrets.token_urlsafe(_BYTES)
        row = {
            "id": writing.next_id(scim_tokens),
            "client": name,
            "token_hash": self._hash(token),
            "made_by": operator,
            "made_at": writing.now,
            "expires_at": writing.now + timedelta(days=days) if days else None,
        }
        writing.conn.execute(insert(scim_tokens), row)
        return token

    def _alive(self, writing: Writing, name: str) -> Sequence[Row[Any]]:
        table = scim_tokens
        mine = select(table).where(table.c.client == name, table.c.revoked_at.is_(None)).order_by(table.c.id)
        rows = writing.conn.execute(mine).all()
        return [row for row in rows if row.expires_at is None or row.expires_at > writing.now]

    def _take_back(self, writing: Writing, numbers: Collection[int], operator: str) -> None:
        if numbers:
            these = update(scim_tokens).where(scim_tokens.c.id.in_(numbers))
            writing.conn.execute(these.values(revoked_at=writing.now, revoked_by=operator))

    def _hash(self, token: str) -> str:
        return keyed(self._store.audit_key, _PURPOSE, token.encode("utf-8", "surrogatepass"))


def _require(writing: Writing, name: str) -> Row[Any]:
    row = writing.conn.execute(select(scim_clients).where(scim_clients.c.name == name)).first()
    if row is None:
        raise UnknownPerson(f"There is no client {name}.", "See: connector token list")
    return row


def _refuse_odd(client: Client) -> None:
    if not client.name.strip() or client.name != client.name.strip() or not client.name.isprintable():
        raise NotAllowed("A client needs a plain name.", "connector token create entra")
    if odd := sorted(client.scopes - SCOPES):
        raise NotAllowed(f"There is no scope {', '.join(odd)}.", f"There are: {', '.join(sorted(SCOPES))}.")
    if not client.scopes:
        raise NotAllowed("A client without a scope may do nothing.", f"There are: {', '.join(sorted(SCOPES))}.")
    if client.per_minute < 0 or client.per_hour < 0:
        raise NotAllowed("A limit below nothing cannot be kept.", "0 is without a limit.")
    for network in client.networks:
        try:
            ip_network(network)
        except ValueError:
            raise NotAllowed(f"{network!r} is no network.", "Write 203.0.113.0/24 or 2001:db8::/32.") from None


def _row(client: Client) -> dict[str, Any]:
    return {
        "name": client.name,
        "scopes": json.dumps(sorted(client.scopes)),
        "strict": client.strict,
        "per_minute": client.per_minute,
        "per_hour": client.per_hour,
        "networks": json.dumps(list(client.networks)),
    }


def _client(row: Row[Any]) -> Client:
    scopes, networks = frozenset(json.loads(row.scopes)), tuple(json.loads(row.networks))
    return Client(row.name, row.strict, scopes, row.per_minute, row.per_hour, networks)


def _token(row: Row[Any]) -> Token:
    return Token(row.id, row.client, row.made_by, row.made_at, row.expires_at, row.revoked_at, row.used_at)
