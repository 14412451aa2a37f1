"""The writes that providers send around the clock, a new User and a PATCH of one, without the framework in between.

They are admitted, read, done and refused by the same code as every other request. Nothing is answered before it is
durable; whatever is not plainly such a write is left to the framework, its body unread.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from connector.scim import bulk
from connector.scim.blueprint import MEDIA_TYPE, PREFIX, Endpoint, base_of
from connector.scim.clients import Client
from connector.scim.conditions import IfMatch, etag
from connector.scim.lookup import Stored
from connector.scim.room import USERS, Saved
from connector.scim.strict_json import object_in
from connector.scim.view import View

Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status, headers and body."""

_ALL: Final = f"{PREFIX}/{USERS}"
_ONE: Final = re.compile(rf"{re.escape(_ALL)}/([A-Za-z0-9-]{{1,100}})")
_PLAIN_TYPES: Final = frozenset(
    f"{kind}{charset}"
    for kind in (MEDIA_TYPE, "application/json")
    for charset in ("", "; charset=utf-8", ";charset=utf-8")
)
# What changes the answer, or how the body comes.
_UNUSUAL: Final = ("HTTP_PREFER", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_ENCODING")
_MOST_DIGITS: Final = 20  # Python makes no number of thousands of them
_STATUS: Final = {200: "200 OK", 201: "201 CREATED"}


@dataclass(frozen=True, slots=True)
class Writes:
    """The two verbs over one endpoint."""

    endpoint: Endpoint

    def takes(self, environ: Mapping[str, Any]) -> bool:
        """Say whether a WSGI request (PEP 3333) is plainly such a write."""
        path, length = environ["PATH_INFO"], environ.get("CONTENT_LENGTH") or ""
        there = path == _ALL if environ["REQUEST_METHOD"] == "POST" else _ONE.fullmatch(path) is not None
        return (
            there
            and not environ.get("QUERY_STRING")
            and "HTTP_HOST" in environ
            and environ.get("CONTENT_TYPE", "").lower() in _PLAIN_TYPES
            and length.isdecimal()
            and len(length) < _MOST_DIGITS
            and int(length) <= self.endpoint.room.settings.max_body_bytes
            and not any(name in environ for name in _UNUSUAL)
        )

    def answer(self, environ: dict[str, Any]) -> Answer | None:
        """Do it; give what is answered, or None where the body ended early: the framework says so.

        Raises:
            ScimError: what the request is refused with; JournalError where nothing could be stored.
        """
        endpoint, said = self.endpoint, environ.get
        client = endpoint.admit(
            said("HTTP_AUTHORIZATION", ""), said("REMOTE_ADDR") or "", said("HTTP_X_FORWARDED_FOR", "")
        )
        base = base_of(endpoint.room.settings, environ["wsgi.url_scheme"], environ["HTTP_HOST"])
        bulk.refuse_beyond(client, USERS, "write")
        path = environ["PATH_INFO"]
        if_match = IfMatch.read(said("HTTP_IF_MATCH")) if path != _ALL else IfMatch()
        length = int(environ["CONTENT_LENGTH"])
        body = environ["wsgi.input"].read(length)
        if len(body) != length:
            environ["wsgi.input"] = BytesIO(body)
            return None
        sent = object_in(body, most_bytes=endpoint.room.settings.max_body_bytes)
        return self._said(base, self._saved(client, path, sent, if_match))

    def _saved(self, client: Client, path: str, sent: dict[str, Any], if_match: IfMatch) -> Saved:
        users, room = self.endpoint.users, self.endpoint.room
        if path == _ALL:
            return room.write(client, f"POST /{USERS}", users.create(client, sent))
        user_id = path[len(_ALL) + 1 :]
        return room.write(client, f"PATCH /{USERS}/{user_id}", users.patch(client, user_id, sent, if_match))

    def _said(self, base: str, saved: Saved) -> Answer:
        view = View(self.endpoint.room.lookup, base)
        body = view.one(USERS, Stored(saved.id, saved.version, saved.document)).encode()
        headers = [
            ("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), ("ETag", etag(saved.version)),
        ]  # fmt: skip
        if saved.status == 201:  # noqa: PLR2004 - Created
            headers.append(("Location", view.location(USERS, saved.id)))
        return _STATUS[saved.status], headers, body
