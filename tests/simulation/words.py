"""What named people said, and whether it was respected: keeps, releases, approvals, plans, signatures; and disputes.

Each check rests on the journal's committed rows and on the world's own facts, as the promises do.
"""

import json
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connector.model import EndSessions, LegKind, Session
from connector.reconcile.journal_values import Direction
from connector.reconcile.running import RunResult
from tests.simulation.records import ENDED, Records, time_of
from tests.simulation.school import owner_of
from tests.simulation.world import Door, World

if TYPE_CHECKING:
    from tests.simulation.instance import Instance


class Words:
    """Watches one history. The acts say what people did: whom they signed for, no longer keep, or named."""

    def __init__(self, world: World, records: Records, breaks: Callable[[str], None]) -> None:
        self.world, self.records, self.breaks = world, records, breaks
        self.signed: set[int] = set()
        self.unkept: set[str] = set()
        self.by_name: set[tuple[str, str]] = set()  # people whose membership of a portal somebody asked to change
        self._plans: dict[str, tuple[datetime, datetime]] = {}  # when what a plan was made of was read

    def urgent(self, who: "Instance", person: str) -> bool:
        """Say whether somebody was to be closed whatever anybody said: blocked or restricted lately."""
        since = who.read_at or self.world.now
        blocked = self.records.blocked(person, since, self.world.now)
        return blocked or self.world.ever(("restricted", person), since, self.world.now)

    # --- closing ------------------------------------------------------------------------------------------------------

    def on_closing(self, who: "Instance", door: Door, person: str, what: str) -> None:
        """Judge a door that a leg closed."""
        disputed = self._disputed(who, person)
        if disputed and door[0] == LegKind.DIRECTORY.value:
            self.breaks(f"{who.name} {what} of {person}, who is disputed")
        if self.urgent(who, person):
            return
        if disputed:
            self.breaks(f"{who.name} {what} of {person}, who is disputed and not urgent")
        if who.read_at and self.records.kept(person, who.read_at):
            self.breaks(f"{who.name} {what} of {person}, who is kept")
        if self.world.held_by_policy and door[1] == "engage" and not self._released(person):
            self.breaks(f"{who.name} {what} of {person}, whose hold nobody released")

    def on_ending(self, who: "Instance", session: Session, legs: Sequence[sqlite3.Row], what: str) -> None:
        """Judge a session that a sweep ended, where only its own person's legs ask for it."""
        person = owner_of(session)
        if not legs or any(leg["person_id"] != person for leg in legs) or self.urgent(who, person):
            return
        if who.read_at and self.records.kept(person, who.read_at):
            self.breaks(f"{what}, whose owner is kept")
        if self._disputed(who, person):
            self.breaks(f"{what}, whose owner is disputed")

    def on_addition(self, who: "Instance", person: str, what: str) -> None:
        """Judge a membership that was added: nobody who is disputed is provisioned."""
        if self._disputed(who, person):
            self.breaks(f"{who.name} {what} of {person}, who is disputed")

    def on_account_request(self, who: "Instance", guid: str) -> None:
        """Judge that an account is asked to be closed at all: protected ones, and those outside, are never driven."""
        for fact in ("protected", "outside"):
            if self.world.held_since((fact, guid), who.read_at):
                self.breaks(f"{who.name} drove account {guid}, which is {fact}")

    def _disputed(self, who: "Instance", person: str) -> bool:
        """Say whether a dispute was to be seen: not where the directory did not answer."""
        return who.has_read_directory and self.world.held_since(("disputed", person), who.read_at)

    def _released(self, person: str) -> bool:
        query = "SELECT 1 FROM releases WHERE key = ? AND hold = 'policy'"
        return self.records.one(query, person) is not None

    # --- the authority ------------------------------------------------------------------------------------------------

    def on_authorised_request(self, who: "Instance", item: EndSessions) -> None:
        """Judge what a store is asked whose owner acts on an authority's word only."""
        query = """
            SELECT t.id, t.signed_at FROM legs l JOIN revocations r ON r.id = l.revocation_id
            JOIN termination_records p ON p.key = r.key JOIN terminations t ON t.id = p.termination_id
            WHERE l.id = ? AND t.commanded_at <= r.intended_at ORDER BY t.id DESC
        """
        order = self.records.one(query, int(item.reference.partition("-")[0]))
        if order is not None and order["signed_at"] is None:
            self.breaks(f"{who.name} had {item.user} swept by order {order['id']}, which nobody has signed")

    # --- plans --------------------------------------------------------------------------------------------------------

    def plan_made(self, plan_id: str, read_at: datetime) -> None:
        """Hear that a plan was made of what was read from a moment on until now."""
        self._plans[plan_id] = read_at, self.world.now

    def stored(self, plan_id: str) -> sqlite3.Row | None:
        """Give a stored plan as it lies there, before it is applied."""
        return self.records.one("SELECT created_at, content FROM plans WHERE plan_id = ?", plan_id)

    def after_plan(
        self, who: "Instance", result: RunResult, plan_id: str = "", kept: sqlite3.Row | None = None
    ) -> None:
        """Judge what a run intended: by what was approved, and by the stored plan it was to apply."""
        query = "SELECT * FROM revocations WHERE run_id = ? AND direction = ?"
        rows = self.records.all(query, result.run_id, Direction.CLOSE.value)
        self._judge_approved(who, result, rows, plan_id)
        if kept is not None:
            self._judge_stored(who, rows, result.run_id, plan_id, kept)

    def _judge_approved(self, who: "Instance", result: RunResult, rows: Sequence[sqlite3.Row], plan_id: str) -> None:
        plan, limit = result.judgement.plan, self.world.school.the_limits.max_revocations
        ordinary = [r["key"] for r in rows if not self.urgent(who, r["person_id"] or "") and not self._was_begun(r)]
        found = self.records.all("SELECT waivers FROM approvals WHERE plan_id IN (?, ?)", plan.plan_id, plan_id)
        waived = {label for row in found for label in json.loads(row["waivers"])}
        standing = [o.label for o in plan.objections if o.label not in waived]
        if ordinary and standing:
            self.breaks(f"{who.name} intended {ordinary} although nobody waived {standing}")
        if len(ordinary) > limit and "max-revocations" not in waived:
            self.breaks(f"{who.name} intended {ordinary} at once, which nobody approved")
        if ordinary and plan.objections:
            self.world.trace.count("words:waived")

    def _was_begun(self, row: sqlite3.Row) -> bool:
        """Say whether a first half of a row was intended earlier: a target that could not be read then."""
        earlier = self.records.legs("r.key = ? AND r.id < ?", row["key"], row["id"])
        return any(json.loads(leg["planned"]).get("unread") for leg in earlier)

    def _judge_stored(
        self, who: "Instance", rows: Sequence[sqlite3.Row], run_id: int, plan_id: str, kept: sqlite3.Row
    ) -> None:
        content = json.loads(kept["content"])
        self.world.trace.count("words:stored plan")
        keys = {row["key"] for row in content["revocations"]}
        added = {(one["portal"], one["person_id"]) for one in content["additions"]}
        beyond = [r["key"] for r in rows if r["key"] not in keys]
        changes = self.records.changes("run_id = ? AND kind = 'add'", run_id)
        beyond += [c["person_id"] for c in changes if (c["portal"], c["person_id"]) not in added]
        if beyond:
            self.breaks(f"{who.name} applied plan {plan_id} to {beyond}, who are not in it")
        most = timedelta(hours=self.world.school.the_limits.plan_max_age_hours)
        if rows and time_of(rows[0]["intended_at"]) - time_of(kept["created_at"]) > most + timedelta(hours=1):
            self.breaks(f"{who.name} applied plan {plan_id} of {kept['created_at']}, which is too old")
        for row in rows:
            self._judge_row(who, plan_id, row["person_id"] or "", time_of(row["intended_at"]))

    def _judge_row(self, who: "Instance", plan_id: str, person: str, intended_at: datetime) -> None:
        """A row of a stored plan is skipped where its person's doors are not as they were."""
        if plan_id not in self._plans or who.read_at is None:
            return
        before = {self.world.doors_of(person, at) for at in self._plans[plan_id]}
        now = {self.world.doors_of(person, at) for at in (who.read_at, intended_at)}
        if before.isdisjoint(now):
            self.breaks(f"{who.name} applied plan {plan_id} to {person}, whose doors have changed since")

    # --- at the end ---------------------------------------------------------------------------------------------------

    def asked_on(self, portal: str) -> set[str]:
        """Give whose member of a portal we have asked somebody to close or open."""
        legs = self.records.legs("l.kind = ? AND l.target = ? AND l.attempts > 0", LegKind.CREDENTIAL.value, portal)
        return {leg["person_id"] for leg in legs if leg["state"] not in ENDED}

    def runs(self) -> int:
        """Give how many runs there were; the first was the ordinary one before the history."""
        row = self.records.one("SELECT COUNT(*) AS runs FROM runs")
        return int(row["runs"]) if row else 0

    def standing_keeps(self) -> list[str]:
        """Give who is kept."""
        query = "SELECT DISTINCT person_id FROM keeps WHERE lifted_at IS NULL"
        return [row["person_id"] for row in self.records.all(query)]

    def unsigned(self) -> list[int]:
        """Give the urgent terminations nobody has signed."""
        return [row["id"] for row in self.records.all("SELECT id FROM terminations WHERE signed_at IS NULL")]

    def waiting(self) -> tuple[set[str], set[str]]:
        """Give whose rows wait for a person as a whole, and whose account alone may stay open for ever."""
        world = self.world
        owners = {person.code: person_id for person_id, person in world.school.people.items()}
        guarded = {owners.get(a.employee_id, "") for a in world.school.accounts if a.protected}
        disputed = {fact[1] for fact in world.since if fact[0] == "disputed"}
        urgent = {p for p in world.contacts() if self._is_urgent(p)}
        return disputed | ({*self.standing_keeps(), *guarded} - urgent), guarded

    def _is_urgent(self, person: str) -> bool:
        now = self.world.now
        return ("restricted", person) in self.world.since or self.records.blocked(person, now, now)

    def at_end(self) -> None:
        """Judge that nobody's word was taken back by itself, and nobody signed by itself."""
        for row in self.records.all("SELECT DISTINCT person_id FROM keeps WHERE lifted_at IS NOT NULL"):
            if row["person_id"] not in self.unkept:
                self.breaks(f"the keep on {row['person_id']} was lifted by nobody")
        for row in self.records.all("SELECT id FROM terminations WHERE signed_at IS NOT NULL"):
            if row["id"] not in self.signed:
                self.breaks(f"order {row['id']} was signed by nobody")
