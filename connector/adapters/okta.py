"""Okta: all sessions of a user are cleared and their OAuth tokens revoked, which nobody can see happen.

Okta lists no sessions of a user, and an application that keeps a session of its own does not ask again: the outcome is
a time, never *closed*. The API token goes to the organisation's own host only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.adapters.http_edge import Answer, HttpEdge, Origin, one_by_one, segment
from connector.adapters.session_reading import unlisted_reading
from connector.adapters.sweep import same_user_as
from connector.errors import ConnectorError, SourceError
from connector.interfaces import Secret, Site
from connector.model import EndSessions, Finding, LegState, Level, Outcome, SessionKey, SessionsReading

_OK, _NOT_FOUND = 200, 404


@dataclass(frozen=True, slots=True)
class OktaSettings:
    """Which organisation, the API token, and what our user value is there.

    The token's owner may manage users. `user_suffix` completes a user value without an @ to an Okta login; with
    user_key `native_id` or `guid` the value is Okta's user id. `access_token_minutes` is how long the longest-lived
    access token goes on.
    """

    url: str
    token: Secret
    portal: str
    user_key: SessionKey = SessionKey.USERNAME
    user_suffix: str = ""
    access_token_minutes: int = 60
    ca_file: str = ""


class OktaSessionStore:
    """A session store that is an organisation in Okta."""

    Settings = OktaSettings

    def __init__(self, name: str, settings: OktaSettings, site: Site) -> None:
        self._name = name
        self._settings = settings
        self._site = site
        origin = Origin.parse(f"[session_stores.{name}]", "url", settings.url)
        ca_file = str(site.path(settings.ca_file)) if settings.ca_file else ""
        self._edge = HttpEdge(f"Session store {name}", origin, ca_file)

    @property
    def user_key(self) -> SessionKey:
        """What the user value of this store's sessions is."""
        return self._settings.user_key

    def read_all(self) -> SessionsReading:
        """Give an empty reading that says why it is empty: Okta lists no sessions of users."""
        return unlisted_reading(self._name, str(self._edge.origin), self._settings.user_key)

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        """Clear the sessions of what the batch names, one user after the other: effective by a time."""
        return one_by_one(batch, self._end)

    def check(self) -> tuple[Finding, ...]:
        """Try whether users may be read with the token. Writes nothing."""
        try:
            answer = self._send("GET", "/api/v1/users", {"limit": "1"})
        except ConnectorError as error:
            return (Finding(Level.ERROR, self._name, error.message, error.remedy),)
        if answer.status != _OK:
            return (Finding(Level.ERROR, self._name, f"{self._edge.origin} answers {answer.status}.", "Check url."),)
        said = f"{self._edge.origin}: users can be read; sessions cannot be listed here."
        return (Finding(Level.OK, self._name, said),)

    def disconnect(self) -> None:
        """Let go of connections."""
        self._edge.disconnect()

    def _end(self, item: EndSessions) -> Outcome:
        if not item.user or (item.portals and self._settings.portal not in item.portals):
            return Outcome(LegState.ALREADY_CLOSED, f"signing in here counts as {self._settings.portal} only")
        user_id = self._user_id(item.user)
        if user_id is None:
            return Outcome(LegState.ALREADY_CLOSED, "no such user in the organisation")
        at = datetime.now(UTC)
        # By id: a login may have gone to somebody else since it was looked up.
        answer = self._send("DELETE", f"/api/v1/users/{segment(user_id)}/sessions", {"oauthTokens": "true"})
        if answer.status == _NOT_FOUND:
            return Outcome(LegState.ALREADY_CLOSED, "the user is gone from the organisation")
        minutes = self._settings.access_token_minutes
        return Outcome(
            LegState.EFFECTIVE_BY,
            f"sessions cleared, tokens revoked; access tokens that are out end within {minutes} minutes",
            effective_by=at + timedelta(minutes=minutes),
        )

    def _user_id(self, value: str) -> str | None:
        """Find the user, and believe only the one who was asked for: Okta also answers to short names, and to `me`."""
        by_id = self._settings.user_key in (SessionKey.NATIVE_ID, SessionKey.GUID)
        asked = value if by_id or "@" in value else value + self._settings.user_suffix
        answer = self._send("GET", f"/api/v1/users/{segment(asked)}")
        if answer.status == _NOT_FOUND:
            return None
        found: Mapping[str, Any] = answer.body if isinstance(answer.body, dict) else {}
        profile = found.get("profile")
        login = str(profile.get("login", "")) if isinstance(profile, dict) else ""
        same = found.get("id") == asked if by_id else _same_login(asked, login)
        if not same or not isinstance(found.get("id"), str):
            raise SourceError(
                f"Session store {self._name}: {self._edge.origin} answers with another user.",
                "Check user_key; user_suffix completes a login.",
            )
        return str(found["id"])

    def _send(self, method: str, path: str, params: Mapping[str, str] | None = None) -> Answer:
        headers = {"Authorization": f"SSWS {self._settings.token.reveal(self._site)}"}
        return self._edge.send(method, path, headers=headers, params=params)


def _same_login(asked: str, login: str) -> bool:
    return same_user_as(asked, SessionKey.USERNAME) == same_user_as(login, SessionKey.USERNAME)
