"""What tests of the endpoint are built from: an application over a new journal, a client, and Users to send."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from flask import Flask
from sqlalchemy import Row
from werkzeug.datastructures import Headers

from connector.reconcile.journal_store import Store, Writing
from connector.scim.clients import Client
from connector.scim.seam import Adopted, Document, Ruling
from connector.scim.serving import EXTENSION, assembled

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
SCIM = "application/scim+json"


@dataclass(frozen=True, slots=True)
class Given:
    """Settings of an endpoint under test."""

    base_url: str = ""
    answer_seconds: float = 1
    max_body_bytes: int = 1 << 20
    max_results: int = 200
    bulk_max_operations: int = 100
    cursor_minutes: int = 15


@dataclass(slots=True)
class EverybodyIsTheProviders:
    """Rules under which the provider's word counts for everybody; it remembers what it was asked."""

    asked: list[str] = field(default_factory=list)
    pending: str = ""

    def create(self, writing: Writing, client: Client, document: Document) -> Ruling | Adopted:
        del writing, client
        active = bool(document.get("active", True))
        return Ruling(f"scim:{uuid4()}", "scim", active, active, self.pending)

    def foresee(self, writing: Writing, new: Sequence[Document], changed: Sequence[Row[Any]]) -> bool:
        del writing, new, changed
        return True

    def update(self, writing: Writing, client: Client, row: Row[Any], after: Document) -> Ruling:
        del writing, client
        active = bool(after.get("active", True))
        return Ruling(row.person_id, row.source, active, active, self.pending if active != row.active else row.pending)

    def delete(self, writing: Writing, client: Client, row: Row[Any]) -> None:
        del writing, client
        self.asked.append(f"delete {row.user_name}")

    def joined(self, writing: Writing, client: Client, group: Row[Any], users: Sequence[Row[Any]]) -> None:
        del writing, client
        self.asked.extend(f"{user.user_name} joined {group.display_name}" for user in users)

    def left(self, writing: Writing, client: Client, group: Row[Any], users: Sequence[Row[Any]]) -> None:
        del writing, client
        self.asked.extend(f"{user.user_name} left {group.display_name}" for user in users)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `json` is None where the body is none."""

    status: int
    json: Any
    headers: Headers
    body: bytes


@dataclass(slots=True)
class Provider:
    """An identity provider that calls the endpoint over WSGI."""

    flask: Flask
    store: Store
    rules: Any

    def close(self) -> None:
        self.flask.extensions[EXTENSION].lookup.close()

    def call(self, method: str, path: str, **named: Any) -> Answer:
        got = self.flask.test_client().open(f"/scim/v2{path}", method=method, **named)
        return Answer(got.status_code, got.get_json(silent=True), got.headers, got.data)

    def get(self, path: str, **named: Any) -> Answer:
        return self.call("GET", path, **named)

    def delete(self, path: str, **named: Any) -> Answer:
        return self.call("DELETE", path, **named)

    def send(self, method: str, path: str, body: Any, **named: Any) -> Answer:
        return self.call(method, path, json=body, content_type=SCIM, **named)

    def post(self, path: str, body: Any, **named: Any) -> Answer:
        return self.send("POST", path, body, **named)

    def patch(self, path: str, *operations: dict[str, Any], **named: Any) -> Answer:
        return self.send("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, **named)

    def user(self, name: str, **attributes: Any) -> dict[str, Any]:
        """Create a User and give it as it was answered."""
        answer = self.post("/Users", user(name, **attributes))
        assert answer.status == 201, answer.json
        created: dict[str, Any] = answer.json
        return created

    def group(self, name: str, *member_ids: str) -> dict[str, Any]:
        """Create a Group and give it as it was answered."""
        answer = self.post("/Groups", group(name, *member_ids))
        assert answer.status == 201, answer.json
        created: dict[str, Any] = answer.json
        return created

    def members(self, group_id: str) -> set[str]:
        """Ask who is in a Group."""
        return {member["value"] for member in self.get(f"/Groups/{group_id}").json.get("members", ())}


def provider(
    store: Store, given: Given | None = None, rules: Any = None, client: Client | None = None, *, acts: bool = False
) -> Provider:
    """Give a provider that calls an endpoint over this store, and is admitted as `client`."""
    rules = rules or EverybodyIsTheProviders()
    caller = client or Client("entra")
    return Provider(assembled(store, given or Given(), rules, lambda *_: caller, acts=acts), store, rules)


def user(name: str, **attributes: Any) -> dict[str, Any]:
    return {"schemas": [USER], "userName": name, **attributes}


def group(name: str, *member_ids: str) -> dict[str, Any]:
    members = {"members": [{"value": one} for one in member_ids]} if member_ids else {}
    return {"schemas": [GROUP], "displayName": name, **members}
