"""A token by the client credentials grant (RFC 6749 4.4): fetched when needed, kept in memory, sent to one origin.

It never reaches a log, an error or a file, and the client secret is sent to the token endpoint only.
"""

import time
from collections.abc import Mapping
from typing import Any

from connector.adapters.http_edge import Answer, HttpEdge
from connector.errors import SourceError
from connector.interfaces import Secret, Site

_EARLY = 30.0  # seconds before its end that a token is not used any more
_SHORTEST = 60.0


class TokenBearer:
    """Sends requests to `edge` with a token of `issuer`, which may be the same server or another one."""

    def __init__(
        self,
        edge: HttpEdge,
        issuer: HttpEdge,
        token_path: str,
        client_id: str,
        secret: Secret,
        site: Site,
        scope: str = "",
    ) -> None:
        self._edge = edge
        self._issuer = issuer
        self._token_path = token_path
        self._client_id = client_id
        self._secret = secret
        self._site = site
        self._scope = scope
        self._token = ""
        self._until = 0.0

    def send(self, method: str, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """Send one request; a token that is refused is fetched anew once."""
        answer = self._sent(method, path, params, (200, 204, 401, 404))
        if answer.status != 401:  # noqa: PLR2004 - RFC 6750 3.1: the token is expired or revoked
            return answer
        self._token = ""
        return self._sent(method, path, params, (200, 204, 404))

    def disconnect(self) -> None:
        """Forget the token, and let go of connections."""
        self._token = ""
        self._edge.disconnect()
        self._issuer.disconnect()

    def _sent(self, method: str, path: str, params: Mapping[str, str] | None, expect: tuple[int, ...]) -> Answer:
        headers = {"Authorization": f"Bearer {self._current()}"}
        return self._edge.send(method, path, headers=headers, params=params, expect=expect)

    def _current(self) -> str:
        if not self._token or time.monotonic() >= self._until:
            self._fetch()
        return self._token

    def _fetch(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": self._secret.reveal(self._site),
        }
        answer = self._issuer.send(
            "POST", self._token_path, form={**form, "scope": self._scope} if self._scope else form, expect=(200,)
        )
        token, lasts = _token_in(answer.body)
        if not token:
            raise SourceError(f"{self._issuer.name}: {self._issuer.origin} gave no token.", "Check client and tenant.")
        self._token = token
        self._until = time.monotonic() + max(_SHORTEST, lasts) - _EARLY


def _token_in(body: Any) -> tuple[str, float]:
    """Give the access token and its seconds. RFC 6749 5.1."""
    if not isinstance(body, dict) or str(body.get("token_type", "")).lower() != "bearer":
        return "", 0.0
    token, lasts = body.get("access_token"), body.get("expires_in")
    # Printable ASCII only: it becomes a header.
    if not isinstance(token, str) or not (token.isascii() and token.isprintable()):
        return "", 0.0
    return token, float(lasts) if isinstance(lasts, int) else 0.0
