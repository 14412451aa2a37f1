"""The reads that providers send around the clock, one User by id and lists of Users, without the framework in between.

They are admitted, read and refused by the same code as every other request; only routing and the framework's contexts
are left out, which take longer than all of that. Whatever is not plainly such a read, or one of the two writes of
`quick_writes`, goes to the framework.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from flask import Request, Response

from connector.scim import bulk
from connector.scim.blueprint import MEDIA_TYPE, PREFIX, Endpoint, base_of
from connector.scim.conditions import etag
from connector.scim.paging import from_parameters
from connector.scim.quick_writes import Writes
from connector.scim.room import USERS
from connector.scim.view import View

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_LIST = f"{PREFIX}/{USERS}"
_ONE = re.compile(rf"{re.escape(_LIST)}/([A-Za-z0-9-]{{1,100}})")

# A filter and nothing else, in which every escape is one of ASCII: no decoder can read it otherwise.
_ONLY_FILTER = re.compile(r"filter=((?:[A-Za-z0-9@._~+\-]++|%[2-7][0-9A-Fa-f])*+)")


_SLASHES = re.compile("//+")


@dataclass(frozen=True, slots=True)
class Quick:
    """Stands before the framework. `failed` answers what was raised, as the framework would."""

    endpoint: Endpoint
    framework: Wsgi
    failed: Callable[[Exception], Response]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve a WSGI request (PEP 3333)."""
        path = environ["PATH_INFO"]
        if "//" in path:
            # A base address with a slash at its end. Redirected, .NET's client would come back without its token.
            path = environ["PATH_INFO"] = _SLASHES.sub("/", path)
        if environ["REQUEST_METHOD"] in ("POST", "PATCH"):
            return self._written(environ, start_response)
        if environ["REQUEST_METHOD"] != "GET" or not path.startswith(_LIST) or "HTTP_HOST" not in environ:
            return self.framework(environ, start_response)
        resource_id = ""
        if path != _LIST:
            one = _ONE.fullmatch(path)
            if one is None or environ.get("QUERY_STRING") or "HTTP_IF_NONE_MATCH" in environ:
                return self.framework(environ, start_response)
            resource_id = one[1]
        try:
            body, headers = self._read(environ, resource_id)
        except Exception as error:  # noqa: BLE001 - what was raised is answered, here as by the framework
            return self.failed(error)(environ, start_response)
        start_response("200 OK", [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), *headers])
        return (body,)

    def _written(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        writes = Writes(self.endpoint)
        if not writes.takes(environ):
            return self.framework(environ, start_response)
        try:
            answer = writes.answer(environ)
        except Exception as error:  # noqa: BLE001 - what was raised is answered, here as by the framework
            return self.failed(error)(environ, start_response)
        if answer is None:
            return self.framework(environ, start_response)
        status, headers, body = answer
        start_response(status, headers)
        return (body,)

    def _read(self, environ: dict[str, Any], resource_id: str) -> tuple[bytes, list[tuple[str, str]]]:
        endpoint, said = self.endpoint, environ.get
        client = endpoint.admit(
            said("HTTP_AUTHORIZATION", ""), said("REMOTE_ADDR") or "", said("HTTP_X_FORWARDED_FOR", "")
        )
        room = endpoint.room
        view = View(room.lookup, base_of(room.settings, environ["wsgi.url_scheme"], environ["HTTP_HOST"]))
        bulk.refuse_beyond(client, USERS, "read")
        if not resource_id:
            query = from_parameters(parameters(environ), room.settings.max_results)
            return endpoint.listing.answer((USERS,), query, view).encode(), []
        stored = endpoint.stored(USERS, resource_id)
        return view.one(USERS, stored).encode(), [("ETag", etag(stored.version))]


def parameters(environ: dict[str, Any]) -> Mapping[str, str]:
    """Give what stands behind the address, as the framework reads it."""
    only = _ONLY_FILTER.fullmatch(environ["QUERY_STRING"])
    return {"filter": unquote_plus(only[1])} if only else Request(environ).args
