"""Many operations in one request (RFC 7644 3.7): one transaction, in which each stands or falls alone.

Operations are done in their order, but for those that refer to one that comes later. An operation is never done twice,
and what was refused for somebody's access is audited as if it had come alone.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from connector.scim.clients import Client
from connector.scim.committing import Act, Turn
from connector.scim.conditions import IfMatch, etag
from connector.scim.errors import (
    ScimError,
    conflict,
    forbidden,
    invalid_syntax,
    invalid_value,
    method_not_allowed,
    not_found,
    too_large,
)
from connector.scim.groups import Groups
from connector.scim.room import GROUPS, USERS, Saved
from connector.scim.users import Users
from connector.scim.view import View

_REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
_METHODS = ("POST", "PUT", "PATCH", "DELETE")
_MARK = "bulkId:"
_FORBIDDEN = 403
_FIRST_ERROR = 400


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as it was sent."""

    method: str
    path: str
    bulk_id: str
    version: str
    body: object


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an operation."""

    operation: Operation
    saved: Saved | None = None
    refusal: ScimError | None = None


class _Order:
    """Gives each operation once: the first that refers to none that is still to be given, else the first there is.

    Thousands that refer to one another are looked at once each, not once for every other: a transaction waits.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        names = {one.bulk_id for one in operations} - {""}
        self._names = [one.bulk_id for one in operations]
        self._waits = [names.intersection(_references((one.path, one.body))) - {one.bulk_id} for one in operations]
        self._followers: dict[str, list[int]] = defaultdict(list)
        for number, waits in enumerate(self._waits):
            for name in waits:
                self._followers[name].append(number)
        self._ready = [number for number, waits in enumerate(self._waits) if not waits]
        self._left = dict.fromkeys(range(len(operations)))

    def next(self) -> tuple[int, bool] | None:
        """Give the next one's number, and whether it refers to one that refers to it; none at the end."""
        if not self._left:
            return None
        circular = not self._ready
        number = next(iter(self._left)) if circular else heappop(self._ready)
        del self._left[number]
        for follower in self._followers.pop(self._names[number], ()):
            self._waits[follower].discard(self._names[number])
            if follower in self._left and not self._waits[follower]:
                heappush(self._ready, follower)
        return number, circular


@dataclass(frozen=True, slots=True)
class Bulk:
    """A request's operations, for one client."""

    users: Users
    groups: Groups
    client: Client
    operations: tuple[Operation, ...]
    most_errors: int

    def act(self, turn: Turn) -> list[Done]:
        """Do them, as many as may fail."""
        done: dict[int, Done] = {}
        ids: dict[str, str | None] = {}
        errors, order = 0, _Order(self.operations)
        while (following := order.next()) and not (self.most_errors and errors >= self.most_errors):
            number, circular = following
            operation = self.operations[number]
            done[number] = self._done(turn, operation, ids, circular=circular)
            saved = done[number].saved
            errors += saved is None
            if operation.bulk_id:
                ids[operation.bulk_id] = saved.id if saved else None
        return [done[number] for number in sorted(done)]

    def _done(self, turn: Turn, one: Operation, ids: Mapping[str, str | None], *, circular: bool) -> Done:
        try:
            if circular:  # RFC 7644 3.7.1
                raise conflict("The operation refers to one that refers to it. Send them one after the other.", "")
            with turn.alone():
                act = self._act(one, _resolved(one.path, ids), _resolved(one.body, ids))
                return Done(one, saved=act(turn))
        except ScimError as refusal:
            if refusal.status == _FORBIDDEN:
                what = f"{one.method} {one.path}"
                text = f"Refused: {what}. {refusal.detail}"
                turn.writing.note(refusal.audited_as, what, self.client.operator, text)
            return Done(one, refusal=refusal)

    def _act(self, one: Operation, path: str, body: object) -> Act[Saved]:
        endpoint, _, resource_id = path.strip("/").partition("/")
        if endpoint not in (USERS, GROUPS) or "/" in resource_id:
            raise not_found(f"A Bulk operation is about /Users or /Groups, not {one.path[:100]}.")
        refuse_beyond(self.client, endpoint, "write")
        verbs = self.users if endpoint == USERS else self.groups
        if one.method == "POST" and not resource_id:
            if not one.bulk_id:
                raise invalid_syntax("A POST in a Bulk request needs a bulkId.")
            return verbs.create(self.client, body)
        if not resource_id or one.method == "POST":
            raise method_not_allowed(f"{one.method} is not for {one.path[:100]}.", "")
        if_match = IfMatch.read(one.version)
        if one.method == "DELETE":
            return verbs.delete(self.client, resource_id, if_match)
        change = verbs.replace if one.method == "PUT" else verbs.patch
        return change(self.client, resource_id, body, if_match)


def refuse_beyond(client: Client, endpoint: str, what: str) -> None:
    """Refuse what the client's scopes do not cover."""
    scope = f"{endpoint.lower()}:{what}"
    if scope not in client.scopes:
        given = f"connector token create NAME --scope {scope}"
        raise forbidden(f"{client.name} has no scope {scope}. It is given with: {given}")


def read(sent: Mapping[str, Any], most: int) -> tuple[tuple[Operation, ...], int]:
    """Give a request's operations, and how many may fail before the rest is left undone (0: all)."""
    named = {name.lower(): value for name, value in sent.items()}
    schemas = named.get("schemas")
    if not isinstance(schemas, list) or _REQUEST not in schemas:
        raise invalid_syntax(f"A Bulk request has the schema {_REQUEST}.")
    operations, errors = named.get("operations"), named.get("failonerrors") or 0
    if not isinstance(operations, list) or not isinstance(errors, int) or isinstance(errors, bool) or errors < 0:
        raise invalid_syntax("Operations is a list, and failOnErrors a number.")
    if len(operations) > most:
        raise too_large(f"{len(operations)} operations in one request; at most {most} are done (maxOperations).")
    read = tuple(_operation(one) for one in operations)
    ids = [one.bulk_id for one in read if one.bulk_id]
    if len(ids) != len(set(ids)):
        raise invalid_value("Two operations have the same bulkId.")
    return read, errors


def answered(done: list[Done], view: View) -> dict[str, Any]:
    """Give the response (RFC 7644 3.7.3)."""
    return {"schemas": [_RESPONSE], "Operations": [_answer(one, view) for one in done]}


def _answer(done: Done, view: View) -> dict[str, Any]:
    one = done.operation
    answer: dict[str, Any] = {"method": one.method}
    if one.bulk_id:
        answer["bulkId"] = one.bulk_id
    if done.saved is not None:
        answer["location"] = view.location(done.saved.endpoint, done.saved.id)
        if done.saved.document:
            answer["version"] = etag(done.saved.version)
        return answer | {"status": str(done.saved.status)}
    refusal = done.refusal
    if refusal is None:
        raise TypeError("An operation that is done was saved or refused.")
    if one.method != "POST" and _MARK not in one.path:
        answer["location"] = f"{view.base}/{one.path.strip('/')}"
    return answer | {"status": str(refusal.status), "response": refusal.body()}


def _operation(sent: object) -> Operation:
    if not isinstance(sent, dict):
        raise invalid_syntax("Each operation is an object.")
    named = {str(name).lower(): value for name, value in sent.items()}
    method, path = named.get("method"), named.get("path")
    if not isinstance(method, str) or method.upper() not in _METHODS or not isinstance(path, str):
        raise invalid_syntax(f"Each operation has a path, and a method of {', '.join(_METHODS)}.")
    bulk_id, version = named.get("bulkid") or "", named.get("version") or ""
    if not isinstance(bulk_id, str) or not isinstance(version, str):
        raise invalid_syntax("bulkId and version are text.")
    return Operation(method.upper(), path, bulk_id, version, named.get("data"))


def _references(value: object) -> Iterator[str]:
    if isinstance(value, str):
        at = value.find(_MARK)
        if at == 0 or (at > 0 and value.startswith("/")):
            yield value[at + len(_MARK) :]
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _references(inner)


def _resolved(value: Any, ids: Mapping[str, str | None]) -> Any:
    """Put ids where a bulkId stands for them."""
    if isinstance(value, dict):
        return {name: _resolved(inner, ids) for name, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, ids) for inner in value]
    for name in _references(value):
        if ids.get(name) is None:
            raise invalid_value(f"{_MARK}{name[:100]} is no resource that this request created.")
        return str(value).replace(_MARK + name, str(ids[name]))
    return value
