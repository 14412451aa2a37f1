"""The reads that providers send around the clock, one User by id and lists of Users, without the framework in between.

They are admitted, read and refused by the same code as every other request; only routing and the framework's contexts
are left out, which take longer than all of that. Whatever is not plainly such a read goes to the framework.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from flask import Request, Response

from connector.scim import bulk
from connector.scim.blueprint import MEDIA_TYPE, PREFIX, Endpoint, base_of
from connector.scim.conditions import etag
from connector.scim.paging import from_parameters
from connector.scim.room import USERS
from connector.scim.view import View

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_LIST = f"{PREFIX}/{USERS}"
_ONE = re.compile(rf"{re.escape(_LIST)}/([A-Za-z0-9-]{{1,100}})")


@dataclass(frozen=True, slots=True)
class Quick:
    """Stands before the framework. `failed` answers what was raised, as the framework would."""

    endpoint: Endpoint
    framework: Wsgi
    failed: Callable[[Exception], Response]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve a WSGI request (PEP 3333)."""
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "GET" or not path.startswith(_LIST):
            return self.framework(environ, start_response)
        resource_id = ""
        if path != _LIST:
            one = _ONE.fullmatch(path)
            if one is None or environ.get("QUERY_STRING") or "HTTP_IF_NONE_MATCH" in environ:
                return self.framework(environ, start_response)
            resource_id = one[1]
        try:
            body, headers = self._read(Request(environ), resource_id)
        except Exception as error:  # noqa: BLE001 - what was raised is answered, here as by the framework
            return self.failed(error)(environ, start_response)
        start_response("200 OK", [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), *headers])
        return (body,)

    def _read(self, request: Request, resource_id: str) -> tuple[bytes, list[tuple[str, str]]]:
        endpoint = self.endpoint
        bulk.refuse_beyond(endpoint.admit(request), USERS, "read")
        room = endpoint.room
        view = View(room.lookup, base_of(room.settings, request))
        if not resource_id:
            query = from_parameters(request.args, room.settings.max_results)
            return endpoint.listing.answer((USERS,), query, view).encode(), []
        stored = endpoint.stored(USERS, resource_id)
        return view.one(USERS, stored).encode(), [("ETag", etag(stored.version))]
