"""Writes into Users what became of them: `active`, and our extension with every door and its state.

It reads what the journal says and decides nothing. A User that says so already is not written again.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, select, update

from connector.model import Status
from connector.reconcile.journal import Journal
from connector.reconcile.journal_bulk import among
from connector.reconcile.journal_scim_tables import scim_users
from connector.reconcile.journal_sourced import SOURCED
from connector.reconcile.journal_values import StoredRevocation
from connector.reconcile.wording import ACCESS_ENDED
from connector.scim import user_store
from connector.scim.committing import Turn, turn
from connector.scim.gate import CLOSE, OPEN
from connector.scim.people import Known, is_blocked, known
from connector.scim.seam import Ruling
from connector.scim.truth import LET_IN, Truth, newest_closing, with_truth

_ROWS = select(*user_store.COLUMNS).where(among(scim_users.c.id, "ids"))
_OF_PEOPLE = select(scim_users.c.id).where(among(scim_users.c.person_id, "people"))


NOTHING: Mapping[str, datetime | None] = {}


@dataclass(slots=True)
class Telling:
    """Tells how things stand with Users. `statuses` are those of SCIM-sourced people, as judged last."""

    journal: Journal
    zone: ZoneInfo
    statuses: Mapping[str, Status] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)

    def of_people(self, people: Iterable[str]) -> None:
        """Tell how things stand with the Users of these people."""
        with self.journal.store.reading() as conn:
            found = conn.execute(_OF_PEOPLE, {"people": list(people)}).all()
        self.tell([row.id for row in found])

    def tell(self, user_ids: Sequence[str], done: Mapping[str, datetime | None] = NOTHING) -> None:
        """Tell how things stand with these Users.

        Of those in `done` nothing is pending any more, but what was asked for later than the moment given.
        """
        if not user_ids:
            return
        with self.journal.store.reading() as conn:
            people = {row.person_id for row in conn.execute(_ROWS, {"ids": list(user_ids)})}
        closings = {one: newest_closing(self.journal.revocations(one)) for one in sorted(people)}
        with turn(self.journal.store) as now:
            today = now.writing.now.astimezone(self.zone).date()
            for row in now.writing.conn.execute(_ROWS, {"ids": list(user_ids)}).all():
                finished = row.id in done and (not (since := done[row.id]) or since == row.pending_since)
                self._tell(now, row, closings.get(row.person_id), today, finished=finished)

    def _tell(self, now: Turn, row: Row[Any], closing: StoredRevocation | None, today: date, *, finished: bool) -> None:
        person = known(now.writing.conn, row.person_id) if row.source != SOURCED else None
        blocked = is_blocked(now.writing.conn, (row.person_id, *(person.humans if person else ())), today)
        pending = "" if finished else row.pending
        truth = self._truth(row, person, closing, blocked=blocked, pending=pending)
        active = row.wanted and not blocked and (row.active if row.source == SOURCED else truth.status in LET_IN)
        if truth.open:
            self.unfinished.add(row.id)
        else:
            self.unfinished.discard(row.id)
        before = json.loads(row.document)
        after = with_truth(before, truth, active=active)
        if after != before:
            ruling = Ruling(row.person_id, row.source, active=after["active"], wanted=row.wanted, pending=pending)
            user_store.change(now, row, before, after, user_store.Owner(row.client, ruling), asks=False)
        elif pending != row.pending:
            mine = scim_users.c.id == row.id
            now.writing.conn.execute(update(scim_users).where(mine).values(pending=pending, pending_since=None))

    def _truth(
        self, row: Row[Any], person: Known | None, closing: StoredRevocation | None, *, blocked: bool, pending: str
    ) -> Truth:
        is_closing = pending == CLOSE
        told = Truth(Status.NONE, row.source, closing, is_closing)
        if told.open:
            status = Status.READY_TO_REVOKE
        elif blocked or not row.wanted or (row.source == SOURCED and not row.active):
            status = Status.REVOKED if closing is not None else Status.NONE
        elif row.source == SOURCED:
            status = self.statuses.get(row.person_id, Status.ACTIVE)
            if pending == OPEN and status is Status.ACTIVE:
                status = Status.READY_TO_PROVISION
        else:
            status = person.status if person is not None else Status.NONE
        why = ACCESS_ENDED if blocked else person.why if person is not None and status not in LET_IN else ""
        return Truth(status, row.source, closing, is_closing, why)
