"""The sample school behind the endpoint: its connector, mirrored, and a gate before it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select

from connector.app import Connector
from connector.demo import build
from connector.reconcile.journal_scim_tables import scim_groups, scim_members, scim_users
from connector.reconcile.judge import Judgement
from connector.scim.closings import Seen
from connector.scim.gate import Gate
from connector.scim.mirror import Mirror
from connector.scim.telling import Telling

SAMPLE = Path(__file__).parents[2] / "sample" / "harbour-college"
AS_OF = date(2026, 11, 21)


@dataclass(slots=True)
class Mirrored:
    """A connector whose judgement stands in the endpoint's tables."""

    connector: Connector
    judgement: Judgement
    gate: Gate
    mirror: Mirror

    @property
    def seen(self) -> Seen:
        return Seen(self.judgement)

    @property
    def telling(self) -> Telling:
        return Telling(self.connector.journal, self.connector.config.site.zone)

    def user(self, person_id: str) -> Row[Any]:
        with self.connector.journal.store.reading() as conn:
            return conn.execute(select(scim_users).where(scim_users.c.person_id == person_id)).one()

    def users(self) -> list[Row[Any]]:
        with self.connector.journal.store.reading() as conn:
            return list(conn.execute(select(scim_users)).all())

    def group(self, portal: str) -> Row[Any]:
        with self.connector.journal.store.reading() as conn:
            return conn.execute(select(scim_groups).where(scim_groups.c.portal == portal)).one()

    def members(self, portal: str) -> set[str]:
        joined = select(scim_users.c.person_id).join(scim_members, scim_members.c.user_id == scim_users.c.id)
        with self.connector.journal.store.reading() as conn:
            found = conn.execute(joined.where(scim_members.c.group_id == self.group(portal).id)).scalars()
            return set(found)

    def look_again(self) -> None:
        self.judgement = self.connector.look(AS_OF)
        self.mirror.write(self.judgement)


@contextmanager
def mirrored(folder: Path, edit: Callable[[Path], None] = lambda _: None) -> Iterator[Mirrored]:
    """Build the sample school, let `edit` change its folder, read it, and mirror it."""
    build(SAMPLE, folder)
    edit(folder)
    connector = Connector.open(folder / "config.toml")
    try:
        judgement = connector.look(AS_OF)
        gate = Gate(connector.config.site.zone, acts=True)
        mirror = Mirror(connector.journal.store, [p.name for p in connector.config.portal_rules])
        mirror.write(judgement)
        yield Mirrored(connector, judgement, gate, mirror)
    finally:
        connector.close()
