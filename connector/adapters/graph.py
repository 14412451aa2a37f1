"""Microsoft Entra ID over Microsoft Graph: the user's sign-in sessions are revoked, which nobody can see happen.

Graph lists no sessions, and an access token that is out lives on until it ends by itself: the outcome is a time, never
*closed*. Guests sign in at home, out of our reach, and that is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.adapters.client_credentials import TokenBearer
from connector.adapters.http_edge import HttpEdge, Origin, one_by_one, segment
from connector.adapters.session_reading import unlisted_reading
from connector.adapters.sweep import same_user_as
from connector.adapters.timestamps import moment
from connector.errors import ConnectorError, SourceError
from connector.interfaces import Secret, Site
from connector.model import EndSessions, Finding, LegState, Level, Outcome, SessionKey, SessionsReading

_FIELDS = "id,userPrincipalName,mail,userType,signInSessionsValidFromDateTime"
_OK, _NOT_FOUND = 200, 404


@dataclass(frozen=True, slots=True)
class GraphSettings:
    """Which tenant, who we are there, and what our user value is in it.

    The application has the permissions User.RevokeSessions.All and User.Read.All. `user_suffix` completes a user value
    without an @ to a user principal name (`@school.example`); with user_key `guid` the value is the object id.
    `access_token_minutes` is how long the longest-lived access token goes on. Only the two hosts named are spoken to.
    """

    tenant: str
    client_id: str
    client_secret: Secret
    portal: str
    login_url: str
    graph_url: str
    user_key: SessionKey = SessionKey.USERNAME
    user_suffix: str = ""
    access_token_minutes: int = 60
    ca_file: str = ""


class GraphSessionStore:
    """A session store that is a tenant of Entra ID."""

    Settings = GraphSettings

    def __init__(self, name: str, settings: GraphSettings, site: Site) -> None:
        self._name = name
        self._settings = settings
        section, label = f"[session_stores.{name}]", f"Session store {name}"
        ca_file = str(site.path(settings.ca_file)) if settings.ca_file else ""
        login = Origin.parse(section, "login_url", settings.login_url)
        graph = Origin.parse(section, "graph_url", settings.graph_url)
        self._source = f"{graph}, tenant {settings.tenant}"
        self._bearer = TokenBearer(
            HttpEdge(label, graph, ca_file),
            HttpEdge(label, login, ca_file),
            f"/{segment(settings.tenant)}/oauth2/v2.0/token",
            settings.client_id,
            settings.client_secret,
            site,
            f"{graph}/.default",
        )

    @property
    def user_key(self) -> SessionKey:
        """What the user value of this store's sessions is."""
        return self._settings.user_key

    def read_all(self) -> SessionsReading:
        """Give an empty reading that says why it is empty: Graph lists no sessions."""
        return unlisted_reading(self._name, self._source, self._settings.user_key)

    def close(self, batch: Sequence[EndSessions]) -> tuple[Outcome, ...]:
        """Revoke the sign-ins of what the batch names, one user after the other: effective by a time."""
        return one_by_one(batch, self._end)

    def check(self) -> tuple[Finding, ...]:
        """Fetch a token, and try whether users may be read. Writes nothing."""
        try:
            answer = self._bearer.send("GET", "/v1.0/users", {"$top": "1", "$select": "id"})
        except ConnectorError as error:
            return (Finding(Level.ERROR, self._name, error.message, error.remedy),)
        if answer.status != _OK:
            remedy = "Check graph_url and tenant."
            return (Finding(Level.ERROR, self._name, f"{self._source} answers {answer.status}.", remedy),)
        return (Finding(Level.OK, self._name, f"{self._source}: users can be read; sessions cannot be listed here."),)

    def disconnect(self) -> None:
        """Let go of the token and of connections."""
        self._bearer.disconnect()

    def _end(self, item: EndSessions) -> Outcome:
        if not item.user or (item.portals and self._settings.portal not in item.portals):
            return Outcome(LegState.ALREADY_CLOSED, f"signing in here counts as {self._settings.portal} only")
        user = self._user(item.user)
        if user is None:
            return Outcome(LegState.ALREADY_CLOSED, "no such user in the tenant")
        if user.get("userType") == "Guest":
            return Outcome(
                LegState.REFUSED, "a guest signs in at another tenant: block the guest here, or have it done there"
            )
        mark = moment(user.get("signInSessionsValidFromDateTime"))
        if item.older_than is not None and mark is not None and mark >= item.older_than:
            return self._effective(mark, "revoked before")
        return self._revoked(user["id"])

    def _revoked(self, user_id: str) -> Outcome:
        """Revoke by object id: a name may have gone to somebody else since it was looked up."""
        at = datetime.now(UTC)
        answer = self._bearer.send("POST", f"/v1.0/users/{segment(user_id)}/revokeSignInSessions")
        if answer.status == _NOT_FOUND:
            return Outcome(LegState.ALREADY_CLOSED, "the user is gone from the tenant")
        if not isinstance(answer.body, dict) or answer.body.get("value") is not True:
            return Outcome(LegState.REFUSED, "Graph did not confirm that the sign-ins were revoked; it is asked again")
        return self._effective(at, "sign-ins revoked")

    def _effective(self, at: datetime, what: str) -> Outcome:
        minutes = self._settings.access_token_minutes
        return Outcome(
            LegState.EFFECTIVE_BY,
            f"{what}; access tokens that are out end within {minutes} minutes",
            effective_by=at + timedelta(minutes=minutes),
        )

    def _user(self, value: str) -> Mapping[str, Any] | None:
        """Find the user by principal name, e-mail or object id, and believe only the one who was asked for."""
        settings = self._settings
        by_name = settings.user_key is not SessionKey.GUID
        asked = value + settings.user_suffix if by_name and "@" not in value else value
        # A principal name that begins with $ has a form of its own in OData.
        path = f"('{segment(asked)}')" if asked.startswith("$") else f"/{segment(asked)}"
        answer = self._bearer.send("GET", f"/v1.0/users{path}", {"$select": _FIELDS})
        if answer.status == _NOT_FOUND:
            return None
        found = answer.body if isinstance(answer.body, dict) else {}
        wanted = same_user_as(asked, SessionKey.USERNAME)
        names = {
            same_user_as(str(found.get(key, "")), SessionKey.USERNAME) for key in ("id", "userPrincipalName", "mail")
        }
        if wanted not in names or not isinstance(found.get("id"), str):
            raise SourceError(
                f"Session store {self._name}: {self._source} answers with another user.", "Check user_key."
            )
        return found
