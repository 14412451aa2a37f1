"""Keycloak over its Admin REST API: sessions of one user, logout with a not-before mark, and offline consents.

Logging out also sets the user's not-before mark: an older token is worth nothing then, whether we saw its session
or not. Offline tokens are deleted, not left to a disabled user: enabling the user again would revive them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from connector.adapters.client_credentials import TokenBearer
from connector.adapters.http_edge import HttpEdge, Origin, one_by_one, segment
from connector.adapters.session_reading import whole_reading
from connector.adapters.sweep import means, same_user_as
from connector.adapters.timestamps import moment
from connector.errors import ConnectorError, SourceError
from connector.interfaces import Secret, Site
from connector.model import EndSessions, Finding, LegState, Level, Outcome, Session, SessionKey, SessionsReading

_PER_PAGE = 500
_MOST_PAGES = 2000
_OFFLINE = "Offline Token"


@dataclass(frozen=True, slots=True)
class KeycloakSettings:
    """Which realm, who we are there, and what our user value is in it.

    `url` is Keycloak's address, with its path where it has one (`/auth`). The client has a service account with the
    realm-management roles view-users, manage-users, view-realm and view-clients. `lookup` says what Keycloak calls our
    user value: its `username`, its `email`, or its `id`. `portal` is what signing in there counts as.
    """

    url: str
    realm: str
    client_id: str
    client_secret: Secret
    portal: str
    lookup: Literal["username", "email", "id"] = "username"
    user_key: SessionKey = SessionKey.USERNAME
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class _User:
    """A user of the realm: the id does not change, whatever the name does."""

    user_id: str
    path: str


class KeycloakSessionStore:
    """A session store in a realm of Keycloak."""

    Settings = KeycloakSettings

    def __init__(self, name: str, settings: KeycloakSettings, site: Site) -> None:
        self._name = name
        self._settings = settings
        origin = Origin.parse(f"[session_stores.{name}]", "url", settings.url)
        ca_file = str(site.path(settings.ca_file)) if settings.ca_file else ""
        edge = HttpEdge(f"Session store {name}", origin, ca_file)
        realm = segment(settings.realm)
        self._admin = f"/admin/realms/{realm}"
        self._source = f"{origin}{origin.path}, realm {settings.realm}"
        token_path = f"/realms/{realm}/protocol/openid-connect/token"
        self._bearer = TokenBearer(edge, edge, token_path, settings.client_id, settings.client_secret, site)

    @property
    def user_key(self) -> SessionKey:
        """What the user value of this store's sessions is."""
        return self._settings.user_key

    def read_all(self) -> SessionsReading:
        """Read every session of every client of the realm, page by page."""
        sessions = {session.session_id: session for session in self._all_sessions()}
        return whole_reading(self._name, self._source, self._settings.user_key, sessions.values())

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        """Log out what the batch names, one user after the other, each read back."""
        return one_by_one(batch, self._end)

    def check(self) -> tuple[Finding, ...]:
        """Fetch a token, and try whether users and sessions may be read. Writes nothing."""
        try:
            self._listed("/users", {"max": "1"})
            clients = self._listed("/client-session-stats")
        except ConnectorError as error:
            return (Finding(Level.ERROR, self._name, error.message, error.remedy),)
        return (Finding(Level.OK, self._name, f"{self._source}: {len(clients)} clients with live sessions."),)

    def disconnect(self) -> None:
        """Let go of the token and of connections."""
        self._bearer.disconnect()

    # --- reading ------------------------------------------------------------------------------------------------

    def _all_sessions(self) -> Iterator[Session]:
        for client in self._listed("/client-session-stats"):
            for kind, count in (("user-sessions", "active"), ("offline-sessions", "offline")):
                if str(client.get(count, "0")) != "0":
                    yield from self._sessions_of_client(f"/clients/{segment(_text(client, 'id'))}/{kind}")

    def _sessions_of_client(self, path: str) -> Iterator[Session]:
        for page in range(_MOST_PAGES):
            found = self._listed(path, {"first": str(page * _PER_PAGE), "max": str(_PER_PAGE)})
            yield from (self._session(raw) for raw in found)
            if len(found) < _PER_PAGE:
                return
        raise SourceError(f"Session store {self._name}: {self._source} gives pages without end.", "Check the server.")

    def _session(self, raw: Mapping[str, Any], user: str = "") -> Session:
        user = user or _text(raw, "userId" if self._settings.lookup == "id" else "username")
        times = (moment(raw.get("start")), moment(raw.get("lastAccess")))
        return Session(self._name, self._settings.portal, user, _text(raw, "id"), *times)

    def _listed(self, path: str, params: Mapping[str, str] | None = None) -> list[Mapping[str, Any]]:
        """Give the list of objects below the realm. Raises SourceError where it is anything else."""
        answer = self._bearer.send("GET", f"{self._admin}{path}", params)
        if answer.status != 200 or not isinstance(answer.body, list):  # noqa: PLR2004 - RFC 9110 15.3.1: OK
            raise SourceError(
                f"Session store {self._name}: {self._source} answers {answer.status} and gives no list.",
                "Check url and realm; the service account needs view-users, view-realm and view-clients.",
            )
        return [each for each in answer.body if isinstance(each, dict)]

    # --- ending -------------------------------------------------------------------------------------------------

    def _end(self, item: EndSessions) -> Outcome:
        if not item.user or (item.portals and self._settings.portal not in item.portals):
            return Outcome(LegState.ALREADY_CLOSED, f"signing in here counts as {self._settings.portal} only")
        user = self._user(item.user)
        if user is None:
            return Outcome(LegState.ALREADY_CLOSED, "no such user in the realm")
        before = self._sessions(user, item)
        if item.older_than is not None:
            return self._end_older(user, item, before)
        # For the mark's sake also where no session is seen: one may just be about to begin.
        self._done("POST", f"{user.path}/logout")
        offline = self._end_offline(user)
        after = self._sessions(user, item)
        return _outcome(len(before - after) + offline, len(before & after) + len(self._offline(user)))

    def _end_older(self, user: _User, item: EndSessions, before: frozenset[str]) -> Outcome:
        """End the older sessions one by one: a logout would end the newer ones of the same person too."""
        for session_id in before:
            self._done("DELETE", f"/sessions/{segment(session_id)}")
        after = self._sessions(user, item)
        return _outcome(len(before - after), len(before & after))

    def _user(self, user: str) -> _User | None:
        """Find the one user who is meant: by the exact name or e-mail, or by id. Two of them are nobody's to end."""
        found: list[Mapping[str, Any]]
        if self._settings.lookup == "id":
            answer = self._bearer.send("GET", f"{self._admin}/users/{segment(user)}")
            found = [answer.body] if isinstance(answer.body, dict) else []
            matching = [each for each in found if each.get("id") == user]
        else:
            key = SessionKey.USERNAME if self._settings.lookup == "username" else SessionKey.EMAIL
            found = self._listed("/users", {self._settings.lookup: user, "exact": "true"})
            wanted = same_user_as(user, key)
            matching = [each for each in found if same_user_as(_text(each, self._settings.lookup), key) == wanted]
        if len(matching) > 1:
            raise SourceError(f"{len(matching)} users of the realm have this {self._settings.lookup}.", "Ask there.")
        return _User(_text(matching[0], "id"), f"/users/{segment(_text(matching[0], 'id'))}") if matching else None

    def _sessions(self, user: _User, item: EndSessions) -> frozenset[str]:
        """Give the ids of the user's sessions that the item means."""
        found = (self._session(raw, item.user) for raw in self._listed(f"{user.path}/sessions"))
        return frozenset(session.session_id for session in found if means(item, session))

    def _end_offline(self, user: _User) -> int:
        clients = self._offline(user)
        for client in clients:
            self._done("DELETE", f"{user.path}/consents/{segment(client)}")
        return len(clients)

    def _offline(self, user: _User) -> list[str]:
        """Give the clients that hold an offline token of the user."""
        return [
            _text(consent, "clientId")
            for consent in self._listed(f"{user.path}/consents")
            if any(isinstance(g, dict) and g.get("key") == _OFFLINE for g in consent.get("additionalGrants") or ())
        ]

    def _done(self, method: str, path: str) -> None:
        """Send a change. One that is not found was made by somebody else, and the reading back says whether it was."""
        self._bearer.send(method, f"{self._admin}{path}")


def _outcome(ended: int, left: int) -> Outcome:
    if left:
        return Outcome(LegState.REFUSED, f"{left} sessions stand after the logout: look at them there", ended=ended)
    return Outcome(LegState.CLOSED if ended else LegState.ALREADY_CLOSED, ended=ended)


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else ""
