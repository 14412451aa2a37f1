"""Closes whom a provider took away: reads those people again, judges anew, and drives what the judgement says.

The provider asked; the judgement still decides what is theirs: an account an entitled person claims stays, a protected
one is not written. What could not be closed stays open in the journal, and is tried again.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from connector.app import Connector
from connector.model import MemberStatus
from connector.reconcile.closing import Closer
from connector.reconcile.freshening import freshened
from connector.reconcile.journal_scim_tables import scim_closings
from connector.reconcile.journal_sourced import SourcedPeople
from connector.reconcile.journal_values import ChangeKind, Direction, MembershipChange, OpenLeg
from connector.reconcile.judge import Judgement, Past, judge
from connector.reconcile.memory import Memory
from connector.reconcile.plan_values import Revocation
from connector.reconcile.resume import addresses
from connector.reconcile.snapshot import Snapshot
from connector.reconcile.sourced import beside

_OPEN = select(scim_closings).where(scim_closings.c.done_at.is_(None)).order_by(scim_closings.c.id)
_DONE = update(scim_closings).where(scim_closings.c.id == bindparam("of")).values(done_at=bindparam("ended"))


def open_closings(connector: Connector) -> Sequence[Row[Any]]:
    """Give whom providers took away and who is not closed everywhere yet, oldest first."""
    with connector.journal.store.reading() as conn:
        return conn.execute(_OPEN).all()


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest reading of the whole school, and what was judged of it."""

    judgement: Judgement

    @property
    def snapshot(self) -> Snapshot:
        """What was read."""
        return self.judgement.snapshot


def again(
    connector: Connector, seen: Seen, people: Collection[str], sourced: SourcedPeople, requested: Collection[str] = ()
) -> tuple[Judgement, Memory]:
    """Read these people again and judge the school with them; whoever is `requested` counts as kept out."""
    as_of = connector.today()
    memory = connector.journal.memory(as_of)
    snapshot = freshened(seen.snapshot, connector.targets, sorted(people), _guids(seen.judgement, memory, people))
    snapshot = replace(snapshot, people=beside(snapshot.people, sourced))
    asked = replace(memory, requested=memory.requested | frozenset(requested))
    past = Past(asked, open_legs=addresses(connector.journal.open_legs(), snapshot))
    setup = connector.setup
    made = judge(snapshot, setup.rules, setup.portals, setup.limits, past, as_of, datetime.now(UTC))
    return made, memory


def _guids(judgement: Judgement, memory: Memory, people: Collection[str]) -> Mapping[str, Collection[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    identities = judgement.decisions.correlation.by_key()
    for person_id in people:
        for linked in identities[person_id].accounts if person_id in identities else ():
            found[linked.account.directory].add(linked.account.guid)
    for (directory, guid), person_id in memory.links.items():
        if person_id in people:
            found[directory].add(guid)
    return found


@dataclass(frozen=True, slots=True)
class Closings:
    """Closes one batch. `owner` is the driver's, for claims; `underway` is told each time something is on its way.

    Of people in `unsure` nothing is called done: somebody may be letting them in at this moment.
    """

    connector: Connector
    owner: str
    underway: Callable[[], None] = lambda: None
    unsure: Collection[str] = ()

    def close(self, rows: Sequence[Row[Any]], seen: Seen, sourced: SourcedPeople) -> frozenset[str]:
        """Close the people of these rows; give those of whom nothing is left to try."""
        people = {row.person_id for row in rows}
        requested = {row.person_id for row in rows if not row.portal}
        judgement, _ = again(self.connector, seen, people, sourced, requested)
        planned = {row.key: row for row in judgement.plan.revocations if row.key in people}
        for client, mine in _by_client(rows).items():
            keys = {row.person_id for row in mine}
            rows_of = [planned[key] for key in keys if key in planned]
            self._drive(rows_of, keys, f"scim:{client}", judgement)
        self._leave_portals([row for row in rows if row.portal and row.person_id not in planned], judgement)
        return self._finished(rows)

    def _drive(self, planned: Sequence[Revocation], keys: Collection[str], operator: str, judgement: Judgement) -> None:
        connector = self.connector
        pace = connector.setup.pace
        closer = Closer(connector.journal, connector.targets, pace, self.owner, operator, reached=connector.reached)
        self.underway()
        closer.close(planned, sorted(keys), judgement.decisions)

    def _leave_portals(self, rows: Iterable[Row[Any]], judgement: Judgement) -> None:
        """Somebody still entitled left one portal: that membership is disabled, reversibly, and nothing else."""
        identities = judgement.decisions.correlation.by_key()
        changes = [
            MembershipChange(ChangeKind.DISABLE, row.portal, row.person_id, member, _disabled(member))
            for row in rows
            if row.person_id in identities
            for member in identities[row.person_id].members_of(row.portal)
            if member.enabled
        ]
        if changes:
            with self.connector.running().acting("scim", self.connector.today(), {}) as applier:
                left = applier.change(changes)
                self.connector.journal.end_run(applier.run, "changed", 4 if left else 0)

    def _finished(self, rows: Sequence[Row[Any]]) -> frozenset[str]:
        """Note of whom nothing is left to try, and give them."""
        journal = self.connector.journal
        waiting = {row.person_id for row in rows if any(map(_to_try, journal.open_legs(key=row.person_id)))}
        waiting.update(self.unsure)
        done = [row for row in rows if row.person_id not in waiting]
        if done:
            with journal.store.writing() as writing:
                writing.conn.execute(_DONE, [{"of": row.id, "ended": writing.now} for row in done])
        return frozenset(row.person_id for row in done)


def _to_try(leg: OpenLeg) -> bool:
    return leg.direction is Direction.CLOSE and leg.resumable


def _disabled(member: Any) -> Any:
    return replace(member, status=MemberStatus.DISABLED)


def _by_client(rows: Iterable[Row[Any]]) -> dict[str, list[Row[Any]]]:
    found: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[row.client].append(row)
    return found
