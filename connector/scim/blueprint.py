"""The routes of the endpoint: a request is admitted, read, turned into one verb, and its outcome answered.

Nothing here decides or stores. Every answer, also to what nobody foresaw, is a SCIM document without a word about how
the connector works inside.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from flask import Blueprint, Response, g, request
from werkzeug.sansio.utils import get_host

from connector.scim import bulk, discovery
from connector.scim.clients import Client
from connector.scim.conditions import IfMatch, etag, is_known
from connector.scim.errors import (
    ScimError,
    bad_request,
    forbidden,
    not_found,
    not_implemented,
    too_large,
    unauthorized,
    unsupported_type,
)
from connector.scim.groups import Groups
from connector.scim.listing import Listing
from connector.scim.lookup import Stored
from connector.scim.paging import Query, from_body, from_parameters
from connector.scim.room import GROUPS, KINDS, TABLES, USERS, Room, Saved, Settings
from connector.scim.strict_json import object_in
from connector.scim.users import Users
from connector.scim.view import View, wanted_of

Admit = Callable[[str, str, str], Client]
"""Gives who calls, by the header Authorization, the address that connected, and the header X-Forwarded-For."""

_Server = tuple[str, int | None]

PREFIX = "/scim/v2"
MEDIA_TYPE = "application/scim+json"

_MEDIA_TYPES = frozenset({MEDIA_TYPE, "application/json"})
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})  # the last is part of the first
_HOST = re.compile(r"[A-Za-z0-9.\-_]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?")
_BY_MEMBERS_NAME = re.compile(r"\bmembers\s*(?:\.\s*display\b|\[[^\]]*\bdisplay\b)", re.IGNORECASE)
_LONGEST_ID = 200
_CREATED = 201
_NO_CONTENT = 204
_LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


def nobody(_authorization: str, _peer: str, _forwarded: str) -> Client:
    """Admit nobody: what an endpoint does that was not told whom to admit."""
    raise unauthorized("Nobody is admitted here.")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The routes over one room."""

    room: Room
    listing: Listing
    users: Users
    groups: Groups
    offer: discovery.Offer
    admit: Admit = nobody

    def blueprint(self) -> Blueprint:
        """Give the routes, to be registered at `PREFIX`."""
        routes = Blueprint("scim", __name__)
        routes.before_app_request(self._admitted)
        for endpoint in (USERS, GROUPS):
            for rule, method, view in (
                (f"/{endpoint}", "GET", self._list),
                (f"/{endpoint}", "POST", self._create),
                (f"/{endpoint}/.search", "POST", self._search),
                (f"/{endpoint}/<resource_id>", "GET", self._one),
                (f"/{endpoint}/<resource_id>", "PUT", self._replace),
                (f"/{endpoint}/<resource_id>", "PATCH", self._patch),
                (f"/{endpoint}/<resource_id>", "DELETE", self._delete),
            ):
                _route(routes, rule, method, view, name=f"{endpoint}-{rule}-{method}", endpoint=endpoint)
        for rule, method, other in (
            ("/", "GET", self._list_all),
            ("/.search", "POST", self._search_all),
            ("/Bulk", "POST", self._bulk),
            ("/ServiceProviderConfig", "GET", self._config),
            ("/Schemas", "GET", self._schemas),
            ("/Schemas/<urn>", "GET", self._schema),
            ("/ResourceTypes", "GET", self._types),
            ("/ResourceTypes/<name>", "GET", self._type),
        ):
            _route(routes, rule, method, other, name=f"{rule}-{method}")
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            _route(routes, "/Me", method, self._me, name=f"me-{method}")
        return routes

    def _admitted(self) -> None:
        sent = request.headers
        forwarded = sent.get("X-Forwarded-For", "")
        g.client = self.admit(sent.get("Authorization", ""), request.remote_addr or "", forwarded)
        # Before anything is done: what is refused has changed nothing.
        g.base = base_of(self.room.settings, request.scheme, request.headers.get("Host"), request.server)

    # --- reading ----------------------------------------------------------------------------------------------------

    def _one(self, endpoint: str, resource_id: str) -> Response:
        bulk.refuse_beyond(g.client, endpoint, "read")
        stored = self.stored(endpoint, resource_id)
        if is_known(request.headers.get("If-None-Match"), stored.version):
            return Response(status=304, headers={"ETag": etag(stored.version)})
        wanted = wanted_of(endpoint, *_projection(request.args))
        return _answer(self._view.one(endpoint, stored, wanted), headers={"ETag": etag(stored.version)})

    def stored(self, endpoint: str, resource_id: str) -> Stored:
        """Give one resource as it is stored. Raises ScimError 404."""
        stored = self.room.lookup.one(TABLES[endpoint], _plausible(endpoint, resource_id))
        if stored is None:
            raise not_found(f"There is no {KINDS[endpoint]} {resource_id}.")
        return stored

    def _list(self, endpoint: str) -> Response:
        return self._listed((endpoint,), from_parameters(request.args, self.room.settings.max_results))

    def _list_all(self) -> Response:
        return self._listed((USERS, GROUPS), from_parameters(request.args, self.room.settings.max_results))

    def _search(self, endpoint: str) -> Response:
        return self._listed((endpoint,), from_body(self._body(), self.room.settings.max_results))

    def _search_all(self) -> Response:
        return self._listed((USERS, GROUPS), from_body(self._body(), self.room.settings.max_results))

    def _listed(self, endpoints: tuple[str, ...], query: Query) -> Response:
        for endpoint in endpoints:
            bulk.refuse_beyond(g.client, endpoint, "read")
        if _BY_MEMBERS_NAME.search(f"{query.filter} {query.sort_by}"):
            bulk.refuse_beyond(g.client, USERS, "read")  # what is searched by is told, one letter after the other
        return _answer(self.listing.answer(endpoints, query, self._view))

    # --- writing ----------------------------------------------------------------------------------------------------

    def _create(self, endpoint: str) -> Response:
        client = self._writer(endpoint)
        act = self._verbs(endpoint).create(client, self._body())
        return self._saved(self.room.write(client, f"POST /{endpoint}", act))

    def _replace(self, endpoint: str, resource_id: str) -> Response:
        client, if_match = self._writer(endpoint), IfMatch.read(request.headers.get("If-Match"))
        act = self._verbs(endpoint).replace(client, _plausible(endpoint, resource_id), self._body(), if_match)
        return self._saved(self.room.write(client, f"PUT /{endpoint}/{resource_id}", act))

    def _patch(self, endpoint: str, resource_id: str) -> Response:
        client, if_match = self._writer(endpoint), IfMatch.read(request.headers.get("If-Match"))
        act = self._verbs(endpoint).patch(client, _plausible(endpoint, resource_id), self._body(), if_match)
        return self._saved(self.room.write(client, f"PATCH /{endpoint}/{resource_id}", act))

    def _delete(self, endpoint: str, resource_id: str) -> Response:
        client, if_match = self._writer(endpoint), IfMatch.read(request.headers.get("If-Match"))
        act = self._verbs(endpoint).delete(client, _plausible(endpoint, resource_id), if_match)
        return self._saved(self.room.write(client, f"DELETE /{endpoint}/{resource_id}", act))

    def _bulk(self) -> Response:
        operations, errors = bulk.read(self._body(), self.room.settings.bulk_max_operations)
        many = bulk.Bulk(self.users, self.groups, g.client, operations, errors)
        done = self.room.committer.run(many.act)
        waits = tuple(user for one in done if one.saved for user in one.saved.waits)
        self.room.settled(Saved(USERS, "", 0, "", waits=waits))
        return _answer(_dump(bulk.answered(done, self._view)))

    def _writer(self, endpoint: str) -> Client:
        client: Client = g.client
        bulk.refuse_beyond(client, endpoint, "write")
        return client

    def _verbs(self, endpoint: str) -> Users | Groups:
        return self.users if endpoint == USERS else self.groups

    def _saved(self, saved: Saved) -> Response:
        """Answer a write: with the resource, unless the client (or its size) would rather not."""
        prefer = request.headers.get("Prefer", "").replace(" ", "").lower()
        if saved.status == _NO_CONTENT and saved.document and "return=representation" in prefer:
            saved = replace(saved, status=200)  # RFC 7240 4.2
        elif "return=minimal" in prefer and saved.status != _CREATED:
            saved = replace(saved, status=_NO_CONTENT)
        headers = {"ETag": etag(saved.version)} if saved.document else {}
        if saved.status == _CREATED:
            headers["Location"] = self._view.location(saved.endpoint, saved.id)
        if saved.status == _NO_CONTENT:
            return Response(status=_NO_CONTENT, headers=headers)
        wanted = wanted_of(saved.endpoint, *_projection(request.args))
        stored = Stored(saved.id, saved.version, saved.document)
        return _answer(self._view.one(saved.endpoint, stored, wanted), saved.status, headers)

    # --- discovery --------------------------------------------------------------------------------------------------

    def _config(self) -> Response:
        return _answer(_dump(discovery.service_provider_config(self.offer, self._base)))

    def _schemas(self) -> Response:
        return _documents(discovery.schemas(self._base))

    def _schema(self, urn: str) -> Response:
        return _answer(_dump(discovery.schema(urn, self._base)))

    def _types(self) -> Response:
        return _documents(discovery.resource_types(self._base))

    def _type(self, name: str) -> Response:
        return _answer(_dump(discovery.resource_type(name, self._base)))

    def _me(self) -> Response:
        raise not_implemented("A client is not a User here: there is no /Me (RFC 7644 3.11).")

    # --- the request ------------------------------------------------------------------------------------------------

    @property
    def _base(self) -> str:
        base: str = g.base
        return base

    @property
    def _view(self) -> View:
        return View(self.room.lookup, self._base, names="users:read" in g.client.scopes)

    def _body(self) -> dict[str, Any]:
        kind, _, parameters = request.headers.get("Content-Type", "").lower().partition(";")
        said = dict(part.partition("=")[::2] for part in parameters.replace('"', "").replace(" ", "").split(";"))
        if kind.strip() not in _MEDIA_TYPES or said.get("charset", "utf-8") not in _CHARSETS:
            raise unsupported_type(f"Send {MEDIA_TYPE} in UTF-8.")
        if request.headers.get("Content-Encoding", "").lower() not in ("", "identity"):
            raise unsupported_type("Send the body as it is: no Content-Encoding is undone here.")
        most = self.room.settings.max_body_bytes
        if (request.content_length or 0) > most:
            raise too_large(f"The body has {request.content_length} bytes; at most {most} are taken.")
        return object_in(request.get_data(cache=False), most_bytes=most)


def _plausible(endpoint: str, resource_id: str) -> str:
    """Give an id that could be one. What no database takes is nobody's."""
    if len(resource_id) > _LONGEST_ID or not resource_id.isprintable():
        raise not_found(f"There is no such {KINDS[endpoint]}.")
    return resource_id


def base_of(settings: Settings, scheme: str, host_header: str | None, server: _Server | None = None) -> str:
    """Give the endpoint's URL, without a slash at its end: the configured one, else as the client wrote it.

    `server` is where it listens, for a client that names no host.
    """
    return settings.base_url.rstrip("/") if settings.base_url else _base_of(scheme, host_header, server)


@lru_cache(maxsize=64)
def _base_of(scheme: str, host_header: str | None, server: _Server | None) -> str:
    """Give the endpoint's URL as the client wrote it. What is not a host name does not get into a document."""
    host = get_host(scheme, host_header, server)
    if not _HOST.fullmatch(host):
        raise bad_request("invalidValue", "The Host header is none.")
    return f"{scheme}://{host}{PREFIX}"


def _route(routes: Blueprint, rule: str, method: str, view: Any, name: str, **defaults: str) -> None:
    routes.add_url_rule(
        rule,
        endpoint=name.replace(".", "-"),
        view_func=view,
        methods=[method],
        defaults=defaults,
        strict_slashes=False,
        provide_automatic_options=False,
    )


def _projection(sent: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not sent:
        return (), ()
    query = from_parameters(sent, 1)
    return query.attributes, query.excluded


def _answer(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(text.encode(), status, headers, content_type=MEDIA_TYPE)


def _documents(documents: tuple[discovery.Document, ...]) -> Response:
    if "filter" in {name.lower() for name in request.args}:
        raise forbidden("Discovery is not filtered (RFC 7644 4).")
    listed = {"schemas": [_LIST], "totalResults": len(documents), "itemsPerPage": len(documents), "startIndex": 1}
    return _answer(_dump({**listed, "Resources": documents}))


def _dump(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def refused(error: ScimError) -> Response:
    """Answer with an error (RFC 7644 3.12)."""
    return _answer(_dump(error.body()), error.status, error.headers)
