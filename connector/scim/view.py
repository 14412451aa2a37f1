"""A stored document becomes the bytes of an answer: its own address is put in, a Group's members where they are wanted.

Nothing is parsed unless a projection was asked for. A Group's members are read only when they are in the answer.
"""

import json
from dataclasses import dataclass

from connector.scim.lookup import Lookup, Stored
from connector.scim.projection import EVERYTHING, Projection, projected, projection
from connector.scim.resources import LOCATION
from connector.scim.room import GROUPS, USERS
from connector.scim.shapes import GROUP, USER

SHAPES = {USERS: USER, GROUPS: GROUP}


@dataclass(frozen=True, slots=True)
class View:
    """How resources look from outside. `base` is the URL of the endpoint, without a slash at its end.

    `names` is whether the names of a Group's members may be told: they are Users' own.
    """

    lookup: Lookup
    base: str
    names: bool = True

    def location(self, endpoint: str, resource_id: str) -> str:
        """Give a resource's URL."""
        return f"{self.base}/{endpoint}/{resource_id}"

    def one(self, endpoint: str, stored: Stored, wanted: Projection = EVERYTHING) -> str:
        """Give a resource as JSON text."""
        text = stored.document.replace(LOCATION, self.location(endpoint, stored.id))
        if endpoint == GROUPS and wanted.wants("members"):
            text = self._with_members(text, stored.id, named=self.names and wanted.asks_for("members", "display"))
        if wanted.is_everything:
            return text
        return json.dumps(projected(json.loads(text), wanted), ensure_ascii=False, separators=(",", ":"))

    def _with_members(self, text: str, group_id: str, *, named: bool) -> str:
        """Put the members in. Their names are told on request only: a member is known by its id."""
        users = f"{self.base}/{USERS}/"
        members = [
            f'{{"value":"{user_id}","$ref":"{users}{user_id}",'
            + (f'"display":{json.dumps(name, ensure_ascii=False)},' if named else "")
            + '"type":"User"}'
            for user_id, name in self.lookup.members(group_id)
        ]
        return f'{text[:-1]},"members":[{",".join(members)}]}}' if members else text


def wanted_of(endpoint: str, attributes: tuple[str, ...], excluded: tuple[str, ...]) -> Projection:
    """Give what an answer shows of a resource."""
    if not (attributes or excluded):
        return EVERYTHING
    return projection(attributes, excluded, SHAPES[endpoint])
